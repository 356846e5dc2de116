//! What the participants' actors did, all together.

use meter::Distribution;

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

/// See the file's head.
#[derive(Debug, Default)]
pub struct Work {
    /// From being sent until an actor took it up, per message.
    pub wait: Distribution,
    /// By [`MessageKind::ALL`]: how long an actor was at it.
    pub handled: [Distribution; 6],
    /// Deciding the instructions of one message, as each of them saw it.
    pub decide: Distribution,
    /// Instructions whose UETR was known, with the same content and with another.
    pub duplicates_same: u64,
    pub duplicates_conflict: u64,
    /// Messages for actors that had just ended.
    pub dropped: u64,
}

impl Work {
    pub fn clear(&mut self) {
        let Work { mut wait, mut handled, mut decide, .. } = std::mem::take(self);
        wait.clear();
        handled.iter_mut().for_each(Distribution::clear);
        decide.clear();
        *self = Work { wait, handled, decide, ..Work::default() };
    }
}
