//! The snapshot as tables: what stands in a cell, and by what a column is sorted.

use std::cmp::Ordering;

use crate::text::{self, NONE};
use crate::{ActorKind, BusiestActor, Deed, Outcomes, Participant, Peer, Severity, Snapshot};

/// A cell: what is read, and what is sorted by.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub text: String,
    key: Key,
}

#[derive(Clone, Debug, PartialEq)]
enum Key {
    /// Not known: always last.
    None,
    Number(f64),
    Text,
}

fn or_unknown(value: Option<u64>, cell: fn(u64) -> Cell) -> Cell {
    value.map_or_else(Cell::unknown, cell)
}

impl Cell {
    fn number(key: f64, text: String) -> Cell {
        Cell { text, key: Key::Number(key) }
    }

    fn text(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), key: Key::Text }
    }

    fn unknown() -> Cell {
        Cell { text: NONE.into(), key: Key::None }
    }

    fn count(count: u64) -> Cell {
        Cell::number(count as f64, text::count(count))
    }

    fn rate(per_second: Option<f64>) -> Cell {
        per_second.map_or_else(Cell::unknown, |rate| Cell::number(rate, text::rate(rate)))
    }

    fn percent(part: Option<(f64, f64)>) -> Cell {
        match part {
            Some((part, of)) if of > 0.0 => Cell::number(part / of, text::percent(part / of)),
            _ => Cell::unknown(),
        }
    }

    fn percentile(us: u64, of: u64) -> Cell {
        if of == 0 { Cell::unknown() } else { Cell::number(us as f64, text::length(us)) }
    }

    /// Descending, the largest number first; text the other way round, as in a dictionary.
    fn compare(&self, other: &Cell) -> Ordering {
        match (&self.key, &other.key) {
            (Key::Number(own), Key::Number(other)) => other.total_cmp(own),
            (Key::None, Key::None) => Ordering::Equal,
            (Key::None, _) => Ordering::Greater,
            (_, Key::None) => Ordering::Less,
            _ => self.text.cmp(&other.text),
        }
    }

    pub fn is_known(&self) -> bool {
        self.key != Key::None
    }
}

#[derive(Clone, Debug)]
pub struct Row {
    pub cells: Vec<Cell>,
    pub severity: Severity,
}

/// Rows under a heading, the worst first until they are sorted otherwise.
#[derive(Clone, Debug)]
pub struct Rows {
    pub name: &'static str,
    pub heading: Vec<&'static str>,
    pub rows: Vec<Row>,
}

/// By which column, and whether the other way round; `None` is worst first.
pub type Order = (Option<usize>, bool);

impl Rows {
    /// Whether figures stand in this column.
    pub fn is_numeric(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().filter_map(|row| row.cells.get(column)).peekable();
        cells.peek().is_some() && cells.all(|cell| cell.key != Key::Text)
    }

    /// What contains `filter` in any cell, in this order. Equal rows keep theirs, so that nothing jumps.
    pub fn arranged(mut self, filter: &str, (column, is_reversed): Order) -> Rows {
        let wanted = filter.to_lowercase();
        let holds = |row: &Row| row.cells.iter().any(|cell| cell.text.to_lowercase().contains(&wanted));
        self.rows.retain(holds);
        self.rows.sort_by(|one, other| {
            let order = match column {
                None => other.severity.cmp(&one.severity),
                Some(column) => match (one.cells.get(column), other.cells.get(column)) {
                    (Some(one), Some(other)) if is_reversed && one.is_known() && other.is_known() => other.compare(one),
                    (Some(one), Some(other)) => one.compare(other),
                    _ => Ordering::Equal,
                },
            };
            if column.is_none() && is_reversed { order.reverse() } else { order }
        });
        self
    }
}

/// What an actor decided, the latest first.
pub fn deeds(deeds: &[Deed]) -> Rows {
    let row = |deed: &Deed| {
        let cells = vec![
            Cell::number(deed.at_ms as f64, text::time_of_day(deed.at_ms)),
            Cell::text(deed.what.replace('_', " ")),
            deed.uetr.as_ref().map_or_else(Cell::unknown, Cell::text),
        ];
        Row { cells, severity: Severity::Fine }
    };
    Rows { name: "decided last", heading: vec!["AT", "WHAT", "PAYMENT"], rows: deeds.iter().map(row).collect() }
}

