//! What a node wrote before its newest snapshot, and before it was restarted: others get it as entries, as long as it is whole.

use persistence::disk::Disk;
use persistence::simulated::SimulatedDisk;
use persistence::{Error, NodeId};

use crate::world::{SECOND_US, World, voters};

/// A world of three in which one node, cut off, lacks what the two others have acknowledged since, and these two and their
/// disks were started anew.
struct Restarted {
    world: World,
    behind: usize,
    others: [usize; 2],
    /// The last entry of who is behind.
    last: u64,
}

impl Restarted {
    /// So many snapshots were taken since; leadership changed between the two after each, and so often while they wrote.
    fn new(seed: u64, snapshots: usize, transfers: usize) -> Restarted {
        let mut world = World::retaining(u64::MAX, seed, &voters(3));
        world.write_some(25).unwrap();
        let behind = world.leader().unwrap();
        let others = [(behind + 1) % 3, (behind + 2) % 3];
        // It led: what it writes now is acknowledged by nobody, and is not what the others will have in these places.
        for other in others {
            cut(&mut world, behind, other);
        }
        for _ in 0..3 {
            world.write(behind);
            world.turn(behind);
        }
        let last = world.nodes[behind].replica.as_ref().unwrap().log().last().index;
        world.run_while(20 * SECOND_US, |world| world.leader().is_none_or(|leader| leader == behind)).unwrap();
        for _ in 0..snapshots.max(1) {
            for _ in 0..=transfers {
                world.write_some(40 / (transfers + 1)).unwrap();
                let leader = world.leader().unwrap();
                let to = others[usize::from(leader == others[0])];
                let id = world.nodes[to].id;
                world.nodes[leader].replica.as_mut().unwrap().transfer(Some(id)).unwrap();
                world.turn(leader);
                world.run_while(5 * SECOND_US, |world| world.leader() != Some(to)).unwrap();
            }
            world.write_some(3).unwrap();
            if snapshots > 0 {
                others.iter().for_each(|node| world.snapshot(*node));
            }
        }
        world.write_some(3).unwrap();
        Restarted { world, behind, others, last }
    }

    fn disks(&mut self, change: impl Fn(&mut World, &SimulatedDisk)) {
        for node in self.others {
            self.world.nodes[node].replica = None;
            self.world.nodes[node].disk = self.world.nodes[node].disk.kill();
            let disk = self.world.nodes[node].disk.clone();
            change(&mut self.world, &disk);
        }
        for node in self.others {
            self.world.start(node);
            assert!(self.world.nodes[node].failure.is_none(), "{:?}", self.world.nodes[node].failure);
        }
    }

    /// All come together again; how many snapshots were sent for that.
    fn meet(&mut self) -> u64 {
        let before = self.world.snapshots_arrived;
        self.world.write_some(2).unwrap();
        self.world.heal_and_check().unwrap();
        self.world.snapshots_arrived - before
    }
}

fn cut(world: &mut World, one: usize, other: usize) {
    let (one, other): (NodeId, NodeId) = (world.nodes[one].id, world.nodes[other].id);
    world.network.cut(one, other);
    world.network.cut(other, one);
}

fn segments(disk: &SimulatedDisk) -> Vec<String> {
    disk.files().into_iter().filter(|name| name.starts_with("log-")).collect()
}

#[test]
fn who_is_behind_a_restarted_leader_gets_entries() {
    for seed in 0..24 {
        let (snapshots, transfers) = (seed as usize % 3, [0, 1, 4, 13][seed as usize / 6]);
        let mut restarted = Restarted::new(seed, snapshots, transfers);
        restarted.disks(|_, _| {});
        for node in restarted.others {
            let log = restarted.world.nodes[node].replica.as_ref().unwrap().log();
            assert_eq!(log.first(), 1, "seed {seed}");
            assert!(snapshots == 0 || log.newest_snapshot().mark.index > restarted.last, "seed {seed}");
        }
        assert_eq!(restarted.meet(), 0, "seed {seed}: snapshots were sent");
        let log = restarted.world.nodes[restarted.behind].replica.as_ref().unwrap().log();
        assert_eq!(log.first(), 1, "seed {seed}");
    }
}

/// A flipped bit, anywhere in what the start does not read, is in the way of nothing but itself: no entry of that segment is
/// sent that is not what was written, and who needs them gets a snapshot.
#[test]
fn damage_in_old_segments_is_never_sent() {
    let mut snapshots_sent = 0;
    for seed in 0..40 {
        let mut restarted = Restarted::new(seed, 2, [0, 1, 4][seed as usize % 3]);
        restarted.disks(|world, disk| {
            let names = segments(disk);
            // The snapshot is near the end of the log; the first segment is known to who is behind.
            let name = &names[1 + seed as usize % 2];
            let mut content = disk.content(name).unwrap();
            let used = content.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            let at = rand::Rng::random_range(&mut world.random, 0..used);
            content[at] ^= 1 << (seed % 8);
            disk.set_content(name, content);
        });
        snapshots_sent += restarted.meet();
    }
    assert!(snapshots_sent >= 20, "{snapshots_sent} snapshots were sent");
}

/// Whole files that are not what they should be.
#[test]
fn old_segments_that_are_missing_or_of_another_line() {
    for (seed, what) in ["missing", "cut short", "blank", "of another line"].into_iter().enumerate() {
        let mut restarted = Restarted::new(100 + seed as u64, 2, 4);
        // Who is behind had written entries that the others never had, in the same places.
        let other_line = restarted.world.nodes[restarted.behind].disk.clone();
        let names = segments(&other_line);
        let (name, length) = (names.last().unwrap().clone(), 16 << 10);
        restarted.disks(|_, disk| {
            let old = segments(disk).into_iter().filter(|name| *name >= names[names.len() - 1]).take(2);
            for name in old {
                let header = disk.content(&name).unwrap()[..512].to_vec();
                match what {
                    "missing" => disk.remove(&name).unwrap(),
                    "cut short" => disk.set_content(&name, header),
                    "blank" => disk.set_content(&name, [header, vec![0; length - 512]].concat()),
                    _ => {}
                }
            }
            if what == "of another line" {
                disk.set_content(&name, other_line.content(&name).unwrap());
            }
        });
        assert!(restarted.meet() > 0, "{what}");
        let failures: Vec<&Error> = restarted.world.nodes.iter().filter_map(|node| node.failure.as_ref()).collect();
        assert!(failures.is_empty(), "{what}: {failures:?}");
    }
}
