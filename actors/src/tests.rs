//! Actors that die: rebuilt from the book, with nothing lost or doubled, and the others notice nothing.
//!
//! An actor is made to panic by a letter that cannot be: about more money than anyone has. Such a letter stands in no
//! log, so the rebuilt actor knows nothing of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use settlement::{Book, Fact, Key, Payment, Position, Rules, Settled};
use tempfile::TempDir;
use wire::frame::{HEADER_BYTES, decode};
use wire::message::{Answer, CreditTransfer, Party, StatusNotice};
use wire::{BusinessDate, Currency, Frames, Message, MessageId, ParticipantId, Reason, Status, Timestamp, Uetr};

use crate::{Batch, Config, Cursor, Instruction, Line, OwnedOperation, PostOffice, Progress, Switch, host, start};

const PATIENCE: Duration = Duration::from_secs(30);
const FUNDED: i64 = 1_000_000;

/// A switch with participants A, B, C, … and a connection of each.
struct Bench {
    switch: Arc<Switch>,
    ids: Vec<ParticipantId>,
    lines: Vec<Arc<Line>>,
    sequence: u64,
    _directory: TempDir,
}

impl Bench {
    async fn new(participants: usize, participants_per_actor: usize, rules: Rules) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let log = persistence::Config {
            segment_bytes: 1 << 20,
            batch_bytes_max: 256 << 10,
            free_bytes_min: 0,
            ..persistence::Config::new(directory.path())
        };
        let config = Config {
            node: 1,
            log,
            rules,
            participants_per_actor,
            feed_tail_bytes_max: 16 << 20,
            archive: crate::archive::Config::default(),
        };
        let (switch, _) = start(config).await.unwrap();
        let ids: Vec<ParticipantId> = (0..participants).map(|place| format!("BANK-{place}").parse().unwrap()).collect();
        for id in &ids {
            switch.register(*id, Currency::EUR, None).await.unwrap();
            let fund = OwnedOperation::Fund { currency: Currency::EUR, amount_minor: FUNDED, note: "a test".into() };
            switch.operate(*id, fund, None).await.unwrap();
        }
        let mut bench = Bench { switch, ids, lines: Vec::new(), sequence: 0, _directory: directory };
        for place in 0..participants {
            let line = bench.line(place);
            bench.lines.push(line);
        }
        let all_signed_on = || bench.switch.scheme().listings().iter().all(|listing| listing.signed_on);
        bench.until("all have signed on", all_signed_on).await;
        bench
    }

    /// A new connection that signs on.
    fn line(&self, place: usize) -> Arc<Line> {
        let line = Arc::new(Line::new(Key(place as u32), self.ids[place], 64));
        self.switch.connect(&line);
        self.switch.instruct(&line, Arc::new(Batch::sign_on()));
        line
    }

    fn post(&self) -> Arc<PostOffice> {
        self.switch.reign().expect("this node leads")
    }

    fn stamp(&mut self, place: usize) -> (Timestamp, MessageId) {
        self.sequence += 1;
        let now = Timestamp::now();
        (now, MessageId::compose(now.date(), self.ids[place], self.sequence))
    }

    fn submit(&mut self, from: usize, to: usize, amount_minor: i64) -> Uetr {
        let uetr = Uetr::random();
        self.submit_again(from, to, amount_minor, uetr);
        uetr
    }

    fn submit_again(&mut self, from: usize, to: usize, amount_minor: i64, uetr: Uetr) {
        let (created_at, message_id) = self.stamp(from);
        let party = Party { name: "Ada Adler", account: "DE02100100100006820101" };
        let transfer = CreditTransfer {
            message_id: message_id.as_str(),
            created_at,
            uetr,
            debtor_agent: self.ids[from],
            creditor_agent: self.ids[to],
            amount_minor,
            currency: Currency::EUR,
            end_to_end_id: "NOTPROVIDED",
            instruction_id: None,
            debtor: party,
            creditor: party,
            remittance_information: None,
        };
        self.instruct(from, &Message::CreditTransfer(transfer));
    }

    fn say_yes(&mut self, place: usize, from: usize, uetr: Uetr) {
        let (created_at, message_id) = self.stamp(place);
        let (debtor_agent, status, reason) = (self.ids[from], Status::ACTC, Reason::NONE);
        let message_id = message_id.as_str();
        let answer =
            Answer { message_id, created_at, uetr, debtor_agent, status, reason, additional_information: None };
        self.instruct(place, &Message::Answer(answer));
    }

    fn instruct(&self, place: usize, message: &Message<'_>) {
        let mut frame = Vec::new();
        message.encode(&mut frame);
        let item = Instruction::take(message, HEADER_BYTES..frame.len(), &frame, self.ids[place]).unwrap().unwrap();
        self.switch.instruct(&self.lines[place], Arc::new(Batch { bytes: frame, items: vec![item] }));
    }

    /// What stands in its mailbox before this is done, what stands behind it is lost with it.
    fn kill(&self, place: usize) {
        let key = Key(place as u32);
        let payment = Payment {
            debtor: key,
            creditor: key,
            uetr: Uetr::random(),
            amount_minor: i64::MAX / 8,
            currency: Currency::EUR,
            message_id: MessageId::compose(Timestamp::now().date(), self.ids[place], 1),
            original: None,
        };
        let settled = Settled { at: Timestamp(0), payment, status: Status::ACSC, settlement_date: BusinessDate::NONE };
        let letters = vec![(key, Fact::Settled(settled))];
        self.post().send(self.post().seat(key), host::Message::Letters(letters));
    }

    fn restarts(&self) -> u64 {
        self.switch.traffic().restarts.all()
    }

    /// Waits until a connection is told to end.
    async fn until_ended(&self, place: usize) {
        let ending = tokio::time::timeout(PATIENCE, self.lines[place].until_ended()).await.expect("its end");
        assert_eq!(ending.reason, Reason::DRAN, "{}", ending.text);
    }

    async fn book<T: Send + 'static>(&self, read: impl FnOnce(&Book) -> T + Send + 'static) -> T {
        self.post().query(read).await.unwrap()
    }

    /// Waits until nothing is in process.
    async fn until_quiet(&self) {
        let left = self.switch.wait_for_quiet(PATIENCE).await.unwrap();
        assert_eq!(left, 0, "payments are left without an outcome");
    }

    async fn positions(&self) -> Vec<Position> {
        self.book(|book| book.participants().iter().map(|own| *own.position(Currency::EUR).unwrap()).collect()).await
    }

    /// Every final status that a participant was told, by payment; none of them twice.
    fn told(&self, place: usize) -> HashMap<Uetr, Status> {
        let mut told = HashMap::new();
        self.read_feed(place, |message| {
            if let Message::StatusNotice(StatusNotice { uetr, status, .. }) = message {
                assert_eq!(told.insert(uetr, status), None, "{uetr} ended twice");
            }
        });
        told
    }

    /// Waits until a payment is offered to a participant. Its letter is delivered then, as sessions do it.
    async fn until_offered(&self, place: usize, wanted: Uetr) {
        self.until("a payment is offered", || {
            let mut offered = false;
            self.read_feed(place, |message| {
                offered |= matches!(message, Message::TransferNotice(notice) if notice.transfer.uetr == wanted);
            });
            offered
        })
        .await;
        self.switch.deliver();
    }

    async fn until_told(&self, place: usize, wanted: Uetr) {
        self.until("an outcome is told", || self.told(place).contains_key(&wanted)).await;
    }

    async fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let patience = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < patience, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn read_feed(&self, place: usize, mut take: impl FnMut(Message<'_>)) {
        let feed = self.switch.feeds.of(Key(place as u32)).unwrap();
        let (mut cursor, mut bytes) = (Cursor::after(0), Vec::new());
        while feed.read(&mut cursor, usize::MAX, &mut bytes) == Progress::More {}
        for (number, frame) in Frames::new(&bytes).enumerate() {
            let frame = frame.unwrap();
            assert_eq!(frame.body[..8], (number as u64 + 1).to_le_bytes(), "a feed has no gap");
            take(decode(frame.kind, frame.body).unwrap());
        }
    }

    /// Money only moved, nothing is reserved, and the live actors hold what the book holds: each can send exactly what
    /// the book says is available, and not one cent more.
    async fn check(&mut self) {
        let positions = self.positions().await;
        assert_eq!(positions.iter().map(|position| position.net).sum::<i64>(), 0);
        assert!(positions.iter().all(|position| position.reserved == 0), "{positions:?}");
        for (place, position) in positions.iter().enumerate() {
            let to = (place + 1) % positions.len();
            let all = position.available();
            let wholly = (all > 0).then(|| self.submit(place, to, all));
            let beyond = self.submit(place, to, if all > 0 { 1 } else { all + 1 });
            self.until_told(place, beyond).await;
            assert_eq!(self.told(place)[&beyond], Status::RJCT, "{place} can send more than it has");
            if let Some(wholly) = wholly {
                assert_eq!(self.told(place).get(&wholly), None, "{place} cannot send all it has");
                self.until_offered(to, wholly).await;
                self.say_yes(to, place, wholly);
                self.until_told(place, wholly).await;
                // And back again, so that the next one starts from what was read.
                let back = self.submit(to, place, all);
                self.until_offered(place, back).await;
                self.say_yes(place, to, back);
                self.until_told(to, back).await;
            }
        }
        assert_eq!(self.positions().await, positions);
    }
}

