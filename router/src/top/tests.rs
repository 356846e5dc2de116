use ratatui::Terminal;
use ratatui::backend::TestBackend;
use watch::{
    ActorKind, Budget, BusiestActor, Latency, Node, Outcomes, Participant, Payments, Peer, Position, Severity, Stage,
    StageName, Verdict, Warning,
};

use super::*;

fn position(headroom: f64) -> Position {
    Position { currency: "EUR".into(), decimals: 2, balance_minor: 6_100_000, headroom, ..Position::default() }
}

fn participant(id: &str, headroom: f64, started: u64) -> Participant {
    let outcomes = Outcomes { settled: started * 9 / 10, rejected: started / 10, ..Outcomes::default() };
    let answer = Latency { recent: 10, p99_us: 62_000, ..Latency::default() };
    let positions = vec![position(headroom)];
    Participant {
        id: id.into(),
        state: "signed_on".into(),
        sessions: 1,
        started,
        outcomes,
        answer,
        positions,
        ..Participant::default()
    }
}

/// A second `number` of a node at which `started` payments began at each of two banks.
fn snapshot(number: u64, started: u64) -> Snapshot {
    let participants = vec![participant("BANK-A", 0.5, started), participant("BANK-C", 0.07, started)];
    let busiest = vec![BusiestActor { name: "BANK-C".into(), queued: 3, ..BusiestActor::default() }];
    let actors = vec![ActorKind { kind: "participant".into(), instances: 2, busiest, ..ActorKind::default() }];
    let settled = Latency {
        recent: 100,
        p50_us: 4_100,
        p99_us: 8_800,
        p999_us: 9_200_000,
        max_us: 9_990_000,
        ..Latency::default()
    };
    Snapshot {
        number,
        at_ms: 1_795_442_531_000 + number * 1000,
        verdict: Verdict { severity: Severity::Degraded, sentence: "BANK-C runs out of money.".into() },
        warnings: vec![Warning {
            code: "headroom_low".into(),
            severity: Severity::Degraded,
            subject: "BANK-C".into(),
            sentence: "BANK-C has 7 % left.".into(),
            advice: "Ask it to bring money in.".into(),
            since_ms: 0,
        }],
        node: Node {
            name: "n1".into(),
            region: "eu-1".into(),
            environment: "prod".into(),
            role: "leader".into(),
            term: 7,
            pid: 1,
            ..Node::default()
        },
        payments: Payments {
            started: 2 * started,
            budget: Budget {
                window_seconds: 3_600,
                ended: 10_000,
                late: 6,
                within: Some(0.9994),
                left: Some(-0.2),
                burn: Some(1.2),
                burn_recent: Some(0.4),
                ..Budget::default()
            },
            settled,
            settled_per_second: 4_812.0,
            in_flight: 281,
            oldest_in_flight_us: 9_800_000,
            ..Payments::default()
        },
        stages: vec![Stage {
            name: StageName::Sync,
            latency: Latency { recent: 5, p99_us: 900, ..Latency::default() },
        }],
        participants,
        actors,
        peers: vec![
            Peer { name: "n1".into(), is_heard: true, ..Peer::default() },
            Peer { name: "n2".into(), lag_entries: Some(12), ..Peer::default() },
        ],
        ..Snapshot::default()
    }
}

fn top() -> Top {
    let mut top = Top::default();
    top.take(Ok(snapshot(1, 1_000)));
    top.take(Ok(snapshot(2, 1_600)));
    top
}

fn seen(top: &Top, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen::draw(frame, top)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let line = |row: u16| (0..width).map(|column| buffer[(column, row)].symbol()).collect::<String>();
    (0..height).map(|row| line(row).trim_end().to_string() + "\n").collect()
}

fn press(top: &mut Top, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            '\t' => KeyCode::Tab,
            key => KeyCode::Char(key),
        };
        top.key(KeyEvent::new(code, KeyModifiers::NONE));
    }
}

fn names(top: &Top) -> Vec<String> {
    top.rows().unwrap().rows.iter().map(|row| row.cells[0].text.clone()).collect()
}

