//! The digest of a book: a number that is the same for equal books, on every node, however each came to its own. Nodes
//! compare it at the same entries of the log; a bug, or memory that lies, is found before it is told to anybody for long.
//!
//! Remembered payments are too many to look at again: each participant keeps the sum of its ended records' hashes, added
//! when they end, taken off when they are forgotten. A payment in process is hashed when asked, as it stands with its
//! creditor agent; its debtor agent's record counts once it ends, some seconds later. The rest is hashed when asked, too.
//! What moved on which date is left out: a book that was restored from a snapshot of before lacks the dates before, and is
//! right all the same. All of it is fixed arithmetic: other builds and machines find the same number. It tells faults, not forgers.

use wire::{BusinessDate, Currency, Timestamp};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::book::Book;
use crate::fact::Payment;
use crate::participant::{Incoming, Participant};
use crate::{Listing, Position};

/// Goes up with every change of what is hashed, or how; and with every change of what a fact does to a book.
pub const DIGEST_VERSION: u32 = 2;

/// Numbers without a pattern: digits of pi.
const SALT: [u64; 4] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1, 0x082e_fa98_ec4e_6c89];

/// Both halves of the product.
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Four numbers as one summand, the same for the same numbers wherever it is computed. XXH3 of a record would cost a
/// payment 4 % of everything.
pub(crate) fn summand([a, b, c, d]: [u64; 4]) -> u64 {
    let (one, other) = (mix(a ^ SALT[0], b ^ SALT[1]), mix(c ^ SALT[2], d ^ SALT[3]));
    mix(one ^ SALT[2], other ^ SALT[0])
}

/// A payment that stands with its creditor agent.
fn of(payment: &Payment, deadline_ns: u64) -> u64 {
    let Payment { debtor, creditor, uetr, amount_minor, currency, message_id, original } = payment;
    let [a, b, c] = *currency.bytes();
    let parties = u64::from(debtor.0) << 32 | u64::from(creditor.0);
    let (uetr, original) = (uetr.number(), original.map_or(0, |original| original.number()));
    let kind = u64::from_le_bytes([a, b, c, 0, 0, 0, 0, 0]);
    let names = summand([uetr as u64, (uetr >> 64) as u64, original as u64, (original >> 64) as u64]);
    let rest = summand([*amount_minor as u64, parties, kind, xxh3_64(message_id.as_str().as_bytes())]);
    summand([names, rest, deadline_ns, 0])
}

/// Numbers one after the other.
struct Sum(Xxh3);

impl Sum {
    fn numbers<const N: usize>(&mut self, numbers: [u64; N]) {
        numbers.iter().for_each(|number| self.0.update(&number.to_le_bytes()));
    }

    fn currency(&mut self, currency: Currency) {
        self.0.update(currency.bytes());
    }

    fn listing(&mut self, listing: &Listing) {
        let Listing { id, signed_on, suspended_sending, suspended_receiving, currencies } = listing;
        self.0.update(id.bytes());
        self.numbers([signed_on, suspended_sending, suspended_receiving].map(|flag| u64::from(*flag)));
        self.numbers([currencies.len() as u64]);
        currencies.iter().for_each(|currency| self.currency(*currency));
    }

    fn position(&mut self, currency: Currency, position: &Position) {
        let Position { funded, net, reserved, limits } = position;
        self.currency(currency);
        self.numbers([*funded, *net, *reserved, limits.net_debit_cap, limits.payment_max].map(|minor| minor as u64));
    }

    fn participant(&mut self, participant: &Participant, notices: u64) {
        let Participant { key, listing, positions, payments, incoming, unposted } = participant;
        self.listing(listing);
        self.numbers([u64::from(key.0), notices, positions.len() as u64]);
        positions.iter().for_each(|(currency, position)| self.position(*currency, position));
        self.numbers([payments.digest(), payments.len() as u64, u64::from(payments.in_flight())]);
        self.in_any_order(incoming.values().map(|Incoming { payment, deadline }| of(payment, deadline.nanoseconds())));
        self.in_any_order(unposted.values().map(|payment| of(payment, 0)));
    }

    fn in_any_order(&mut self, summands: impl ExactSizeIterator<Item = u64>) {
        let count = summands.len() as u64;
        self.numbers([count, summands.fold(0, u64::wrapping_add)]);
    }

    fn moment(&mut self, date: BusinessDate, at: Timestamp) {
        self.numbers([u64::from(date.number()), at.nanoseconds()]);
    }
}

impl Book {
    /// Looks at every participant and at every payment in process or unposted.
    pub fn digest(&self) -> u64 {
        let Book { scheme, participants, notices, system_notices, trail, diaries: _ } = self;
        let mut sum = Sum(Xxh3::new());
        sum.moment(scheme.business_date(), scheme.last_at());
        sum.numbers([*system_notices, participants.len() as u64]);
        for (participant, notices) in participants.iter().zip(notices) {
            sum.participant(participant, *notices);
            // The scheme's own copy, which decisions about others read.
            scheme.listing(participant.key).into_iter().for_each(|listing| sum.listing(listing));
        }
        sum.numbers([trail.head().number]);
        sum.0.update(&trail.head().hash);
        sum.0.digest()
    }
}

#[cfg(test)]
mod tests {
    use wire::{Reason, Reasons};

    use super::*;
    use crate::{Facts, Record, Rules, State, restore, table};

    const STORY: &str = "
        submit P1 A B 10                -> reserved
        answer P1 yes                   -> settled 2026-11-23
        submit P2 A B 10                -> reserved
        answer P2 no                    -> rejected AC04
        submit P3 A B 0                 -> rejected AM01
        fund   B 50
        submit P4 A B 10                -> reserved
        audit                           -> audited
        submit P5 A C 7                 -> reserved
        answer P5 acwp                  -> settled without posting
        submit R1 B A 4 returns=P1      -> reserved
    ";

