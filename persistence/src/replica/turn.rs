//! One round of work, in the order that keeps the promises:
//!
//! 1. the vote is durable before anything that depends on it leaves;
//! 2. a leader's entries go out before its own write, since both take their time;
//! 3. all entries of the round in one write and one sync;
//! 4. what says that they are there goes out after;
//! 5. what a majority has is folded: a leader does that first (somebody waits for it), a follower last (the leader waits).

use std::time::Duration;

use raft::eraftpb::{Message, MessageType, Snapshot};
use raft::prelude::Entry as RaftEntry;
use raft::{ReadState, Ready};

use super::membership::{ChangeRefused, Members};
use super::message::{self, payload};
use super::{Folded, Replica};
use crate::disk::Disk;
use crate::error::Error;
use crate::fold::{Entry, Fold, Standing};
use crate::format::entry::extent_bytes;
use crate::log::Kind;

impl<D: Disk, F: Fold> Replica<D, F> {
    /// Does everything that can be done now. After a failure nothing counts any more.
    pub fn turn(&mut self) -> Result<(), Error> {
        if let Some(question) = self.raw.store().take_question() {
            self.raw.on_entries_fetched(question);
        }
        self.check()?;
        self.ask_whether_leading();
        while self.raw.has_ready() {
            let ready = self.raw.ready();
            self.check()?;
            self.work(ready)?;
            self.check()?;
            self.end_repair()?;
            self.take_stand();
            self.state_first_members();
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), Error> {
        self.raw.store().check()?;
        self.failure.take().map_or(Ok(()), Err)
    }

    fn ask_whether_leading(&mut self) {
        if self.leads_now()
            && let Some(question) = self.flights.question()
        {
            self.raw.read_index(question.to_le_bytes().to_vec());
        }
    }

    fn work(&mut self, mut ready: Ready) -> Result<(), Error> {
        if let Some(hard) = ready.hs() {
            let voted_for = Some(hard.vote).filter(|node| *node != raft::INVALID_ID);
            self.raw.mut_store().set_vote(hard.term, voted_for)?;
        }
        let leads = self.leads_now();
        if self.standing.leads && (!leads || self.raw.raft.term != self.standing.term) {
            // Nobody travels on into what another leader has put in the log.
            self.flights.drop_all();
        }
        self.send(ready.take_messages());
        let answers = ready.take_read_states();
        let committed = ready.take_committed_entries();
        let committed = if leads { self.fold_all(committed).map(|()| Vec::new())? } else { committed };
        if !ready.snapshot().is_empty() {
            self.install(&ready.snapshot().clone())?;
        }
        self.write(ready.take_entries())?;
        self.send(ready.take_persisted_messages());
        self.fold_all(committed)?;
        let mut light = self.raw.advance_append(ready);
        self.send(light.take_messages());
        self.fold_all(light.take_committed_entries())?;
        self.raw.advance_apply();
        self.answer(answers);
        Ok(())
    }

    fn write(&mut self, entries: Vec<RaftEntry>) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let (committed, folded) = (self.raw.raft.raft_log.committed, self.folded.index);
        let bytes: usize = entries.iter().map(|entry| extent_bytes(payload(entry).1.len())).sum();
        let started = (self.surroundings.clock)();
        self.raw.mut_store().append(entries, committed, folded)?;
        let ended = (self.surroundings.clock)();
        let took = ended.saturating_sub(started);
        self.flights.written(self.raw.store().log.last().index, ended);
        self.counters.wrote(bytes as u64);
        self.pace.note(self.raw.store().log.last().index, self.now);
        self.health.synced(took);
        self.counters.synced(took, self.health.sync());
        Ok(())
    }

    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            if message.get_msg_type() == MessageType::MsgSnapshot {
                self.send_snapshot(&message);
            } else {
                self.surroundings.peers.send(message.to, message::encode(&message));
            }
        }
    }

    fn send_snapshot(&mut self, message: &Message) {
        let file = self.raw.store().log.snapshot_path(message.get_snapshot().get_metadata().index);
        tracing::info!(event = "snapshot_sending", peer = message.to, file = %file.display());
        self.surroundings.peers.send_snapshot(message.to, message::encode(message), file);
    }

    /// Replaces everything by the snapshot that came.
    fn install(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        let metadata = snapshot.get_metadata();
        let Some((index, file)) = self.arrived.take() else {
            unreachable!("raft installs what arrived, not {}", metadata.index)
        };
        assert_eq!(index, metadata.index, "raft installs what arrived");
        self.raw.mut_store().install(&file, &mut self.fold)?;
        let last = self.raw.store().log.last();
        assert_eq!((last.index, last.term), (metadata.index, metadata.term), "the file is what its header said");
        let members = Members::from_bytes(&snapshot.data)
            .map_err(|cut| Error::Consensus(format!("the members in a snapshot: {cut}")))?;
        self.folded = Folded { index: last.index, term: last.term };
        self.counters.installed(last.index);
        self.set_members(members, last.index);
        Ok(())
    }

    fn fold_all(&mut self, entries: Vec<RaftEntry>) -> Result<(), Error> {
        entries.into_iter().try_for_each(|entry| self.fold_one(&entry))
    }

    fn fold_one(&mut self, entry: &RaftEntry) -> Result<(), Error> {
        assert_eq!(entry.index, self.folded.index + 1, "entries are folded in order");
        let (kind, bytes) = payload(entry);
        let reigns = self.standing.leads && self.standing.term == entry.term;
        while let Some(mut company) = self.flights.disembark(self.folded.index, reigns) {
            self.fold.delivered(&mut company);
        }
        let mut passengers = self.land(entry);
        let payload: &[u8] = if kind == Kind::Batch { bytes } else { &[] };
        self.folded = Folded { index: entry.index, term: entry.term };
        let replay = entry.index <= self.replay_to;
        match replay {
            true => self.bytes_replayed += payload.len() as u64,
            false => self.counters.committed(entry.index, payload.len() as u64),
        }
        self.fold.committed(Entry { index: entry.index, term: entry.term, payload, replay }, &mut passengers);
        if kind == Kind::Membership {
            self.members_changed(entry)?;
        }
        // At the begin of a reign too: a cluster that rests is compared as well.
        if payload.is_empty() || entry.index.is_multiple_of(self.checkpoint_every) {
            self.checkpoint(entry.index)?;
        }
        Ok(())
    }

    /// Who came with the entry.
    fn land(&mut self, entry: &RaftEntry) -> Vec<F::Passenger> {
        let Some(flight) = self.flights.arrive(entry.index, entry.term) else { return Vec::new() };
        let now = (self.surroundings.clock)();
        let mut times = self.counters.times.lock();
        times.commit.record(now.saturating_sub(flight.proposed_at));
        if !self.is_alone() {
            // A majority of others may have it before this node does.
            times.replicate.record(flight.written_at.map_or(Duration::ZERO, |written| now.saturating_sub(written)));
        }
        flight.passengers
    }

    fn answer(&mut self, answers: Vec<ReadState>) {
        for answer in answers {
            let question = answer.request_ctx.as_slice().try_into().map_or(0, u64::from_le_bytes);
            self.flights.answer(question);
        }
        while let Some(mut company) = self.flights.disembark(self.folded.index, false) {
            self.fold.delivered(&mut company);
        }
    }

    /// Tells the fold where this node stands, after dropping who travelled with a reign that is over.
    fn take_stand(&mut self) {
        let raft = &self.raw.raft;
        let standing = Standing {
            term: raft.term,
            leader: Some(raft.leader_id).filter(|node| *node != raft::INVALID_ID),
            leads: self.leads_now() && self.folded.term == raft.term,
        };
        if standing == self.standing {
            return;
        }
        if self.standing.leads {
            self.flights.drop_all();
            if let Some(under_way) = self.change.take() {
                (under_way.done)(Err(ChangeRefused::Unknown));
            }
        }
        self.standing = standing;
        self.counters.stand(standing, raft_role(self.raw.raft.state));
        self.fold.standing(standing);
    }
}

fn raft_role(state: raft::StateRole) -> crate::journal::statistics::Role {
    use crate::journal::statistics::Role;
    match state {
        raft::StateRole::Leader => Role::Leader,
        raft::StateRole::Follower => Role::Follower,
        raft::StateRole::Candidate | raft::StateRole::PreCandidate => Role::Candidate,
    }
}
