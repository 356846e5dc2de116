//! Makes the spans of payments from the trail.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use actors::trail::{Folded, News, Step, What};
use settlement::Key;
use wire::{ParticipantId, Timestamp, Uetr};

use super::share::Share;
use super::span::{About, Kept, Span, Stage};

/// Payments in process that are remembered, about 20 MiB.
const OPEN_MAX: usize = 256 << 10;
/// Notices of one participant whose writing is waited for, and how long.
const UNTOLD_MAX: usize = 1024;
const UNTOLD_AGE_MAX: Duration = Duration::from_secs(10);

/// What the rest of the node knows.
pub(super) trait Surroundings {
    fn id(&self, key: Key) -> ParticipantId;
    /// The participant is connected to this node.
    fn is_connected(&self, key: Key) -> bool;
}

/// A notice that is not written yet. Its span ends when it is.
struct Untold {
    number: u64,
    span: Span,
}

/// See the file's head.
pub(super) struct Assembler {
    share: Share,
    slow: Duration,
    /// When the reservations of payments in process were folded.
    open: HashMap<(Key, Uetr), Timestamp>,
    untold: HashMap<Key, VecDeque<Untold>>,
}

impl Assembler {
    pub(super) fn new(share: Share, slow: Duration) -> Assembler {
        Assembler { share, slow, open: HashMap::new(), untold: HashMap::new() }
    }

    pub(super) fn take(&mut self, news: News, around: &impl Surroundings, out: &mut impl FnMut(Span)) {
        match news {
            News::Written { to, last, at } => self.written(to, last, at, out),
            News::Folded { entry, is_behind_gap } => {
                if is_behind_gap {
                    // How what was in process has ended may be lost.
                    self.open.clear();
                }
                for step in &entry.steps {
                    self.step(step, &entry, around, out);
                }
            }
        }
    }

    fn step(&mut self, step: &Step, entry: &Folded, around: &impl Surroundings, out: &mut impl FnMut(Span)) {
        let Folded { index: entry, at: folded_at, leads, .. } = *entry;
        let payment = (step.debtor, step.uetr);
        if step.what == What::Reserved {
            if self.open.len() < OPEN_MAX {
                self.open.insert(payment, folded_at);
            }
            return;
        }
        let reserved_at = self.open.remove(&payment);
        let Some(kept) = self.kept(step) else { return };
        let Step { uetr, debtor, creditor, original, what, at, began, .. } = *step;
        let (debtor_agent, creditor_agent) = (around.id(debtor), around.id(creditor));
        let about = About { uetr, debtor, creditor, debtor_agent, creditor_agent, original, end: what, kept, entry };
        if leads {
            out(Span::new(about, Stage::Payment, began, folded_at));
            if let Some(reserved_at) = reserved_at {
                out(Span::new(about, Stage::Reserve, began, reserved_at));
                out(Span::new(about, Stage::Creditor, reserved_at, at));
            }
            out(Span::new(about, Stage::End, at, folded_at));
        }
        let parties = [(debtor, Stage::ToldDebtor), (creditor, Stage::ToldCreditor)];
        for ((party, stage), number) in parties.into_iter().zip(step.notices) {
            if number > 0 && around.is_connected(party) {
                self.wait(party, Untold { number, span: Span::new(about, stage, folded_at, folded_at) });
            }
        }
    }

    /// By what is the same on every node.
    fn kept(&self, step: &Step) -> Option<Kept> {
        if step.what != What::Settled {
            Some(Kept::Failed)
        } else if step.at.since(step.began) >= self.slow {
            Some(Kept::Slow)
        } else {
            self.share.keeps(step.uetr).then_some(Kept::Share)
        }
    }

    fn wait(&mut self, party: Key, untold: Untold) {
        let waiting = self.untold.entry(party).or_default();
        let now = untold.span.start;
        while waiting.len() >= UNTOLD_MAX
            || waiting.front().is_some_and(|oldest| now.since(oldest.span.start) > UNTOLD_AGE_MAX)
        {
            waiting.pop_front();
            super::drop_spans(1);
        }
        waiting.push_back(untold);
    }

