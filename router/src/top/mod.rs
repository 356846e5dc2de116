//! `crosstie top`: the snapshot of a node on a terminal, each second anew. It only looks.

mod screen;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use watch::Snapshot;

use crate::exit::{Exit, Failure};
use watch::rows::{Order, Pair, Rows};

/// What is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Shown {
    #[default]
    Participants,
    Actors,
    /// The worst twenty of a kind.
    Busiest(String),
    Nodes,
}

/// What was read, and how it is looked at.
#[derive(Default)]
struct Top {
    now: Option<Snapshot>,
    before: Option<Snapshot>,
    /// Since when the node does not answer, and why.
    silent: Option<(Instant, String)>,
    shown: Shown,
    order: Order,
    filter: String,
    /// Keys go into the filter.
    is_filtering: bool,
    selected: usize,
    is_paused: bool,
    has_help: bool,
    is_over: bool,
}

impl Top {
    fn take(&mut self, answer: Result<Snapshot, String>) {
        match answer {
            Ok(snapshot) => {
                self.silent = None;
                if self
                    .now
                    .as_ref()
                    .is_none_or(|now| (now.number, now.node.pid) != (snapshot.number, snapshot.node.pid))
                {
                    self.before = self.now.replace(snapshot);
                }
            }
            Err(why) => match &mut self.silent {
                Some((_, latest)) => *latest = why,
                None => self.silent = Some((Instant::now(), why)),
            },
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
        };
        Some(rows.arranged(&self.filter, self.order))
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
                Shown::Actors | Shown::Busiest(_) => Shown::Nodes,
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
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('?' | 'h') => self.has_help = !self.has_help,
            KeyCode::Down | KeyCode::Char('j') => self.selected = (self.selected + 1).min(count.saturating_sub(1)),
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::Enter => self.descend(),
            KeyCode::Esc if self.has_help => self.has_help = false,
            KeyCode::Esc | KeyCode::Backspace if matches!(self.shown, Shown::Busiest(_)) => self.show(Shown::Actors),
            KeyCode::Esc => self.filter.clear(),
            _ => {}
        }
    }

    /// From a kind of actors to the worst of them.
    fn descend(&mut self) {
        if self.shown == Shown::Actors
            && let Some(rows) = self.rows()
            && let Some(kind) = rows.rows.get(self.selected).and_then(|row| row.cells.first())
        {
            self.show(Shown::Busiest(kind.text.clone()));
        }
    }
}

/// Looks until the person has seen enough. `read` asks the node; it blocks no longer than the person would wait.
pub(crate) fn live(every: Duration, mut read: impl FnMut() -> Result<Snapshot, Failure>) -> Result<Exit, Failure> {
    let mut top = Top::default();
    top.take(Ok(read()?)); // a node that is not there is told in words, not on an empty screen
    let mut terminal = ratatui::try_init().map_err(|error| {
        Failure::new(Exit::No, format!("this terminal cannot be drawn on: {error}")).next("crosstie top --once")
    })?;
    let ended = look(&mut terminal, &mut top, every, || read().map_err(|failure| failure.message));
    ratatui::restore();
    ended.map_err(|error| Failure::new(Exit::No, format!("the terminal is gone: {error}")))?;
    Ok(Exit::Done)
}

fn look(
    terminal: &mut DefaultTerminal,
    top: &mut Top,
    every: Duration,
    mut read: impl FnMut() -> Result<Snapshot, String>,
) -> std::io::Result<()> {
    let mut due = Instant::now() + every;
    while !top.is_over {
        terminal.draw(|frame| screen::draw(frame, top))?;
        if event::poll(due.saturating_duration_since(Instant::now()))?
            && let Event::Key(key) = event::read()?
            && key.kind == KeyEventKind::Press
        {
            top.key(key);
        }
        if Instant::now() >= due {
            if !top.is_paused {
                top.take(read());
            }
            due = Instant::now() + every;
        }
    }
    Ok(())
}

/// Everything once, as text: for a pipe, or a terminal that cannot be drawn on. Of two snapshots, for the rates.
pub(crate) fn once(before: Snapshot, now: Snapshot) -> String {
    let top = Top { now: Some(now), before: Some(before), ..Top::default() };
    top.pair().map_or_else(String::new, |pair| screen::text(&pair))
}
