//! The leader's word that a payment is in process holds until the outcome, and that may come to this node first: outcomes
//! come with the log, replies by the relay. So such a word is told as this node's own book has it, from the thread that
//! writes the feeds. Whoever was told the outcome never hears "in process" behind it.
//!
//! ```text
//!   leader   ── in process ────────────────────> relay ──┐
//!            ── outcome, committed ──> book, feed        │ asks the book: it has ended, and how
//!                                      journal's thread <┘ ──> the participant
//! ```

use std::sync::Arc;

use persistence::Refused;
use settlement::{Book, Inquiry, Key, Purpose};
use wire::frame::{HEADER_BYTES, decode};
use wire::{Frames, Message, Reason, Status};

use crate::ledger::Passenger;
use crate::line::{Ending, Line};
use crate::premises::Premises;

/// Replies of the leader with such a word among them, which a connection is owed.
pub(super) struct Word {
    line: Arc<Line>,
    owed: u64,
    replies: Vec<u8>,
}

impl Word {
    /// The connection's next `done` instructions are done once these replies are told.
    pub(super) fn owed_to(line: Arc<Line>, done: u32, replies: &[u8]) -> Word {
        let owed = line.owe(done);
        Word { line, owed, replies: replies.to_vec() }
    }

    /// Tells the replies as the book has them.
    pub(super) fn look_up(self, premises: &Premises) {
        let Word { line, owed, replies } = self;
        let (bell, own) = (premises.bell.clone(), line.clone());
        let tell = move |book: &Book| {
            line.pay(owed, &as_booked(book, line.key(), &replies));
            bell.ring_for(line);
        };
        let looked_up: Result<(), Refused> = premises.journal.visit(Passenger::Query(Box::new(tell)));
        if looked_up.is_err() {
            own.end(Ending::elsewhere(
                Reason::DRAN,
                1000,
                "this node cannot tell just now what became of a payment; ask again at another",
            ));
        }
    }
}

/// True for a status that is not final.
pub(crate) fn is_in_process(message: &Message<'_>) -> bool {
    matches!(message, Message::StatusReport(report) if report.status == Status::ACSP)
}

/// True when one of the replies says that a payment is in process.
pub(super) fn may_be_stale(replies: &[u8]) -> bool {
    let mut frames = Frames::new(replies).map_while(Result::ok);
    frames.any(|frame| decode(frame.kind, frame.body).is_ok_and(|message| is_in_process(&message)))
}

/// The replies, with what the book knows better in place of what it does.
fn as_booked(book: &Book, asker: Key, replies: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(replies.len()), replies);
    for frame in Frames::new(replies).map_while(Result::ok) {
        let (own, behind) = rest.split_at(HEADER_BYTES + frame.body.len());
        rest = behind;
        let known = match decode(frame.kind, frame.body) {
            Ok(Message::StatusReport(report)) if report.status == Status::ACSP => {
                let debtor = book.scheme().key(report.debtor_agent);
                debtor.and_then(|debtor| {
                    book.answer(asker, &Inquiry { debtor, uetr: report.uetr, purpose: Purpose::Request })
                })
            }
            _ => None,
        };
        match known {
            Some(message) => message.encode(&mut out),
            None => out.extend_from_slice(own),
        }
    }
    out
}
