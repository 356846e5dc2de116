//! One node that is looked at and one that is not, in turn: what it costs that somebody reads the console and the metrics
//! each second.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::server::{Run, Server};
use super::{Bench, Result};

/// The default of `ops.address`.
const CONSOLE: &str = "127.0.0.1:7880";
/// What a monitoring system asks for, and a page that is open.
const PAGES: [&str; 2] = ["/metrics", "/?format=json"];
const EVERY: Duration = Duration::from_secs(1);

impl Bench {
    pub(super) fn looking(&mut self) -> Result<()> {
        let seconds = format!("{}s", self.options.seconds_or(10));
        let load = ["--shape", "saturate", "--for", &seconds, "--warm-up", "3s"];
        let (mut rates, mut costs) = (Vec::new(), Vec::new());
        for round in 1..=self.options.rounds_or(3) {
            let tell = |run: &Run, looks: u64| {
                println!(
                    "run looking round {round} {looks} looks: {}, {:.2} us CPU a payment",
                    run.figures(),
                    run.cpu_us
                );
            };
            let looker = Looker::start();
            let seen = self.run(Server::Ours, 36, &load)?;
            tell(&seen, looker.end()?);
            let unseen = self.run(Server::Ours, 36, &load)?;
            tell(&unseen, 0);
            rates.push(seen.rate / unseen.rate);
            costs.push(seen.cpu_us / unseen.cpu_us);
        }
        self.ratio_at_least("looking_rate", rates, 0.99, "");
        self.ratio_at_most("looking_cpu", costs, 1.01);
        Ok(())
    }
}

/// Reads every page each second, once the node is there.
struct Looker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<u64>>,
}

impl Looker {
    fn start() -> Looker {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let look = move || {
            let mut looks = 0;
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(EVERY);
                for page in PAGES {
                    match read(page) {
                        Ok(()) => looks += 1,
                        // It is not there yet, or no longer.
                        Err(error) if error.kind() != std::io::ErrorKind::InvalidData => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Ok(looks)
        };
        Looker { stop, thread: std::thread::spawn(look) }
    }

    /// How many pages were read. None at all measures nothing.
    fn end(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join().map_err(|_| "the looker panicked")?? {
            0 => Err(format!("no page came from {CONSOLE}").into()),
            looks => Ok(looks),
        }
    }
}

fn read(page: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(CONSOLE)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {page} HTTP/1.1\r\nHost: {CONSOLE}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if answer.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    let begin = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
    Err(std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{page}: {begin}")))
}
