//! What goes over the connections of each participant to this node. Counted once for each read and each write, from the
//! headers of the frames in it; read once a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;
use settlement::Key;
use wire::{Frames, Kind};

/// By place of the participant; none where there was no connection.
#[derive(Default)]
pub(crate) struct Messages(RwLock<Vec<Option<Arc<Counts>>>>);

impl Messages {
    pub(crate) fn of(&self, key: Key) -> Arc<Counts> {
        let mut all = self.0.write();
        if all.len() <= key.place() {
            all.resize_with(key.place() + 1, || None);
        }
        all[key.place()].get_or_insert_default().clone()
    }

    /// Of the participant in this place, since the node's start.
    pub(super) fn told(&self, place: usize) -> watch::Messages {
        let counts = self.0.read().get(place).cloned().flatten();
        counts.map_or_else(watch::Messages::default, |counts| counts.told())
    }
}

/// What was refused before it was an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// What came is no frame, and the connection ends.
    Frame,
    /// A message that cannot be read.
    Schema,
    /// It speaks for another agent.
    Agent,
}

impl Mistake {
    const NAMES: [&str; 3] = ["frame", "schema", "agent"];
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Connect,
    Disconnect,
    SignOnRefused,
    /// It was silent for too long.
    HeartbeatMissed,
    /// The switch ended it.
    GoAway,
    /// Notices were read again from the log.
    Resync,
}

impl Event {
    const NAMES: [&str; 6] = ["connect", "disconnect", "sign_on_refused", "heartbeat_missed", "goaway", "resync"];
}

/// Of one participant.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    read: Kinds,
    written: Kinds,
    mistakes: [AtomicU64; Mistake::NAMES.len()],
    events: [AtomicU64; Event::NAMES.len()],
}

impl Counts {
    /// The kinds of whole frames that were read.
    pub(crate) fn read(&self, kinds: impl Iterator<Item = u16>) {
        self.read.count(kinds);
    }

    /// Whole frames that the socket has taken.
    pub(crate) fn written(&self, frames: &[u8]) {
        self.written.count(kinds(frames));
    }

    pub(crate) fn mistake(&self, mistake: Mistake) {
        self.mistakes[mistake as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn event(&self, event: Event) {
        self.events[event as usize].fetch_add(1, Relaxed);
    }

    fn told(&self) -> watch::Messages {
        watch::Messages {
            received: self.read.told(),
            sent: self.written.told(),
            errors: named(&Mistake::NAMES, &self.mistakes),
            events: named(&Event::NAMES, &self.events),
        }
    }
}

fn named(names: &[&str], counts: &[AtomicU64]) -> BTreeMap<String, u64> {
    names.iter().zip(counts).map(|(name, count)| (name.to_string(), count.load(Relaxed))).collect()
}

fn kinds(frames: &[u8]) -> impl Iterator<Item = u16> {
    Frames::new(frames).map_while(Result::ok).map(|frame| frame.kind)
}

/// Counts of kinds, in the order of [`Kind::ALL`]; the last is of those that are unknown.
#[derive(Debug, Default)]
struct Kinds([AtomicU64; KINDS + 1]);

const KINDS: usize = Kind::ALL.len();

/// By number of a kind.
const PLACES: [u8; 256] = {
    let mut places = [KINDS as u8; 256];
    let mut place = 0;
    while place < KINDS {
        places[Kind::ALL[place] as usize] = place as u8;
        place += 1;
    }
    places
};

impl Kinds {
    fn count(&self, kinds: impl Iterator<Item = u16>) {
        let mut counts = [0_u32; KINDS + 1];
        for kind in kinds {
            counts[PLACES.get(usize::from(kind)).map_or(KINDS, |place| usize::from(*place))] += 1;
        }
        for (total, count) in self.0.iter().zip(counts).filter(|(_, count)| *count > 0) {
            total.fetch_add(u64::from(count), Relaxed);
        }
    }

    fn told(&self) -> BTreeMap<String, u64> {
        let names = Kind::ALL.iter().map(|kind| kind.name()).chain(["unknown"]);
        let counted =
            names.zip(&self.0).map(|(name, count)| (name, count.load(Relaxed))).filter(|(_, count)| *count > 0);
        counted.map(|(name, count)| (name.to_string(), count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use wire::message::Heartbeat;
    use wire::{Message, Timestamp};

    use super::*;

    #[test]
    fn every_frame_is_counted_by_its_kind() {
        let heartbeat = Heartbeat { sent_at: Timestamp(1), last_notice: 0, last_system_notice: 0 };
        let mut frames = Vec::new();
        (0..3).for_each(|_| Message::Heartbeat(heartbeat).encode(&mut frames));
        for unknown in [0_u16, 7, 255, 256, u16::MAX] {
            frames.extend_from_slice(&[8, 0, 0, 0]);
            frames.extend_from_slice(&unknown.to_le_bytes());
            frames.extend_from_slice(&[0, 0]);
        }
        for kind in Kind::ALL {
            let start = wire::frame::begin(*kind, &mut frames);
            wire::frame::finish(start, &mut frames);
        }
        let messages = Messages::default();
        let key = Key(2);
        messages.of(key).read(kinds(&frames));
        messages.of(key).read(kinds(&frames));
        messages.of(key).event(Event::Connect);
        messages.of(key).mistake(Mistake::Agent);
        let told = messages.told(2);
        assert_eq!((told.received["Heartbeat"], told.received["unknown"], told.received["SystemNotice"]), (8, 10, 2));
        assert_eq!((told.received.len(), told.sent.len()), (KINDS + 1, 0));
        messages.of(key).written(&frames);
        assert_eq!(messages.told(2).sent["unknown"], 5);
        assert_eq!((told.events["connect"], told.errors["agent"], told.errors["frame"]), (1, 1, 0));
        assert_eq!(messages.told(1), watch::Messages::default());
        assert_eq!(messages.told(7), watch::Messages::default());
    }
}
