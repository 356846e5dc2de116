//! From what was measured in each second to counts since the start and percentiles of the last seconds.

use std::collections::BTreeMap;

use actors::figures::{self, MessageKind, Tally, Told, Work};
use meter::{Distribution, Resolution};
use persistence::Times;
use watch::{Lately, Latency, Outcomes, Participant, Payments, Stage, StageName, Window};
use wire::Currency;

use super::Measured;
use super::ends::Ends;

/// In the order of the corridor.
const STAGES: [StageName; 10] = [
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

/// What was measured in one second; everything is swapped against what is empty and keeps its memory.
#[derive(Default)]
pub(super) struct Second {
    pub(super) tally: Tally,
    pub(super) work: Work,
    pub(super) times: Times,
    decode: Distribution,
    write: Distribution,
}

impl Second {
    /// Takes what was measured since the last time.
    pub(super) fn take(&mut self, switch: &actors::Switch, measured: &Measured) {
        let Second { tally, work, times, decode, write } = self;
        tally.clear();
        work.clear();
        times.clear();
        [&mut *decode, &mut *write].into_iter().for_each(Distribution::clear);
        switch.exchange_figures(tally, work);
        switch.journal().exchange_times(times);
        std::mem::swap(&mut *measured.decode.lock(), decode);
        std::mem::swap(&mut *measured.write.lock(), write);
    }

    fn stage(&self, name: StageName) -> &Distribution {
        match name {
            StageName::Decode => &self.decode,
            StageName::Wait => &self.work.wait,
            StageName::Decide => &self.work.decide,
            StageName::Append => &self.times.append,
            StageName::Sync => &self.times.sync,
            StageName::Replicate => &self.times.replicate,
            StageName::Commit => &self.times.commit,
            StageName::Apply => &self.tally.apply,
            StageName::Write => &self.write,
            StageName::CreditorWait => &self.tally.creditor_wait,
        }
    }
}

/// One participant since the start; some 4 KiB.
struct Own {
    counted: Participant,
    started_in: BTreeMap<Option<Currency>, u64>,
    told: Told,
    unanswered: Lately,
    answer: Window,
    total: Window,
}

impl Default for Own {
    fn default() -> Own {
        let window = || Window::new(Resolution::Coarse);
        let (counted, started_in, told) = Default::default();
        Own { counted, started_in, told, unanswered: Lately::default(), answer: window(), total: window() }
    }
}

/// See the file's head.
pub(super) struct Totals {
    payments: Payments,
    settled: Ends,
    failed: Ends,
    stages: [Window; 10],
    pub(super) handled: [Window; 6],
    pub(super) dropped: u64,
    participants: Vec<Own>,
}

impl Totals {
    pub(super) fn new() -> Totals {
        let window = || Window::new(Resolution::Fine);
        Totals {
            payments: Payments::default(),
            settled: Ends::new(),
            failed: Ends::new(),
            stages: std::array::from_fn(|_| window()),
            handled: std::array::from_fn(|_| window()),
            dropped: 0,
            participants: Vec::new(),
        }
    }

    pub(super) fn turn(&mut self, second: &Second) {
        let Second { tally, work, .. } = second;
        let own = &mut self.payments;
        own.started += tally.started;
        add(&mut own.outcomes, tally.outcomes);
        own.within_objective += tally.within_objective;
        own.beyond_objective += tally.beyond_objective;
        for rejects in &tally.rejects {
            let reason = if rejects.reason.is_none() { "other".into() } else { rejects.reason.to_string() };
            let count = |of: &mut BTreeMap<String, u64>| *of.entry(reason.clone()).or_default() += rejects.count;
            count(&mut own.reasons);
            if rejects.by_creditor {
                count(&mut own.reasons_by_creditor);
            }
        }
        self.settled.turn(&tally.settled);
        self.failed.turn(&tally.failed);
        for (window, name) in self.stages.iter_mut().zip(STAGES) {
            window.turn(second.stage(name));
        }
        for (window, handled) in self.handled.iter_mut().zip(&work.handled) {
            window.turn(handled);
        }
        self.dropped += work.dropped;
        let known = tally.participants.len().max(work.told.len());
        if self.participants.len() < known {
            self.participants.resize_with(known, Own::default);
        }
        self.participants.iter_mut().zip(&work.told).for_each(|(own, told)| own.told.add(told));
        let nothing = figures::Own::default();
        for (place, own) in self.participants.iter_mut().enumerate() {
            own.turn(tally.participants.get(place).unwrap_or(&nothing));
        }
    }

    pub(super) fn payments(&self) -> Payments {
        let (settled, failed) = (&self.settled, &self.failed);
        let exemplars = settled.exemplars().chain(failed.exemplars()).collect();
        Payments { settled: settled.latency(), failed: failed.latency(), exemplars, ..self.payments.clone() }
    }

    pub(super) fn stages(&self) -> Vec<Stage> {
        self.stages.iter().zip(STAGES).map(|(window, name)| Stage { name, latency: window.latency() }).collect()
    }

    pub(super) fn stage(&self, name: StageName) -> Latency {
        let place = STAGES.iter().position(|own| *own == name).expect("every stage is in the list");
        self.stages[place].latency()
    }

    /// What was counted of the participant in this place, written into what else is known of it.
    pub(super) fn fill(&self, place: usize, into: &mut Participant) {
        let new = Own::default();
        let own = self.participants.get(place).unwrap_or(&new);
        let counted = &own.counted;
        (into.started, into.outcomes) = (counted.started, counted.outcomes);
        (into.within_objective, into.beyond_objective) = (counted.within_objective, counted.beyond_objective);
        (into.received, into.answered) = (counted.received, counted.answered);
        into.unanswered_recently = own.unanswered.count();
        (into.answer, into.total) = (own.answer.latency(), own.total.latency());
        (into.duplicates_same, into.duplicates_conflict) = (own.told.duplicates_same, own.told.duplicates_conflict);
        (into.refused_draining, into.refused_full) = (own.told.refused_draining, own.told.refused_full);
        let name = |currency: &Option<Currency>| currency.map_or("other".into(), |currency| currency.to_string());
        into.started_in = own.started_in.iter().map(|(currency, count)| (name(currency), *count)).collect();
        // A count begins at 0: the first increase would be missed otherwise.
        for position in &into.positions {
            into.started_in.entry(position.currency.clone()).or_default();
        }
    }

    /// By message: how long actors were at it.
    pub(super) fn by_message(&self) -> BTreeMap<String, Latency> {
        let latency = |(kind, window): (MessageKind, &Window)| (kind.name().to_string(), window.latency());
        MessageKind::ALL.into_iter().zip(&self.handled).map(latency).collect()
    }
}

impl Own {
    fn turn(&mut self, second: &figures::Own) {
        for (currency, count) in &second.started_in {
            *self.started_in.entry(*currency).or_default() += count;
        }
        let counted = &mut self.counted;
        counted.started += second.started;
        add(&mut counted.outcomes, second.outcomes);
        counted.within_objective += second.within_objective;
        counted.beyond_objective += second.beyond_objective;
        counted.received += second.received;
        add(&mut counted.answered, second.answered);
        self.unanswered.turn(second.unanswered);
        self.answer.turn(&second.answer);
        self.total.turn(&second.total);
    }
}

fn add(to: &mut Outcomes, more: figures::Outcomes) {
    to.settled += more.settled;
    to.rejected += more.rejected;
    to.timed_out += more.timed_out;
    to.returned += more.returned;
}

#[cfg(test)]
mod tests {
    use watch::Position;

    use super::*;

    #[test]
    fn what_was_started_is_told_by_currency_whatever_was_read_of_the_book() {
        let mut second = Second::default();
        let started_in = vec![(None, 1), (Some(Currency::EUR), 2)];
        second.tally.participants.push(figures::Own { started: 3, started_in, ..figures::Own::default() });
        let mut totals = Totals::new();
        totals.turn(&second);
        let told = |positions: &[&str]| {
            let position = |currency: &&str| Position { currency: currency.to_string(), ..Position::default() };
            let mut own = Participant { positions: positions.iter().map(position).collect(), ..Participant::default() };
            totals.fill(0, &mut own);
            own.started_in.into_iter().map(|(currency, count)| format!("{currency} {count}")).collect::<Vec<_>>()
        };
        assert_eq!(told(&[]), ["EUR 2", "other 1"]);
        assert_eq!(told(&["EUR", "SEK"]), ["EUR 2", "SEK 0", "other 1"]);
    }
}
