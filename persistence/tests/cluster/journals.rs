//! The same with threads: journals in one process, whose peers hand their messages to each other.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use persistence::simulated::SimulatedDisk;
use persistence::{
    Config, Entry, Fold, Freeze, Index, Journal, Member, MemberChange, MemberKind, Members, NodeId, Peers, Refused,
    Standing, Sync, Term,
};

use crate::world::{member, voters};

/// How long anything may take, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// All that one node's fold has seen. Clones see the same.
#[derive(Clone, Default)]
struct Ledger {
    book: Arc<(Mutex<Book>, Condvar)>,
}

#[derive(Default)]
struct Book {
    payloads: Vec<Vec<u8>>,
    passengers: Vec<u64>,
    standing: Standing,
}

impl Ledger {
    fn change(&self, change: impl FnOnce(&mut Book)) {
        change(&mut self.book.0.lock());
        self.book.1.notify_all();
    }

    /// False when it did not come to that.
    fn comes_to(&self, is_there: impl Fn(&Book) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut book = self.book.0.lock();
        while !is_there(&book) {
            if self.book.1.wait_until(&mut book, deadline).timed_out() {
                return is_there(&book);
            }
        }
        true
    }

    #[track_caller]
    fn wait_for(&self, is_there: impl Fn(&Book) -> bool) {
        assert!(self.comes_to(is_there), "it did not come to that");
    }

    fn proposed(&self) -> Vec<u8> {
        self.book.0.lock().payloads.concat()
    }

    fn reign(&self) -> Option<Term> {
        let standing = self.book.0.lock().standing;
        standing.leads.then_some(standing.term)
    }
}

impl Fold for Ledger {
    type Passenger = u64;

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), String> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        let mut rest = bytes.as_slice();
        let mut payloads = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (payload, after) = after.split_at(u32::from_le_bytes(*length) as usize);
            payloads.push(payload.to_vec());
            rest = after;
        }
        self.change(|book| book.payloads = payloads);
        Ok(())
    }

    fn committed(&mut self, entry: Entry<'_>, passengers: &mut Vec<u64>) {
        self.change(|book| {
            assert_eq!(entry.index, book.payloads.len() as Index + 1);
            book.payloads.push(entry.payload.to_vec());
            book.passengers.append(passengers);
        });
    }

    fn delivered(&mut self, passengers: &mut Vec<u64>) {
        self.change(|book| book.passengers.append(passengers));
    }

    fn standing(&mut self, standing: Standing) {
        self.change(|book| book.standing = standing);
    }

    fn checkpoint(&mut self, index: Index) -> Option<u64> {
        Some(index)
    }

    fn freeze(&mut self) -> Freeze {
        let payloads = self.book.0.lock().payloads.clone();
        Box::new(move |output: &mut dyn Write| -> io::Result<()> {
            for payload in &payloads {
                output.write_all(&(payload.len() as u32).to_le_bytes())?;
                output.write_all(payload)?;
            }
            Ok(())
        })
    }
}

type Hub = Arc<Mutex<BTreeMap<NodeId, (Journal<u64>, SimulatedDisk)>>>;

struct Wire {
    from: NodeId,
    hub: Hub,
}

impl Wire {
    fn journal(&self, node: NodeId) -> Option<Journal<u64>> {
        self.hub.lock().get(&node).map(|(journal, _)| journal.clone())
    }
}

impl Peers for Wire {
    fn send(&self, to: NodeId, message: Vec<u8>) {
        if let Some(journal) = self.journal(to) {
            journal.receive(self.from, &message).unwrap();
        }
    }

    fn send_snapshot(&self, to: NodeId, header: Vec<u8>, file: PathBuf) {
        let (receiver, sender) = (self.journal(to), self.journal(self.from));
        let disk = self.hub.lock().get(&self.from).map(|(_, disk)| disk.clone());
        let from = self.from;
        std::thread::spawn(move || {
            let send = || {
                let content = disk?.content(&file.file_name()?.to_string_lossy())?;
                let mut incoming = receiver?.snapshot_begin(from, &header, content.len() as u64).ok()?;
                content.chunks(1000).try_for_each(|chunk| incoming.chunk(chunk)).ok()?;
                incoming.end().ok()
            };
            let went_well = send().is_some();
            if let Some(sender) = sender {
                sender.snapshot_sent(to, went_well);
            }
        });
    }

