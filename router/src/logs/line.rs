//! An event as a line of JSON.

use std::fmt::{self, Write as _};

use tracing::Event;
use tracing::field::{Field, Visit};

const TEXT_BYTES_MAX: usize = 2048;

/// The name that an event of ours gives itself. Nothing else of it is formatted.
#[derive(Default)]
pub(super) struct Name(pub(super) Option<&'static super::Event>);

impl Name {
    pub(super) fn of(event: &Event<'_>) -> Option<&'static super::Event> {
        let mut name = Name::default();
        event.record(&mut name);
        name.0
    }
}

impl Visit for Name {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            self.0 = super::Event::named(value);
        }
    }
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// A line, with what `rest` appends to it.
pub(super) fn line(level: &str, event: &str, node: &str, rest: impl FnOnce(&mut String)) -> String {
    let mut out = format!("{{\"ts\":\"{}\",\"level\":\"{level}\",\"event\":", wire::Timestamp::now());
    put(&mut out, event);
    out.push_str(",\"node\":");
    put(&mut out, node);
    rest(&mut out);
    out.push_str("}\n");
    out
}

/// Text as JSON has it.
pub(super) fn put(out: &mut String, text: &str) {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// What an event carries, as it stands in the line.
#[derive(Default)]
pub(super) struct Fields {
    message: String,
    others: String,
}

impl Fields {
    pub(super) fn of(event: &Event<'_>) -> Fields {
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields
    }

    pub(super) fn write(&self, out: &mut String) {
        out.push_str(&self.others);
        if !self.message.is_empty() {
            out.push_str(",\"msg\":");
            put(out, &self.message);
        }
    }

    fn text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "event" => {}
            "message" => self.message = text.into(),
            name => {
                _ = write!(self.others, ",\"{name}\":");
                put(&mut self.others, text);
                if name == "uetr" {
                    // What the payment's trace is found by: see `traces`.
                    _ = write!(self.others, ",\"trace_id\":\"{}\"", text.replace('-', ""));
                }
            }
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        _ = write!(self.others, ",\"{}\":{value}", field.name());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        _ = write!(self.others, ",\"{}\":{value}", field.name());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        _ = write!(self.others, ",\"{}\":{value}", field.name());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_whatever_stands_in_it() {
        let made = line("WARN", "ev\"ent\n", "n\\1", |out| {
            out.push_str(",\"msg\":");
            put(out, "a \u{1} b \\ ü");
        });
        assert!(made.ends_with("}\n") && made.lines().count() == 1);
        let parsed: serde_json::Value = serde_json::from_str(&made).unwrap();
        assert_eq!((&parsed["event"], &parsed["msg"]), (&"ev\"ent\n".into(), &"a \u{1} b \\ ü".into()));
        assert_eq!(parsed["node"], "n\\1");
    }
}
