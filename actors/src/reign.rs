//! Makes the actors when this node comes to lead and ends them when it no longer does, for as long as it runs.
//!
//! Actors that end during a reign that goes on are the end of the node: it comes back from the log. Actors that end with
//! their reign are the way of things.

use std::sync::Arc;

use persistence::Term;
use ractor::Actor;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::dispatch::Dispatch;
use crate::post::PostOffice;
use crate::premises::Premises;
use crate::relay::Relay;
use crate::supervisor::Supervisor;
use crate::throne::{Change, Estate};

/// What this node does, for those who wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It does not lead, or its actors are not ready yet.
    Following,
    Reigning(Term),
    /// Its actors ended though its reign goes on.
    Failed(String),
}

/// See the file's head.
pub(crate) struct Regent {
    pub(crate) premises: Arc<Premises>,
    pub(crate) dispatch: Arc<Dispatch>,
    pub(crate) relay: Arc<Relay>,
    pub(crate) phase: watch::Sender<Phase>,
}

/// The actors of one reign.
struct Reign {
    post: Arc<PostOffice>,
    supervision: JoinHandle<()>,
    delivery: JoinHandle<()>,
}

impl Regent {
    /// Runs until the journal ends.
    pub(crate) async fn serve(self, mut changes: UnboundedReceiver<Change>) {
        let mut reign: Option<Reign> = None;
        loop {
            tokio::select! {
                biased;
                change = changes.recv() => {
                    if reign.as_ref().is_some_and(|reign| reign.goes_on(change.as_ref())) {
                        continue;
                    }
                    if let Some(ended) = reign.take() {
                        ended.end().await;
                    }
                    self.phase.send_replace(Phase::Following);
                    let Some(Change { standing, estate }) = change else { return };
                    tracing::info!(event = "standing", term = standing.term, leader = standing.leader, leads = standing.leads);
                    if let Some(estate) = estate {
                        reign = self.begin(standing.term, estate).await;
                    }
                    self.dispatch.take_up();
                }
                () = ended(&mut reign) => {
                    if let Some(ended) = reign.take() && !ended.post.is_over() {
                        self.phase.send_replace(Phase::Failed("the supervisor of the actors ended".into()));
                    }
                }
            }
        }
    }

    async fn begin(&self, term: Term, estate: Estate) -> Option<Reign> {
        let Estate { scheme, participants } = estate;
        let has_date = !scheme.business_date().is_none();
        let post = Arc::new(PostOffice::new(self.premises.clone(), term, scheme));
        let delivery = tokio::spawn(post.clone().deliver_for_ever());
        let supervisor = match Actor::spawn(None, Supervisor { post: post.clone() }, participants).await {
            Ok(supervisor) => supervisor,
            Err(error) => {
                delivery.abort();
                if !post.is_over() {
                    self.phase.send_replace(Phase::Failed(format!("the actors could not be started: {error}")));
                }
                return None;
            }
        };
        let (supervisor, supervision) = supervisor;
        // Set once, here.
        _ = post.supervisor.set(supervisor);
        let reign = Reign { post, supervision, delivery };
        if !has_date && let Err(error) = reign.post.roll(None, None).await {
            tracing::warn!(event = "day_not_rolled", error = %error, "the switch has no business date yet");
        }
        if !self.dispatch.open(&reign.post) {
            reign.end().await;
            return None;
        }
        self.relay.announce();
        self.phase.send_replace(Phase::Reigning(term));
        Some(reign)
    }
}

async fn ended(reign: &mut Option<Reign>) {
    match reign {
        // However it ended: that it did is what counts.
        Some(reign) => drop((&mut reign.supervision).await),
        None => std::future::pending().await,
    }
}

impl Reign {
    /// The node leads in the same term as before: something else has changed.
    fn goes_on(&self, change: Option<&Change>) -> bool {
        let leads = change.is_some_and(|change| change.estate.is_some() && change.standing.term == self.post.term());
        leads && !self.post.is_over()
    }

    async fn end(mut self) {
        self.post.close();
        if let Some(supervisor) = self.post.supervisor.get() {
            supervisor.stop(None);
        }
        drop((&mut self.supervision).await);
    }
}

impl Drop for Reign {
    fn drop(&mut self) {
        self.delivery.abort();
    }
}
