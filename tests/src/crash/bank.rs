//! A bank in both roles: it pays and is paid, and it remembers what it was told. It answers late, twice, wrongly or
//! never now and then, sends payments again, gives money back, and says so when the switch contradicts itself.
//!
//! It knows nothing of sockets: what it wants to send it appends to its outbox.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use wire::message::{Answer, CreditTransfer, Party, PaymentReturn, StatusNotice, StatusReport, StatusRequest};
use wire::{Currency, Message, MessageId, ParticipantId, Reason, Status, Timestamp, Uetr};

use super::journal::{self, Journal};
use super::record::Record;
use crate::peer::Frame;

/// Ended payments that a bank asks about again.
const RECENT_MAX: usize = 512;
/// Payments without an outcome, above which a bank submits no more.
const OPEN_MAX: usize = 4000;

/// A payment or return that it submitted.
#[derive(Clone, Debug)]
struct Sent {
    serial: u64,
    creditor_agent: ParticipantId,
    amount_minor: i64,
    /// Set when it is a return.
    original: Option<Uetr>,
}

/// A payment that was offered to it.
#[derive(Clone, Debug)]
struct Offer {
    deadline: Timestamp,
    amount_minor: i64,
    is_return: bool,
    /// What it has answered so far.
    answered: Vec<(Status, Reason)>,
}

/// An answer that it will give.
#[derive(Clone, Copy, Debug)]
struct Intent {
    debtor_agent: ParticipantId,
    uetr: Uetr,
    status: Status,
    reason: Reason,
}

/// See the file's head.
pub(super) struct Bank {
    pub(super) id: ParticipantId,
    pub(super) outbox: Vec<u8>,
    pub(super) last_notice: u64,
    pub(super) last_system_notice: u64,
    /// It may move from one node to another, and a node may send it away.
    pub(super) is_among_nodes: bool,
    others: Vec<ParticipantId>,
    random: SmallRng,
    journal: Journal,
    record: Rc<Record>,
    messages: u64,
    open: HashMap<Uetr, Sent>,
    ended: HashMap<Uetr, (Status, i64)>,
    recent: VecDeque<Uetr>,
    /// Sent again with other content.
    conflicts: HashSet<Uetr>,
    offers: HashMap<(ParticipantId, Uetr), Offer>,
    received: HashMap<(ParticipantId, Uetr), Status>,
    intents: BTreeMap<(Instant, u64), Intent>,
    /// Settled received less settled sent.
    net_minor: i64,
}

impl Bank {
    pub(super) fn new(
        id: ParticipantId,
        all: &[ParticipantId],
        seed: u64,
        journal: Journal,
        record: Rc<Record>,
    ) -> Bank {
        Bank {
            id,
            outbox: Vec::new(),
            last_notice: 0,
            last_system_notice: 0,
            is_among_nodes: false,
            others: all.iter().copied().filter(|other| *other != id).collect(),
            random: SmallRng::seed_from_u64(seed),
            journal,
            record,
            messages: 0,
            open: HashMap::new(),
            ended: HashMap::new(),
            recent: VecDeque::new(),
            conflicts: HashSet::new(),
            offers: HashMap::new(),
            received: HashMap::new(),
            intents: BTreeMap::new(),
            net_minor: 0,
        }
    }

    pub(super) fn net_minor(&self) -> i64 {
        self.net_minor
    }

    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// What it submitted, with the outcome it was told.
    pub(super) fn ended(&self) -> &HashMap<Uetr, (Status, i64)> {
        &self.ended
    }