fn patient() -> Rules {
    Rules { payment_timeout: Duration::from_secs(600), ..Rules::default() }
}

#[tokio::test]
async fn an_actor_that_dies_is_rebuilt_and_the_others_notice_nothing() {
    const A: usize = 0;
    const B: usize = 1;
    const C: usize = 2;
    let mut bench = Bench::new(3, 1, patient()).await;
    let before = bench.submit(C, A, 300);
    bench.until_offered(A, before).await;
    bench.say_yes(A, C, before);
    // B is the creditor agent of one payment in process and the debtor agent of another.
    let to_b = bench.submit(A, B, 50);
    let from_b = bench.submit(B, C, 70);
    bench.until_offered(B, to_b).await;
    bench.until_offered(C, from_b).await;

    bench.kill(B);
    // These lie behind it in the dying actor's mailbox, and in front of its rebuilt one.
    bench.say_yes(B, A, to_b);
    let lost = bench.submit(B, A, 20);
    let meanwhile = bench.submit(A, B, 30);
    bench.say_yes(C, B, from_b);
    bench.until_ended(B).await;
    assert_eq!(bench.restarts(), 1);

    // B comes back and sends again what has no outcome.
    bench.lines[B] = bench.line(B);
    bench.say_yes(B, A, to_b);
    bench.until_offered(B, meanwhile).await;
    bench.say_yes(B, A, meanwhile);
    bench.submit_again(B, C, 70, from_b);
    bench.submit_again(B, A, 20, lost);
    bench.until_offered(A, lost).await;
    bench.say_yes(A, B, lost);
    for uetr in [to_b, from_b, meanwhile, lost] {
        bench.until_told(B, uetr).await;
    }
    bench.until_quiet().await;

    for (place, payments) in
        [(A, [before, to_b, meanwhile, lost].as_slice()), (B, &[to_b, from_b, meanwhile, lost]), (C, &[before, from_b])]
    {
        let told = bench.told(place);
        assert!(told.len() == payments.len() && payments.iter().all(|uetr| told[uetr] == Status::ACSC), "{told:?}");
    }
    let net: Vec<i64> = bench.positions().await.iter().map(|position| position.net).collect();
    assert_eq!(net, [300 - 50 - 30 + 20, 50 - 70 + 30 - 20, 70 - 300]);
    for place in [A, C] {
        assert_eq!(bench.lines[place].ending(), None, "the connection of another was ended");
    }
    bench.check().await;
}

