//! The end of a payment, at the bank that sent it: measured, and told with its reason if it is worth it.

use wire::{Reason, Uetr};

use super::super::book::{Ending, Sent};
use super::super::characters::{CAST, CURRENCIES, Character};
use super::super::figures::{amount, count};
use super::super::measured::Measured;
use super::super::news::Often;
use super::Bank;

impl Bank {
    /// A payment of its own ended: measure it, and tell why if it is worth it.
    pub(super) fn ended(&self, measured: &mut Measured, uetr: Uetr, sent: &Sent, now_us: u64) {
        let Some(ending) = sent.ending else { return };
        let (own, other) = (self.part().name, &CAST[usize::from(sent.to)]);
        let prompt = other.answers_at_once() && self.part().character != Character::Flaky;
        measured.ended(ending, sent.is_return, (sent.due_us, now_us.saturating_sub(sent.due_us)), prompt);

        let money = || {
            let code = CURRENCIES[usize::from(sent.currency)];
            format!("{} {code}", amount(i128::from(sent.amount_minor)))
        };
        let (other, uetr) = (other.name, short(uetr));
        match ending {
            Ending::Rejected(reasons) => {
                let reason = reasons.first();
                let kind = match reason {
                    Reason::AB05 => Often::NoAnswer,
                    Reason::AM04 => Often::NoFunds,
                    Reason::E996 | Reason::AB03 => Often::Clock,
                    _ => Often::Rule,
                };
                self.stage.example(kind, |so_far| {
                    let so_far = times(so_far);
                    match kind {
                        Often::NoAnswer => format!(
                            "{other} did not answer {uetr} in time: {} released, {own} told AB05{so_far}",
                            money()
                        ),
                        Often::NoFunds => format!(
                            "{own} tried to send {} that it does not have: AM04 at once, {other} was not asked{so_far}",
                            money()
                        ),
                        Often::Clock => format!(
                            "{uetr} of {own} waited for a leader: {reason}, its clock left {other} too little, no money moved{so_far}"
                        ),
                        _ => {
                            let meaning = reason.explanation().map_or("", |explanation| explanation.meaning);
                            format!("{other} said no to {} of {own}: {reason} {meaning}{so_far}", money())
                        }
                    }
                });
            }
            ending if sent.is_return && ending.is_settled() => self.stage.example(Often::GivenBack, |so_far| {
                let so_far = times(so_far);
                format!("{own} could not post {} after all: returned, {other} has it back{so_far}", money())
            }),
            _ => {}
        }
    }
}

/// How often it happened, once it is more than once.
pub(super) fn times(so_far: u64) -> String {
    if so_far < 2 { String::new() } else { format!(" · {} so far", count(so_far)) }
}

/// The beginning of a UETR, enough to tell it from others on the screen.
pub(super) fn short(uetr: Uetr) -> String {
    let mut text = uetr.to_string();
    text.truncate(8);
    text
}
