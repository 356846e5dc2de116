//! Whether this node serves participants, and how those who are connected are sent elsewhere when it no longer does.
//!
//! ```text
//!   members of the log ──┐            ┌──> sign-on: taken, or sent away
//!   node drain, undrain ─┴──> Door ───┼──> other nodes: where we serve, if we do
//!   stop ────────────────┘            └──> those connected: sent away, a few at a time
//! ```

use std::sync::Arc;
use std::time::Duration;

use actors::{Ending, Switch, relay};
use persistence::{MemberKind, Members, NodeId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use wire::Reason;

/// Between two groups that are sent away.
const STEP: Duration = Duration::from_millis(20);
/// Whoever got in while the door was being shut is found by then.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// For the last of those sent away to be gone.
const FAREWELL: Duration = Duration::from_secs(2);

/// What this node is in its cluster, as its log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It waits to be named by `crosstie cluster add`.
    Stranger,
    Learner,
    Witness,
    Voter,
    Removed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    role: Role,
    is_listening: bool,
    is_drained: bool,
    is_stopping: bool,
}

/// Why no participant is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    Starting,
    Stopping,
    Drained,
    Witness,
    Learner,
    Stranger,
    Removed,
}

impl Closed {
    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Closed::Starting => "starting",
            Closed::Stopping => "stopping",
            Closed::Drained => "drained",
            Closed::Witness => "witness",
            Closed::Learner => "learner",
            Closed::Stranger => "not_a_member",
            Closed::Removed => "removed",
        }
    }

    /// For participants.
    fn text(self) -> &'static str {
        match self {
            Closed::Starting => "the node is starting; connect to another, or again in a second",
            Closed::Stopping => "the node is being stopped; connect to another, or again when it is back",
            Closed::Drained => "the node is drained and serves nobody; connect to another",
            Closed::Witness => "the node is a witness and serves no participants; connect to another",
            Closed::Learner | Closed::Stranger => "the node is joining its cluster; connect to another",
            Closed::Removed => "the node was removed from its cluster; connect to another, and forget this address",
        }
    }

    pub(crate) fn ending(self) -> Ending {
        Ending::elsewhere(Reason::DRAN, 1000, self.text())
    }
}

/// See the file's head.
pub struct Door {
    state: watch::Sender<State>,
    /// Over how long those connected are sent away.
    spread: Duration,
}

impl Door {
    pub(crate) fn new(spread: Duration) -> Door {
        let state = State { role: Role::Voter, is_listening: false, is_drained: false, is_stopping: false };
        Door { state: watch::Sender::new(state), spread }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_if_modified(|state| {
            let before = *state;
            change(state);
            before != *state
        });
    }

    /// The members are these now. Called on the journal's thread.
    pub(crate) fn members(&self, own: NodeId, members: &Members) {
        let role = match members.get(own).map(|member| member.kind) {
            _ if members.is_retired(own) => Role::Removed,
            None => Role::Stranger,
            Some(_) if !members.votes(own) => Role::Learner,
            Some(MemberKind::Witness) => Role::Witness,
            Some(_) => Role::Voter,
        };
        // Whoever was removed stays so, whatever an old log says.
        self.change(|state| state.role = if state.role == Role::Removed { Role::Removed } else { role });
    }

    pub(crate) fn is_listening(&self) {
        self.change(|state| state.is_listening = true);
    }

    pub(crate) fn set_drained(&self, is_drained: bool) {
        self.change(|state| state.is_drained = is_drained);
    }

    pub(crate) fn stop(&self) {
        self.change(|state| state.is_stopping = true);
    }

    /// Why no participant is served, if none is.
    pub fn closed(&self) -> Option<Closed> {
        let state = *self.state.borrow();
        match state.role {
            Role::Removed => return Some(Closed::Removed),
            Role::Stranger => return Some(Closed::Stranger),
            Role::Learner => return Some(Closed::Learner),
            Role::Witness => return Some(Closed::Witness),
            Role::Voter => {}
        }
        match state {
            State { is_stopping: true, .. } => Some(Closed::Stopping),
            State { is_drained: true, .. } => Some(Closed::Drained),
            State { is_listening: false, .. } => Some(Closed::Starting),
            _ => None,
        }
    }

    /// Acts on every change, for ever. `address` is where participants reach this node.
    pub(crate) async fn attend(self: Arc<Self>, switch: Arc<Switch>, address: String) {
        let mut states = self.state.subscribe();
        let removed = switch.relay.until_removed();
        tokio::pin!(removed);
        let mut is_told = false;
        loop {
            let state = *states.borrow_and_update();
            if state.role == Role::Removed && !std::mem::replace(&mut is_told, true) {
                tell_removed();
            }
            let closed = self.closed();
            switch.relay.set_door(match closed {
                None => relay::Door::Open(address.clone()),
                Some(Closed::Drained) => relay::Door::Drained,
                Some(_) => relay::Door::Shut,
            });
            // Fails only when the journal has ended.
            _ = switch.journal().set_willing(!state.is_drained && !state.is_stopping);
            let away = async {
                match closed {
                    Some(closed) => send_away_for_ever(&switch, closed, self.spread).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = states.changed() => if changed.is_err() { return },
                by = &mut removed, if state.role != Role::Removed => {
                    tracing::info!(event = "removal_heard", peer = by);
                    self.change(|state| state.role = Role::Removed);
                }
                () = away => {}
            }
        }
    }

    /// Returns how many are still connected when the last was to be gone.
    pub(crate) async fn until_empty(&self, switch: &Switch) -> usize {
        let until = Instant::now() + self.spread + FAREWELL;
        loop {
            let left = switch.connected().len();
            if left == 0 || Instant::now() >= until {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn tell_removed() {
    tracing::error!(
        event = "removed",
        "this node was removed from its cluster: it serves nobody, has no vote, and its number is not used again; stop it"
    );
}

/// Ends connections, so many in each step that the last goes when `spread` is over.
async fn send_away_for_ever(switch: &Switch, closed: Closed, spread: Duration) {
    let steps = (spread.as_millis() / STEP.as_millis()).max(1) as usize;
    loop {
        let lines = switch.connected();
        let group = lines.len().div_ceil(steps).max(1);
        let mut due = Instant::now();
        for lines in lines.chunks(group) {
            lines.iter().for_each(|line| line.end(closed.ending()));
            due += STEP.max(spread / steps as u32);
            sleep_until(due).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
