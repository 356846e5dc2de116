//! The log as raft sees it: the newest entries from memory, older ones from the disk, the newest snapshot by name.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use raft::eraftpb::{ConfState, HardState, Snapshot};
use raft::prelude::Entry;
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use super::cache::Cache;
use super::membership::Members;
use super::message::{entry, payload};
use crate::disk::Disk;
use crate::error::Error;
use crate::fold::{Fold, Index, NodeId, Term};
use crate::log::{Log, OwnedRecord, Record, Vote};

pub(super) struct Store<D: Disk> {
    pub(super) log: Log<D>,
    cache: Cache,
    /// Who votes after the last folded entry, for raft's start.
    start: ConfState,
    /// Raft cannot be told that the disk failed while it reads; whoever called it looks here.
    failure: RefCell<Option<Error>>,
    /// A follower needs a snapshot that is not there yet.
    snapshot_wanted: Cell<bool>,
    /// Whom raft wanted to send entries to that lie far off on the disk: it has to ask again.
    asked: RefCell<Option<GetEntriesContext>>,
}

impl<D: Disk> Store<D> {
    pub(super) fn new(log: Log<D>, members: &Members) -> Store<D> {
        Store {
            log,
            cache: Cache::new(0),
            start: members.conf_state(),
            failure: RefCell::new(None),
            snapshot_wanted: Cell::new(false),
            asked: RefCell::new(None),
        }
    }

    pub(super) fn bound_cache(&mut self, bytes_max: usize) {
        self.cache.bound(bytes_max);
    }

    /// What went wrong since the last look.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.failure.borrow_mut().take().map_or(Ok(()), Err)
    }

    pub(super) fn wants_snapshot(&self) -> bool {
        self.snapshot_wanted.take()
    }

    /// Whether entries that a follower needs are being looked for on the disk: at each question they are nearer.
    pub(super) fn is_seeking(&self) -> bool {
        self.asked.borrow().is_some()
    }

    /// The question that raft is to ask again.
    pub(super) fn take_question(&self) -> Option<GetEntriesContext> {
        self.asked.borrow_mut().take()
    }

    /// The term of the first entries can be older than the first vote.
    fn vote(&self) -> Vote {
        let vote = self.log.vote();
        let term = self.log.last().term.max(1);
        if vote.term >= term { vote } else { Vote { term, voted_for: None } }
    }

    /// Durable when it returns.
    pub(super) fn set_vote(&mut self, term: Term, voted_for: Option<NodeId>) -> Result<(), Error> {
        if self.vote() == (Vote { term, voted_for }) {
            return Ok(());
        }
        self.log.set_vote(Vote { term, voted_for })
    }

    /// Writes entries in place of whatever stands there, in one write; they count when it returns.
    pub(super) fn append(&mut self, entries: Vec<Entry>, committed: Index, folded: Index) -> Result<(), Error> {
        let Some(first) = entries.first() else { return Ok(()) };
        if first.index <= self.log.last().index {
            self.log.truncate(first.index)?;
            self.cache.truncate(first.index);
        }
        let records: Vec<Record<'_>> = entries
            .iter()
            .map(|entry| {
                let (kind, payload) = payload(entry);
                Record { index: entry.index, term: entry.term, kind, payload }
            })
            .collect();
        self.log.append(&records, committed)?;
        self.log.sync()?;
        entries.into_iter().for_each(|entry| self.cache.push(entry));
        self.cache.shrink(folded);
        Ok(())
    }

    /// The oldest entry that needs no disk to be read.
    pub(super) fn first_cached(&self) -> Index {
        self.cache.first().unwrap_or(self.log.last().index + 1)
    }

    /// Replaces the log by a snapshot that lies ready.
    pub(super) fn install<F: Fold>(&mut self, file: &str, fold: &mut F) -> Result<(), Error> {
        self.cache.clear();
        self.log.install(file, fold).map(drop)
    }

    /// `None` when they are far off, and `may_wait` for another question.
    fn read_disk(&self, low: Index, high: Index, bytes_max: u64, may_wait: bool) -> Result<Option<Vec<Entry>>, Error> {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let records = match may_wait {
            true => self.log.entries_near(low, high, bytes_max)?,
            false => Some(self.log.entries(low, high, bytes_max)?),
        };
        let raft_entry =
            |record: OwnedRecord| entry(record.index, record.term, record.kind, Bytes::from(record.payload));
        Ok(records.map(|records| records.into_iter().map(raft_entry).collect()))
    }
}

impl<D: Disk> Storage for Store<D> {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let vote = self.vote();
        let mut hard = HardState::default();
        (hard.term, hard.vote) = (vote.term, vote.voted_for.unwrap_or(raft::INVALID_ID));
        hard.commit = self.log.folded();
        Ok(RaftState::new(hard, self.start.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let bytes_max = max_size.into().unwrap_or(u64::MAX);
        if let Some(entries) = self.cache.get(low, high, bytes_max) {
            return Ok(entries);
        }
        let high = high.min(self.first_cached().max(low + 1));
        match self.read_disk(low, high, bytes_max, context.can_async()) {
            Ok(Some(entries)) => Ok(entries),
            Ok(None) => {
                self.asked.replace(Some(context));
                Err(StorageError::LogTemporarilyUnavailable.into())
            }
            Err(Error::Gone { .. }) => Err(StorageError::Compacted.into()),
            Err(damage @ Error::Damaged { .. }) if self.log.does_without(low, &damage) => {
                Err(StorageError::Compacted.into())
            }
            Err(error) => {
                self.failure.borrow_mut().get_or_insert(error);
                Ok(Vec::new())
            }
        }
    }

    /// Of entries whose term is not known yet raft hears no more than that; only a leader asks, before it sends them.
    fn term(&self, index: u64) -> raft::Result<u64> {
        let term = self.cache.term(index).or_else(|| self.log.term(index));
        term.ok_or_else(|| StorageError::Compacted.into())
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.log.first())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.log.last().index)
    }

    /// One that the receiver can use: it is a member there, and the log goes on behind it.
    fn snapshot(&self, least: u64, to: u64) -> raft::Result<Snapshot> {
        let newest = self.log.newest_snapshot();
        let index = newest.mark.index;
        let members = Members::from_bytes(&newest.membership).ok().filter(|members| members.get(to).is_some());
        let Some(members) = members.filter(|_| index >= least.max(1) && index + 1 >= self.log.first()) else {
            self.snapshot_wanted.set(true);
            return Err(StorageError::SnapshotTemporarilyUnavailable.into());
        };
        let mut snapshot = Snapshot::default();
        snapshot.mut_metadata().index = newest.mark.index;
        snapshot.mut_metadata().term = newest.mark.term;
        snapshot.mut_metadata().set_conf_state(members.conf_state());
        snapshot.data = Bytes::copy_from_slice(&newest.membership);
        Ok(snapshot)
    }
}
