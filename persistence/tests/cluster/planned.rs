//! Single events, as they are planned.

use std::sync::atomic::Ordering;
use std::time::Duration;

use persistence::simulated::SimulatedDisk;
use persistence::{Error, MemberKind, NodeId, PeerStatistics, Remedy, TransferRefused};

use crate::world::{Event, SECOND_US, World, member, voters};

fn isolate(world: &mut World, node: usize) {
    let id = world.nodes[node].id;
    for other in 1..=world.nodes.len() as u64 {
        world.network.cut(id, other);
        world.network.cut(other, id);
    }
}

/// A world of three that has done some work, and its leader.
fn three(seed: u64) -> (World, usize) {
    let mut world = World::new(seed, &voters(3));
    world.write_some(10).unwrap();
    let leader = world.leader().unwrap();
    (world, leader)
}

fn leads(world: &World, node: usize) -> bool {
    world.nodes[node].replica.as_ref().is_some_and(|replica| replica.standing().leads)
}

#[test]
fn a_leader_that_is_cut_off_answers_nobody_and_gives_up() {
    let (mut world, old) = three(1);
    isolate(&mut world, old);
    let answered = world.oracle.lock().readings_answered;
    world.read(old);
    world.write(old);
    world.turn(old);
    world.run_while(5 * SECOND_US, |world| leads(world, old)).unwrap();
    assert_eq!(world.oracle.lock().readings_answered, answered);
    let committed = world.oracle.lock().committed();
    world.run_while(5 * SECOND_US, |world| world.leader().is_none()).unwrap();
    world.write_some(5).unwrap();
    assert!(world.oracle.lock().committed() > committed);
    assert_ne!(world.leader(), Some(old));
    world.heal_and_check().unwrap();
}

#[test]
fn leadership_is_handed_over() {
    let (mut world, old) = three(2);
    let to = (old + 1) % 3;
    let id = world.nodes[to].id;
    let replica = world.nodes[old].replica.as_mut().unwrap();
    assert!(replica.has_place(100));
    assert_eq!(replica.transfer(Some(id)), Ok(id));
    assert!(!replica.has_place(100), "proposals wait meanwhile");
    world.turn(old);
    let began = world.now();
    world.run_while(SECOND_US, |world| !leads(world, to)).unwrap();
    assert!(world.now() - began < 200_000, "it took {} ms", (world.now() - began) / 1000);
    world.write_some(3).unwrap();
    world.heal_and_check().unwrap();
}

#[test]
fn a_transfer_to_nobody_ends_and_proposals_go_on() {
    let (mut world, old) = three(3);
    let dead = (old + 1) % 3;
    world.take_away(dead);
    let id = world.nodes[dead].id;
    assert_eq!(world.nodes[old].replica.as_mut().unwrap().transfer(Some(id)), Ok(id));
    world.turn(old);
    world.run_while(5 * SECOND_US, |world| !world.nodes[old].replica.as_ref().unwrap().has_place(1)).unwrap();
    world.write_some(3).unwrap();
}

#[test]
fn a_witness_does_not_keep_leadership() {
    let members = [member(1, MemberKind::Voter), member(2, MemberKind::Voter), member(3, MemberKind::Witness)];
    let mut world = World::new(4, &members);
    world.write_some(10).unwrap();
    let leader = world.leader().unwrap();
    assert_ne!(leader, 2, "it is the last to stand for election");
    assert_eq!(world.nodes[leader].replica.as_mut().unwrap().transfer(Some(3)), Ok(3));
    world.turn(leader);
    world.run_while(SECOND_US, |world| !leads(world, 2)).unwrap();
    let began = world.now();
    world.run_while(SECOND_US, |world| leads(world, 2)).unwrap();
    assert!(world.now() - began < 300_000, "it took {} ms", (world.now() - began) / 1000);
    world.write_some(3).unwrap();
    world.heal_and_check().unwrap();
}

