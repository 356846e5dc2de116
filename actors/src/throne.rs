//! Where the ledger tells, on the journal's thread, who leads; and what everyone may know of what is committed.
//!
//! A reign that has ended is over at once. One that begins is made by a task of the runtime, see `reign`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use persistence::{Standing, Term};
use settlement::{Book, Fact, Participant, Scheme};
use tokio::sync::mpsc::UnboundedSender;

use crate::dispatch::Dispatch;

/// What a new leader begins with: the book with everything of earlier terms.
pub(crate) struct Estate {
    pub(crate) scheme: Scheme,
    pub(crate) participants: Vec<Participant>,
}

/// The node's standing has changed; with an estate it leads.
pub(crate) struct Change {
    pub(crate) standing: Standing,
    pub(crate) estate: Option<Estate>,
}

/// What the node knows for sure, for whoever wants to read it.
#[derive(Default)]
pub(crate) struct Known {
    /// As committed. Its `last_at` is of the last fact that changed it.
    pub(crate) scheme: RwLock<Scheme>,
    pub(crate) standing: Mutex<Standing>,
}

/// See the file's head.
#[derive(Clone)]
pub(crate) struct Throne {
    pub(crate) known: Arc<Known>,
    pub(crate) leading: Arc<AtomicU64>,
    /// Weak: the journal's thread may not hold the journal.
    pub(crate) dispatch: Weak<Dispatch>,
    /// Changes are few, and a reign that ended while another change waited is over already.
    pub(crate) changes: UnboundedSender<Change>,
}

impl Throne {
    pub(crate) fn note(&self, news: &Fact<'_>) {
        self.known.scheme.write().apply(news);
    }

    pub(crate) fn leads(&self) -> bool {
        self.leading.load(Ordering::Relaxed) > 0
    }

    /// True of what this node decided itself, in the reign that lasts.
    pub(crate) fn leads_in(&self, term: Term) -> bool {
        self.leading.load(Ordering::Relaxed) == term
    }

    pub(crate) fn restored(&self, scheme: &Scheme) {
        *self.known.scheme.write() = scheme.clone();
    }

    pub(crate) fn standing(&self, standing: Standing, book: &Book) {
        *self.known.standing.lock() = standing;
        self.leading.store(if standing.leads { standing.term } else { 0 }, Ordering::Release);
        if let Some(dispatch) = self.dispatch.upgrade() {
            dispatch.close_what_is_over();
        }
        let estate = standing
            .leads
            .then(|| Estate { scheme: book.scheme().clone(), participants: book.participants().to_vec() });
        // Nobody listens when the node stops.
        drop(self.changes.send(Change { standing, estate }));
    }
}
