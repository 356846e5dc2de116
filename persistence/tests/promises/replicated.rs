//! What replication asks of the log, with power loss at any operation: several entries in one write, votes, cutting off
//! what a new leader never had, a snapshot that replaces everything. After a loss the log is as it was before or after
//! the step in flight (or holds the first of the entries that were being appended), never damaged, never in between.
//! `CROSSTIE_SEEDS=N` runs more.

use persistence::simulated::{Fault, SimulatedDisk};
use persistence::{Error, Fold, Index, Kind, Log, Record, Term, Vote};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::ledger::{Ledger, config, open_log};

const SEEDS: u64 = 600;
const LIVES: u64 = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stored {
    term: Term,
    kind: Kind,
    payload: Vec<u8>,
    /// The highest entry that it says is committed.
    committed: Index,
}

/// What the log should hold. Entry `index` is at `index - 1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    entries: Vec<Stored>,
    vote: Vote,
    /// What nobody cuts off.
    committed: Index,
}

impl Model {
    fn last(&self) -> Index {
        self.entries.len() as Index
    }

    fn term(&self) -> Term {
        self.entries.last().map_or(1, |stored| stored.term)
    }

    /// What its entries say is committed. That those which said more were cut off loses nothing: it will be said again.
    fn known(&self) -> Index {
        self.entries.iter().map(|stored| stored.committed).max().unwrap_or(0)
    }

    /// What the fold gets of the entries up to `index`.
    fn folded(&self, index: Index) -> Vec<(Index, Vec<u8>)> {
        let given = |(place, stored): (usize, &Stored)| {
            let payload = if stored.kind == Kind::Batch { stored.payload.clone() } else { Vec::new() };
            (place as Index + 1, payload)
        };
        self.entries.iter().enumerate().take(index as usize).map(given).collect()
    }
}

/// What is expected after a loss: this, or one of those that the step in flight would have led to.
struct Expected {
    before: Model,
    after: Vec<Model>,
}

struct World {
    random: SmallRng,
    log: Log<SimulatedDisk>,
    ledger: Ledger,
    disk: SimulatedDisk,
    expected: Expected,
}

impl World {
    /// Takes one step; an error is a power loss.
    fn step(&mut self) -> Result<(), Error> {
        match self.random.random_range(0..10) {
            0..5 => self.append(),
            5 => self.vote(),
            6..8 => self.truncate(),
            8 => self.snapshot(),
            _ => self.install(),
        }
    }

    fn does(&mut self, after: Vec<Model>, act: impl FnOnce(&mut World) -> Result<(), Error>) -> Result<(), Error> {
        self.expected.after = after;
        act(self)?;
        self.expected.before = self.expected.after.pop().expect("every step leads somewhere");
        self.expected.after.clear();
        Ok(())
    }

    fn append(&mut self) -> Result<(), Error> {
        let mut model = self.expected.before.clone();
        let term = model.term() + self.random.random_range(0..2);
        let mut after = Vec::new();
        let first = model.last() + 1;
        // The hint may speak of entries of this very write; whichever of them arrives, it speaks of those before.
        let committed = self.random.random_range(model.committed..=model.last());
        for _ in 0..self.random.random_range(1..6) {
            let length = self.random.random_range(0..1500);
            let payload: Vec<u8> = match self.random.random_bool(0.8) {
                true => (0..length).map(|_| self.random.random()).collect(),
                false => vec![0; length],
            };
            let kind = if self.random.random_bool(0.1) { Kind::Membership } else { Kind::Batch };
            model.entries.push(Stored { term, kind, payload, committed });
            model.committed = committed;
            after.push(model.clone());
        }
        self.does(after, |world| {
            let records: Vec<Record<'_>> = model.entries[first as usize - 1..]
                .iter()
                .zip(first..)
                .map(|(Stored { term, kind, payload, .. }, index)| Record { index, term: *term, kind: *kind, payload })
                .collect();
            world.log.append(&records, committed)?;
            world.log.sync()
        })
    }

    fn vote(&mut self) -> Result<(), Error> {
        let mut model = self.expected.before.clone();
        model.vote = Vote { term: model.vote.term + 1, voted_for: self.random.random_bool(0.7).then_some(3) };
        let vote = model.vote;
        self.does(vec![model], |world| world.log.set_vote(vote))
    }

