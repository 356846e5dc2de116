//! What a bank does by itself, at once or after a while: answers, second words, returns, repeats.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use wire::Reason;
use wire::client::{Error, Reply, Return};

use super::super::book::{Said, Sent};
use super::super::characters::{currency_place, place_of};
use super::super::draw::Texts;
use super::super::news::Often;
use super::super::stage::Scheduled;
use super::{Bank, short, times};

/// What follows from a notice, done when the book is closed again.
pub(super) enum Deed {
    Answer(Reply),
    Later(Duration, Reply),
    TooLate(Duration, Reply),
    Posted(Duration, Reply),
    GiveBack(Duration, Box<Return>),
    /// Send this payment of its own once more.
    Again(u32),
}
impl Bank {
    pub(super) async fn act(&self, banks: &Arc<[Bank]>, deed: Deed, scheduled: Scheduled, texts: &mut Texts) {
        let (banks, place) = (banks.clone(), self.place);
        match deed {
            Deed::Answer(reply) => self.answer(&reply).await,
            Deed::Later(after, reply) => spawn(async move {
                sleep(after).await;
                let bank = &banks[place];
                bank.book.lock().said(reply.uetr, Said::Yes);
                bank.answer(&reply).await;
                drop(scheduled);
            }),
            Deed::Posted(after, reply) => spawn(async move {
                sleep(after).await;
                banks[place].answer(&reply).await;
                drop(scheduled);
            }),
            Deed::TooLate(after, reply) => spawn(async move {
                sleep(after).await;
                banks[place].answer_too_late(&reply).await;
                drop(scheduled);
            }),
            Deed::GiveBack(after, back) => spawn(async move {
                sleep(after).await;
                banks[place].give_back(&back).await;
                drop(scheduled);
            }),
            Deed::Again(number) => {
                let drawn = self.stage.draw.payment(place, u64::from(number));
                let message_id = self.message_id();
                // When there is no place for it, it is not repeated; nothing depends on that.
                if self.repeats.try_submit(&drawn.message(place, message_id.as_str(), texts)).is_ok() {
                    scheduled.until_it_is_answered();
                }
            }
        }
    }

    async fn answer(&self, reply: &Reply) {
        if let Err(error) = self.client.answer(reply).await {
            let name = self.part().name;
            self.stage.example(Often::Refused, |_| format!("{name} could not answer {}: {error}", reply.uetr));
        }
    }

    async fn answer_too_late(&self, reply: &Reply) {
        self.book.lock().said(reply.uetr, Said::Yes);
        let Ok(handle) = self.client.answer(reply).await else { return };
        if let Err(Error::Refused { reason: Reason::LATE, .. }) = handle.outcome().await {
            self.stage.measured.lock().outcomes.late_answers += 1;
            let (name, uetr) = (self.part().name, short(reply.uetr));
            self.stage.example(Often::TooLate, |so_far| {
                let so_far = times(so_far);
                format!("{name} said yes to {uetr} after its deadline: refused (LATE), no money moved{so_far}")
            });
        }
    }

    async fn give_back(&self, back: &Return) {
        let (Some(to), Some(currency)) = (place_of(back.creditor_agent), currency_place(back.amount.currency)) else {
            return;
        };
        let sent = Sent {
            to: to as u8,
            currency: currency as u8,
            is_return: true,
            amount_minor: back.amount.minor,
            number: 0,
            due_us: self.stage.elapsed().as_micros() as u64,
            ending: None,
            times_told: 0,
            posted: false,
        };
        self.book.lock().pay(back.uetr, sent);
        if let Err(error) = self.payments.submit(back).await {
            self.book.lock().unpay(back.uetr);
            let name = self.part().name;
            self.stage.example(Often::Refused, |_| format!("{name} could not give back {}: {error}", back.uetr));
        }
    }
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}
