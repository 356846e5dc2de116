//! What is looked at: the latest snapshot and an earlier one, so that rates are known.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch as channel;
use watch::rows::Pair;
use watch::{Mark, Moment, Snapshot};

use crate::Switch;

/// Rates are those of the last so many snapshots, as percentiles are of the last ten seconds.
const SNAPSHOTS_MAX: usize = 11;
/// What happened lately, as it is listed.
const MARKS_MAX: usize = 12;

#[derive(Clone)]
pub(crate) struct Look {
    pub(crate) now: Arc<Snapshot>,
    before: Option<Arc<Snapshot>>,
    /// From the snapshot before to this one; none at the first.
    pub(crate) moment: Option<Arc<Moment>>,
    /// When, in milliseconds since 1970, and what; the latest first.
    pub(crate) marks: Arc<[(u64, Mark)]>,
}

impl Look {
    pub(crate) fn pair(&self) -> Pair<'_> {
        Pair { now: &self.now, before: self.before.as_deref() }
    }
}

/// The looks as they come, none before the first; and what keeps them coming.
pub(crate) fn keep(switch: Arc<dyn Switch>) -> (channel::Receiver<Option<Look>>, impl Future<Output = ()>) {
    let (sender, receiver) = channel::channel(None);
    let keep = async move {
        let mut snapshots: VecDeque<Arc<Snapshot>> = VecDeque::with_capacity(SNAPSHOTS_MAX);
        let mut marks: VecDeque<(u64, Mark)> = VecDeque::new();
        switch.history().iter().for_each(|moment| note(&mut marks, moment));
        while let Some(now) = switch.next().await {
            let moment = snapshots.back().map(|before| Arc::new(Moment::between(before, &now)));
            moment.iter().for_each(|moment| note(&mut marks, moment));
            if snapshots.len() == SNAPSHOTS_MAX {
                snapshots.pop_front();
            }
            let before = snapshots.front().cloned();
            snapshots.push_back(now.clone());
            sender.send_replace(Some(Look { now, before, moment, marks: marks.iter().cloned().collect() }));
        }
        // The last one stays, and grows old.
        std::future::pending().await
    };
    (receiver, keep)
}

fn note(marks: &mut VecDeque<(u64, Mark)>, moment: &Moment) {
    moment.marks.iter().for_each(|mark| marks.push_front((moment.at_ms, mark.clone())));
    marks.truncate(MARKS_MAX);
}
