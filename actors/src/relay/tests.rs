//! Nodes against each other, over a wire that loses, refuses and delays what the test says.
//!
//! Each node has a log of its own, with the same participants in it: nothing is replicated here. Who leads is what the
//! test says, in place of the journals.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use persistence::{NodeId, Standing};
use settlement::{Book, Fact, Key, Rules, State};
use tempfile::TempDir;
use wire::frame::decode;
use wire::message::{Answer, CreditTransfer, Party, SignOff, StatusRequest};
use wire::{Currency, Frames, Message, MessageId, ParticipantId, Reason, Status, Timestamp, Uetr};

use super::{AskError, Wire, message};
use crate::switch::build;
use crate::throne::Throne;
use crate::{Batch, Config, Cursor, Line, OwnedOperation, Progress, Switch};

const PATIENCE: Duration = Duration::from_secs(30);
const FUNDED: i64 = 1_000_000;
const BANKS: usize = 4;

/// All wires together.
#[derive(Default)]
struct Net(Mutex<UnderWay>);

#[derive(Default)]
struct UnderWay {
    under_way: VecDeque<(NodeId, NodeId, Vec<u8>)>,
    /// How many of the next messages of a kind between two nodes get lost.
    lose: HashMap<(NodeId, NodeId, u8), usize>,
    /// Connections that take nothing, and those that keep what they took.
    full: Vec<(NodeId, NodeId)>,
    held: Vec<(NodeId, NodeId)>,
    lost: usize,
    refused: usize,
}

struct End(NodeId, Arc<Net>);

impl Wire for End {
    fn send(&self, to: NodeId, message: Vec<u8>) -> bool {
        let End(from, net) = self;
        let mut net = net.0.lock();
        if net.full.contains(&(*from, to)) {
            net.refused += 1;
            return false;
        }
        assert!(message.len() <= message::MESSAGE_BYTES_MAX);
        if let Some(left) = net.lose.get_mut(&(*from, to, message[0])).filter(|left| **left > 0) {
            *left -= 1;
            net.lost += 1;
            return true;
        }
        net.under_way.push_back((*from, to, message));
        true
    }
}

const INSTRUCTIONS: u8 = 5;
const REPLIES: u8 = 7;

struct Cluster {
    net: Arc<Net>,
    nodes: Vec<(Arc<Switch>, Throne)>,
    ids: Vec<ParticipantId>,
    sequence: u64,
    _directories: Vec<TempDir>,
}

impl Cluster {
    /// Three nodes; the first leads.
    async fn new() -> Cluster {
        Cluster::with(Rules { payment_timeout: Duration::from_secs(600), ..Rules::default() }).await
    }

