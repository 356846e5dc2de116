//! What a node checks of its own accord: that every position is what the payments of its date made of it, and that the audit
//! trail is what was written. After a start, after each roll of the business date, and in any case twice a day.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Desk;
use super::protocol::{Problem, ProblemKind};

/// How often the business date is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(15);
const CHECK_EVERY: Duration = Duration::from_secs(12 * 3600);
/// After a check that could not be made.
const AGAIN_AFTER: Duration = Duration::from_secs(600);

impl Desk {
    /// Runs for ever.
    pub async fn check_regularly(self: Arc<Self>) {
        let mut last = None;
        loop {
            sleep(LOOK_EVERY).await;
            let today = self.switch.scheme().business_date();
            if last.is_some_and(|(date, next)| date == today && Instant::now() < next) {
                continue;
            }
            // What still came for the date that is over is in by then.
            sleep(LOOK_EVERY).await;
            // What is wrong with it is told by itself.
            _ = self.audit_verify(None).await;
            let next = match self.self_check(None).await {
                Ok(_) | Err(Problem { kind: ProblemKind::NotFound, .. }) => CHECK_EVERY,
                Err(problem) => {
                    tracing::warn!(event = "self_check_not_done", why = problem.message);
                    AGAIN_AFTER
                }
            };
            last = Some((today, Instant::now() + next));
        }
    }
}
