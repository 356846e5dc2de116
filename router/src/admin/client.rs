//! Asks a node over its admin socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::asked::Origin;
use super::protocol::{Command, Line, OPERATOR_LENGTH_MAX, Problem, ProblemKind, Reply, Request, Working};
use crate::exit::{Exit, Failure};

/// A node answers with no more, however many participants it has.
const REPLY_BYTES_MAX: u64 = 256 << 20;

/// Of the lines that a node sends while it works.
const TOLD_EVERY_SECONDS: u64 = 5;

/// Sends one command, gives back the answer. When it may be behind, stderr says so.
pub fn ask(socket: &Path, command: Command, reason: &str, timeout: Duration) -> Result<Value, Failure> {
    let adds_up = command.adds_up();
    let Line { reply, read_on } = exchange(socket, command, reason, timeout)?;
    if let Some(own) = read_on {
        let leader = own
            .leader
            .map_or_else(|| "nobody leads as far as it knows".into(), |leader| format!("node {leader} leads"));
        let behind = "from the book of a node that does not lead and may be behind";
        _ = writeln!(std::io::stderr(), "{behind}: {leader}, term {}", own.term);
    }
    match reply {
        Reply::Error(Problem { kind: ProblemKind::Unavailable, message, .. }) if adds_up => Err(unknown(&message)),
        reply => reply.result(),
    }
}

/// Sends one command, gives back what the node said. As long as it says that it is at it, this waits, and stderr tells so.
pub fn exchange(socket: &Path, command: Command, reason: &str, timeout: Duration) -> Result<Line, Failure> {
    let changes = command.changes();
    let mut answers = send(socket, &request(command, reason), timeout).map_err(unreachable)?;
    let silent = |what: String| if changes { unknown(&what) } else { unreachable(what) };
    loop {
        let line = answers.next(socket, timeout).map_err(silent)?;
        match serde_json::from_str(&line) {
            Ok(Working { working_seconds }) if working_seconds % TOLD_EVERY_SECONDS == 0 => {
                _ = writeln!(std::io::stderr(), "the node has been at it for {working_seconds} s and goes on");
            }
            Ok(_) => {}
            Err(_) => return read(&line),
        }
    }
}

/// Sends one command that is answered again and again, and takes the answers until `take` has enough. No answer may be more
/// than `timeout` behind the one before.
pub fn follow(
    socket: &Path,
    command: Command,
    timeout: Duration,
    mut take: impl FnMut(Value) -> Result<ControlFlow<()>, Failure>,
) -> Result<(), Failure> {
    let mut stream = send(socket, &request(command, ""), timeout).map_err(unreachable)?;
    loop {
        let line = stream.next(socket, timeout).map_err(unreachable)?;
        if take(read(&line)?.reply.result()?)?.is_break() {
            return Ok(());
        }
    }
}

/// As whoever runs this program asks it.
pub fn request(command: Command, reason: &str) -> Request {
    Request { command, operator: operator(), origin: Origin::Cli, reason: reason.into() }
}

fn unreachable(what: String) -> Failure {
    let next = "is the node running? Name its configuration by --config FILE, its data by --data DIR, or its socket by --socket PATH";
    Failure::new(Exit::Unreachable, format!("no node answers: {what}")).next(next)
}

/// It was asked, and nobody can say what came of it: a repeat may do it twice.
fn unknown(what: &str) -> Failure {
    let next = "look before you ask again, or it may be done twice: crosstie audit log --since 1h tells what was done";
    Failure::new(Exit::Unknown, format!("it may have been done, or be done yet: {what}")).next(next)
}

fn read(line: &str) -> Result<Line, Failure> {
    serde_json::from_str(line)
        .map_err(|error| Failure::new(Exit::Unreachable, format!("the node's answer cannot be read: {error}")))
}

/// Writes one line of JSON to a socket, reads one; why not, in words.
pub(crate) fn converse(socket: &Path, request: &impl Serialize, timeout: Duration) -> Result<String, String> {
    send(socket, request, timeout)?.next(socket, timeout)
}

/// Lines that come back.
struct Answers(BufReader<UnixStream>);

