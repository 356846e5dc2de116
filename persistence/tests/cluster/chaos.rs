//! Everything goes wrong, seed after seed; the oracle looks on.

use persistence::simulated::Fault;
use rand::Rng;

use crate::network::Time;
use crate::world::{SECOND_US, World, voters};

const SEEDS: u64 = 300;

/// What a run had in it, to see that it was worth running.
#[derive(Debug, Default)]
struct Seen {
    acknowledged: usize,
    reigns: usize,
    crashes: u64,
    snapshots_arrived: u64,
    readings: u64,
}

/// Between two events of the world somebody writes or reads, or something breaks.
fn disturb(world: &mut World, harshness: f64) {
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
                replica.transfer(Some(to));
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

fn run(seed: u64, count: u64) -> Result<Seen, String> {
    let mut world = World::new(seed, &voters(count));
    world.network.drop_rate = [0.0, 0.01, 0.1][world.random.random_range(0..3)];
    world.network.delay_max_us = [1_000, 20_000, 80_000][world.random.random_range(0..3)];
    let harshness = [0.02, 0.1, 0.3][world.random.random_range(0..3)];
    let length_us: Time = 15 * SECOND_US;
    while world.now() < length_us {
        let next = world.now() + world.random.random_range(100..20_000);
        world.run_until(next)?;
        disturb(&mut world, harshness);
    }
    world.heal_and_check()?;
    let oracle = world.oracle.lock();
    Ok(Seen {
        acknowledged: oracle.acknowledged(),
        reigns: oracle.reigns(),
        crashes: world.crashes,
        snapshots_arrived: world.snapshots_arrived,
        readings: oracle.readings_answered,
    })
}

pub(crate) fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    match number("CROSSTIE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CROSSTIE_SEEDS").unwrap_or(default),
    }
}

fn run_all(count: u64) {
    let mut all = Seen::default();
    let seeds = seeds(SEEDS);
    for seed in seeds.clone() {
        match std::panic::catch_unwind(|| run(seed, count)) {
            Ok(Ok(seen)) => {
                all.acknowledged += seen.acknowledged;
                all.reigns += seen.reigns;
                all.crashes += seen.crashes;
                all.snapshots_arrived += seen.snapshots_arrived;
                all.readings += seen.readings;
            }
            Ok(Err(what)) => panic!("seed {seed} with {count} nodes: {what}"),
            Err(panic) => {
                eprintln!("seed {seed} with {count} nodes:");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{count} nodes, {seeds:?}: {all:?}");
    if seeds.end - seeds.start >= SEEDS {
        assert!(all.acknowledged > 10_000 && all.reigns > 1000 && all.crashes > 1000, "too little happened: {all:?}");
        assert!(all.snapshots_arrived > 20 && all.readings > 1000, "too little happened: {all:?}");
    }
}

#[test]
fn three_nodes() {
    run_all(3);
}

#[test]
fn five_nodes() {
    run_all(5);
}

/// The same seed, the same world: otherwise a failure could not be looked at again.
#[test]
fn a_seed_repeats_exactly() {
    for seed in 1000..1005 {
        let once = format!("{:?}", run(seed, 3));
        assert_eq!(once, format!("{:?}", run(seed, 3)), "seed {seed}");
    }
}
