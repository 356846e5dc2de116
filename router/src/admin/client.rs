//! Asks a node over its admin socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::protocol::{Command, Line, OPERATOR_LENGTH_MAX, ProblemKind, Reply, Request};
use crate::exit::{Exit, Failure};

/// A node answers with no more, however many participants it has.
const REPLY_BYTES_MAX: u64 = 256 << 20;

/// Sends one command, gives back the answer.
pub fn ask(socket: &Path, command: Command, reason: &str, timeout: Duration) -> Result<Value, Failure> {
    let next = "is the node running? Name its configuration by --config FILE, its data by --data DIR, or its socket by --socket PATH";
    let failed = |doing: &str, error: std::io::Error| {
        let message = match error.kind() {
            std::io::ErrorKind::WouldBlock => format!("the node did not answer within {timeout:?}"),
            _ => format!("{doing} {}: {error}", socket.display()),
        };
        Failure::new(Exit::Unreachable, message).next(next)
    };
    let mut stream = UnixStream::connect(socket).map_err(|error| failed("no node answers on", error))?;
    let set = |timeout| stream.set_read_timeout(timeout).and_then(|()| stream.set_write_timeout(timeout));
    set(Some(timeout).filter(|timeout| !timeout.is_zero())).map_err(|error| failed("cannot use", error))?;

    let request = Request { command, operator: operator(), reason: reason.into() };
    let mut line = serde_json::to_vec(&request).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(|error| failed("cannot write to", error))?;
    let mut reply = String::new();
    let read = BufReader::new(stream.take(REPLY_BYTES_MAX)).read_line(&mut reply);
    read.map_err(|error| failed("cannot read from", error))?;
    if !reply.ends_with('\n') {
        return Err(Failure::new(Exit::Unreachable, "the node closed the connection without an answer").next(next));
    }
    let Line { reply, read_on } = serde_json::from_str(&reply)
        .map_err(|error| Failure::new(Exit::Unreachable, format!("the node's answer cannot be read: {error}")))?;
    if let Some(own) = read_on {
        let leader = own
            .leader
            .map_or_else(|| "nobody leads as far as it knows".into(), |leader| format!("node {leader} leads"));
        eprintln!("from the book of a node that does not lead and may be behind: {leader}, term {}", own.term);
    }
    match reply {
        Reply::Ok(value) => Ok(value),
        Reply::Error(problem) => {
            let exit = match problem.kind {
                ProblemKind::Usage => Exit::Usage,
                ProblemKind::Refused => Exit::Refused,
                ProblemKind::NotFound => Exit::NotFound,
                ProblemKind::NotYet => Exit::No,
                ProblemKind::Unavailable => Exit::Unreachable,
            };
            Err(Failure { exit, message: problem.message, next: problem.next })
        }
    }
}

/// Who asks: the name of the user, cut to what a request may hold.
fn operator() -> String {
    let name = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
    let plain: String = name.chars().filter(|letter| !letter.is_control()).collect();
    plain[..plain.floor_char_boundary(OPERATOR_LENGTH_MAX)].into()
}
