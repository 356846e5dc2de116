//! A log with a random history of payments, and what a naive archive would hold of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use persistence::disk::RealDisk;
use persistence::{Fold, Log};
use settlement::{
    Book, Expired, Fact, Key, Payment, Position, PositionMoved, Rejected, Reserved, Settled, Stage, State,
};
use tempfile::TempDir;
use wire::{BusinessDate, Currency, MessageId, ParticipantId, Reason, Reasons, Status, Timestamp, Uetr};

use crate::archive::{Archive, Config, Entry, Gatherer, Latest, LogEnd, Nothing, Prepared, Search, merge, prepare};

const PATIENCE: Duration = Duration::from_secs(60);
const START: Timestamp = Timestamp(1_795_442_531_000_000_000);

/// Splitmix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }
}

pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) participants: usize,
    pub(super) model: Vec<Entry>,
    pub(super) book: Book,
    log: Log<RealDisk>,
    open: Vec<(Payment, Timestamp)>,
    now: Timestamp,
    used: Vec<(Key, Uetr)>,
    directory: TempDir,
}

pub(super) fn registered(key: u32, at: Timestamp) -> Vec<Fact<'static>> {
    let (participant, currency) = (Key(key), Currency::EUR);
    let id: ParticipantId = format!("BANK-{key:04}").parse().unwrap();
    let position = Position::default();
    let funded = PositionMoved { at, participant, currency, amount_minor: 1 << 50, position, note: "a test" };
    vec![Fact::Registered { at, key: participant, id, currency }, Fact::Funded(funded)]
}

pub(super) fn reserved<'a>(payment: Payment, at: Timestamp, horizon: Timestamp) -> Fact<'a> {
    let deadline = at.plus(Duration::from_secs(10));
    Fact::Reserved(Reserved { at, payment, content: 7, deadline, horizon, body: &[] })
}

pub(super) fn settled(payment: Payment, at: Timestamp, status: Status) -> Fact<'static> {
    let fact = Settled { at, payment, status, settlement_date: BusinessDate::new(2026, 11, 23).unwrap() };
    if payment.original.is_some() { Fact::Returned(fact) } else { Fact::Settled(fact) }
}

pub(super) fn payment(debtor: u32, creditor: u32, uetr: Uetr, amount_minor: i64) -> Payment {
    let message_id = MessageId::compose(START.date(), "BANK-0001".parse().unwrap(), 1);
    let (debtor, creditor, currency) = (Key(debtor), Key(creditor), Currency::EUR);
    Payment { debtor, creditor, uetr, amount_minor, currency, message_id, original: None }
}

impl World {
    pub(super) fn new(seed: u64, participants: usize) -> World {
        let directory = tempfile::tempdir().unwrap();
        let config = World::log_config(directory.path());
        let (log, _) = Log::open(RealDisk::new(directory.path()), &config, &mut Nothing).unwrap();
        let mut world = World {
            dice: Dice(seed),
            participants,
            model: Vec::new(),
            book: Book::default(),
            log,
            open: Vec::new(),
            now: START,
            used: Vec::new(),
            directory,
        };
        let facts: Vec<_> = (0..participants as u32).flat_map(|key| registered(key, START)).collect();
        world.append(&facts, None);
        world
    }