/// Of three, one is drained: it hands leadership over, nobody hands it to that one, and it still leads when nobody else can.
#[test]
fn a_drained_node_leads_only_when_nobody_else_can() {
    let (mut world, drained) = three(7);
    let set_willing = |world: &mut World, node: usize, is_willing| {
        world.nodes[node].replica.as_mut().unwrap().set_willing(is_willing);
        world.turn(node);
    };
    set_willing(&mut world, drained, false);
    world.run_while(5 * SECOND_US, |world| world.leader().is_none_or(|leader| leader == drained)).unwrap();
    let second = world.leader().unwrap();
    assert_ne!(second, drained);
    world.write_some(3).unwrap();
    let third = 3 - drained - second;
    assert_eq!(world.nodes[second].replica.as_mut().unwrap().transfer(None), Ok(world.nodes[third].id));
    world.turn(second);
    world.run_while(5 * SECOND_US, |world| !leads(world, third)).unwrap();

    // The third goes too: of the two that are left the drained one must lead, for the other is drained as well.
    set_willing(&mut world, second, false);
    world.take_away(third);
    world.run_while(20 * SECOND_US, |world| world.leader().is_none_or(|leader| leader == third)).unwrap();
    world.write_some(3).unwrap();
    world.heal_and_check().unwrap();
}

/// Only the witness has the newest entry: it must lead for a moment, or nobody can.
#[test]
fn a_witness_leads_when_nobody_else_can() {
    let members = [member(1, MemberKind::Voter), member(2, MemberKind::Voter), member(3, MemberKind::Witness)];
    for seed in 0..20 {
        let mut world = World::new(seed, &members);
        world.write_some(10).unwrap();
        let leader = world.leader().unwrap();
        let behind = 1 - leader;
        world.network.cut(world.nodes[leader].id, world.nodes[behind].id);
        world.write_some(3).unwrap();
        world.take_away(leader);
        world.network.heal();
        world.run_while(5 * SECOND_US, |world| !leads(world, behind)).unwrap();
        world.write_some(3).unwrap();
    }
}

#[test]
fn a_node_of_another_state_stops_itself() {
    let mut world = World::new(5, &voters(3));
    world.write_some(5).unwrap();
    let wrong = (world.leader().unwrap() + 1) % 3;
    world.tolerates_end = true;
    world.nodes[wrong].replica.as_mut().unwrap().fold().is_wrong = true;
    world.write_some(40).unwrap();
    let Some(error @ Error::Diverged { index, .. }) = &world.nodes[wrong].failure else {
        panic!("it did not stop: {:?}", world.nodes[wrong].failure)
    };
    assert_eq!((index % 16, error.remedy()), (0, Remedy::Repair));
    let well = world.nodes[world.leader().unwrap()].replica.as_ref().unwrap();
    assert!(well.agreed().0 >= *index, "the others agree");
}

#[test]
fn a_leader_with_a_slow_disk_hands_over() {
    let (mut world, sick) = three(6);
    world.write_some(50).unwrap();
    assert_eq!(world.leader(), Some(sick));
    for node in 0..3 {
        world.nodes[node].write_takes_us.store(300, Ordering::Relaxed);
    }
    world.nodes[sick].write_takes_us.store(30_000, Ordering::Relaxed);
    let began = world.now();
    while leads(&world, sick) {
        world.write_some(1).unwrap();
        assert!(world.now() - began < 3 * SECOND_US, "it still leads");
    }
    world.write_some(50).unwrap();
    assert!(!leads(&world, sick));
}

#[test]
fn a_follower_with_a_slow_disk_changes_nothing() {
    let (mut world, leader) = three(7);
    world.nodes[(leader + 1) % 3].write_takes_us.store(30_000, Ordering::Relaxed);
    world.write_some(300).unwrap();
    assert_eq!(world.leader(), Some(leader));
}

