//! Rolls the business date at its time, and catches up after the node was down at that time.

use std::sync::Arc;
use std::time::Duration;

use actors::Switch;
use wire::Timestamp;

use crate::admin::own_draft;
use crate::admin::protocol::Command;
use crate::config::DayRoll;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The wall clock may be set; so it is looked at again at least this often.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The moment whose calendar date is the business date at `now`. A roll in the morning begins the day it falls on, a roll
/// from noon on the day after.
fn shifted(now: Timestamp, minute_of_day: u16) -> Timestamp {
    let of_day = Duration::from_secs(60 * u64::from(minute_of_day));
    if of_day < DAY / 2 { now.minus(of_day) } else { now.plus(DAY - of_day) }
}

/// How long until the business date changes.
fn until_next(now: Timestamp, minute_of_day: u16) -> Duration {
    let of_day = shifted(now, minute_of_day).nanoseconds() % DAY.as_nanos() as u64;
    DAY - Duration::from_nanos(of_day)
}

/// Runs for ever; does nothing when the date is rolled by hand, or while another node leads and does it.
pub(crate) async fn roll_daily(switch: Arc<Switch>, when: DayRoll) {
    let DayRoll::At { minute_of_day } = when else { return };
    loop {
        let now = Timestamp::now();
        let (today, due) = (switch.scheme().business_date(), shifted(now, minute_of_day).date());
        // A date that was rolled by hand further than this stays.
        if due > today && switch.reign().is_some() {
            let draft = own_draft(&switch, None, &Command::Roll { date: Some(due.to_string()) }, "the clock");
            match switch.roll(Some(due), Some(draft)).await {
                Ok(date) => tracing::info!(event = "day_rolled", date = %date, "the business date rolled"),
                // Another node leads now and does it.
                Err(actors::Error::NotLeading | actors::Error::Restarted) => {}
                Err(error) => tracing::error!(event = "day_not_rolled", error = %error, "roll it by crosstie day roll"),
            }
        }
        tokio::time::sleep(until_next(now, minute_of_day).min(LOOK_EVERY)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_waits() {
        let noon = Timestamp(1_795_435_200_000_000_000); // 2026-11-23T12:00:00Z
        assert_eq!(noon.to_string(), "2026-11-23T12:00:00.000000Z");
        for (roll, hours_after_noon, date, minutes_left) in [
            (0, 0, "2026-11-23", 720),
            (0, 11, "2026-11-23", 60),
            (0, 12, "2026-11-24", 1440),
            (18 * 60, 0, "2026-11-23", 360),
            (18 * 60, 5, "2026-11-23", 60),
            (18 * 60, 6, "2026-11-24", 1440),
            (18 * 60, 13, "2026-11-24", 1020),
            (1, 12, "2026-11-23", 1),
            (11 * 60, 22, "2026-11-23", 60),
            (12 * 60, 0, "2026-11-24", 1440),
        ] {
            let now = noon.plus(Duration::from_secs(3600 * hours_after_noon));
            assert_eq!(shifted(now, roll).date().to_string(), date, "rolls at {roll}, it is {now}");
            assert_eq!(until_next(now, roll), Duration::from_secs(60 * minutes_left), "rolls at {roll}, it is {now}");
        }
    }
}
