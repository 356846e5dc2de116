//! Every frame that participants were ever told, feed by feed: what a crash may not take back.

use settlement::{Book, Key, Recipient, Sink};

use super::{Kept, durable, gapless};

/// One feed: the frames of notices 1, 2, 3 …
#[derive(Default)]
pub struct Feed {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// Number that the present book gave last.
    pub(super) last: u64,
}

impl Feed {
    /// Number of the last notice ever told.
    pub fn told(&self) -> u64 {
        self.ends.len() as u64
    }

    pub fn frame(&self, number: u64) -> Option<&[u8]> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        let end = *self.ends.get(place)?;
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        Some(&self.bytes[start..end])
    }
}

/// The place where a book's notices go, all its lives long.
#[derive(Default)]
pub struct Feeds {
    participants: Vec<Feed>,
    pub everyone: Feed,
    scratch: Vec<u8>,
    broken: Option<String>,
    /// Frames that nobody had been told before, with their recipient, since the last look.
    pub fresh: Vec<(Recipient, u64)>,
}

impl Feeds {
    pub fn of(&self, key: Key) -> &Feed {
        &self.participants[key.place()]
    }

    /// A book takes over: its next notices follow those it knows of.
    pub fn begin(&mut self, book: &Book) {
        for place in 0..book.participants().len() {
            self.feed(Recipient::Participant(Key(place as u32))).last = book.last_notice(Key(place as u32));
        }
        self.participants.iter_mut().skip(book.participants().len()).for_each(|feed| feed.last = 0);
        self.everyone.last = book.last_system_notice();
    }

    /// Puts in the numbers that another node's book gave last, everyone's first, and takes out those that were in.
    pub fn exchange(&mut self, lasts: &mut Vec<u64>) {
        lasts.resize(lasts.len().max(self.participants.len() + 1), 0);
        if lasts.len() > self.participants.len() + 1 {
            self.feed(Recipient::Participant(Key(lasts.len() as u32 - 2)));
        }
        let feeds = std::iter::once(&mut self.everyone).chain(&mut self.participants);
        feeds.zip(lasts).for_each(|(feed, last)| std::mem::swap(&mut feed.last, last));
    }

    /// What was broken while notices came, if anything.
    pub fn look(&mut self) -> Kept {
        self.broken.take().map_or(Ok(()), Err)
    }

    pub fn all(&self) -> impl Iterator<Item = (Recipient, &Feed)> {
        let own = self.participants.iter().enumerate();
        own.map(|(place, feed)| (Recipient::Participant(Key(place as u32)), feed))
            .chain(std::iter::once((Recipient::Everyone, &self.everyone)))
    }

    pub fn feed(&mut self, to: Recipient) -> &mut Feed {
        match to {
            Recipient::Everyone => &mut self.everyone,
            Recipient::Participant(key) => {
                if self.participants.len() <= key.place() {
                    self.participants.resize_with(key.place() + 1, Feed::default);
                }
                &mut self.participants[key.place()]
            }
        }
    }

    fn receive(&mut self, to: Recipient, number: u64) -> Kept {
        let scratch = std::mem::take(&mut self.scratch);
        let feed = self.feed(to);
        gapless::check(feed, to, number)?;
        feed.last = number;
        if number <= feed.told() {
            durable::check(feed, to, number, &scratch)?;
        } else {
            feed.bytes.extend_from_slice(&scratch);
            feed.ends.push(feed.bytes.len());
            self.fresh.push((to, number));
        }
        self.scratch = scratch;
        Ok(())
    }
}

impl Sink for Feeds {
    fn notice(&mut self, to: Recipient, number: u64, write: impl FnOnce(&mut Vec<u8>)) {
        self.scratch.clear();
        write(&mut self.scratch);
        if let Err(what) = self.receive(to, number) {
            self.broken.get_or_insert(what);
        }
    }
}
