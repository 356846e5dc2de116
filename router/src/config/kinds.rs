//! What a setting can hold: how its text is read, written and bounded.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::units::{parse_bytes, parse_length, show_bytes, show_length};

/// A kind of value. Text in, value out, and what may stand there.
pub(super) trait Kind {
    type Value;
    /// True when a file has it as a bare number.
    const IS_NUMBER: bool = false;
    fn parse(&self, text: &str) -> Result<Self::Value, String>;
    fn show(&self, value: &Self::Value) -> String;
    /// Unit and bounds, for people.
    fn describe(&self) -> String;
}

fn within<T: PartialOrd + Copy>(value: T, min: T, max: T, text: &str, show: impl Fn(T) -> String) -> Result<T, String> {
    if value < min || value > max {
        return Err(format!("{text:?} is out of bounds: from {} to {}", show(min), show(max)));
    }
    Ok(value)
}

pub(super) struct Length(pub(super) Duration, pub(super) Duration);

impl Kind for Length {
    type Value = Duration;
    fn parse(&self, text: &str) -> Result<Duration, String> {
        within(parse_length(text)?, self.0, self.1, text, show_length)
    }
    fn show(&self, value: &Duration) -> String {
        show_length(*value)
    }
    fn describe(&self) -> String {
        format!("a length of time in us, ms, s, m, h or d, from {} to {}", show_length(self.0), show_length(self.1))
    }
}

/// Bounds, and what it must be a multiple of.
pub(super) struct Bytes(pub(super) u64, pub(super) u64, pub(super) u64);

impl Kind for Bytes {
    type Value = u64;
    fn parse(&self, text: &str) -> Result<u64, String> {
        let bytes = within(parse_bytes(text)?, self.0, self.1, text, show_bytes)?;
        if !bytes.is_multiple_of(self.2) {
            return Err(format!("{text:?} is no multiple of {}; take {}", show_bytes(self.2), self.round(bytes)));
        }
        Ok(bytes)
    }
    fn show(&self, value: &u64) -> String {
        show_bytes(*value)
    }
    fn describe(&self) -> String {
        let multiple = if self.2 > 1 { format!(", a multiple of {}", show_bytes(self.2)) } else { String::new() };
        format!("bytes in B, KiB, MiB, GiB or TiB, from {} to {}{multiple}", show_bytes(self.0), show_bytes(self.1))
    }
}

impl Bytes {
    fn round(&self, bytes: u64) -> String {
        show_bytes((bytes / self.2 * self.2).max(self.0))
    }
}

pub(super) struct Count(pub(super) u64, pub(super) u64);

impl Kind for Count {
    type Value = u64;
    const IS_NUMBER: bool = true;
    fn parse(&self, text: &str) -> Result<u64, String> {
        let plain = text.replace('_', "");
        let count = plain.parse().map_err(|_| format!("{text:?} is no whole number"))?;
        within(count, self.0, self.1, text, |count| count.to_string())
    }
    fn show(&self, value: &u64) -> String {
        value.to_string()
    }
    fn describe(&self) -> String {
        format!("a whole number from {} to {}", self.0, self.1)
    }
}

pub(super) struct Name;

impl Kind for Name {
    type Value = String;
    fn parse(&self, text: &str) -> Result<String, String> {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        if text.is_empty() || text.len() > 32 || !text.bytes().all(letters) {
            return Err(format!("{text:?} is no name: 1 to 32 letters, digits, hyphens and dots"));
        }
        Ok(text.into())
    }
    fn show(&self, value: &String) -> String {
        value.clone()
    }
    fn describe(&self) -> String {
        "1 to 32 letters, digits, hyphens and dots".into()
    }
}

/// Nodes and where they are reached from here: `2=10.1.0.2:7900,3=tunnel:7903`.
pub(super) struct Routes;

impl Kind for Routes {
    type Value = BTreeMap<u64, String>;
    fn parse(&self, text: &str) -> Result<BTreeMap<u64, String>, String> {
        let mut routes = BTreeMap::new();
        for route in text.split(',').map(str::trim).filter(|route| !route.is_empty()) {
            let wrong = || format!("{route:?} is no route: write for example \"2=10.1.0.2:7900\"");
            let (node, address) = route.split_once('=').ok_or_else(wrong)?;
            let node = node.trim().parse().ok().filter(|node| *node > 0).ok_or_else(wrong)?;
            let has_port = address.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && address.len() <= 255 && port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            if !has_port {
                return Err(wrong());
            }
            if routes.insert(node, address.to_string()).is_some() {
                return Err(format!("node {node} has two routes"));
            }
        }
        Ok(routes)
    }
    fn show(&self, value: &BTreeMap<u64, String>) -> String {
        value.iter().map(|(node, address)| format!("{node}={address}")).collect::<Vec<_>>().join(",")
    }
    fn describe(&self) -> String {
        "empty, or NODE=HOST:PORT with commas between".into()
    }
}

