//! Whole runs over loopback: right switches pass, every planted fault is found, dropped connections cost nothing.
#![allow(clippy::unwrap_used, reason = "a test may end at what it did not expect")]

mod fake_switch;

use std::time::Duration;

use fake_switch::{FakeSwitch, Fault};
use loadgen::units::Rate;
use loadgen::{Bank, Options, Outcome, Progress, Shape, Verdict};

fn options(switch: &FakeSwitch) -> Options {
    Options {
        targets: vec![switch.address.to_string()],
        banks: Bank::series("BANK-", 4).unwrap(),
        rate: Rate(1000.0),
        length: Duration::from_millis(700),
        warm_up: Duration::from_millis(100),
        drain: Duration::from_secs(5),
        verify: true,
        slo: "lost=0,doubled=0".parse().unwrap(),
        // Tests share their cores with each other: what is checked here is money, not time.
        trust: loadgen::options::Trust { lag_p99_max: Duration::from_secs(10), lag_share_max: 1.0, busy_max: 2.0 },
        ..Options::default()
    }
}

fn run(options: &Options) -> Outcome {
    loadgen::run(options, &Progress::default(), |_| {}).unwrap()
}

#[test]
fn a_right_switch_passes_with_every_payment_counted() {
    let switch = FakeSwitch::start(Fault::None);
    let outcome = run(&options(&switch));
    assert_eq!(outcome.verdict, Verdict::Pass, "{:?}", outcome.check);
    assert_eq!((outcome.check.due, outcome.check.settled), (800, 800));
    assert_eq!(outcome.steps[0].due, 700);
    assert_eq!(outcome.response.count, 700, "the warm-up is checked and not measured");
    assert!(outcome.check.debited_minor > 0 && outcome.check.debited_minor == outcome.check.credited_minor);
    assert_eq!(outcome.intervals.iter().map(|interval| interval.settled).sum::<u64>(), 800);
}

#[test]
fn answers_follow_the_mix_and_those_that_never_come_expire() {
    let switch = FakeSwitch::start(Fault::None);
    let answers = "accept=80,acwp=5,AC04=10,never=5".parse().unwrap();
    let answer_time = "lognormal:5ms,0.5".parse().unwrap();
    let outcome = run(&Options { answers, answer_time, ..options(&switch) });
    assert_eq!(outcome.verdict, Verdict::Pass, "{:?}", outcome.check);
    let count =
        |code: &str| outcome.reasons.iter().find(|reason| reason.reason == code).map_or(0, |reason| reason.count);
    assert!((40..130).contains(&count("AC04")), "{:?}", outcome.reasons);
    assert!((15..75).contains(&count("AB05")), "{:?}", outcome.reasons);
    assert_eq!(outcome.check.settled + outcome.check.rejected, 800);
}

#[test]
fn a_closed_loop_keeps_its_depth() {
    let switch = FakeSwitch::start(Fault::None);
    let length = Duration::from_millis(300);
    let outcome = run(&Options { shape: Shape::Saturate, in_flight_max: 8, length, ..options(&switch) });
    assert_eq!(outcome.verdict, Verdict::Pass, "{:?}", outcome.check);
    assert!(outcome.closed_loop && outcome.rate > 1000.0, "{}", outcome.rate);
    assert!(outcome.intervals.iter().all(|interval| interval.in_flight <= 32));
}

#[test]
fn every_planted_fault_is_a_violation() {
    let table = [
        (Fault::OutcomeLost, "no outcome came"),
        (Fault::OutcomeTwice, "a second outcome"),
        (Fault::CreditorUntold, "its creditor agent was not"),
        (Fault::NumberSkipped, "skips a notice"),
        (Fault::NumberRepeated, "repeats a notice"),
        (Fault::WrongAmount, "with amount"),
        (Fault::SettledWithoutYes, "without the creditor agent's yes"),
        (Fault::BanksToldDifferently, "different outcomes"),
        (Fault::ToldToAStranger, "no party"),
        (Fault::AskedTwice, "asked twice"),
    ];
    for (fault, words) in table {
        let switch = FakeSwitch::start(fault);
        let answers = if fault == Fault::SettledWithoutYes { "accept=9,AC04=1" } else { "accept=1" }.parse().unwrap();
        let outcome = run(&Options {
            length: Duration::from_millis(200),
            drain: Duration::from_millis(400),
            answers,
            ..options(&switch)
        });
        assert_eq!((outcome.verdict, outcome.verdict.exit_code()), (Verdict::Violation, 7), "{fault:?}");
        let found = outcome.check.examples.iter().any(|example| example.contains(words));
        assert!(found, "{fault:?}: {:?}", outcome.check.examples);
    }
}

#[test]
fn a_busy_switch_is_asked_again() {
    let switch = FakeSwitch::start(Fault::None).busy(50);
    let outcome = run(&options(&switch));
    assert_eq!((outcome.verdict, outcome.check.settled), (Verdict::Pass, 800), "{:?}", outcome.check);
}