    fn log_config(directory: &Path) -> persistence::Config {
        persistence::Config {
            segment_bytes: 64 << 10,
            batch_bytes_max: 16 << 10,
            free_bytes_min: 0,
            retained_bytes_max: 0,
            sync: persistence::Sync::None,
            ..persistence::Config::new(directory)
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("archive")
    }

    pub(super) fn last_index(&self) -> u64 {
        self.log.last().index
    }

    /// Files of runs, in the order of the log.
    pub(super) fn runs(&self) -> Vec<PathBuf> {
        self.files(".run")
    }

    pub(super) fn files(&self, ending: &str) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.path()).into_iter().flatten().flatten().map(|file| file.path());
        let mut files: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
        files.sort();
        files
    }

    /// Everything before now is cut off the log.
    pub(super) fn forget_the_log(&mut self) {
        for _ in 0..2 {
            self.append(&[], None);
            self.log.snapshot(self.log.last().index, &[], Nothing.freeze()).unwrap();
        }
    }

    fn append(&mut self, facts: &[Fact<'_>], gatherer: Option<&mut Gatherer>) {
        let mut payload = Vec::new();
        facts.iter().for_each(|fact| fact.encode(&mut payload));
        self.log.append_payload(1, &payload).unwrap();
        self.log.sync().unwrap();
        let index = self.log.last().index;
        let mut gatherer = gatherer;
        for fact in facts {
            let decided_at = self.book.apply(fact, &mut ());
            if let Some(gatherer) = &mut gatherer {
                gatherer.note(fact, index, decided_at);
            }
        }
        if let Some(gatherer) = gatherer {
            gatherer.folded(index, self.now);
        }
    }

    /// Some log entries, until so many more payments have ended.
    pub(super) fn live(&mut self, ended: usize, mut gatherer: Option<&mut Gatherer>) {
        let until = self.model.len() + ended;
        while self.model.len() < until {
            let index = self.last_index() + 1;
            let facts: Vec<_> = (0..1 + self.dice.roll(12)).flat_map(|_| self.happen(index)).collect();
            self.append(&facts, gatherer.as_deref_mut());
            if let Some(gatherer) = gatherer.as_deref_mut().filter(|_| self.dice.roll(8) == 0) {
                gatherer.hand_over();
            }
        }
    }

    /// A payment begins, or one ends.
    fn happen(&mut self, index: u64) -> Option<Fact<'static>> {
        // Often nothing lies between two facts, as when they come in one batch.
        self.now = self.now.plus(Duration::from_micros(self.dice.roll(3) as u64 * 700));
        let at = self.now;
        if self.open.len() < 2 || self.dice.roll(2) == 0 {
            return self.begin(at, index);
        }
        let place = self.dice.roll(self.open.len());
        let (payment, decided_at) = self.open.swap_remove(place);
        let mut reasons = Reasons::one(Reason::AM09);
        let fact = match self.dice.roll(5) {
            0 => Fact::Expired(Expired { at, payment, reasons: Reasons::one(Reason::AG09) }),
            1 => {
                reasons.add(Reason::AG09);
                self.rejected(payment, at, Stage::Answer, reasons)
            }
            2 => settled(payment, at, Status::ACWP),
            _ => settled(payment, at, Status::ACSC),
        };
        self.keep(&fact, index, decided_at);
        Some(fact)
    }

    fn begin(&mut self, at: Timestamp, index: u64) -> Option<Fact<'static>> {
        let debtor = self.dice.roll(self.participants) as u32;
        let creditor = self.dice.roll(self.participants) as u32;
        let mut uetr = Uetr::from_random(std::array::from_fn(|_| self.dice.roll(256) as u8));
        // Another debtor agent may use a UETR too.
        if !self.used.is_empty() && self.dice.roll(20) == 0 {
            uetr = self.used[self.dice.roll(self.used.len())].1;
        }
        if creditor == debtor || self.used.contains(&(Key(debtor), uetr)) {
            return None;
        }
        self.used.push((Key(debtor), uetr));
        let mut payment = payment(debtor, creditor, uetr, 1 + self.dice.roll(1000) as i64);
        if self.dice.roll(6) == 0 {
            payment.original = Some(Uetr::from_random([9; 16]));
        }
        if self.dice.roll(8) == 0 {
            payment.creditor = Key::NONE;
            let fact = self.rejected(payment, at, Stage::Submit, Reasons::one(Reason::AGNT));
            self.keep(&fact, index, at);
            return Some(fact);
        }
        self.open.push((payment, at));
        Some(reserved(payment, at, Timestamp(0)))
    }

    fn rejected(&self, payment: Payment, at: Timestamp, stage: Stage, reasons: Reasons) -> Fact<'static> {
        let horizon = Timestamp(0);
        Fact::Rejected(Rejected { at, payment, content: 7, horizon, stage, reasons, additional_information: None })
    }

    fn keep(&mut self, fact: &Fact<'_>, index: u64, decided_at: Timestamp) {
        let mut entry = Entry::of(fact, index).unwrap();
        entry.decided_at = decided_at;
        self.model.push(entry);
    }

    /// From now on no UETR comes again.
    pub(super) fn used_up(&mut self) {
        self.used.clear();
    }

    pub(super) fn config(&self, run_entries: usize) -> Config {
        Config { free_bytes_min: 0, run_entries, ..Config::default() }
    }

    pub(super) fn start(&self, prepared: Prepared, config: Config) -> Archive {
        prepared.start(config, self.directory.path().into(), LogEnd::At(self.last_index())).unwrap()
    }

    /// Starts an archive, waits until it has caught up.
    pub(super) fn archive(&self, run_entries: usize) -> (Gatherer, Archive) {
        let (gatherer, prepared) = prepare();
        let archive = self.start(prepared, self.config(run_entries));
        self.until_caught_up(&archive);
        (gatherer, archive)
    }

    pub(super) fn until_caught_up(&self, archive: &Archive) {
        archive.wait(PATIENCE).unwrap();
        until("the archive has caught up and merged", || {
            let is_merged = merge::choose(&archive.shared.shelf().runs).is_none();
            archive.figures().covered_index >= self.model.last().map_or(0, |entry| entry.index) && is_merged
        });
    }

    /// Compares with the naive model: every payment by its UETR, and many searches by participant.
    pub(super) fn check(&mut self, archive: &Archive) {
        archive.wait(PATIENCE).unwrap();
        for _ in 0..200.min(self.model.len()) {
            let uetr = self.model[self.dice.roll(self.model.len())].uetr;
            let mut expected: Vec<Entry> = self.model.iter().filter(|entry| entry.uetr == uetr).copied().collect();
            expected.sort_by_key(|entry| std::cmp::Reverse(entry.index));
            let mut found = archive.by_uetr(uetr, None).unwrap();
            // Two of the same UETR in one log entry have no order.
            found.sort_by_key(|entry| (std::cmp::Reverse(entry.index), entry.debtor));
            expected.sort_by_key(|entry| (std::cmp::Reverse(entry.index), entry.debtor));
            assert_eq!(found, expected);
            let debtor = expected[0].debtor;
            expected.retain(|entry| entry.debtor == debtor);
            assert_eq!(archive.by_uetr(uetr, Some(debtor)).unwrap(), expected);
        }
        let nobody = Uetr::from_random([0xee; 16]);
        assert_eq!(archive.by_uetr(nobody, None).unwrap(), []);
        for _ in 0..60 {
            self.check_search(archive);
        }
    }

    fn check_search(&mut self, archive: &Archive) {
        let participant = Key(self.dice.roll(self.participants + 1) as u32);
        let search = if self.dice.roll(4) == 0 {
            Search::latest(1 + self.dice.roll(50))
        } else {
            let some = |dice: &mut Dice, model: &[Entry]| model[dice.roll(model.len())].ended_at;
            Search {
                from: some(&mut self.dice, &self.model),
                until: some(&mut self.dice, &self.model),
                state: [None, Some(State::Settled), Some(State::Expired)][self.dice.roll(3)],
                limit: 1 + self.dice.roll(2 * self.model.len()),
                examined_max: usize::MAX,
            }
        };
        let asked = |entry: &&Entry| {
            entry.concerns(participant)
                && (search.from..search.until).contains(&entry.ended_at)
                && search.state.is_none_or(|state| entry.state == state)
        };
        let mut expected: Vec<Entry> = self.model.iter().filter(asked).copied().collect();
        expected.sort_by_key(|entry| std::cmp::Reverse((entry.ended_at, entry.uetr, entry.debtor)));
        expected.truncate(search.limit);
        let found = archive.latest(&[participant], &search, |_| true).unwrap();
        assert_eq!(found, Latest { entries: expected, reached: None }, "{participant:?} {search:?}");
    }
}

pub(super) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < patience, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
