//! Everything goes wrong, seed after seed; the oracle looks on.

use std::sync::atomic::Ordering;

use persistence::simulated::Fault;
use rand::Rng;

use crate::network::Time;
use crate::world::{SECOND_US, World, voters};

const SEEDS: u64 = 600;

/// What a run had in it, to see that it was worth running.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) acknowledged: usize,
    pub(crate) reigns: usize,
    pub(crate) crashes: u64,
    pub(crate) snapshots_arrived: u64,
    pub(crate) readings: u64,
    pub(crate) repairs: u64,
    /// Nodes that came later.
    pub(crate) joined: usize,
}

impl Seen {
    pub(crate) fn of(world: &World) -> Seen {
        let oracle = world.oracle.lock();
        Seen {
            acknowledged: oracle.acknowledged(),
            reigns: oracle.reigns(),
            crashes: world.crashes,
            snapshots_arrived: world.snapshots_arrived,
            readings: oracle.readings_answered,
            repairs: world.repairs,
            joined: world.nodes.len(),
        }
    }

    fn add(&mut self, other: &Seen) {
        self.acknowledged += other.acknowledged;
        self.reigns += other.reigns;
        self.crashes += other.crashes;
        self.snapshots_arrived += other.snapshots_arrived;
        self.readings += other.readings;
        self.repairs += other.repairs;
        self.joined += other.joined - 3;
    }
}

/// Between two events of the world somebody writes or reads, or something breaks.
pub(crate) fn disturb(world: &mut World, harshness: f64) {
    let node = world.random.random_range(0..world.nodes.len());
    match world.random.random_range(0..100) {
        // A node that does not hear the others still believes what it believed: it is only asked to read.
        0..45 => {
            if !world.is_paused(node) && world.write(node).is_some() && world.random.random_bool(0.8) {
                world.turn(node);
            }
        }
        45..60 => {
            world.read(node);
            world.turn(node);
        }
        60..64 => world.snapshot(node),
        64 => {
            let to = world.nodes[world.random.random_range(0..world.nodes.len())].id;
            if let Some(replica) = &mut world.nodes[node].replica {
                let _ = replica.transfer(Some(to)); // it may be refused
                world.turn(node);
            }
        }
        _ if !world.random.random_bool(harshness) => {}
        65..75 => {
            let nth = world.random.random_range(1..60);
            world.nodes[node].disk.plan(Fault::Stop { nth });
        }
        75..80 => world.crash(node),
        80..90 => {
            let (from, to) = (world.nodes[node].id, world.nodes[world.random.random_range(0..world.nodes.len())].id);
            world.network.cut(from, to);
        }
        90..93 => {
            let id = world.nodes[node].id;
            for other in 0..world.nodes.len() {
                let other = world.nodes[other].id;
                world.network.cut(id, other);
                world.network.cut(other, id);
            }
        }
        93..96 => {
            let for_us = world.random.random_range(10_000..2 * SECOND_US);
            world.pause(node, for_us);
        }
        _ => world.network.heal(),
    }
}

/// In some worlds a disk is slow, in some the clocks jump.
pub(crate) fn make_slow(world: &mut World) {
    world.clock_jump_rate = [0.0, 0.0, 0.01][world.random.random_range(0..3)];
    if world.random.random_bool(0.3) {
        let node = world.random.random_range(0..world.nodes.len());
        let takes_us = [300, 5_000, 30_000][world.random.random_range(0..3)];
        world.nodes[node].write_takes_us.store(takes_us, Ordering::Relaxed);
    }
}

fn run(seed: u64, count: u64) -> Result<Seen, String> {
    let retained_bytes_max = [0, 24 << 10, u64::MAX][seed as usize % 3];
    let mut world = World::retaining(retained_bytes_max, seed, &voters(count));
    world.network.drop_rate = [0.0, 0.01, 0.1][world.random.random_range(0..3)];
    world.network.delay_max_us = [1_000, 20_000, 80_000][world.random.random_range(0..3)];
    let harshness = [0.02, 0.1, 0.3][world.random.random_range(0..3)];
    make_slow(&mut world);
    let length_us: Time = 15 * SECOND_US;
    while world.now() < length_us {
        let next = world.now() + world.random.random_range(100..20_000);
        world.run_until(next)?;
        disturb(&mut world, harshness);
    }
    world.heal_and_check()?;
    Ok(Seen::of(&world))
}

pub(crate) fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    match number("CROSSTIE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CROSSTIE_SEEDS").unwrap_or(default),
    }
}

/// Runs seed after seed; with as many as usual enough must have happened.
pub(crate) fn run_all(
    name: &str,
    usual: u64,
    run: impl Fn(u64) -> Result<Seen, String> + std::panic::RefUnwindSafe,
    enough: impl Fn(&Seen),
) {
    let mut all = Seen::default();
    let seeds = seeds(usual);
    for seed in seeds.clone() {
        match std::panic::catch_unwind(|| run(seed)) {
            Ok(Ok(seen)) => all.add(&seen),
            Ok(Err(what)) => panic!("{name}, seed {seed}: {what}"),
            Err(panic) => {
                eprintln!("{name}, seed {seed}:");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{name}, seeds {seeds:?}: {all:?}");
    if seeds.end - seeds.start >= usual {
        enough(&all);
    }
}

fn enough(all: &Seen) {
    assert!(all.acknowledged > 10_000 && all.reigns > 1000 && all.crashes > 1000, "too little happened: {all:?}");
    assert!(all.snapshots_arrived > 20 && all.readings > 1000, "too little happened: {all:?}");
}

#[test]
fn three_nodes() {
    run_all("three nodes", SEEDS, |seed| run(seed, 3), enough);
}

#[test]
fn five_nodes() {
    run_all("five nodes", 500, |seed| run(seed, 5), enough);
}

/// The same seed, the same world: otherwise a failure could not be looked at again.
#[test]
fn a_seed_repeats_exactly() {
    for seed in 1000..1005 {
        let once = format!("{:?}", run(seed, 3));
        assert_eq!(once, format!("{:?}", run(seed, 3)), "seed {seed}");
    }
}
