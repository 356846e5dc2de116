//! The nodes that a GoAway names: `HOST:PORT`, with commas between, as many as fit.

use crate::{Error, Result};

/// Characters of the whole list.
pub const NODES_LENGTH_MAX: usize = 1024;
pub const NODES_MAX: usize = 16;

/// Whether a client can be sent there: a host of printable ASCII without blank and comma, a colon, a port from 1 to 65535.
pub fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    let is_port = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    is_host && is_port && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Makes a list of as many addresses as it may hold; none of none.
pub fn list<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut list = String::new();
    for address in addresses.into_iter().filter(|address| is_address(address)).take(NODES_MAX) {
        if list.len() + 1 + address.len() <= NODES_LENGTH_MAX {
            list += if list.is_empty() { "" } else { "," };
            list += address;
        }
    }
    Some(list).filter(|list| !list.is_empty())
}

pub(crate) fn check(nodes: Option<&str>, field: &'static str) -> Result<()> {
    let Some(nodes) = nodes else { return Ok(()) };
    if nodes.len() > NODES_LENGTH_MAX || nodes.split(',').count() > NODES_MAX {
        return Err(Error::field_is(
            field,
            format!("names at most {NODES_MAX} nodes in {NODES_LENGTH_MAX} characters"),
        ));
    }
    match nodes.split(',').find(|address| !is_address(address)) {
        Some(wrong) => Err(Error::field_is(field, format!("{wrong:?} is no HOST:PORT"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_address() {
        for (text, expected) in [
            ("127.0.0.1:7800", true),
            ("[::1]:7800", true),
            ("north.example:1", true),
            ("north:65535", true),
            ("north:65536", false),
            ("north:0", false),
            ("north:+1", false),
            ("north:", false),
            (":7800", false),
            ("7800", false),
            ("", false),
            ("no rth:1", false),
            ("nörth:1", false),
            ("a,b:1", false),
        ] {
            assert_eq!(is_address(text), expected, "{text}");
        }
    }

    #[test]
    fn a_list_holds_what_fits_and_passes_its_own_check() {
        assert_eq!(list([]), None);
        assert_eq!(list(["nothing"]), None);
        assert_eq!(list(["a:1", "wrong", "b:2"]).as_deref(), Some("a:1,b:2"));
        let long = format!("{}:1", "h".repeat(200));
        for addresses in [vec![long.as_str(); 20], vec!["a:1"; 20]] {
            let made = list(addresses).expect("some");
            assert_eq!(check(Some(&made), "nodes"), Ok(()));
        }
        let too_many = vec!["a:1"; 17].join(",");
        for wrong in ["", ",", "a:1,", "a:1,,b:2", too_many.as_str(), "a:1\n"] {
            assert!(check(Some(wrong), "nodes").is_err(), "{wrong:?}");
        }
    }
}