    fn truncate(&mut self) -> Result<(), Error> {
        let mut model = self.expected.before.clone();
        if model.committed == model.last() {
            return Ok(());
        }
        let from = self.random.random_range(model.committed + 1..=model.last());
        model.entries.truncate(from as usize - 1);
        self.does(vec![model], |world| world.log.truncate(from))
    }

    /// Of the state after a committed entry; more may follow it.
    fn snapshot(&mut self) -> Result<(), Error> {
        let model = self.expected.before.clone();
        let index = model.committed;
        if index <= self.log.newest_snapshot().mark.index || index < self.log.first() {
            return Ok(());
        }
        let mut state = Ledger::default();
        fold(&mut state, &model, index);
        self.does(vec![model], |world| world.log.snapshot(index, b"three nodes", state.freeze()))
    }

    /// A leader that is far ahead sends its snapshot.
    fn install(&mut self) -> Result<(), Error> {
        let mut model = self.expected.before.clone();
        model.entries.truncate(model.committed as usize);
        let term = model.term() + 1;
        let more = self.random.random_range(1..8);
        let committed = model.last() + Index::from(more);
        model.entries.extend((0..more).map(|number| {
            let payload = vec![number; usize::from(number) * 100];
            Stored { term, kind: Kind::Batch, payload, committed }
        }));
        model.committed = committed;
        self.disk.set_content("incoming.tmp", snapshot_of(&model));
        self.does(vec![model], |world| {
            let installed = world.log.install("incoming.tmp", &mut world.ledger)?;
            assert_eq!(installed.membership, b"of the leader");
            Ok(())
        })
    }
}

fn fold(ledger: &mut Ledger, model: &Model, until: Index) {
    for (index, payload) in model.folded(until) {
        let entry = persistence::Entry { index, term: 1, payload: &payload, replay: false };
        ledger.committed(entry, &mut Vec::new());
    }
}

/// The file that another node would send.
fn snapshot_of(model: &Model) -> Vec<u8> {
    let disk = SimulatedDisk::new();
    let mut opened = open_log(&disk, &config()).unwrap();
    for Stored { term, payload, .. } in &model.entries {
        opened.log.append_payload(*term, payload).unwrap();
        opened.log.sync().unwrap();
    }
    let mut state = Ledger::default();
    fold(&mut state, model, model.last());
    opened.log.snapshot(model.last(), b"of the leader", state.freeze()).unwrap();
    let name = disk.files().into_iter().find(|name| name.starts_with("snapshot-")).unwrap();
    disk.content(&name).unwrap()
}

/// Opens and compares; gives the model that the log turned out to be in.
fn open(disk: &SimulatedDisk, expected: &Expected) -> Result<Option<(Log<SimulatedDisk>, Ledger, Model)>, String> {
    let mut ledger = Ledger::default();
    let log = match Log::open(disk.clone(), &config(), &mut ledger) {
        Ok((log, _)) => log,
        Err(Error::Disk { .. }) => return Ok(None), // the machine stopped while it opened
        Err(error) => return Err(error.to_string()),
    };
    let (first, last) = (log.first(), log.last().index);
    let (vote, folded, book) = (log.vote(), log.folded(), ledger.book().entries);
    let is_it = |model: &&Model| {
        let known = model.known()..=model.last();
        model.last() == last && model.vote == vote && known.contains(&folded) && book == model.folded(folded)
    };
    let mut candidates = std::iter::once(&expected.before).chain(&expected.after).filter(is_it);
    let Some(model) = candidates.find(|model| holds(&log, model)) else {
        let told = |model: &Model| (model.last(), model.known(), model.vote);
        let (before, after) = (told(&expected.before), expected.after.iter().map(told).collect::<Vec<_>>());
        return Err(format!(
            "the log has entries {first} to {last}, {folded} folded, {vote:?}; it should be {before:?} or of {after:?}"
        ));
    };
    let model = Model { committed: folded, ..model.clone() };
    Ok(Some((log, ledger, model)))
}

fn holds(log: &Log<SimulatedDisk>, model: &Model) -> bool {
    let mut from = log.first();
    while from <= log.last().index {
        let Ok(records) = log.entries(from, log.last().index + 1, 2_000) else { return false };
        for record in &records {
            let Stored { term, kind, payload, .. } = &model.entries[record.index as usize - 1];
            if (record.index, record.term, record.kind, &record.payload) != (from, *term, *kind, payload) {
                return false;
            }
            assert_eq!(log.term(from), Some(*term));
            assert_eq!(log.mark(from).unwrap().term, *term);
            from += 1;
        }
    }
    true
}

