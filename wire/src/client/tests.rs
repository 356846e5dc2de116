//! The client against a scripted switch: each test plays both sides of one conversation.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::frame::{Frames, decode};
use crate::message::*;
use crate::{BusinessDate, Currency, Message, Money, ParticipantId, Reason, Reasons, Status, Timestamp, Uetr};

/// For the tests about silence; the others must not be disturbed by a busy machine.
const SILENCE_MAX: Duration = Duration::from_millis(300);

fn north() -> ParticipantId {
    "NORTHBANK".parse().unwrap()
}

fn south() -> ParticipantId {
    "SOUTHBANK".parse().unwrap()
}

fn today() -> BusinessDate {
    "2026-11-23".parse().unwrap()
}

fn transfer() -> Transfer {
    Transfer::new(south(), Money::parse("12.04", Currency::EUR).unwrap()).from("Ada", "DE1").to("Ben", "GB2")
}

/// A switch that says what the test tells it to.
struct Switch {
    listener: TcpListener,
    silence_max: Duration,
}

impl Switch {
    async fn new() -> Self {
        Switch { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), silence_max: Duration::from_secs(30) }
    }

    async fn impatient() -> Self {
        Switch { silence_max: SILENCE_MAX, ..Self::new().await }
    }

    fn options(&self) -> Options {
        Options {
            timeout: Duration::from_secs(5),
            backoff: Backoff { first: Duration::from_millis(5), most: Duration::from_millis(20) },
            ..Options::new(self.listener.local_addr().unwrap().to_string(), north())
        }
    }

    async fn accept(&self) -> Line {
        let (stream, _) = timeout(Duration::from_secs(5), self.listener.accept()).await.expect("a connection").unwrap();
        Line { stream, input: BytesMut::new(), silence_max: self.silence_max }
    }

    /// Accepts and signs on; the feeds go on where the client says.
    async fn session(&self) -> Line {
        let mut line = self.accept().await;
        let resume = line.sign_on().await;
        line.signed_on(resume.last_notice + 1, resume.last_system_notice + 1).await;
        line
    }

    /// A client and its first session.
    async fn connected(&self, options: Options) -> (Client, Notices, Line) {
        let (connected, line) = tokio::join!(Client::connect(options), self.session());
        let (client, notices) = connected.unwrap();
        (client, notices, line)
    }
}

/// One connection, from the side of the switch.
struct Line {
    stream: TcpStream,
    input: BytesMut,
    silence_max: Duration,
}

