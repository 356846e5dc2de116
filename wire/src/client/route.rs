//! Where to connect next, and after which pause. Plain data, no I/O.
//!
//! A node that was not tried since the last pause is tried at once: first those that a GoAway named, then the client's own
//! addresses in turn. When all have been tried there is a pause, longer each time, so that nobody goes round and round.

use std::time::Duration;

use rand::seq::SliceRandom;
use tokio::time::Instant;

use super::Backoff;

/// Nodes tried between two pauses at most, whoever names more.
const TRIED_MAX: usize = 32;

pub(super) struct Route {
    own: Vec<String>,
    next: usize,
    /// Named by the last GoAway and not tried yet.
    named: Vec<String>,
    tried: Vec<String>,
    /// Nodes that said how long to stay away.
    away: Vec<(String, Instant)>,
    failures: u32,
    backoff: Backoff,
}

impl Route {
    pub(super) fn new(own: &[String], backoff: Backoff) -> Self {
        let (named, tried, away) = (Vec::new(), Vec::new(), Vec::new());
        Route { own: own.to_vec(), next: 0, named, tried, away, failures: 0, backoff }
    }

    /// The address to try, and how long to wait before.
    pub(super) fn next(&mut self, now: Instant) -> (String, Duration) {
        self.away.retain(|(_, until)| *until > now);
        while let Some(named) = self.named.pop() {
            if self.may_be_tried(&named) {
                self.tried.push(named.clone());
                return (named, Duration::ZERO);
            }
        }
        let in_turn = (self.next..self.next + self.own.len()).map(|place| place % self.own.len());
        let fresh = in_turn.clone().find(|place| self.may_be_tried(&self.own[*place]));
        // When all were tried, it is the turn of the one that may be asked first.
        let place = fresh.or_else(|| in_turn.min_by_key(|place| self.away_until(&self.own[*place]))).unwrap_or(0);
        self.next = (place + 1) % self.own.len();
        let address = self.own[place].clone();
        let pause = if fresh.is_some() { Duration::ZERO } else { self.pause(&address, now) };
        self.tried.push(address.clone());
        (address, pause)
    }

    fn may_be_tried(&self, address: &String) -> bool {
        self.tried.len() < TRIED_MAX && !self.tried.contains(address) && self.away_until(address).is_none()
    }

    fn away_until(&self, address: &String) -> Option<Instant> {
        self.away.iter().find(|(away, _)| away == address).map(|(_, until)| *until)
    }

    fn pause(&mut self, address: &String, now: Instant) -> Duration {
        self.tried.clear();
        let pause = self.backoff.pause(self.failures);
        self.failures += 1;
        self.away_until(address).map_or(pause, |until| pause.max(until - now))
    }

    /// A session ended that stood so long.
    pub(super) fn had_session(&mut self, address: &str, lasted: Duration) {
        self.named.clear();
        if lasted > self.backoff.most {
            self.failures = 0;
            self.tried.clear();
            self.tried.push(address.to_string());
        }
    }

    /// The node at this address wants to be left alone so long; others are there.
    pub(super) fn sent_away(&mut self, address: &str, wait_at_least: Duration, nodes: &[String], now: Instant) {
        if wait_at_least > Duration::ZERO {
            self.away.retain(|(away, _)| away != address);
            self.away.push((address.to_string(), now + wait_at_least));
        }
        if !nodes.is_empty() {
            self.named = nodes.iter().filter(|node| *node != address).cloned().collect();
            self.named.shuffle(&mut rand::rng());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(own: &[&str]) -> Route {
        let backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(1) };
        Route::new(&own.iter().map(ToString::to_string).collect::<Vec<_>>(), backoff)
    }

    /// The next addresses, each with a mark when there is a pause before it.
    fn goes(route: &mut Route, count: usize, now: Instant) -> Vec<String> {
        let mark =
            |(address, pause): (String, Duration)| if pause.is_zero() { address } else { format!("…{address}") };
        (0..count).map(|_| mark(route.next(now))).collect()
    }

    #[test]
    fn each_is_tried_once_between_two_pauses_and_pauses_grow() {
        let now = Instant::now();
        assert_eq!(goes(&mut route(&["a:1"]), 3, now), ["a:1", "…a:1", "…a:1"]);
        let mut three = route(&["a:1", "b:1", "c:1"]);
        assert_eq!(goes(&mut three, 7, now), ["a:1", "b:1", "c:1", "…a:1", "b:1", "c:1", "…a:1"]);
        let pause = |route: &mut Route| (0..3).map(|_| route.next(now).1).max().unwrap_or_default();
        let pauses: Vec<Duration> = (0..4).map(|_| pause(&mut three)).collect();
        assert!(pauses[3] > pauses[0] && pauses[3] <= Duration::from_millis(1500), "{pauses:?}");
    }

    #[test]
    fn a_lost_session_goes_on_elsewhere_at_once() {
        let now = Instant::now();
        let mut two = route(&["a:1", "b:1"]);
        assert_eq!(goes(&mut two, 1, now), ["a:1"]);
        two.had_session("a:1", Duration::from_secs(60));
        assert_eq!(goes(&mut two, 3, now), ["b:1", "…a:1", "b:1"]);
        // A session that was over at once counts as a try: two nodes that send each other their clients cause no storm.
        two.had_session("b:1", Duration::from_millis(1));
        assert_eq!(goes(&mut two, 1, now), ["…a:1"]);
    }

    #[test]
    fn named_nodes_come_first_and_who_sent_away_is_left_alone() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut own = route(&["a:1", "b:1"]);
        assert_eq!(goes(&mut own, 1, now), ["a:1"]);
        own.sent_away("a:1", 5 * second, &["c:1".into(), "d:1".into(), "a:1".into()], now);
        let mut named = goes(&mut own, 1, now);
        own.sent_away(&named[0].clone(), Duration::ZERO, &[], now);
        named.extend(goes(&mut own, 1, now));
        named.sort_unstable();
        assert_eq!(named, ["c:1", "d:1"], "one that does not answer does not hide the other");
        assert_eq!(goes(&mut own, 1, now), ["b:1"]);
        let (address, pause) = own.next(now);
        assert!(address == "b:1" && pause < 5 * second, "{address} {pause:?}: b may be asked sooner than a");
        own.sent_away("b:1", 9 * second, &[], now);
        let (address, pause) = own.next(now);
        assert!(address == "a:1" && pause >= 5 * second, "{address} {pause:?}");
    }

    #[test]
    fn nobody_is_sent_round_for_ever() {
        let now = Instant::now();
        let mut own = route(&["a:1"]);
        let mut at_once = 0;
        for turn in 0..1000 {
            let (address, pause) = own.next(now);
            at_once += usize::from(pause.is_zero());
            own.sent_away(&address, Duration::ZERO, &[format!("n{turn}:1")], now);
            if !pause.is_zero() {
                break;
            }
        }
        assert!(at_once <= TRIED_MAX + 1, "{at_once}");
    }
}
