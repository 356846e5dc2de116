//! What fails is told until it goes well again.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use super::world::World;
use crate::archive::gather::Chunk;
use crate::archive::keeper::Keeper;
use crate::archive::{LogEnd, Shared, Span, Work};

fn add(keeper: &mut Keeper, world: &mut World) {
    let (known, first) = (world.model.len(), world.last_index() + 1);
    world.live(50, None);
    let span = Span { first, last: world.last_index() };
    keeper.take(Chunk { span, entries: world.model[known..].to_vec() });
}

/// That has nothing to read from the log.
fn keeper(world: &World) -> (Keeper, Arc<Shared>) {
    let shared = Arc::<Shared>::default();
    let log = world.path().parent().unwrap().to_path_buf();
    let end = LogEnd::At(world.last_index());
    let (mut keeper, _) = Keeper::open(world.config(10), log, end, shared.clone()).unwrap();
    keeper.covered = world.last_index();
    shared.shelf.write().recent_first = keeper.covered + 1;
    (keeper, shared)
}

#[test]
fn what_fails_is_told_until_it_goes_well_again() {
    let mut world = World::new(31, 4);
    let (mut keeper, shared) = keeper(&world);
    let failing = |work: Work| shared.figures.lock().failing[work as usize];

    fs::remove_dir(world.path()).unwrap();
    add(&mut keeper, &mut world);
    assert_eq!(failing(Work::Write).times, 1);
    keeper.retry_at = None;
    keeper.tend();
    let write = failing(Work::Write);
    assert_eq!(write.times, 2);
    assert!(write.last_at.nanoseconds() > 0);

    fs::create_dir(world.path()).unwrap();
    keeper.retry_at = None;
    keeper.tend();
    assert_eq!(failing(Work::Write).times, 0, "that is over");
    assert_eq!(shared.figures.lock().failures, 2, "and is not forgotten");
    assert_eq!(world.runs().len(), 1);
    for work in Work::ALL {
        assert_eq!((Work::ALL[work as usize], failing(work).times), (work, 0));
    }
}

/// It will never be read, and nothing need come after it.
#[test]
fn a_log_that_cannot_be_read_is_no_longer_told_of_when_that_part_is_gone() {
    let mut world = World::new(32, 4);
    let (mut keeper, shared) = keeper(&world);
    let failing = || shared.figures.lock().failing[Work::ReadLog as usize].times;

    world.live(50, None);
    let log = std::mem::replace(&mut keeper.log, world.path().join("missing"));
    add(&mut keeper, &mut world);
    assert_eq!(failing(), 1);
    keeper.tend();
    assert_eq!(failing(), 1, "there is still something to read");

    (keeper.log, keeper.retry_at) = (log, None);
    world.live(1_000, None); // segments that can be let go
    world.forget_the_log();
    (0..2).for_each(|_| keeper.tend());
    assert_eq!((failing(), keeper.covered), (0, keeper.known));
    assert!(shared.figures.lock().log_entries_lost > 0, "what is lost is told of by that");
}

#[test]
fn a_file_that_cannot_be_removed_is_told_of_until_it_is_gone() {
    let mut world = World::new(33, 4);
    let (mut keeper, shared) = keeper(&world);
    let failing = || shared.figures.lock().failing[Work::Remove as usize].times;
    (0..2).for_each(|_| add(&mut keeper, &mut world));
    let [first, _] = &world.runs()[..] else { panic!("two runs") };

    // A directory is not removed as a file is.
    fs::remove_file(first).unwrap();
    fs::create_dir(first).unwrap();
    keeper.config.retained_bytes_max = 0;
    (0..2).for_each(|_| add(&mut keeper, &mut world));
    assert_eq!(world.runs().len(), 2, "the second is gone, and the third");
    assert_eq!(failing(), 2, "it is not over because others went well");

    keeper.tend();
    assert_eq!(failing(), 2, "the disk is left alone for a while");
    fs::remove_dir(first).unwrap();
    fs::write(first, "").unwrap();
    keeper.removal.retry_at = Some(Instant::now());
    keeper.tend();
    assert_eq!((failing(), world.runs().len()), (0, 1));
}