fn send(socket: &Path, request: &impl Serialize, timeout: Duration) -> Result<Answers, String> {
    let failed = |doing: &str, error: std::io::Error| failed(socket, timeout, doing, &error);
    let mut stream = UnixStream::connect(socket).map_err(|error| failed("cannot connect to", error))?;
    let set = |timeout| stream.set_read_timeout(timeout).and_then(|()| stream.set_write_timeout(timeout));
    set(Some(timeout).filter(|timeout| !timeout.is_zero())).map_err(|error| failed("cannot use", error))?;
    let mut line = serde_json::to_vec(request).map_err(|error| error.to_string())?;
    line.push(b'\n');
    stream.write_all(&line).map_err(|error| failed("cannot write to", error))?;
    Ok(Answers(BufReader::new(stream)))
}

impl Answers {
    fn next(&mut self, socket: &Path, timeout: Duration) -> Result<String, String> {
        let mut line = String::new();
        let read = self.0.by_ref().take(REPLY_BYTES_MAX).read_line(&mut line);
        read.map_err(|error| failed(socket, timeout, "cannot read from", &error))?;
        match line.ends_with('\n') {
            true => Ok(line),
            false => Err(format!("{} was closed without an answer", socket.display())),
        }
    }
}

fn failed(socket: &Path, timeout: Duration, doing: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::WouldBlock => {
            format!("nothing came within {timeout:?} from {} (--timeout waits longer)", socket.display())
        }
        _ => format!("{doing} {}: {error}", socket.display()),
    }
}

impl Reply {
    /// The answer, or the end that it means for a subcommand.
    pub fn result(self) -> Result<Value, Failure> {
        match self {
            Reply::Ok(value) => Ok(value),
            Reply::Error(problem) => Err(problem.into()),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        let Problem { kind, message, next } = problem;
        let exit = match kind {
            ProblemKind::Usage => Exit::Usage,
            ProblemKind::Refused => Exit::Refused,
            ProblemKind::NotFound => Exit::NotFound,
            ProblemKind::NotYet => Exit::No,
            ProblemKind::Integrity => Exit::Integrity,
            ProblemKind::Unavailable => Exit::Unreachable,
        };
        Failure { exit, message, next }
    }
}

/// Who asks: the name of the user, cut to what a request may hold; empty when the environment has none.
fn operator() -> String {
    let name = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
    let plain: String = name.chars().filter(|letter| !letter.is_control()).collect();
    plain[..plain.floor_char_boundary(OPERATOR_LENGTH_MAX)].into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_node_that_is_at_it_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("admin.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let node = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for seconds in 1..=12 {
                std::thread::sleep(Duration::from_millis(200));
                writeln!(stream, "{{\"working_seconds\":{seconds}}}").unwrap();
            }
            stream.write_all(b"{\"ok\":7}\n").unwrap();
        });
        // Longer than it is patient with silence.
        let answer = ask(&socket, Command::SelfCheck { date: None }, "", Duration::from_secs(2)).unwrap();
        assert_eq!(answer, 7);
        node.join().unwrap();
    }

    #[test]
    fn a_change_without_an_answer_may_have_been_done() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("admin.sock");
        let ask = |command| exchange(&socket, command, "a test", Duration::from_millis(50)).unwrap_err();
        let fund = || Command::Fund { id: "BANK-0001".into(), currency: "EUR".into(), amount: "5.00".into() };
        assert!(ask(fund()).message.contains("no node answers"), "nobody was there to do it");
        // It takes what is written, and never answers.
        let listener = UnixListener::bind(&socket).unwrap();
        let failure = ask(fund());
        assert!(failure.exit == Exit::Unknown && failure.message.contains("may have been done"), "{failure:?}");
        assert!(failure.next.unwrap().contains("crosstie audit log"));
        assert!(ask(Command::Status).message.contains("no node answers"), "to look twice does no harm");
        drop(listener);

        // It answers that it cannot say.
        std::fs::remove_file(&socket).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let node = std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(b"{\"error\":{\"kind\":\"unavailable\",\"message\":\"lost\"}}\n").unwrap();
                _ = stream.read_to_end(&mut Vec::new());
            }
        });
        let ask = |command| super::ask(&socket, command, "a test", Duration::from_secs(5)).unwrap_err();
        assert_eq!(ask(fund()).exit, Exit::Unknown);
        assert_eq!(ask(Command::Undrain).exit, Exit::Unreachable, "twice is once");
        node.join().unwrap();
    }
}
