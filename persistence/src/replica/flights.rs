//! What a leader has proposed and not yet seen committed, with the passengers; and those who wait to hear that it still
//! leads.

use std::collections::VecDeque;

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

struct Flight<P> {
    index: Index,
    term: Term,
    payload_bytes: usize,
    passengers: Vec<P>,
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

    pub(super) fn depart(&mut self, index: Index, term: Term, payload_bytes: usize, passengers: Vec<P>) {
        self.bytes += payload_bytes;
        self.entries.push_back(Flight { index, term, payload_bytes, passengers });
    }

    /// Who came with the entry that was committed.
    pub(super) fn arrive(&mut self, index: Index, term: Term) -> Vec<P> {
        while let Some(flight) = self.entries.front()
            && flight.index <= index
        {
            let Some(flight) = self.entries.pop_front() else { break };
            self.bytes -= flight.payload_bytes;
            if (flight.index, flight.term) == (index, term) {
                return flight.passengers;
            }
        }
        Vec::new()
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
            flights.depart(index, 2, 10, vec![index]);
        }
        assert_eq!(flights.bytes(), 30);
        assert_eq!(flights.arrive(4, 2), [4]);
        assert_eq!(flights.arrive(5, 3), [] as [u64; 0], "another leader's entry took its place");
        assert_eq!(flights.arrive(6, 2), [6]);
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
