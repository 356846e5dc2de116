//! Are the books of all nodes equal? What each node tells of every participant, read at one committed entry.

use std::time::{Duration, Instant};

use super::cluster::Cluster;
use crate::admin::protocol::{Command, Participant, Status};
use crate::exit::{Exit, Failure};

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a node has of a participant: positions and last notice. Where it is connected is a node's own affair.
pub type Holding = Participant;

/// What all nodes told, once nothing moved any more.
#[derive(Clone, Debug)]
pub struct Books {
    /// The entry after which they were read.
    pub index: u64,
    pub nodes: usize,
    pub holdings: Vec<Holding>,
    /// Where another node told something else, in words.
    pub differences: Vec<String>,
}

/// One node's answer, read while its log stood still.
struct Told {
    node: u64,
    index: u64,
    holdings: Vec<Holding>,
}

impl Cluster {
    /// Waits until all nodes that run have folded the same entries, and compares what they hold.
    pub async fn books(&self, patience: Duration) -> Result<Books, Failure> {
        let started = Instant::now();
        loop {
            let mut all = Vec::new();
            for node in self.up() {
                all.extend(self.told(node).await?);
            }
            if all.len() == self.up().len() && all.windows(2).all(|pair| pair[0].index == pair[1].index) {
                return compare(all);
            }
            if started.elapsed() > patience {
                let seen: Vec<String> = all.iter().map(|told| format!("node {} {}", told.node, told.index)).collect();
                let what = format!("after {patience:?} the nodes are not at one entry: {}", seen.join(", "));
                return Err(Failure::new(Exit::Integrity, what).next("crosstie cluster status tells who lags"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// `None` when the log went on while the book was read.
    async fn told(&self, node: u64) -> Result<Option<Told>, Failure> {
        let before: Status = self.ask(node, Command::Status).await?;
        let mut holdings: Vec<Holding> = self.ask(node, Command::Participants).await?;
        let after: Status = self.ask(node, Command::Status).await?;
        let index = after.journal.committed_index;
        holdings.iter_mut().for_each(|holding| holding.connected = false);
        Ok((before.journal.committed_index == index).then_some(Told { node, index, holdings }))
    }
}

fn compare(all: Vec<Told>) -> Result<Books, Failure> {
    let nodes = all.len();
    let mut all = all.into_iter();
    let first = all.next().ok_or_else(|| Failure::new(Exit::No, "no node runs, so there is nothing to compare"))?;
    let mut differences = Vec::new();
    for other in all {
        for place in 0..first.holdings.len().max(other.holdings.len()) {
            let (one, two) = (first.holdings.get(place), other.holdings.get(place));
            if one != two {
                let (own, others) = (first.node, other.node);
                differences.push(format!("node {own} holds {one:?}, node {others} holds {two:?}"));
            }
        }
    }
    Ok(Books { index: first.index, nodes, holdings: first.holdings, differences })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(node: u64, last_notice: u64) -> Told {
        let holding = Holding {
            id: "BANK-0001".into(),
            connected: false,
            signed_on: true,
            suspended_sending: false,
            suspended_receiving: false,
            positions: Vec::new(),
            outgoing: 0,
            incoming: 0,
            remembered: 3,
            last_notice,
            session: None,
        };
        Told { node, index: 9, holdings: vec![holding] }
    }

    #[test]
    fn a_difference_is_found_and_named() {
        let books = compare(vec![told(1, 7), told(2, 7), told(3, 7)]).unwrap();
        assert!(books.differences.is_empty() && books.nodes == 3 && books.index == 9);
        let books = compare(vec![told(1, 7), told(2, 7), told(3, 8)]).unwrap();
        assert_eq!(books.differences.len(), 1);
        assert!(books.differences[0].contains("node 3 holds"), "{:?}", books.differences);
        let mut missing = told(2, 7);
        missing.holdings.clear();
        assert_eq!(compare(vec![told(1, 7), missing]).unwrap().differences.len(), 1);
    }
}
