//! What a cluster on this machine is to be: which nodes in which regions, how far apart, who takes part.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A node and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    pub node: u64,
    pub region: String,
    /// It votes and keeps the log, and serves no participants.
    pub is_witness: bool,
}

impl Seat {
    /// As it calls itself.
    pub fn name(&self) -> String {
        format!("n{}", self.node)
    }

    pub fn kind(&self) -> &'static str {
        if self.is_witness { "witness" } else { "voter" }
    }
}

/// Participants taken in at the first start: `count` of them, with names that go on from the digits of `id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stake {
    pub id: String,
    pub currency: String,
    /// Decimal text.
    pub funded: String,
    pub count: u32,
}

/// See the file's head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub seats: Vec<Seat>,
    /// Round trips between regions, in the order of [`Plan::pairs`].
    round_trips_us: Vec<u64>,
    pub stakes: Vec<Stake>,
    /// Settings of every node besides: path and value.
    pub settings: Vec<(String, String)>,
    /// Nodes reach each other without the proxies, which cost time, too: there are no distances then, and nothing can be cut.
    #[serde(default)]
    pub(super) is_direct: bool,
}

impl Plan {
    /// `nodes` nodes over the regions: one in each, or two and two and one. A witness is the last of them. Round trips
    /// are one for all pairs of regions, or one for each in the order 1-2, 1-3, 2-3.
    pub fn new(nodes: usize, regions: &[String], round_trips: &[Duration], witness: bool) -> Result<Plan, String> {
        let of_region = match (nodes, regions.len()) {
            (3, 3) => vec![0, 1, 2],
            (5, 3) => vec![0, 0, 1, 1, 2],
            (5, 5) => vec![0, 1, 2, 3, 4],
            (3 | 5, regions) => {
                return Err(format!("{nodes} nodes stand in three regions or in one each, and {regions} were named"));
            }
            _ => return Err(format!("a cluster here has 3 nodes or 5, not {nodes}")),
        };
        if let Some(twice) = (1..regions.len()).find(|place| regions[..*place].contains(&regions[*place])) {
            return Err(format!("region {} is named twice", regions[twice]));
        }
        let is_word = |text: &String| {
            let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            text.starts_with(|letter: char| letter.is_ascii_alphabetic()) && text.bytes().all(letters)
        };
        if let Some(wrong) = regions.iter().find(|region| !is_word(region) || is_node_name(region)) {
            return Err(format!(
                "{wrong:?} is no name for a region: a word of letters, digits and hyphens, not like n1"
            ));
        }
        let seat = |(place, region): (usize, usize)| Seat {
            node: place as u64 + 1,
            region: regions[region].clone(),
            is_witness: witness && place + 1 == nodes,
        };
        let seats = of_region.into_iter().enumerate().map(seat).collect();
        let mut plan =
            Plan { seats, round_trips_us: Vec::new(), stakes: Vec::new(), settings: Vec::new(), is_direct: false };
        plan.set_round_trips(round_trips)?;
        Ok(plan)
    }

    pub fn set_round_trips(&mut self, round_trips: &[Duration]) -> Result<(), String> {
        let pairs = self.pairs();
        let all = match round_trips {
            [one] => vec![*one; pairs.len()],
            some if some.len() == pairs.len() => some.to_vec(),
            some => {
                let names: Vec<String> = pairs.iter().map(|(one, other)| format!("{one}-{other}")).collect();
                let (given, pairs) = (some.len(), names.join(", "));
                return Err(format!("{given} round trips are given: write one for all, or one for each of {pairs}"));
            }
        };
        self.round_trips_us = all.iter().map(|length| length.as_micros() as u64).collect();
        Ok(())
    }

    #[must_use]
    pub fn with(mut self, setting: &str, value: impl Into<String>) -> Plan {
        self.settings.push((setting.into(), value.into()));
        self
    }

