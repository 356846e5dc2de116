//! One thing at a time: names of facts and what they are, the same on page and terminal.

use crate::text::{self, NONE, ago};
use crate::{Actor, Session};

pub type Fact = (&'static str, String);

/// A participant's connection.
pub fn session(own: &Session, now_ms: u64) -> Vec<Fact> {
    let encryption = match own.is_encrypted {
        true => "this session is encrypted",
        false => "this session is not encrypted, and no certificate says who it is: sessions have no TLS yet",
    };
    let count = text::count;
    vec![
        ("from", own.address.clone()),
        ("client", own.software.clone()),
        ("protocol", format!("version {}", own.protocol)),
        ("encryption", encryption.into()),
        ("signed on", format!("{} ago, as session {} of this node", ago(own.since_ms, now_ms), own.number)),
        ("last heard", format!("{} ago", ago(own.last_heard_ms, now_ms))),
        ("asked and not done", format!("{} instructions of {} at most", count(own.outstanding), count(own.window))),
        ("told", format!("up to notice {} of {}", count(own.notice_sent), count(own.notice_last))),
        ("waiting for its socket", text::bytes(own.unsent_bytes)),
    ]
}

/// An actor, without what it decided.
pub fn actor(own: &Actor, now_ms: u64) -> Vec<Fact> {
    let queued = match own.queued {
        0 => "nothing".into(),
        queued => format!("{} messages, the oldest for {}", text::count(queued), text::length(own.oldest_us)),
    };
    let deadline = match own.next_deadline_ms {
        None => NONE.into(),
        Some(at_ms) if at_ms <= now_ms => "now".into(),
        Some(at_ms) => format!("in {}", text::length((at_ms - now_ms) * 1000)),
    };
    vec![
        ("decides for", own.participants.join(" ")),
        ("in its mailbox", queued),
        ("messages handled", text::count(own.handled)),
        ("offered and not ended", text::count(own.in_flight)),
        ("next of those runs out", deadline),
        ("restarts", text::count(own.restarts)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(facts: &[Fact], name: &str) -> String {
        facts.iter().find(|(own, _)| *own == name).map(|(_, text)| text.clone()).unwrap_or_default()
    }

    #[test]
    fn a_session_without_encryption_says_so() {
        let own = Session {
            since_ms: 1_000,
            last_heard_ms: 60_500,
            notice_sent: 7,
            notice_last: 1_207,
            ..Session::default()
        };
        let facts = session(&own, 61_000);
        assert!(of(&facts, "encryption").starts_with("this session is not encrypted"));
        assert!(of(&facts, "signed on").starts_with("1.00 min ago"), "{facts:?}");
        assert_eq!(
            (of(&facts, "told"), of(&facts, "last heard")),
            ("up to notice 7 of 1 207".into(), "less than 1 s ago".into())
        );
    }

    #[test]
    fn an_actor_without_work_waits_for_nothing() {
        let idle = actor(&Actor::default(), 5_000);
        assert_eq!((of(&idle, "in its mailbox"), of(&idle, "next of those runs out")), ("nothing".into(), NONE.into()));
        let busy = Actor { queued: 2, oldest_us: 900, next_deadline_ms: Some(9_000), ..Actor::default() };
        let busy = actor(&busy, 5_000);
        assert_eq!(of(&busy, "in its mailbox"), "2 messages, the oldest for 900 us");
        assert_eq!(of(&busy, "next of those runs out"), "in 4.00 s");
        assert_eq!(
            of(&actor(&Actor { next_deadline_ms: Some(1), ..Actor::default() }, 2), "next of those runs out"),
            "now"
        );
    }
}
