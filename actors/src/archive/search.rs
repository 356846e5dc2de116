//! Answers the questions of participants on a thread of its own, so that many of them, or a slow disk, do not hold up
//! what ends.

use crossbeam::channel::{Sender, TrySendError, bounded};

use super::error::Error;
use super::gather::{Found, Question};
use super::shelf::Shelf;

/// Questions that wait at most; further ones are told to come again.
const QUESTIONS_MAX: usize = 256;

/// Ends with its last question once this is dropped.
pub(super) struct Searcher(Sender<(Question, Shelf)>);

impl Searcher {
    pub(super) fn start() -> Searcher {
        let (sender, receiver) = bounded::<(Question, Shelf)>(QUESTIONS_MAX);
        // It inherits the priority of the archive's thread. Without it every question is told to come again.
        _ = std::thread::Builder::new().name("archive-search".into()).spawn(move || {
            for (question, shelf) in receiver {
                let found = shelf.by_uetr(question.uetr, Some(question.debtor));
                let found = found.map(|entries| Found { entries, is_whole: shelf.is_whole() });
                if let Err(error) = &found {
                    tracing::error!(event = "archive_unreadable", %error, "a participant's question is not answered");
                }
                (question.answer)(found);
            }
        });
        Searcher(sender)
    }

    /// `shelf` holds everything that was handed over before the question.
    pub(super) fn ask(&self, question: Question, shelf: Shelf) {
        match self.0.try_send((question, shelf)) {
            Ok(()) => {}
            Err(TrySendError::Full((question, _)) | TrySendError::Disconnected((question, _))) => {
                (question.answer)(Err(Error::Behind));
            }
        }
    }
}
