//! The configuration: is it right, what is in force, what can be set.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::output::say;
use super::{Place, examples};
use crate::config::{self, SETTINGS, Sources};
use crate::exit::{Exit, Failure};

#[derive(Subcommand)]
pub(super) enum Configuration {
    /// Check a file, without environment and flags
    #[command(after_help = examples("crosstie config check crosstie.toml"))]
    Check { file: PathBuf },
    /// What is in force with these flags, this environment and this file
    #[command(after_help = examples("crosstie config show --config crosstie.toml --origin"))]
    Show {
        #[command(flatten)]
        place: Place,
        /// Say where each value comes from
        #[arg(long)]
        origin: bool,
        /// JSON instead of TOML
        #[arg(long)]
        json: bool,
    },
    /// Print a file with every setting, its meaning, bounds and default
    #[command(after_help = examples("crosstie config example > crosstie.toml"))]
    Example,
}

impl Configuration {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self {
            Configuration::Check { file } => {
                config::load(&Sources { file: Some(file.clone()), ..Sources::default() })?;
                talk!("{} is fine", file.display());
                Ok(Exit::Done)
            }
            Configuration::Show { place, origin, json } => {
                let loaded = config::load(&place.sources())?;
                match json {
                    true => say(&format!("{}\n", serde_json::to_string_pretty(&table(&loaded)).unwrap_or_default())),
                    false => say(&config::show(&loaded, origin)),
                }
            }
            Configuration::Example => say(&config::example()),
        }
    }
}

fn table(loaded: &config::Loaded) -> Value {
    let mut all = Map::new();
    for setting in SETTINGS {
        let value = json!({
            "value": (setting.show)(&loaded.config),
            "origin": loaded.origin(setting).to_string(),
            "default": setting.default,
            "bounds": (setting.bounds)(),
            "environment": setting.variable(),
        });
        all.insert(setting.path(), value);
    }
    Value::Object(all)
}
