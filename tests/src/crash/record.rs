//! What all banks of a run together have seen.

use std::cell::{Cell, RefCell};

/// Counts, and everything that must not be. Lives on the thread of the banks.
#[derive(Default)]
pub(super) struct Record {
    submitted: Cell<u64>,
    acknowledged: Cell<u64>,
    doubled: Cell<u64>,
    lost: Cell<u64>,
    violations: RefCell<Vec<String>>,
    violated: Cell<u64>,
}

/// Violations that are kept in words; more are counted.
const VIOLATIONS_MAX: usize = 40;

fn count(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

impl Record {
    pub(super) fn submitted(&self) {
        count(&self.submitted);
    }

    /// A debtor agent was told the outcome of a payment.
    pub(super) fn acknowledged(&self) {
        count(&self.acknowledged);
    }

    /// What was acknowledged is no longer so.
    pub(super) fn lost(&self, what: String) {
        count(&self.lost);
        self.violate(what);
    }

    /// A payment has two outcomes, or moved money twice.
    pub(super) fn doubled(&self, what: String) {
        count(&self.doubled);
        self.violate(what);
    }

    pub(super) fn violate(&self, what: String) {
        count(&self.violated);
        let mut violations = self.violations.borrow_mut();
        if violations.len() < VIOLATIONS_MAX {
            violations.push(what);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let [submitted, acknowledged, lost, doubled, violated] =
            [&self.submitted, &self.acknowledged, &self.lost, &self.doubled, &self.violated].map(Cell::get);
        Counts { submitted, acknowledged, lost, doubled, violated }
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.violations.borrow().clone()
    }
}

/// How much of each there was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub submitted: u64,
    pub acknowledged: u64,
    pub lost: u64,
    pub doubled: u64,
    pub violated: u64,
}