    fn written(&mut self, to: Key, last: u64, at: Timestamp, out: &mut impl FnMut(Span)) {
        let Some(waiting) = self.untold.get_mut(&to) else { return };
        while let Some(told) = waiting.pop_front_if(|untold| untold.number <= last) {
            out(Span::new(told.span.about, told.span.stage, told.span.start, at));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::span::id;
    use super::*;
    use settlement::Stage as Point;
    use wire::{Currency, Reason};

    struct Everybody;

    impl Surroundings for Everybody {
        fn id(&self, key: Key) -> ParticipantId {
            format!("BANK-{}", key.0).parse().unwrap()
        }
        fn is_connected(&self, key: Key) -> bool {
            key != Key(9)
        }
    }

    const DEBTOR: Key = Key(1);

    fn uetr(number: u8) -> Uetr {
        // Its random bits are all zeros, or all ones.
        Uetr::from_random([number; 16])
    }

    /// What happens to a payment that was decided at second 100, and when, in milliseconds from then.
    fn step(what: What, at_ms: u64, notices: [u64; 2]) -> Step {
        let (began, at) = (Timestamp(100_000_000_000), Timestamp(100_000_000_000 + at_ms * 1_000_000));
        let (uetr, creditor, amount_minor, currency) = (uetr(0), Key(2), 1200, Currency::EUR);
        Step { uetr, debtor: DEBTOR, creditor, amount_minor, currency, original: None, what, at, began, notices }
    }

    fn folded(at_ms: u64, leads: bool, steps: Vec<Step>) -> News {
        let at = Timestamp(100_000_000_000 + at_ms * 1_000_000);
        News::Folded { entry: Arc::new(Folded { index: 7, at, leads, steps }), is_behind_gap: false }
    }

    /// The spans as text: stage, start and end in milliseconds.
    fn check(share: u32, news: impl IntoIterator<Item = News>, expected: &str) {
        let mut assembler = Assembler::new(Share::of(share), Duration::from_secs(1));
        let mut spans = Vec::new();
        for news in news {
            assembler.take(news, &Everybody, &mut |span| spans.push(span));
        }
        let ms = |at: Timestamp| (at.nanoseconds() - 100_000_000_000) / 1_000_000;
        let shown: Vec<String> =
            spans.iter().map(|span| format!("{:?} {}-{}", span.stage, ms(span.start), ms(span.end))).collect();
        assert_eq!(shown.join(", "), expected);
    }

    #[test]
    fn the_stages_of_a_payment() {
        let written =
            |to, last, at_ms: u64| News::Written { to, last, at: Timestamp(100_000_000_000 + at_ms * 1_000_000) };
        let reserved = || folded(3, true, vec![step(What::Reserved, 0, [0, 0])]);
        let settled = |leads| folded(25, leads, vec![step(What::Settled, 20, [4, 6])]);
        check(
            1_000_000,
            [reserved(), settled(true), written(Key(2), 6, 26), written(DEBTOR, 3, 27), written(DEBTOR, 5, 28)],
            "Payment 0-25, Reserve 0-3, Creditor 3-20, End 20-25, ToldCreditor 25-26, ToldDebtor 25-28",
        );
        // Another node tells only what it does itself.
        check(1_000_000, [reserved(), settled(false), written(DEBTOR, 4, 27)], "ToldDebtor 25-27");
        // Not in the share.
        check(0, [reserved(), settled(true), written(DEBTOR, 4, 27)], "");
        // Its reservation was folded before this node started, or was lost.
        check(1_000_000, [settled(true)], "Payment 0-25, End 20-25");
        let nothing = Folded { index: 8, at: Timestamp(0), leads: true, steps: vec![] };
        let gap = News::Folded { entry: Arc::new(nothing), is_behind_gap: true };
        check(1_000_000, [reserved(), gap, settled(true)], "Payment 0-25, End 20-25");
    }

    #[test]
    fn what_failed_or_was_slow_is_kept_whatever_the_share() {
        let reserved = || folded(3, true, vec![step(What::Reserved, 0, [0, 0])]);
        let ended = |what, at_ms| folded(at_ms + 5, true, vec![step(what, at_ms, [4, 6])]);
        let all = "Payment 0-1005, Reserve 0-3, Creditor 3-1000, End 1000-1005";
        check(0, [reserved(), ended(What::Settled, 1000)], all);
        check(0, [reserved(), ended(What::Expired(Reason::AB05), 1000)], all);
        check(0, [reserved(), ended(What::Settled, 999)], "");
        check(0, [ended(What::Rejected(Point::Submit, Reason::AM04), 0)], "Payment 0-5, End 0-5");
    }

    #[test]
    fn what_is_not_written_is_not_waited_for_for_ever() {
        let mut assembler = Assembler::new(Share::of(1_000_000), Duration::from_secs(1));
        let mut ignore = |_: Span| {};
        for number in 1..=3000 {
            assembler.take(folded(5, false, vec![step(What::Settled, 1, [number, 0])]), &Everybody, &mut ignore);
        }
        assert_eq!(assembler.untold[&DEBTOR].len(), UNTOLD_MAX);
        assembler.take(folded(20_000, false, vec![step(What::Settled, 1, [3001, 0])]), &Everybody, &mut ignore);
        assert_eq!(assembler.untold[&DEBTOR].len(), 1);
        let away = Step { creditor: Key(9), ..step(What::Settled, 1, [0, 1]) };
        assembler.take(folded(5, false, vec![away]), &Everybody, &mut ignore);
        assert!(!assembler.untold.contains_key(&Key(9)), "who is not connected here is told elsewhere");
    }

    #[test]
    fn ids_are_alike_on_all_nodes_and_differ_within_a_trace() {
        let stages =
            [Stage::Payment, Stage::Reserve, Stage::Creditor, Stage::End, Stage::ToldDebtor, Stage::ToldCreditor];
        let mut ids: Vec<_> =
            [0, 1, u32::MAX].iter().flat_map(|debtor| stages.map(|stage| id(uetr(0), Key(*debtor), stage))).collect();
        assert!(ids.iter().all(|id| *id != [0; 8]));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 18);
    }
}
