//! One node under load, looked at and not in turn: what it costs that a page of the console is open and the metrics are read
//! each second. And the share of the node's work that taking the snapshots and drawing the pages is.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::load::Run;
use super::machine::{process_seconds, thread_seconds};
use super::server::{Server, end};
use super::{Bench, Result};

/// The default of `ops.address`.
const CONSOLE: &str = "127.0.0.1:7880";
/// What a monitoring system asks for.
const METRICS: &str = "/metrics";
/// What an open page asks for, and is sent for as long as it is open.
const PAGE: &str = "/?format=live";
const EVERY: Duration = Duration::from_secs(1);
/// The generator connects and warms up.
const WARM_UP_SECONDS: u64 = 4;
/// Those of the collector and of the console.
const THREADS: [&str; 2] = ["watch", "console"];

/// Some seconds of the load.
struct Window {
    looked_at: bool,
    from: u64,
    to: u64,
    /// The node's CPU time, from its second second to its end.
    cpu_seconds: f64,
}

impl Bench {
    pub(super) fn looking(&mut self) -> Result<()> {
        let (rounds, seconds) = (self.options.rounds_or(12), self.options.seconds_or(5).max(3));
        let data = self.fresh("data")?;
        let (mut node, address) = self.start(Server::Ours, 36, &data, "60s")?;
        let looker = Looker::start();
        let lasts = format!("{}s", 2 * rounds as u64 * seconds + 1);
        let arguments = ["--shape", "saturate", "--for", &lasts, "--warm-up", &format!("{WARM_UP_SECONDS}s")];
        let began = Instant::now();
        let (run, windows) = std::thread::scope(|scope| {
            let bench = &*self;
            let node = &node;
            // An error is told as text: the other kind does not leave a thread.
            let run =
                scope.spawn(move || bench.load(node, &address, 36, &arguments).map_err(|error| error.to_string()));
            let windows = windows(rounds, seconds, |window| window.pass(began, node.id(), &looker));
            (run.join(), windows)
        });
        let run = run.map_err(|_| "the thread of the load panicked")??;
        let (own, all) = (thread_seconds(node.id(), &THREADS), process_seconds(node.id()));
        let looks = looker.end()?;
        end(&mut node)?;
        std::fs::remove_dir_all(&data)?;

        let (mut rates, mut costs) = (Vec::new(), Vec::new());
        for pair in windows.chunks_exact(2) {
            let (one, other) = (pair[0].figures(&run)?, pair[1].figures(&run)?);
            let (seen, unseen) = if pair[0].looked_at { (one, other) } else { (other, one) };
            println!(
                "run looking looked at {:.0}/s, {:.2} us CPU a payment; not {:.0}/s, {:.2} us",
                seen.0, seen.1, unseen.0, unseen.1
            );
            rates.push(seen.0 / unseen.0);
            costs.push(seen.1 / unseen.1);
        }
        println!("run looking {looks} looks: {}", run.figures());
        self.ratio_at_least("looking_rate", rates, 0.99, "");
        self.ratio_at_most("looking_cpu", costs, 1.01);
        self.goal_at_most("looking_own_threads", own / all, "of the node's CPU", 0.01, "");
        Ok(())
    }
}

/// Looked at, not, not, looked at, and so on: what drifts slowly falls on both.
fn windows(rounds: usize, seconds: u64, mut pass: impl FnMut(&mut Window)) -> Vec<Window> {
    let window = |number: usize| {
        let from = WARM_UP_SECONDS + number as u64 * seconds;
        let mut window = Window { looked_at: matches!(number % 4, 0 | 3), from, to: from + seconds, cpu_seconds: 0.0 };
        pass(&mut window);
        window
    };
    (0..2 * rounds).map(window).collect()
}

impl Window {
    fn pass(&mut self, began: Instant, node: u32, looker: &Looker) {
        let until = |second: u64| {
            std::thread::sleep(Duration::from_secs(second).saturating_sub(began.elapsed()));
            process_seconds(node)
        };
        until(self.from);
        looker.look(self.looked_at);
        let before = until(self.from + 1);
        self.cpu_seconds = until(self.to) - before;
    }

    /// Payments per second, and microseconds of CPU for each. The first second is left out: the page opens, or closes.
    fn figures(&self, run: &Run) -> Result<(f64, f64)> {
        let seconds = (self.from + 1) as usize..self.to as usize;
        let settled = run.settled_by_second.get(seconds.clone()).ok_or("the load ended early")?;
        let settled: f64 = settled.iter().sum();
        Ok((settled / seconds.len() as f64, self.cpu_seconds * 1e6 / settled))
    }
}

/// Looks while it is told to: a page is open, and the metrics are read each second.
struct Looker {
    looks: Arc<Looks>,
    threads: [JoinHandle<std::io::Result<()>>; 2],
}

#[derive(Default)]
struct Looks {
    on: AtomicBool,
    ended: AtomicBool,
    metrics: AtomicU64,
    page: AtomicU64,
}

impl Looker {
    fn start() -> Looker {
        let looks = Arc::<Looks>::default();
        let (scrape, watch) = (looks.clone(), looks.clone());
        let threads = [std::thread::spawn(move || scrape.scrape()), std::thread::spawn(move || watch.watch())];
        Looker { looks, threads }
    }

    fn look(&self, on: bool) {
        self.looks.on.store(on, Relaxed);
    }

    /// How often metrics and page came. None at all measures nothing.
    fn end(self) -> Result<u64> {
        self.looks.ended.store(true, Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| "the looker panicked")??;
        }
        match (self.looks.metrics.load(Relaxed), self.looks.page.load(Relaxed)) {
            (0, _) | (_, 0) => Err(format!("no page came from {CONSOLE}").into()),
            (metrics, page) => Ok(metrics + page),
        }
    }
}

impl Looks {
    fn scrape(&self) -> std::io::Result<()> {
        let mut answer = Vec::new();
        while !self.ended.load(Relaxed) {
            std::thread::sleep(EVERY);
            if self.on.load(Relaxed) {
                answer.clear();
                ask(METRICS)?.read_to_end(&mut answer)?;
                self.metrics.fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }

    fn watch(&self) -> std::io::Result<()> {
        let mut part = [0; 64 << 10];
        while !self.ended.load(Relaxed) {
            if !self.on.load(Relaxed) {
                std::thread::sleep(EVERY / 20);
                continue;
            }
            let mut page = ask(PAGE)?;
            while self.on.load(Relaxed) && !self.ended.load(Relaxed) {
                if page.read(&mut part)? == 0 {
                    return Err(std::io::Error::other("the page ended"));
                }
                self.page.fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }
}

fn ask(page: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(CONSOLE)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {page} HTTP/1.1\r\nHost: {CONSOLE}\r\nConnection: close\r\n\r\n")?;
    let mut begin = [0; 13];
    stream.read_exact(&mut begin)?;
    match &begin {
        b"HTTP/1.1 200 " => Ok(stream),
        other => Err(std::io::Error::other(format!("{page}: {}", String::from_utf8_lossy(other)))),
    }
}
