//! The performance goals as benchmarks that anyone can run: `tests/bench`, or `tests/bench NAME`.
//!
//! The machines are shared, so what decides is a ratio within one run: ours and the floor in turn, at least three rounds,
//! the median of the rounds' ratios with the smallest and largest beside it. Absolute figures are printed too. One line a
//! goal: `goal NAME value UNIT target VALUE met|missed`.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Run the performance goals, each with its own line.
#[derive(Parser)]
struct Options {
    /// Which: saturation, ten-thousand, sixty-thousand, quarter, participants, minutes, restart; all but minutes when left out.
    names: Vec<String>,
    /// Rounds of ours and the floor in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measured seconds of each run.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Minutes of the long run.
    #[arg(long, default_value_t = 20)]
    minutes: u64,
    /// Payments to remember before the restart.
    #[arg(long, default_value_t = 10_000_000)]
    remembered: u64,
    /// Where data and results are put; removed afterwards unless it is given.
    #[arg(long)]
    directory: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq)]
enum Server {
    Ours,
    Floor,
}

struct Bench {
    binaries: PathBuf,
    directory: PathBuf,
    options: Options,
    missed: usize,
}

type Read = fn(&Run) -> f64;

/// One run of the load generator against one server.
struct Run {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    cpu_us: f64,
    memory_mib: f64,
    steal: f64,
    trusted: bool,
    rates_by_second: Vec<f64>,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    let kept = options.directory.take();
    let temporary = tempfile::tempdir_in(".")?;
    let directory = kept.unwrap_or_else(|| temporary.path().to_path_buf());
    std::fs::create_dir_all(&directory)?;
    let binaries = std::env::current_exe()?.parent().map(Path::to_path_buf).ok_or("no directory of its own")?;
    let mut names = std::mem::take(&mut options.names);
    if names.is_empty() {
        let all = ["saturation", "ten-thousand", "sixty-thousand", "quarter", "participants", "restart"];
        names = all.map(String::from).to_vec();
    }
    machine();
    let mut bench = Bench { binaries, directory, options, missed: 0 };
    for name in &names {
        match name.as_str() {
            "saturation" => bench.saturation()?,
            "ten-thousand" => bench.open_loop("ten_thousand", 10_000, [Some(1.0), Some(5.0), Some(20.0)], 1.5)?,
            "sixty-thousand" => bench.open_loop("sixty_thousand", 60_000, [None, Some(10.0), None], 2.0)?,
            "quarter" => bench.quarter()?,
            "participants" => bench.participants()?,
            "minutes" => bench.minutes()?,
            "restart" => bench.restart()?,
            other => return Err(format!("no benchmark is called {other}; see --help").into()),
        }
    }
    println!("{} goals missed", bench.missed);
    Ok(())
}

fn machine() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let cpu =
        cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("").trim_start_matches(['\t', ' ', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory_kib = read("/proc/meminfo").split_ascii_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    println!(
        "machine {cores} cores, {cpu}, {} GiB, Linux {}, load average {}",
        memory_kib.unwrap_or(0) >> 20,
        kernel.trim(),
        read("/proc/loadavg").trim()
    );
}

/// Jiffies of the whole machine: all, and those another guest took.
fn jiffies() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = stat.lines().next().unwrap_or_default();
    let numbers: Vec<f64> = first.split_ascii_whitespace().skip(1).filter_map(|number| number.parse().ok()).collect();
    (numbers.iter().take(8).sum(), numbers.get(7).copied().unwrap_or(0.0))
}

fn median(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    (at(0), at(values.len() / 2), at(values.len().saturating_sub(1)))
}

impl Bench {
    fn goal(&mut self, name: &str, value: f64, unit: &str, target: f64, at_most: bool, beside: &str) {
        let met = if at_most { value <= target } else { value >= target };
        self.missed += usize::from(!met);
        let verdict = if met { "met" } else { "missed" };
        let sign = if at_most { "<=" } else { ">=" };
        println!("goal {name} {value:.3} {unit} target {sign}{target} {verdict}{beside}");
    }

