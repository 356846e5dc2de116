//! What is looked at: the latest snapshot and an earlier one, so that rates are known.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch as channel;
use watch::rows::Pair;
use watch::{Mark, Moment, Snapshot};

use crate::Switch;

/// Rates are those of the last so many snapshots, as percentiles are of the last ten seconds.
const SNAPSHOTS_MAX: usize = 11;
/// What happened lately, as it is listed.
const MARKS_MAX: usize = 12;
/// One comes each second. Figures older than this are no longer passed on to machines, who would take them for true.
const AGE_MAX: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct Look {
    pub(crate) now: Arc<Snapshot>,
    pub(crate) came: Instant,
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

    /// Words about figures that are too old to be passed on.
    pub(crate) fn too_old(&self) -> Option<String> {
        let age = self.came.elapsed();
        (age > AGE_MAX).then(|| format!("the last snapshot is {} s old: none is taken any more", age.as_secs()))
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
            sender.send_replace(Some(Look {
                now,
                came: Instant::now(),
                before,
                moment,
                marks: marks.iter().cloned().collect(),
            }));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_not_passed_on() {
        let aged = |age: Duration| Look {
            now: Arc::default(),
            came: Instant::now().checked_sub(age).expect("the machine has been up for longer"),
            before: None,
            moment: None,
            marks: Arc::default(),
        };
        assert_eq!(aged(Duration::ZERO).too_old(), None);
        let words = "the last snapshot is 11 s old: none is taken any more";
        assert_eq!(aged(Duration::from_secs(11)).too_old().as_deref(), Some(words));
    }
}
