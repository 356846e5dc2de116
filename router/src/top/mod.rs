//! `crosstie top`: the snapshot of a node on a terminal, each second anew. It only looks.
//!
//! In reading order: what was read and what the keys do to it (here), who reads it (`reader`), how it is drawn (`screen`,
//! of it `figures`, `table` and `actor`), and how text finds its lines (`flow`).

mod actor;
mod figures;
mod flow;
mod reader;
mod screen;
mod table;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use watch::Snapshot;
use watch::rows::{Order, Pair, Rows};

use crate::exit::{Exit, Failure};
pub(crate) use reader::Source;
use reader::{Answer, Looked, Reader};

/// A node that has told nothing new for so long, and for as long as it is not asked, is silent.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer is waited for before keys are looked at again.
const GLANCE: Duration = Duration::from_millis(50);
/// How often the screen is drawn at least: ages stand on it.
const REDRAWN: Duration = Duration::from_secs(1);

/// The kind of actors of which each decides for participants, and that of their connections.
const PARTICIPANT: &str = "participant";
const SESSION: &str = "session";

/// What is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Shown {
    #[default]
    Participants,
    Actors,
    /// The worst twenty of a kind.
    Busiest(String),
    Nodes,
    /// One, and from where one came to it.
    Actor {
        kind: String,
        id: String,
        from: Box<Shown>,
    },
}

/// What was read, and how it is looked at.
#[derive(Default)]
struct Top {
    now: Option<Snapshot>,
    before: Option<Snapshot>,
    /// When the latest snapshot came.
    heard_at: Option<Instant>,
    /// After how long without a new one the node is silent.
    silent_after: Duration,
    /// Why the latest question had no answer.
    failure: Option<String>,
    /// The actor that was asked for last.
    actor: Option<Looked>,
    shown: Shown,
    order: Order,
    filter: String,
    /// Keys go into the filter.
    is_filtering: bool,
    selected: usize,
    paused_at: Option<Instant>,
    has_help: bool,
    is_over: bool,
}

impl Top {
    fn new(every: Duration) -> Top {
        // A snapshot is taken once a second, however often it is asked for.
        Top { silent_after: every.max(Duration::from_secs(1)) + PATIENCE, ..Top::default() }
    }

    fn take(&mut self, answer: Answer) {
        match answer.snapshot {
            Ok(snapshot) => {
                self.failure = None;
                let is_new = |now: &Snapshot| (now.number, now.node.pid) != (snapshot.number, snapshot.node.pid);
                if self.now.as_ref().is_none_or(is_new) {
                    self.heard_at = Some(Instant::now());
                    self.before = self.now.replace(snapshot);
                }
            }
            Err(why) => self.failure = Some(why),
        }
        if answer.actor.is_some() {
            self.actor = answer.actor;
        }
    }

    /// For how long nothing new has come, and why, if that is too long for what is shown to be taken as what is so.
    fn silence(&self) -> Option<(Duration, &str)> {
        let age = self.paused_at.unwrap_or_else(Instant::now).saturating_duration_since(self.heard_at?);
        match &self.failure {
            Some(why) => Some((age, why)),
            None if age >= self.silent_after => Some((age, "it tells nothing new")),
            None => None,
        }
    }

