//! The archive finds what a naive one would, whatever happened to it.

mod failing;
mod golden;
mod inquiry;
mod world;

use std::cmp::Reverse;
use std::fs;
use std::os::unix::fs::FileExt;

use settlement::Key;
use wire::Timestamp;

use super::{Entry, Error, Latest, LogEnd, Search, prepare};
use world::World;

#[test]
fn it_finds_what_a_naive_archive_would() {
    for seed in 0..6 {
        let mut world = World::new(seed, 7);
        let (mut gatherer, archive) = world.archive(60);
        for _ in 0..4 {
            world.live(500, Some(&mut gatherer));
            gatherer.hand_over();
            world.check(&archive);
        }
        world.until_caught_up(&archive);
        assert!(archive.figures().runs < 20, "the runs are merged: {:?}", archive.figures());
        world.check(&archive);
        archive.verify().unwrap();
        drop(gatherer);
        archive.stop();
        assert_eq!(archive.figures().payments, world.model.len() as u64);

        let (_gatherer, archive) = world.archive(60);
        world.check(&archive);
    }
}

#[test]
fn a_search_among_all_takes_each_payment_once_and_says_how_far_it_came() {
    let mut world = World::new(21, 6);
    let (mut gatherer, archive) = world.archive(40);
    world.live(700, Some(&mut gatherer));
    gatherer.hand_over();
    world.until_caught_up(&archive);
    let everyone: Vec<Key> = (0..6).map(Key).collect();
    let wanted = |entry: &Entry| entry.amount_minor % 3 == 0;
    let mut expected: Vec<Entry> = world.model.iter().filter(|entry| wanted(entry)).copied().collect();
    expected.sort_by_key(|entry| Reverse((entry.ended_at, entry.uetr, entry.debtor)));
    let search = |search: Search| archive.latest(&everyone, &search, wanted).unwrap();
    assert_eq!(search(Search::latest(usize::MAX)), Latest { entries: expected.clone(), reached: None });
    assert_eq!(search(Search::latest(5)).entries, expected[..5]);

    // Whoever goes on where a search gave up finds the rest.
    let (mut all, mut until, mut searches) = (Vec::new(), Timestamp(u64::MAX), 0);
    loop {
        let found = search(Search { until, examined_max: 100, ..Search::latest(usize::MAX) });
        // What lies beyond the point where it gave up is looked at again.
        let reached = found.reached.unwrap_or_default();
        all.extend(found.entries.into_iter().filter(|entry| entry.ended_at >= reached));
        searches += 1;
        match found.reached {
            Some(reached) => until = reached,
            None => break,
        }
    }
    assert!(searches > 5 && all == expected, "{searches}");
}

#[test]
fn uetrs_are_found_by_how_they_begin() {
    let mut world = World::new(22, 5);
    let (mut gatherer, archive) = world.archive(50);
    world.live(300, Some(&mut gatherer));
    gatherer.hand_over();
    world.until_caught_up(&archive);
    for entry in &world.model {
        let start = entry.uetr.number() >> 96 << 96;
        let range = start..=start | u128::MAX >> 32;
        let expected = world.model.iter().filter(|other| range.contains(&other.uetr.number())).count();
        let found = archive.by_uetrs(range.clone(), usize::MAX).unwrap();
        assert!(found.len() == expected && found.contains(entry));
        assert_eq!(archive.by_uetrs(range, 1).unwrap().len(), 1);
    }
    assert_eq!(archive.by_uetrs(0..=u128::MAX, 7).unwrap().len(), 7);
    assert_eq!(archive.begins_at(), world.model.iter().map(|entry| entry.ended_at).min());
    assert!(archive.is_whole());
}

#[test]
fn after_a_crash_it_reads_the_rest_from_the_log() {
    let mut world = World::new(11, 5);
    let (mut gatherer, archive) = world.archive(100);
    world.live(450, Some(&mut gatherer));
    drop(gatherer);
    drop(archive);
    world.live(300, None);
    let (mut gatherer, archive) = world.archive(100);
    world.check(&archive);
    // What goes on is joined to it without a seam.
    world.live(300, Some(&mut gatherer));
    gatherer.hand_over();
    world.check(&archive);
}

