//! One tap that is open: what fits it, how many lines are made of that, and a reader that may be slow.

use std::sync::{Arc, OnceLock};

use actors::trail::{Step, What};
use settlement::{Key, Stage};
use tokio::sync::mpsc::{self, error::TrySendError};
use watch::Outcome;
use watch::tap::{By, Ended, Tapped};
use wire::{Money, ParticipantId};

use super::wanted::{Wanted, outcome, reason};
use super::{EVERY, Tap};
use crate::admin::asked::Origin;

/// No more than a person could read. What was not used may be used later, up to a second's.
const LINES_PER_SECOND: usize = 50;
const LINES_PER_TURN: usize = LINES_PER_SECOND * EVERY.as_millis() as usize / 1000;
/// What may wait for the reader: ten seconds.
const TURNS_WAITING_MAX: usize = 50;

/// See the file's head.
pub(super) struct Open {
    pub(super) from: Origin,
    wanted: Wanted,
    reader: mpsc::Sender<Tapped>,
    why: Arc<OnceLock<String>>,
    /// Since the reader was told last.
    next: Tapped,
    lines_left: usize,
}

impl Open {
    pub(super) fn new(wanted: Wanted, from: Origin) -> (Open, Tap) {
        let (reader, told) = mpsc::channel(TURNS_WAITING_MAX);
        let (why, next) = (Arc::<OnceLock<String>>::default(), Tapped::default());
        let open = Open { from, wanted, reader, why: why.clone(), next, lines_left: LINES_PER_SECOND };
        (open, Tap { told, why })
    }

    /// The reader is told why.
    pub(super) fn end(self, why: &str) {
        _ = self.why.set(why.into());
    }

    /// Nobody reads it any more.
    pub(super) fn is_left(&self) -> bool {
        self.reader.is_closed()
    }

    /// So many payments ended that could not be looked at.
    pub(super) fn miss(&mut self, not_followed: u64) {
        self.next.not_followed += not_followed;
    }

    /// Payments ended that the node did not hear of, and nobody knows how many.
    pub(super) fn gap(&mut self) {
        self.next.gaps += 1;
    }

    pub(super) fn take(&mut self, steps: &[Step], id: &impl Fn(Key) -> ParticipantId) {
        for step in steps {
            let Some(outcome) = outcome(step).filter(|outcome| self.wanted.fits(*outcome, step)) else { continue };
            self.next.matched += 1;
            if self.lines_left > 0 {
                self.lines_left -= 1;
                self.next.lines.push(line(step, outcome, id));
            }
        }
    }

    /// Tells the reader, also that there was nothing. False when the tap has ended.
    pub(super) fn tell(&mut self) -> bool {
        self.lines_left = (self.lines_left + LINES_PER_TURN).min(LINES_PER_SECOND);
        match self.reader.try_send(std::mem::take(&mut self.next)) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(_)) => {
                let seconds = (EVERY * TURNS_WAITING_MAX as u32).as_secs();
                _ = self.why.set(format!("The tap was closed: nothing was read from it for {seconds} s."));
                false
            }
        }
    }
}