    fn ratio(&mut self, name: &str, ratios: Vec<f64>, target: f64, at_most: bool) {
        let (least, middle, most) = median(ratios);
        self.goal(name, middle, "ratio", target, at_most, &format!(" ({least:.2} to {most:.2})"));
    }

    /// Ours and the floor in turn; a line for every run.
    fn rounds(&self, name: &str, participants: u32, load: &[&str]) -> Result<Vec<(Run, Run)>> {
        let mut rounds = Vec::new();
        for round in 1..=self.options.rounds {
            let mut both = Vec::new();
            for (server, who) in [(Server::Ours, "ours"), (Server::Floor, "floor")] {
                let run = self.run(server, participants, load)?;
                println!(
                    "run {name} round {round} {who} {:.0}/s p50 {:.2} p99 {:.2} p99.9 {:.2} ms, {:.2} us CPU a payment, {:.0} MiB, steal {:.1} %{}",
                    run.rate,
                    run.p50_ms,
                    run.p99_ms,
                    run.p999_ms,
                    run.cpu_us,
                    run.memory_mib,
                    run.steal,
                    if run.trusted { "" } else { ", generator late" },
                );
                both.push(run);
            }
            let (Some(floor), Some(ours)) = (both.pop(), both.pop()) else { continue };
            rounds.push((ours, floor));
        }
        Ok(rounds)
    }

    fn saturation(&mut self) -> Result<()> {
        let seconds = format!("{}s", self.options.seconds);
        let rounds = self.rounds("saturation", 36, &["--shape", "saturate", "--for", &seconds, "--warm-up", "3s"])?;
        let of =
            |read: fn(&Run) -> f64| rounds.iter().map(|(ours, floor)| read(ours) / read(floor)).collect::<Vec<_>>();
        let (rates, costs) = (of(|run| run.rate), of(|run| run.cpu_us));
        let best = |read: fn(&Run) -> f64| median(rounds.iter().map(|(ours, _)| read(ours)).collect()).1;
        self.goal("saturation_rate", best(|run| run.rate), "payments/s", 200_000.0, false, "");
        self.goal("saturation_cpu", best(|run| run.cpu_us), "us", 5.0, true, "");
        self.ratio("saturation_to_floor", rates, 0.5, false);
        self.ratio("cpu_to_floor", costs, 2.5, true);
        Ok(())
    }

    /// `goals`: p50, p99 and p99.9 in milliseconds, where there is one.
    fn open_loop(&mut self, name: &str, rate: u64, goals: [Option<f64>; 3], ratio: f64) -> Result<()> {
        let (rate, seconds) = (format!("{rate}/s"), format!("{}s", self.options.seconds));
        let load =
            ["--shape", "constant", "--arrivals", "poisson", "--rate", &rate, "--for", &seconds, "--warm-up", "3s"];
        let rounds = self.rounds(name, 36, &load)?;
        let reads: [(&str, Read); 3] =
            [("p50", |run| run.p50_ms), ("p99", |run| run.p99_ms), ("p999", |run| run.p999_ms)];
        for ((quantile, read), goal) in reads.into_iter().zip(goals) {
            if let Some(goal) = goal {
                let value = median(rounds.iter().map(|(ours, _)| read(ours)).collect()).1;
                self.goal(&format!("{name}_{quantile}"), value, "ms", goal, true, "");
            }
        }
        for (quantile, read) in &reads[..2] {
            let ratios = rounds.iter().map(|(ours, floor)| read(ours) / read(floor)).collect();
            self.ratio(&format!("{name}_{quantile}_to_floor"), ratios, ratio, true);
        }
        Ok(())
    }

    fn quarter(&mut self) -> Result<()> {
        let floor = self.run(Server::Floor, 36, &["--shape", "saturate", "--for", "5s", "--warm-up", "2s"])?;
        let rate = (floor.rate / 4.0) as u64;
        println!("run quarter: the floor saturates at {:.0}/s", floor.rate);
        self.open_loop("quarter", rate, [None; 3], 2.0)
    }