/// What comes into the very batch behind which the book is read waits for the rebuilt actor, which must not have read it
/// there already.
#[tokio::test]
async fn a_rebuilt_actor_hears_of_nothing_twice() {
    const A: usize = 0;
    const B: usize = 1;
    let mut bench = Bench::new(2, 1, patient()).await;
    let from_b = bench.submit(B, A, 70);
    bench.until_offered(A, from_b).await;
    // As long as the journal stands still, everything shares one batch.
    let (go_on, stands_still) = std::sync::mpsc::channel::<()>();
    bench.post().ask_book(move |_| _ = stands_still.recv()).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    bench.kill(B);
    bench.until("the actor is vacated", || bench.restarts() == 1).await;
    bench.say_yes(A, B, from_b);
    bench.lines[B] = bench.line(B);
    let to_b = bench.submit(A, B, 50);
    // It knows the UETR from elsewhere and does not wait for the offer.
    bench.say_yes(B, A, to_b);
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(go_on);

    bench.until_told(B, from_b).await;
    bench.until_offered(B, to_b).await;
    for _ in 0..3 {
        bench.say_yes(B, A, to_b);
    }
    bench.until_told(B, to_b).await;
    bench.check().await;
    assert_eq!(bench.restarts(), 1, "the rebuilt actor died of what it heard");
}

