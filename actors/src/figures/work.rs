//! What the participants' actors did, all together.

use std::time::Duration;

use meter::Distribution;
use settlement::{Key, Purpose, Reply};
use wire::Reason;

use crate::host::Message;

/// A message of a participant's actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    Instructions,
    Letters,
    Arrived,
    Operate,
    Adopt,
    Due,
}

impl MessageKind {
    pub const ALL: [MessageKind; 6] = [
        MessageKind::Instructions,
        MessageKind::Letters,
        MessageKind::Arrived,
        MessageKind::Operate,
        MessageKind::Adopt,
        MessageKind::Due,
    ];

    pub fn name(self) -> &'static str {
        match self {
            MessageKind::Instructions => "instructions",
            MessageKind::Letters => "letters",
            MessageKind::Arrived => "arrived",
            MessageKind::Operate => "operate",
            MessageKind::Adopt => "adopt",
            MessageKind::Due => "due",
        }
    }
}

impl Message {
    pub(crate) fn kind(&self) -> MessageKind {
        match self {
            Message::Instructions(_) => MessageKind::Instructions,
            Message::Letters(_) => MessageKind::Letters,
            Message::Arrived => MessageKind::Arrived,
            Message::Operate(_) => MessageKind::Operate,
            Message::Adopt(_) => MessageKind::Adopt,
            Message::Due(_) => MessageKind::Due,
        }
    }
}

/// What one participant was told besides outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Its instructions whose UETR was known, with the same content and with another.
    pub duplicates_same: u64,
    pub duplicates_conflict: u64,
    /// Not taken, because the node takes no new payments, and because its log has no room.
    pub refused_draining: u64,
    pub refused_full: u64,
}

impl Told {
    pub(crate) fn count(&mut self, reply: &Reply) {
        let count = match reply {
            Reply::Inquire(inquiry) if inquiry.purpose == Purpose::Repeat => &mut self.duplicates_same,
            Reply::Refused(Reason::DUPL) => &mut self.duplicates_conflict,
            Reply::Refused(Reason::DRAN) => &mut self.refused_draining,
            Reply::Refused(Reason::FULL) => &mut self.refused_full,
            _ => return,
        };
        *count += 1;
    }

    pub fn add(&mut self, more: &Told) {
        self.duplicates_same += more.duplicates_same;
        self.duplicates_conflict += more.duplicates_conflict;
        self.refused_draining += more.refused_draining;
        self.refused_full += more.refused_full;
    }
}

/// See the file's head.
#[derive(Debug, Default)]
pub struct Work {
    /// From being sent until an actor took it up, per message.
    pub wait: Distribution,
    /// By [`MessageKind::ALL`]: how long an actor was at it.
    pub handled: [Distribution; 6],
    /// Deciding the instructions of one message, as each of them saw it.
    pub decide: Distribution,
    /// By key; short when nobody behind was told anything.
    pub told: Vec<Told>,
    /// Messages for actors that had just ended.
    pub dropped: u64,
    notes: Vec<Handled>,
}

/// What is noted of a message that was handled, until many of them are counted at once.
#[derive(Clone, Copy, Debug)]
struct Handled {
    kind: MessageKind,
    waited_us: u64,
    took_us: u64,
}

/// Some 50 KiB.
const NOTES_MAX: usize = 2048;

impl Work {
    /// Empty again; keeps its memory.
    pub fn clear(&mut self) {
        let Work { mut wait, mut handled, mut decide, mut told, notes, .. } = std::mem::take(self);
        wait.clear();
        handled.iter_mut().for_each(Distribution::clear);
        decide.clear();
        told.clear();
        *self = Work { wait, handled, decide, told, notes, ..Work::default() };
    }

    /// Notes a message that an actor has handled: when it was sent, taken up and done, by [`now_us`](super::now_us).
    pub(crate) fn note(&mut self, kind: MessageKind, [sent_us, began_us, ended_us]: [u64; 3]) {
        let (waited_us, took_us) = (began_us.saturating_sub(sent_us), ended_us.saturating_sub(began_us));
        self.notes.push(Handled { kind, waited_us, took_us });
        if self.notes.len() >= NOTES_MAX {
            self.count();
        }
    }

    /// Counts what was noted.
    pub(crate) fn count(&mut self) {
        for Handled { kind, waited_us, took_us } in self.notes.drain(..) {
            self.wait.record(Duration::from_micros(waited_us));
            self.handled[kind as usize].record(Duration::from_micros(took_us));
        }
    }

    pub(crate) fn tell(&mut self, key: Key, told: &Told) {
        if *told == Told::default() {
            return;
        }
        if self.told.len() <= key.place() {
            self.told.resize(key.place() + 1, Told::default());
        }
        self.told[key.place()].add(told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_counted_once_however_many_there_are() {
        let mut work = Work::default();
        for number in 0..2 * NOTES_MAX as u64 + 5 {
            let kind = if number % 4 == 0 { MessageKind::Instructions } else { MessageKind::Letters };
            work.note(kind, [100, 107, 110]);
        }
        let told = |work: &Work| {
            let [instructions, letters, ..] = &work.handled;
            [&work.wait, instructions, letters].map(|own| (own.count(), own.sum_ns() / 1000))
        };
        let noted = 2 * NOTES_MAX as u64 + 5;
        work.count();
        work.count();
        let instructions = noted.div_ceil(4);
        let letters = noted - instructions;
        assert_eq!(told(&work), [(noted, 7 * noted), (instructions, 3 * instructions), (letters, 3 * letters)]);
        work.clear();
        assert_eq!(told(&work), [(0, 0); 3]);
    }

    #[test]
    fn what_participants_are_told_is_counted_by_each() {
        let mut work = Work::default();
        let mut told = Told::default();
        for reason in [Reason::DUPL, Reason::DRAN, Reason::DRAN, Reason::FULL, Reason::AG09] {
            told.count(&Reply::Refused(reason));
        }
        work.tell(Key(2), &told);
        work.tell(Key(2), &told);
        work.tell(Key(5), &Told::default());
        let expected = Told { duplicates_same: 0, duplicates_conflict: 2, refused_draining: 4, refused_full: 2 };
        assert_eq!(work.told, [Told::default(), Told::default(), expected]);
        work.clear();
        assert!(work.told.is_empty());
    }
}
