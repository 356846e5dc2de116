//! Members come and go, while everything else goes on, and while everything goes wrong.

use persistence::simulated::Fault;
use persistence::{ChangeRefused, MemberChange, MemberKind, NodeId};
use rand::Rng;

use crate::chaos::{self, Seen};
use crate::network::Time;
use crate::world::{Answer, SECOND_US, World, member, voters};

/// Waits for the answer to a change.
fn answer(world: &mut World, answer: &Answer) -> Result<(), ChangeRefused> {
    world.run_while(10 * SECOND_US, |_| answer.lock().is_none()).unwrap();
    answer.lock().take().unwrap()
}

fn change(world: &mut World, change: &MemberChange) -> Result<(), ChangeRefused> {
    world.run_while(10 * SECOND_US, |world| world.leader().is_none()).unwrap();
    let leader = world.leader().unwrap();
    let told = world.change(leader, change);
    answer(world, &told)
}

/// Gives a learner its vote as soon as it has caught up.
fn promote(world: &mut World, node: NodeId, instead_of: Option<NodeId>) {
    for _ in 0..100 {
        match change(world, &MemberChange::Promote { node, instead_of }) {
            Err(ChangeRefused::Behind(..)) => world.write_some(1).unwrap(),
            result => return assert_eq!(result, Ok(())),
        }
    }
    panic!("node {node} does not catch up");
}

fn term(world: &World) -> u64 {
    world.nodes[world.leader().unwrap()].replica.as_ref().unwrap().standing().term
}

/// With a log that begins at the first entry, and with one that begins with a snapshot taken before anybody knew of the new
/// node.
#[test]
fn a_node_joins_and_gets_a_vote() {
    for entries_before in [5, 400] {
        let mut world = World::new(entries_before as u64, &voters(3));
        world.write_some(entries_before).unwrap();
        let leader = world.leader().unwrap();
        if entries_before > 100 {
            world.snapshot(leader);
            world.write_some(40).unwrap();
            world.snapshot(leader);
            assert!(world.nodes[leader].replica.as_ref().unwrap().log().first() > 100);
        }
        let term_before = term(&world);
        world.join(4, Vec::new());
        assert_eq!(change(&mut world, &MemberChange::Add(member(4, MemberKind::Voter))), Ok(()));
        world.write_some(20).unwrap();
        promote(&mut world, 4, None);
        assert_eq!(term(&world), term_before, "nobody had to be elected");
        assert_eq!(world.snapshots_arrived > 0, entries_before > 100);

        // Two of the first three go: without the new one's vote nothing would be committed.
        let leader = world.leader().unwrap();
        let mut others = (0..3).filter(|node| *node != leader);
        let away = world.nodes[others.next().unwrap()].id;
        assert_eq!(change(&mut world, &MemberChange::Remove(away)), Ok(()));
        let position = world.position(away).unwrap();
        world.take_away(position);
        let dead = others.next().unwrap();
        world.take_away(dead);
        world.write_some(20).unwrap();
        world.heal_and_check().unwrap();
        assert_eq!(world.members_by(leader).len(), 3);
        let again = change(&mut world, &MemberChange::Add(member(away, MemberKind::Voter)));
        assert!(matches!(again, Err(ChangeRefused::Unsuitable(_))), "{again:?}");
    }
}

/// Nothing more is written after the snapshot that it got: it has everything, and gets its vote.
#[test]
fn a_node_that_got_all_by_a_snapshot_gets_a_vote_while_nothing_happens() {
    for seed in 0..40 {
        let mut world = World::new(seed, &voters(3));
        world.write_some(60).unwrap();
        let leader = world.leader().unwrap();
        world.snapshot(leader);
        world.write_some(60).unwrap();
        world.snapshot(leader);
        world.join(4, Vec::new());
        assert_eq!(change(&mut world, &MemberChange::Add(member(4, MemberKind::Voter))), Ok(()));
        let committed = world.oracle.lock().committed();
        let has_all =
            |world: &World| world.nodes[3].replica.as_ref().is_some_and(|replica| replica.folded_index() == committed);
        world.run_while(10 * SECOND_US, |world| !has_all(world)).unwrap();
        let until = world.now() + SECOND_US;
        world.run_until(until).unwrap();
        assert!(world.snapshots_arrived > 0, "seed {seed}");
        let promoted = change(&mut world, &MemberChange::Promote { node: 4, instead_of: None });
        assert_eq!(promoted, Ok(()), "seed {seed}");
    }
}

#[test]
fn a_dead_node_is_replaced_in_one_step() {
    let mut world = World::new(3, &voters(3));
    world.write_some(10).unwrap();
    let leader = world.leader().unwrap();
    let dead = (leader + 1) % 3;
    world.take_away(dead);
    world.join(4, Vec::new());
    assert_eq!(change(&mut world, &MemberChange::Add(member(4, MemberKind::Voter))), Ok(()));
    world.write_some(5).unwrap();
    let dead_id = world.nodes[dead].id;
    promote(&mut world, 4, Some(dead_id));
    world.write_some(5).unwrap();
    let members = world.nodes[leader].replica.as_ref().unwrap().members().clone();
    assert!(members.votes(4) && !members.votes(world.nodes[dead].id), "{members:?}");
    let third = (leader + 2) % 3;
    world.take_away(third);
    world.write_some(5).unwrap();
    world.heal_and_check().unwrap();
}