#[test]
fn what_found_no_room_is_read_from_the_log() {
    let mut world = World::new(12, 5);
    let (mut gatherer, prepared) = prepare();
    // Nobody takes the chunks yet: most find no room.
    for _ in 0..600 {
        world.live(1, Some(&mut gatherer));
        gatherer.hand_over();
    }
    let archive = world.start(prepared, world.config(100));
    world.until_caught_up(&archive);
    world.check(&archive);
    world.live(10, Some(&mut gatherer));
    gatherer.hand_over();
    world.check(&archive);
    assert_eq!(archive.figures().log_entries_lost, 0);
}

#[test]
fn a_hole_shows_itself_while_the_archive_runs() {
    let mut world = World::new(13, 5);
    let (mut gatherer, archive) = world.archive(100);
    world.live(50, Some(&mut gatherer));
    gatherer.hand_over();
    archive.wait(std::time::Duration::from_secs(60)).unwrap();
    gatherer.lose_what_is_at_hand();
    world.live(70, Some(&mut gatherer));
    gatherer.lose_what_is_at_hand();
    world.live(50, Some(&mut gatherer));
    gatherer.hand_over();
    world.check(&archive);
}

/// What may have happened to the files while the node was down.
fn damage(harm: impl Fn(&World), set_aside: usize) {
    let mut world = World::new(14, 6);
    let (mut gatherer, archive) = world.archive(100);
    // Few enough runs that none are merged.
    world.live(900, Some(&mut gatherer));
    drop(gatherer);
    archive.stop();
    drop(archive);
    assert!(world.runs().len() >= 4);
    harm(&world);
    let (_gatherer, archive) = world.archive(100);
    assert_eq!(archive.figures().files_set_aside, set_aside as u64);
    assert_eq!(world.files(".damaged").len(), set_aside);
    world.check(&archive);
    archive.verify().unwrap();
    drop(archive);
    let (_gatherer, archive) = world.archive(100);
    assert_eq!(archive.figures().files_set_aside, 0, "it is repaired for good");
    world.check(&archive);
}

