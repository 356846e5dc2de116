//! What fails is told until it goes well again.

use std::fs;
use std::sync::Arc;

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

#[test]
fn what_fails_is_told_until_it_goes_well_again() {
    let mut world = World::new(31, 4);
    let shared = Arc::<Shared>::default();
    let log = world.path().parent().unwrap().to_path_buf();
    let end = LogEnd::At(world.last_index());
    let (mut keeper, _) = Keeper::open(world.config(10), log, end, shared.clone()).unwrap();
    keeper.covered = world.last_index();
    shared.shelf.write().recent_first = keeper.covered + 1;
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
