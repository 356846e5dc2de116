//! The cast: eight banks, and what each does with a payment it is offered. Choices follow from seed and payment alone,
//! so a run can be repeated.

use std::time::Duration;

use wire::{ParticipantId, Reason, Uetr};

use super::draw::mix;

/// Currencies the banks hold, in the order of every array here.
pub(super) const CURRENCIES: [&str; 2] = ["EUR", "USD"];

/// Index of a currency in [`CURRENCIES`].
pub(super) fn currency_place(currency: wire::Currency) -> Option<usize> {
    CURRENCIES.iter().position(|code| *code == currency.as_str())
}

pub(super) fn currency(place: usize) -> wire::Currency {
    CURRENCIES[place].parse().expect("a currency of the list")
}

/// The scheme clock of the demo; shorter than the usual 10 s and 5 s, so that time-outs show within a minute.
pub(super) const PAYMENT_TIMEOUT: Duration = Duration::from_secs(4);
pub(super) const CREDITOR_SHARE: Duration = Duration::from_secs(2);

/// BANK-C refuses what is above this, in minor units.
const PICKY_MAX_MINOR: i64 = 800_000;
/// How long after the deadline BANK-D sends a yes that comes too late.
const TOO_LATE_BY: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Character {
    Prompt,
    Slow,
    Picky,
    Silent,
    Flaky,
    Short,
    Careful,
    Anxious,
}

/// One bank of the cast.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) character: Character,
    /// What it does, in few words.
    pub(super) habit: &'static str,
    /// Of a hundred payments, how many it sends.
    pub(super) sends: u32,
    /// Of a hundred payments, how many go to it.
    pub(super) receives: u32,
    /// Money it brings in, in minor units of each currency.
    pub(super) funded_minor: [i64; CURRENCIES.len()],
}

const RICH: [i64; 2] = [50_000_000_000, 50_000_000_000];

/// Everyone, in order.
pub(super) const CAST: [Part; 8] = [
    Part {
        name: "BANK-A",
        character: Character::Prompt,
        habit: "prompt: says yes at once",
        sends: 22,
        receives: 24,
        funded_minor: RICH,
    },
    Part {
        name: "BANK-B",
        character: Character::Slow,
        habit: "slow: says yes after 150 to 600 ms",
        sends: 12,
        receives: 12,
        funded_minor: RICH,
    },
    Part {
        name: "BANK-C",
        character: Character::Picky,
        habit: "picky: no to x.04 and to more than 8,000",
        sends: 14,
        receives: 14,
        funded_minor: RICH,
    },
    Part {
        name: "BANK-D",
        character: Character::Silent,
        habit: "6 in 100 unanswered, 2 in 100 too late",
        sends: 12,
        receives: 12,
        funded_minor: RICH,
    },
    Part {
        name: "BANK-E",
        character: Character::Flaky,
        habit: "its line breaks every 1 to 3 seconds",
        sends: 12,
        receives: 12,
        funded_minor: RICH,
    },
    Part {
        name: "BANK-F",
        character: Character::Short,
        habit: "short of funds: sends more than it has",
        sends: 4,
        receives: 2,
        funded_minor: [2_000_000, 500_000],
    },
    Part {
        name: "BANK-G",
        character: Character::Careful,
        habit: "careful: ACWP, then ACCC or a return",
        sends: 12,
        receives: 12,
        funded_minor: RICH,
    },
    Part {
        name: "BANK-H",
        character: Character::Anxious,
        habit: "anxious: sends every payment twice",
        sends: 12,
        receives: 12,
        funded_minor: RICH,
    },
];

impl Part {
    pub(super) fn id(&self) -> ParticipantId {
        self.name.parse().expect("a name of the cast is a participant id")
    }

    /// Whether payments to it say how fast the switch is: it answers at once, over a line that holds.
    pub(super) fn answers_at_once(&self) -> bool {
        !matches!(self.character, Character::Slow | Character::Silent | Character::Flaky)
    }
}

/// Place of a participant in the cast.
pub(super) fn place_of(id: ParticipantId) -> Option<usize> {
    CAST.iter().position(|part| part.name == id.as_str())
}

/// What a bank does with a payment it is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Yes,
    YesAfter(Duration),
    No(Reason),
    Never,
    /// A yes so long after the deadline.
    TooLate(Duration),
    /// ACWP now; when it has settled, after so long, the second word.
    WithoutPosting(Duration, SecondWord),
}

/// What follows an accept without posting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SecondWord {
    Posted,
    GivenBack(Reason),
}

pub(super) fn choose(character: Character, seed: u64, uetr: Uetr, amount_minor: i64, is_return: bool) -> Choice {
    let chance = mix(seed ^ uetr.number() as u64 ^ 0x0A75_0E5C);
    let percent = chance % 100;
    let within = |from_ms: u64, to_ms: u64| Duration::from_millis(from_ms + (chance >> 8) % (to_ms - from_ms));
    match character {
        Character::Slow => Choice::YesAfter(within(150, 600)),
        Character::Picky if !is_return && amount_minor % 100 == 4 => Choice::No(Reason::AC04),
        Character::Picky if !is_return && amount_minor > PICKY_MAX_MINOR => Choice::No(Reason::RR04),
        Character::Silent if percent < 6 => Choice::Never,
        Character::Silent if percent < 8 => Choice::TooLate(TOO_LATE_BY),
        Character::Careful if !is_return && percent < 10 => {
            Choice::WithoutPosting(within(200, 800), SecondWord::GivenBack(Reason::AC06))
        }
        Character::Careful if !is_return => Choice::WithoutPosting(within(200, 800), SecondWord::Posted),
        _ => Choice::Yes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_names_are_valid() {
        assert_eq!(CAST.iter().map(|part| part.sends).sum::<u32>(), 100);
        assert_eq!(CAST.iter().map(|part| part.receives).sum::<u32>(), 100);
        for (place, part) in CAST.iter().enumerate() {
            assert_eq!(place_of(part.id()), Some(place));
        }
    }

    #[test]
    fn the_rules_of_the_picky_bank() {
        let uetr = Uetr::from_random([7; 16]);
        let picky = |minor, is_return| choose(Character::Picky, 1, uetr, minor, is_return);
        assert_eq!(picky(1204, false), Choice::No(Reason::AC04));
        assert_eq!(picky(800_001, false), Choice::No(Reason::RR04));
        assert_eq!(picky(800_000, false), Choice::Yes);
        assert_eq!(picky(1204, true), Choice::Yes);
    }
}
