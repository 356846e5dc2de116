//! What a leader has proposed and not yet seen committed, with the passengers; and those who wait to hear that it still
//! leads.

use std::collections::VecDeque;
use std::time::Duration;

use crate::fold::{Index, Term};

/// Everything here is of one reign, and gone when that ends.
pub(super) struct Flights<P> {
    entries: VecDeque<Flight<P>>,
    bytes: usize,
    companies: VecDeque<Company<P>>,
    /// The number of the last question whether this node leads.
    asked: u64,
    /// Passengers for whom it has not been asked.
    unasked: bool,
}

pub(super) struct Flight<P> {
    index: Index,
    term: Term,
    payload_bytes: usize,
    pub(super) passengers: Vec<P>,
    /// When the first of it was proposed, and when it was on this node's disk.
    pub(super) proposed_at: Duration,
    pub(super) written_at: Option<Duration>,
}

impl<P> Flight<P> {
    pub(super) fn new(
        index: Index,
        term: Term,
        proposed_at: Duration,
        payload_bytes: usize,
        passengers: Vec<P>,
    ) -> Flight<P> {
        Flight { index, term, payload_bytes, passengers, proposed_at, written_at: None }
    }
}

/// Passengers without an entry. They may go when everything up to `after` is folded and either their question is answered
/// or a later entry of the same reign is committed: both say that a majority still followed after they had come.
struct Company<P> {
    after: Index,
    question: u64,
    answered: bool,
    passengers: Vec<P>,
}

impl<P> Default for Flights<P> {
    fn default() -> Flights<P> {
        Flights { entries: VecDeque::new(), bytes: 0, companies: VecDeque::new(), asked: 0, unasked: false }
    }
}

impl<P> Flights<P> {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.companies.is_empty()
    }

    pub(super) fn depart(&mut self, flight: Flight<P>) {
        self.bytes += flight.payload_bytes;
        self.entries.push_back(flight);
    }

    /// Everything up to `index` is on this node's disk.
    pub(super) fn written(&mut self, index: Index, at: Duration) {
        let mut new = self.entries.iter_mut().rev().skip_while(|flight| flight.index > index);
        while let Some(flight) = new.next().filter(|flight| flight.written_at.is_none()) {
            flight.written_at = Some(at);
        }
    }

    /// What was proposed here as the entry that was committed.
    pub(super) fn arrive(&mut self, index: Index, term: Term) -> Option<Flight<P>> {
        while let Some(flight) = self.entries.front()
            && flight.index <= index
        {
            let Some(flight) = self.entries.pop_front() else { break };
            self.bytes -= flight.payload_bytes;
            if (flight.index, flight.term) == (index, term) {
                return Some(flight);
            }
        }
        None
    }

    /// Passengers who wait for what stands up to `after`.
    pub(super) fn accompany(&mut self, after: Index, passengers: Vec<P>) {
        let question = self.asked + 1;
        self.unasked = true;
        self.companies.push_back(Company { after, question, answered: false, passengers });
    }

    /// The number of the question to ask now, for all who came since the last.
    pub(super) fn question(&mut self) -> Option<u64> {
        if !std::mem::take(&mut self.unasked) {
            return None;
        }
        self.asked += 1;
        Some(self.asked)
    }

    pub(super) fn answer(&mut self, question: u64) {
        for company in &mut self.companies {
            company.answered |= company.question <= question;
        }
    }

    /// The next who may go once `folded` is folded; `committing` is the entry of this reign that comes next, if one does.
    pub(super) fn disembark(&mut self, folded: Index, committing: bool) -> Option<Vec<P>> {
        let first = self.companies.front()?;
        if first.after <= folded && (first.answered || committing) {
            return self.companies.pop_front().map(|company| company.passengers);
        }
        None
    }

    /// The reign has ended.
    pub(super) fn drop_all(&mut self) {
        self.entries.clear();
        self.companies.clear();
        self.bytes = 0;
        self.unasked = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passengers_come_with_their_entry() {
        let mut flights = Flights::default();
        for index in 4..=6 {
            flights.depart(Flight::new(index, 2, Duration::ZERO, 10, vec![index]));
        }
        assert_eq!(flights.bytes(), 30);
        flights.written(5, Duration::from_secs(1));
        flights.written(6, Duration::from_secs(2));
        let mut arrive = |index, term| flights.arrive(index, term).map(|flight| (flight.passengers, flight.written_at));
        assert_eq!(arrive(4, 2), Some((vec![4], Some(Duration::from_secs(1)))));
        assert_eq!(arrive(5, 3), None, "another leader's entry took its place");
        assert_eq!(arrive(6, 2), Some((vec![6], Some(Duration::from_secs(2)))));
        assert_eq!(flights.bytes(), 0);
    }

    #[test]
    fn company_goes_when_it_is_known_that_the_leader_leads() {
        let mut flights = Flights::default();
        flights.accompany(5, vec!['a']);
        flights.accompany(6, vec!['b']);
        assert_eq!((flights.question(), flights.question()), (Some(1), None), "one question for all");
        flights.accompany(6, vec!['c']);
        assert_eq!(flights.question(), Some(2));
        assert_eq!(flights.disembark(9, false), None, "nothing is answered");
        flights.answer(1);
        assert_eq!(flights.disembark(4, false), None, "not everything before is folded");
        assert_eq!(flights.disembark(5, false), Some(vec!['a']));
        assert_eq!(flights.disembark(6, false), Some(vec!['b']));
        assert_eq!(flights.disembark(6, false), None, "the second question is open");
        assert_eq!(flights.disembark(6, true), Some(vec!['c']), "a later entry was committed");
        assert!(flights.is_empty());
    }
}
