//! A real switch with two good participants on it, who pay each other while others misbehave: their payments settle
//! promptly and their sessions last.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::task::JoinHandle;
use wire::client::{Client, Error, Notices, Options, Reply, State, Transfer};
use wire::{Currency, Message, Money, ParticipantId, Timestamp};

use crate::process::{Place, Process, Setup};

/// A payment between good participants settles within this, on a machine that is busy with other things too.
const PROMPT: Duration = Duration::from_secs(5);
pub const NORTH: &str = "NORTHBANK";
pub const SOUTH: &str = "SOUTHBANK";

/// See the file's head. A test that fails leaves the directory behind.
pub struct House {
    pub process: Process,
    pub place: Place,
    pub address: SocketAddr,
    pub north: Client,
    south: Client,
    /// When the two sessions began.
    since: [Timestamp; 2],
    answering: JoinHandle<()>,
    directory: Option<TempDir>,
}

impl House {
    /// Starts `program` with the two good participants and those of `setup`.
    pub async fn start(program: impl AsRef<Path>, setup: Setup) -> House {
        let directory = tempfile::Builder::new().prefix("crosstie-test-").tempdir().expect("a temporary directory");
        let setup = setup.member(NORTH, "1000000000.00").member(SOUTH, "1000000000.00");
        let place = Place::new(program.as_ref(), directory.path(), &setup).expect("the directory takes files");
        let mut process = place.start().expect("the program starts");
        let ready = process.ready(Duration::from_secs(60)).await.unwrap_or_else(|error| panic!("{error}"));
        let (north, _) = connect(ready.address, NORTH).await;
        let (south, notices) = connect(ready.address, SOUTH).await;
        let since = [&north, &south].map(|client| signed_on_since(client).expect("it has signed on"));
        let answering = tokio::spawn(say_yes(south.clone(), notices));
        House { process, place, address: ready.address, north, south, since, answering, directory: Some(directory) }
    }

    /// The two pay each other, promptly, on the sessions that they began with; the switch has nothing to complain of.
    pub async fn check(&mut self) {
        for _ in 0..3 {
            let took = self.pay().await;
            assert!(took < PROMPT, "a payment between good participants took {took:?}");
        }
        let now = [&self.north, &self.south].map(signed_on_since);
        assert_eq!(now, self.since.map(Some), "a good session was dropped: {:?}", *self.north.state().borrow());
        self.check_process();
    }

    /// One payment that must settle; how long it took.
    pub async fn pay(&self) -> Duration {
        let started = Instant::now();
        let outcome = self.north.within(Duration::from_secs(30)).pay(&transfer(id(SOUTH), 100)).await;
        let outcome = outcome.unwrap_or_else(|error| panic!("a good payment: {error}"));
        assert!(outcome.is_settled(), "a good payment: {outcome}");
        started.elapsed()
    }

    /// SIGKILL, and a new process on the same data; the two do not know its address.
    pub fn start_again(&mut self) -> Process {
        self.process.kill();
        self.place.start().expect("the program starts")
    }

    /// It runs, and none of its tasks has panicked.
    pub fn check_process(&mut self) {
        assert_eq!(self.process.ended(), None, "the switch ended\n{}", self.place.diary_tail());
        let diary = std::fs::read_to_string(self.place.diary()).expect("the switch writes a diary");
        assert!(!diary.contains("panicked") && !diary.contains("\"ERROR\""), "{}", self.place.diary_tail());
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.answering.abort();
        if std::thread::panicking()
            && let Some(directory) = self.directory.take()
        {
            eprintln!("everything is kept in {}", directory.keep().display());
        }
    }
}

pub fn id(name: &str) -> ParticipantId {
    name.parse().expect("this is a name")
}

/// A transfer of so many cents.
pub fn transfer(creditor_agent: ParticipantId, amount_minor: i64) -> Transfer {
    Transfer::new(creditor_agent, Money::new(amount_minor, Currency::EUR))
        .from("Ada Adler", "DE02100100100006820101")
        .to("Ben Brook", "GB33BUKB20201555555555")
}

async fn connect(address: SocketAddr, name: &str) -> (Client, Notices) {
    let options = Options { timeout: Duration::from_secs(60), ..Options::new(address.to_string(), id(name)) };
    Client::connect(options).await.unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn signed_on_since(client: &Client) -> Option<Timestamp> {
    match &*client.state().borrow() {
        State::SignedOn { since, .. } => Some(*since),
        _ => None,
    }
}

/// Accepts whatever is offered.
async fn say_yes(client: Client, mut notices: Notices) {
    loop {
        let notice = match notices.next().await {
            Ok(Some(notice)) => notice,
            Ok(None) | Err(Error::Closed) => return,
            Err(error) => panic!("a good creditor agent: {error}"),
        };
        if let Message::TransferNotice(offer) = notice.view() {
            let reply = Reply::yes(offer.transfer.debtor_agent, offer.transfer.uetr);
            client.answer(&reply).await.unwrap_or_else(|error| panic!("a good creditor agent: {error}"));
        }
        notices.processed(&notice);
    }
}