/// A deadline that was armed in an actor that died passes in the one that took its place.
#[tokio::test]
async fn deadlines_outlive_their_actor() {
    let rules = Rules {
        payment_timeout: Duration::from_secs(2),
        creditor_share: Duration::from_millis(10),
        ..Rules::default()
    };
    let mut bench = Bench::new(2, 1, rules).await;
    let uetr = bench.submit(0, 1, 10);
    bench.until_offered(1, uetr).await;
    bench.kill(1);
    bench.kill(0);
    bench.until_ended(0).await;
    bench.until_ended(1).await;
    bench.until_told(0, uetr).await;
    bench.until_told(1, uetr).await;
    assert_eq!((bench.told(0)[&uetr], bench.told(1)[&uetr]), (Status::RJCT, Status::RJCT));
    for place in [0, 1] {
        bench.lines[place] = bench.line(place);
    }
    bench.check().await;
}

/// Kills at every turn, with one and with several participants in an actor.
#[tokio::test]
async fn actors_that_die_again_and_again_lose_and_double_nothing() {
    const PARTICIPANTS: usize = 5;
    for participants_per_actor in [1, 2, 5] {
        let mut bench = Bench::new(PARTICIPANTS, participants_per_actor, patient()).await;
        let mut payments = Vec::new();
        for round in 0..60_usize {
            for step in 0..PARTICIPANTS {
                let (from, to) = (step, (step + 1 + round % (PARTICIPANTS - 1)) % PARTICIPANTS);
                payments.push((from, to, 1 + (round * 7 + step) as i64, Uetr::random()));
                let (from, to, amount, uetr) = payments[payments.len() - 1];
                bench.submit_again(from, to, amount, uetr);
                if round % 3 == step % 3 {
                    bench.kill(round % PARTICIPANTS);
                }
                let (from, to, _, uetr) = payments[payments.len() * 2 / 3];
                bench.say_yes(to, from, uetr);
                // Sometimes everything is decided before the next step, sometimes mailboxes fill.
                if round % 2 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            reconnect(&mut bench).await;
        }
        // Send again what has no outcome until all have one.
        let patience = Instant::now() + PATIENCE;
        loop {
            let told: Vec<_> = (0..PARTICIPANTS).map(|place| bench.told(place)).collect();
            let open: Vec<_> = payments.iter().filter(|(from, _, _, uetr)| !told[*from].contains_key(uetr)).collect();
            if open.is_empty() {
                break;
            }
            assert!(Instant::now() < patience, "{} payments never end", open.len());
            for (from, to, amount, uetr) in open {
                bench.submit_again(*from, *to, *amount, *uetr);
                bench.say_yes(*to, *from, *uetr);
            }
            bench.book(|_| ()).await;
            for (from, to, _, uetr) in &payments {
                if !told[*from].contains_key(uetr) {
                    bench.say_yes(*to, *from, *uetr);
                }
            }
            bench.book(|_| ()).await;
            reconnect(&mut bench).await;
        }
        bench.until_quiet().await;
        let told: Vec<_> = (0..PARTICIPANTS).map(|place| bench.told(place)).collect();
        let mut net = [0; PARTICIPANTS];
        for (from, to, amount, uetr) in &payments {
            assert_eq!((told[*from][uetr], told[*to][uetr]), (Status::ACSC, Status::ACSC));
            net[*from] -= amount;
            net[*to] += amount;
        }
        let own: Vec<i64> = bench.positions().await.iter().map(|position| position.net).collect();
        assert_eq!(own, net);
        println!("{participants_per_actor} per actor: {} payments, {} restarts", payments.len(), bench.restarts());
        assert!(bench.restarts() > 20, "only {} restarts", bench.restarts());
        bench.check().await;
    }
}

/// New connections for those whose was ended.
async fn reconnect(bench: &mut Bench) {
    bench.book(|_| ()).await;
    for place in 0..bench.lines.len() {
        if bench.lines[place].ending().is_some() {
            bench.lines[place] = bench.line(place);
        }
    }
}
