//! One actor: its mailbox and work, what those hold for whom it decides, what it decided last. Or one session.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::widgets::Paragraph;
use watch::rows::{self, Rows};
use watch::{Participant, Position, Snapshot, facts, text};

use super::flow::{beside, length};
use super::table::{self, Stand, framed};
use super::{SESSION, Top};

/// How its decisions stand below it.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, top: &Top, (kind, id): (&str, &str), stand: &Stand<'_>) {
    let Some(now) = &top.now else { return };
    let width = usize::from(area.width.saturating_sub(2));
    let told = match (told(top, now, (kind, id)), top.paused_at) {
        (Some(told), _) => told,
        (None, None) => vec![("actor".into(), "is asked for".into())],
        (None, Some(_)) => vec![("actor".into(), "is not asked for while paused: p goes on".into())],
    };
    let left = told.iter().map(|(name, _)| length(name)).max().unwrap_or(0) + 2;
    let lines: Vec<String> = told.iter().flat_map(|(name, text)| beside(name, left, text, width)).collect();
    let decided = top.rows().filter(|_| kind != SESSION);
    // Of the decisions at least the latest three.
    let rest = if decided.is_some() { 6.min(area.height / 2) } else { 0 };
    let height = (lines.len() as u16 + 2).min(area.height - rest);
    let [about, deeds] = Layout::vertical([Constraint::Length(height), Constraint::Min(0)]).areas(area);
    let missing = heighten(lines.len().saturating_sub(usize::from(height.saturating_sub(2))));
    let note = if missing.is_empty() { stand.note } else { &missing };
    let lines = lines.into_iter().map(Into::into).collect::<Vec<ratatui::text::Line<'_>>>();
    frame.render_widget(Paragraph::new(lines).block(framed(&[format!("{kind} {id}")], "", note, about)), about);
    if let Some(rows) = decided {
        table::draw(frame, deeds, &rows, &Stand { title: stand.title.clone(), note: "", ..*stand });
    }
}

pub(super) fn heighten(lines: usize) -> String {
    match lines {
        0 => String::new(),
        1 => "+1 line: heighten".into(),
        lines => format!("+{lines} lines: heighten"),
    }
}

/// Names and what they are, once they are known.
fn told(top: &Top, now: &Snapshot, (kind, id): (&str, &str)) -> Option<Vec<(String, String)>> {
    let named = |(name, text): facts::Fact| (name.to_string(), text);
    if kind == SESSION {
        let session = now.participants.iter().find(|own| own.id == id).and_then(|own| own.session.as_ref());
        return Some(match session {
            Some(own) => facts::session(own, now.at_ms).into_iter().map(named).collect(),
            None => vec![(id.into(), "is not connected to this node".into())],
        });
    }
    let actor = match top.actor.as_ref().filter(|(asked, _)| asked == id)? {
        (_, Ok(actor)) => actor,
        (_, Err(why)) => return Some(vec![("not known".into(), why.clone())]),
    };
    let mut told: Vec<_> = facts::actor(actor, now.at_ms).into_iter().map(named).collect();
    if let Some(own) = now.actors.iter().find(|own| own.kind == kind) {
        told.push(("wait p99 of its kind".into(), text::percentile(own.wait.p99_us, own.wait.recent)));
    }
    let hosted = now.participants.iter().filter(|own| actor.participants.contains(&own.id));
    told.extend(hosted.flat_map(|own: &Participant| own.positions.iter().map(|position| held(&own.id, position))));
    Some(told)
}

fn held(id: &str, own: &Position) -> (String, String) {
    let money = |minor| text::money(minor, own.decimals);
    let text = format!(
        "{} {}, {} of it reserved, {} available, {} free",
        money(own.balance_minor),
        own.currency,
        money(own.reserved_minor),
        money(own.available_minor),
        text::percent(own.headroom)
    );
    (format!("{id} holds"), text)
}

/// What it decided last.
pub(super) fn deeds(top: &Top) -> Rows {
    let actor = top.actor.as_ref().filter(|(asked, _)| top.asks_for() == Some(asked));
    rows::deeds(actor.and_then(|(_, actor)| actor.as_ref().ok()).map_or(&[], |actor| &actor.deeds))
}
