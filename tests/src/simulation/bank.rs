//! A participant as the switch meets it: it pays, answers, repeats itself (with the same content or not), answers
//! twice, late, wrongly or never, gives money back, goes away and comes back with the number of its last notice.

use rand::Rng;
use rand::rngs::SmallRng;
use settlement::{Book, Key, Submit, content_of};
use wire::frame::{self, HEADER_BYTES};
use wire::message::{CreditTransfer, Party, PaymentReturn};
use wire::{BusinessDate, Currency, Kind, Message, MessageId, ParticipantId, Reason, Status, Timestamp, Uetr};

use super::node::{Ask, Asker};
use super::options::Options;
use crate::promises::Feeds;
use crate::seeds::Trace;

/// What a bank may see and use when it acts.
pub(crate) struct Street<'a> {
    pub(crate) feeds: &'a Feeds,
    pub(crate) book: &'a Book,
    pub(crate) random: &'a mut SmallRng,
    pub(crate) options: &'a Options,
    /// What time the switch thinks it is.
    pub(crate) now: Timestamp,
    pub(crate) names: &'a [ParticipantId],
    /// A payment that settled lately: somebody talked.
    pub(crate) gossip: Option<(ParticipantId, Uetr)>,
    pub(crate) trace: &'a mut Trace,
    /// What it says, in order.
    pub(crate) said: Vec<(Asker, Ask)>,
}

/// A payment it sent.
#[derive(Clone)]
struct Sent {
    submit: Submit,
    /// The switch's clock when it was sent first: repeats may be stamped only so much later.
    first_at: Timestamp,
    outcome: Option<Status>,
    refused: Option<Reason>,
}

/// A payment it was offered.
#[derive(Clone, Copy)]
struct Offer {
    debtor_agent: ParticipantId,
    uetr: Uetr,
    deadline: Timestamp,
    amount_minor: i64,
    currency: Currency,
    is_return: bool,
    answered: bool,
    outcome: Option<Status>,
}

/// See the file's head.
pub(crate) struct Bank {
    pub(crate) key: Key,
    id: ParticipantId,
    /// Which connection this is; None while there is none.
    pub(crate) session: Option<u32>,
    sessions: u32,
    pub(crate) last_notice: u64,
    sent: Vec<Sent>,
    offers: Vec<Offer>,
    messages: u64,
    instructions: u64,
}

impl Bank {
    pub(crate) fn new(key: Key, id: ParticipantId) -> Bank {
        let (session, sessions) = (None, 0);
        let (sent, offers) = (Vec::new(), Vec::new());
        Bank { key, id, session, sessions, last_notice: 0, sent, offers, messages: 0, instructions: 0 }
    }

    /// Something that its engineers intended, or not.
    pub(crate) fn act(&mut self, street: &mut Street<'_>) -> Result<(), String> {
        if self.session.is_none() {
            if street.random.random_bool(0.5) {
                self.connect(street)?;
            }
            return Ok(());
        }
        if street.random.random_range(0..100) < street.options.mischief {
            self.misbehave(street);
            return Ok(());
        }
        match street.random.random_range(0..100) {
            0..30 => self.pay(street),
            30..90 => {
                self.read(street)?;
                self.answer(street);
            }
            90..95 => self.give_back(street),
            95..96 => self.annotate(street),
            96..98 => self.resend(street, false),
            98 => self.inquire(street),
            _ => self.session = None,
        }
        Ok(())
    }

    fn misbehave(&mut self, street: &mut Street<'_>) {
        match street.random.random_range(0..100) {
            0..35 => self.resend(street, false),
            35..50 => self.resend(street, true),
            50..75 => self.answer_anything(street),
            75..85 => self.give_back(street),
            85..90 => self.annotate(street),
            90..93 => self.inquire(street),
            93..95 => self.say(street, Ask::SignOff),
            95..97 => self.say(street, Ask::SignOn),
            _ => self.session = None,
        }
    }