impl Line {
    async fn send(&mut self, messages: &[Message<'_>]) {
        let mut bytes = Vec::new();
        messages.iter().for_each(|message| message.encode(&mut bytes));
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The next message, heartbeats aside; `None` when the client closed.
    async fn hear<T>(&mut self, look: impl Fn(Message<'_>) -> T) -> Option<T> {
        loop {
            let mut frames = Frames::new(&self.input);
            if let Some(frame) = frames.next() {
                let frame = frame.unwrap();
                let message = decode(frame.kind, frame.body).unwrap();
                let seen = (!matches!(message, Message::Heartbeat(_))).then(|| look(message));
                let taken = frames.taken();
                let _ = self.input.split_to(taken);
                match seen {
                    Some(seen) => return Some(seen),
                    None => continue,
                }
            }
            let read = timeout(Duration::from_secs(5), self.stream.read_buf(&mut self.input)).await.expect("bytes");
            if !read.is_ok_and(|count| count > 0) {
                return None;
            }
        }
    }

    async fn sign_on(&mut self) -> Resume {
        let resume = self.hear(|message| match message {
            Message::SignOn(sign_on) => {
                assert_eq!((sign_on.participant, sign_on.protocol_min, sign_on.protocol_max), (north(), 1, 1));
                Resume { last_notice: sign_on.last_notice, last_system_notice: sign_on.last_system_notice }
            }
            other => panic!("{other:?}"),
        });
        resume.await.unwrap()
    }

    async fn signed_on(&mut self, next_notice: u64, next_system_notice: u64) {
        let message = SignedOn {
            protocol: 1,
            node: "n1",
            next_notice,
            next_system_notice,
            window: 1000,
            frame_bytes_max: 4096,
            silence_max_ms: self.silence_max.as_millis() as u32,
            payment_timeout_ms: 10_000,
            creditor_share_ms: 5_000,
            skew_max_ms: 1_000,
            business_date: today(),
            sent_at: Timestamp::now(),
        };
        self.send(&[Message::SignedOn(message)]).await;
    }

    async fn payment(&mut self) -> Uetr {
        let heard = self.hear(|message| match message {
            Message::CreditTransfer(transfer) => transfer.uetr,
            other => panic!("{other:?}"),
        });
        heard.await.expect("a payment")
    }

    async fn answer(&mut self) -> (Uetr, Status) {
        let heard = self.hear(|message| match message {
            Message::Answer(answer) => (answer.uetr, answer.status),
            other => panic!("{other:?}"),
        });
        heard.await.expect("an answer")
    }

    async fn name_nodes(&mut self, nodes: &str) {
        let go_away = GoAway { reason: Reason::DRAN, retry_after_ms: 60_000, text: "drained", nodes: Some(nodes) };
        self.send(&[Message::GoAway(go_away)]).await;
    }

    async fn go_away(&mut self, reason: Reason) {
        self.send(&[Message::GoAway(GoAway { reason, retry_after_ms: 10, text: "because", nodes: None })]).await;
    }
}

fn outcome(number: u64, uetr: Uetr, status: Status) -> Message<'static> {
    Message::StatusNotice(StatusNotice {
        number,
        at: Timestamp::now(),
        uetr,
        debtor_agent: north(),
        creditor_agent: south(),
        amount_minor: 1204,
        currency: Currency::EUR,
        status,
        reasons: if status == Status::RJCT { Reasons::one(Reason::AM04) } else { Reasons::NONE },
        settlement_date: if status == Status::RJCT { BusinessDate::NONE } else { today() },
        original_message_id: "20261123NORTHBANK0000000000001",
        additional_information: None,
    })
}

fn report(uetr: Uetr, status: Status) -> Message<'static> {
    Message::StatusReport(StatusReport {
        uetr,
        debtor_agent: north(),
        status,
        reasons: Reasons::NONE,
        amount_minor: 1204,
        currency: Currency::EUR,
        settlement_date: if status == Status::ACSP { BusinessDate::NONE } else { today() },
        at: Timestamp::now(),
    })
}

fn refused(kind: crate::Kind, uetr: Uetr, reason: Reason) -> Message<'static> {
    Message::Refused(Refused { kind: kind as u16, uetr: *uetr.bytes(), reason, text: "because" })
}

fn system(number: u64) -> Message<'static> {
    Message::SystemNotice(SystemNotice {
        number,
        at: Timestamp::now(),
        event: SystemEvent::ROLL,
        participant: ParticipantId::NONE,
        business_date: today(),
    })
}

fn position(number: u64) -> Message<'static> {
    Message::PositionNotice(PositionNotice {
        number,
        at: Timestamp::now(),
        currency: Currency::EUR,
        funded_minor: 1,
        net_minor: 0,
        reserved_minor: 0,
        net_debit_cap_minor: -1,
    })
}

async fn signed_on(client: &Client) {
    client.state().wait_for(|state| matches!(state, State::SignedOn { .. })).await.unwrap();
}

#[tokio::test]
async fn a_payment_settles_and_its_outcome_is_a_notice_too() {
    let switch = Switch::new().await;
    let (client, mut notices, mut line) = switch.connected(switch.options()).await;
    let transfer = transfer();
    let (paid, ()) = tokio::join!(client.pay(&transfer), async {
        let uetr = line.payment().await;
        line.send(&[report(uetr, Status::ACSP), outcome(1, uetr, Status::ACSC)]).await;
    });
    let paid = paid.unwrap();
    assert_eq!((paid.uetr, paid.status, paid.settlement_date), (transfer.uetr, FinalStatus::Settled, Some(today())));
    let notice = notices.next().await.unwrap().unwrap();
    assert_eq!((notice.feed, notice.number), (Feed::Own, 1));
    assert!(matches!(notice.view(), Message::StatusNotice(status) if status.uetr == transfer.uetr));
    notices.processed(&notice);
    assert_eq!(client.position().last_notice, 1);
    assert!(
        matches!(&*client.state().borrow(), State::SignedOn { node, rules, .. } if node == "n1" && rules.window == 1000)
    );

    client.close().await;
    assert_eq!(line.hear(|_| ()).await, None);
    assert!(notices.next().await.unwrap().is_none());
}

