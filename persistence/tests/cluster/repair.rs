//! Logs are damaged and given up, and the nodes come back by what their peers have.

use persistence::simulated::{Fault, SimulatedDisk};
use persistence::{ChangeRefused, Error, MemberChange, MemberKind, NodeId, TransferRefused, repair};
use rand::Rng;

use crate::chaos::{self, Seen};
use crate::network::Time;
use crate::world::{SECOND_US, World, member, voters};

fn three(seed: u64) -> (World, usize) {
    let mut world = World::new(seed, &voters(3));
    world.write_some(10).unwrap();
    let leader = world.leader().unwrap();
    (world, leader)
}

fn is_repairing(world: &World, node: usize) -> bool {
    world.nodes[node].replica.as_ref().is_none_or(persistence::Replica::is_repairing)
}

fn cut_between(world: &mut World, one: usize, other: usize) {
    let (one, other) = (world.nodes[one].id, world.nodes[other].id);
    world.network.cut(one, other);
    world.network.cut(other, one);
}

/// Ends a node, gives its log up, starts it again.
fn give_up(world: &mut World, node: usize) {
    world.nodes[node].replica = None;
    world.nodes[node].disk = world.nodes[node].disk.kill();
    world.repair(node);
    world.start(node);
}

#[test]
fn a_node_is_brought_back_and_its_vote_counts_again() {
    for with_snapshot in [false, true] {
        let (mut world, leader) = three(20);
        if with_snapshot {
            for _ in 0..2 {
                world.write_some(200).unwrap();
                (0..3).for_each(|node| world.snapshot(node));
            }
        }
        let (node, third) = ((leader + 1) % 3, (leader + 2) % 3);
        let arrived = world.snapshots_arrived;
        give_up(&mut world, node);
        assert!(is_repairing(&world, node));
        let began = world.now();
        world.run_while(10 * SECOND_US, |world| is_repairing(world, node)).unwrap();
        assert!(world.now() - began < 3 * SECOND_US, "it took {} ms", (world.now() - began) / 1000);
        assert_eq!(world.snapshots_arrived > arrived, with_snapshot);
        // Without its vote and its log the other one could do nothing.
        world.take_away(third);
        world.write_some(5).unwrap();
        world.heal_and_check().unwrap();
    }
}

#[test]
fn who_is_being_brought_back_is_known_and_asked_to_lead_by_nobody() {
    let (mut world, leader) = three(22);
    let (node, third) = ((leader + 1) % 3, (leader + 2) % 3);
    let (id, other) = (world.nodes[node].id, world.nodes[third].id);
    // It is heard, and hears nobody.
    for from in [world.nodes[leader].id, other] {
        world.network.cut(from, id);
    }
    give_up(&mut world, node);
    let says = |world: &World, leader: usize| {
        let peers = world.nodes[leader].replica.as_ref().map(|replica| replica.peers()).unwrap_or_default();
        peers.iter().filter(|peer| peer.is_active && peer.is_repairing).map(|peer| peer.node).collect::<Vec<_>>()
    };
    world.run_while(5 * SECOND_US, |world| says(world, leader) != [id]).unwrap();
    let replica = world.nodes[leader].replica.as_mut().unwrap();
    assert_eq!(replica.transfer(Some(id)), Err(TransferRefused::Repairing(id)));
    assert_eq!(replica.transfer(None), Ok(other));
    world.turn(leader);
    world.run_while(SECOND_US, |world| world.leader() != Some(third)).unwrap();
    world.network.heal();
    world.heal_and_check().unwrap();
    let leader = world.leader().unwrap();
    world.run_while(5 * SECOND_US, |world| !says(world, leader).is_empty()).unwrap();
}

/// The leader still remembers what a learner had: that one gets no vote before it has it again.
#[test]
fn who_is_being_brought_back_gets_no_vote() {
    let mut members = voters(3);
    members.push(member(4, MemberKind::Learner));
    let mut world = World::new(28, &members);
    world.write_some(10).unwrap();
    let leader = world.leader().unwrap();
    let has_all = |world: &World| {
        let committed = world.oracle.lock().committed();
        world.nodes[3].replica.as_ref().is_some_and(|replica| replica.folded_index() == committed)
    };
    world.run_while(5 * SECOND_US, |world| !has_all(world)).unwrap();
    (1..=3).for_each(|from| world.network.cut(from, 4));
    give_up(&mut world, 3);
    let is_known = |world: &World| {
        let peers = world.nodes[leader].replica.as_ref().map(|replica| replica.peers()).unwrap_or_default();
        peers.iter().any(|peer| peer.node == 4 && peer.is_active && peer.is_repairing && !peer.can_vote())
    };
    world.run_while(5 * SECOND_US, |world| !is_known(world)).unwrap();
    let told = world.change(leader, &MemberChange::Promote { node: 4, instead_of: None });
    world.run_while(5 * SECOND_US, |_| told.lock().is_none()).unwrap();
    assert_eq!(told.lock().take(), Some(Err(ChangeRefused::Repairing(4))));
    world.heal_and_check().unwrap();
}

