//! On every width from 40 columns up a figure stands there whole, or not at all.

use super::*;
use crate::top::{figures, table};

const WIDTHS: [u16; 5] = [40, 80, 100, 120, 200];

fn latency(p99_us: u64) -> Latency {
    Latency { recent: 9, p50_us: 987, p99_us, p999_us: 9_990_000, max_us: 840_000_000, ..Latency::default() }
}

/// Figures as wide as they come.
fn wide(number: u64) -> Snapshot {
    let mut now = snapshot(number, 1_234_567_000 + number * 98_765);
    let names = ["BANK-A", "BANK-C", "PARTICIPANT-OF-THIRTY-LETTERS-X"];
    now.participants = names.map(|id| participant(id, 0.071, 1_234_567_000 + number * 98_765)).into();
    for own in &mut now.participants {
        own.state = "suspended_receiving".into();
        own.received = number * 87_654;
        own.in_flight_out = 12_345;
        own.answer = latency(21_500);
        own.positions[0].balance_minor = 999_993_011_150;
    }
    let stages = [
        StageName::Decode,
        StageName::Wait,
        StageName::Decide,
        StageName::Append,
        StageName::Sync,
        StageName::Replicate,
        StageName::Commit,
        StageName::Apply,
        StageName::Write,
        StageName::CreditorWait,
    ];
    now.stages = stages.map(|name| Stage { name, latency: latency(12_300) }).into();
    let kind = |kind: &str| ActorKind {
        kind: kind.into(),
        instances: 12_345,
        queued: 1_234_567,
        queued_longest: 1_024,
        capacity: 1_024,
        wait: latency(281_000),
        handled: [("submit".to_string(), number * 123_456)].into(),
        restarts: 1_234,
        busy_us: number * 480_000,
        busiest: vec![BusiestActor {
            name: names[2].into(),
            queued: 1_024,
            oldest_us: Some(12_400),
            handled: 987_654_321,
            in_flight: Some(12_345),
            restarts: Some(1_234),
        }],
        ..ActorKind::default()
    };
    now.actors = ["participant", "session", "journal"].map(kind).into();
    let peer = |name: &str| Peer {
        name: name.into(),
        region: "eu-central-1".into(),
        address: "10.20.30.40:7401".into(),
        role: "follower".into(),
        is_heard: true,
        lag_entries: Some(1_234_567),
        lag_ms: Some(12_300),
        round_trip_us: Some(12_345),
        clock_offset_us: Some(-16),
        agreed_index: Some(9_812_004),
        ..Peer::default()
    };
    now.peers = ["n1", "n2", "a-node-whose-name-is-32-letters-x"].map(peer).into();
    now.payments.settled = latency(8_800);
    now.payments.outcomes = Outcomes { settled: 9_812_004, rejected: 123_456, timed_out: 12_345, returned: 1_234 };
    now.log.sync = latency(900);
    now.log.free_bytes = 123_456_789_012;
    now
}

fn looking() -> Top {
    let mut top = Top::new(Duration::from_secs(1));
    top.take(told(wide(1)));
    top.take(told(wide(2)));
    top
}

/// What stands between two edges of the table, cell by cell: two spaces part them, one does not.
fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('│').split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

/// Every heading and every cell below it, as in `rows`; the first may be cut with a mark.
fn check_table(frame: &str, rows: &Rows, width: u16) {
    let lines: Vec<&str> = frame.lines().collect();
    let top = lines.iter().rposition(|line| line.starts_with('╭')).unwrap();
    let headings = cells(lines[top + 1]);
    let columns: Vec<usize> =
        headings.iter().map(|own| rows.heading.iter().position(|name| name == own).expect(frame)).collect();
    assert!(columns.len() > 1 && columns.is_sorted(), "{frame}");
    for (row, line) in rows.rows.iter().zip(&lines[top + 2..]) {
        let shown = cells(line);
        let (name, whole) = (shown[0].trim_start_matches(['▲', '■', ' ']), &row.cells[0].text);
        let is_cut = name.strip_suffix('…').is_some_and(|kept| kept.len() > 8 && whole.starts_with(kept));
        assert!(name == whole || is_cut, "{name} for {whole} in\n{frame}");
        let figures: Vec<&str> = columns[1..].iter().map(|column| row.cells[*column].text.as_str()).collect();
        assert_eq!(shown[1..], figures, "at {width}:\n{frame}");
    }
    let said = match rows.heading.len() - columns.len() {
        0 => return assert!(!lines[top].contains("widen"), "{frame}"),
        1 => "+1 column: widen".to_string(),
        dropped => format!("+{dropped} columns: widen"),
    };
    assert!(lines[top].contains(&said), "{said}:\n{frame}");
}

