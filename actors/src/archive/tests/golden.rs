//! Old runs stay readable: one as version 1 wrote it lies in `tests/golden/`, in hexadecimal. A changed format gets a new
//! version and a new file; this one is never written again. A file that is missing is begun with
//! `CROSSTIE_GOLDEN=write cargo test -p actors golden`.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::PathBuf;

use settlement::{Key, State};
use wire::{BusinessDate, Currency, Reason, Reasons, Timestamp, Uetr};

use crate::archive::latest::Walk;
use crate::archive::run::Run;
use crate::archive::writer::{Pace, write};
use crate::archive::{Entry, Latest, Search, Span};

fn entries() -> Vec<Entry> {
    let uetr = |number: u8| Uetr::from_random([number; 16]);
    let at = |second: u64| Timestamp(1_795_442_531_000_000_000 + second * 1_000_000_000);
    let plain = Entry {
        uetr: uetr(3),
        debtor: Key(0),
        creditor: Key(1),
        amount_minor: 12_345,
        currency: Currency::EUR,
        state: State::Settled,
        reasons: Reasons::NONE,
        settlement_date: BusinessDate::new(2026, 11, 23).unwrap(),
        decided_at: at(1),
        ended_at: at(2),
        original: None,
        index: 7,
    };
    let mut reasons = Reasons::one(Reason::AM09);
    reasons.add(Reason::AG09);
    let refused = Entry { settlement_date: BusinessDate::NONE, reasons, ..plain };
    vec![
        plain,
        Entry { uetr: uetr(4), debtor: Key(1), creditor: Key(0), original: Some(uetr(3)), ended_at: at(5), ..plain },
        Entry { uetr: uetr(1), state: State::SettledWithoutPosting, ended_at: at(3), index: 8, ..plain },
        Entry { uetr: uetr(9), state: State::Rejected, creditor: Key::NONE, index: 9, ..refused },
        Entry { uetr: uetr(3), debtor: Key(2), state: State::Expired, decided_at: Timestamp(0), index: 9, ..refused },
    ]
}

#[test]
fn a_run_of_version_1_is_read_and_written() {
    let directory = tempfile::tempdir().unwrap();
    let entries = entries();
    let span = Span { first: 5, last: 9 };
    let written = write(directory.path(), 0xfeed, span, &[&entries[..2], &entries[2..]], Pace::Full).unwrap();
    let bytes = std::fs::read(written.path()).unwrap();

    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/archive-run-1.hex");
    if !golden.exists() && std::env::var("CROSSTIE_GOLDEN").is_ok_and(|wish| wish == "write") {
        let hex = bytes.chunks(32).fold(String::new(), |mut text, line| {
            line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
            text + "\n"
        });
        std::fs::write(&golden, hex).unwrap();
    }
    let digits: Vec<u8> = std::fs::read_to_string(&golden)
        .unwrap()
        .bytes()
        .filter_map(|digit| char::from(digit).to_digit(16).map(|digit| digit as u8))
        .collect();
    let old: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    assert_eq!(bytes, old, "version 1 is written as ever");

    let path = directory.path().join("old.run");
    std::fs::write(&path, &old).unwrap();
    let run = Run::open(&path).unwrap();
    run.verify().unwrap();
    assert_eq!((run.header.identity, run.span(), run.header.entries, run.header.keys), (0xfeed, span, 5, 9));
    for entry in &entries {
        let mut found = Vec::new();
        run.by_uetrs(&(entry.uetr.number()..=entry.uetr.number()), 10, &mut found).unwrap();
        assert!(found.contains(entry) && found.iter().all(|found| found.uetr == entry.uetr));
    }
    let mut found = Latest::default();
    let (concerned, search) = (HashSet::from([Key(0)]), Search::latest(10));
    Walk { run: &run, concerned: &concerned, search: &search, wanted: &|_| true }.walk(&mut found).unwrap();
    assert_eq!(found.entries, [entries[1], entries[2], entries[3], entries[0]]);
}