#[test]
fn banks_come_back_resume_their_feeds_and_send_again() {
    let switch = FakeSwitch::start(Fault::None);
    let options = Options { length: Duration::from_secs(2), ..options(&switch) };
    let cut = std::sync::atomic::AtomicUsize::new(0);
    let outcome = std::thread::scope(|scope| {
        let (switch, cut) = (&switch, &cut);
        scope.spawn(move || {
            for _ in 0..4 {
                std::thread::sleep(Duration::from_millis(400));
                switch.cut();
                cut.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        });
        run(&options)
    });
    assert_eq!(outcome.verdict, Verdict::Pass, "{:?}", outcome.check);
    assert_eq!((outcome.check.due, outcome.check.settled), (2100, 2100));
    assert!(outcome.reconnects >= 12, "{}", outcome.reconnects);
    assert!(switch.repeats_seen() > 0 || outcome.reconnects > 0);
}

#[test]
fn banks_come_back_when_the_end_comes_with_the_last_message() {
    let switch = FakeSwitch::start(Fault::None);
    let options = Options { length: Duration::from_secs(1), ..options(&switch) };
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2 {
                std::thread::sleep(Duration::from_millis(400));
                switch.hang_up();
            }
        });
        run(&options)
    });
    assert_eq!(outcome.verdict, Verdict::Pass, "{:?}", outcome.check);
    assert_eq!((outcome.check.due, outcome.check.settled), (1100, 1100));
    assert!(outcome.reconnects >= 4, "{}", outcome.reconnects);
}

#[test]
fn a_second_run_passes_over_the_notices_of_the_first() {
    let switch = FakeSwitch::start(Fault::None);
    run(&options(&switch));
    let outcome = run(&options(&switch));
    assert_eq!(outcome.verdict, Verdict::Pass, "{:?}", outcome.check);
    assert_eq!((outcome.check.due, outcome.check.settled, outcome.check.foreign), (800, 800, 2400));
}

#[test]
fn connections_dropped_on_purpose_cost_nothing() {
    let switch = FakeSwitch::start(Fault::None);
    let outcome = run(&Options { reconnects_per_minute: 600.0, ..options(&switch) });
    assert_eq!((outcome.verdict, outcome.check.settled), (Verdict::Pass, 800), "{:?}", outcome.check);
    assert!(outcome.reconnects >= 2, "{}", outcome.reconnects);
}

#[test]
fn find_max_stops_below_the_rate_that_misses_the_goal() {
    let switch = FakeSwitch::start(Fault::None);
    let shape = Shape::FindMax { step_time: Duration::from_millis(250), trials: 3 };
    // Two in ten are never answered and expire after a second and a half, so no rate can have more than nine in ten within 100 ms.
    let (answers, slo) = ("accept=8,never=2".parse().unwrap(), "within100ms>=90%".parse().unwrap());
    let outcome = run(&Options { shape, answers, slo, warm_up: Duration::ZERO, ..options(&switch) });
    assert_eq!((outcome.verdict, outcome.rate_max), (Verdict::Fail, Some(0.0)));
    let rates: Vec<f64> = outcome.steps.iter().map(|step| step.offered_rate).collect();
    assert_eq!(rates, [1000.0, 500.0, 250.0]);
}

#[test]
fn steps_are_reported_one_by_one() {
    let switch = FakeSwitch::start(Fault::None);
    let shape = Shape::Step { by: Rate(200.0), steps: 3, step_time: Duration::from_millis(200) };
    let outcome = run(&Options { shape, rate: Rate(200.0), ..options(&switch) });
    assert_eq!(outcome.verdict, Verdict::Pass, "{:?}", outcome.check);
    assert_eq!(outcome.steps.iter().map(|step| step.due).collect::<Vec<_>>(), [40, 80, 120]);
}

#[test]
fn nobody_there_is_unreachable() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let targets = vec![address.to_string()];
    let banks = Bank::series("BANK-", 2).unwrap();
    let options = Options { targets, banks, connect_timeout: Duration::from_millis(300), ..Options::default() };
    let error = loadgen::run(&options, &Progress::default(), |_| {}).unwrap_err();
    assert_eq!(error.exit_code(), 3, "{error}");
}

#[test]
fn a_run_that_is_stopped_reports_what_it_has() {
    let switch = FakeSwitch::start(Fault::None);
    let progress = Progress::default();
    let stopper = progress.clone();
    let options = Options { length: Duration::from_secs(60), ..options(&switch) };
    let mut seen = 0;
    let outcome = loadgen::run(&options, &progress, |_| {
        seen += 1;
        if seen == 2 {
            stopper.stop();
        }
    })
    .unwrap();
    assert_eq!((outcome.verdict, outcome.verdict.exit_code()), (Verdict::Interrupted, 130), "{:?}", outcome.check);
    assert!(outcome.check.holds() && outcome.check.settled > 500);
}