#[test]
fn what_cannot_be_is_refused() {
    let mut world = World::new(4, &voters(3));
    world.write_some(3).unwrap();
    let leader = world.leader().unwrap();
    let follower = (leader + 1) % 3;
    let add = MemberChange::Add(member(4, MemberKind::Voter));
    let told = world.change(follower, &add);
    assert_eq!(answer(&mut world, &told), Err(ChangeRefused::NotLeading));
    let own = world.nodes[leader].id;
    assert!(matches!(change(&mut world, &MemberChange::Remove(own)), Err(ChangeRefused::Unsuitable(_))));
    assert_eq!(change(&mut world, &add), Ok(()));
    world.write_some(1200).unwrap();
    let promoted = change(&mut world, &MemberChange::Promote { node: 4, instead_of: None });
    assert!(matches!(promoted, Err(ChangeRefused::Behind(4, _))), "a node that has nothing yet: {promoted:?}");
    let both = [world.change(leader, &MemberChange::Remove(4)), world.change(leader, &MemberChange::Remove(4))];
    assert_eq!(answer(&mut world, &both[1]), Err(ChangeRefused::Busy));
    assert_eq!(answer(&mut world, &both[0]), Ok(()));
    let renamed =
        MemberChange::Describe(persistence::Member { name: "other".into(), ..member(own, MemberKind::Voter) });
    assert_eq!(change(&mut world, &renamed), Ok(()));
    let members = world.nodes[leader].replica.as_ref().unwrap().members().clone();
    assert_eq!(members.get(own).unwrap().name, "other");
    world.heal_and_check().unwrap();
}

const NODES_MAX: NodeId = 9;

fn change_somehow(world: &mut World) {
    let Some(leader) = world.leader() else { return };
    let members = world.nodes[leader].replica.as_ref().unwrap().members().clone();
    let next = world.nodes.last().unwrap().id + 1;
    let learners: Vec<NodeId> = members.iter().map(|member| member.id).filter(|id| !members.votes(*id)).collect();
    let voting: Vec<NodeId> = members.iter().map(|member| member.id).filter(|id| members.votes(*id)).collect();
    let pick = |ids: &[NodeId], random: &mut rand::rngs::SmallRng| ids.get(random.random_range(0..ids.len())).copied();
    match (learners.is_empty(), world.random.random_range(0..3)) {
        (true, _) if next <= NODES_MAX && members.iter().count() < 5 => {
            world.join(next, Vec::new());
            let kind = if world.random.random_bool(0.2) { MemberKind::Witness } else { MemberKind::Voter };
            world.change(leader, &MemberChange::Add(member(next, kind)));
        }
        (false, 0..2) => {
            let instead_of = if voting.len() > 3 { pick(&voting, &mut world.random) } else { None };
            let node = pick(&learners, &mut world.random).unwrap();
            world.change(leader, &MemberChange::Promote { node, instead_of });
        }
        _ if voting.len() > 3 => {
            let node = pick(&voting, &mut world.random).unwrap();
            world.change(leader, &MemberChange::Remove(node));
        }
        _ => {}
    }
}

/// Nodes that were removed are taken away, once a node that leads knows it.
fn take_away_removed(world: &mut World) {
    let Some(leader) = world.leader() else { return };
    let members = world.nodes[leader].replica.as_ref().unwrap().members().clone();
    let removed: Vec<usize> = (0..world.nodes.len()).filter(|node| members.is_retired(world.nodes[*node].id)).collect();
    for node in removed {
        world.take_away(node);
    }
}

fn run(seed: u64) -> Result<Seen, String> {
    let mut world = World::new(seed, &voters(3));
    world.network.drop_rate = [0.0, 0.05][world.random.random_range(0..2)];
    let length_us: Time = 15 * SECOND_US;
    while world.now() < length_us {
        let next = world.now() + world.random.random_range(100..20_000);
        world.run_until(next)?;
        match world.random.random_range(0..100) {
            0..2 => change_somehow(&mut world),
            2..4 => take_away_removed(&mut world),
            4..6 => {
                let node = world.random.random_range(0..world.nodes.len());
                let nth = world.random.random_range(1..60);
                world.nodes[node].disk.plan(Fault::Stop { nth });
            }
            _ => chaos::disturb(&mut world, 0.02),
        }
    }
    take_away_removed(&mut world);
    world.heal_and_check()?;
    Ok(Seen::of(&world))
}

#[test]
fn members_come_and_go() {
    chaos::run_all("members", 400, run, |all| {
        assert!(all.acknowledged > 5000 && all.joined > 200, "too little happened: {all:?}");
    });
}