#[tokio::test]
async fn rejections_and_refusals_are_told_apart() {
    let switch = Switch::new().await;
    let (client, _notices, mut line) = switch.connected(switch.options()).await;
    let transfer = transfer();
    let (paid, ()) = tokio::join!(client.pay(&transfer), async {
        let uetr = line.payment().await;
        line.send(&[outcome(1, uetr, Status::RJCT)]).await;
    });
    let rejected = paid.unwrap();
    assert!(!rejected.is_settled() && rejected.reasons.has(Reason::AM04));

    for (reason, who, retry) in [
        (Reason::BUSY, Who::You, Retry::SameAgain),
        (Reason::FULL, Who::Operator, Retry::SameAgain),
        (Reason::DUPL, Who::You, Retry::Corrected),
        (Reason::FORM, Who::You, Retry::Corrected),
    ] {
        let (paid, ()) = tokio::join!(client.pay(&transfer), async {
            let uetr = line.payment().await;
            line.send(&[refused(crate::Kind::CreditTransfer, uetr, reason)]).await;
        });
        let error = paid.unwrap_err();
        assert_eq!(error, Error::Refused { reason, text: "because".into() });
        assert_eq!((error.who_must_act(), error.retry()), (who, retry), "{reason}");
    }

    let broken = Transfer { end_to_end_id: String::new(), ..transfer };
    assert!(matches!(client.pay(&broken).await, Err(Error::Invalid(error)) if error.field() == Some("end_to_end_id")));
}