#[test]
fn no_figure_of_a_table_is_cut_at_any_width() {
    for width in WIDTHS.into_iter().chain((41..240).step_by(13)) {
        let mut top = looking();
        for keys in ["1", "ss", "ssssssssssss", "2", "3"] {
            press(&mut top, keys);
            check_table(&seen(&top, width, 60), &top.rows().unwrap(), width);
        }
        press(&mut top, "2\n");
        check_table(&seen(&top, width, 60), &top.rows().unwrap(), width);
    }
}

#[test]
fn no_figure_above_the_table_is_cut_at_any_width() {
    let top = looking();
    let pair = top.pair().unwrap();
    let figures = figures::figures(&pair).into_iter().chain([figures::stages(&pair)]);
    let parts: Vec<String> = figures.flat_map(|own| own.parts).collect();
    for width in WIDTHS.into_iter().chain((41..240).step_by(13)) {
        let frame = seen(&top, width, 70);
        let above = frame.split('╭').next().unwrap();
        let read = above.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        for text in parts.iter().chain([&pair.now.verdict.sentence, &pair.now.warnings[0].advice]) {
            assert!(read.contains(text.as_str()), "{text:?} at {width} in\n{frame}");
        }
        assert!(!above.contains('…'), "at {width}:\n{frame}");
        // What ends a line is no figure whose unit would begin the next.
        for line in above.lines().filter(|line| !line.starts_with("PROD")) {
            assert!(!line.trim_end().ends_with(|end: char| end.is_ascii_digit()), "{line:?} at {width}");
        }
    }
}

#[test]
fn at_120_by_40_all_that_matters_is_there() {
    let frame = seen(&looking(), 120, 40);
    for text in ["CREDITOR 12.3 ms", "21.5 ms", "9 999 930 111.50 EUR", "12 345 timed out", "p99.9 9.99 s"] {
        assert!(frame.contains(text), "{text} in\n{frame}");
    }
    assert!(!frame.contains("heighten"), "{frame}");
}

#[test]
fn what_a_low_screen_leaves_out_is_said() {
    let frame = seen(&looking(), 80, 24);
    assert!(frame.starts_with("▲ DEGRADED: BANK-C runs out of money.") && frame.contains("BANK-A"), "{frame}");
    let low = seen(&looking(), 80, 16);
    assert!(low.contains("lines: heighten") && low.contains("in flight"), "{low}");
}

#[test]
fn help_fits_and_tells_all_keys() {
    let mut top = top();
    press(&mut top, "?");
    for width in WIDTHS {
        let frame = seen(&top, width, 50);
        for text in ["the other way round", "column; worst first in between", "Ctrl-C", "Esc goes back"] {
            let read = frame.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(read.contains(text), "{text} at {width} in\n{frame}");
        }
    }
}

#[test]
fn every_column_has_its_importance() {
    let top = looking();
    let pair = top.pair().unwrap();
    let deeds = watch::rows::deeds(&[]);
    for rows in [pair.participants(), pair.actors(), pair.busiest("participant"), pair.nodes(), deeds] {
        let mut headings = rows.heading[1..].to_vec();
        let mut ranked = table::importance(rows.name).to_vec();
        headings.sort_unstable();
        ranked.sort_unstable();
        assert_eq!(headings, ranked, "{}", rows.name);
    }
}

#[test]
fn too_narrow_is_said() {
    assert!(seen(&top(), 30, 20).starts_with("crosstie top needs 40 columns."));
}