    fn members(&self, _: &Members) {}
}

fn config(node: NodeId, members: Vec<Member>) -> Config {
    Config {
        segment_bytes: 64 << 10,
        batch_bytes_max: 8 << 10,
        retained_bytes_max: 0,
        snapshot_every_bytes: u64::MAX,
        free_bytes_min: 0,
        spin_us: 0,
        sync: Sync::Real,
        cluster: 7,
        node,
        members,
        ..Config::new("unused")
    }
}

#[derive(Default)]
struct Nodes {
    hub: Hub,
    ledgers: BTreeMap<NodeId, Ledger>,
    configs: BTreeMap<NodeId, Config>,
    disks: BTreeMap<NodeId, SimulatedDisk>,
}

impl Nodes {
    fn new(members: &[Member]) -> Nodes {
        let mut nodes = Nodes::default();
        for member in members {
            nodes.configs.insert(member.id, config(member.id, members.to_vec()));
            nodes.start(member.id);
        }
        nodes
    }

    fn start(&mut self, node: NodeId) {
        let disk = self.disks.entry(node).or_default().clone();
        let ledger = Ledger::default();
        let wire = Wire { from: node, hub: Arc::clone(&self.hub) };
        let opened = persistence::open_on(disk.clone(), self.configs[&node].clone(), ledger.clone(), wire);
        let (journal, _) = opened.unwrap();
        // As it is on one machine: elections within a second.
        (1..10).for_each(|other| journal.round_trip(other, Duration::from_millis(100)));
        self.ledgers.insert(node, ledger);
        self.hub.lock().insert(node, (journal, disk));
    }

    fn stop(&mut self, node: NodeId) {
        let stopped = self.hub.lock().remove(&node);
        stopped.unwrap().0.stop();
        self.ledgers.remove(&node);
    }

    fn journal(&self, node: NodeId) -> Journal<u64> {
        self.hub.lock()[&node].0.clone()
    }

