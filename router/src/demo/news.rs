//! What just happened, and why: a short list of sentences. What happens often is told now and then, with its count.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

const KEPT: usize = 200;
/// Of what was done to nodes, so many stay in view.
const DRAMAS_KEPT: usize = 3;
/// The same kind of thing is told no more often than this.
const EXAMPLE_EVERY: Duration = Duration::from_secs(8);

/// Kinds of things that happen often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Often {
    NoAnswer,
    TooLate,
    Rule,
    NoFunds,
    GivenBack,
    Line,
    Moved,
    Clock,
    Refused,
}

/// How it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    /// Something was done to a node, or followed from it.
    Drama,
    /// Something that should not be.
    Alarm,
}

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) at: Duration,
    pub(super) tone: Tone,
    pub(super) text: String,
}

#[derive(Default)]
pub(super) struct News {
    items: VecDeque<Item>,
    /// How many were ever told: who prints them knows what is new.
    told: u64,
    often: HashMap<Often, (Duration, u64)>,
}

impl News {
    pub(super) fn tell(&mut self, at: Duration, tone: Tone, text: impl Into<String>) {
        self.items.push_back(Item { at, tone, text: text.into() });
        self.told += 1;
        if self.items.len() > KEPT {
            self.items.pop_front();
        }
    }

    /// Counts it, and tells it unless one of its kind was told a moment ago. `text` gets the count so far.
    pub(super) fn example(&mut self, kind: Often, at: Duration, text: impl FnOnce(u64) -> String) {
        let (told_at, count) = self.often.entry(kind).or_insert((Duration::ZERO, 0));
        *count += 1;
        if *count > 1 && at < *told_at + EXAMPLE_EVERY {
            return;
        }
        *told_at = at;
        let text = text(*count);
        self.tell(at, Tone::Plain, text);
    }

    /// The last of them, newest first.
    pub(super) fn last(&self, count: usize) -> Vec<Item> {
        self.items.iter().rev().take(count).cloned().collect()
    }

    /// The newest first, as many; of what was done to nodes, the last few are always among them.
    pub(super) fn picked(&self, count: usize) -> Vec<Item> {
        let newest_dramas: Vec<usize> = (0..self.items.len())
            .rev()
            .filter(|place| self.items[*place].tone != Tone::Plain)
            .take(DRAMAS_KEPT.min(count))
            .collect();
        let room = count - newest_dramas.len();
        let others = (0..self.items.len()).rev().filter(|place| !newest_dramas.contains(place)).take(room);
        let mut places: Vec<usize> = newest_dramas.iter().copied().chain(others).collect();
        places.sort_unstable_by(|one, other| other.cmp(one));
        places.into_iter().map(|place| self.items[place].clone()).collect()
    }

    /// What was told after the first `told`, oldest first, and how many are told now.
    pub(super) fn since(&self, told: u64) -> (Vec<Item>, u64) {
        let new = (self.told - told).min(self.items.len() as u64) as usize;
        (self.items.iter().skip(self.items.len() - new).cloned().collect(), self.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_to_nodes_stays_in_view() {
        let mut news = News::default();
        for (at, tone) in [Tone::Drama, Tone::Drama, Tone::Drama, Tone::Drama, Tone::Plain, Tone::Plain, Tone::Plain]
            .into_iter()
            .enumerate()
        {
            news.tell(Duration::from_secs(at as u64), tone, at.to_string());
        }
        let texts = |count| news.picked(count).iter().map(|item| item.text.clone()).collect::<Vec<_>>().join(" ");
        assert_eq!(texts(5), "6 5 3 2 1");
        assert_eq!(texts(2), "3 2");
        assert_eq!(texts(20), "6 5 4 3 2 1 0");
    }
}