    /// Signs on after the last notice it has processed, then sends again whatever has no outcome.
    pub(crate) fn connect(&mut self, street: &mut Street<'_>) -> Result<(), String> {
        let end = street.book.last_notice(self.key);
        if self.last_notice > end {
            let own = self.last_notice;
            return Err(format!("acknowledged is durable: {} has notice {own}, the feed ends with {end}", self.id));
        }
        self.sessions += 1;
        self.session = Some(self.sessions);
        self.say(street, Ask::SignOn);
        let open = |sent: &&Sent| sent.outcome.is_none() && sent.refused != Some(Reason::DUPL);
        let again: Vec<Submit> = self.sent.iter().filter(open).map(|sent| sent.submit).collect();
        for submit in again {
            let body = self.body(&submit, street);
            self.say(street, Ask::Submit { submit, body });
        }
        Ok(())
    }

    fn say(&mut self, street: &mut Street<'_>, ask: Ask) {
        let Some(session) = self.session else { return };
        street.trace.say(|| format!("{} says {}", self.id, short(&ask)));
        self.instructions += 1;
        street.said.push((Asker { key: self.key, session, number: self.instructions }, ask));
    }

    fn pay(&mut self, street: &mut Street<'_>) {
        let stranger = usize::from(street.random.random_bool(0.03));
        let other = street.random.random_range(0..street.names.len() + stranger);
        let creditor_agent = street.names.get(other).copied().unwrap_or_else(|| name(99));
        if creditor_agent == self.id && street.random.random_bool(0.98) {
            return;
        }
        let amount_minor = match street.random.random_range(0..50) {
            0 => 0,
            1 => street.options.rules.payment_minor_max + 1,
            _ => street.random.random_range(1..=street.options.amount_minor_max),
        };
        let currency = match street.random.random_range(0..20) {
            0..3 => Currency::USD,
            3 => Currency::from_bytes(*b"JPY").unwrap_or(Currency::EUR),
            _ => Currency::EUR,
        };
        self.submit(street, creditor_agent, amount_minor, currency, None);
    }

    fn submit(
        &mut self,
        street: &mut Street<'_>,
        creditor_agent: ParticipantId,
        amount_minor: i64,
        currency: Currency,
        original: Option<Uetr>,
    ) {
        let mut submit = Submit {
            message_id: self.message_id(),
            created_at: self.stamp(street),
            uetr: Uetr::from_random(street.random.random()),
            creditor_agent,
            amount_minor,
            currency,
            content: 0,
            original,
        };
        let body = self.body(&submit, street);
        submit.content = content_of(&body, submit.message_id.as_str());
        let first_at = street.now;
        self.sent.push(Sent { submit, first_at, outcome: None, refused: None });
        self.say(street, Ask::Submit { submit, body });
    }

    fn message_id(&mut self) -> MessageId {
        self.messages += 1;
        MessageId::compose(BusinessDate::new(2026, 11, 23).unwrap_or_default(), self.id, self.messages)
    }

    /// Its own idea of what time it is: mostly right, sometimes far off.
    fn stamp(&self, street: &mut Street<'_>) -> Timestamp {
        let now = street.now.nanoseconds();
        let nanoseconds = |length: std::time::Duration| length.as_nanos() as u64;
        let rules = &street.options.rules;
        let (timeout, window) = (nanoseconds(rules.payment_timeout), nanoseconds(rules.duplicate_window));
        Timestamp(match street.random.random_range(0..40) {
            0 => now - street.random.random_range(0..window + window / 10),
            1 => now - street.random.random_range(0..2 * timeout),
            2 => now + street.random.random_range(0..2 * nanoseconds(rules.skew_max)),
            3 => now + street.random.random_range(0..2 * nanoseconds(rules.future_max())),
            _ => now - street.random.random_range(0..timeout / 3),
        })
    }

