//! The socket of the administration: who may connect, how much may be asked, how long it may take.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Desk;
use super::asked::Origin;
use super::desk::{unavailable, value};
use super::protocol::{Command, Line, Problem, ProblemKind, REQUEST_BYTES_MAX, Reply, Request, Working};
use crate::exit::{Exit, Failure};
use crate::tap::Tap;

const CONNECTIONS_MAX: usize = 8;
/// For one request to come in, and for one answer to be taken.
const PATIENCE: Duration = Duration::from_secs(30);
const WORKING_EVERY: Duration = Duration::from_secs(1);

/// A bound socket; the file goes when this is dropped.
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    /// Whose socket it is: this user and the superuser may speak.
    owner: u32,
}

/// Takes the socket at `path`, also after a crash has left the file there.
pub fn bind(path: &Path) -> Result<Server, Failure> {
    let failed = |error: io::Error| {
        Failure::new(Exit::Unreachable, format!("cannot open the admin socket {}: {error}", path.display()))
            .next("choose another place: --set admin.socket=PATH")
    };
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(failed(io::Error::other("there is a file of this name that is no socket")));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let message = format!("another node answers on the admin socket {}", path.display());
            return Err(Failure::new(Exit::Refused, message).next("give each node its own: --set admin.socket=PATH"));
        }
        std::fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let owner = std::fs::metadata(path).map_err(failed)?.uid();
    Ok(Server { listener, path: path.into(), owner })
}

impl Server {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Serves until it is dropped.
    pub async fn serve(&self, desk: Arc<Desk>) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(event = "admin_accept_failed", error = %error);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            // The file's mode says the same; this holds also in the moment before it was set.
            let uid = stream.peer_cred().map(|peer| peer.uid()).ok();
            let Some(uid) = uid.filter(|uid| *uid == self.owner || *uid == 0) else {
                tracing::warn!(event = "admin_refused", uid, "another user tried the admin socket");
                continue;
            };
            let Ok(permit) = permits.clone().try_acquire_owned() else {
                tracing::warn!(event = "admin_busy", "too many admin connections at once");
                continue;
            };
            let desk = desk.clone();
            tokio::spawn(async move {
                converse(stream, &desk, uid, permit).await;
            });
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whoever finds it gone knows that nobody serves it.
        _ = std::fs::remove_file(&self.path);
    }
}

/// One request after another, until the client has none or does something wrong, or taps. The permit is kept as long.
async fn converse(mut stream: UnixStream, desk: &Desk, uid: u32, permit: OwnedSemaphorePermit) {
    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        let (reply, go_on) = match timeout(PATIENCE, read_line(&mut stream, &mut buffer)).await {
            Ok(Ok(Some(line))) => match serde_json::from_slice::<Request>(&line) {
                Ok(Request { command: Command::Tap(filter), .. }) => match desk.tap(&filter, Origin::Cli) {
                    Ok(tap) => {
                        // Taps are bounded by themselves, and take no place from who administers.
                        drop(permit);
                        return tell(stream, tap).await;
                    }
                    Err(problem) => (Line { reply: Reply::Error(problem), read_on: None }, true),
                },
                request => {
                    let takes_long = request.as_ref().is_ok_and(|request| request.command.takes_long());
                    let answering = answer(desk, request, uid);
                    let answered =
                        if takes_long { wait_telling(&mut stream, answering).await } else { Some(answering.await) };
                    let Some(line) = answered else { return };
                    (line, true)
                }
            },
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(problem)) => (Line { reply: Reply::Error(problem), read_on: None }, false),
        };
        if !write(&mut stream, &reply).await || !go_on {
            return;
        }
    }
}

/// Waits for an answer and says meanwhile that it comes; none when the client has gone, and then nobody works for it any more.
async fn wait_telling<T>(stream: &mut UnixStream, answering: impl Future<Output = T>) -> Option<T> {
    let since = Instant::now();
    let mut answering = std::pin::pin!(answering);
    loop {
        match timeout(WORKING_EVERY, &mut answering).await {
            Ok(answer) => return Some(answer),
            Err(_) => {
                let working = Working { working_seconds: since.elapsed().as_secs() };
                if !write(stream, &working).await {
                    return None;
                }
            }
        }
    }
}

/// False when the client does not take it.
async fn write(stream: &mut UnixStream, reply: &impl Serialize) -> bool {
    let Ok(mut line) = serde_json::to_vec(reply) else { return false };
    line.push(b'\n');
    matches!(timeout(PATIENCE, stream.write_all(&line)).await, Ok(Ok(())))
}

/// What comes of a tap, until its client has gone or it ends. It is the same on every node.
async fn tell(mut stream: UnixStream, mut tap: Tap) {
    loop {
        let told = tap.next().await.map_err(unavailable);
        let is_over = told.is_err();
        let reply = told.and_then(value).map_or_else(Reply::Error, Reply::Ok);
        if !write(&mut stream, &Line { reply, read_on: None }).await || is_over {
            return;
        }
    }
}

async fn answer(desk: &Desk, request: serde_json::Result<Request>, uid: u32) -> Line {
    match request {
        Ok(request) => {
            let is_reading = !request.command.changes();
            let reply = desk.answer(request, uid).await.map_or_else(Reply::Error, Reply::Ok);
            Line { reply, read_on: desk.read_on().filter(|_| is_reading) }
        }
        Err(error) => {
            Line { reply: Reply::Error(usage(format!("the request cannot be read: {error}"))), read_on: None }
        }
    }
}

fn usage(message: String) -> Problem {
    Problem { kind: ProblemKind::Usage, message, next: Some("crosstie --help".into()) }
}

/// The next line without its end; none when the client has closed.
async fn read_line(stream: &mut UnixStream, buffer: &mut BytesMut) -> Result<Option<BytesMut>, Problem> {
    let mut searched = 0;
    loop {
        if let Some(end) = buffer[searched..].iter().position(|byte| *byte == b'\n') {
            let mut line = buffer.split_to(searched + end + 1);
            line.truncate(searched + end);
            return Ok(Some(line));
        }
        searched = buffer.len();
        if searched >= REQUEST_BYTES_MAX {
            return Err(usage(format!("the request is longer than {REQUEST_BYTES_MAX} bytes")));
        }
        match stream.read_buf(buffer).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncBufReadExt;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn what_takes_long_is_told_to_go_on_as_long_as_somebody_listens() {
        let (mut own, client) = UnixStream::pair().unwrap();
        let mut lines = tokio::io::BufReader::new(client).lines();
        // Long enough that a machine which stands still for a while tells of it once at least.
        let slow = tokio::time::sleep(WORKING_EVERY * 3);
        assert_eq!(wait_telling(&mut own, slow).await, Some(()));
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "{\"working_seconds\":1}");
        drop(lines);
        assert_eq!(wait_telling(&mut own, std::future::pending::<()>()).await, None);
    }
}
