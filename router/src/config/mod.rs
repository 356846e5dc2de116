//! Configuration: a TOML file, environment variables and flags; flags win over the environment, it over the file, the
//! file over the defaults. What is unknown, out of bounds or contradictory is refused, all of it at once, with the place
//! and the fix.
//!
//! In reading order: `settings` (the table of all settings), `kinds` (what a setting can hold), `units` (10s, 64MiB),
//! `file` (TOML and its line numbers), `seeds` (`[[participants]]`), `members` (`[[members]]`), `contradictions`, `parts` (what the node's parts are
//! given), `example` (the file that explains everything).

mod contradictions;
mod example;
mod file;
mod kinds;
mod members;
mod parts;
mod seeds;
mod settings;
mod units;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub use example::{example, show};
pub use kinds::DayRoll;
pub(crate) use members::word;
pub use seeds::Seed;
pub use settings::{Config, Logs, SECTIONS, SETTINGS, Setting, Traces};
pub use units::parse_length;

use crate::exit::{Exit, Failure};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Environment(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => formatter.write_str("default"),
            Origin::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Origin::Environment(name) => write!(formatter, "environment {name}"),
            Origin::Flag(flag) => write!(formatter, "flag {flag}"),
        }
    }
}

/// Something that cannot stand, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.origin, self.what)
    }
}

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub file: Option<PathBuf>,
    /// `section.key=value`, and the flag as it was given.
    pub flags: Vec<(String, String)>,
    /// The environment; a parameter so that a test can bring its own.
    pub environment: Vec<(String, String)>,
}

/// A configuration and where each value of it comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    pub fn origin(&self, setting: &Setting) -> Origin {
        self.origins.get(&setting.path()).cloned().unwrap_or(Origin::Default)
    }
}

/// Reads all sources.
pub fn load(sources: &Sources) -> Result<Loaded, Failure> {
    let mut loading = Loading::default();
    if let Some(path) = &sources.file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(Exit::Usage, format!("{}: {error}", path.display()))
                .next("crosstie config example > crosstie.toml writes a file with every setting explained")
        })?;
        loading.file(path, &text);
    }
    loading.environment(&sources.environment);
    loading.flags(&sources.flags);
    loading.finish().map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
        Failure::new(Exit::Usage, lines.join("\n       "))
            .next("crosstie config example explains every setting; crosstie config check FILE tries a file")
    })
}

#[derive(Default)]
struct Loading {
    config: Config,
    origins: BTreeMap<String, Origin>,
    problems: Vec<Problem>,
}

impl Loading {
    fn refuse(&mut self, origin: Origin, what: impl Into<String>) {
        self.problems.push(Problem { origin, what: what.into() });
    }

    fn set(&mut self, setting: &Setting, text: &str, origin: Origin) {
        match (setting.apply)(&mut self.config, text) {
            Ok(()) => _ = self.origins.insert(setting.path(), origin),
            Err(what) => self.refuse(origin, format!("{}: {what}. It is {}", setting.path(), (setting.bounds)())),
        }
    }

    fn file(&mut self, path: &Path, text: &str) {
        file::read(self, path, text);
    }

    /// Variables that begin with `CROSSTIE_` and a section; others belong to other programs.
    fn environment(&mut self, variables: &[(String, String)]) {
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix("CROSSTIE_") else { continue };
            let ours = |(section, _): &(&str, &str)| rest.starts_with(&format!("{}_", section.to_uppercase()));
            if !SECTIONS.iter().any(ours) {
                continue;
            }
            let origin = Origin::Environment(name.clone());
            match SETTINGS.iter().find(|setting| setting.variable() == *name) {
                Some(setting) => self.set(setting, value, origin),
                None => {
                    let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
                    self.refuse(origin, format!("no setting has this name{}", did_you_mean(name, &known)));
                }
            }
        }
    }

    fn flags(&mut self, flags: &[(String, String)]) {
        for (assignment, flag) in flags {
            let origin = Origin::Flag(flag.clone());
            let Some((path, value)) = assignment.split_once('=') else {
                self.refuse(origin, format!("{assignment:?} is no section.key=value"));
                continue;
            };
            let path = path.trim();
            match SETTINGS.iter().find(|setting| setting.path() == path) {
                Some(setting) => self.set(setting, value.trim(), origin),
                None => {
                    let known: Vec<String> = SETTINGS.iter().map(Setting::path).collect();
                    self.refuse(origin, format!("there is no setting {path:?}{}", did_you_mean(path, &known)));
                }
            }
        }
    }

    fn finish(mut self) -> Result<Loaded, Vec<Problem>> {
        if self.problems.is_empty() {
            for (path, what) in contradictions::contradictions(&self.config) {
                let origin = self.origins.get(path).cloned().unwrap_or(Origin::Default);
                self.refuse(origin, what);
            }
        }
        if self.problems.is_empty() {
            Ok(Loaded { config: self.config, origins: self.origins })
        } else {
            Err(self.problems)
        }
    }
}

/// `; did you mean "x"?` when something known is close enough.
fn did_you_mean(given: &str, known: &[String]) -> String {
    let closest = known.iter().map(|one| (distance(given, one), one)).min();
    match closest {
        Some((distance, one)) if distance <= 2.max(given.len() / 3) => format!("; did you mean {one:?}?"),
        _ => String::new(),
    }
}

/// Letters to insert, remove or exchange to make one of the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in to.iter().enumerate() {
            let exchange = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = exchange.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests;
