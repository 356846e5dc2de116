//! What is read from the book: on the journal's thread, which waits meanwhile, so only numbers are copied.

use std::collections::BTreeMap;

use settlement::{Book, Listing};
use watch::{Participant, Position};
use wire::{Currency, Timestamp};

/// One participant.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    listing: Listing,
    outgoing: u64,
    incoming: u64,
    positions: Vec<(Currency, settlement::Position)>,
}

pub(super) fn read(book: &Book) -> Vec<Reading> {
    let reading = |own: &settlement::Participant| Reading {
        listing: own.listing().clone(),
        outgoing: u64::from(own.payments().in_flight()),
        incoming: own.incoming_count() as u64,
        positions: own.positions().to_vec(),
    };
    book.participants().iter().map(reading).collect()
}

/// Of everything that is offered. Goes through all of it.
pub(super) fn earliest_deadline(book: &Book) -> Option<Timestamp> {
    book.participants().iter().flat_map(|own| own.incoming()).map(|(_, deadline)| deadline).min()
}

/// Off by so much, by currency: money only moves, so all that was settled sums to nothing.
pub(super) fn imbalance(readings: &[Reading]) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::<Currency, i128>::new();
    for (currency, position) in readings.iter().flat_map(|own| &own.positions) {
        *sums.entry(*currency).or_default() += i128::from(position.net);
    }
    let bounded = |sum: i128| sum.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
    sums.into_iter().map(|(currency, sum)| (currency.to_string(), bounded(sum))).collect()
}

pub(super) fn in_flight(readings: &[Reading]) -> u64 {
    readings.iter().map(|own| own.incoming).sum()
}

impl Reading {
    pub(super) fn id(&self) -> String {
        self.listing.id.to_string()
    }

    /// Who it is, what it has, what is in flight; the rest is for others to fill in.
    pub(super) fn participant(&self) -> Participant {
        Participant {
            id: self.id(),
            state: state(&self.listing).into(),
            in_flight_out: self.outgoing,
            in_flight_in: self.incoming,
            positions: self.positions.iter().map(|(currency, position)| of_position(*currency, position)).collect(),
            ..Participant::default()
        }
    }
}

fn state(listing: &Listing) -> &'static str {
    match (listing.suspended_sending, listing.suspended_receiving) {
        (true, true) => "suspended",
        (true, false) => "suspended_sending",
        (false, true) => "suspended_receiving",
        (false, false) if listing.signed_on => "signed_on",
        (false, false) => "signed_off",
    }
}

fn of_position(currency: Currency, position: &settlement::Position) -> Position {
    let limit = |minor: i64| (minor >= 0).then_some(minor);
    Position {
        currency: currency.to_string(),
        decimals: currency.exponent() as u8,
        balance_minor: position.balance(),
        reserved_minor: position.reserved,
        available_minor: position.available(),
        net_debit_cap_minor: limit(position.limits.net_debit_cap),
        payment_max_minor: limit(position.limits.payment_max),
        headroom: headroom(position),
    }
}

/// Of what it brought in, what it can still pay with; or of its cap what is left, if that is less.
fn headroom(position: &settlement::Position) -> f64 {
    let share = |free: i64, of: i64| if of > 0 { (free as f64 / of as f64).clamp(0.0, 1.0) } else { 0.0 };
    let cap = position.limits.net_debit_cap;
    let of_funds = share(position.available(), position.funded.max(position.balance().min(position.net)));
    match cap {
        0.. => of_funds.min(share(cap.saturating_add(position.net).saturating_sub(position.reserved), cap)),
        _ => of_funds,
    }
}

#[cfg(test)]
mod tests {
    use settlement::Limits;

    use super::*;

    #[test]
    fn headroom_is_what_is_left_of_what_could_be_used() {
        for (funded, net, reserved, net_debit_cap, expected) in [
            (100, 0, 0, -1, 1.0),
            (100, -60, 30, -1, 0.1),
            (100, 50, 0, -1, 1.0),
            (0, 50, 25, -1, 0.5),
            (0, 0, 0, -1, 0.0),
            (100, -20, 0, 40, 0.5),
            (100, -60, 40, 1000, 0.0),
            (100, 0, 0, 0, 0.0),
        ] {
            let limits = Limits { net_debit_cap, payment_max: -1 };
            let position = settlement::Position { funded, net, reserved, limits };
            assert!((headroom(&position) - expected).abs() < 1e-9, "{position:?}: {}", headroom(&position));
        }
    }
}
