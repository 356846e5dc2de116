//! An exported audit trail, checked: line by line against its own bytes, then against a node that knows how it ends.
//!
//! A line is an entry as JSON, with the bytes that its hash is of; the last line says how many there are and the last
//! hash, so that an export that was cut short does not pass for a whole one.

use serde::{Deserialize, Serialize};
use settlement::{Broken, Entry, Fact, Facts, Head};

use crate::admin::asked::AuditEntry;

/// The last line of an export.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    pub entries: u64,
    pub head: String,
}

/// Reads an export; its head, or the first entry that is wrong.
pub fn check<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Head, Broken> {
    let mut head = Head::default();
    let mut end = None;
    for line in lines {
        let broken = |what: String| Broken { number: head.number + 1, what };
        if end.is_some() {
            return Err(broken("it stands behind the line that says where the trail ends".into()));
        }
        if let Ok(read) = serde_json::from_str::<End>(line) {
            end = Some(read);
            continue;
        }
        let entry: AuditEntry = serde_json::from_str(line).map_err(|error| broken(format!("no entry: {error}")))?;
        head = follow(head, &entry).map_err(broken)?;
    }
    let missing = |what: &str| Broken { number: head.number + 1, what: what.into() };
    let end = end.ok_or_else(|| missing("it is missing: the export has no last line that says where it ends"))?;
    match end {
        End { entries, .. } if entries > head.number => Err(missing("it is missing")),
        End { entries, head: hash } if entries != head.number || hash != hex::encode(head.hash) => Err(Broken {
            number: head.number,
            what: "the export's last line says that the trail ends otherwise".into(),
        }),
        _ => Ok(head),
    }
}

/// The head with this entry, if it follows and says what its bytes say.
fn follow(head: Head, entry: &AuditEntry) -> Result<Head, String> {
    let fact = entry.fact.as_deref().ok_or("its bytes are missing: this is no export")?;
    let fact = hex::decode(fact).map_err(|error| format!("its bytes cannot be read: {error}"))?;
    let mut facts = Facts::new(&fact);
    let (Some(Ok(Fact::Audited(audited))), None) = (facts.next(), facts.next()) else {
        return Err("its bytes are no entry of an audit trail".into());
    };
    let next = head.next(&fact);
    if hex::encode(next.hash) != entry.hash || next.number != entry.number {
        return Err("its hash does not follow from the one before".into());
    }
    match AuditEntry::whole(&Entry { head: next, fact: &fact, audited }) == *entry {
        true => Ok(next),
        false => Err("what it says is not what its bytes say".into()),
    }
}

#[cfg(test)]
mod tests {
    use settlement::{Audited, Book, Origin, Outcome};
    use wire::Timestamp;

    use super::*;

    fn export(entries: usize) -> Vec<String> {
        let mut book = Book::default();
        for number in 0..entries {
            let reason = format!("ticket {number}");
            let (origin, outcome) = (Origin::Cli, Outcome::Done);
            let (at, asked_at) = (Timestamp(9), Timestamp(8));
            let (operator, action, parameters, reason) = ("ada", "fund", r#"{"id":"BANK-0001"}"#, reason.as_str());
            book.apply(
                &Fact::Audited(Audited {
                    at,
                    asked_at,
                    node: 1,
                    origin,
                    operator,
                    uid: 7,
                    action,
                    parameters,
                    reason,
                    task: None,
                    approver: None,
                    outcome,
                    why: "",
                }),
                &mut (),
            );
        }
        let trail = book.trail();
        let line = |entry: Entry<'_>| serde_json::to_string(&AuditEntry::whole(&entry)).unwrap();
        let mut lines: Vec<String> = trail.entries().map(|entry| line(entry.unwrap())).collect();
        let head = trail.head();
        lines.push(serde_json::to_string(&End { entries: head.number, head: hex::encode(head.hash) }).unwrap());
        lines
    }

    fn first_wrong(lines: &[String]) -> u64 {
        check(lines.iter().map(String::as_str)).unwrap_err().number
    }

    #[test]
    fn an_export_holds_together() {
        for entries in [0, 1, 3] {
            let lines = export(entries);
            assert_eq!(check(lines.iter().map(String::as_str)).unwrap().number, entries as u64);
        }
    }

    #[test]
    fn whatever_is_changed_the_first_wrong_entry_is_named() {
        let right = export(3);
        for (place, from, to) in [(0, "ticket 0", "ticket 9"), (1, "ada", "eve"), (2, "\"uid\":7", "\"uid\":8")] {
            let mut wrong = right.clone();
            wrong[place] = wrong[place].replacen(from, to, 1);
            assert_eq!(first_wrong(&wrong), place as u64 + 1, "{from} is {to}");
        }
        let mut bytes = right.clone();
        let hex_of = |text: &str| hex::encode(text);
        bytes[1] = bytes[1].replacen("ticket 1", "ticket 9", 1).replacen(&hex_of("ticket 1"), &hex_of("ticket 9"), 1);
        assert_ne!(bytes, right);
        assert_eq!(first_wrong(&bytes), 2, "words and bytes alike");
    }

    #[test]
    fn what_is_missing_is_missed() {
        let right = export(3);
        for place in 0..3 {
            let mut wrong = right.clone();
            wrong.remove(place);
            assert_eq!(first_wrong(&wrong), place as u64 + 1);
        }
        assert_eq!(first_wrong(&right[..3]), 4, "no last line");
        assert_eq!(first_wrong(&[&right[..], &right[..1]].concat()), 4, "more behind the last line");
        let swapped = [right[1].clone(), right[0].clone(), right[2].clone(), right[3].clone()];
        assert_eq!(first_wrong(&swapped), 1);
    }
}