#[tokio::test]
async fn a_bank_answers_and_hears_the_outcome_of_its_yes() {
    let switch = Switch::new().await;
    let (client, _notices, mut line) = switch.connected(switch.options()).await;
    let uetr = Uetr::random();
    let yes = client.answer(&Reply::yes(north(), uetr)).await.unwrap();
    assert_eq!(line.answer().await, (uetr, Status::ACTC));
    line.send(&[outcome(1, uetr, Status::ACSC)]).await;
    assert!(yes.outcome().await.unwrap().unwrap().is_settled());

    let no = client.answer(&Reply::no(north(), uetr, Reason::AC04)).await.unwrap();
    assert_eq!(line.answer().await, (uetr, Status::RJCT));
    assert_eq!(no.outcome().await, Ok(None));

    let late = client.answer(&Reply::yes(north(), uetr)).await.unwrap();
    assert_eq!(line.answer().await, (uetr, Status::ACTC));
    line.send(&[refused(crate::Kind::Answer, uetr, Reason::LATE)]).await;
    assert!(matches!(late.outcome().await, Err(Error::Refused { reason: Reason::LATE, .. })));

    let without_reason = Reply { reason: Reason::NONE, ..Reply::no(north(), uetr, Reason::AC04) };
    assert!(matches!(client.answer(&without_reason).await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn enquiries_and_returns() {
    let switch = Switch::new().await;
    let (client, _notices, mut line) = switch.connected(switch.options()).await;
    let uetr = Uetr::random();
    for (answer, final_status) in [
        (report(uetr, Status::ACSP), None),
        (report(uetr, Status::ACSC), Some(FinalStatus::Settled)),
        (report(uetr, Status::ACWP), Some(FinalStatus::SettledWithoutPosting)),
    ] {
        let (known, _) = tokio::join!(client.status(north(), uetr), async {
            line.hear(|message| assert!(matches!(message, Message::StatusRequest(_)))).await;
            line.send(&[answer]).await;
        });
        match known.unwrap() {
            Report::InProcess { uetr: of, .. } => assert_eq!((of, final_status), (uetr, None)),
            Report::Final(outcome) => assert_eq!(Some(outcome.status), final_status),
        }
    }
    let (known, _) = tokio::join!(client.status(north(), uetr), async {
        line.hear(|_| ()).await;
        line.send(&[refused(crate::Kind::StatusRequest, uetr, Reason::AG09)]).await;
    });
    assert!(matches!(known, Err(Error::Refused { reason: Reason::AG09, .. })));

    let original = transfer();
    let stamp = Stamp::new(south(), Timestamp::now(), 1);
    let back = Return::of(&original.view(&stamp), Reason::FOCR);
    let (returned, _) = tokio::join!(client.return_payment(&back), async {
        let original_uetr = line.hear(|message| match message {
            Message::PaymentReturn(back) => (back.original_uetr, back.creditor_agent),
            other => panic!("{other:?}"),
        });
        assert_eq!(original_uetr.await, Some((original.uetr, south())));
        line.send(&[outcome(1, back.uetr, Status::ACSC)]).await;
    });
    assert!(returned.unwrap().is_settled());
}

#[tokio::test]
async fn a_deadline_ends_the_waiting_and_frees_the_place() {
    let switch = Switch::new().await;
    let options = Options { payments_max: 1, ..switch.options() };
    let (client, _notices, mut line) = switch.connected(options).await;
    let brief = client.within(Duration::from_millis(30));
    let transfer = transfer();
    let error = brief.pay(&transfer).await.unwrap_err();
    assert!(matches!(&error, Error::Deadline { uetr: Some(uetr), .. } if *uetr == transfer.uetr), "{error}");
    assert_eq!(error.retry(), Retry::SameAgain);
    line.payment().await;

    // The same again, and this time there is an answer.
    let (paid, ()) = tokio::join!(client.pay(&transfer), async {
        let uetr = line.payment().await;
        line.send(&[report(uetr, Status::ACSC)]).await;
    });
    assert!(paid.unwrap().is_settled());

    // A handle that was dropped gives its place back at the deadline too.
    drop(brief.submit(&self::transfer()).await.unwrap());
    assert!(client.submit(&self::transfer()).await.is_ok());
}

#[tokio::test]
async fn the_window_holds_payments_back_and_not_answers() {
    let switch = Switch::new().await;
    let options = Options { payments_max: 2, ..switch.options() };
    let (client, _notices, mut line) = switch.connected(options).await;
    let first = client.submit(&transfer()).await.unwrap();
    let _second = client.submit(&transfer()).await.unwrap();
    assert!(matches!(client.try_submit(&transfer()), Err(Error::WindowFull { places: 2 })));
    assert!(matches!(
        client.within(Duration::from_millis(10)).submit(&transfer()).await,
        Err(Error::WindowFull { places: 2 })
    ));
    client.answer(&Reply::yes(south(), Uetr::random())).await.unwrap();
    let (uetr, _) = (line.payment().await, line.payment().await);
    assert_eq!(uetr, first.uetr());
    line.answer().await;

    let third = transfer();
    let settled = [outcome(1, uetr, Status::ACSC)];
    let (third, ()) = tokio::join!(client.submit(&third), line.send(&settled));
    assert_eq!(line.payment().await, third.unwrap().uetr());
    assert!(matches!(client.try_submit(&transfer()), Err(Error::WindowFull { .. })));
}

#[tokio::test]
async fn volume_outcomes_come_in_one_queue_and_keep_their_places_until_taken() {
    let switch = Switch::new().await;
    let options = Options { payments_max: 3, ..switch.options() };
    let (client, _notices, mut line) = switch.connected(options).await;
    let (submitter, mut outcomes) = client.volume();
    let transfers = [transfer(), transfer(), transfer()];
    for transfer in &transfers {
        submitter.submit(transfer).await.unwrap();
    }
    assert!(matches!(submitter.try_submit(&transfers[0]), Err(Error::WindowFull { .. })));
    for number in 1..=3 {
        let uetr = line.payment().await;
        line.send(&[outcome(number, uetr, if number == 2 { Status::RJCT } else { Status::ACSC })]).await;
    }
    let mut taken = Vec::new();
    while taken.len() < 3 {
        outcomes.next_batch(&mut taken, 10).await;
    }
    let settled: Vec<bool> = taken.iter().map(|(_, result)| result.as_ref().unwrap().is_settled()).collect();
    assert_eq!((settled, taken[2].0), (vec![true, false, true], transfers[2].uetr));
    submitter.try_submit(&transfer()).unwrap();
    drop(submitter);
    drop(client);
    assert!(matches!(outcomes.next().await, Some((_, Err(Error::Closed)))));
    assert!(outcomes.next().await.is_none());
}

#[tokio::test]
async fn after_a_drop_the_feed_goes_on_and_what_has_no_outcome_is_sent_again_in_order() {
    let switch = Switch::new().await;
    let (client, mut notices, mut line) = switch.connected(switch.options()).await;
    line.send(&[position(1), system(1), position(2), position(3)]).await;
    for _ in 0..4 {
        let notice = notices.next().await.unwrap().unwrap();
        if notice.number <= 2 {
            notices.processed(&notice);
        }
    }
    let first = client.submit(&transfer()).await.unwrap();
    let yes = client.answer(&Reply::yes(south(), Uetr::random())).await.unwrap();
    let no = Reply::no(south(), Uetr::random(), Reason::AC04);
    client.answer(&no).await.unwrap();
    let settled = client.submit(&transfer()).await.unwrap();
    line.payment().await;
    line.answer().await;
    line.answer().await;
    let uetr = line.payment().await;
    line.send(&[outcome(4, uetr, Status::ACSC)]).await;
    settled.outcome().await.unwrap();
    drop(line);

    // Asked while nobody is there: it waits with the others.
    client.state().wait_for(|state| matches!(state, State::Waiting { .. } | State::Connecting { .. })).await.unwrap();
    let last = client.submit(&transfer()).await.unwrap();
    let mut line = switch.accept().await;
    assert_eq!(line.sign_on().await, Resume { last_notice: 2, last_system_notice: 1 });
    line.signed_on(3, 2).await;
    assert_eq!(line.payment().await, first.uetr());
    assert_eq!(line.answer().await.1, Status::ACTC);
    assert_eq!(line.answer().await, (no.uetr, Status::RJCT));
    assert_eq!(line.payment().await, last.uetr());

    // 3 and 4 come again, because they were not said to be processed; the library drops them.
    let known = report(first.uetr(), Status::ACSC);
    line.send(&[
        position(3),
        outcome(4, uetr, Status::ACSC),
        known,
        position(5),
        outcome(6, last.uetr(), Status::RJCT),
    ])
    .await;
    assert!(first.outcome().await.unwrap().is_settled());
    assert!(!last.outcome().await.unwrap().is_settled());
    for number in [4, 5, 6] {
        assert_eq!(notices.next().await.unwrap().unwrap().number, number);
    }
    client.close().await;
    assert_eq!(yes.outcome().await, Err(Error::Closed));
}

#[tokio::test]
async fn a_restarted_program_goes_on_behind_what_it_saved() {
    let switch = Switch::new().await;
    let resume = Resume { last_notice: 1206, last_system_notice: 7 };
    let options = Options { resume, processed: Processed::WhenTaken, ..switch.options() };
    let (connected, mut line) = tokio::join!(Client::connect(options), async {
        let mut line = switch.accept().await;
        assert_eq!(line.sign_on().await, resume);
        line.signed_on(1207, 8).await;
        line
    });
    let (client, mut notices) = connected.unwrap();
    line.send(&[position(1206), position(1207), system(7), system(8)]).await;
    let mut taken = Vec::new();
    while taken.len() < 2 {
        notices.next_batch(&mut taken, 10).await.unwrap();
    }
    let numbers: Vec<_> = taken.iter().map(|notice| (notice.feed, notice.number)).collect();
    assert_eq!(numbers, [(Feed::Own, 1207), (Feed::System, 8)]);
    assert_eq!(client.position(), Resume { last_notice: 1207, last_system_notice: 8 });
    client.processed(Feed::Own, 9999);
    assert_eq!(client.position().last_notice, 1207, "what was not received cannot be processed");
}

#[tokio::test]
async fn a_gap_ends_the_client_loudly() {
    for at_sign_on in [false, true] {
        let switch = Switch::new().await;
        let (client, mut notices, mut line) = switch.connected(switch.options()).await;
        line.send(&[position(1)]).await;
        let notice = notices.next().await.unwrap().unwrap();
        notices.processed(&notice);
        let waiting = client.submit(&transfer()).await.unwrap();
        if at_sign_on {
            drop(line);
            let mut line = switch.accept().await;
            line.sign_on().await;
            line.signed_on(3, 1).await;
        } else {
            line.send(&[position(3)]).await;
        }
        let gap = Error::Gap { feed: Feed::Own, expected: 2, got: 3 };
        assert_eq!(notices.next().await.unwrap_err(), gap);
        assert_eq!(waiting.outcome().await.unwrap_err(), gap);
        assert_eq!(client.submit(&transfer()).await.err(), Some(gap.clone()));
        assert!(matches!(&*client.state().borrow(), State::Ended { why } if *why == gap));
        assert_eq!(gap.who_must_act(), Who::Operator);
    }
}

#[tokio::test]
async fn a_superseded_client_ends_and_a_draining_node_is_left_for_the_next() {
    let switch = Switch::new().await;
    let other = Switch::new().await;
    let addresses = [&switch, &other].map(|switch| switch.listener.local_addr().unwrap().to_string());
    let options = Options { addresses: addresses.into(), ..switch.options() };
    let (client, mut notices, mut line) = switch.connected(options).await;
    let transfer = transfer();
    let paying = client.submit(&transfer).await.unwrap();
    let uetr = line.payment().await;
    line.send(&[refused(crate::Kind::CreditTransfer, uetr, Reason::DRAN)]).await;
    line.go_away(Reason::DRAN).await;
    let mut line = other.session().await;
    assert_eq!(line.payment().await, uetr);
    line.send(&[outcome(1, uetr, Status::ACSC)]).await;
    assert!(paying.outcome().await.unwrap().is_settled());
    notices.next().await.unwrap();

    line.go_away(Reason::SUPR).await;
    assert_eq!(client.ended().await, Error::Superseded { text: "because".into() });
    assert!(matches!(notices.next().await, Err(Error::Superseded { .. })));
    assert!(timeout(Duration::from_millis(50), switch.listener.accept()).await.is_err(), "it must not come back");
}

/// Also to nodes that the client has never heard of, and past one that does not answer.
#[tokio::test]
async fn a_client_that_is_sent_away_goes_to_a_node_that_is_named() {
    let (switch, other) = (Switch::new().await, Switch::new().await);
    let (client, _notices, mut line) = switch.connected(switch.options()).await;
    let paying = client.submit(&transfer()).await.unwrap();
    line.payment().await;
    let nobody = Switch::new().await.listener.local_addr().unwrap();
    line.name_nodes(&format!("{nobody},{}", other.listener.local_addr().unwrap())).await;
    let mut line = other.session().await;
    assert_eq!(line.payment().await, paying.uetr());
    line.send(&[outcome(1, paying.uetr(), Status::ACSC)]).await;
    assert!(paying.outcome().await.unwrap().is_settled());
    assert!(timeout(Duration::from_millis(50), switch.listener.accept()).await.is_err(), "it was asked to stay away");
}

#[tokio::test]
async fn connecting_fails_with_the_reason() {
    let switch = Switch::new().await;
    let (refused, ()) = tokio::join!(Client::connect(switch.options()), async {
        let mut line = switch.accept().await;
        line.sign_on().await;
        line.go_away(Reason::AGNT).await;
    });
    assert!(matches!(refused.err(), Some(Error::SentAway { reason: Reason::AGNT, .. })));

    let Switch { listener, .. } = Switch::new().await;
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let options = Options { connect_timeout: Duration::from_millis(60), addresses: vec![address], ..switch.options() };
    let error = Client::connect(options.clone()).await.err().unwrap();
    assert!(matches!(&error, Error::Unreachable { because, .. } if because.contains("127.0.0.1")), "{error}");
    let nowhere = Client::connect(Options { addresses: vec![], ..options }).await;
    assert!(matches!(nowhere.err(), Some(Error::Invalid(_))));
}

#[tokio::test]
async fn silence_is_noticed_and_heartbeats_prevent_it() {
    let switch = Switch::impatient().await;
    let (client, _notices, mut line) = switch.connected(switch.options()).await;
    // Answered heartbeats keep a quiet session alive beyond the limit of silence.
    let started = std::time::Instant::now();
    let mut heartbeats = 0;
    while started.elapsed() < SILENCE_MAX * 2 {
        if line.stream.read_buf(&mut line.input).await.unwrap() > 0 {
            heartbeats += Frames::new(&line.input).count();
            line.input.clear();
            let reply = HeartbeatReply { echo: Timestamp::now(), sent_at: Timestamp::now() };
            line.send(&[Message::HeartbeatReply(reply)]).await;
        }
    }
    assert!(heartbeats >= 3, "{heartbeats}");
    assert!(matches!(&*client.state().borrow(), State::SignedOn { .. }));
    // Unanswered, the client leaves and comes back.
    let mut states = client.state();
    let state = states.wait_for(|state| matches!(state, State::Waiting { .. })).await.unwrap().to_string();
    assert!(state.contains("silent"), "{state}");
    let _line = switch.session().await;
    signed_on(&client).await;
}

#[tokio::test]
async fn hostile_bytes_end_the_connection_and_not_the_client() {
    let switch = Switch::new().await;
    let mut form = Vec::new();
    Message::SignOff(SignOff { sent_at: Timestamp(1) }).encode(&mut form);
    let mut cut = Vec::new();
    outcome(1, Uetr::random(), Status::ACSC).encode(&mut cut);
    cut.truncate(cut.len() - 1);
    let length = cut.len() as u32;
    cut[..4].copy_from_slice(&length.to_le_bytes());
    let hostile: [&[u8]; 5] =
        [b"HTTP/1.1 400 Bad Request\r\n\r\n", &[0; 8], &[9, 0, 0, 0, 0xff, 0xff, 0, 0, 0], &form, &cut];
    let (client, _notices, mut line) = switch.connected(switch.options()).await;
    let paying = client.submit(&transfer()).await.unwrap();
    for bytes in hostile {
        assert_eq!(line.payment().await, paying.uetr());
        line.stream.write_all(bytes).await.unwrap();
        assert_eq!(line.hear(|_| ()).await, None, "{bytes:x?}");
        line = switch.session().await;
    }
    line.payment().await;
    line.send(&[outcome(1, paying.uetr(), Status::ACSC)]).await;
    assert!(paying.outcome().await.unwrap().is_settled());
}

#[tokio::test]
async fn notices_nobody_takes_stop_the_reading_and_lose_nothing() {
    let switch = Switch::impatient().await;
    let options = Options { notices_max: 10, processed: Processed::WhenTaken, ..switch.options() };
    let (client, mut notices, line) = switch.connected(options).await;
    const COUNT: u64 = 200_000;
    let sent = tokio::spawn(async move {
        let mut line = line;
        for number in 1..=COUNT {
            line.send(&[position(number)]).await;
        }
        line
    });
    while client.shared().inbox.length() < 10 {
        tokio::task::yield_now().await;
    }
    // Longer than the limit of silence: a client that does not listen must not call the switch silent.
    tokio::time::sleep(SILENCE_MAX * 2).await;
    let waiting = client.shared().inbox.length();
    assert!(waiting < 20_000, "{waiting} notices are waiting");
    assert!(!sent.is_finished());
    assert!(client.shared().standing().contains("not taken"));
    let mut batch = Vec::new();
    while batch.len() < COUNT as usize {
        notices.next_batch(&mut batch, 1000).await.unwrap();
    }
    assert!(batch.iter().zip(1..).all(|(notice, number)| notice.number == number));
    assert_eq!(client.position().last_notice, COUNT);
    drop((notices, sent.await.unwrap()));
}

#[tokio::test]
async fn who_drops_the_notices_still_hears_outcomes() {
    let switch = Switch::new().await;
    let options = Options { notices_max: 1, ..switch.options() };
    let (client, notices, mut line) = switch.connected(options).await;
    drop(notices);
    for number in 1..=5 {
        let transfer = transfer();
        let (paid, ()) = tokio::join!(client.pay(&transfer), async {
            let uetr = line.payment().await;
            line.send(&[outcome(number, uetr, Status::ACSC)]).await;
        });
        assert!(paid.unwrap().is_settled());
    }
    assert_eq!(client.position().last_notice, 5);
}

#[tokio::test]
async fn signing_off_waits_for_the_goodbye_even_across_a_drop() {
    let switch = Switch::new().await;
    let (client, mut notices, mut line) = switch.connected(switch.options()).await;
    let signing_off = tokio::spawn({
        let client = client.clone();
        async move { client.sign_off().await }
    });
    line.hear(|message| assert!(matches!(message, Message::SignOff(_)))).await.unwrap();
    drop(line);
    let mut line = switch.session().await;
    line.hear(|message| assert!(matches!(message, Message::SignOff(_)))).await.unwrap();
    line.send(&[position(1)]).await;
    line.go_away(Reason::SOFF).await;
    assert_eq!(signing_off.await.unwrap(), Ok(()));
    assert_eq!(notices.next().await.unwrap().unwrap().number, 1);
    assert!(notices.next().await.unwrap().is_none());
    assert_eq!(client.pay(&transfer()).await, Err(Error::SignedOff));
}