    /// Waits until there is something to give; when it takes too long, says how every node stands.
    #[track_caller]
    fn wait<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        self.look_out(look).unwrap_or_else(|| panic!("{what}: it did not come to that; {}", self.describe()))
    }

    fn look_out<T>(&self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = look();
            if seen.is_some() || Instant::now() >= deadline {
                return seen;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn describe(&self) -> String {
        let nodes: Vec<_> = self.hub.lock().iter().map(|(node, (journal, _))| (*node, journal.clone())).collect();
        let describe = |(node, journal): &(NodeId, Journal<u64>)| {
            let (statistics, cluster, failure) = (journal.statistics(), journal.cluster(), journal.failure());
            format!("\nnode {node}: {statistics:?}\n  {cluster:?}\n  {failure:?}")
        };
        nodes.iter().map(describe).collect()
    }

    #[track_caller]
    fn leader(&self) -> (NodeId, Term) {
        self.wait("somebody leads", || {
            let leads = self.ledgers.iter().filter_map(|(node, ledger)| Some((*node, ledger.reign()?)));
            leads.max_by_key(|(_, term)| *term)
        })
    }

    /// Proposes with whoever leads until that is taken, and waits until it is committed.
    fn write(&self, bytes: &[u8], passenger: u64) {
        loop {
            let (node, term) = self.leader();
            let propose = |batch: &mut Vec<u8>, passengers: &mut Vec<u64>| {
                batch.extend_from_slice(bytes);
                passengers.push(passenger);
            };
            match self.journal(node).propose(term, propose) {
                Ok(()) => {
                    let is_committed = self.ledgers[&node].comes_to(|book| book.passengers.contains(&passenger));
                    return assert!(is_committed, "{passenger} is not committed: {}", self.describe());
                }
                Err(Refused::Full | Refused::NotLeading) => std::thread::sleep(Duration::from_millis(1)),
                Err(refused) => panic!("{refused}"),
            }
        }
    }

    /// So many entries, as fast as the leader takes them.
    fn pour(&self, bytes: &[u8], count: usize) {
        let (node, term) = self.leader();
        let journal = self.journal(node);
        for _ in 0..count {
            let take = || journal.propose(term, |batch, _| batch.extend_from_slice(bytes));
            while take() == Err(Refused::Full) {
                std::thread::yield_now();
            }
        }
    }

    /// It is counted a moment after the fold has it.
    #[track_caller]
    fn wait_for_snapshot(&self, node: NodeId) {
        self.wait(&format!("node {node} gets a snapshot"), || {
            (self.journal(node).statistics().snapshots_installed > 0).then_some(())
        });
    }

    #[track_caller]
    fn write_snapshot(&self, node: NodeId) {
        let journal = self.journal(node);
        let before = journal.statistics().snapshots;
        journal.request_snapshot();
        self.wait(&format!("node {node} writes a snapshot"), || {
            (journal.statistics().snapshots > before).then_some(())
        });
    }

    /// Asks whoever leads for a change of members until it is made: a leader may lose the word while it is asked, and a node
    /// that is to vote may not have caught up yet.
    #[track_caller]
    fn change(&self, change: &MemberChange) {
        let mut answers = Vec::new();
        let made = self.look_out(|| {
            let (leader, _) = self.leader();
            let (tell, told) = channel();
            let done = Box::new(move |result| drop(tell.send(result)));
            self.journal(leader).change(change.clone(), done).unwrap();
            let answer = told.recv_timeout(PATIENCE);
            let is_made = matches!(answer, Ok(Ok(()))) || self.has_changed(leader, change);
            answers.push(answer);
            is_made.then_some(())
        });
        assert!(made.is_some(), "{change:?}: {:?}; {}", answers.last(), self.describe());
    }

    /// An answer may be lost though the change is made.
    fn has_changed(&self, leader: NodeId, change: &MemberChange) -> bool {
        let members = self.journal(leader).cluster().members;
        match change {
            MemberChange::Add(member) => members.get(member.id).is_some(),
            MemberChange::Promote { node, .. } => members.votes(*node),
            MemberChange::Remove(node) => members.get(*node).is_none(),
            MemberChange::Describe(member) => members.get(member.id) == Some(member),
        }
    }

    #[track_caller]
    fn wait_until_even(&self) {
        let (leader, _) = self.leader();
        let proposed = self.ledgers[&leader].proposed();
        for (node, ledger) in &self.ledgers {
            let is_even = ledger.comes_to(|book| book.payloads.concat() == proposed);
            assert!(is_even, "node {node} is not as far as {leader}: {}", self.describe());
        }
    }
}

#[test]
fn three_journals() {
    let mut nodes = Nodes::new(&voters(3));
    let mut expected = Vec::new();
    for number in 1..=100_u8 {
        nodes.write(&[number], u64::from(number));
        expected.push(number);
    }
    nodes.wait_until_even();
    let (leader, term) = nodes.leader();
    assert_eq!(nodes.ledgers[&leader].proposed(), expected);
    let follower = (1..=3).find(|node| *node != leader).unwrap();
    let journal = nodes.journal(follower);
    assert_eq!(journal.propose(term, |batch, _| batch.push(0)), Err(Refused::NotLeading));
    assert_eq!(journal.accompany(term, |_| 0), Err(Refused::NotLeading));
    journal.visit(1001).unwrap();
    nodes.ledgers[&follower].wait_for(|book| book.passengers.contains(&1001));
    nodes.journal(leader).accompany(term, |_| 1002).unwrap();
    nodes.ledgers[&leader].wait_for(|book| book.passengers.contains(&1002));
    assert_eq!(nodes.journal(leader).propose(term - 1, |batch, _| batch.push(0)), Err(Refused::NotLeading));

    // The leader goes, another takes over, the first comes back.
    nodes.stop(leader);
    for number in 101..=150 {
        nodes.write(&[number], u64::from(number));
        expected.push(number);
    }
    nodes.start(leader);
    nodes.wait_until_even();
    assert_eq!(nodes.ledgers[&leader].proposed(), expected);
    let statistics = nodes.journal(nodes.leader().0).statistics();
    assert_eq!((statistics.role, statistics.leader), (persistence::Role::Leader, Some(nodes.leader().0)));
    assert!(statistics.term > term);
}

#[test]
fn leadership_is_handed_over_without_losing_a_proposal() {
    let nodes = Nodes::new(&voters(3));
    nodes.write(b"x", 1);
    let (old, _) = nodes.leader();
    let to = old % 3 + 1;
    nodes.wait_until_even();
    let (sender, told) = std::sync::mpsc::channel();
    let tell = move |result| sender.send(result).unwrap();
    nodes.journal(old).transfer(Some(to), Box::new(tell)).unwrap();
    assert_eq!(told.recv().unwrap(), Ok(to));
    nodes.ledgers[&to].wait_for(|book| book.standing.leads);
    nodes.write(b"y", 2);
    assert_eq!(nodes.leader().0, to);
    nodes.wait_until_even();
    assert_eq!(nodes.ledgers[&old].proposed(), b"xy");
}

#[test]
fn a_node_far_behind_gets_a_snapshot_and_one_that_joins_too() {
    let mut nodes = Nodes::new(&voters(3));
    nodes.write(b"first", 1);
    let (leader, _) = nodes.leader();
    let behind = leader % 3 + 1;
    nodes.stop(behind);
    for round in 0..3 {
        for number in 0..40 {
            nodes.write(&[b'a' + round; 6000], 100 + 100 * u64::from(round) + number);
        }
        for node in nodes.ledgers.keys() {
            nodes.write_snapshot(*node);
        }
    }
    nodes.start(behind);
    nodes.wait_until_even();
    nodes.wait_for_snapshot(behind);

    nodes.configs.insert(4, config(4, Vec::new()));
    nodes.start(4);
    nodes.change(&MemberChange::Add(member(4, MemberKind::Voter)));
    nodes.wait_until_even();
    nodes.change(&MemberChange::Promote { node: 4, instead_of: None });
    nodes.write(b"last", 9999);
    nodes.wait_until_even();
    nodes.wait_for_snapshot(4);
    nodes.wait("the leader tells of three others", || {
        let cluster = nodes.journal(nodes.leader().0).cluster();
        ((cluster.members.iter().count(), cluster.peers.len()) == (4, 3)).then_some(())
    });
    for node in 1..=4 {
        let journal = nodes.journal(node);
        nodes.hub.lock().remove(&node);
        journal.stop();
        assert!(journal.failure().is_none());
    }
}

/// What it needs lies in the middle of an old segment that nobody has read since the start, some eight hundred steps from its
/// beginning: too many for one step at each tick.
#[test]
fn a_node_behind_restarted_ones_gets_old_entries() {
    let mut nodes = Nodes::default();
    for member in voters(3) {
        let config = Config {
            segment_bytes: 2 << 20,
            batch_bytes_max: 2 << 10,
            retained_bytes_max: u64::MAX,
            message_bytes_max: 2 << 10,
            cache_bytes_max: 16 << 10,
            ..config(member.id, voters(3))
        };
        nodes.configs.insert(member.id, config);
        nodes.start(member.id);
    }
    nodes.pour(&[1; 2 << 10], 800);
    nodes.write(b"before", 1);
    nodes.wait_until_even();
    let (leader, _) = nodes.leader();
    let (behind, others) = (leader % 3 + 1, [leader, (leader + 1) % 3 + 1]);
    nodes.stop(behind);
    nodes.pour(&[2; 2 << 10], 200);
    nodes.write(b"meanwhile", 2);
    nodes.wait_until_even();
    others.iter().for_each(|node| nodes.write_snapshot(*node));
    others.iter().for_each(|node| nodes.stop(*node));
    others.iter().for_each(|node| nodes.start(*node));
    nodes.write(b"after", 3);
    others.iter().for_each(|node| nodes.journal(*node).round_trip(behind, Duration::from_secs(1))); // ticks are long
    nodes.start(behind);
    nodes.wait_until_even();
    assert_eq!(nodes.journal(behind).statistics().snapshots_installed, 0);
}
