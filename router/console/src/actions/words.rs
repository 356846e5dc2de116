//! What an action is called and what it will do, in words, by the snapshot.

use watch::{Participant, Snapshot, text};

use super::Kind;

pub(super) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Suspend => "Suspend",
        Kind::Resume => "Resume",
        Kind::Fund => "Fund",
        Kind::Defund => "Defund",
        Kind::Limit => "Set limits",
        Kind::Drain => "Drain",
        Kind::Undrain => "Undrain",
        Kind::StepDown => "Step down",
        Kind::Approve => "Approve",
        Kind::Refuse => "Refuse",
        Kind::Withdraw => "Withdraw",
    }
}

const SECOND_PERSON: &str =
    "Where the node asks for a second person, this only proposes it: it waits for another operator.";

/// What will happen, a sentence each.
pub(super) fn consequences(kind: Kind, now: &Snapshot, participant: Option<&Participant>) -> Vec<String> {
    // That they serve they tell every node to which they are connected; what the leader hears a follower does not know.
    let others = now.peers.iter().filter(|peer| peer.id != now.node.id && peer.serves).count();
    let (out, into) = participant.map_or((0, 0), |own| (own.in_flight_out, own.in_flight_in));
    let id = participant.map_or("", |own| own.id.as_str());
    let say = |sentences: &[&str]| sentences.iter().map(ToString::to_string).collect();
    match kind {
        Kind::Suspend => vec![
            format!("Sending: {} in flight from {id} will finish; new ones are refused with S946.", text::count(out)),
            format!(
                "Receiving: {id} is signed off; new payments to it are refused with S947. {} in flight to it end with its \
                 answer or at their deadline.",
                text::count(into)
            ),
        ],
        Kind::Resume => {
            vec![format!("{id} may send and receive again; after a suspension of receiving it signs on by itself.")]
        }
        Kind::Fund => say(&[
            "The money is available at once. A position in a currency that is new to it is opened.",
            SECOND_PERSON,
        ]),
        Kind::Defund => say(&[
            "The money is gone from its position at once. No more than is available can be taken.",
            SECOND_PERSON,
        ]),
        Kind::Limit => say(&[
            SECOND_PERSON,
            "The new limits hold for the next payment; those in flight are not touched.",
            "A limit that is left empty stays as it is; \"none\" lifts it.",
        ]),
        Kind::Drain if now.peers.len() < 2 => say(&[
            "This node is alone: new payments are refused with DRAN until it is undrained; those in flight finish.",
        ]),
        Kind::Drain => vec![format!(
            "{} hands over its leadership, if it has it, and sends its {} sessions to {others} other nodes. It serves nobody \
             until it is undrained.",
            now.node.name, now.node.sessions
        )],
        Kind::Undrain => vec![format!("{} serves participants again.", now.node.name)],
        Kind::Approve => {
            say(&["What was proposed is done at once, in both names. The proposer himself cannot approve it."])
        }
        Kind::Refuse => say(&["What was proposed is not done. It can be proposed again."]),
        Kind::Withdraw => say(&["What you proposed is not done. It can be proposed again."]),
        Kind::StepDown => vec![format!(
            "Another node leads instead of {}; payments in flight go on there. They wait a moment meanwhile.",
            now.node.name
        )],
    }
}

#[cfg(test)]
mod tests {
    use watch::Peer;

    use super::*;

    #[test]
    fn a_follower_counts_the_nodes_that_serve() {
        let mut now = Snapshot::default();
        now.node.id = 3;
        let peer =
            |id, role: &str, is_heard, serves| Peer { id, role: role.into(), is_heard, serves, ..Peer::default() };
        now.peers = vec![
            peer(1, "leader", true, true),
            peer(2, "unknown", false, true),
            peer(3, "follower", true, true),
            peer(4, "unknown", false, false),
        ];
        let told = consequences(Kind::Drain, &now, None);
        assert!(told[0].contains("to 2 other nodes"), "{told:?}");
    }
}