/// Nothing that is in flight is lost, and nobody has to notice.
#[test]
fn leadership_is_handed_over_for_it() {
    let (mut world, leader) = three(21);
    let node = (leader + 1) % 3;
    give_up(&mut world, node);
    let began = world.now();
    let (mut longest, mut last, mut acknowledged) = (0, began, world.oracle.lock().acknowledged());
    while is_repairing(&world, node) {
        if let Some(leader) = world.leader() {
            world.write(leader);
            world.turn(leader);
        }
        let next = world.now() + 2_000;
        world.run_until(next).unwrap();
        let now_acknowledged = world.oracle.lock().acknowledged();
        if now_acknowledged > acknowledged {
            (longest, last, acknowledged) = (longest.max(world.now() - last), world.now(), now_acknowledged);
        }
        assert!(world.now() - began < 10 * SECOND_US);
    }
    assert!(longest < 100_000, "nothing was acknowledged for {} ms", longest / 1000);
    world.heal_and_check().unwrap();
}

/// Two of three acknowledge, one of them forgets, the other one dies: the third must not be elected without what they had.
#[test]
fn who_forgot_does_not_elect_who_never_knew() {
    for seed in 0..20 {
        let (mut world, leader) = three(100 + seed);
        let (forgets, behind) = ((leader + 1) % 3, (leader + 2) % 3);
        cut_between(&mut world, leader, behind);
        cut_between(&mut world, forgets, behind);
        let acknowledged = world.oracle.lock().acknowledged();
        world.write_some(3).unwrap();
        assert!(world.oracle.lock().acknowledged() >= acknowledged + 3);
        world.crash(leader);
        world.nodes[leader].is_gone = true;
        world.network.heal();
        give_up(&mut world, forgets);
        let led = world.oracle.lock().reigns();
        let until = world.now() + 10 * SECOND_US;
        world.run_until(until).unwrap();
        assert_eq!(world.oracle.lock().reigns(), led, "seed {seed}: nobody can be elected");
        assert!(is_repairing(&world, forgets));
        world.nodes[leader].is_gone = false;
        world.start(leader);
        world.heal_and_check().unwrap();
        assert!(!is_repairing(&world, forgets));
    }
}

/// As above, but who forgot does not know it: it was started with an empty directory in place of its own.
#[test]
fn who_has_an_empty_log_does_not_elect_who_never_knew() {
    for seed in 0..20 {
        let (mut world, leader) = three(300 + seed);
        let (forgets, behind) = ((leader + 1) % 3, (leader + 2) % 3);
        cut_between(&mut world, leader, behind);
        cut_between(&mut world, forgets, behind);
        let acknowledged = world.oracle.lock().acknowledged();
        world.write_some(3).unwrap();
        assert!(world.oracle.lock().acknowledged() >= acknowledged + 3);
        world.crash(leader);
        world.nodes[leader].is_gone = true;
        world.nodes[forgets].replica = None;
        world.nodes[forgets].disk = SimulatedDisk::new();
        world.network.heal();
        world.start(forgets);
        let led = world.oracle.lock().reigns();
        let until = world.now() + 10 * SECOND_US;
        world.run_until(until).unwrap();
        assert_eq!(world.oracle.lock().reigns(), led, "seed {seed}: nobody can be elected");
        world.nodes[leader].is_gone = false;
        world.start(leader);
        world.heal_and_check().unwrap();
        // Once it has what the others have, its vote counts again.
        world.take_away(behind);
        world.write_some(5).unwrap();
    }
}

/// As before, but who was given up has got the beginning of the log again when the other one dies.
#[test]
fn who_is_half_way_back_does_not_vote_either() {
    for seed in 0..20 {
        let mut world = World::new(200 + seed, &voters(3));
        world.write_some(100).unwrap();
        let leader = world.leader().unwrap();
        let (forgets, behind) = ((leader + 1) % 3, (leader + 2) % 3);
        cut_between(&mut world, leader, behind);
        cut_between(&mut world, forgets, behind);
        world.write_some(3).unwrap();
        give_up(&mut world, forgets);
        let until = world.now() + 2 * SECOND_US;
        world.run_until(until).unwrap();
        world.network.heal();
        let (id, term) = (world.nodes[leader].id, world.nodes[forgets].replica.as_ref().unwrap().log().vote().term);
        let is_elected = |world: &World| {
            let standing = world.nodes[leader].replica.as_ref().unwrap().standing();
            standing.leader == Some(id) && standing.term > term
        };
        world.run_while(10 * SECOND_US, |world| !is_elected(world)).unwrap();
        cut_between(&mut world, leader, behind);
        let last = |world: &World| world.nodes[forgets].replica.as_ref().unwrap().log().last().index;
        world.run_while(10 * SECOND_US, |world| last(world) == 0).unwrap();
        assert!(last(&world) < world.oracle.lock().committed(), "seed {seed}: it is only half way back");
        world.crash(leader);
        world.nodes[leader].is_gone = true;
        world.network.heal();
        let led = world.oracle.lock().reigns();
        let until = world.now() + 5 * SECOND_US;
        world.run_until(until).unwrap();
        assert_eq!(world.oracle.lock().reigns(), led, "seed {seed}: nobody can be elected");
        world.nodes[leader].is_gone = false;
        world.start(leader);
        world.heal_and_check().unwrap();
    }
}

