//! What waits to be sent to one peer on one channel, already as frames: a turn of the sending thread takes whole blocks.
//!
//! Small messages are copied together, so that they share TLS records and calls to the kernel; a large one is moved.

use std::collections::VecDeque;

use crate::frame::{self, Kind};

/// A message from here on travels as it is.
const LARGE_BYTES: usize = 16 << 10;
/// A block that has so much takes no more.
const BLOCK_BYTES: usize = 64 << 10;

/// Whole frames: those in `frames`, the last of which may have its body in `large`.
#[derive(Default)]
pub(crate) struct Block {
    pub(crate) frames: Vec<u8>,
    pub(crate) large: Vec<u8>,
    messages: u64,
}

impl Block {
    pub(crate) fn bytes(&self) -> usize {
        self.frames.len() + self.large.len()
    }
}

#[derive(Default)]
pub(crate) struct Lane {
    blocks: VecDeque<Block>,
    bytes: usize,
    /// An empty buffer that has grown already.
    spare: Vec<u8>,
}

impl Lane {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A message is always taken by an empty lane.
    pub(crate) fn has_room(&self, body_bytes: usize, bytes_max: usize) -> bool {
        self.bytes == 0 || self.bytes + frame::HEADER_BYTES + body_bytes <= bytes_max
    }

    pub(crate) fn push(&mut self, kind: Kind, body: Vec<u8>) {
        let header = frame::header(kind, body.len());
        self.bytes += header.len() + body.len();
        let block = self.open_block();
        block.messages += 1;
        block.frames.extend_from_slice(&header);
        if body.len() < LARGE_BYTES {
            block.frames.extend_from_slice(&body);
        } else {
            block.large = body;
        }
    }

    fn open_block(&mut self) -> &mut Block {
        let is_open = |block: &Block| block.large.is_empty() && block.frames.len() < BLOCK_BYTES;
        if !self.blocks.back().is_some_and(is_open) {
            self.blocks.push_back(Block { frames: std::mem::take(&mut self.spare), ..Block::default() });
        }
        self.blocks.back_mut().expect("pushed above")
    }

    pub(crate) fn pop(&mut self) -> Option<Block> {
        let block = self.blocks.pop_front()?;
        self.bytes -= block.bytes();
        Some(block)
    }

    pub(crate) fn lacks_spare(&self) -> bool {
        self.spare.capacity() == 0
    }

    /// Gives back what [`Lane::pop`] gave.
    pub(crate) fn recycle(&mut self, block: Block) {
        self.spare = block.frames;
        self.spare.clear();
    }

    /// Forgets what waits; how many messages that were.
    pub(crate) fn clear(&mut self) -> u64 {
        let messages = self.blocks.iter().map(|block| block.messages).sum();
        *self = Lane::default();
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_all_sizes_come_out_in_order_and_are_counted() {
        let bodies: Vec<Vec<u8>> =
            (0..200usize).map(|n| vec![n as u8; if n % 7 == 0 { LARGE_BYTES + n } else { n * 40 }]).collect();
        let mut lane = Lane::default();
        bodies.iter().for_each(|body| lane.push(Kind::Consensus, body.clone()));
        let total: usize = bodies.iter().map(|body| body.len() + frame::HEADER_BYTES).sum();
        assert_eq!(lane.bytes(), total);

        let (mut frames, mut found, mut blocks) = (frame::Frames::default(), Vec::new(), 0);
        while let Some(block) = lane.pop() {
            frames.extend(&block.frames);
            frames.extend(&block.large);
            while let Some((_, body)) = frames.next().unwrap() {
                found.push(body.to_vec());
            }
            lane.recycle(block);
            blocks += 1;
        }
        assert_eq!((found, lane.bytes()), (bodies, 0));
        assert!(blocks < 60, "{blocks} blocks");
    }

    #[test]
    fn an_empty_lane_takes_any_message_a_full_one_none() {
        let mut lane = Lane::default();
        assert!(lane.has_room(1000, 100));
        lane.push(Kind::Relay, vec![0; 1000]);
        assert!(!lane.has_room(1, 100) && lane.has_room(10, 2000));
        assert_eq!((lane.clear(), lane.bytes()), (1, 0));
    }
}
