//! Which node leads, told from what the log and the relay know.

use actors::Switch;
use persistence::{NodeId, Standing, Term};

use super::protocol::Leadership;

/// Where this node stands.
pub(super) fn leadership(switch: &Switch) -> Leadership {
    let (term, leader) = who_leads(&switch.standing(), switch.relay.leader());
    let role = if switch.reign().is_some() { "leader" } else { "follower" };
    Leadership { role: role.into(), term, leader, committed_index: switch.committed_index() }
}

/// Who was elected as far as the log knows; or who has announced its reign, when the log does not know of that term yet. A
/// leader that died stays the one that was announced last, while the log knows that it leads no more.
fn who_leads(standing: &Standing, announced: Option<(Term, NodeId)>) -> (Term, Option<NodeId>) {
    match announced {
        Some((term, node)) if term > standing.term => (term, Some(node)),
        _ => (standing.term, standing.leader),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_is_gone_is_not_named() {
        let standing = |term, leader| Standing { term, leader, ..Default::default() };
        assert_eq!(who_leads(&standing(7, None), Some((7, 2))), (7, None));
        assert_eq!(who_leads(&standing(8, Some(3)), Some((7, 2))), (8, Some(3)));
        assert_eq!(who_leads(&standing(7, Some(2)), Some((7, 2))), (7, Some(2)));
        assert_eq!(who_leads(&standing(7, Some(2)), Some((9, 1))), (9, Some(1)), "the log is behind");
        assert_eq!(who_leads(&standing(7, Some(2)), None), (7, Some(2)));
    }
}