    /// For measurements of what one host carries: see `is_direct`.
    #[must_use]
    pub fn direct(self) -> Plan {
        Plan { is_direct: true, ..self }
    }

    pub fn seat(&self, node: u64) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.node == node)
    }

    pub fn nodes(&self) -> impl Iterator<Item = u64> {
        self.seats.iter().map(|seat| seat.node)
    }

    /// In the order of their first nodes.
    pub fn regions(&self) -> Vec<&str> {
        let mut regions: Vec<&str> = self.seats.iter().map(|seat| seat.region.as_str()).collect();
        regions.dedup();
        regions
    }

    /// Every two regions: 1-2, 1-3, 2-3.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        let regions = self.regions();
        let mut pairs = Vec::new();
        for (place, one) in regions.iter().enumerate() {
            pairs.extend(regions[place + 1..].iter().map(|other| (*one, *other)));
        }
        pairs
    }

    /// Between two nodes; none within a region.
    pub fn round_trip(&self, one: u64, other: u64) -> Duration {
        let region = |node| self.seat(node).map(|seat| seat.region.as_str());
        let (Some(one), Some(other)) = (region(one), region(other)) else { return Duration::ZERO };
        let place = self.pairs().iter().position(|pair| *pair == (one, other) || *pair == (other, one));
        Duration::from_micros(place.map_or(0, |place| self.round_trips_us[place]))
    }

    /// What the distances alone cost a payment between two participants at the nodes that lie worst, whoever leads: to the
    /// leader, its majority, to the creditor agent's node, and the same way back.
    pub fn longest_payment(&self) -> Duration {
        let payment = |leader: u64| {
            let mut others: Vec<Duration> =
                self.nodes().filter(|node| *node != leader).map(|node| self.round_trip(leader, node)).collect();
            others.sort_unstable();
            let majority = others.get(self.seats.len() / 2 - 1).copied().unwrap_or_default();
            2 * majority + 2 * others.last().copied().unwrap_or_default()
        };
        self.nodes().map(payment).max().unwrap_or_default()
    }
}

/// `n1` would be taken for the node.
fn is_node_name(text: &str) -> bool {
    text.strip_prefix('n').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(names: &str) -> Vec<String> {
        names.split(' ').map(String::from).collect()
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn two_and_two_and_a_witness() {
        let plan = Plan::new(5, &regions("north south west"), &[30 * MS, 40 * MS, 70 * MS], true).unwrap();
        let seats: Vec<_> = plan.seats.iter().map(|seat| (seat.node, seat.region.as_str(), seat.kind())).collect();
        let expected = [
            (1, "north", "voter"),
            (2, "north", "voter"),
            (3, "south", "voter"),
            (4, "south", "voter"),
            (5, "west", "witness"),
        ];
        assert_eq!(seats, expected);
        for (one, other, ms) in [(1, 2, 0), (1, 3, 30), (4, 2, 30), (2, 5, 40), (5, 3, 70)] {
            assert_eq!(plan.round_trip(one, other), ms * MS, "{one} {other}");
        }
    }

    #[test]
    fn the_longest_payment() {
        let plan = Plan::new(3, &regions("a b c"), &[30 * MS, 40 * MS, 70 * MS], false).unwrap();
        // Node 3 leads: its majority is 40 ms away, node 2 is 70 ms away.
        assert_eq!(plan.longest_payment(), 220 * MS);
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        for (nodes, names, round_trips, part) in [
            (4, "a b c d", 1, "3 nodes or 5, not 4"),
            (3, "a b", 1, "one each, and 2 were named"),
            (3, "a b a", 1, "a is named twice"),
            (3, "a b n3", 1, "\"n3\" is no name"),
            (3, "a b 3", 1, "\"3\" is no name"),
            (3, "a b c", 2, "one for each of a-b, a-c, b-c"),
        ] {
            let refused = Plan::new(nodes, &regions(names), &vec![MS; round_trips], false).unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
    }
}
