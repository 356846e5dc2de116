//! The control socket: how `crosstie local kill 2` in another shell reaches the cluster. One line of JSON each way.
//!
//! ```text
//! {"kill":{"node":2}}
//! {"ok":{"said":"node 2 was killed …","status":{…}}}
//! {"error":{"kind":"not_found","message":"there is no node 7; there are 1, 2, 3"}}
//! ```

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::place::Place;
use super::status::Status;
use crate::admin::client::converse;
use crate::admin::protocol::{Problem, ProblemKind, Reply};
use crate::exit::{Exit, Failure};

const ORDER_BYTES_MAX: u64 = 4096;
/// Paths of sockets are no longer than this, the system says.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// For an order to come in, and for its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// A node may take long to start or to stop.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// What can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    Status,
    Kill {
        node: u64,
    },
    Start {
        node: u64,
    },
    Stop {
        node: u64,
    },
    Pause {
        node: u64,
    },
    Resume {
        node: u64,
    },
    /// A node or a region.
    Partition {
        what: String,
    },
    Heal,
    /// Between nodes or regions.
    Delay {
        from: String,
        to: String,
        round_trip_us: u64,
    },
    Down,
}

/// What was done, and what the cluster looks like then.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub said: String,
    pub status: Status,
}

/// An order that came in, and where its answer goes.
pub(super) struct Asked {
    pub(super) order: Order,
    pub(super) answer: oneshot::Sender<Result<Answer, Failure>>,
}

/// Gives an order to the cluster that runs in `directory`.
pub fn order(directory: &Path, order: &Order) -> Result<Answer, Failure> {
    let unreachable = |what: String| {
        let shown = directory.display();
        let next = format!("crosstie local up --dir {shown} starts it; another place is named by --dir");
        Failure::new(Exit::Unreachable, format!("no cluster runs in {shown}: {what}")).next(next)
    };
    if Place::read(directory)?.is_none() {
        return Err(unreachable("there is none".into()));
    }
    let reply = converse(&directory.join("control.sock"), order, ANSWER_TIMEOUT).map_err(unreachable)?;
    let unreadable = |error: serde_json::Error| {
        Failure::new(Exit::Unreachable, format!("the answer cannot be read: {error}; is it of another version?"))
    };
    let reply: Reply = serde_json::from_str(&reply).map_err(unreadable)?;
    serde_json::from_value(reply.result()?).map_err(unreadable)
}

/// The socket, while the cluster runs; its file goes when this is dropped.
pub(super) struct Control {
    path: PathBuf,
    pub(super) orders: mpsc::Receiver<Asked>,
}

impl Control {
    /// Takes the socket, also after a crash has left the file there.
    pub(super) fn open(path: PathBuf) -> Result<Control, Failure> {
        let failed = |error: io::Error| {
            Failure::new(Exit::Unreachable, format!("cannot open the control socket {}: {error}", path.display()))
        };
        if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            let bytes = path.as_os_str().len();
            let what = format!("the path of the control socket, {}, has {bytes} bytes", path.display());
            let next = format!("the system takes {SOCKET_PATH_BYTES_MAX}: choose a shorter place by --dir");
            return Err(Failure::new(Exit::Usage, what).next(next));
        }
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            let shown = path.parent().unwrap_or(&path).display();
            return Err(Failure::new(Exit::Refused, format!("a cluster runs already in {shown}"))
                .next("crosstie local status shows it, crosstie local down stops it, --dir DIR makes another"));
        }
        if path.exists() {
            std::fs::remove_file(&path).map_err(failed)?;
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let (sender, orders) = mpsc::channel(1);
        tokio::spawn(accept(listener, sender));
        Ok(Control { path, orders })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Whoever finds it gone knows that nothing runs.
        _ = std::fs::remove_file(&self.path);
    }
}

async fn accept(listener: UnixListener, orders: mpsc::Sender<Asked>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => _ = tokio::spawn(serve(stream, orders.clone())),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await, // too many open files
        }
    }
}

/// One order of one client.
async fn serve(stream: UnixStream, orders: mpsc::Sender<Asked>) {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(ORDER_BYTES_MAX));
    if !matches!(timeout(PATIENCE, reader.read_line(&mut line)).await, Ok(Ok(_))) {
        return;
    }
    let reply = match serde_json::from_str(&line) {
        Ok(order) => carried_out(order, &orders).await,
        Err(error) => {
            let message = format!("the order cannot be read: {error}; is it of another version of crosstie?");
            Reply::Error(Problem { kind: ProblemKind::Usage, message, next: None })
        }
    };
    let Ok(mut reply) = serde_json::to_vec(&reply) else { return };
    reply.push(b'\n');
    // Who does not wait for the answer does not want it.
    _ = timeout(PATIENCE, writer.write_all(&reply)).await;
}

async fn carried_out(order: Order, orders: &mpsc::Sender<Asked>) -> Reply {
    let (answer, answered) = oneshot::channel();
    let answered = match orders.send(Asked { order, answer }).await {
        Ok(()) => answered.await.ok(),
        Err(_) => None,
    };
    let stopping = || Failure::new(Exit::Unreachable, "the cluster is being stopped");
    match answered.unwrap_or_else(|| Err(stopping())) {
        Ok(answer) => Reply::Ok(serde_json::to_value(answer).unwrap_or_default()),
        Err(failure) => Reply::Error(problem(failure)),
    }
}

fn problem(failure: Failure) -> Problem {
    let kind = match failure.exit {
        Exit::Usage => ProblemKind::Usage,
        Exit::NotFound => ProblemKind::NotFound,
        Exit::Refused => ProblemKind::Refused,
        _ => ProblemKind::Unavailable,
    };
    Problem { kind, message: failure.message, next: failure.next }
}