    /// A payment that was sent before, with a new message id and sometimes a new stamp; `changed`: with other content.
    fn resend(&mut self, street: &mut Street<'_>, changed: bool) {
        if self.sent.is_empty() {
            return;
        }
        let newest_first = if street.random.random_bool(0.5) { self.sent.len().saturating_sub(5) } else { 0 };
        let sent = self.sent[street.random.random_range(newest_first..self.sent.len())].clone();
        let mut submit = sent.submit;
        submit.message_id = self.message_id();
        let now = street.now;
        // A repeat may be stamped anew, but only so much later than the first attempt (see `Rules::future_max`).
        if street.random.random_bool(0.5) && now <= sent.first_at.plus(street.options.rules.future_max()) {
            submit.created_at = now;
        }
        if changed {
            match street.random.random_range(0..3) {
                0 => submit.amount_minor += 1,
                1 => submit.creditor_agent = street.names[street.random.random_range(0..street.names.len())],
                _ => submit.amount_minor = street.random.random_range(1..=street.options.amount_minor_max),
            }
        }
        let body = self.body(&submit, street);
        submit.content = content_of(&body, submit.message_id.as_str());
        self.say(street, Ask::Submit { submit, body });
    }

    fn body(&self, submit: &Submit, _: &Street<'_>) -> Vec<u8> {
        let mut frame = Vec::with_capacity(320);
        let Submit { created_at, uetr, creditor_agent, amount_minor, currency, .. } = *submit;
        let (message_id, debtor_agent) = (submit.message_id.as_str(), self.id);
        match submit.original {
            Some(original_uetr) => {
                let additional_information = None;
                let reason = Reason::FOCR;
                #[rustfmt::skip]
                let body = PaymentReturn {
                    message_id, created_at, uetr, debtor_agent, creditor_agent, amount_minor, currency, original_uetr,
                    reason, additional_information,
                };
                frame::encode(Kind::PaymentReturn, &body, &mut frame);
            }
            None => {
                let (debtor, creditor) =
                    (Party { name: "Ada", account: "A-1" }, Party { name: "Grace", account: "G-2" });
                #[rustfmt::skip]
                let body = CreditTransfer {
                    message_id, created_at, uetr, debtor_agent, creditor_agent, amount_minor, currency,
                    end_to_end_id: "E2E", instruction_id: None, debtor, creditor, remittance_information: None,
                };
                frame::encode(Kind::CreditTransfer, &body, &mut frame);
            }
        }
        frame.split_off(HEADER_BYTES)
    }

    /// Answers an offer that is still open, as it should.
    fn answer(&mut self, street: &mut Street<'_>) {
        let Some(place) = self.offers.iter().position(|offer| !offer.answered && offer.outcome.is_none()) else {
            return;
        };
        self.offers[place].answered = true;
        // Some are never answered, some only when it is too late.
        if street.random.random_bool(0.05) {
            return;
        }
        let status = match street.random.random_range(0..100) {
            chance if chance >= street.options.yes => Status::RJCT,
            chance if chance % 10 == 0 => Status::ACWP,
            _ => Status::ACTC,
        };
        self.say_answer(street, place, status);
    }

    /// Answers any offer that it ever had, again and otherwise; or one that does not exist.
    fn answer_anything(&mut self, street: &mut Street<'_>) {
        let any = [Status::ACTC, Status::ACTC, Status::ACWP, Status::RJCT, Status::ACCC];
        let status = any[street.random.random_range(0..any.len())];
        if self.offers.is_empty() || street.random.random_bool(0.05) {
            let debtor_agent = street.names[street.random.random_range(0..street.names.len())];
            let uetr = Uetr::from_random(street.random.random());
            return self.say(street, Ask::Answer { debtor_agent, uetr, status, reason: Reason::NONE });
        }
        let last = self.offers.len();
        let place = street.random.random_range(last.saturating_sub(6)..last);
        self.offers[place].answered = true;
        let twice = street.random.random_bool(0.4);
        self.say_answer(street, place, status);
        if twice {
            let status = any[street.random.random_range(0..any.len())];
            self.say_answer(street, place, status);
        }
    }

