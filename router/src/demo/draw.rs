//! The payments of a run, drawn from its seed: payment number n of a bank is the same in every run with that seed.

use wire::message::{CreditTransfer, Party};
use wire::{Timestamp, Uetr};

use super::characters::{CAST, CURRENCIES, currency};

/// One round of SplitMix64: spelled out, so that a seed means the same in every version.
pub(super) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

const NAMES: [&str; 8] =
    ["Ada Adler", "Ben Brook", "Chiara Conti", "Dmitri Dahl", "Eva Ek", "Farid Faye", "Greta Groß", "Hana Horáková"];

/// One payment in a hundred ends in .04 by chance; so many more do by design, for the picky bank.
const ODD_CENTS_PERCENT: u64 = 4;
/// Of a hundred payments, how many are in the second currency.
const SECOND_CURRENCY_PERCENT: u64 = 12;
/// Amounts have one to so many digits before the point, each as often: 1.00 to 9,999.99.
const AMOUNT_SCALES: u64 = 4;

/// A payment as drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drawn {
    pub(super) uetr: Uetr,
    pub(super) creditor: usize,
    pub(super) amount_minor: i64,
    pub(super) currency: usize,
    customers: u64,
}

/// The source of payments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw {
    pub(super) seed: u64,
}

impl Draw {
    /// Who sends payment number `turn` of the run.
    pub(super) fn debtor(self, turn: u64) -> usize {
        by_share(mix(self.seed.rotate_left(17) ^ turn), |place| CAST[place].sends)
    }

    /// Payment `number` of the bank at `debtor`.
    pub(super) fn payment(self, debtor: usize, number: u64) -> Drawn {
        let first = mix(self.seed ^ mix((debtor as u64) << 56 ^ number));
        let (second, third, fourth) = (mix(first ^ 1), mix(first ^ 2), mix(first ^ 3));
        let mut creditor = by_share(second, |place| if place == debtor { 0 } else { CAST[place].receives });
        if creditor == debtor {
            creditor = (debtor + 1) % CAST.len();
        }
        let scale = 10i64.pow((third % AMOUNT_SCALES) as u32);
        let units = scale + ((third >> 8) % (9 * scale as u64)) as i64;
        let cents = if fourth % 100 < ODD_CENTS_PERCENT { 4 } else { (fourth >> 8) % 100 };
        let amount_minor = units * 100 + cents as i64;
        let currency = usize::from((fourth >> 20) % 100 < SECOND_CURRENCY_PERCENT);
        Drawn { uetr: uetr(first, mix(first ^ 4)), creditor, amount_minor, currency, customers: mix(first ^ 5) }
    }

    /// The UETR of the return of a payment.
    pub(super) fn return_of(self, original: Uetr) -> Uetr {
        let number = original.number();
        let first = mix(self.seed ^ number as u64 ^ (number >> 64) as u64);
        uetr(first, mix(first ^ 6))
    }
}

impl Drawn {
    /// As a message, its texts taken from `texts`.
    pub(super) fn message<'a>(&self, debtor: usize, message_id: &'a str, texts: &'a mut Texts) -> CreditTransfer<'a> {
        texts.fill(self.customers);
        let name = |at: u32| NAMES[(self.customers >> at) as usize % NAMES.len()];
        CreditTransfer {
            message_id,
            created_at: Timestamp::now(),
            uetr: self.uetr,
            debtor_agent: CAST[debtor].id(),
            creditor_agent: CAST[self.creditor].id(),
            amount_minor: self.amount_minor,
            currency: currency(self.currency),
            end_to_end_id: "NOTPROVIDED",
            instruction_id: None,
            debtor: Party { name: name(0), account: &texts.debtor_account },
            creditor: Party { name: name(8), account: &texts.creditor_account },
            remittance_information: Some("Invoice"),
        }
    }
}

/// Room for the texts of one message, used again for the next.
#[derive(Default)]
pub(super) struct Texts {
    debtor_account: String,
    creditor_account: String,
}

impl Texts {
    fn fill(&mut self, customers: u64) {
        use std::fmt::Write;
        let write = |account: &mut String, number: u64| {
            account.clear();
            _ = write!(account, "XX00DEMO{:014}", number % 1_000_000);
        };
        write(&mut self.debtor_account, customers >> 16);
        write(&mut self.creditor_account, customers >> 40);
    }
}

fn uetr(high: u64, low: u64) -> Uetr {
    Uetr::from_random((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
}

/// A place of the cast, with these shares.
fn by_share(chance: u64, share: impl Fn(usize) -> u32) -> usize {
    let total: u32 = (0..CAST.len()).map(&share).sum();
    let mut left = (chance % u64::from(total.max(1))) as u32;
    for place in 0..CAST.len() {
        if left < share(place) {
            return place;
        }
        left -= share(place);
    }
    0
}

const _: () = assert!(CURRENCIES.len() == 2, "draw knows two currencies");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let (one, other) = (Draw { seed: 7 }, Draw { seed: 8 });
        for number in 0..1000 {
            let bank = number as usize % CAST.len();
            let drawn = one.payment(bank, number);
            assert_eq!(drawn, one.payment(bank, number));
            assert_ne!(drawn.uetr, other.payment(bank, number).uetr);
            assert_ne!(drawn.creditor, bank, "nobody pays itself");
            assert!((100..1_000_000).contains(&drawn.amount_minor), "{}", drawn.amount_minor);
            assert_eq!(one.debtor(number), one.debtor(number));
            let mut texts = Texts::default();
            let id = wire::client::Stamp::new(CAST[bank].id(), Timestamp::now(), number).message_id;
            drawn.message(bank, id.as_str(), &mut texts).check().unwrap();
        }
        // Pinned: a seed means the same in every version.
        let pinned = one.payment(0, 0);
        assert_eq!(pinned.uetr.to_string(), "64bf61b5-12ff-4be7-a032-f175040f0ce3");
        assert_eq!((pinned.creditor, pinned.amount_minor, pinned.currency), (3, 4815, 0));
    }
}