    fn participants(&mut self) -> Result<()> {
        let seconds = format!("{}s", self.options.seconds);
        let load = |depth: &'static str| {
            ["--shape", "saturate", "--in-flight-max", depth, "--warm-up", "3s", "--for"].map(String::from).to_vec()
        };
        let (mut rates, mut costs) = (Vec::new(), Vec::new());
        for round in 1..=self.options.rounds {
            let run = |participants: u32, depth: &'static str| {
                let mut load = load(depth);
                load.push(seconds.clone());
                let run = self.run(Server::Ours, participants, &load.iter().map(String::as_str).collect::<Vec<_>>())?;
                println!(
                    "run participants round {round} {participants}: {:.0}/s p50 {:.1} ms, {:.2} us CPU a payment, {:.0} MiB, steal {:.1} %",
                    run.rate, run.p50_ms, run.cpu_us, run.memory_mib, run.steal
                );
                Ok::<Run, Box<dyn Error>>(run)
            };
            let (many, few) = (run(2000, "8")?, run(36, "64")?);
            rates.push(many.rate / few.rate);
            costs.push(many.cpu_us / few.cpu_us);
        }
        self.ratio("participants_rate_2000_to_36", rates, 0.5, false);
        self.ratio("participants_cpu_2000_to_36", costs, 2.0, true);
        Ok(())
    }

    fn minutes(&mut self) -> Result<()> {
        let length = format!("{}m", self.options.minutes);
        let run = self.run(Server::Ours, 36, &["--shape", "saturate", "--for", &length, "--warm-up", "5s"])?;
        let minute = |from: usize| {
            let minute: Vec<f64> = run.rates_by_second.iter().skip(from).take(60).copied().collect();
            minute.iter().sum::<f64>() / minute.len().max(1) as f64
        };
        let last = run.rates_by_second.len().saturating_sub(60);
        println!(
            "run minutes {:.0}/s, first minute {:.0}/s, last {:.0}/s, {:.2} us CPU, {:.0} MiB",
            run.rate,
            minute(0),
            minute(last),
            run.cpu_us,
            run.memory_mib
        );
        self.goal("minutes_last_to_first", minute(last) / minute(0), "ratio", 0.95, false, "");
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        let data = self.fresh("restart")?;
        let wanted = self.options.remembered;
        let (mut server, address) = self.start(Server::Ours, 36, &data, "1h")?;
        let filled = Instant::now();
        // Every run goes on in the feeds where the one before ended: their beginnings are soon no longer kept.
        let feeds = self.directory.join("feeds").display().to_string();
        let fill = ["--shape", "saturate", "--for", "20s", "--warm-up", "0s", "--feeds", &feeds];
        let mut done = 0;
        while done < wanted {
            done += (self.load(&server, &address, 36, &fill)?.rate * 20.0) as u64;
        }
        println!("run restart: {done} payments in {:.0} s", filled.elapsed().as_secs_f64());
        end(&mut server)?;
        let started = Instant::now();
        let (mut server, _) = self.start(Server::Ours, 36, &data, "1h")?;
        let took = started.elapsed().as_secs_f64();
        let memory_bytes = resident_mib(server.id()) * 1_048_576.0;
        self.goal("restart_with_remembered", took, "s", 5.0, true, &format!(" ({done} payments)"));
        println!("run restart: {:.0} bytes resident for each remembered payment", memory_bytes / done as f64);
        end(&mut server)
    }

    fn run(&self, server: Server, participants: u32, load: &[&str]) -> Result<Run> {
        let data = self.fresh("data")?;
        let (mut child, address) = self.start(server, participants, &data, "60s")?;
        let run = self.load(&child, &address, participants, load);
        end(&mut child)?;
        std::fs::remove_dir_all(&data)?;
        run
    }

    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let data = self.directory.join(name);
        if data.exists() {
            std::fs::remove_dir_all(&data)?;
        }
        std::fs::create_dir_all(&data)?;
        Ok(data)
    }

    fn start(&self, server: Server, participants: u32, data: &Path, window: &str) -> Result<(Child, String)> {
        let log = data.join("log");
        let mut command = match server {
            Server::Floor => {
                let mut command = Command::new(self.binaries.join("floor"));
                command
                    .args(["--listen", "127.0.0.1:0", "--participants", &participants.to_string(), "--data"])
                    .arg(&log);
                command
            }
            Server::Ours => {
                let config = data.join("crosstie.toml");
                let text = format!(
                    "[listen]\naddress = \"127.0.0.1:0\"\nsilence_max = \"60s\"\n[log]\ndirectory = {:?}\nretained_bytes_max = \"1GiB\"\n\
                     [scheme]\nduplicate_window = \"{window}\"\n[logs]\nlevel = \"warn\"\n\
                     [[participants]]\nid = \"BANK-0001\"\ncurrency = \"EUR\"\nfunded = \"100000000000.00\"\ncount = {participants}\n",
                    log.to_string_lossy()
                );
                std::fs::write(&config, text)?;
                let mut command = Command::new(self.binaries.join("crosstie"));
                command.args(["serve", "--config"]).arg(config);
                command
            }
        };
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = match serde_json::from_str::<Value>(&line) {
            Ok(ready) => ready["address"].as_str().unwrap_or_default().to_string(),
            Err(_) => line.split_ascii_whitespace().last().unwrap_or_default().to_string(),
        };
        if address.is_empty() {
            let status = child.wait()?;
            return Err(format!("the server did not start: {status}").into());
        }
        Ok((child, address))
    }

    fn load(&self, server: &Child, address: &str, participants: u32, load: &[&str]) -> Result<Run> {
        let before = jiffies();
        let (participants, pid) = (participants.to_string(), server.id().to_string());
        let output = Command::new(self.binaries.join("crosstie-loadgen"))
            .args([
                "run",
                "--target",
                address,
                "--participants",
                &participants,
                "--server-pid",
                &pid,
                "--quiet",
                "--out",
            ])
            .arg(self.directory.join("load"))
            .args(["--json"])
            .args(load)
            .output()?;
        let after = jiffies();
        let result: Value = serde_json::from_slice(&output.stdout).map_err(|error| {
            format!("the load generator said: {} ({error})", String::from_utf8_lossy(&output.stderr))
        })?;
        let milliseconds = |quantile: &str| result["response"][quantile].as_f64().unwrap_or(f64::NAN) / 1e6;
        if result["check"]["lost"].as_u64() != Some(0) || result["check"]["doubled"].as_u64() != Some(0) {
            return Err(format!("the money check failed: {}", result["check"]).into());
        }
        let series = std::fs::read_to_string(self.directory.join("load/series.ndjson"))?;
        let seconds = series.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        // The first seconds connect and warm up.
        let rates_by_second = seconds.skip(6).filter_map(|second| second["settled"].as_f64()).collect();
        Ok(Run {
            rate: result["rate"].as_f64().unwrap_or(f64::NAN),
            p50_ms: milliseconds("p50_ns"),
            p99_ms: milliseconds("p99_ns"),
            p999_ms: milliseconds("p999_ns"),
            cpu_us: result["server"]["cpu_us_per_payment"].as_f64().unwrap_or(f64::NAN),
            memory_mib: resident_mib(server.id()),
            steal: 100.0 * (after.1 - before.1) / (after.0 - before.0).max(1.0),
            trusted: output.status.code() != Some(6),
            rates_by_second,
        })
    }
}

fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_ascii_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}

/// Ends a server in good order; by force if it takes longer than a quarter of a minute.
fn end(server: &mut Child) -> Result<()> {
    Command::new("kill").args(["-TERM", &server.id().to_string()]).status()?;
    let until = Instant::now() + Duration::from_secs(15);
    while server.try_wait()?.is_none() {
        if Instant::now() > until {
            server.kill()?;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