    fn say_answer(&mut self, street: &mut Street<'_>, place: usize, status: Status) {
        let Offer { debtor_agent, uetr, .. } = self.offers[place];
        let reason = if status == Status::RJCT { Reason::AC04 } else { Reason::NONE };
        self.say(street, Ask::Answer { debtor_agent, uetr, status, reason });
    }

    /// ACCC, PDNG or BLCK about something that settled without posting, or, wrongly, about something else.
    fn annotate(&mut self, street: &mut Street<'_>) {
        let waits = |offer: &Offer| offer.outcome == Some(Status::ACWP);
        let Some(place) = self.offers.iter().position(waits).or(self.offers.len().checked_sub(1)) else { return };
        let status = [Status::ACCC, Status::PDNG, Status::BLCK][street.random.random_range(0..3)];
        self.say_answer(street, place, status);
    }

    /// Returns a payment it was paid: in part, wholly, too much, twice; or one that it was never paid.
    fn give_back(&mut self, street: &mut Street<'_>) {
        let settled = |offer: &&Offer| {
            matches!(offer.outcome, Some(Status::ACSC | Status::ACWP))
                && (!offer.is_return || street.now.nanoseconds().is_multiple_of(7))
        };
        let all: Vec<Offer> = self.offers.iter().filter(settled).copied().collect();
        if street.random.random_bool(if all.is_empty() { 0.2 } else { 0.05 }) {
            if let Some((debtor_agent, uetr)) = street.gossip.filter(|_| street.random.random_bool(0.5)) {
                return self.submit(street, debtor_agent, 1, Currency::EUR, Some(uetr));
            }
            let creditor_agent = street.names[street.random.random_range(0..street.names.len())];
            // Something that it sent itself, or that nobody did.
            let original = self.sent.last().map_or(Uetr::from_random(street.random.random()), |sent| sent.submit.uetr);
            return self.submit(street, creditor_agent, 1, Currency::EUR, Some(original));
        }
        if all.is_empty() {
            return;
        }
        let Offer { debtor_agent, uetr, amount_minor, currency, .. } = all[street.random.random_range(0..all.len())];
        let (amount_minor, times) = match street.random.random_range(0..6) {
            0 => (amount_minor, 2),
            1 => (amount_minor + 1, 1),
            2 => (amount_minor * 2 / 3 + 1, 2),
            3 => (1, 1),
            4 => (amount_minor / 2 + 1, 3),
            _ => (amount_minor, 1),
        };
        let currency = if street.random.random_bool(0.03) { Currency::USD } else { currency };
        (0..times).for_each(|_| self.submit(street, debtor_agent, amount_minor, currency, Some(uetr)));
    }

    fn inquire(&mut self, street: &mut Street<'_>) {
        let own = self.sent.last().map(|sent| (self.key, sent.submit.uetr));
        let offered =
            self.offers.last().and_then(|offer| Some((street.book.scheme().key(offer.debtor_agent)?, offer.uetr)));
        if let Some((debtor, uetr)) = if street.random.random_bool(0.5) { own } else { offered } {
            self.say(street, Ask::Inquire { debtor, uetr });
        }
    }

    /// Reads some of the notices that wait for it.
    fn read(&mut self, street: &mut Street<'_>) -> Result<(), String> {
        let count = street.random.random_range(1..12);
        self.read_some(count, street.book, street.feeds)
    }

    pub(crate) fn read_some(&mut self, count: u64, book: &Book, feeds: &Feeds) -> Result<(), String> {
        for _ in 0..count {
            let number = self.last_notice + 1;
            if number > book.last_notice(self.key) {
                break;
            }
            let frame = feeds.of(self.key).frame(number).ok_or("a notice that the book knows has no frame")?;
            let message = read_frame(frame)?;
            self.take(&message);
            self.last_notice = number;
        }
        Ok(())
    }