/// Where others find something; empty where that has a meaning.
pub(super) struct HostPort;

impl Kind for HostPort {
    type Value = String;
    fn parse(&self, text: &str) -> Result<String, String> {
        match text.is_empty() || (text.len() <= 255 && wire::nodes::is_address(text)) {
            true => Ok(text.into()),
            false => Err(format!("{text:?} is no host and port such as north.example:7800")),
        }
    }
    fn show(&self, value: &String) -> String {
        value.clone()
    }
    fn describe(&self) -> String {
        "empty, or HOST:PORT of at most 255 bytes".into()
    }
}

/// A collector of OpenTelemetry; empty where there is none.
pub(super) struct Collector;

impl Kind for Collector {
    type Value = String;
    fn parse(&self, text: &str) -> Result<String, String> {
        if text.starts_with("https://") {
            return Err(format!(
                "{text:?} wants TLS, which is not spoken here: run a collector beside the node and name that"
            ));
        }
        let rest = text.strip_prefix("http://").unwrap_or_default();
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte));
        match text.is_empty() || (text.len() <= 255 && is_plain && !host.contains('@') && wire::nodes::is_address(host))
        {
            true => Ok(text.trim_end_matches('/').into()),
            false => Err(format!("{text:?} is no collector such as http://127.0.0.1:4318")),
        }
    }
    fn show(&self, value: &String) -> String {
        value.clone()
    }
    fn describe(&self) -> String {
        "empty, or http://HOST:PORT, with a path or without, of at most 255 bytes".into()
    }
}

/// A part of a whole, in millionths: `1%`, `0.05%`.
pub(super) struct Share;