fn line(step: &Step, outcome: Outcome, id: &impl Fn(Key) -> ParticipantId) -> Ended {
    let by = match step.what {
        What::Reserved | What::Settled => None,
        What::Rejected(Stage::Answer, _) | What::Expired(_) => Some(By::Creditor),
        What::Rejected(..) => Some(By::Switch),
    };
    Ended {
        at: step.at.to_string(),
        uetr: step.uetr.to_string(),
        is_return: step.original.is_some(),
        debtor_agent: id(step.debtor).to_string(),
        creditor_agent: (step.creditor != Key::NONE).then(|| id(step.creditor).to_string()),
        amount: Money::new(step.amount_minor, step.currency).decimal().to_string(),
        currency: step.currency.to_string(),
        outcome,
        reason: reason(step.what).map(|reason| reason.to_string()),
        by,
        took_us: step.at.since(step.began).as_micros() as u64,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use wire::{Currency, Reason, Timestamp, Uetr};

    use super::*;

    /// How a payment of 12.00 EUR from 1 to 2 ended, that was decided first at second 100.
    pub(in super::super) fn step(what: What, took_ms: u64) -> Step {
        let began = Timestamp(100_000_000_000);
        Step {
            uetr: Uetr::from_random([7; 16]),
            debtor: Key(1),
            creditor: Key(2),
            amount_minor: 1200,
            currency: Currency::EUR,
            original: None,
            what,
            at: Timestamp(began.0 + took_ms * 1_000_000),
            began,
            notices: [0, 0],
        }
    }

    fn id(key: Key) -> ParticipantId {
        format!("BANK-{}", key.0).parse().unwrap()
    }

    /// What the reader was told, if anything.
    fn told(tap: &mut Tap) -> Option<Tapped> {
        tap.told.try_recv().ok()
    }

    #[test]
    fn every_payment_is_counted_and_so_many_are_shown() {
        let (mut open, mut tap) = Open::new(Wanted::default(), Origin::Cli);
        let all = vec![step(What::Settled, 41); 1000];
        for (lines, turn) in [LINES_PER_SECOND, LINES_PER_TURN, LINES_PER_TURN].into_iter().zip(0..) {
            open.take(&all, &id);
            open.take(&[step(What::Reserved, 0)], &id);
            assert!(open.tell());
            let told = told(&mut tap).unwrap();
            assert_eq!((told.matched, told.lines.len()), (1000, lines), "turn {turn}");
        }
        (0..100).for_each(|_| assert!(open.tell() && told(&mut tap) == Some(Tapped::default())));
        open.miss(3);
        open.gap();
        open.take(&all, &id);
        open.tell();
        let told = told(&mut tap).unwrap();
        assert_eq!((told.not_followed, told.gaps), (3, 1));
        assert_eq!(told.lines.len(), LINES_PER_SECOND, "what was saved up is no more than a second's");
    }

    #[test]
    fn a_line_has_all_but_customers() {
        let (mut open, mut tap) = Open::new(Wanted::default(), Origin::Cli);
        let unknown = Step { creditor: Key::NONE, ..step(What::Rejected(Stage::Submit, Reason::AGNT), 0) };
        let all = [
            step(What::Expired(Reason::AB05), 10_000),
            step(What::Rejected(Stage::Answer, Reason::AC04), 30),
            step(What::Rejected(Stage::Arrival, Reason::AGNT), 3),
            unknown,
        ];
        open.take(&all, &id);
        open.tell();
        let lines = told(&mut tap).unwrap().lines;
        let sentences: Vec<String> = lines.iter().map(Ended::sentence).collect();
        let expected = [
            "timed out AB05, no answer of BANK-2",
            "rejected AC04 by BANK-2",
            "rejected AGNT by the switch",
            "rejected AGNT by the switch",
        ];
        assert_eq!(sentences, expected);
        assert_eq!((lines[3].creditor_agent.as_deref(), lines[3].took_us), (None, 0));
        let first = Ended {
            at: "1970-01-01T00:01:50.000000Z".into(),
            uetr: step(What::Settled, 0).uetr.to_string(),
            is_return: false,
            debtor_agent: "BANK-1".into(),
            creditor_agent: Some("BANK-2".into()),
            amount: "12.00".into(),
            currency: "EUR".into(),
            outcome: Outcome::TimedOut,
            reason: Some("AB05".into()),
            by: Some(By::Creditor),
            took_us: 10_000_000,
        };
        assert_eq!(lines[0], first);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_does_not_read_is_dropped_and_told_why() {
        let (mut open, mut tap) = Open::new(Wanted::default(), Origin::Cli);
        (0..TURNS_WAITING_MAX).for_each(|_| assert!(open.tell()));
        assert!(!open.tell(), "the queue is full");
        drop(open);
        for _ in 0..TURNS_WAITING_MAX {
            tap.next().await.unwrap();
        }
        assert!(tap.next().await.unwrap_err().contains("for 10 s"));
        let (mut open, tap) = Open::new(Wanted::default(), Origin::Cli);
        drop(tap);
        assert!(open.is_left() && !open.tell());
    }
}