#[test]
fn the_leader_knows_how_far_behind_another_node_is() {
    let (mut world, leader) = three(11);
    let behind = world.nodes[(leader + 1) % 3].id;
    let lag = |world: &World| {
        let replica = world.nodes[leader].replica.as_ref().unwrap();
        let progress = seen(world, leader, behind).progress.unwrap();
        (replica.log().last().index - progress.matched, progress.behind)
    };
    world.run_while(SECOND_US, |world| seen(world, leader, behind).progress.is_none()).unwrap();
    world.run_while(SECOND_US, |world| lag(world).0 > 0).unwrap();
    assert_eq!(lag(&world).1, Duration::ZERO);
    world.network.cut(world.nodes[leader].id, behind);
    world.write_some(1).unwrap();
    let until = world.now() + 3 * SECOND_US / 2;
    world.run_until(until).unwrap();
    let (entries, age) = lag(&world);
    assert!(entries > 0 && age > Duration::from_millis(1_200) && age < Duration::from_millis(1_800), "{age:?}");
}

/// What the node in `place` knows of another one.
fn seen(world: &World, place: usize, of: NodeId) -> PeerStatistics {
    *world.nodes[place].replica.as_ref().unwrap().peers().iter().find(|peer| peer.node == of).unwrap()
}

/// Of a node that is gone nobody knows how far it is; since when it is gone the next leader knows as well.
#[test]
fn of_a_silent_node_only_its_silence_is_known() {
    let (mut world, first) = three(12);
    let gone = (first + 1) % 3;
    world.write_some(20).unwrap();
    for other in [first, (first + 2) % 3] {
        let (one, other) = (world.nodes[other].id, world.nodes[gone].id);
        world.network.cut(one, other);
        world.network.cut(other, one);
    }
    let gone_at = world.now();
    let until = gone_at + 3 * SECOND_US;
    world.run_until(until).unwrap();
    let check = |world: &World, leader: usize| {
        let seen = seen(world, leader, world.nodes[gone].id);
        let ago = seen.heard_ago.unwrap();
        let silent = Duration::from_micros(world.now() - gone_at);
        assert!(!seen.is_active && seen.progress.is_none(), "{seen:?}");
        assert!(ago + Duration::from_millis(500) > silent && ago < silent + Duration::from_millis(500), "{ago:?}");
    };
    check(&world, first);
    let _ = world.nodes[first].replica.as_mut().unwrap().transfer(None);
    world.run_while(5 * SECOND_US, |world| world.leader().is_none_or(|leader| leader == first)).unwrap();
    let second = world.leader().unwrap();
    assert_eq!(second, (first + 2) % 3);
    world.write_some(1).unwrap();
    check(&world, second);
    assert!(seen(&world, second, world.nodes[first].id).progress.is_some());
}

#[test]
fn a_node_that_lost_its_disk_does_not_vote() {
    let (mut world, leader) = three(8);
    let node = (leader + 1) % 3;
    world.crash(node);
    world.nodes[node].disk = SimulatedDisk::new();
    world.tolerates_end = true;
    world.run_while(5 * SECOND_US, |world| world.nodes[node].failure.is_none()).unwrap();
    assert!(matches!(world.nodes[node].failure, Some(Error::Lost { .. })), "{:?}", world.nodes[node].failure);
    world.write_some(5).unwrap();
}

#[test]
fn first_members_that_differ_are_found() {
    let mut world = World::new(9, &voters(3));
    world.tolerates_end = true;
    let mut others = voters(3);
    others.push(member(4, MemberKind::Voter));
    world.join(5, others);
    world.write_some(5).unwrap();
    let leader = world.leader().unwrap();
    let told = world.change(leader, &persistence::MemberChange::Add(member(5, MemberKind::Voter)));
    world.run_while(5 * SECOND_US, |_| told.lock().is_none()).unwrap();
    world.run_while(5 * SECOND_US, |world| world.nodes[3].failure.is_none()).unwrap();
    assert!(matches!(world.nodes[3].failure, Some(Error::Configuration(_))), "{:?}", world.nodes[3].failure);
}

