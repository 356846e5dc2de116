//! Power loss at any operation: every acknowledged entry comes back, in order; nothing is invented; at most the one entry
//! in flight is there besides. `CROSSTIE_SEEDS=N` runs more.

use persistence::simulated::{Fault, SimulatedDisk};
use persistence::{Config, Error, Sync};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::ledger::{config, open_journal, open_log};

const SEEDS: u64 = 2_500;
const LIVES: u64 = 4;

fn payload(random: &mut SmallRng) -> Vec<u8> {
    let length = random.random_range(0..3000);
    match random.random_range(0..4) {
        0 => vec![0; length],
        1 => sparse(length, random),
        _ => (0..length).map(|_| random.random()).collect(),
    }
}

/// Many zero sectors; never one bit alone in a sector, since that one missing counts as damage.
fn sparse(length: usize, random: &mut SmallRng) -> Vec<u8> {
    (0..length).map(|_| if random.random_bool(0.002) { 0x81 } else { 0 }).collect()
}

/// What a life left: entries that were acknowledged, and the one it was about to.
struct Life {
    acknowledged: Vec<Vec<u8>>,
    in_flight: Option<Vec<u8>>,
}

/// Opens, works until something fails or enough was done. The expectation of the life before is checked first.
fn live(disk: &SimulatedDisk, config: &Config, before: Life, random: &mut SmallRng) -> Result<Life, String> {
    let mut opened = match open_log(disk, config) {
        Ok(opened) => opened,
        Err(Error::Disk { .. }) => return Ok(before), // the machine stopped while it opened
        Err(error) => return Err(error.to_string()),
    };
    let found = opened.ledger.payloads();
    let mut expected = before.acknowledged;
    if found.len() > expected.len() {
        expected.extend(before.in_flight);
    }
    if found != expected {
        return Err(format!("{} entries came back, expected were {}", found.len(), expected.len()));
    }
    let mut life = Life { acknowledged: found, in_flight: None };
    for _ in 0..random.random_range(0..30) {
        if random.random_bool(0.1) {
            if opened.snapshot().is_err() {
                return Ok(life);
            }
            continue;
        }
        let payload = payload(random);
        life.in_flight = Some(payload.clone());
        if opened.commit(&payload).is_err() {
            return Ok(life);
        }
        life.acknowledged.extend(life.in_flight.take());
    }
    if random.random_bool(0.3) {
        let _ = opened.log.close();
    }
    Ok(life)
}

fn run(seed: u64, config: &Config) -> Result<(), String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut disk = SimulatedDisk::new();
    let mut life = Life { acknowledged: Vec::new(), in_flight: None };
    for _ in 0..LIVES {
        if random.random_bool(0.8) {
            disk.plan(Fault::Stop { nth: random.random_range(1..150) });
        }
        life = live(&disk, config, life, &mut random)?;
        disk = match random.random_bool(0.8) {
            true => disk.power_loss(random.random()),
            false => disk.kill(),
        };
    }
    live(&disk, config, life, &mut random).map(drop)
}

#[test]
fn acknowledged_is_durable() {
    let seeds = std::env::var("CROSSTIE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    for seed in 0..seeds {
        if let Err(what) = run(seed, &config()) {
            panic!("seed {seed}: {what}");
        }
    }
}

/// The same for the journal with its threads: power goes at some moment of its work, which no seed repeats exactly.
#[test]
fn acknowledged_by_the_journal_is_durable() {
    for seed in 0..300 {
        let mut random = SmallRng::seed_from_u64(seed);
        let disk = SimulatedDisk::new();
        let (journal, _, ledger) = open_journal(&disk, config());
        let entries = random.random_range(1..20);
        while ledger.payloads().len() < entries {
            let _ = journal.propose(1, |batch, _| batch.resize(batch.len() + 1000, seed as u8));
        }
        let disk = disk.power_loss(seed);
        journal.stop();
        let acknowledged = ledger.payloads();
        let found = open_log(&disk, &config()).unwrap().ledger.payloads();
        assert!(found.len() <= acknowledged.len() + 1, "seed {seed}: one entry is in flight, not more");
        assert_eq!(found[..acknowledged.len().min(found.len())], acknowledged, "seed {seed}");
    }
}

#[test]
fn without_syncs_the_same_test_fails() {
    let config = Config { sync: Sync::None, ..config() };
    assert!((0..100).any(|seed| run(seed, &config).is_err()), "a log that never syncs must lose something");
}
