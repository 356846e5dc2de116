//! Draining a node: in a cluster it hands leadership over and sends its participants to other nodes; alone it takes no new
//! payments. Either is taken back by undrain, or by a restart.

use serde_json::json;

use super::Desk;
use super::desk::{Answer, problem, unavailable, value};
use super::protocol::{Problem, ProblemKind};

impl Desk {
    fn has_company(&self) -> bool {
        self.switch.journal().cluster().members.iter().count() > 1
    }

    pub(super) async fn drain(&self) -> Answer {
        if !self.has_company() {
            self.switch.set_draining(true);
            return value(json!({ "draining": true, "in_process": self.in_process().await? }));
        }
        let elsewhere = self.switch.relay.elsewhere();
        if elsewhere.is_empty() {
            let next = "crosstie cluster status shows who serves; crosstie stop ends this node all the same";
            let message = "no other node serves participants just now, so there is nowhere to send those of this one";
            return Err(Problem { next: Some(next.into()), ..problem(ProblemKind::Refused, message) });
        }
        // Before anybody is sent away: this node leads no longer, so that those who come elsewhere meet a leader.
        if self.switch.reign().is_some() {
            self.step_down(None).await?;
        }
        self.door.set_drained(true);
        let left = self.door.until_empty(&self.switch).await;
        if left > 0 {
            return Err(unavailable(format!("the node is drained, but {left} connections have not closed yet")));
        }
        value(json!({ "drained": true, "elsewhere": elsewhere, "leadership": self.leadership() }))
    }

    pub(super) fn undrain(&self) -> Answer {
        self.switch.set_draining(false);
        self.door.set_drained(false);
        value(json!({ "drained": false, "closed": self.door.closed().map(crate::door::Closed::name) }))
    }
}