fn run(seed: u64) -> Result<u64, String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut disk = SimulatedDisk::new();
    let mut expected = Expected { before: Model::default(), after: Vec::new() };
    let mut losses = 0;
    for _ in 0..LIVES {
        if random.random_bool(0.8) {
            disk.plan(Fault::Stop { nth: random.random_range(1..120) });
        }
        if let Some((log, ledger, model)) = open(&disk, &expected)? {
            expected = Expected { before: model, after: Vec::new() };
            let steps = random.random_range(0..25);
            let random = SmallRng::seed_from_u64(random.random());
            let mut world = World { random, log, ledger, disk: disk.clone(), expected };
            let lost = (0..steps).any(|_| world.step().is_err());
            losses += u64::from(lost);
            expected = world.expected;
        }
        disk = match random.random_bool(0.8) {
            true => disk.power_loss(random.random()),
            false => disk.kill(),
        };
    }
    open(&disk.power_loss(seed), &expected)?.ok_or("nothing stops the last open")?;
    Ok(losses)
}

#[test]
fn a_loss_of_power_leaves_before_or_after() {
    let seeds = std::env::var("CROSSTIE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let losses: u64 = (0..seeds).map(|seed| run(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"))).sum();
    assert!(seeds < 100 || losses > seeds, "only {losses} losses of power in the middle of a step");
}

/// A snapshot that was changed on its way is refused, and nothing has happened.
#[test]
fn a_snapshot_that_is_not_whole_is_not_installed() {
    let disk = SimulatedDisk::new();
    let mut opened = open_log(&disk, &config()).unwrap();
    opened.commit(b"one").unwrap();
    let stored = |term, payload: &[u8]| Stored { term, kind: Kind::Batch, payload: payload.to_vec(), committed: 2 };
    let model = Model { entries: vec![stored(1, b"one"), stored(2, &[7; 700])], ..Model::default() };
    let whole = snapshot_of(&model);
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        disk.set_content("incoming.tmp", changed);
        let refused = opened.log.install("incoming.tmp", &mut opened.ledger);
        assert!(matches!(refused, Err(Error::Damaged { .. } | Error::Unsupported { .. })), "byte {at}");
    }
    disk.set_content("incoming.tmp", whole);
    let installed = opened.log.install("incoming.tmp", &mut opened.ledger).unwrap();
    assert_eq!((installed.mark.index, opened.log.first(), opened.log.last().index), (2, 3, 2));
    assert_eq!(opened.ledger.payloads().last(), Some(&vec![7; 700]));
}

/// One write may hold several entries; entries of one write after a hole are the same loss, entries of another are damage.
#[test]
fn a_hole_before_entries_of_another_write_is_damage() {
    let payloads: Vec<Vec<u8>> = (1..5).map(|number| vec![number; 700]).collect();
    for in_one_write in [true, false] {
        let disk = SimulatedDisk::new();
        let mut opened = open_log(&disk, &config()).unwrap();
        let records: Vec<Record<'_>> = payloads
            .iter()
            .zip(1..)
            .map(|(payload, index)| Record { index, term: 1, kind: Kind::Batch, payload })
            .collect();
        if in_one_write {
            opened.log.append(&records, 0).unwrap();
            opened.log.sync().unwrap();
        } else {
            for record in &records {
                opened.log.append(std::slice::from_ref(record), 0).unwrap();
                opened.log.sync().unwrap();
            }
        }
        let name = "log-0000000000000001.seg";
        let sectors = 512..512 + 4 * 1024;
        for hole in sectors.step_by(512) {
            let whole = &disk;
            let disk = SimulatedDisk::new();
            whole.files().iter().for_each(|name| disk.set_content(name, whole.content(name).unwrap()));
            let mut content = whole.content(name).unwrap();
            content[hole..hole + 512].fill(0);
            disk.set_content(name, content);
            let intact = (hole - 512) / 1024;
            match open_log(&disk, &config()) {
                Ok(opened) if in_one_write || intact == 3 => {
                    assert_eq!(opened.ledger.payloads().len(), intact, "hole at {hole}: {:?}", opened.recovery);
                }
                Err(Error::Damaged { offset, .. }) if !in_one_write && intact < 3 => {
                    assert_eq!(offset, 512 + intact as u64 * 1024);
                }
                other => panic!("hole at {hole}, one write {in_one_write}: {:?}", other.map(|opened| opened.recovery)),
            }
        }
    }
}
