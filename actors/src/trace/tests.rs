//! A trace tells what a naive reader of the whole log tells, wherever the payment lies in it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use persistence::disk::RealDisk;
use persistence::{Fold, Index, Log};
use settlement::{
    Annotated, Expired, Fact, Key, Payment, Recipient, Rejected, Reserved, Scheme, Settled, Stage, notices,
};
use wire::message::{CreditTransfer, Party};
use wire::{BusinessDate, Currency, Kind, MessageId, ParticipantId, Reason, Reasons, Status, Timestamp, Uetr, frame};

use super::{LeaderChange, Notice, Sought, Step, Trace, trace};
use crate::archive::Nothing;
use crate::feed::Feed;
use crate::ledger::Feeds;

const START: Timestamp = Timestamp(1_795_442_531_000_000_000);
const PARTICIPANTS: u32 = 3;

fn id(key: Key) -> ParticipantId {
    format!("BANK-{:04}", key.0).parse().unwrap()
}

fn scheme() -> Scheme {
    let mut scheme = Scheme::default();
    for key in (0..PARTICIPANTS).map(Key) {
        scheme.apply(&Fact::Registered { at: START, key, id: id(key), currency: Currency::EUR });
    }
    scheme
}

/// A log, its feeds, and what a trace must tell of each payment.
struct World {
    directory: tempfile::TempDir,
    log: Log<RealDisk>,
    feeds: Feeds,
    scheme: Scheme,
    numbers: [u64; PARTICIPANTS as usize],
    payments: Vec<(Payment, Vec<Step>)>,
    now: Timestamp,
    term: u64,
}

impl World {
    fn new(tail_bytes_max: usize) -> World {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let (log, _) = Log::open(RealDisk::new(directory.path()), &config, &mut Nothing).unwrap();
        let feeds = (0..PARTICIPANTS).map(|_| Arc::new(Feed::new(0, Vec::new(), tail_bytes_max))).collect();
        let (feeds, numbers) = (Feeds::of_participants(feeds), [0; PARTICIPANTS as usize]);
        World { directory, log, feeds, scheme: scheme(), numbers, payments: Vec::new(), now: START, term: 7 }
    }

    /// One log entry with these facts of payments, by their places.
    fn append(&mut self, facts: &[(usize, Fact<'_>)]) {
        let mut payload = Vec::new();
        facts.iter().for_each(|(_, fact)| fact.encode(&mut payload));
        self.log.append_payload(self.term, &payload).unwrap();
        self.log.sync().unwrap();
        let index = self.log.last().index;
        let mut frames = vec![Vec::new(); PARTICIPANTS as usize];
        let first = self.numbers;
        for (place, fact) in facts {
            let mut told = Vec::new();
            notices(fact, &self.scheme, |to, write| {
                let Recipient::Participant(key) = to else { return };
                self.numbers[key.place()] += 1;
                write(self.numbers[key.place()], &mut frames[key.place()]);
                told.push(Notice { to: key, number: Some(self.numbers[key.place()]) });
            });
            let (bare, created_at) = match *fact {
                Fact::Reserved(Reserved { at, payment, content, deadline, horizon, .. }) => (
                    Fact::Reserved(Reserved { at, payment, content, deadline, horizon, body: &[] }),
                    Some(at.minus(Duration::from_millis(3))),
                ),
                Fact::Settled(fact) => (Fact::Settled(fact), None),
                Fact::Expired(fact) => (Fact::Expired(fact), None),
                Fact::Annotated(fact) => (Fact::Annotated(fact), None),
                Fact::Rejected(Rejected { at, payment, content, horizon, stage, reasons, .. }) => {
                    let additional_information = None;
                    (
                        Fact::Rejected(Rejected {
                            at,
                            payment,
                            content,
                            horizon,
                            stage,
                            reasons,
                            additional_information,
                        }),
                        None,
                    )
                }
                _ => unreachable!(),
            };
            let (term, addressed_to) = (self.term, None);
            self.payments[*place].1.push(Step { index, term, fact: bare, created_at, addressed_to, notices: told });
        }
        for key in (0..PARTICIPANTS).map(Key) {
            let (first, last) = (first[key.place()] + 1, self.numbers[key.place()]);
            if last >= first {
                self.feeds.of(key).unwrap().append(first, last, index, &frames[key.place()]);
            }
        }
    }

    fn submit(&mut self) -> usize {
        let number = self.payments.len() as u64;
        let debtor = Key(number as u32 % PARTICIPANTS);
        // The last participant is quiet.
        let creditor = Key(if number.is_multiple_of(100) { PARTICIPANTS - 1 } else { (debtor.0 + 1) % 2 });
        let creditor = if creditor == debtor { Key((debtor.0 + 1) % PARTICIPANTS) } else { creditor };
        let uetr = Uetr::from_random(u128::to_be_bytes(u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c)));
        let message_id = MessageId::compose(START.date(), id(debtor), number);
        let (currency, original) = (Currency::EUR, None);
        let payment = Payment { debtor, creditor, uetr, amount_minor: 100, currency, message_id, original };
        self.payments.push((payment, Vec::new()));
        let body = body(&payment, self.now.minus(Duration::from_millis(3)));
        let (at, horizon) = (self.now, Timestamp(0));
        let deadline = at.plus(Duration::from_secs(10));
        let place = self.payments.len() - 1;
        if number % 7 == 3 {
            let refused = rejected(payment, at, Stage::Submit);
            self.append(&[(place, refused)]);
        } else {
            let reserved = Reserved { at, payment, content: 7, deadline, horizon, body: &body };
            self.append(&[(place, Fact::Reserved(reserved))]);
        }
        place
    }

    /// The end of a payment that was reserved.
    fn end(&self, place: usize) -> Option<Fact<'static>> {
        let (payment, steps) = &self.payments[place];
        let at = self.now;
        let is_reserved = matches!(steps[..], [Step { fact: Fact::Reserved(_), .. }]);
        is_reserved.then(|| match place % 5 {
            0 => Fact::Expired(Expired { at, payment: *payment, reasons: Reasons::one(Reason::AB05) }),
            1 => rejected(*payment, at, Stage::Answer),
            2 => settled(*payment, at, Status::ACWP),
            _ => settled(*payment, at, Status::ACSC),
        })
    }

