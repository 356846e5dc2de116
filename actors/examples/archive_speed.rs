//! What the archive costs: nanoseconds of CPU per payment to hand over, to sort and write, to merge; searches per second.
//!
//!     cargo run --release -p actors --example archive_speed -- 4000000

use std::time::{Duration, Instant};

use actors::archive::{Archive, Config, Entry, Search, measure};
use settlement::{Key, State};
use wire::{BusinessDate, Currency, Reasons, Timestamp, Uetr};

const PARTICIPANTS: u64 = 1000;
const START: u64 = 1_795_442_531_000_000_000;

fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn uetr(number: u64) -> Uetr {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mix(2 * number).to_be_bytes());
    bytes[8..].copy_from_slice(&mix(2 * number + 1).to_be_bytes());
    Uetr::from_random(bytes)
}

/// The payment of this number: five microseconds after the one before it, 512 of them in one log entry.
fn entry(number: u64) -> Entry {
    let debtor = mix(number) % PARTICIPANTS;
    let ended_at = Timestamp(START + number * 5000);
    Entry {
        uetr: uetr(number),
        debtor: Key(debtor as u32),
        creditor: Key(((debtor + 1 + mix(number + 7) % (PARTICIPANTS - 1)) % PARTICIPANTS) as u32),
        amount_minor: (mix(number) % 1_000_000) as i64,
        currency: Currency::EUR,
        state: State::Settled,
        reasons: Reasons::NONE,
        settlement_date: BusinessDate::new(2026, 11, 23).expect("a date"),
        decided_at: Timestamp(ended_at.nanoseconds() - 3_000_000),
        ended_at,
        original: None,
        index: number / 512 + 1,
    }
}

/// CPU time of the whole process, or of its thread of this name: `utime` and `stime`, in steps of 10 ms.
fn cpu(thread: Option<&str>) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten().map(|task| task.path());
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.join("stat")).ok());
    let stat = match thread {
        None => std::fs::read_to_string("/proc/self/stat").unwrap_or_default(),
        Some(name) => stats.into_iter().find(|stat| stat.contains(&format!("({name})"))).unwrap_or_default(),
    };
    let behind_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: u64 = behind_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}

fn per(what: &str, length: Duration, count: u64) {
    println!("{what:<52} {:>9.0} ns", length.as_nanos() as f64 / count as f64);
}

fn searches(archive: &Archive, payments: u64) {
    let rate = |what: &str, count: u64, search: &dyn Fn(u64)| {
        let started = Instant::now();
        (0..count).for_each(search);
        println!("{what:<52} {:>9.0} /s", count as f64 / started.elapsed().as_secs_f64());
    };
    rate("by UETR, there", 20_000, &|number| {
        let wanted = entry(mix(number) % payments);
        let found = archive.by_uetr(wanted.uetr, Some(wanted.debtor)).expect("a search");
        assert_eq!(found, [wanted]);
    });
    rate("by UETR, not there", 20_000, &|number| {
        assert!(archive.by_uetr(uetr(payments + 1 + number), None).expect("a search").is_empty());
    });
    rate("by participant, 100 payments before some time", 2_000, &|number| {
        let until = Timestamp(START + mix(number) % (payments * 5000));
        let search = Search { until, ..Search::latest(100) };
        let participant = Key((number % PARTICIPANTS) as u32);
        assert!(archive.latest(&[participant], &search, |_| true).expect("a search").entries.len() <= 100);
    });
}

fn main() {
    let payments: u64 = std::env::args().nth(1).map_or(4_000_000, |count| count.parse().expect("a number"));
    let directory = tempfile::tempdir().expect("a directory");
    let config = Config { free_bytes_min: 0, ..Config::default() };
    let (mut measured, archive) = measure(config.clone(), directory.path()).expect("an archive");

    let (started, cpu_before) = (Instant::now(), cpu(None));
    let mut handing_over = Duration::ZERO;
    let mut making = Duration::ZERO;
    for first in (0..payments).step_by(512) {
        let before = Instant::now();
        let batch: Vec<Entry> = (first..first + 512).map(entry).collect();
        making += before.elapsed();
        let before = Instant::now();
        measured.hand_over(&batch, first / 512 + 1);
        handing_over += before.elapsed();
        // Not faster than it is taken: what found no room would be read from a log that is not there.
        if first % (64 * 1024) == 0 {
            archive.wait(Duration::from_secs(600)).expect("the archive");
        }
    }
    archive.wait(Duration::from_secs(600)).expect("the archive");
    let taken = started.elapsed();
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(50));
        if archive.figures().merging {
            quiet = Instant::now();
        }
    }
    let writing = cpu(Some("archive"));
    let merging = (cpu(None) - cpu_before).saturating_sub(making + handing_over + writing);
    let figures = archive.figures();
    println!("{payments} payments, {} runs of {} bytes in all", figures.runs, figures.run_bytes);
    per("on the ledger's thread: note and hand over", handing_over, payments);
    per("on the archive's thread: sort, write, sync", writing, payments);
    per("on threads of their own: merge", merging, payments);
    per("in all, CPU", handing_over + writing + merging, payments);
    println!("{:<52} {:>9.0} /s", "taken", payments as f64 / (taken - making).as_secs_f64());
    searches(&archive, payments);
    archive.verify().expect("whole runs");
}
