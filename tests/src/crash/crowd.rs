//! All banks of a run together: they come, pay and are paid, become quiet, go.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::SmallRng;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;
use wire::ParticipantId;

use super::bank::Bank;
use super::journal::Journal;
use super::options::Options;
use super::record::Record;
use super::session::{Stage, Standing, live};

/// All payments have an outcome so long after the last one was submitted.
const QUIET_PATIENCE: Duration = Duration::from_secs(60);

/// See the file's head.
pub(super) struct Crowd {
    pub(super) record: Rc<Record>,
    pub(super) journals: PathBuf,
    /// Before they come and after they have gone.
    pub(super) banks: Vec<Bank>,
    standing: Rc<Standing>,
    stage: watch::Sender<Stage>,
    sessions: Vec<JoinHandle<Bank>>,
}

/// `BANK-001` and so on.
pub(super) fn ids(options: &Options) -> Result<Vec<ParticipantId>, String> {
    let id = |number| format!("BANK-{number:03}").parse().map_err(|error: wire::Error| error.to_string());
    (1..=options.participants).map(id).collect()
}

impl Crowd {
    /// Banks with journals in `directory`. They pay once they come.
    pub(super) fn new(options: &Options, directory: &Path, random: &mut SmallRng) -> Result<Crowd, String> {
        let (ids, journals) = (ids(options)?, directory.join("journals"));
        std::fs::create_dir_all(&journals).map_err(|error| format!("{}: {error}", journals.display()))?;
        let record = Rc::new(Record::default());
        let banks = ids.iter().map(|id| {
            let journal = Journal::create(&journals, *id).map_err(|error| format!("journal of {id}: {error}"))?;
            Ok(Bank::new(*id, &ids, random.random(), journal, record.clone()))
        });
        let banks = banks.collect::<Result<Vec<_>, String>>()?;
        let standing = Standing { open: ids.iter().map(|_| Default::default()).collect(), ..Standing::default() };
        let rate = options.rate / ids.len() as f64;
        let stage = watch::Sender::new(Stage { addresses: Vec::new(), rate, over: false });
        Ok(Crowd { record, journals, banks, standing: Rc::new(standing), stage, sessions: Vec::new() })
    }

    pub(super) fn come(&mut self) {
        for (place, bank) in std::mem::take(&mut self.banks).into_iter().enumerate() {
            let (stage, standing) = (self.stage.subscribe(), self.standing.clone());
            self.sessions.push(spawn_local(async move { live(bank, place, stage, &standing).await }));
        }
    }

    /// Where they connect from now on: none while the only node is down.
    pub(super) fn reach(&self, addresses: Vec<std::net::SocketAddr>) {
        self.stage.send_modify(|stage| stage.addresses = addresses);
    }

    /// Payments without an outcome.
    pub(super) fn open(&self) -> usize {
        self.standing.open.iter().map(std::cell::Cell::get).sum()
    }

    /// Waits until every payment has its outcome; nothing new is submitted.
    pub(super) async fn quiet(&self) {
        self.stage.send_modify(|stage| stage.rate = 0.0);
        let patience = Instant::now() + QUIET_PATIENCE;
        let mut still = 0;
        // Returns are submitted while the last payments end: quiet is when nothing was open for a while.
        while still < 50 && Instant::now() < patience && self.record.counts().violated == 0 {
            let all_here = self.standing.signed_on.get() == self.standing.open.len();
            still = if self.open() == 0 && all_here { still + 1 } else { 0 };
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// They disconnect. What has no outcome by now will never have one.
    pub(super) async fn go(&mut self) -> Result<(), String> {
        self.stage.send_modify(|stage| (stage.over, stage.addresses) = (true, Vec::new()));
        for session in std::mem::take(&mut self.sessions) {
            self.banks.push(session.await.map_err(|error| error.to_string())?);
        }
        for bank in &self.banks {
            bank.missing().take(3).for_each(|uetr| self.record.violate(format!("{}: {uetr} has no outcome", bank.id)));
        }
        Ok(())
    }
}