    /// Payments that have no outcome yet.
    pub(super) fn missing(&self) -> impl Iterator<Item = Uetr> + '_ {
        self.open.keys().copied()
    }

    fn wrong(&self, what: impl AsRef<str>) {
        self.record.violate(format!("{}: {}", self.id, what.as_ref()));
    }

    fn chance(&mut self, per_mille: u32) -> bool {
        self.random.random_ratio(per_mille, 1000)
    }

    // What it sends.

    /// After a reconnect: everything without an outcome again, and some questions about what has one.
    pub(super) fn resume(&mut self) {
        self.outbox.clear();
        let mut open: Vec<_> = self.open.iter().map(|(uetr, sent)| (*uetr, sent.clone())).collect();
        open.sort_by_key(|(_, sent)| sent.serial);
        open.iter().for_each(|(uetr, sent)| self.write(*uetr, sent));
        // A no is answered by nothing, so nothing else ends such an offer.
        let past = Timestamp::now().minus(Duration::from_secs(60));
        self.offers.retain(|_, offer| {
            offer.deadline > past || offer.answered.iter().all(|(status, _)| *status != Status::RJCT)
        });
        let given: Vec<_> = self.offers.iter().map(|(key, offer)| (*key, offer.answered.clone())).collect();
        for ((debtor_agent, uetr), answered) in given {
            for (status, reason) in answered {
                self.write_answer(Intent { debtor_agent, uetr, status, reason });
            }
        }
        for _ in 0..20 {
            self.ask_about_the_past();
        }
    }

    /// Submits a new payment, and now and then something odd with it.
    pub(super) fn submit(&mut self) {
        if self.open.len() >= OPEN_MAX {
            return;
        }
        let creditor_agent = self.others[self.random.random_range(0..self.others.len())];
        // Small amounts are common, large ones rare.
        let digits = self.random.random_range(1..=6);
        let amount_minor = self.random.random_range(1..=10_i64.pow(digits));
        let uetr = self.send(creditor_agent, amount_minor, None);
        if self.chance(20) {
            let sent = self.open[&uetr].clone();
            self.write(uetr, &sent);
        }
        if self.chance(10) {
            let sent = self.open[&uetr].clone();
            self.conflicts.insert(uetr);
            self.write(uetr, &Sent { amount_minor: sent.amount_minor + 1, ..sent });
        }
        if self.chance(10) {
            self.ask_about_the_past();
        }
    }

    fn send(&mut self, creditor_agent: ParticipantId, amount_minor: i64, original: Option<Uetr>) -> Uetr {
        let uetr = Uetr::from_random(self.random.random());
        self.messages += 1;
        let sent = Sent { serial: self.messages, creditor_agent, amount_minor, original };
        self.write(uetr, &sent);
        self.open.insert(uetr, sent);
        self.record.submitted();
        uetr
    }

    fn ask_about_the_past(&mut self) {
        let Some(place) = self.recent.len().checked_sub(1).map(|last| self.random.random_range(0..=last)) else {
            return;
        };
        let uetr = self.recent[place];
        let request = StatusRequest { uetr, debtor_agent: self.id };
        Message::StatusRequest(request).encode(&mut self.outbox);
    }

    fn stamp(&mut self) -> (Timestamp, MessageId) {
        self.messages += 1;
        let now = Timestamp::now();
        (now, MessageId::compose(now.date(), self.id, self.messages))
    }

    fn write(&mut self, uetr: Uetr, sent: &Sent) {
        let (created_at, message_id) = self.stamp();
        let Sent { serial, creditor_agent, amount_minor, original } = *sent;
        if let Some(original_uetr) = original {
            let payment_return = PaymentReturn {
                message_id: message_id.as_str(),
                created_at,
                uetr,
                debtor_agent: self.id,
                creditor_agent,
                amount_minor,
                currency: Currency::EUR,
                original_uetr,
                reason: Reason::FOCR,
                additional_information: None,
            };
            return Message::PaymentReturn(payment_return).encode(&mut self.outbox);
        }
        // The same payment has the same content whenever it is sent.
        let reference = format!("E2E-{serial}");
        let account = format!("DE{serial:020}");
        let words = "for services rendered and goods delivered, ".repeat(4);
        let remittance = &words[..(serial % 140) as usize];
        let transfer = CreditTransfer {
            message_id: message_id.as_str(),
            created_at,
            uetr,
            debtor_agent: self.id,
            creditor_agent,
            amount_minor,
            currency: Currency::EUR,
            end_to_end_id: &reference,
            instruction_id: serial.is_multiple_of(3).then_some(&reference),
            debtor: Party { name: "Ada Adler", account: &account },
            creditor: Party { name: "Zoë Brück", account: "GB33BUKB20201555555555" },
            remittance_information: Some(remittance).filter(|text| !text.is_empty()),
        };
        Message::CreditTransfer(transfer).encode(&mut self.outbox);
    }

    fn write_answer(&mut self, intent: Intent) {
        let (created_at, message_id) = self.stamp();
        let Intent { debtor_agent, uetr, status, reason } = intent;
        let message_id = message_id.as_str();
        let answer =
            Answer { message_id, created_at, uetr, debtor_agent, status, reason, additional_information: None };
        Message::Answer(answer).encode(&mut self.outbox);
    }

    /// Gives the answers whose time has come.
    pub(super) fn answer_due(&mut self, now: Instant) {
        while let Some(entry) = self.intents.first_entry().filter(|entry| entry.key().0 <= now) {
            let intent = entry.remove();
            if let Some(offer) = self.offers.get_mut(&(intent.debtor_agent, intent.uetr)) {
                offer.answered.push((intent.status, intent.reason));
            }
            self.write_answer(intent);
        }
    }

    // What it hears.

    /// Whole frames of the switch: kept first, believed then.
    pub(super) fn hear(&mut self, frames: &[u8]) {
        if let Err(error) = self.journal.keep(frames) {
            self.wrong(format!("its own journal cannot be written: {error}"));
        }
        for frame in journal::split(frames) {
            self.hear_one(&frame);
        }
    }

    fn hear_one(&mut self, frame: &Frame) {
        let message = match frame.message() {
            Ok(message) => message,
            Err(error) => return self.wrong(format!("a frame of the switch cannot be read: {error}")),
        };
        match &message {
            Message::SystemNotice(_) => self.last_system_notice = self.follow(self.last_system_notice, frame, "system"),
            _ if frame.kind() >= 128 => self.last_notice = self.follow(self.last_notice, frame, "its own"),
            _ => {}
        }
        match message {
            Message::TransferNotice(notice) => {
                let transfer = notice.transfer;
                self.offered(transfer.debtor_agent, transfer.uetr, notice.deadline, transfer.amount_minor, false);
            }
            Message::ReturnNotice(notice) => {
                let back = notice.payment_return;
                self.offered(back.debtor_agent, back.uetr, notice.deadline, back.amount_minor, true);
            }
            Message::StatusNotice(notice) => self.told(&notice),
            Message::StatusReport(report) => self.reported(&report),
            Message::Refused(refused) => {
                let uetr = Uetr::from_bytes(refused.uetr).ok();
                let conflict = uetr.is_some_and(|uetr| self.conflicts.contains(&uetr));
                match refused.reason {
                    Reason::LATE => {}
                    Reason::DUPL if conflict => {}
                    reason => self
                        .wrong(format!("refused with {reason}: kind {}, {:?}, {}", refused.kind, uetr, refused.text)),
                }
            }
            // What it says it has seen last is more than the switch has.
            Message::GoAway(end) if end.reason == Reason::FORM => {
                self.record.lost(format!("{}: sent away with {}: {}", self.id, end.reason, end.text));
            }
            // The node is behind, or the bank is back on another one.
            Message::GoAway(end) if self.is_among_nodes && [Reason::DRAN, Reason::SIGN].contains(&end.reason) => {}
            Message::GoAway(end) => self.wrong(format!("sent away with {}: {}", end.reason, end.text)),
            _ => {}
        }
    }

    /// The number of a notice follows the one before it.
    fn follow(&self, last: u64, frame: &Frame, feed: &str) -> u64 {
        let number = frame.number();
        if number != last + 1 {
            self.wrong(format!("notice {number} of {feed} feed follows {last}: {frame:?}"));
        }
        number
    }

    fn offered(
        &mut self,
        debtor_agent: ParticipantId,
        uetr: Uetr,
        deadline: Timestamp,
        amount_minor: i64,
        is_return: bool,
    ) {
        let offer = Offer { deadline, amount_minor, is_return, answered: Vec::new() };
        if self.offers.insert((debtor_agent, uetr), offer).is_some()
            || self.received.contains_key(&(debtor_agent, uetr))
        {
            self.record.doubled(format!("{}: payment {uetr} of {debtor_agent} was offered twice", self.id));
        }
        let think =
            if self.chance(100) { Duration::from_millis(self.random.random_range(1..150)) } else { Duration::ZERO };
        let late = deadline.since(Timestamp::now()) + Duration::from_millis(self.random.random_range(0..50));
        let no = Reason::AC04;
        let plan: &[(Status, Reason, Duration)] = match self.random.random_range(0..100) {
            0..=77 => &[(Status::ACTC, Reason::NONE, think)],
            78..=82 => &[(Status::ACWP, Reason::NONE, think)],
            83..=88 => &[(Status::RJCT, no, think)],
            89..=91 => &[(Status::ACTC, Reason::NONE, late)],
            92..=93 => &[],
            94..=96 => &[(Status::ACTC, Reason::NONE, think), (Status::ACTC, Reason::NONE, think)],
            97..=98 => &[(Status::ACTC, Reason::NONE, think), (Status::RJCT, no, think)],
            _ => &[(Status::RJCT, no, think), (Status::ACTC, Reason::NONE, think)],
        };
        for (status, reason, after) in plan {
            self.messages += 1;
            let intent = Intent { debtor_agent, uetr, status: *status, reason: *reason };
            self.intents.insert((Instant::now() + *after, self.messages), intent);
        }
    }

    fn told(&mut self, notice: &StatusNotice<'_>) {
        let is_final = [Status::ACSC, Status::ACWP, Status::RJCT].contains(&notice.status);
        if notice.debtor_agent == self.id {
            if is_final { self.outcome(notice) } else { self.annotated(notice) }
        } else if notice.creditor_agent == self.id {
            self.outcome_received(notice);
        } else {
            self.wrong(format!("told of a payment between others: {notice:?}"));
        }
    }

    /// Of a payment that it sent.
    fn outcome(&mut self, notice: &StatusNotice<'_>) {
        let uetr = notice.uetr;
        if let Some((before, _)) = self.ended.get(&uetr) {
            let id = self.id;
            return self.record.doubled(format!("{id}: payment {uetr} ended twice, {before} and {}", notice.status));
        }
        let Some(sent) = self.open.remove(&uetr) else {
            return self.wrong(format!("told the outcome of a payment it never sent: {notice:?}"));
        };
        if (sent.amount_minor, sent.creditor_agent) != (notice.amount_minor, notice.creditor_agent) {
            self.wrong(format!("the outcome of {uetr} is about another payment: {notice:?} for {sent:?}"));
        }
        if notice.status != Status::RJCT {
            self.net_minor -= sent.amount_minor;
        }
        self.ended.insert(uetr, (notice.status, sent.amount_minor));
        self.record.acknowledged();
        self.recent.push_back(uetr);
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }

    /// The creditor agent's further word on a payment that it accepted without posting.
    fn annotated(&mut self, notice: &StatusNotice<'_>) {
        if self.ended.get(&notice.uetr).is_none_or(|(status, _)| *status != Status::ACWP) {
            self.wrong(format!("a further word on a payment that was not accepted without posting: {notice:?}"));
        }
    }

    /// Of a payment that was offered to it.
    fn outcome_received(&mut self, notice: &StatusNotice<'_>) {
        let key = (notice.debtor_agent, notice.uetr);
        if let Some(before) = self.received.insert(key, notice.status) {
            let id = self.id;
            self.record
                .doubled(format!("{id}: payment {} offered to it ended twice, {before} and {}", key.1, notice.status));
            return;
        }
        let Some(offer) = self.offers.remove(&key) else {
            return self.wrong(format!("told the outcome of a payment that was never offered: {notice:?}"));
        };
        if notice.status == Status::RJCT {
            return;
        }
        if !offer.answered.iter().any(|(status, _)| [Status::ACTC, Status::ACWP].contains(status)) {
            self.wrong(format!("settled without its yes: {notice:?}"));
        }
        if notice.at > offer.deadline || notice.amount_minor != offer.amount_minor {
            self.wrong(format!("settled after its deadline or with another amount: {notice:?} for {offer:?}"));
        }
        self.net_minor += notice.amount_minor;
        self.follow_up(notice, offer.is_return);
    }

    /// Some payments are given back, some that were accepted without posting are posted.
    fn follow_up(&mut self, notice: &StatusNotice<'_>, is_return: bool) {
        let (debtor_agent, uetr) = (notice.debtor_agent, notice.uetr);
        if notice.status == Status::ACWP && self.chance(500) {
            self.write_answer(Intent { debtor_agent, uetr, status: Status::ACCC, reason: Reason::NONE });
        } else if !is_return && self.chance(40) {
            let amount_minor = self.random.random_range(1..=notice.amount_minor);
            self.send(debtor_agent, amount_minor, Some(uetr));
        }
    }

    /// What the switch says on request is what it told before: whoever was told the outcome is not told behind it that the
    /// payment is in process.
    fn reported(&mut self, report: &StatusReport) {
        let told = match report.debtor_agent == self.id {
            true => self.ended.get(&report.uetr).map(|(status, _)| *status),
            false => self.received.get(&(report.debtor_agent, report.uetr)).copied(),
        };
        if told.is_some_and(|told| told != report.status) {
            self.wrong(format!("it was told {told:?}, now it hears {report:?}"));
        }
    }
}
