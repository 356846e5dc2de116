//! What an outlet needs to go on: a socket that takes more, or notices that are no longer in memory. Those are read again
//! from the log of this node; or it is said who keeps them.

use actors::{Elsewhere, Ending, Switch, relay};
use persistence::{Index, MemberKind, NodeId};
use settlement::Recipient;
use wire::Reason;

use crate::ops::messages::Event;
use crate::outlet::{Need, Outlet};
use crate::session::Context;

/// Read at once.
const FRAMES_BYTES_MAX: usize = 1 << 20;
/// Before a participant comes back to a node that does not keep what it needs, when another one does,
const GO_ON_ELSEWHERE_MS: u32 = 5_000;
/// and when none does.
const NOBODY_HAS_IT_MS: u32 = 60_000;

/// Fails with the reason why the connection ends, or with none when it is broken.
pub(crate) async fn meet(context: &Context, outlet: &Outlet, need: Need) -> Result<(), Option<Ending>> {
    match need {
        Need::Writable => outlet.writable().await.map_err(|_| None),
        Need::Broken => Err(None),
        Need::Gone { wanted, oldest } => {
            let text = format!(
                "notice {wanted} is no longer kept, the oldest is {oldest}: reconcile by status requests, then sign on with last_notice {}",
                oldest - 1
            );
            Err(Some(Ending::elsewhere(Reason::AG09, NOBODY_HAS_IT_MS, text)))
        }
        Need::CatchUp { everyone, wanted, first, until, index } => {
            outlet.counts().event(Event::Resync);
            // The log is read for few at a time: what one reads slowly the others should not.
            let Ok(_turn) = context.catch_ups.acquire().await else { return Err(None) };
            let switch = &context.switch;
            let recipient = if everyone { Recipient::Everyone } else { Recipient::Participant(outlet.line().key()) };
            let (directory, scheme) = (switch.log_directory.clone(), switch.scheme().clone());
            let up_to = switch.committed_index();
            let read = tokio::task::spawn_blocking(move || {
                actors::replay_feed(
                    &directory,
                    &scheme,
                    recipient,
                    (wanted, first, until, index),
                    up_to,
                    FRAMES_BYTES_MAX,
                )
            });
            match read.await {
                Ok(Ok((frames, last))) => {
                    outlet.caught_up(everyone, &frames, last);
                    Ok(())
                }
                Ok(Err(persistence::Error::Gone { wanted: entry, .. })) => Err(Some(gone(switch, wanted, entry))),
                Ok(Err(error)) => {
                    let participant = outlet.line().participant();
                    tracing::error!(event = "feed_unreadable", %participant, %error, "look at the disk");
                    Err(Some(Ending::elsewhere(
                        Reason::AG09,
                        NOBODY_HAS_IT_MS,
                        format!("the feed cannot be read from notice {wanted} on: {error}"),
                    )))
                }
                Err(_) => Err(None),
            }
        }
    }
}

/// The log of this node begins behind the entry that made the notice: it was brought up to date by a snapshot, or keeps
/// less than others. Another node may keep it.
fn gone(switch: &Switch, notice: u64, entry: Index) -> Ending {
    let seen = switch.journal().cluster();
    let others = seen.members.iter().filter(|member| member.id != switch.node() && member.kind != MemberKind::Witness);
    let kept_from = |node: NodeId| seen.kept_from.iter().find(|(other, _)| *other == node).map(|(_, first)| *first);
    let (mut keepers, mut silent) = (Vec::new(), Vec::new());
    for node in others.map(|member| member.id) {
        match kept_from(node) {
            Some(first) if first <= entry => keepers.push(node),
            Some(_) => {}
            None => silent.push(node.to_string()),
        }
    }
    if !keepers.is_empty() {
        let address = |node: &NodeId| match switch.relay.door_of(*node)? {
            relay::Door::Open(address) => Some(address),
            relay::Door::Drained | relay::Door::Shut => None,
        };
        let nodes: Vec<String> = keepers.iter().filter_map(address).collect();
        let keepers = keepers.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", ");
        let text = format!("notice {notice} is no longer kept on this node, but on node {keepers}: go on there");
        return Ending { elsewhere: Elsewhere::At(nodes), ..Ending::new(Reason::DRAN, GO_ON_ELSEWHERE_MS, text) };
    }
    let unheard = match silent.is_empty() {
        true => String::new(),
        false => format!(" that is heard (node {} is not)", silent.join(", ")),
    };
    // Who is not told by its log may still be told from memory: that is tried, too.
    let text = format!(
        "notice {notice} is no longer kept in the log of any node{unheard}: if no other node tells it, reconcile by status requests"
    );
    Ending::elsewhere(Reason::AG09, NOBODY_HAS_IT_MS, text)
}
