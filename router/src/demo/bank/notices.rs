//! What a bank does with its notices: enter them in its book, measure, decide.

use wire::client::{Feed, Notice, Reply, Return};
use wire::{Message, Money, ParticipantId, Status, Timestamp, Uetr};

use super::super::book::{Book, Ending, Heard, Offered, Said};
use super::super::characters::{Character, Choice, SecondWord, choose, currency, currency_place, place_of};
use super::super::stage::Scheduled;
use super::Bank;
use super::deeds::Deed;

/// What is offered.
struct Offer {
    debtor_agent: ParticipantId,
    uetr: Uetr,
    money: Money,
    deadline: Timestamp,
    is_return: bool,
}
impl Bank {
    pub(super) fn read(&self, batch: &[Notice], deeds: &mut Vec<(Deed, Scheduled)>) {
        let now_us = self.stage.elapsed().as_micros() as u64;
        let mut deeds = |deed: Deed| deeds.push((deed, Scheduled::new(&self.stage)));
        let mut book = self.book.lock();
        let mut measured = self.stage.measured.lock();
        for notice in batch {
            match notice.feed {
                Feed::Own => book.number(notice.number),
                Feed::System => book.system_number(notice.number),
            }
            match notice.view() {
                Message::TransferNotice(offer) => {
                    let transfer = &offer.transfer;
                    let offer = Offer {
                        debtor_agent: transfer.debtor_agent,
                        uetr: transfer.uetr,
                        money: transfer.money(),
                        deadline: offer.deadline,
                        is_return: false,
                    };
                    self.decide(&mut book, &offer, &mut deeds);
                }
                Message::ReturnNotice(offer) => {
                    let back = &offer.payment_return;
                    let offer = Offer {
                        debtor_agent: back.debtor_agent,
                        uetr: back.uetr,
                        money: Money::new(back.amount_minor, back.currency),
                        deadline: offer.deadline,
                        is_return: true,
                    };
                    self.decide(&mut book, &offer, &mut deeds);
                }
                Message::StatusNotice(status) => match book.told(self.place, &status) {
                    Heard::OutcomeOfSent(sent) => {
                        self.ended(&mut measured, status.uetr, &sent, now_us);
                        if self.part().character == Character::Anxious && sent.times_told == 1 && !sent.is_return {
                            deeds(Deed::Again(sent.number));
                        }
                    }
                    Heard::OutcomeOfOffered(offered) => {
                        self.second_word(status.debtor_agent, status.uetr, &offered).map(&mut deeds);
                    }
                    Heard::SecondWord => measured.outcomes.posted += 1,
                    Heard::Unknown => {}
                },
                _ => {}
            }
        }
    }

    /// It is offered a payment: its character decides.
    fn decide(&self, book: &mut Book, offer: &Offer, deeds: &mut impl FnMut(Deed)) {
        let Offer { debtor_agent, uetr, money, deadline, is_return } = *offer;
        let (Some(from), Some(currency)) = (place_of(debtor_agent), currency_place(money.currency)) else { return };
        book.offer(uetr, from, currency, money.minor);
        let yes = Reply::yes(debtor_agent, uetr);
        match choose(self.part().character, self.stage.draw.seed, uetr, money.minor, is_return) {
            Choice::Yes => {
                book.said(uetr, Said::Yes);
                deeds(Deed::Answer(yes));
            }
            Choice::YesAfter(after) => deeds(Deed::Later(after, yes)),
            Choice::No(reason) => {
                book.said(uetr, Said::No(reason));
                deeds(Deed::Answer(Reply::no(debtor_agent, uetr, reason)));
            }
            Choice::Never => {}
            Choice::TooLate(by) => {
                deeds(Deed::TooLate(deadline.plus(by).since(Timestamp::now()), yes));
            }
            Choice::WithoutPosting(..) => {
                book.said(uetr, Said::Yes);
                deeds(Deed::Answer(Reply::yes_without_posting(debtor_agent, uetr)));
            }
        }
    }

    /// After an accept without posting has settled.
    fn second_word(&self, debtor_agent: ParticipantId, uetr: Uetr, offered: &Offered) -> Option<Deed> {
        if offered.ending != Some(Ending::WithoutPosting) || offered.times_told > 1 {
            return None;
        }
        match choose(self.part().character, self.stage.draw.seed, uetr, offered.amount_minor, false) {
            Choice::WithoutPosting(after, SecondWord::Posted) => {
                Some(Deed::Posted(after, Reply::new(debtor_agent, uetr, Status::ACCC)))
            }
            Choice::WithoutPosting(after, SecondWord::GivenBack(reason)) => {
                let back = Return {
                    uetr: self.stage.draw.return_of(uetr),
                    original_uetr: uetr,
                    creditor_agent: debtor_agent,
                    amount: Money::new(offered.amount_minor, currency(usize::from(offered.currency))),
                    reason,
                    additional_information: None,
                    created_at: None,
                };
                Some(Deed::GiveBack(after, Box::new(back)))
            }
            _ => None,
        }
    }
}