/// A node alone needs no other to be elected, and nobody to agree.
#[test]
fn a_node_alone_leads_at_once() {
    let mut world = World::new(10, &voters(1));
    assert!(leads(&world, 0));
    for life in 1..5 {
        world.write_some(10).unwrap();
        world.crash(0);
        world.start(0);
        assert!(leads(&world, 0), "life {life}");
        assert_eq!(world.nodes[0].replica.as_ref().unwrap().folded_index(), world.oracle.lock().committed());
    }
    assert!(world.oracle.lock().acknowledged() >= 40);
}

/// Two that are looked at in one turn: that of the leader, and a newer one of a leader that is none any more.
#[test]
fn a_snapshot_of_a_former_leader_does_not_displace_that_of_the_present_one() {
    const TERM_AT: std::ops::Range<usize> = 24..32;
    for seed in 12..32 {
        let (mut world, leader) = three(seed);
        let (id, node) = (world.nodes[leader].id, (leader + 1) % 3);
        let behind = world.nodes[node].id;
        let mut caught = Vec::new();
        while caught.len() < 2 {
            world.network.cut(id, behind);
            for _ in 0..2 {
                world.write_some(60).unwrap();
                world.snapshot(leader);
            }
            world.network.heal();
            let until = world.now() + 5 * SECOND_US;
            while world.now() < until {
                world.step().unwrap();
                if let Some((from, to, header, content)) = world.catch_snapshot() {
                    assert_eq!((from, to), (id, behind));
                    let index = u64::from_le_bytes(header[32..40].try_into().unwrap());
                    caught.push((index, header.to_vec(), content));
                    world.plan(world.now(), Event::SnapshotSent { from, to, went_well: false });
                    break;
                }
            }
        }
        let newer = caught.pop().unwrap();
        let (index, mut header, content) = caught.pop().unwrap();
        assert!(newer.0 > index);
        let term = u64::from_le_bytes(header[TERM_AT].try_into().unwrap());
        header[TERM_AT].copy_from_slice(&(term + 1).to_le_bytes());
        for (file, header, content) in [("one.tmp", header, content), ("two.tmp", newer.1, newer.2)] {
            world.nodes[node].disk.set_content(file, content);
            world.nodes[node].replica.as_mut().unwrap().snapshot_arrived(id, &header, file).unwrap();
        }
        world.turn(node);
        assert_eq!(world.nodes[node].replica.as_ref().unwrap().folded_index(), index, "seed {seed}");
        assert!(!world.nodes[node].disk.files().iter().any(|name| name == "one.tmp" || name == "two.tmp"));
    }
}

/// The only one that is willing to lead is far behind: a drained leader does not make payments wait for it.
#[test]
fn a_drained_leader_goes_on_while_the_others_cannot_take_over() {
    let (mut world, leader) = three(13);
    let (second, behind) = ((leader + 1) % 3, (leader + 2) % 3);
    let (id, last) = (world.nodes[leader].id, world.nodes[behind].id);
    world.network.cut(id, last); // it is heard, and hears nothing of the leader
    world.nodes[second].replica.as_mut().unwrap().set_willing(false);
    world.turn(second);
    world.write_some(400).unwrap();
    assert_eq!(world.leader(), Some(leader));
    let replica = world.nodes[leader].replica.as_mut().unwrap();
    replica.set_willing(false);
    assert!(matches!(replica.transfer(Some(last)), Err(TransferRefused::Behind(..))));
    let until = world.now() + 3 * SECOND_US;
    while world.now() < until {
        world.step().unwrap();
        assert!(world.nodes[leader].replica.as_ref().unwrap().has_place(1), "proposals wait");
    }
    world.network.heal();
    world.run_while(10 * SECOND_US, |world| !leads(world, behind)).unwrap();
    world.heal_and_check().unwrap();
}
