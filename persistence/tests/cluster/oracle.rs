//! Sees everything that any node does and knows what must never be.

use std::collections::{BTreeMap, BTreeSet};

use persistence::{Index, NodeId, Standing, Term};

/// What a client wants of the cluster: the number of a write, or of a reading.
pub(crate) type Request = u64;

#[derive(Default)]
pub(crate) struct Oracle {
    /// By index, from 1: the term of the entry and the request in it, 0 for none.
    log: Vec<(Term, Request)>,
    written: BTreeSet<Request>,
    acknowledged: BTreeMap<Request, Index>,
    /// The newest acknowledged entry.
    acknowledged_to: Index,
    /// What a reading has to see: everything acknowledged when it was asked for.
    readings: BTreeMap<Request, Index>,
    pub(crate) readings_answered: u64,
    leaders: BTreeMap<Term, NodeId>,
    violation: Option<String>,
}

impl Oracle {
    pub(crate) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    fn violated(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub(crate) fn committed(&self) -> Index {
        self.log.len() as Index
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    pub(crate) fn reigns(&self) -> usize {
        self.leaders.len()
    }

    pub(crate) fn asked_to_read(&mut self, request: Request) {
        self.readings.insert(request, self.acknowledged_to);
    }

    /// A node folds an entry.
    pub(crate) fn folded(&mut self, node: NodeId, index: Index, term: Term, request: Request) {
        match self.log.get(index as usize - 1) {
            Some(known) if *known == (term, request) => {}
            Some(known) => {
                self.violated(format!("node {node} folds {request} of term {term} at {index}, another {known:?}"));
            }
            None if index == self.committed() + 1 => {
                if request > 0 && !self.written.insert(request) {
                    self.violated(format!("node {node} folds {request} at {index} a second time"));
                }
                self.log.push((term, request));
            }
            None => self.violated(format!("node {node} folds {index}, but {} is the last", self.committed())),
        }
    }

    /// A node begins with this state.
    pub(crate) fn restored(&mut self, node: NodeId, requests: &[Request]) {
        let known: Vec<Request> = self.log.iter().take(requests.len()).map(|(_, request)| *request).collect();
        if known != requests {
            self.violated(format!("node {node} restores a state of {} entries that never was", requests.len()));
        }
    }

    pub(crate) fn acknowledge(&mut self, node: NodeId, request: Request, index: Index) {
        if self.log.get(index as usize - 1).map(|(_, written)| *written) != Some(request) {
            self.violated(format!("node {node} acknowledges {request} at {index}, where it is not"));
        }
        self.acknowledged.insert(request, index);
        self.acknowledged_to = self.acknowledged_to.max(index);
    }

    pub(crate) fn read(&mut self, node: NodeId, request: Request, folded: Index) {
        let Some(least) = self.readings.remove(&request) else {
            return self.violated(format!("node {node} answers reading {request}, which nobody waits for"));
        };
        if folded < least {
            self.violated(format!("node {node} reads up to {folded}, but {least} had been acknowledged before"));
        }
        self.readings_answered += 1;
    }

    pub(crate) fn stands(&mut self, node: NodeId, standing: Standing) {
        if let Some(leader) = standing.leader {
            let known = *self.leaders.entry(standing.term).or_insert(leader);
            if known != leader {
                self.violated(format!("term {} has two leaders, {known} and {leader} says {node}", standing.term));
            }
        }
    }
}
