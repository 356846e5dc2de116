//! A participant's money inside the switch, in one currency and minor units.
//!
//! ```text
//! balance   = funded + net
//! available = balance - reserved
//! ```
//!
//! All arithmetic is checked. What could overflow is refused by `decide`; `apply` asserts.

use wincode::{SchemaRead, SchemaWrite};

/// Amounts of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, SchemaRead, SchemaWrite)]
pub struct Position {
    /// Money brought in less money taken out.
    pub funded: i64,
    /// Settled received less settled sent.
    pub net: i64,
    /// Set aside for payments in process.
    pub reserved: i64,
    pub limits: Limits,
}

/// What a participant may do at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Limits {
    /// Most it may owe by payments alone: `reserved - net`. Negative: no cap.
    pub net_debit_cap: i64,
    /// Most that one payment it sends may move. Negative: only the scheme's limit.
    pub payment_max: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { net_debit_cap: -1, payment_max: -1 }
    }
}

/// No amount inside goes beyond 2^62, so the sum of any two fits an `i64`.
const MINOR_MAX: i64 = 1 << 62;

fn sum(a: i64, b: i64) -> i64 {
    let sum = a.checked_add(b).filter(|sum| sum.abs() <= MINOR_MAX);
    assert!(sum.is_some(), "a position left its bounds: {a} + {b}");
    sum.unwrap_or(0)
}

impl Position {
    pub fn balance(&self) -> i64 {
        self.funded + self.net
    }

    /// May be negative only while a payment's two legs are on their way between two actors.
    pub fn available(&self) -> i64 {
        self.balance() - self.reserved
    }

    /// True when so much more can come in without leaving the bounds.
    pub fn can_take(&self, amount: i64) -> bool {
        let fits = |own: i64| own.checked_add(amount).is_some_and(|sum| sum <= MINOR_MAX / 4);
        fits(self.net) && fits(self.funded) && fits(self.balance())
    }

    pub fn within_cap(&self, amount: i64) -> bool {
        self.limits.net_debit_cap < 0 || self.reserved - self.net <= self.limits.net_debit_cap.saturating_sub(amount)
    }

    pub(crate) fn reserve(&mut self, amount: i64) {
        self.reserved = sum(self.reserved, amount);
    }

    pub(crate) fn release(&mut self, amount: i64) {
        assert!(amount <= self.reserved, "release of {amount} with {} reserved", self.reserved);
        self.reserved -= amount;
    }

    pub(crate) fn debit(&mut self, amount: i64) {
        self.release(amount);
        self.net = sum(self.net, -amount);
    }

    pub(crate) fn credit(&mut self, amount: i64) {
        self.net = sum(self.net, amount);
    }

    pub(crate) fn fund(&mut self, amount: i64) {
        self.funded = sum(self.funded, amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserve_settle_release() {
        let mut position = Position { funded: 100, ..Position::default() };
        position.reserve(70);
        assert_eq!((position.balance(), position.available()), (100, 30));
        position.debit(50);
        assert_eq!((position.balance(), position.reserved, position.available()), (50, 20, 30));
        position.release(20);
        assert_eq!(position.available(), 50);
        position.credit(10);
        assert_eq!((position.balance(), position.net), (60, -40));
    }

    #[test]
    fn the_cap_counts_what_is_reserved_and_what_was_received() {
        let mut position =
            Position { funded: 1000, limits: Limits { net_debit_cap: 100, payment_max: -1 }, ..Position::default() };
        assert!(position.within_cap(100) && !position.within_cap(101));
        position.reserve(60);
        assert!(position.within_cap(40) && !position.within_cap(41));
        position.credit(25);
        assert!(position.within_cap(65) && !position.within_cap(66));
        assert!(!position.within_cap(i64::MAX));
    }

    #[test]
    #[should_panic(expected = "release of 1 with 0 reserved")]
    fn what_is_not_reserved_is_not_released() {
        Position::default().release(1);
    }

    #[test]
    fn bounds() {
        let position = Position { funded: MINOR_MAX / 4 - 1, ..Position::default() };
        assert!(position.can_take(1) && !position.can_take(2) && !position.can_take(i64::MAX));
    }

    #[test]
    #[should_panic(expected = "a position left its bounds")]
    fn a_sum_never_wraps() {
        Position { net: MINOR_MAX, ..Position::default() }.credit(1);
    }

    #[test]
    #[should_panic(expected = "a position left its bounds")]
    fn nor_does_a_difference() {
        let mut position = Position { net: -MINOR_MAX, reserved: 1, ..Position::default() };
        position.debit(1);
    }

    #[test]
    fn edges_of_a_cap() {
        let capped = |net_debit_cap: i64, net: i64| Position {
            net,
            limits: Limits { net_debit_cap, payment_max: -1 },
            ..Position::default()
        };
        assert!(!capped(0, 0).within_cap(1) && capped(0, 1).within_cap(1));
        assert!(capped(-1, -MINOR_MAX).within_cap(i64::MAX), "no cap");
        assert!(capped(i64::MAX, 0).within_cap(i64::MAX));
        assert!(!capped(0, -MINOR_MAX).within_cap(1));
    }
}
