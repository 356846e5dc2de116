//! Who a certificate speaks for: the URI `crosstie://<cluster id, 32 hex digits>/<node id>` among its names.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::CertificateDer;

use crate::{ClusterId, NodeId};

const SCHEME: &str = "crosstie://";

/// One node of one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cluster: ClusterId,
    pub node: NodeId,
}

impl Identity {
    /// What a certificate says; in words, why it names no node.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Identity, String> {
        let parsed = webpki::EndEntityCert::try_from(certificate)
            .map_err(|error| format!("the certificate cannot be read ({error})"))?;
        let mut ours = parsed.valid_uri_names().filter(|name| name.starts_with(SCHEME));
        let name = ours.next().ok_or("the certificate names no node: it has no URI crosstie://CLUSTER/NODE")?;
        match ours.next() {
            None => name.parse(),
            Some(other) => Err(format!("the certificate names two nodes, {name} and {other}")),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{:032x}/{}", self.cluster, self.node)
    }
}

impl FromStr for Identity {
    type Err = String;

    /// Only the very text that [`Identity`] writes: two texts never mean one node.
    fn from_str(text: &str) -> Result<Identity, String> {
        let parse = || {
            let (cluster, node) = text.strip_prefix(SCHEME)?.split_once('/')?;
            let cluster = ClusterId::from_str_radix(cluster, 16).ok()?;
            let identity = Identity { cluster, node: node.parse().ok()? };
            (identity.node != 0 && identity.to_string() == text).then_some(identity)
        };
        parse().ok_or_else(|| format!("{text:?} names no node, as crosstie://CLUSTER/NODE would"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_per_node() {
        let node = Identity { cluster: 0xabc, node: 7 };
        assert_eq!(node.to_string(), "crosstie://00000000000000000000000000000abc/7");
        assert_eq!(node.to_string().parse(), Ok(node));
        let zeros = "0".repeat(29);
        for wrong in ["abc/7", "{}ABC/7", "{}abc/07", "{}abc/+7", "{}abc/0", "{}abc/", "{}abc", "{}abc/7/", "{}abc/7?"]
        {
            let text = format!("{SCHEME}{}", wrong.replace("{}", &zeros));
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
    }
}
