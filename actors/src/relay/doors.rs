//! Which nodes serve participants, and where, as they say it themselves: so that a participant that is sent away can be
//! told where to go.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use persistence::NodeId;
use tokio::sync::watch;

use super::Owed;
use super::message::Told;

/// Whether a node serves participants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// At this address, `HOST:PORT`.
    Open(String),
    /// Its operator has sent them elsewhere.
    Drained,
    /// It does not, by its nature or because it is starting or stopping.
    #[default]
    Shut,
}

impl Door {
    pub(super) fn as_told(&self) -> Told<'_> {
        match self {
            Door::Open(address) => Told::Open(address),
            Door::Drained => Told::Drained,
            Door::Shut => Told::Shut,
        }
    }

    pub(super) fn address(&self) -> Option<String> {
        match self {
            Door::Open(address) => Some(address.clone()),
            Door::Drained | Door::Shut => None,
        }
    }
}

pub(super) struct Doors {
    own: Mutex<Door>,
    others: Mutex<BTreeMap<NodeId, Door>>,
    /// Who must be told of this node's door.
    pub(super) owed: Owed,
    removed_by: watch::Sender<Option<NodeId>>,
}

impl Doors {
    pub(super) fn new(owed: Owed) -> Self {
        let (removed_by, _) = watch::channel(None);
        Doors { own: Mutex::default(), others: Mutex::default(), owed, removed_by }
    }

    /// True when that is news.
    pub(super) fn set_own(&self, door: Door) -> bool {
        let mut own = self.own.lock();
        let is_news = *own != door;
        *own = door;
        is_news
    }

    pub(super) fn own(&self) -> Door {
        self.own.lock().clone()
    }

    pub(super) fn heard(&self, from: NodeId, told: &Told<'_>) {
        let door = match told {
            Told::Open(address) => Door::Open((*address).to_string()),
            Told::Drained => Door::Drained,
            Told::Shut => Door::Shut,
        };
        self.others.lock().insert(from, door);
    }

    pub(super) fn of(&self, node: NodeId) -> Option<Door> {
        self.others.lock().get(&node).cloned()
    }

    pub(super) fn removed(&self, by: NodeId) {
        self.removed_by.send_if_modified(|removed_by| removed_by.replace(by).is_none());
    }

    pub(super) async fn until_removed(&self) -> NodeId {
        let mut removed_by = self.removed_by.subscribe();
        match removed_by.wait_for(Option::is_some).await.map(|by| *by) {
            Ok(Some(by)) => by,
            _ => std::future::pending().await,
        }
    }
}