    fn pair(&self) -> Option<Pair<'_>> {
        Some(Pair { now: self.now.as_ref()?, before: self.before.as_ref() })
    }

    fn rows(&self) -> Option<Rows> {
        let pair = self.pair()?;
        let rows = match &self.shown {
            Shown::Participants => pair.participants(),
            Shown::Actors => pair.actors(),
            Shown::Busiest(kind) => pair.busiest(kind),
            Shown::Nodes => pair.nodes(),
            Shown::Actor { .. } => actor::deeds(self),
        };
        Some(rows.arranged(&self.filter, self.order))
    }

    /// The participant whose actor is looked at. What is known of a session stands in the snapshot.
    fn asks_for(&self) -> Option<&str> {
        match &self.shown {
            Shown::Actor { kind, id, .. } if kind != SESSION => Some(id),
            _ => None,
        }
    }

    fn show(&mut self, shown: Shown) {
        let (order, selected) = ((None, false), 0);
        *self = Top { shown, order, selected, filter: String::new(), ..std::mem::take(self) };
    }

    fn key(&mut self, key: KeyEvent) {
        let is_control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if is_control_c {
            self.is_over = true;
        } else if self.is_filtering {
            self.filter_key(key.code);
        } else {
            self.command_key(key.code);
        }
    }

    fn filter_key(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_filtering = false,
            KeyCode::Esc => (self.is_filtering, self.filter) = (false, String::new()),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(letter) if self.filter.len() < 64 => self.filter.push(letter),
            _ => {}
        }
        self.selected = 0;
    }

    fn command_key(&mut self, code: KeyCode) {
        let columns = self.rows().map_or(0, |rows| rows.heading.len());
        let count = self.rows().map_or(0, |rows| rows.rows.len());
        match code {
            KeyCode::Char('q') => self.is_over = true,
            KeyCode::Char('1') => self.show(Shown::Participants),
            KeyCode::Char('2') => self.show(Shown::Actors),
            KeyCode::Char('3') => self.show(Shown::Nodes),
            KeyCode::Tab => self.show(match self.shown {
                Shown::Participants => Shown::Actors,
                Shown::Actors | Shown::Busiest(_) | Shown::Actor { .. } => Shown::Nodes,
                Shown::Nodes => Shown::Participants,
            }),
            // Worst first, then column by column, and round again.
            KeyCode::Char('s') => {
                self.order.0 = self.order.0.map_or(Some(0), |at| Some(at + 1)).filter(|at| *at < columns)
            }
            KeyCode::Char('S') => {
                self.order.0 = self.order.0.map_or(columns.checked_sub(1), |at| at.checked_sub(1));
            }
            KeyCode::Char('r') => self.order.1 = !self.order.1,
            KeyCode::Char('/') => self.is_filtering = true,
            KeyCode::Char('p' | ' ') => self.paused_at = self.paused_at.xor(Some(Instant::now())),
            KeyCode::Char('?' | 'h') => self.has_help = !self.has_help,
            KeyCode::Down | KeyCode::Char('j') => self.selected = (self.selected + 1).min(count.saturating_sub(1)),
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::Enter => self.descend(),
            KeyCode::Esc if self.has_help => self.has_help = false,
            KeyCode::Esc if !self.filter.is_empty() => self.filter.clear(),
            KeyCode::Esc | KeyCode::Backspace => self.ascend(),
            _ => {}
        }
    }

    /// From a kind of actors to the worst of them, from one of those, or from a participant, to its actor.
    fn descend(&mut self) {
        let name = self.rows().and_then(|rows| rows.rows.get(self.selected)?.cells.first().cloned());
        let Some(name) = name else { return };
        let actor =
            |kind: &str| Shown::Actor { kind: kind.into(), id: name.text.clone(), from: self.shown.clone().into() };
        match &self.shown {
            Shown::Actors => self.show(Shown::Busiest(name.text)),
            Shown::Participants => self.show(actor(PARTICIPANT)),
            Shown::Busiest(kind) => self.show(actor(kind)),
            Shown::Nodes | Shown::Actor { .. } => {}
        }
    }

    fn ascend(&mut self) {
        match &self.shown {
            Shown::Busiest(_) => self.show(Shown::Actors),
            Shown::Actor { from, .. } => self.show(Shown::clone(from)),
            Shown::Participants | Shown::Actors | Shown::Nodes => {}
        }
    }
}

/// Looks until the person has seen enough.
pub(crate) fn live(every: Duration, source: impl Source) -> Result<Exit, Failure> {
    let mut top = Top::new(every);
    // A node that is not there is told in words, not on an empty screen.
    top.take(Answer { snapshot: Ok(source.snapshot()?), actor: None });
    let reader =
        Reader::start(source).map_err(|error| Failure::new(Exit::No, format!("no thread to read: {error}")))?;
    let mut terminal = ratatui::try_init().map_err(|error| {
        Failure::new(Exit::No, format!("this terminal cannot be drawn on: {error}")).next("crosstie top --once")
    })?;
    let ended = look(&mut terminal, &mut top, every, reader);
    ratatui::restore();
    ended.map_err(|error| Failure::new(Exit::No, format!("the terminal is gone: {error}")))?;
    Ok(Exit::Done)
}

fn look(terminal: &mut DefaultTerminal, top: &mut Top, every: Duration, mut reader: Reader) -> std::io::Result<()> {
    let mut due = Instant::now() + every;
    while !top.is_over {
        terminal.draw(|frame| screen::draw(frame, top))?;
        let patience = due.saturating_duration_since(Instant::now()).min(REDRAWN);
        if event::poll(if reader.is_asking() { Duration::ZERO } else { patience })?
            && let Event::Key(key) = event::read()?
            && key.kind == KeyEventKind::Press
        {
            let before = (top.paused_at, top.shown.clone());
            top.key(key);
            if before != (top.paused_at, top.shown.clone()) {
                due = Instant::now();
            }
        }
        let is_due = Instant::now() >= due;
        if is_due && (top.paused_at.is_some() || reader.ask(top.asks_for().map(Into::into))) {
            due = Instant::now() + every;
        }
        if reader.is_asking()
            && let Some(answer) = reader.answer(GLANCE)
        {
            top.take(answer);
        }
    }
    Ok(())
}

/// Everything once, as text: for a pipe, or a terminal that cannot be drawn on. Of two snapshots, for the rates.
pub(crate) fn once(before: &Snapshot, now: &Snapshot) -> String {
    screen::text(&Pair { now, before: Some(before) })
}
