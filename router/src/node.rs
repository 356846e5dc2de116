//! The whole switch, wired on one page.
//!
//! ```text
//!   listener ── session ──Instructions──> actors ── journal ── ledger
//!                  ^                                              │ bell
//!                  └── outlet <────────── courier <───────────────┘
//! ```
//!
//! With other nodes: `Switch::relay` stands between the session and the actors of the node that leads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use actors::Switch;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::cluster::{self, Lines};
use crate::courier::{self, Outlets};
use crate::door::{Closed, Door};
use crate::logs;
use crate::ops::Measured;
use crate::session::{self, Context, Limits};

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    /// Where participants reach this node, if not at the address it listens on.
    pub advertise: Option<String>,
    /// Over how long participants are sent to other nodes.
    pub spread: std::time::Duration,
    /// Connections at most, signed on or not.
    pub connections_max: usize,
    pub session: Limits,
    pub switch: actors::Config,
    /// The other nodes, if there are any.
    pub cluster: Option<cluster::Config>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Switch(#[from] actors::Error),
    #[error("between nodes: {0}")]
    Peers(#[from] peers::Error),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// How long a node that is being stopped waits for another one to lead.
const HAND_OVER_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// A running node.
pub struct Node {
    pub switch: Arc<Switch>,
    pub address: SocketAddr,
    pub recovery: persistence::Recovery,
    pub(crate) door: Arc<Door>,
    pub(crate) outlets: Arc<Outlets>,
    pub(crate) measured: Arc<Measured>,
    pub(crate) lines: Lines,
    accepting: tokio::task::JoinHandle<()>,
}

/// Recovers, then listens; a node alone then waits until it leads. Needs a tokio runtime of one thread, on which everything
/// but the journal and the connections between nodes then runs.
pub async fn start(config: Config) -> Result<Node, Error> {
    let listen_failed = |address| move |source| Error::Listen { address, source };
    // The addresses are taken first, so that a second node on them fails before it touches anything.
    let listener = TcpListener::bind(config.listen).await.map_err(listen_failed(config.listen))?;
    let address = listener.local_addr().map_err(listen_failed(config.listen))?;
    let among = match config.cluster {
        Some(among) => {
            let listener = std::net::TcpListener::bind(among.listen).map_err(listen_failed(among.listen))?;
            Some((among, listener))
        }
        None => None,
    };

    let door = Arc::new(Door::new(config.spread));
    let lines = Lines::new(config.switch.node, door.clone());
    let (switch, recovery) = actors::start_among(config.switch, Arc::new(lines.clone()), lines.clone())?;
    let outlets = Arc::new(Outlets::default());
    let measured = Arc::new(Measured::default());
    essential("courier", courier::employ(&switch, outlets.clone(), measured.clone()));
    let ended = switch.clone();
    tokio::spawn(async move {
        ended.until_actors_end().await;
        if !ended.is_closing() {
            tracing::error!(
                event = "actors_ended",
                "the node cannot go on without its actors and ends; start it again"
            );
            end();
        }
    });
    let context = Arc::new(Context {
        switch: switch.clone(),
        outlets: outlets.clone(),
        limits: config.session,
        door: door.clone(),
        measured: measured.clone(),
        catch_ups: Semaphore::new(2),
        sessions: AtomicU64::new(0),
    });
    match among {
        Some((among, listener)) => lines.connect(among, listener, &switch)?,
        None => switch.until_reign().await?,
    }
    door.is_listening();
    let advertised = config.advertise.unwrap_or_else(|| address.to_string());
    essential("door", door.clone().attend(switch.clone(), advertised));
    let accepting = tokio::spawn(accept(listener, context, config.connections_max));
    Ok(Node { switch, address, recovery, door, outlets, measured, lines, accepting })
}

/// Runs what the node cannot do without: if it ends, however it does, so does the process, and comes back from the log.
fn essential(name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    let task = tokio::spawn(task);
    tokio::spawn(async move {
        if let Err(error) = task.await
            && error.is_panic()
        {
            tracing::error!(event = "task_panicked", task = name, "the node cannot go on and ends; start it again");
            end();
        }
    });
}

/// Ends the process, which comes back from the log.
fn end() -> ! {
    logs::flush();
    std::process::exit(1);
}

async fn accept(listener: TcpListener, context: Arc<Context>, connections_max: usize) {
    let permits = Arc::new(Semaphore::new(connections_max));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                prepare(&stream);
                let context = context.clone();
                tokio::spawn(async move {
                    session::serve(context, stream).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: wait for some to come back.
                tracing::warn!(event = "accept_failed", error = %error);
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

fn prepare(stream: &TcpStream) {
    // Batches are made here, so the kernel need not wait for more; dead peers are noticed even when nothing is sent.
    _ = stream.set_nodelay(true);
    _ = socket2::SockRef::from(stream).set_keepalive(true);
}

impl Node {
    /// Leadership first, if there is anybody to have it.
    async fn hand_over(&self) {
        let (sender, told) = tokio::sync::oneshot::channel();
        let tell = Box::new(move |told| _ = sender.send(told));
        if self.switch.reign().is_none() || self.switch.journal().transfer(None, tell).is_err() {
            return;
        }
        if let Ok(Ok(_)) = told.await {
            let handed_over = tokio::time::timeout(HAND_OVER_PATIENCE, self.switch.until_reign_ends()).await;
            tracing::info!(event = "leadership_handed_over", done = handed_over.is_ok());
        }
    }

    /// Ends all connections with a word and closes the log. A node alone lets payments in process end before; among others
    /// they go on there, and so do those who are connected.
    pub async fn stop(self, patience: std::time::Duration) -> Result<usize, Error> {
        let mut left = 0;
        if self.switch.journal().cluster().members.iter().count() > 1 {
            self.hand_over().await;
            self.door.stop();
            if !self.switch.relay.elsewhere().is_empty() {
                self.door.until_empty(&self.switch).await;
            }
        } else {
            self.switch.drain();
            left = self.switch.wait_for_quiet(patience).await?;
            self.door.stop();
        }
        self.accepting.abort();
        self.switch.connected().iter().for_each(|line| line.end(Closed::Stopping.ending()));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        self.switch.close();
        self.lines.end();
        Ok(left)
    }
}