/// Two snapshots of one node, one after the other: rates are their differences.
pub struct Pair<'a> {
    pub now: &'a Snapshot,
    pub before: Option<&'a Snapshot>,
}

impl<'a> Pair<'a> {
    fn seconds(&self) -> Option<f64> {
        let before = self.before?;
        let restarted = self.now.node.pid != before.node.pid;
        let milliseconds = self.now.at_ms.checked_sub(before.at_ms).filter(|length| *length > 0 && !restarted)?;
        Some(milliseconds as f64 / 1e3)
    }

    /// Per second, if both counts are known.
    pub fn rate(&self, now: u64, before: Option<u64>) -> Option<f64> {
        Some(now.saturating_sub(before?) as f64 / self.seconds()?)
    }

    /// Worst first: what is warned of, then the least headroom.
    pub fn participants(&self) -> Rows {
        let heading = vec![
            "PARTICIPANT",
            "STATE",
            "SESSIONS",
            "OUT/S",
            "IN/S",
            "REJECTED",
            "TIMED OUT",
            "ANSWER P99",
            "IN FLIGHT",
            "POSITION",
            "FREE",
        ];
        let mut all: Vec<&Participant> = self.now.participants.iter().collect();
        all.sort_by(|one, other| headroom(one).total_cmp(&headroom(other)).then_with(|| one.id.cmp(&other.id)));
        let rows = all.into_iter().map(|one| self.participant(one)).collect();
        Rows { name: "participants", heading, rows }
    }

    fn participant(&self, own: &Participant) -> Row {
        let before = self.before.and_then(|before| before.participants.iter().find(|other| other.id == own.id));
        let ended = |outcomes: &Outcomes| outcomes.settled + outcomes.rejected + outcomes.timed_out + outcomes.returned;
        let since = |count: fn(&Outcomes) -> u64| {
            let before = before.map_or(0, |before| count(&before.outcomes));
            count(&own.outcomes).saturating_sub(before) as f64
        };
        let all = before.map(|before| ended(&own.outcomes).saturating_sub(ended(&before.outcomes)) as f64);
        let share = |count: fn(&Outcomes) -> u64| all.map(|all| (since(count), all));
        let severity = self.severity_of(&own.id);
        let tightest = own.positions.iter().min_by(|one, other| one.headroom.total_cmp(&other.headroom));
        let cells = vec![
            Cell::text(&own.id),
            Cell::text(own.state.replace('_', " ")),
            Cell::count(own.sessions),
            Cell::rate(self.rate(own.started, before.map(|before| before.started))),
            Cell::rate(self.rate(own.received, before.map(|before| before.received))),
            Cell::percent(share(|outcomes| outcomes.rejected)),
            Cell::percent(share(|outcomes| outcomes.timed_out)),
            Cell::percentile(own.answer.p99_us, own.answer.recent),
            Cell::count(own.in_flight_out + own.in_flight_in),
            tightest.map_or_else(Cell::unknown, |position| {
                let text = text::money(position.balance_minor, position.decimals);
                Cell::number(position.balance_minor as f64, format!("{text} {}", position.currency))
            }),
            tightest.map_or_else(Cell::unknown, |position| Cell::percent(Some((position.headroom, 1.0)))),
        ];
        Row { cells, severity }
    }

    pub fn actors(&self) -> Rows {
        let heading =
            vec!["ACTORS", "LIVE", "QUEUED", "LONGEST", "CAPACITY", "WAIT P99", "HANDLED/S", "BUSY", "RESTARTS"];
        let row = |own: &ActorKind| {
            let before = self.before.and_then(|before| before.actors.iter().find(|other| other.kind == own.kind));
            let handled = |kind: &ActorKind| kind.handled.values().sum::<u64>();
            let busy = self.rate(own.busy_us, before.map(|before| before.busy_us)).map(|us| (us, 1e6));
            let cells = vec![
                Cell::text(&own.kind),
                Cell::count(own.instances),
                Cell::count(own.queued),
                Cell::count(own.queued_longest),
                if own.capacity == 0 { Cell::unknown() } else { Cell::count(own.capacity) },
                Cell::percentile(own.wait.p99_us, own.wait.recent),
                Cell::rate(self.rate(handled(own), before.map(handled))),
                Cell::percent(busy),
                Cell::count(own.restarts),
            ];
            Row { cells, severity: self.severity_of(&own.kind) }
        };
        Rows { name: "actors", heading, rows: self.now.actors.iter().map(row).collect() }
    }