    fn trace(&self, place: usize) -> Trace {
        let (payment, steps) = &self.payments[place];
        let truth = |at: Timestamp| Timestamp(at.nanoseconds() / 1000 * 1000);
        let ended = steps.iter().find(|step| !matches!(step.fact, Fact::Reserved(_) | Fact::Annotated(_)));
        let is_without_posting =
            matches!(ended, Some(Step { fact: Fact::Settled(fact), .. }) if fact.status == Status::ACWP);
        let sought = Sought {
            uetr: payment.uetr,
            debtor: payment.debtor,
            debtor_agent: id(payment.debtor),
            decided_at: steps.first().map(|step| step.fact.at()),
            // As the book has it.
            ended_at: ended.map(|step| if steps.len() == 1 { step.fact.at() } else { truth(step.fact.at()) }),
            may_be_annotated: is_without_posting,
        };
        trace(self.directory.path(), &self.feeds, &sought, self.log.last().index).unwrap()
    }

    fn check(&self, place: usize) {
        let expected = Trace { steps: self.payments[place].1.clone(), ..Trace::default() };
        assert_eq!(self.trace(place), expected, "payment {place}");
    }
}

fn config(directory: &Path) -> persistence::Config {
    persistence::Config {
        segment_bytes: 64 << 10,
        batch_bytes_max: 16 << 10,
        free_bytes_min: 0,
        retained_bytes_max: 0,
        sync: persistence::Sync::None,
        ..persistence::Config::new(directory)
    }
}

fn rejected(payment: Payment, at: Timestamp, stage: Stage) -> Fact<'static> {
    let (horizon, reasons) = (Timestamp(0), Reasons::one(Reason::AC04));
    let additional_information = Some("said to its customer alone");
    Fact::Rejected(Rejected { at, payment, content: 7, horizon, stage, reasons, additional_information })
}

fn settled(payment: Payment, at: Timestamp, status: Status) -> Fact<'static> {
    Fact::Settled(Settled { at, payment, status, settlement_date: BusinessDate::new(2026, 11, 23).unwrap() })
}

fn body(payment: &Payment, created_at: Timestamp) -> Vec<u8> {
    let party = Party { name: "Ann", account: "DE01" };
    let transfer = CreditTransfer {
        message_id: payment.message_id.as_str(),
        created_at,
        uetr: payment.uetr,
        debtor_agent: id(payment.debtor),
        creditor_agent: id(payment.creditor),
        amount_minor: payment.amount_minor,
        currency: payment.currency,
        end_to_end_id: "E2E",
        instruction_id: None,
        debtor: party,
        creditor: party,
        remittance_information: None,
    };
    let mut out = Vec::new();
    frame::encode(Kind::CreditTransfer, &transfer, &mut out);
    out.split_off(frame::HEADER_BYTES)
}

