//! Reads a configuration file, keeping the line of every value.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings::{SECTIONS, SETTINGS, find};
use super::{Loading, Origin, Setting, did_you_mean, members, seeds};

/// A file being read.
pub(super) struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    pub(super) fn at<T>(&self, place: &Spanned<T>) -> Origin {
        self.at_byte(place.span().start)
    }

    fn at_byte(&self, byte: usize) -> Origin {
        let before = &self.text.as_bytes()[..byte.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Origin::File { path: self.path.into(), line }
    }
}

pub(super) fn read(loading: &mut Loading, path: &Path, text: &str) {
    let file = File { path, text };
    let document = match DeTable::parse(text) {
        Ok(document) => document.into_inner(),
        Err(error) => {
            let origin = file.at_byte(error.span().map_or(0, |span| span.start));
            return loading.refuse(origin, error.message());
        }
    };
    for (name, value) in &document {
        if name.get_ref() == "participants" {
            seeds::read(loading, &file, value);
            continue;
        }
        if name.get_ref() == "members" {
            members::read(loading, &file, value);
            continue;
        }
        if !SECTIONS.iter().any(|(section, _)| section == name.get_ref()) {
            loading.refuse(file.at(name), unknown(name.get_ref(), value.get_ref()));
            continue;
        }
        match value.get_ref() {
            DeValue::Table(table) => section(loading, &file, name.get_ref(), table),
            _ => loading.refuse(file.at(name), format!("{} is a section: write [{}]", name.get_ref(), name.get_ref())),
        }
    }
}

fn unknown(name: &str, value: &DeValue<'_>) -> String {
    if !value.is_table()
        && let Some(setting) = SETTINGS.iter().find(|setting| setting.key == name)
    {
        return format!("{name} belongs under [{}]", setting.section);
    }
    let known: Vec<String> = SECTIONS
        .iter()
        .map(|(section, _)| section.to_string())
        .chain(["participants".into(), "members".into()])
        .collect();
    format!("there is no section {name:?}{}", did_you_mean(name, &known))
}

fn section(loading: &mut Loading, file: &File<'_>, section: &str, table: &DeTable<'_>) {
    for (key, value) in table {
        let Some(setting) = find(section, key.get_ref()) else {
            loading.refuse(file.at(key), unknown_key(section, key.get_ref()));
            continue;
        };
        match text_of(value.get_ref(), setting) {
            Ok(text) => loading.set(setting, &text, file.at(value)),
            Err(what) => loading.refuse(file.at(value), format!("{}: {what}", setting.path())),
        }
    }
}

fn unknown_key(section: &str, key: &str) -> String {
    if let Some(elsewhere) = SETTINGS.iter().find(|setting| setting.key == key) {
        return format!("[{section}] has no {key:?}; it belongs under [{}]", elsewhere.section);
    }
    let known: Vec<String> =
        SETTINGS.iter().filter(|setting| setting.section == section).map(|setting| setting.key.into()).collect();
    match did_you_mean(key, &known) {
        hint if hint.is_empty() => format!("[{section}] has no {key:?}; it has {}", known.join(", ")),
        hint => format!("[{section}] has no {key:?}{hint}"),
    }
}

fn text_of(value: &DeValue<'_>, setting: &Setting) -> Result<String, String> {
    match (value, setting.is_number) {
        (DeValue::String(text), false) => Ok(text.to_string()),
        (DeValue::String(text), true) => {
            Err(format!("{text:?} is text where a number belongs: write it without quotes"))
        }
        (DeValue::Integer(number), true) if number.radix() == 10 => Ok(number.as_str().to_string()),
        // The kind says which unit is missing.
        (DeValue::Integer(number), false) => Ok(number.as_str().to_string()),
        (DeValue::Float(number), false) => Ok(number.as_str().to_string()),
        _ => Err(format!("it cannot be {} here; it is {}", value.type_str(), (setting.bounds)())),
    }
}