    /// The worst twenty of a kind.
    pub fn busiest(&self, kind: &str) -> Rows {
        let heading = vec!["ACTOR", "QUEUED", "OLDEST", "HANDLED", "IN FLIGHT", "RESTARTS"];
        let row = |own: &BusiestActor| {
            let cells = vec![
                Cell::text(&own.name),
                Cell::count(own.queued),
                own.oldest_us.map_or_else(Cell::unknown, |us| Cell::percentile(us, own.queued)),
                Cell::count(own.handled),
                or_unknown(own.in_flight, Cell::count),
                or_unknown(own.restarts, Cell::count),
            ];
            Row { cells, severity: Severity::Fine }
        };
        let of_kind = self.now.actors.iter().filter(|own| own.kind == kind);
        Rows { name: "busiest actors", heading, rows: of_kind.flat_map(|own| own.busiest.iter().map(row)).collect() }
    }

    pub fn nodes(&self) -> Rows {
        let heading = vec![
            "NODE",
            "REGION",
            "ROLE",
            "HEARD",
            "LAG",
            "LAG TIME",
            "ROUND TRIP",
            "CLOCK",
            "AGREED AT",
            "SERVES",
            "ADDRESS",
        ];
        // Only the leader hears of every node.
        let is_unknown = |own: &Peer| own.role == "unknown";
        let row = |own: &Peer| {
            let cells = vec![
                Cell::text(&own.name),
                Cell::text(&own.region),
                Cell::text(&own.role),
                match own.is_heard {
                    _ if is_unknown(own) => Cell::unknown(),
                    true => Cell::text("yes"),
                    false => {
                        Cell::text(own.silent_ms.map_or("NO".into(), |ms| format!("NO, {}", text::length(ms * 1000))))
                    }
                },
                or_unknown(own.lag_entries, Cell::count),
                or_unknown(own.lag_ms, |ms| Cell::number(ms as f64, text::length(ms * 1000))),
                or_unknown(own.round_trip_us, |us| Cell::number(us as f64, text::length(us))),
                own.clock_offset_us.map_or_else(Cell::unknown, |us| offset(us, own.clock_uncertainty_us)),
                or_unknown(own.agreed_index, Cell::count),
                Cell::text(if own.serves { "yes" } else { "no" }),
                Cell::text(&own.address),
            ];
            let is_lost = !own.is_heard && !is_unknown(own);
            let severity = if is_lost { Severity::Critical } else { self.severity_of(&own.name) };
            Row { cells, severity }
        };
        Rows { name: "nodes", heading, rows: self.now.peers.iter().map(row).collect() }
    }

    fn severity_of(&self, subject: &str) -> Severity {
        let about = self.now.warnings.iter().filter(|warning| warning.subject == subject);
        about.map(|warning| warning.severity).max().unwrap_or_default()
    }
}

/// How far from this node's, which way, and how sure that is.
fn offset(us: i64, uncertainty_us: Option<u64>) -> Cell {
    let sign = if us < 0 { "-" } else { "+" };
    Cell::number(us as f64, format!("{sign}{}", text::uncertain(us.unsigned_abs(), uncertainty_us)))
}

fn headroom(participant: &Participant) -> f64 {
    participant.positions.iter().map(|position| position.headroom).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_lost_only_to_who_would_hear_it() {
        let peer = |role: &str, is_heard| Peer { role: role.into(), is_heard, ..Peer::default() };
        let peers = vec![peer("leader", true), peer("follower", false), peer("unknown", false)];
        let now = Snapshot { peers, ..Snapshot::default() };
        let rows = Pair { now: &now, before: None }.nodes().rows;
        let told: Vec<_> = rows.iter().map(|row| (row.cells[3].text.as_str(), row.severity)).collect();
        assert_eq!(told, [("yes", Severity::Fine), ("NO", Severity::Critical), (NONE, Severity::Fine)]);
    }
}
