//! Between the replica and the owner's fold: proposers are let in before the owner hears that this node leads, and turned
//! away before it hears that it no longer does.

use std::io::Read;
use std::sync::Arc;

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
}

impl<F: Fold> Fold for Gate<F> {
    type Passenger = F::Passenger;

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), String> {
        self.fold.restore(snapshot)
    }

    fn committed(&mut self, entry: Entry<'_>, passengers: &mut Vec<F::Passenger>) {
        self.fold.committed(entry, passengers);
    }

    fn delivered(&mut self, passengers: &mut Vec<F::Passenger>) {
        self.fold.delivered(passengers);
    }

    fn standing(&mut self, standing: Standing) {
        self.shared.batches.admit(standing.leads.then_some(standing.term));
        self.fold.standing(standing);
    }

    fn checkpoint(&mut self, index: Index) -> Option<u64> {
        self.fold.checkpoint(index)
    }

    fn freeze(&mut self) -> Freeze {
        self.fold.freeze()
    }
}