/// Eight hundred payments over half a minute; some end soon, some in ten seconds, some share an entry, some are in process.
fn history(tail_bytes_max: usize) -> World {
    let mut world = World::new(tail_bytes_max);
    let mut slow = std::collections::VecDeque::new();
    for number in 0..800 {
        world.now = world.now.plus(Duration::from_nanos(31_000_123));
        let place = world.submit();
        if number % 11 == 5 {
            slow.push_back(place);
        } else if number % 50 != 49 {
            world.now = world.now.plus(Duration::from_micros(900));
            let mut facts: Vec<(usize, Fact<'static>)> =
                world.end(place).map(|fact| (place, fact)).into_iter().collect();
            if slow.len() > 30 {
                let place = slow.pop_front().unwrap();
                facts.extend(world.end(place).map(|fact| (place, fact)));
            }
            world.append(&facts);
        }
        // Long after their end some are said to be posted.
        if number > 200 && (number - 200) % 5 == 2 && number % 3 == 0 {
            let place = number - 200;
            let (payment, steps) = world.payments[place].clone();
            if steps.len() == 2 && matches!(steps[1].fact, Fact::Settled(fact) if fact.status == Status::ACWP) {
                let annotated = Annotated { at: world.now, payment, status: Status::ACCC };
                world.append(&[(place, Fact::Annotated(annotated))]);
            }
        }
    }
    world
}

#[test]
fn every_payment_is_found_in_the_log_with_its_notices() {
    // All notices in memory; some of them; nearly none.
    for tail_bytes_max in [usize::MAX, 300 << 10, 1] {
        let world = history(tail_bytes_max);
        (0..world.payments.len()).step_by(23).for_each(|place| world.check(place));
        (790..800).for_each(|place| world.check(place));
        let mut steps = world.payments.iter().flat_map(|(_, steps)| steps);
        assert!(steps.any(|step| matches!(step.fact, Fact::Annotated(_))), "the history has every kind of step");
    }
}

#[test]
fn payments_are_found_by_their_message_ids() {
    let world = history(usize::MAX);
    let (directory, up_to) = (world.directory.path(), world.log.last().index);
    let always = (Timestamp(0), Timestamp(u64::MAX));
    for place in [0, 3, 799] {
        let (payment, steps) = &world.payments[place];
        let found = |time| super::by_message(directory, payment.message_id, time, u64::MAX, up_to).unwrap();
        let expected = super::Named { payments: vec![(payment.debtor, payment.uetr)], reached: None };
        assert_eq!(found(always), expected);
        let at = steps[0].fact.at();
        assert_eq!(found((at, at.plus(Duration::from_nanos(1)))), expected);
        assert_eq!(found((at.plus(Duration::from_nanos(1)), always.1)).payments, []);
        assert_eq!(found((always.0, at)).payments, []);
    }
    // Whoever goes on where it gave up finds it.
    let (payment, _) = &world.payments[700];
    let (mut from, mut searches) = (Timestamp(0), 0);
    loop {
        let found = super::by_message(directory, payment.message_id, (from, always.1), 50 << 10, up_to).unwrap();
        searches += 1;
        if !found.payments.is_empty() {
            break;
        }
        assert!(found.reached > Some(from));
        from = found.reached.unwrap();
    }
    assert!(searches > 3, "{searches}");
}

#[test]
fn a_log_that_begins_later_says_so() {
    let mut world = history(usize::MAX);
    let kept: Index = 400;
    for _ in 0..2 {
        world.append(&[]);
        world.log.snapshot(world.log.last().index, &[], Nothing.freeze()).unwrap();
    }
    let oldest = persistence::Reader::oldest(world.directory.path()).unwrap();
    assert!(oldest > kept, "{oldest}");
    let old = world.trace(50);
    assert_eq!(old.steps, []);
    let (begins, at) = old.log_begins.unwrap();
    assert!(begins == oldest && at > START, "{at}");
}

#[test]
fn the_reigns_that_a_payment_saw_are_told() {
    let mut world = World::new(usize::MAX);
    world.append(&[]);
    let place = world.submit();
    let reserved_at = world.now;
    world.now = world.now.plus(Duration::from_secs(35));
    world.term = 9;
    world.append(&[(place, world.end(place).unwrap())]);
    let trace = world.trace(place);
    let (between, steps) = ((reserved_at, world.now), world.payments[place].1.clone());
    assert_eq!(
        trace,
        Trace { steps, leader_changes: vec![LeaderChange { terms: (7, 9), between }], ..Trace::default() }
    );
}

#[test]
fn whom_a_payment_was_addressed_to_is_told_where_nobody_of_that_name_is_registered() {
    let mut world = World::new(usize::MAX);
    let place = world.submit();
    let mut payment = world.payments[place].0;
    (payment.uetr, payment.creditor) = (Uetr::from_random([9; 16]), Key::NONE);
    let Fact::Rejected(rejected) = rejected(payment, world.now, Stage::Submit) else { unreachable!() };
    world.payments.push((payment, Vec::new()));
    world.append(&[(1, Fact::Rejected(Rejected { additional_information: Some("BANK-Z"), ..rejected }))]);
    assert_eq!(world.trace(1).steps[0].addressed_to, Some("BANK-Z".parse().unwrap()));
}