fn flip(path: &std::path::Path, offset: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

#[test]
fn damaged_runs_are_set_aside_and_made_anew() {
    damage(|_| {}, 0);
    for place in [0, 1, 3] {
        for offset in [0, 8, 13, 40, 50, 81, 100] {
            damage(|world| flip(&world.runs()[place], offset), 1);
        }
    }
    let length = |world: &World| fs::metadata(&world.runs()[1]).unwrap().len();
    damage(|world| flip(&world.runs()[1], length(world) - 1), 1);
    let cut = |world: &World, bytes| {
        fs::File::options().write(true).open(&world.runs()[1]).unwrap().set_len(bytes).unwrap();
    };
    for bytes in [0, 100, 128, 5000] {
        damage(|world| cut(world, bytes), 1);
    }
    damage(|world| cut(world, length(world) - 1), 1);
}

#[test]
fn missing_runs_are_made_anew() {
    damage(|world| fs::remove_file(&world.runs()[1]).unwrap(), 0);
    damage(|world| fs::remove_file(world.runs().last().unwrap()).unwrap(), 0);
    damage(|world| world.runs().iter().for_each(|run| fs::remove_file(run).unwrap()), 0);
}

#[test]
fn leftovers_of_a_crash_are_removed() {
    damage(
        |world| {
            fs::write(world.runs()[1].with_extension("run.tmp"), b"half a run").unwrap();
        },
        0,
    );
    // A run that lies within another, as between a merge and the removal of what was merged.
    damage(
        |world| {
            let runs = world.runs();
            let span = |run: &std::path::Path| {
                super::format::parse_file_name(run.file_name().unwrap().to_str().unwrap()).unwrap()
            };
            let inner = super::Span { first: span(&runs[1]).first + 1, last: span(&runs[1]).last };
            fs::copy(&runs[1], world.path().join(super::format::file_name(inner))).unwrap();
        },
        0,
    );
}

#[test]
fn no_damaged_block_is_believed() {
    let mut world = World::new(15, 6);
    let (mut gatherer, archive) = world.archive(100_000);
    world.live(700, Some(&mut gatherer));
    drop(gatherer);
    archive.stop();
    drop(archive);
    let run = world.runs()[0].clone();
    let (_gatherer, archive) = world.archive(100_000);
    for offset in (128..128 + 700 * 96 + 1000).step_by(997) {
        flip(&run, offset);
        let error = archive.verify().unwrap_err();
        assert!(matches!(&error, Error::Damaged { file, .. } if *file == run), "byte {offset}: {error}");
        for entry in world.model.iter().step_by(41) {
            match archive.by_uetr(entry.uetr, Some(entry.debtor)) {
                Ok(found) => assert_eq!(found, [*entry]),
                Err(error) => assert!(error.to_string().contains("checksum"), "{error}"),
            }
        }
        flip(&run, offset);
    }
    world.check(&archive);
}

#[test]
fn the_oldest_runs_go() {
    let mut world = World::new(16, 6);
    let (mut gatherer, prepared) = prepare();
    let config = super::Config { retained_bytes_max: 60_000, ..world.config(100) };
    let archive = world.start(prepared, config);
    world.live(3000, Some(&mut gatherer));
    gatherer.hand_over();
    world.until_caught_up(&archive);
    let figures = archive.figures();
    assert!(figures.run_bytes <= 60_000 && figures.runs > 1, "{figures:?}");
    let (oldest, newest) = (world.model[0], *world.model.last().unwrap());
    assert_eq!(archive.by_uetr(oldest.uetr, Some(oldest.debtor)).unwrap(), []);
    assert_eq!(archive.by_uetr(newest.uetr, Some(newest.debtor)).unwrap(), [newest]);
    let kept = figures.payments as usize;
    world.model.drain(..world.model.len() - kept);
    world.used_up();
    world.check(&archive);
    // A start does not bring them back, although the log has them.
    drop(archive);
    let (_gatherer, prepared) = prepare();
    let archive = world.start(prepared, super::Config { retained_bytes_max: 60_000, ..world.config(100) });
    world.until_caught_up(&archive);
    assert_eq!(archive.by_uetr(oldest.uetr, Some(oldest.debtor)).unwrap(), []);
}

#[test]
fn what_the_log_no_longer_has_is_counted_as_lost() {
    let mut world = World::new(17, 6);
    world.live(2000, None);
    world.forget_the_log();
    let oldest = persistence::Reader::oldest(world.path().parent().unwrap()).unwrap();
    assert!(oldest > 1);
    world.live(100, None);
    let (mut gatherer, archive) = world.archive(100);
    assert_eq!(archive.figures().log_entries_lost, oldest - 1);
    world.model.retain(|entry| entry.index >= oldest);
    without_forgotten_times(&mut world, &archive);
    world.live(100, Some(&mut gatherer));
    gatherer.hand_over();
    world.check(&archive);
}

/// What was decided in a part that is gone is archived without that time.
fn without_forgotten_times(world: &mut World, archive: &super::Archive) {
    for entry in &mut world.model {
        let found = archive.by_uetr(entry.uetr, Some(entry.debtor)).unwrap();
        if found[0].decided_at == wire::Timestamp(0) {
            entry.decided_at = wire::Timestamp(0);
        }
    }
}

#[test]
fn a_run_of_another_version_stops_the_start() {
    let mut world = World::new(20, 6);
    let (mut gatherer, archive) = world.archive(100);
    world.live(300, Some(&mut gatherer));
    drop(gatherer);
    archive.stop();
    let run = fs::File::options().read(true).write(true).open(&world.runs()[0]).unwrap();
    let mut header = [0; 128];
    run.read_exact_at(&mut header, 0).unwrap();
    header[8] = 2;
    header[12..16].fill(0);
    let crc = crc32c::crc32c(&header);
    header[12..16].copy_from_slice(&crc.to_le_bytes());
    run.write_all_at(&header, 0).unwrap();
    let (_gatherer, prepared) = prepare();
    let log = world.path().parent().unwrap().to_path_buf();
    let error = prepared.start(world.config(100), log, LogEnd::At(world.last_index())).err().unwrap();
    assert!(matches!(error, Error::Unsupported { version: 2, .. }), "{error}");
    assert_eq!(world.files(".damaged").len(), 0);
}

#[test]
fn another_logs_runs_are_set_aside() {
    let mut world = World::new(18, 6);
    let (mut gatherer, archive) = world.archive(100);
    world.live(500, Some(&mut gatherer));
    drop(gatherer);
    archive.stop();
    let mut other = World::new(19, 6);
    other.live(900, None);
    fs::create_dir(other.path()).unwrap();
    for run in world.runs() {
        fs::copy(&run, other.path().join(run.file_name().unwrap())).unwrap();
    }
    let (_gatherer, archive) = other.archive(100);
    assert_eq!(archive.figures().files_set_aside, world.runs().len() as u64);
    other.check(&archive);
}

/// A node among others: at a start it knows of fewer committed entries than its archive does, after a repair of none.
#[test]
fn runs_that_know_more_than_the_log_are_kept_among_others() {
    let mut world = World::new(21, 6);
    let (mut gatherer, archive) = world.archive(100);
    world.live(700, Some(&mut gatherer));
    drop(gatherer);
    archive.stop();
    for known in [world.last_index() - 1, 0] {
        let (mut gatherer, prepared) = prepare();
        let log = world.path().parent().unwrap().to_path_buf();
        let archive = prepared.start(world.config(100), log, LogEnd::NotBefore(known)).unwrap();
        world.live(50, Some(&mut gatherer));
        gatherer.hand_over();
        world.until_caught_up(&archive);
        world.check(&archive);
        drop(gatherer);
        archive.stop();
        let figures = archive.figures();
        assert_eq!((figures.files_set_aside, figures.log_entries_lost), (0, 0));
        assert_eq!(figures.payments, world.model.len() as u64, "nothing is archived twice");
    }
    assert_eq!(world.files(".damaged").len(), 0);
    // Alone there is nobody who could have known more.
    let (_gatherer, prepared) = prepare();
    let log = world.path().parent().unwrap().to_path_buf();
    let archive = prepared.start(world.config(100), log, LogEnd::At(world.last_index() - 1)).unwrap();
    assert!(archive.figures().files_set_aside > 0);
}

/// What came as a snapshot is no run's, and whoever finds nothing is told that it may be in there; also after a start.
#[test]
fn a_gap_is_known_as_such() {
    let mut world = World::new(22, 6);
    let (mut gatherer, archive) = world.archive(60);
    assert!(archive.shared.shelf().is_whole());
    world.live(150, Some(&mut gatherer));
    gatherer.hand_over();
    world.check(&archive);
    assert!(archive.shared.shelf().is_whole());

    gatherer.skipped();
    let (last, before) = (world.last_index(), world.model.len());
    world.live(2000, None);
    world.forget_the_log();
    let oldest = persistence::Reader::oldest(world.path().parent().unwrap()).unwrap();
    world.live(5000, Some(&mut gatherer));
    gatherer.hand_over();
    world.until_caught_up(&archive);
    assert_eq!(archive.figures().log_entries_lost, oldest - 1 - last);
    let kept = world.model.drain(before..).filter(|entry| entry.index >= oldest).collect::<Vec<_>>();
    world.model.extend(kept);
    without_forgotten_times(&mut world, &archive);
    world.used_up();
    world.check(&archive);
    assert!(!archive.shared.shelf().is_whole());
    drop(gatherer);
    archive.stop();

    let (_gatherer, archive) = world.archive(60);
    assert!(!archive.shared.shelf().is_whole());
    world.check(&archive);
}

/// A log that was begun anew has nothing to fill a gap with, and the start ends all the same.
#[test]
fn a_gap_that_an_empty_log_cannot_fill_stays() {
    let mut world = World::new(23, 6);
    let (mut gatherer, archive) = world.archive(100);
    world.live(900, Some(&mut gatherer));
    drop(gatherer);
    archive.stop();
    let runs = world.runs();
    assert!(runs.len() >= 4);
    let other = World::new(24, 6);
    fs::create_dir(other.path()).unwrap();
    let identity = persistence::Reader::identity(other.path().parent().unwrap()).unwrap();
    for run in [&runs[0], runs.last().unwrap()] {
        let file = other.path().join(run.file_name().unwrap());
        fs::copy(run, &file).unwrap();
        set_identity(&file, identity);
    }
    let (_gatherer, prepared) = prepare();
    let log = other.path().parent().unwrap().to_path_buf();
    let archive = prepared.start(other.config(60), log, LogEnd::NotBefore(0)).unwrap();
    archive.wait(std::time::Duration::from_secs(60)).unwrap();
    assert_eq!((archive.figures().files_set_aside, archive.figures().runs), (0, 2));
    assert!(archive.figures().log_entries_lost > 0 && !archive.shared.shelf().is_whole());
}

fn set_identity(path: &std::path::Path, identity: u128) {
    let run = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut header = [0; 128];
    run.read_exact_at(&mut header, 0).unwrap();
    header[16..32].copy_from_slice(&identity.to_le_bytes());
    header[12..16].fill(0);
    let crc = crc32c::crc32c(&header);
    header[12..16].copy_from_slice(&crc.to_le_bytes());
    run.write_all_at(&header, 0).unwrap();
}