/// The leader itself forgets, while the others go on; and once more before it is back.
#[test]
fn a_node_can_be_given_up_again_and_again() {
    let (mut world, node) = three(22);
    for round in 0..5 {
        give_up(&mut world, node);
        world.write_some(2).unwrap();
        if round % 2 == 0 {
            world.crash(node);
            world.run_while(10 * SECOND_US, |world| world.nodes[node].replica.is_none()).unwrap();
        }
    }
    world.run_while(10 * SECOND_US, |world| is_repairing(world, node)).unwrap();
    world.heal_and_check().unwrap();
}

#[test]
fn two_of_five_at_once() {
    let mut world = World::new(23, &voters(5));
    world.write_some(30).unwrap();
    let leader = world.leader().unwrap();
    for node in [(leader + 1) % 5, leader] {
        give_up(&mut world, node);
    }
    world.run_while(20 * SECOND_US, |world| (0..5).any(|node| is_repairing(world, node))).unwrap();
    world.write_some(5).unwrap();
    world.heal_and_check().unwrap();
}

#[test]
fn what_cannot_be_repaired_is_refused() {
    let repaired = |world: &mut World, node: usize| {
        world.nodes[node].replica = None;
        world.nodes[node].disk = world.nodes[node].disk.kill();
        let Err(error) = world.try_repair(node, false) else { panic!("it was given up") };
        error
    };
    let mut alone = World::new(24, &voters(1));
    assert!(matches!(repaired(&mut alone, 0), repair::Error::TooFew { voters: 1 }));
    let mut two = World::new(25, &voters(2));
    two.write_some(5).unwrap();
    assert!(matches!(repaired(&mut two, 0), repair::Error::TooFew { voters: 2 }));

    let (mut world, leader) = three(26);
    let running = world.try_repair(leader, false);
    assert!(matches!(running, Err(repair::Error::Log(Error::Locked { .. }))), "{running:?}");
    let node = (leader + 1) % 3;
    world.nodes[node].replica = None;
    world.nodes[node].disk = world.nodes[node].disk.kill();
    let before = world.nodes[node].disk.files();
    let planned = world.try_repair(node, true).unwrap();
    assert_eq!((planned.members.iter().count(), planned.node), (3, world.nodes[node].id));
    assert_eq!(world.nodes[node].disk.files(), before, "that was dry");
    let mut head = world.nodes[node].disk.content("head").unwrap();
    head[70] ^= 1;
    world.nodes[node].disk.set_content("head", head);
    assert!(matches!(repaired(&mut world, node), repair::Error::Forgotten(Error::Damaged { .. })));
}

/// What a leader found to be lost stays so: after the next start too, and it cannot be repaired.
#[test]
fn what_is_lost_is_not_started_again() {
    let (mut world, leader) = three(27);
    let node = (leader + 1) % 3;
    world.crash(node);
    world.nodes[node].disk = SimulatedDisk::new();
    world.tolerates_end = true;
    world.run_while(5 * SECOND_US, |world| world.nodes[node].failure.is_none()).unwrap();
    for _ in 0..2 {
        world.nodes[node].failure = None;
        world.start(node);
        assert!(matches!(world.nodes[node].failure, Some(Error::Lost { .. })), "{:?}", world.nodes[node].failure);
    }
    let refused = world.try_repair(node, false);
    assert!(matches!(refused, Err(repair::Error::Lost { .. })), "{refused:?}");
}

/// Damage anywhere in a log that was in use is found when it is opened, and repaired by peers.
fn run(seed: u64, count: NodeId) -> Result<Seen, String> {
    let mut world = World::new(seed, &voters(count));
    world.network.drop_rate = [0.0, 0.01, 0.05][world.random.random_range(0..3)];
    world.network.delay_max_us = [1_000, 20_000][world.random.random_range(0..2)];
    chaos::make_slow(&mut world);
    let length_us: Time = 12 * SECOND_US;
    while world.now() < length_us {
        let next = world.now() + world.random.random_range(100..20_000);
        world.run_until(next)?;
        let node = world.random.random_range(0..world.nodes.len());
        match world.random.random_range(0..1000) {
            0..6 => world.crash_for_good(node),
            6..12 => {
                let nth = world.random.random_range(1..60);
                world.nodes[node].disk.plan(Fault::Stop { nth });
            }
            _ => chaos::disturb(&mut world, 0.03),
        }
    }
    world.heal_and_check()?;
    Ok(Seen::of(&world))
}

fn enough(all: &Seen) {
    assert!(all.acknowledged > 10_000 && all.repairs > 400, "too little happened: {all:?}");
}

#[test]
fn logs_are_damaged_and_given_up_in_three_nodes() {
    chaos::run_all("repair of three", 400, |seed| run(seed, 3), enough);
}

#[test]
fn logs_are_damaged_and_given_up_in_five_nodes() {
    chaos::run_all("repair of five", 300, |seed| run(seed, 5), enough);
}