#[test]
fn what_counts_is_on_the_screen() {
    let seen = seen(&top(), 140, 30);
    for text in [
        "PROD · eu-1 · n1  leads, term 7",
        "▲ DEGRADED: BANK-C runs out of money.",
        "▲ BANK-C has 7 % left. Ask it to bring money in.",
        "4 812 /s settled   281 in flight, oldest 9.80 s",
        "final in 10 s, last 1 h: 99.94 %   goal 99.95 %, budget used up, burn 1 h 1.2×, 5 min 0.4×",
        "settled p50 4.10 ms · p99 8.80 ms · p99.9 9.20 s",
        "sync 900 us",
        "participants (2) · worst first",
        "61 000.00 EUR",
    ] {
        assert!(seen.contains(text), "{text:?} in\n{seen}");
    }
}

#[test]
fn rates_are_differences_and_unknown_is_not_nothing() {
    let first = Top { now: Some(snapshot(1, 1_000)), ..Top::default() };
    let out = |top: &Top| top.rows().unwrap().rows[0].cells[3].text.clone();
    assert_eq!(out(&first), "-", "one snapshot has no rates");
    assert_eq!(out(&top()), "600");
    let mut restarted = top();
    let mut fresh = snapshot(1, 5);
    fresh.node.pid = 2;
    restarted.take(Ok(fresh));
    assert_eq!(out(&restarted), "-", "another process counts from 0");
    let mut quiet = top();
    quiet.take(Ok(snapshot(3, 1_600)));
    let row = quiet.rows().unwrap().rows.remove(0);
    assert_eq!((row.cells[3].text.as_str(), row.cells[5].text.as_str()), ("0", "-"), "of no payments none is a share");
}

#[test]
fn rows_are_sorted_filtered_and_reversed() {
    let mut top = top();
    assert_eq!(names(&top), ["BANK-C", "BANK-A"], "worst first");
    press(&mut top, "s");
    assert_eq!(names(&top), ["BANK-A", "BANK-C"], "by name");
    press(&mut top, "r");
    assert_eq!(names(&top), ["BANK-C", "BANK-A"]);
    press(&mut top, "/bank-a\n");
    assert_eq!(names(&top), ["BANK-A"]);
    press(&mut top, "\x1b/nobody");
    assert!(names(&top).is_empty() && seen(&top, 100, 24).contains("/nobody"));
    press(&mut top, "q\n");
    assert!(!top.is_over, "a letter of the filter is no command");
    press(&mut top, "q");
    assert!(top.is_over);
}

#[test]
fn one_goes_down_from_a_kind_to_the_busiest_and_back() {
    let mut top = top();
    press(&mut top, "2\n");
    assert_eq!(top.shown, Shown::Busiest("participant".into()));
    assert_eq!(names(&top), ["BANK-C"]);
    press(&mut top, "\x1b");
    assert_eq!(top.shown, Shown::Actors);
    press(&mut top, "\t");
    assert_eq!(names(&top), ["n2", "n1"], "a node that is not heard stands first");
}

#[test]
fn a_node_that_falls_silent_is_told_from_one_that_is_idle() {
    let mut top = top();
    top.take(Err("nothing listens there".into()));
    let silent = seen(&top, 140, 30);
    assert!(silent.contains("NO ANSWER FOR 0 s: nothing listens there"), "{silent}");
    assert!(silent.contains("BANK-C"), "the last figures stay");
    top.take(Ok(snapshot(3, 1_600)));
    assert!(!seen(&top, 140, 30).contains("NO ANSWER"));
}

#[test]
fn no_screen_is_too_small_and_no_key_too_many() {
    let mut top = top();
    for (width, height) in [(1, 1), (20, 5), (60, 12), (80, 24), (300, 100)] {
        for keys in ["1", "2", "3", "sssssssssssssssss", "SSSSSSSSSSSSSSSSS", "?", "?", "kkkjjjj", "p", " "] {
            press(&mut top, keys);
            seen(&top, width, height);
        }
    }
}

#[test]
fn the_text_has_all_three_tables() {
    let text = once(snapshot(1, 1_000), snapshot(2, 1_600));
    for part in ["▲ DEGRADED", "PARTICIPANT", "BANK-C", "ACTORS", "NODE", "600"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}