impl Kind for Share {
    type Value = u32;
    fn parse(&self, text: &str) -> Result<u32, String> {
        let wrong = || format!("{text:?} is no share such as \"1%\" or \"0.05%\"");
        let (whole, part) =
            text.strip_suffix('%').map(|text| text.split_once('.').unwrap_or((text, "0"))).ok_or_else(wrong)?;
        let is_number = |text: &str, length_max| {
            (1..=length_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_number(whole, 3) || !is_number(part, 4) {
            return Err(wrong());
        }
        let millionths = format!("{whole}{part:0<4}").parse().map_err(|_| wrong())?;
        within(millionths, 0, 1_000_000, text, |share| self.show(&share))
    }
    fn show(&self, value: &u32) -> String {
        let text = format!("{}.{:04}", value / 10_000, value % 10_000);
        format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
    fn describe(&self) -> String {
        "a share from 0% to 100%, with up to four decimals".into()
    }
}

pub(super) struct Address;

impl Kind for Address {
    type Value = SocketAddr;
    fn parse(&self, text: &str) -> Result<SocketAddr, String> {
        text.parse().map_err(|_| format!("{text:?} is no address and port such as 127.0.0.1:7800 or [::1]:7800"))
    }
    fn show(&self, value: &SocketAddr) -> String {
        value.to_string()
    }
    fn describe(&self) -> String {
        "an IP address and a port; port 0 takes a free one".into()
    }
}

/// Where a server listens, if it does.
pub(super) struct OptionalAddress;

impl Kind for OptionalAddress {
    type Value = Option<SocketAddr>;
    fn parse(&self, text: &str) -> Result<Option<SocketAddr>, String> {
        if text == "none" { Ok(None) } else { Address.parse(text).map(Some) }
    }
    fn show(&self, value: &Option<SocketAddr>) -> String {
        value.map_or_else(|| "none".into(), |address| address.to_string())
    }
    fn describe(&self) -> String {
        format!("{}; or none", Address.describe())
    }
}

/// Names of hosts, without ports.
pub(super) struct Hosts;

impl Kind for Hosts {
    type Value = Vec<String>;
    fn parse(&self, text: &str) -> Result<Vec<String>, String> {
        let is_host = |name: &str| {
            let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            name.len() <= 253 && name.bytes().all(letters)
        };
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let one = |name: &str| {
            let wrong = || format!("{name:?} is no name of a host such as ops.example");
            Some(name.to_string()).filter(|name| is_host(name)).ok_or_else(wrong)
        };
        names.map(one).collect()
    }
    fn show(&self, value: &Vec<String>) -> String {
        value.join(",")
    }
    fn describe(&self) -> String {
        "empty, or names of hosts without ports, with commas between".into()
    }
}

/// A path; may be empty where that has a meaning.
pub(super) struct Place {
    pub(super) may_be_empty: bool,
}

impl Kind for Place {
    type Value = PathBuf;
    fn parse(&self, text: &str) -> Result<PathBuf, String> {
        if text.is_empty() && !self.may_be_empty {
            return Err("the path is empty".into());
        }
        if text.contains('\0') {
            return Err("a path holds no zero byte".into());
        }
        Ok(text.into())
    }
    fn show(&self, value: &PathBuf) -> String {
        value.to_string_lossy().into_owned()
    }
    fn describe(&self) -> String {
        "a path, taken from the working directory unless it is absolute".into()
    }
}

/// One of a few words.
pub(super) struct Choice(pub(super) &'static [&'static str]);

impl Kind for Choice {
    type Value = String;
    fn parse(&self, text: &str) -> Result<String, String> {
        if !self.0.contains(&text) {
            return Err(format!("{text:?} is none of {}", self.0.join(", ")));
        }
        Ok(text.into())
    }
    fn show(&self, value: &String) -> String {
        value.clone()
    }
    fn describe(&self) -> String {
        format!("one of {}", self.0.join(", "))
    }
}

/// When the business date rolls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayRoll {
    /// Only when an operator says so.
    Manual,
    /// Minutes after midnight, UTC.
    At { minute_of_day: u16 },
}

pub(super) struct TimeOfDay;

impl Kind for TimeOfDay {
    type Value = DayRoll;
    fn parse(&self, text: &str) -> Result<DayRoll, String> {
        if text == "manual" {
            return Ok(DayRoll::Manual);
        }
        let wrong = || format!("{text:?} is neither a time of day such as \"23:00\" (UTC) nor \"manual\"");
        let two_digits = |part: &str, max: u16| {
            let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u16>().ok().filter(|number| digits && *number <= max)
        };
        let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
        let (hour, minute) = two_digits(hour, 23).zip(two_digits(minute, 59)).ok_or_else(wrong)?;
        Ok(DayRoll::At { minute_of_day: hour * 60 + minute })
    }
    fn show(&self, value: &DayRoll) -> String {
        match value {
            DayRoll::Manual => "manual".into(),
            DayRoll::At { minute_of_day } => format!("{:02}:{:02}", minute_of_day / 60, minute_of_day % 60),
        }
    }
    fn describe(&self) -> String {
        "a time of day in UTC, from 00:00 to 23:59, or manual".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day() {
        let at = |minute_of_day| Some(DayRoll::At { minute_of_day });
        for (text, expected) in [
            ("manual", Some(DayRoll::Manual)),
            ("00:00", at(0)),
            ("23:59", at(1439)),
            ("18:30", at(1110)),
            ("24:00", None),
            ("7:30", None),
            ("07:60", None),
            ("+7:30", None),
            ("0730", None),
            ("", None),
        ] {
            assert_eq!(TimeOfDay.parse(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn shares() {
        for (text, expected) in [
            ("0%", Some(0)),
            ("0.0001%", Some(1)),
            ("0.05%", Some(500)),
            ("1%", Some(10_000)),
            ("12.5%", Some(125_000)),
            ("100%", Some(1_000_000)),
            ("100.0001%", None),
            ("0.00001%", None),
            (".5%", None),
            ("1.%", None),
            ("-1%", None),
            ("1", None),
            ("%", None),
            ("", None),
        ] {
            assert_eq!(Share.parse(text).ok(), expected, "{text}");
            assert!(expected.is_none_or(|share| Share.show(&share) == text), "{text}");
        }
    }

    #[test]
    fn collectors() {
        for fine in ["", "http://127.0.0.1:4318", "http://[::1]:4318", "http://collector.example:80/otlp-1/x"] {
            assert_eq!(Collector.parse(fine).as_deref(), Ok(fine));
        }
        for wrong in [
            "127.0.0.1:4318",
            "http://",
            "http://host",
            "ftp://a:1",
            "http://a:1/?x",
            "http://a:1/ü",
            "http://u@a:1/\n",
        ] {
            assert!(Collector.parse(wrong).unwrap_err().contains("http://127.0.0.1:4318"), "{wrong}");
        }
        assert!(Collector.parse("https://a:4318").unwrap_err().contains("TLS"));
    }

    #[test]
    fn bounds_and_multiples_are_named() {
        let error = Bytes(4096, 1 << 20, 4096).parse("5000B").unwrap_err();
        assert!(error.contains("multiple of 4KiB; take 4KiB"), "{error}");
        let error = Count(1, 10).parse("11").unwrap_err();
        assert!(error.contains("from 1 to 10"), "{error}");
        assert_eq!(Count(1, 10_000).parse("1_024"), Ok(1024));
        assert!(Count(0, 10).parse("-1").is_err());
    }
}
