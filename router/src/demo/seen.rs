//! What there is to see at one moment: both views draw from this, so they cannot differ.

use std::sync::atomic::Ordering;
use std::time::Duration;

use wire::Reason;

use super::characters::CURRENCIES;
use super::figures::count;
use super::measured::{Latency, Outcomes, Window};
use super::nodes::NodeSeen;
use super::stage::Stage;

/// See the file's head.
pub(super) struct Seen {
    pub(super) at: Duration,
    pub(super) length: Duration,
    pub(super) seed: u64,
    pub(super) phase: String,
    pub(super) nodes: Vec<NodeSeen>,
    /// The rate grows while the 99th percentile stays below this.
    pub(super) goal: Duration,
    /// The rate that is wanted, per second.
    pub(super) wanted: f64,
    /// Payments that ended, per second, over the last second.
    pub(super) per_second: f64,
    /// Payments to banks that answer at once: over the last second, and in all.
    pub(super) last: Latency,
    pub(super) prompt: Latency,
    /// The same without what an act delayed.
    pub(super) undisturbed: Latency,
    /// All payments.
    pub(super) everything: Latency,
    pub(super) outcomes: Outcomes,
    pub(super) repeats: u64,
    pub(super) held_back: u64,
    pub(super) in_process: usize,
    pub(super) signed_on: usize,
    pub(super) banks: Vec<BankSeen>,
    pub(super) windows: Vec<Window>,
}

pub(super) struct BankSeen {
    pub(super) name: &'static str,
    pub(super) habit: &'static str,
    pub(super) signed_on: bool,
    pub(super) node: Option<u64>,
    pub(super) sent: usize,
    pub(super) offered: usize,
    pub(super) open: usize,
    pub(super) reconnects: u64,
    pub(super) balance_minor: [i64; CURRENCIES.len()],
    pub(super) funded_minor: [i64; CURRENCIES.len()],
}

impl Seen {
    pub(super) fn now(stage: &Stage) -> Seen {
        let mut repeats = 0;
        let banks: Vec<BankSeen> = stage
            .banks()
            .iter()
            .map(|bank| {
                let book = bank.book.lock();
                repeats += book.repeats;
                BankSeen {
                    name: bank.part().name,
                    habit: bank.part().habit,
                    signed_on: bank.is_signed_on(),
                    node: bank.node(),
                    sent: book.sent.len(),
                    offered: book.offered.len(),
                    open: book.open,
                    reconnects: bank.reconnects.load(Ordering::Relaxed),
                    balance_minor: [0, 1].map(|currency| book.balance(currency)),
                    funded_minor: book.funded,
                }
            })
            .collect();
        let (phase, nodes) = (stage.phase.lock().clone(), stage.nodes.lock().clone());
        let (wanted, goal) = {
            let pace = stage.pace.lock();
            (pace.per_second(), pace.goal)
        };
        let measured = stage.measured.lock();
        let (last, per_second) = measured.last_second();
        Seen {
            at: stage.elapsed(),
            length: stage.length,
            seed: stage.draw.seed,
            phase,
            nodes,
            goal,
            wanted: if stage.load_is_over() { 0.0 } else { wanted },
            per_second,
            last,
            prompt: measured.prompt_in_all(),
            undisturbed: measured.undisturbed(),
            everything: measured.everything(),
            outcomes: measured.outcomes.clone(),
            repeats,
            held_back: measured.held_back,
            in_process: banks.iter().map(|bank| bank.open).sum(),
            signed_on: banks.iter().filter(|bank| bank.signed_on).count(),
            banks,
            windows: measured.windows.clone(),
        }
    }

    /// Outcomes by kind: code, what it means here, how many. Those that never came are left out.
    pub(super) fn kinds(&self) -> Vec<(String, &'static str, u64)> {
        let outcomes = &self.outcomes;
        let mut kinds = vec![
            ("ACSC".into(), "settled", outcomes.settled),
            ("ACWP".into(), "settled, posted later", outcomes.without_posting),
            ("pacs.004".into(), "settled returns", outcomes.given_back),
        ];
        let mut rejected: Vec<_> = outcomes.rejected.iter().collect();
        rejected.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        kinds.extend(rejected.into_iter().map(|(reason, count)| (reason.to_string(), why(*reason), *count)));
        kinds.extend(
            outcomes.refused.iter().map(|(reason, count)| (reason.to_string(), "refused, not recorded", *count)),
        );
        kinds
    }

    /// What was refused without being a payment of its own.
    pub(super) fn harmless(&self) -> String {
        let (late, repeats) = (count(self.outcomes.late_answers), count(self.repeats));
        format!("besides: {late} late yes, refused · {repeats} sent twice")
    }

    /// The newest entry that a node calls committed.
    pub(super) fn committed_index(&self) -> u64 {
        self.nodes.iter().filter_map(|node| node.said.as_ref()).map(|said| said.committed_index).max().unwrap_or(0)
    }
}

/// Why, in the words of this demo.
fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::AC04 => "no: account closed",
        Reason::RR04 => "no: regulatory",
        Reason::AM04 => "no funds",
        Reason::AB05 => "no answer in time",
        Reason::E996 | Reason::AB03 => "waited for a leader",
        _ => "rejected",
    }
}