    /// All but the last three payments are forgotten on the way, two records with each payment; one that is still in process
    /// holds up those behind it.
    const LONG_STORY: &str = "
        submit P1 A B 1                 -> reserved
        answer P1 yes                   -> settled 2026-11-23
        submit P2 A B 0                 -> rejected AM01
        submit P3 A B 1                 -> reserved
        answer P3 no                    -> rejected AC04
        submit P4 A B 0                 -> rejected AM01
        submit R1 B A 1 returns=P1      -> reserved
        answer R1 yes                   -> returned
        wait   60h
        submit P5 A B 1                 -> reserved
        submit P6 A B 1                 -> reserved
        answer P6 yes                   -> settled 2026-11-23
        wait   60h
        submit P7 A B 1                 -> reserved
        answer P5 yes                   -> expired AB05, refused LATE
        submit P8 A B 1                 -> reserved
        submit P9 A B 1                 -> reserved
    ";

    fn story() -> table::Table {
        table::run(Rules::default(), STORY)
    }

    #[test]
    fn is_the_same_however_the_book_came_about() {
        restored_anywhere(&story());
    }

    /// Records leave at the same facts after a restart as without one.
    #[test]
    fn is_the_same_when_records_are_forgotten() {
        let table = table::run(Rules::default(), LONG_STORY);
        let remembered: Vec<_> = table.book.participants[0].payments.iter().map(|record| record.uetr).collect();
        assert_eq!(remembered, ["P7", "P8", "P9"].map(table::uetr));
        restored_anywhere(&table);
    }

    /// After each number of facts the book is written, read back, and goes on.
    fn restored_anywhere(table: &table::Table) {
        let facts: Vec<_> = Facts::new(&table.facts).map(|fact| fact.unwrap()).collect();
        for cut in 0..=facts.len() {
            let mut whole = Book::default();
            for fact in &facts[..cut] {
                whole.apply(fact, &mut ());
            }
            let mut book = whole.clone();
            let mut bytes = Vec::new();
            book.freeze().write(&mut bytes).unwrap();
            book = restore(&mut bytes.as_slice()).unwrap();
            assert_eq!(book.digest(), whole.digest(), "restored after {cut} facts");
            for (place, fact) in facts.iter().enumerate().skip(cut) {
                whole.apply(fact, &mut ());
                book.apply(fact, &mut ());
                assert_eq!(book.digest(), whole.digest(), "restored after {cut} facts, then fact {place}");
            }
            assert_eq!(book.digest(), table.book.digest());
        }
    }

    #[test]
    fn every_fact_changes_it() {
        let table = story();
        let (mut book, mut seen) = (Book::default(), vec![Book::default().digest()]);
        for fact in Facts::new(&table.facts) {
            book.apply(&fact.unwrap(), &mut ());
            assert!(!seen.contains(&book.digest()));
            seen.push(book.digest());
        }
    }

    #[test]
    fn a_book_with_one_thing_else_has_another() {
        let right = story().book;
        let uetr = right.participants[0].payments.iter().next().unwrap().uetr;
        type Change = fn(&mut Book, wire::Uetr);
        fn record(book: &mut Book, uetr: wire::Uetr, change: fn(&mut Record)) {
            book.participants[0].payments.change(uetr, change).expect("it is remembered");
        }
        fn offer(book: &mut Book, change: fn(&mut Incoming)) {
            book.participants[1].incoming.values_mut().for_each(change);
        }
        let changes: [Change; 24] = [
            |book, _| book.participants[0].positions[0].1.reserved += 1,
            |book, _| book.participants[1].positions[0].1.limits.payment_max = 7,
            |book, _| book.participants[1].listing.signed_on ^= true,
            |book, _| book.notices[1] += 1,
            |book, _| book.system_notices += 1,
            |book, _| book.trail.append(table::audited()),
            |book, uetr| record(book, uetr, |record| record.state = State::Rejected),
            |book, uetr| record(book, uetr, |record| record.amount_minor += 1),
            |book, uetr| record(book, uetr, |record| record.returned_minor += 1),
            |book, uetr| record(book, uetr, |record| record.ended_at.0 += 1_000),
            |book, uetr| record(book, uetr, |record| record.at.0 += 1_000),
            |book, uetr| record(book, uetr, |record| record.content ^= 1),
            |book, uetr| record(book, uetr, |record| record.creditor.0 = 2),
            |book, uetr| record(book, uetr, |record| record.currency = Currency::USD),
            |book, uetr| record(book, uetr, |record| record.is_return = true),
            |book, uetr| record(book, uetr, |record| record.reasons = Reasons::one(Reason::AC04)),
            |book, uetr| record(book, uetr, |record| record.settlement_date = record.settlement_date.next()),
            |book, _| drop(book.participants[1].incoming.drain()),
            |book, _| offer(book, |offer| offer.deadline.0 += 1),
            |book, _| offer(book, |offer| offer.payment.amount_minor += 1),
            |book, _| offer(book, |offer| offer.payment.creditor.0 = 2),
            |book, _| offer(book, |offer| offer.payment.original = Some(offer.payment.uetr)),
            |book, _| drop(book.participants[2].unposted.drain()),
            |book, _| book.participants[2].unposted.values_mut().for_each(|payment| payment.amount_minor += 1),
        ];
        for (place, change) in changes.iter().enumerate() {
            let mut wrong = right.clone();
            change(&mut wrong, uetr);
            assert_ne!(wrong.digest(), right.digest(), "change {place}");
        }
    }
}
