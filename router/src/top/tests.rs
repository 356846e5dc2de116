mod frames;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use watch::{
    Actor, ActorKind, Budget, BusiestActor, Deed, Latency, Node, Outcomes, Participant, Payments, Peer, Position,
    Session, Severity, Stage, StageName, Verdict, Warning,
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
            oldest_in_flight_us: Some(9_800_000),
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
    let mut top = Top::new(Duration::from_secs(1));
    top.take(told(snapshot(1, 1_000)));
    top.take(told(snapshot(2, 1_600)));
    top
}

fn told(snapshot: Snapshot) -> Answer {
    Answer { snapshot: Ok(snapshot), actor: None }
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
        "participants · 2 rows · worst first",
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
    restarted.take(told(fresh));
    assert_eq!(out(&restarted), "-", "another process counts from 0");
    let mut quiet = top();
    quiet.take(told(snapshot(3, 1_600)));
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

fn deciding(id: &str) -> Looked {
    let deed = |at_ms, what: &str, uetr: Option<&str>| Deed { at_ms, what: what.into(), uetr: uetr.map(Into::into) };
    let deeds = vec![
        deed(50_531_900, "settled", Some("0f3c1c52-1111-4222-8333-9a1e9a1e9a1e")),
        deed(50_531_100, "limit_changed", None),
    ];
    let participants = vec![id.to_string()];
    (
        id.into(),
        Ok(Actor {
            name: id.into(),
            participants,
            queued: 3,
            oldest_us: 900,
            handled: 12_341,
            deeds,
            ..Actor::default()
        }),
    )
}

#[test]
fn one_goes_down_from_a_kind_to_the_busiest_and_to_one_actor_and_back() {
    let mut top = top();
    press(&mut top, "2\n");
    assert_eq!(top.shown, Shown::Busiest("participant".into()));
    assert_eq!(names(&top), ["BANK-C"]);
    press(&mut top, "\n");
    assert_eq!(top.asks_for(), Some("BANK-C"), "its decisions are not in the snapshot");
    assert!(seen(&top, 120, 40).contains("is asked for"));
    top.take(Answer { snapshot: Ok(snapshot(3, 1_600)), actor: Some(deciding("BANK-A")) });
    assert!(seen(&top, 120, 40).contains("is asked for"), "what was asked before is another's");
    top.take(Answer { snapshot: Ok(snapshot(3, 1_600)), actor: Some(deciding("BANK-C")) });
    let actor = seen(&top, 120, 40);
    for text in [
        "participant BANK-C",
        "in its mailbox          3 messages, the oldest for 900 us",
        "messages handled        12 341",
        "BANK-C holds            61 000.00 EUR, 0.00 of it reserved",
        "decided last · 2 rows · latest first",
        "14:02:11  settled        0f3c1c52-1111-4222-8333-9a1e9a1e9a1e",
        "14:02:11  limit changed  -",
    ] {
        assert!(actor.contains(text), "{text:?} in\n{actor}");
    }
    press(&mut top, "\x1b\x1b");
    assert_eq!(top.shown, Shown::Actors);
    press(&mut top, "\t");
    assert_eq!(names(&top), ["n2", "n1"], "a node that is not heard stands first");
}

#[test]
fn why_an_actor_cannot_be_looked_at_is_said() {
    let mut top = top();
    press(&mut top, "\n");
    assert_eq!(top.asks_for(), Some("BANK-C"), "from a participant to its actor");
    let why = "only the node that leads has actors; ask the node that leads: crosstie status names it";
    top.take(Answer { snapshot: Ok(snapshot(3, 1_600)), actor: Some(("BANK-C".into(), Err(why.into()))) });
    assert!(seen(&top, 120, 40).contains(why));
    press(&mut top, "\x1b");
    assert_eq!(top.shown, Shown::Participants);
}

#[test]
fn a_session_is_told_from_the_snapshot() {
    let mut top = top();
    top.show(Shown::Actor { kind: SESSION.into(), id: "BANK-C".into(), from: Box::default() });
    assert_eq!(top.asks_for(), None);
    assert!(seen(&top, 120, 40).contains("is not connected to this node"));
    let mut now = snapshot(3, 1_600);
    now.participants[1].session = Some(Session { outstanding: 7, window: 1_000, ..Session::default() });
    top.take(told(now));
    let session = seen(&top, 120, 40);
    assert!(session.contains("7 instructions of 1 000 at most") && !session.contains("decided"), "{session}");
}

#[test]
fn a_node_that_does_not_answer_is_not_fine() {
    let mut top = top();
    top.take(Answer { snapshot: Err("nothing listens there".into()), actor: None });
    let silent = seen(&top, 140, 30);
    let verdict = "? UNKNOWN since 14:02:13 UTC, 0 s ago, nothing listens there. Before that: DEGRADED.";
    assert!(silent.starts_with(verdict), "{silent}");
    assert!(silent.contains("BANK-C"), "the last figures stay");
    top.take(told(snapshot(3, 1_600)));
    assert!(seen(&top, 140, 30).starts_with("▲ DEGRADED: BANK-C runs out of money."));
}

#[test]
fn a_node_that_hangs_is_told_from_one_that_is_idle() {
    let mut top = top();
    let ago = |seconds| Some(Instant::now() - Duration::from_secs(seconds));
    top.heard_at = ago(2);
    assert!(seen(&top, 140, 30).starts_with("▲ DEGRADED"));
    top.heard_at = ago(4);
    let hung = seen(&top, 140, 30);
    assert!(hung.starts_with("? UNKNOWN since 14:02:13 UTC, 4 s ago, it tells nothing new."), "{hung}");
    // The same snapshot again is no news.
    top.take(told(snapshot(2, 1_600)));
    assert!(seen(&top, 140, 30).starts_with("? UNKNOWN"));
    // While nobody asks, silence is nothing to wonder at, and the age is said all the same.
    (top.heard_at, top.paused_at) = (ago(60), ago(59));
    let paused = seen(&top, 140, 30);
    assert!(paused.starts_with("▲ DEGRADED 59 s ago, PAUSED: BANK-C runs out of money."), "{paused}");
    top.paused_at = ago(50);
    assert!(seen(&top, 140, 30).starts_with("? UNKNOWN"), "it was silent before");
}

/// A node that answers when the test says so.
struct Hanging(std::sync::mpsc::Receiver<()>);

impl Source for Hanging {
    fn snapshot(&self) -> Result<Snapshot, Failure> {
        self.0.recv().map(|()| snapshot(3, 1_600)).map_err(|_| Failure::new(Exit::Unreachable, "gone").next("look"))
    }

    fn actor(&self, participant: &str) -> Result<Actor, Failure> {
        deciding(participant).1.map_err(|why| Failure::new(Exit::No, why))
    }
}

#[test]
fn who_asks_does_not_wait_for_a_node_that_hangs() {
    let (answers, hanging) = std::sync::mpsc::channel();
    let mut reader = Reader::start(Hanging(hanging)).unwrap();
    assert!(reader.ask(Some("BANK-C".into())) && !reader.ask(None), "one question at a time");
    assert!(reader.answer(Duration::from_millis(1)).is_none() && reader.is_asking());
    answers.send(()).unwrap();
    let answer = reader.answer(Duration::from_secs(20)).unwrap();
    assert!(answer.snapshot.is_ok() && !reader.is_asking());
    assert_eq!(answer.actor, Some(deciding("BANK-C")));
    drop(answers);
    assert!(reader.ask(None));
    assert_eq!(reader.answer(Duration::from_secs(20)).unwrap().snapshot, Err("gone".into()));
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
    let text = once(&snapshot(1, 1_000), &snapshot(2, 1_600));
    for part in ["▲ DEGRADED", "PARTICIPANT", "BANK-C", "ACTORS", "NODE", "600"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}