    async fn with(rules: Rules) -> Cluster {
        let net = Arc::<Net>::default();
        let ids: Vec<ParticipantId> = (0..BANKS).map(|place| format!("BANK-{place}").parse().unwrap()).collect();
        let (mut nodes, mut directories) = (Vec::new(), Vec::new());
        for node in 1..=3 {
            let directory = tempfile::tempdir().unwrap();
            let log = persistence::Config {
                segment_bytes: 1 << 20,
                batch_bytes_max: 256 << 10,
                free_bytes_min: 0,
                ..persistence::Config::new(directory.path())
            };
            let config = Config {
                node,
                log,
                rules: rules.clone(),
                participants_per_actor: 2,
                feed_tail_bytes_max: 16 << 20,
                archive: crate::archive::Config::default(),
            };
            let (switch, _, throne) = build(config, Arc::new(End(node, net.clone())), persistence::Nobody).unwrap();
            switch.until_reign().await.unwrap();
            for id in &ids {
                switch.register(*id, Currency::EUR, None).await.unwrap();
                let note = "a test".into();
                let fund = OwnedOperation::Fund { currency: Currency::EUR, amount_minor: FUNDED, note };
                switch.operate(*id, fund, None).await.unwrap();
            }
            nodes.push((switch, throne));
            directories.push(directory);
        }
        let cluster = Cluster { net, nodes, ids, sequence: 0, _directories: directories };
        for node in [1, 2, 3] {
            for bank in 0..BANKS {
                let line = cluster.connected(node, bank).await;
                cluster.switch(node).disconnect(&line);
            }
            cluster.depose(node).await;
        }
        for (switch, _) in &cluster.nodes {
            switch.relay.set_members([1, 2, 3].into());
        }
        for (one, other) in [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)] {
            cluster.switch(one).relay.link_up(other);
        }
        cluster.crown(1).await;
        cluster
    }

    fn switch(&self, node: NodeId) -> &Arc<Switch> {
        &self.nodes[node as usize - 1].0
    }

    /// Tells a node that it leads no more. What its actors have not decided yet, they never will.
    fn dethrone(&self, node: NodeId) {
        let (switch, throne) = &self.nodes[node as usize - 1];
        let standing = Standing { leads: false, leader: None, ..switch.standing() };
        throne.standing(standing, &Book::default());
    }

    async fn depose(&self, node: NodeId) {
        self.dethrone(node);
        self.until("it follows", || self.switch(node).reign().is_none()).await;
        self.switch(node).until_reign_ends().await;
    }

    /// Lets a node lead, and tells it so; the others hear it from the node.
    async fn crown(&self, node: NodeId) {
        self.nodes.iter().for_each(|(switch, _)| switch.dispatch().forget_terms());
        let (switch, throne) = &self.nodes[node as usize - 1];
        let book = switch.read(Book::clone).await.unwrap();
        let standing = Standing { leads: true, leader: Some(node), ..switch.standing() };
        throne.standing(standing, &book);
        self.until("it reigns", || self.switch(node).reign().is_some()).await;
        if self.net.0.lock().full.is_empty() {
            let follows = |switch: &Arc<Switch>| switch.relay.leader().is_some_and(|(_, leader)| leader == node);
            self.until("all follow", || self.nodes.iter().all(|(switch, _)| switch.node() == node || follows(switch)))
                .await;
        }
    }

    /// Brings everything that is under way, and may go on, to its end.
    fn pump(&self) {
        let mut kept = VecDeque::new();
        loop {
            let Some((from, to, message)) = self.net.0.lock().under_way.pop_front() else { break };
            if self.net.0.lock().held.contains(&(from, to)) {
                kept.push_back((from, to, message));
            } else {
                self.switch(to).relay.receive(from, &message).unwrap();
            }
        }
        self.net.0.lock().under_way = kept;
    }

    async fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let patience = Instant::now() + PATIENCE;
        loop {
            self.pump();
            if condition() {
                return;
            }
            assert!(Instant::now() < patience, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Lets everything come to rest.
    async fn settle(&self) {
        for _ in 0..3 {
            for (switch, _) in &self.nodes {
                self.pump();
                if let Some(post) = switch.reign() {
                    post.query(|_| ()).await.unwrap();
                }
                self.pump();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A connection of a bank to a node, that signs on.
    fn connect(&self, node: NodeId, bank: usize) -> Arc<Line> {
        let line = Arc::new(Line::new(Key(bank as u32), self.ids[bank], 1024));
        self.switch(node).connect(&line);
        self.switch(node).instruct(&line, Arc::new(Batch::sign_on()));
        line
    }

    async fn connected(&self, node: NodeId, bank: usize) -> Arc<Line> {
        let line = self.connect(node, bank);
        self.until("it has signed on", || line.outstanding() == 0).await;
        line
    }

    fn instruct(&self, node: NodeId, line: &Arc<Line>, messages: &[Message<'_>]) {
        let mut batch = Batch::default();
        messages.iter().for_each(|message| message.encode(&mut batch.bytes));
        batch.decode(line.participant(), |_| {});
        self.switch(node).instruct(line, Arc::new(batch));
    }

    fn stamp(&mut self, bank: usize) -> (Timestamp, MessageId) {
        self.sequence += 1;
        let now = Timestamp::now();
        (now, MessageId::compose(now.date(), self.ids[bank], self.sequence))
    }

    /// Payments of one each, in one batch.
    fn pay(&mut self, node: NodeId, line: &Arc<Line>, to: usize, count: usize) -> Vec<Uetr> {
        let uetrs: Vec<_> = (0..count).map(|_| Uetr::random()).collect();
        self.pay_these(node, line, to, &uetrs);
        uetrs
    }

    /// The same payments whenever they are sent.
    fn pay_these(&mut self, node: NodeId, line: &Arc<Line>, to: usize, uetrs: &[Uetr]) {
        let from = line.key().place();
        let stamps: Vec<_> = uetrs.iter().map(|_| self.stamp(from)).collect();
        let party = Party { name: "Ada Adler", account: "DE02100100100006820101" };
        let mut transfers = Vec::new();
        for (uetr, (created_at, message_id)) in uetrs.iter().zip(&stamps) {
            transfers.push(Message::CreditTransfer(CreditTransfer {
                message_id: message_id.as_str(),
                created_at: *created_at,
                uetr: *uetr,
                debtor_agent: self.ids[from],
                creditor_agent: self.ids[to],
                amount_minor: 1,
                currency: Currency::EUR,
                end_to_end_id: "NOTPROVIDED",
                instruction_id: None,
                debtor: party,
                creditor: party,
                remittance_information: None,
            }));
        }
        self.instruct(node, line, &transfers);
    }

    fn answer(&mut self, node: NodeId, line: &Arc<Line>, from: usize, uetr: Uetr, status: Status) {
        let (created_at, message_id) = self.stamp(line.key().place());
        let reason = if status == Status::RJCT { Reason::AC04 } else { Reason::NONE };
        let (message_id, debtor_agent) = (message_id.as_str(), self.ids[from]);
        let answer =
            Answer { message_id, created_at, uetr, debtor_agent, status, reason, additional_information: None };
        self.instruct(node, line, &[Message::Answer(answer)]);
    }

    fn ask(&mut self, node: NodeId, line: &Arc<Line>, from: usize, uetr: Uetr) {
        let debtor_agent = self.ids[from];
        self.instruct(node, line, &[Message::StatusRequest(StatusRequest { uetr, debtor_agent })]);
    }

    /// The payments that a bank was offered, in the feed of a node, in order.
    fn offered(&self, node: NodeId, bank: usize) -> Vec<Uetr> {
        let feed = self.switch(node).feeds.of(Key(bank as u32)).unwrap();
        let (mut cursor, mut bytes) = (Cursor::after(0), Vec::new());
        while feed.read(&mut cursor, usize::MAX, &mut bytes) == Progress::More {}
        let mut offered = Vec::new();
        for frame in Frames::new(&bytes) {
            let frame = frame.unwrap();
            if let Message::TransferNotice(notice) = decode(frame.kind, frame.body).unwrap() {
                offered.push(notice.transfer.uetr);
            }
        }
        offered
    }

    async fn state(&self, node: NodeId, bank: usize, uetr: Uetr) -> Option<State> {
        let read = move |book: &Book| book.participant(Key(bank as u32))?.payment(uetr).map(|record| record.state);
        self.switch(node).read(read).await.unwrap()
    }
}

/// What a connection was told besides its feed: the kind and the reason of a refusal, or the status of a report.
fn replies(line: &Line) -> Vec<String> {
    let mut bytes = Vec::new();
    line.take_direct(&mut bytes);
    let told = |frame: Result<wire::frame::Frame<'_>, wire::Error>| {
        let frame = frame.unwrap();
        match decode(frame.kind, frame.body).unwrap() {
            Message::Refused(refused) => format!("refused {}", refused.reason),
            Message::StatusReport(report) => format!("report {}", report.status),
            other => panic!("{other:?}"),
        }
    };
    Frames::new(&bytes).map(told).collect()
}

#[tokio::test]
async fn what_is_asked_of_one_node_is_done_by_the_one_that_leads() {
    let mut cluster = Cluster::new().await;
    let debtor = cluster.connected(2, 0).await;
    let creditor = cluster.connected(3, 1).await;
    let uetrs = cluster.pay(2, &debtor, 1, 3);
    cluster.until("they are done", || debtor.outstanding() == 0).await;
    assert_eq!(cluster.offered(1, 1), uetrs);
    for uetr in &uetrs {
        cluster.answer(3, &creditor, 0, *uetr, Status::ACTC);
    }
    cluster.ask(2, &debtor, 0, uetrs[0]);
    cluster.until("all is done", || debtor.outstanding() + creditor.outstanding() == 0).await;
    assert_eq!((replies(&debtor), replies(&creditor).len()), (vec!["report ACSC".to_string()], 0));
    for uetr in uetrs {
        assert_eq!(cluster.state(1, 0, uetr).await, Some(State::Settled));
        assert_eq!(cluster.state(2, 0, uetr).await, None);
    }
    assert!(cluster.switch(1).connected().is_empty());
}

/// The outcome may come to a node before the leader's earlier word that the payment is in process: then the node tells the
/// outcome in its place, for its own book has it. What is behind it waits, so that nothing is counted as done before.
#[tokio::test]
async fn a_word_of_the_leader_that_the_outcome_has_overtaken_is_not_told() {
    let mut cluster = Cluster::new().await;
    // The book of the node knows how two payments ended, and that a third is in process; of the rest it has not heard.
    cluster.depose(1).await;
    cluster.crown(2).await;
    let (debtor, creditor) = (cluster.connected(2, 0).await, cluster.connected(2, 1).await);
    let mut uetrs = cluster.pay(2, &debtor, 1, 3);
    cluster.until("they are offered", || cluster.offered(2, 1) == uetrs).await;
    for (uetr, status) in uetrs.iter().zip([Status::ACTC, Status::RJCT]) {
        cluster.answer(2, &creditor, 0, *uetr, status);
    }
    cluster.until("they ended", || debtor.outstanding() + creditor.outstanding() == 0).await;
    cluster.switch(2).disconnect(&debtor);
    cluster.switch(2).disconnect(&creditor);
    cluster.depose(2).await;
    cluster.crown(1).await;

    // To the leader all of them are in process.
    uetrs.push(Uetr::random());
    let debtor = cluster.connected(1, 0).await;
    cluster.connected(1, 1).await;
    cluster.pay_these(1, &debtor, 1, &uetrs);
    cluster.until("they are done", || debtor.outstanding() == 0).await;
    let uninvolved = cluster.connected(2, 2).await;
    let debtor = cluster.connected(2, 0).await;
    cluster.pay_these(2, &debtor, 1, &uetrs);
    cluster.ask(2, &debtor, 0, uetrs[1]);
    cluster.ask(2, &debtor, 0, Uetr::random());
    cluster.ask(2, &uninvolved, 0, uetrs[0]);
    cluster.until("all is done", || debtor.outstanding() + uninvolved.outstanding() == 0).await;
    let told = ["report ACSC", "report RJCT", "report ACSP", "report ACSP", "report RJCT", "refused AG09"];
    assert_eq!(replies(&debtor), told);
    assert_eq!(replies(&uninvolved), ["refused AG09"]);
}

/// While this node's book is asked, another takes the lead: what was not told is asked again, and counted once.
#[tokio::test]
async fn a_word_that_was_not_told_yet_is_asked_of_the_next_leader() {
    let mut cluster = Cluster::new().await;
    let debtor = cluster.connected(2, 0).await;
    cluster.connected(1, 1).await;
    let uetrs = cluster.pay(2, &debtor, 1, 2);
    cluster.until("they are done", || debtor.outstanding() == 0).await;
    // The thread of the node's journal is kept busy while the leader's replies come in.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let switch = cluster.switch(2).clone();
    let busy = tokio::spawn(async move { switch.read(move |_| held.recv().is_ok()).await });
    tokio::task::yield_now().await;
    cluster.pay_these(2, &debtor, 1, &uetrs);
    cluster.pay(2, &debtor, 1, 1);
    cluster.settle().await;
    assert_eq!((debtor.outstanding(), replies(&debtor).len()), (3, 0));
    cluster.depose(1).await;
    cluster.crown(3).await;
    release.send(()).unwrap();
    assert!(busy.await.unwrap().unwrap());
    cluster.until("all is done", || debtor.outstanding() == 0).await;
    cluster.settle().await;
    // Each node has a log of its own here: to this one they are new.
    assert_eq!((replies(&debtor).len(), cluster.offered(3, 1).len()), (0, 3));
}

/// Whatever gets lost, on the way there or back, is noticed; everything goes again, in order, and happens once.
#[tokio::test]
async fn what_gets_lost_goes_again_and_happens_once() {
    for (from, to, kind) in [(2, 1, INSTRUCTIONS), (1, 2, REPLIES)] {
        for lost in 1..4 {
            let mut cluster = Cluster::new().await;
            let debtor = cluster.connected(2, 0).await;
            cluster.connected(1, 1).await;
            let mut uetrs = Vec::new();
            cluster.net.0.lock().lose.insert((from, to, kind), lost);
            for count in [3, 1, 100, 2, 1] {
                uetrs.extend(cluster.pay(2, &debtor, 1, count));
                cluster.settle().await;
            }
            cluster.until("all is done", || debtor.outstanding() == 0).await;
            assert_eq!(cluster.offered(1, 1), uetrs, "{lost} lost from {from} to {to}");
            assert_eq!(cluster.net.0.lock().lost, lost, "it was not lost");
            assert_eq!(debtor.ending(), None);
            // What was done already when it came again is answered as a repeat.
            let repeats = replies(&debtor);
            assert!(repeats.iter().all(|reply| reply == "report ACSP"), "{repeats:?}");
            assert_eq!(repeats.is_empty(), kind == INSTRUCTIONS, "{repeats:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_comes_up_again_begins_anew() {
    let mut cluster = Cluster::new().await;
    let debtor = cluster.connected(2, 0).await;
    cluster.connected(1, 1).await;
    // The last messages before a break are lost, and nothing follows that would show it.
    cluster.net.0.lock().lose.insert((2, 1, INSTRUCTIONS), 1);
    let mut uetrs = cluster.pay(2, &debtor, 1, 2);
    cluster.settle().await;
    assert_eq!(debtor.outstanding(), 2);
    cluster.switch(2).relay.link_up(1);
    cluster.until("it is done", || debtor.outstanding() == 0).await;

    cluster.net.0.lock().lose.insert((1, 2, REPLIES), 1);
    uetrs.extend(cluster.pay(2, &debtor, 1, 2));
    cluster.settle().await;
    assert_eq!(debtor.outstanding(), 2);
    cluster.switch(1).relay.link_down(2);
    cluster.switch(1).relay.link_up(2);
    cluster.until("it is done", || debtor.outstanding() == 0).await;
    assert_eq!(cluster.offered(1, 1), uetrs);
}

/// Whoever is not connected is not tried again and again; it is told when it connects.
#[tokio::test]
async fn a_node_that_is_gone_is_left_alone() {
    let mut cluster = Cluster::new().await;
    let debtor = cluster.connected(2, 0).await;
    cluster.connected(1, 1).await;
    // Its last words come, but nothing goes back any more.
    cluster.net.0.lock().full.push((1, 2));
    cluster.switch(1).relay.link_down(2);
    let uetrs = cluster.pay(2, &debtor, 1, 2);
    cluster.until("it is offered", || cluster.offered(1, 1) == uetrs).await;
    cluster.until("a reply is refused", || cluster.net.0.lock().refused > 0).await;
    cluster.settle().await;
    let refused = cluster.net.0.lock().refused;
    cluster.settle().await;
    assert_eq!(cluster.net.0.lock().refused, refused);

    cluster.net.0.lock().full.clear();
    cluster.switch(1).relay.link_up(2);
    cluster.until("it is done", || debtor.outstanding() == 0).await;
    assert_eq!(cluster.offered(1, 1), uetrs);
}

/// A connection between nodes that comes and goes: what still waits for its actor is asked again, and decided once.
#[tokio::test]
async fn what_is_asked_again_is_decided_once() {
    let mut cluster = Cluster::new().await;
    let debtor = cluster.connected(2, 0).await;
    cluster.connected(1, 1).await;
    let uetrs = cluster.pay(2, &debtor, 1, 200);
    // No actor runs meanwhile: the test has the only thread.
    for _ in 0..5 {
        cluster.pump();
        cluster.switch(2).relay.link_up(1);
    }
    cluster.until("all is done", || debtor.outstanding() == 0).await;
    cluster.settle().await;
    assert_eq!(cluster.offered(1, 1), uetrs);
    assert_eq!(replies(&debtor), Vec::<String>::new());
}

/// Nothing is lost and nothing overtakes when a connection takes no more for a while, in either direction.
#[tokio::test]
async fn a_full_wire_only_delays() {
    for full in [(2, 1), (1, 2)] {
        let mut cluster = Cluster::new().await;
        let debtor = cluster.connected(2, 0).await;
        cluster.connected(1, 1).await;
        let mut uetrs = cluster.pay(2, &debtor, 1, 2);
        cluster.net.0.lock().full.push(full);
        for count in [1, 3] {
            uetrs.extend(cluster.pay(2, &debtor, 1, count));
            cluster.settle().await;
        }
        let another = cluster.connect(2, 2);
        cluster.settle().await;
        assert!(debtor.outstanding() >= 4 && another.outstanding() == 1);
        assert!(cluster.net.0.lock().refused > 2);
        cluster.switch(2).disconnect(&another);
        cluster.net.0.lock().full.clear();
        uetrs.extend(cluster.pay(2, &debtor, 1, 1));
        cluster.until("all is done", || debtor.outstanding() == 0).await;
        assert_eq!(cluster.offered(1, 1), uetrs, "{full:?}");
    }
}

/// The leader goes before it has decided; the next one is asked. What the first still says is not heard.
#[tokio::test]
async fn the_next_leader_is_asked_what_the_last_one_has_not_done() {
    let mut cluster = Cluster::new().await;
    let debtor = cluster.connected(2, 0).await;
    let own = cluster.connected(1, 3).await;
    let next_creditor = cluster.connected(3, 1).await;
    let done = cluster.pay(2, &debtor, 1, 70);
    cluster.until("it is done", || debtor.outstanding() == 0).await;

    // Replies of the first leader stay under way while it is replaced.
    cluster.net.0.lock().held.push((1, 2));
    let late = cluster.pay(2, &debtor, 1, 3);
    cluster.settle().await;
    assert_eq!((cluster.offered(1, 1).len(), debtor.outstanding()), (73, 3));
    let undecided = cluster.pay(2, &debtor, 1, 5);
    let own_undecided = cluster.pay(1, &own, 1, 2);
    cluster.pump();
    cluster.dethrone(1);
    let between = cluster.pay(2, &debtor, 1, 2);
    cluster.depose(1).await;
    let own_between = cluster.pay(1, &own, 1, 1);
    cluster.settle().await;
    assert_eq!((debtor.outstanding(), own.outstanding()), (10, 3));

    cluster.crown(3).await;
    cluster.net.0.lock().held.clear();
    cluster.until("all is done", || debtor.outstanding() + own.outstanding() == 0).await;
    assert!([&debtor, &own, &next_creditor].iter().all(|line| line.ending().is_none()));
    let offered = cluster.offered(3, 1);
    let of = |bank: u32, uetrs: Vec<Uetr>| {
        let read = move |book: &Book| {
            let own = book.participant(Key(bank)).unwrap();
            uetrs.into_iter().filter(|uetr| own.payment(*uetr).is_some()).collect::<Vec<_>>()
        };
        cluster.switch(3).read(read)
    };
    assert_eq!(of(0, offered.clone()).await.unwrap(), [late, undecided, between].concat());
    assert_eq!(of(3, offered.clone()).await.unwrap(), [own_undecided, own_between].concat());
    assert_eq!(offered.len(), 13);
    assert_eq!(of(0, done).await.unwrap(), [], "what was done is not asked again");
}

/// A refusal that was told is final: whoever leads next is not asked to do what the participant thinks was refused.
#[tokio::test]
async fn what_was_refused_and_told_so_is_never_asked_again() {
    let mut cluster = Cluster::new().await;
    let debtor = cluster.connected(2, 0).await;
    cluster.connected(3, 1).await;
    cluster.switch(1).drain();
    // More than are decided in one go; the replies to the second half stay under way.
    let uetrs = cluster.pay(2, &debtor, 1, 100);
    cluster.until("something is told", || debtor.outstanding() < 100).await;
    cluster.until("all is told", || debtor.outstanding() == 0).await;
    cluster.net.0.lock().held.push((1, 2));
    let unheard = cluster.pay(2, &debtor, 1, 3);
    cluster.settle().await;
    assert_eq!(replies(&debtor), vec!["refused DRAN"; 100]);
    cluster.depose(1).await;
    cluster.crown(3).await;
    cluster.net.0.lock().held.clear();
    cluster.until("all is done", || debtor.outstanding() == 0).await;
    assert_eq!(cluster.offered(3, 1), unheard);
    assert_eq!(replies(&debtor), Vec::<String>::new());
    for uetr in uetrs {
        assert_eq!(cluster.state(3, 0, uetr).await, None);
    }
}

/// Every kind of instruction may reach the actors twice: its replies got lost, or its leader went. Here the leader has done all,
/// no reply came back, and all of it comes again.
#[tokio::test]
async fn every_kind_of_instruction_is_safe_to_repeat() {
    let mut cluster = Cluster::new().await;
    let debtor = cluster.connected(2, 0).await;
    let creditor = cluster.connected(3, 1).await;
    let uetrs = cluster.pay(2, &debtor, 1, 4);
    cluster.until("they are done", || debtor.outstanding() == 0).await;
    let standing = |cluster: &Cluster| {
        let read = |book: &Book| {
            let own = |bank| book.participant(Key(bank)).unwrap();
            let position = |bank| *own(bank).position(Currency::EUR).unwrap();
            (position(0), position(1), own(0).listing().signed_on, own(1).listing().signed_on, own(1).incoming_count())
        };
        let switch = cluster.switch(1).clone();
        async move { switch.read(read).await.unwrap() }
    };

    cluster.net.0.lock().held.extend([(1, 2), (1, 3)]);
    // Submit, Answer (yes, yes without posting, no), a word on what was not posted, Inquire, SignOff and SignOn.
    let again = cluster.pay(2, &debtor, 1, 1);
    cluster.settle().await;
    for (uetr, status) in uetrs.iter().zip([Status::ACTC, Status::ACWP, Status::RJCT]) {
        cluster.answer(3, &creditor, 0, *uetr, status);
    }
    for status in [Status::PDNG, Status::ACCC] {
        cluster.answer(3, &creditor, 0, uetrs[1], status);
    }
    cluster.ask(3, &creditor, 0, uetrs[0]);
    cluster.instruct(3, &creditor, &[Message::SignOff(SignOff { sent_at: Timestamp::now() })]);
    let newcomer = cluster.connect(2, 2);
    cluster.settle().await;
    assert_eq!((debtor.outstanding(), creditor.outstanding(), newcomer.outstanding()), (1, 7, 1));
    let once = standing(&cluster).await;
    assert_eq!((once.0.net, once.0.reserved, once.1.net, once.4), (-2, 2, 2, 2));
    assert!(once.2 && !once.3);

    cluster.net.0.lock().under_way.clear();
    cluster.net.0.lock().held.clear();
    for node in [2, 3] {
        cluster.switch(node).relay.link_up(1);
    }
    let lines = [&debtor, &creditor, &newcomer];
    cluster.until("all is done", || lines.iter().all(|line| line.outstanding() == 0)).await;
    assert_eq!(standing(&cluster).await, once);
    assert_eq!(cluster.state(1, 0, again[0]).await, Some(State::Reserved));
    assert_eq!(replies(&debtor), ["report ACSP"]);
    // A no, and a word that was the last, are answered as if they had come late; nothing comes of it.
    let late = "refused LATE";
    let told = replies(&creditor);
    assert_eq!(told, ["report ACSC", "report ACWP", late, late, late, "report ACSC"]);
}

#[tokio::test]
async fn a_newer_connection_anywhere_supersedes_the_older_one_anywhere() {
    let cluster = Cluster::new().await;
    let mut older = cluster.connected(2, 0).await;
    for node in [3, 1, 2, 2, 1, 3] {
        let newer = cluster.connected(node, 0).await;
        cluster.until("the older one is told", || older.ending().is_some()).await;
        assert_eq!(older.ending().unwrap().reason, Reason::SUPR);
        assert_eq!(newer.ending(), None);
        older = newer;
    }
}

/// A node that was cut off sends a sign-on that it has held back, of a client that went elsewhere long ago.
#[tokio::test]
async fn a_sign_on_that_was_held_back_supersedes_nobody() {
    let cluster = Cluster::new().await;
    for (node, held) in [(3, 2), (1, 2), (2, 1), (2, 3)] {
        let newer = cluster.connected(node, 0).await;
        let mut line = Line::new(Key(0), cluster.ids[0], 1024);
        line.since -= Duration::from_secs(5);
        let older = Arc::new(line);
        cluster.switch(held).connect(&older);
        cluster.switch(held).instruct(&older, Arc::new(Batch::sign_on()));
        cluster.until("the older one is told", || older.ending().is_some()).await;
        assert_eq!(older.ending().unwrap().reason, Reason::SUPR);
        cluster.settle().await;
        assert_eq!(newer.ending(), None, "at node {node}, held back at node {held}");
        cluster.switch(held).disconnect(&older);
    }
}

/// Of two connections to one node the later one stays, also when it says that it is older: clocks are set, and nodes lie.
#[tokio::test]
async fn of_two_connections_to_one_node_the_clock_does_not_decide() {
    for node in [1, 2] {
        let cluster = Cluster::new().await;
        let older = cluster.connected(node, 0).await;
        let mut line = Line::new(Key(0), cluster.ids[0], 1024);
        line.since -= Duration::from_secs(5);
        let newer = Arc::new(line);
        // The leader alone decides: the node itself has not ended the older one.
        cluster.switch(node).instruct(&newer, Arc::new(Batch::sign_on()));
        cluster.until("the older one is told", || older.ending().is_some()).await;
        assert_eq!((older.ending().unwrap().reason, newer.ending()), (Reason::SUPR, None), "at node {node}");
    }
}

/// A sign-on that claims the longest age there is loses only itself.
#[tokio::test]
async fn an_age_beyond_all_bounds_shuts_nobody_out() {
    use message::{Announced, Mark, Message};
    let cluster = Cluster::new().await;
    let leader = &cluster.switch(1).relay;
    let term = cluster.switch(1).reign().unwrap().term();
    let (route, participant) = (77, cluster.ids[0]);
    leader.receive(3, &Message::Route { term, route }.encode()).unwrap();
    for (sequence, age) in [(1, Duration::from_nanos(u64::MAX)), (2, Duration::ZERO)] {
        let announced = Announced { mark: Mark { route, sequence }, connection: sequence, age, participant };
        leader.receive(3, &Message::SignOn(announced).encode()).unwrap();
        let after = cluster.connected(2, 0).await;
        cluster.settle().await;
        assert_eq!(after.ending(), None);
        cluster.switch(2).disconnect(&after);
    }
}

/// Nobody tries again and again to reach a node whose connection is gone; when it is back everything goes on.
#[tokio::test]
async fn a_node_that_is_away_is_left_alone() {
    let cluster = Cluster::new().await;
    let there = cluster.connected(3, 0).await;
    cluster.net.0.lock().full.extend([(1, 3), (3, 1)]);
    cluster.switch(1).relay.link_down(3);
    cluster.switch(3).relay.link_down(1);
    // The leader has something to tell the node, and the node something to ask it.
    let here = cluster.connected(2, 0).await;
    let waiting = cluster.connect(3, 1);
    cluster.settle().await;
    let refused = cluster.net.0.lock().refused;
    assert!(refused >= 2);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(cluster.net.0.lock().refused, refused);

    cluster.net.0.lock().full.clear();
    cluster.switch(3).relay.link_up(1);
    cluster.switch(1).relay.link_up(3);
    cluster.until("all is told", || waiting.outstanding() == 0 && there.ending().is_some()).await;
    assert_eq!((there.ending().unwrap().reason, here.ending()), (Reason::SUPR, None));
}

/// A certificate does not make a member.
#[tokio::test]
async fn a_node_that_is_no_member_is_not_believed() {
    use message::{Message, Told};
    let cluster = Cluster::new().await;
    let follower = &cluster.switch(2).relay;
    let (leading, members) = (follower.leader(), |nodes: &[NodeId]| nodes.iter().copied().collect());
    follower.set_members(members(&[1, 2]));
    let reign = Message::Reign { term: (1 << 62) - 1, node: 3 };
    for message in [reign, Message::Removed, Message::Serves { door: Told::Open("10.0.0.9:7800") }] {
        follower.receive(3, &message.encode()).unwrap();
    }
    assert_eq!((follower.leader(), follower.elsewhere()), (leading, vec![]));
    let removed = tokio::time::timeout(Duration::from_millis(10), follower.until_removed()).await;
    assert!(removed.is_err(), "a stranger shut the door");

    let mut asked = cluster.switch(1).relay.take_asks().unwrap();
    cluster.switch(1).relay.set_members(members(&[1, 3]));
    cluster.switch(1).relay.receive(2, &Message::Ask { id: 1, what: b"fund me" }.encode()).unwrap();
    assert!(asked.try_recv().is_err());

    // It was one all along, and this node was behind.
    follower.set_members(members(&[1, 2, 3]));
    assert_eq!(
        (follower.leader().map(|(_, node)| node), follower.elsewhere()),
        (Some(3), vec!["10.0.0.9:7800".into()])
    );
}

/// Two nodes present connections of one participant to a new leader: the one that signed on later stays.
#[tokio::test]
async fn of_two_that_signed_on_before_the_reign_the_later_one_stays() {
    for (first, second) in [(1, 2), (2, 1), (2, 3), (3, 2)] {
        let cluster = Cluster::new().await;
        cluster.net.0.lock().held.push((1, first));
        let older = cluster.connect(first, 0);
        cluster.settle().await;
        cluster.net.0.lock().held.clear();
        cluster.until("it has signed on", || older.outstanding() == 0).await;
        cluster.depose(1).await;
        // No leader hears of this one before the next does of both.
        let newer = cluster.connect(second, 0);
        cluster.crown(if first == 3 || second == 3 { 1 } else { 3 }).await;
        cluster.until("one is told", || older.ending().is_some() && newer.outstanding() == 0).await;
        assert_eq!((older.ending().unwrap().reason, newer.ending()), (Reason::SUPR, None));

        // Both are presented again, and nobody signs on.
        let leader = if first == 3 || second == 3 { 1 } else { 3 };
        cluster.depose(leader).await;
        cluster.crown(leader).await;
        cluster.settle().await;
        assert_eq!(newer.ending(), None);
    }
}

#[tokio::test]
async fn a_connection_that_closes_is_forgotten_by_the_leader() {
    let cluster = Cluster::new().await;
    let line = cluster.connected(2, 0).await;
    cluster.switch(2).disconnect(&line);
    cluster.settle().await;
    // Nobody is superseded: an end would be sent to a connection that is no more.
    let before = cluster.net.0.lock().under_way.len();
    let again = cluster.connected(3, 0).await;
    assert_eq!((again.ending(), line.ending(), before), (None, None, 0));
}

/// An actor that dies ends its participants' connections, wherever they are.
#[tokio::test]
async fn an_actor_that_dies_ends_connections_of_other_nodes() {
    let mut cluster = Cluster::new().await;
    let line = cluster.connected(2, 0).await;
    let uetr = Uetr::random();
    let impossible = Fact::Settled(settlement::Settled {
        at: Timestamp(0),
        payment: settlement::Payment {
            debtor: Key(0),
            creditor: Key(0),
            uetr,
            amount_minor: i64::MAX / 8,
            currency: Currency::EUR,
            message_id: cluster.stamp(0).1,
            original: None,
        },
        status: Status::ACSC,
        settlement_date: wire::BusinessDate::NONE,
    });
    let post = cluster.switch(1).reign().unwrap();
    post.send(post.seat(Key(0)), crate::host::Message::Letters(vec![(Key(0), impossible)]));
    cluster.until("it is told", || line.ending().is_some()).await;
    assert_eq!(line.ending().unwrap().reason, Reason::DRAN);
    assert_eq!(cluster.switch(1).traffic().restarts.all(), 1);
    let again = cluster.connected(2, 0).await;
    assert_eq!(again.ending(), None);
}

/// The letter about a payment is with the creditor agent's actor before any answer that comes from another node.
#[tokio::test]
async fn letters_go_before_what_other_nodes_ask() {
    let mut cluster = Cluster::new().await;
    let line = cluster.connected(2, 0).await;
    cluster.net.0.lock().held.push((2, 1));
    cluster.pay(2, &line, 1, 1);
    cluster.net.0.lock().held.clear();
    let post = cluster.switch(1).reign().unwrap();
    let fact = Fact::SignedOn(settlement::Standing {
        at: cluster.switch(1).clock().now(),
        participant: Key(1),
        direction: settlement::Direction::Both,
        note: "",
    });
    let mut outbox = crate::post::Outbox { letters: vec![(Key(1), fact)], ..Default::default() };
    fact.encode(&mut outbox.facts);
    post.deposit(&mut outbox).await.unwrap();
    let delivered = || cluster.switch(1).traffic().letters.load(Ordering::Relaxed);
    // Nobody else has run since.
    let before = delivered();
    cluster.pump();
    assert_eq!(delivered(), before + 1);
}

/// What is left of a reign can do nothing: its actors end with their timers, the process goes on.
#[tokio::test]
async fn the_post_office_of_an_ended_reign_proposes_nothing() {
    let rules = Rules {
        payment_timeout: Duration::from_millis(300),
        creditor_share: Duration::from_millis(10),
        ..Rules::default()
    };
    let mut cluster = Cluster::with(rules).await;
    let debtor = cluster.connected(1, 0).await;
    cluster.connected(1, 1).await;
    let reserved = cluster.pay(1, &debtor, 1, 2);
    cluster.until("it is done", || debtor.outstanding() == 0).await;
    let undecided = cluster.pay(1, &debtor, 1, 1);
    let post = cluster.switch(1).reign().unwrap();
    cluster.dethrone(1);
    assert!(post.is_over() && cluster.switch(1).reign().is_none());
    let committed = cluster.switch(1).committed_index();
    let operation = OwnedOperation::SignOff;
    assert!(matches!(cluster.switch(1).operate(cluster.ids[0], operation, None).await, Err(crate::Error::NotLeading)));
    let mut outbox = crate::post::Outbox { facts: vec![0; 8], ..Default::default() };
    assert_eq!(post.deposit(&mut outbox).await, Err(persistence::Refused::NotLeading));
    assert!(post.query(|_| ()).await.is_err());
    // The deadlines pass with nobody to notice; no supervisor rebuilds what ended.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let switch = cluster.switch(1);
    assert_eq!((switch.committed_index(), debtor.outstanding()), (committed, 1));
    assert_eq!(switch.traffic().restarts.all(), 0);
    let ended = tokio::time::timeout(Duration::from_millis(10), switch.until_actors_end()).await;
    assert!(ended.is_err(), "the process would have ended");
    drop(post);

    // It leads again: deadlines that passed meanwhile are over at once, and what was not decided is asked.
    cluster.crown(1).await;
    cluster.until("it is done", || debtor.outstanding() == 0).await;
    cluster.settle().await;
    for uetr in reserved {
        assert_eq!(cluster.state(1, 0, uetr).await, Some(State::Expired));
    }
    // Too late to be sent, but it was asked and answered.
    assert_eq!(cluster.state(1, 0, undecided[0]).await, Some(State::Rejected));
}

/// What waits for an actor that is being rebuilt when the reign ends is answered, too: nobody will do it.
#[tokio::test]
async fn an_operation_that_the_reign_leaves_behind_is_answered() {
    let cluster = Cluster::new().await;
    let switch = cluster.switch(1).clone();
    let post = switch.reign().unwrap();
    post.vacate(post.seat(Key(0)), crate::premises::Death::Stopped, |_| {}).unwrap();
    drop(post);
    let (id, own) = (cluster.ids[0], switch.clone());
    let asked = tokio::spawn(async move { own.operate(id, OwnedOperation::SignOff, None).await });
    cluster.settle().await;
    assert!(!asked.is_finished());
    cluster.depose(1).await;
    cluster.until("it is answered", || asked.is_finished()).await;
    assert!(matches!(asked.await.unwrap(), Err(crate::Error::Restarted)));
}

#[tokio::test]
async fn operators_ask_the_leader() {
    let cluster = Cluster::new().await;
    let mut asked = cluster.switch(1).relay.take_asks().unwrap();
    assert!(cluster.switch(1).relay.take_asks().is_none());
    let switch = cluster.switch(2).clone();
    let ask = |what: &'static str| {
        let switch = switch.clone();
        tokio::spawn(async move { switch.relay.ask(what.as_bytes()).await })
    };
    let answered = ask("one");
    let mut question = None;
    cluster.until("it is asked", || asked.try_recv().map(|asked| question = Some(asked)).is_ok()).await;
    let question = question.unwrap();
    assert_eq!((question.from, question.what.as_slice()), (2, b"one".as_slice()));
    question.answer(b"two");
    cluster.until("it is answered", || answered.is_finished()).await;
    assert_eq!(answered.await.unwrap(), Ok(b"two".to_vec()));

    // More at once than the leader takes.
    let many: Vec<_> = (0..20).map(|_| ask("many")).collect();
    tokio::task::yield_now().await;
    cluster.until("some are refused", || many.iter().filter(|one| one.is_finished()).count() == 4).await;
    cluster.dethrone(1);
    let lost = ask("does it lead?");
    cluster.until("it says no", || lost.is_finished()).await;
    assert_eq!(lost.await.unwrap(), Err(AskError::Lost(1)));
    cluster.depose(1).await;
    cluster.crown(3).await;
    for one in many {
        assert!(matches!(one.await.unwrap(), Err(AskError::Unreachable(1) | AskError::Lost(1))));
    }
    cluster.net.0.lock().full.push((2, 3));
    assert_eq!(switch.relay.ask(b"?").await, Err(AskError::Unreachable(3)));
    cluster.depose(3).await;
    assert_eq!(cluster.switch(3).relay.ask(b"?").await, Err(AskError::NoLeader));
}

/// Messages of nodes that are mistaken, or are too late.
#[tokio::test]
async fn what_is_not_meant_for_this_reign_is_dropped() {
    use message::{Announced, Mark, Message};
    let mut cluster = Cluster::new().await;
    let debtor = cluster.connected(2, 0).await;
    let leader = &cluster.switch(1).relay;
    let term = cluster.switch(1).reign().unwrap().term();
    assert!(leader.receive(2, &[99]).is_err());
    assert!(leader.receive(2, &Message::Reign { term: 9, node: 3 }.encode()).is_err());
    let (route, participant) = (77, "NOBODY".parse().unwrap());
    let mark = |sequence| Mark { route, sequence };
    let announced = |sequence| Announced { mark: mark(sequence), connection: 5, age: Duration::ZERO, participant };
    for message in [
        Message::Route { term: term + 1, route },
        Message::SignOn(announced(1)),
        Message::Instructions { mark: mark(2), connection: 5, count: 1, frames: &[] },
        Message::Gone { mark: mark(3), connection: 5 },
    ] {
        leader.receive(2, &message.encode()).unwrap();
    }
    cluster.settle().await;
    assert!(debtor.ending().is_none());

    // A route that is right, with a participant that is not, and a count that is not.
    cluster.net.0.lock().held.push((1, 3));
    leader.receive(3, &Message::Route { term, route }.encode()).unwrap();
    leader.receive(3, &Message::SignOn(announced(1)).encode()).unwrap();
    let participant = cluster.ids[1];
    let known = Announced { connection: 6, participant, ..announced(2) };
    leader.receive(3, &Message::SignOn(known).encode()).unwrap();
    let wrong = Message::Instructions { mark: mark(3), connection: 6, count: 1, frames: &[] };
    leader.receive(3, &wrong.encode()).unwrap();
    cluster.settle().await;
    let mut ended = Vec::new();
    for (_, _, message) in cluster.net.0.lock().under_way.drain(..) {
        if let Message::End { connection, reason, .. } = message::decode(&message).unwrap() {
            ended.push((connection, reason));
        }
    }
    assert_eq!(ended, [(5, Reason::DRAN), (6, Reason::FORM)]);

    // Replies by a way that is not ours count nothing.
    cluster.net.0.lock().held.push((2, 1));
    cluster.pay(2, &debtor, 1, 2);
    let reply = |sequence, done| {
        let mut bytes = message::begin_replies(Mark { route, sequence }, 0);
        message::add_part(&mut bytes, debtor.number(), done, &[]);
        bytes
    };
    let origin = &cluster.switch(2).relay;
    origin.receive(1, &reply(1, 2)).unwrap();
    origin.receive(3, &reply(1, 2)).unwrap();
    assert_eq!(debtor.outstanding(), 2);
    // By the right way, more done than was asked for.
    let outbound = cluster.switch(2).dispatch().outbound().unwrap();
    let sequence =
        (1..).find(|sequence| outbound.is_next(Mark { route: outbound.route, sequence: *sequence })).unwrap();
    let mut bytes = message::begin_replies(Mark { route: outbound.route, sequence: sequence + 1 }, 0);
    message::add_part(&mut bytes, debtor.number(), u32::MAX, &[]);
    origin.receive(3, &bytes).unwrap();
    assert_eq!(debtor.outstanding(), 2, "they came from a node that does not lead");
    origin.receive(1, &bytes).unwrap();
    assert_eq!(debtor.outstanding(), 0);
}
