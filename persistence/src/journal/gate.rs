//! Between the replica and the owner's fold: proposers are let in before the owner hears that this node leads, and turned
//! away before it hears that it no longer does.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shared;
use crate::fold::{Entry, Fold, Freeze, Index, Standing};

pub(super) struct Gate<F: Fold> {
    fold: F,
    shared: Arc<Shared<F::Passenger>>,
}

impl<F: Fold> Gate<F> {
    pub(super) fn new(fold: F, shared: Arc<Shared<F::Passenger>>) -> Gate<F> {
        Gate { fold, shared }
    }

    /// A panic in there is the owner's, not ours.
    fn enter<T>(&mut self, act: impl FnOnce(&mut F) -> T) -> T {
        self.shared.is_folding.store(true, Ordering::Relaxed);
        let result = act(&mut self.fold);
        self.shared.is_folding.store(false, Ordering::Relaxed);
        result
    }
}

impl<F: Fold> Fold for Gate<F> {
    type Passenger = F::Passenger;

    const CHECKPOINT_VERSION: u32 = F::CHECKPOINT_VERSION;

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), String> {
        self.enter(|fold| fold.restore(snapshot))
    }

    fn committed(&mut self, entry: Entry<'_>, passengers: &mut Vec<F::Passenger>) {
        self.enter(|fold| fold.committed(entry, passengers));
    }

    fn delivered(&mut self, passengers: &mut Vec<F::Passenger>) {
        self.enter(|fold| fold.delivered(passengers));
    }

    fn standing(&mut self, standing: Standing) {
        self.shared.batches.admit(standing.leads.then_some(standing.term));
        self.enter(|fold| fold.standing(standing));
    }

    fn checkpoint(&mut self, index: Index) -> Option<u64> {
        self.enter(|fold| fold.checkpoint(index))
    }

    fn freeze(&mut self) -> Freeze {
        self.enter(|fold| fold.freeze())
    }
}