    /// A notice from its feed.
    fn take(&mut self, message: &Message<'_>) {
        match message {
            Message::TransferNotice(notice) => {
                let CreditTransfer { debtor_agent, uetr, amount_minor, currency, .. } = notice.transfer;
                self.offer(debtor_agent, uetr, notice.deadline, amount_minor, currency, false);
            }
            Message::ReturnNotice(notice) => {
                let PaymentReturn { debtor_agent, uetr, amount_minor, currency, .. } = notice.payment_return;
                self.offer(debtor_agent, uetr, notice.deadline, amount_minor, currency, true);
            }
            Message::StatusNotice(notice) if notice.debtor_agent == self.id => self.learn(notice.uetr, notice.status),
            Message::StatusNotice(notice) => {
                let about = |offer: &&mut Offer| offer.uetr == notice.uetr && offer.debtor_agent == notice.debtor_agent;
                if let Some(offer) = self.offers.iter_mut().find(about) {
                    offer.outcome = Some(notice.status);
                }
            }
            _ => {}
        }
    }

    fn offer(
        &mut self,
        debtor_agent: ParticipantId,
        uetr: Uetr,
        deadline: Timestamp,
        amount_minor: i64,
        currency: Currency,
        is_return: bool,
    ) {
        let (answered, outcome) = (false, None);
        #[rustfmt::skip]
        self.offers.push(Offer { debtor_agent, uetr, deadline, amount_minor, currency, is_return, answered, outcome });
    }

    fn learn(&mut self, uetr: Uetr, status: Status) {
        if let Some(sent) = self.sent.iter_mut().find(|sent| sent.submit.uetr == uetr)
            && [Status::ACSC, Status::ACWP, Status::RJCT].contains(&status)
        {
            sent.outcome = Some(status);
        }
    }

    /// An unnumbered reply on its present connection.
    pub(crate) fn hear(&mut self, message: &Message<'_>) {
        match message {
            Message::StatusReport(report) if report.debtor_agent == self.id => self.learn(report.uetr, report.status),
            Message::Refused(refused) if refused.kind == Kind::CreditTransfer as u16 => {
                let about = |sent: &&mut Sent| *sent.submit.uetr.bytes() == refused.uetr;
                if let Some(sent) = self.sent.iter_mut().find(about) {
                    sent.refused = Some(refused.reason);
                }
            }
            _ => {}
        }
    }

    /// At the end of everything: every payment has an outcome, or was refused and nothing is recorded of it.
    pub(crate) fn knows_everything(&self) -> Result<(), String> {
        match self.sent.iter().find(|sent| sent.outcome.is_none() && sent.refused.is_none()) {
            None => Ok(()),
            Some(sent) => Err(format!("{} never heard what became of {:?}", self.id, sent.submit)),
        }
    }

    /// Deadline of the youngest offer, for clocks that like to be near it.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.offers.last().map(|offer| offer.deadline.nanoseconds())
    }
}

pub(crate) fn name(number: usize) -> ParticipantId {
    format!("BANK-{number}").parse().expect("a registered name")
}

pub(crate) fn read_frame(frame: &[u8]) -> Result<Message<'_>, String> {
    let kind = u16::from_le_bytes([frame[4], frame[5]]);
    frame::decode(kind, &frame[HEADER_BYTES..]).map_err(|error| format!("a notice cannot be read: {error}"))
}

fn short(ask: &Ask) -> String {
    match ask {
        Ask::Submit { submit, .. } => {
            let Submit { uetr, creditor_agent, amount_minor, currency, created_at, original, .. } = submit;
            format!(
                "submit {uetr} to {creditor_agent} {amount_minor} {currency} created {} {}",
                created_at.nanoseconds(),
                original.map_or(String::new(), |original| format!("returning {original}"))
            )
        }
        other => format!("{other:?}"),
    }
}
