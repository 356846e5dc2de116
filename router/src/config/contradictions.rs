//! Values that are fine alone and wrong together.

use super::Config;
use super::units::{show_bytes as bytes, show_length as length};

/// Which setting to change, and to what.
pub(super) fn contradictions(config: &Config) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let Config { listen, log, scheme, .. } = config;
    if scheme.creditor_share >= scheme.payment_timeout {
        let what = format!(
            "scheme.creditor_share = {:?} leaves nothing of scheme.payment_timeout = {:?}: make it less, for example half",
            length(scheme.creditor_share),
            length(scheme.payment_timeout)
        );
        found.push(("scheme.creditor_share", what));
    }
    if scheme.duplicate_window < scheme.payment_timeout {
        let what = format!(
            "scheme.duplicate_window = {:?} forgets payments that are still in process: make it at least scheme.payment_timeout = {:?}",
            length(scheme.duplicate_window),
            length(scheme.payment_timeout)
        );
        found.push(("scheme.duplicate_window", what));
    }
    let segment_bytes_min = (2 * log.batch_bytes_max + 4096).next_multiple_of(4096);
    if log.segment_bytes < segment_bytes_min {
        let what = format!(
            "log.segment_bytes = {:?} does not hold two batches of log.batch_bytes_max = {:?}: make it at least {:?}, or the batches smaller",
            bytes(log.segment_bytes),
            bytes(log.batch_bytes_max),
            bytes(segment_bytes_min)
        );
        found.push(("log.segment_bytes", what));
    }
    if listen.sign_on_timeout > listen.silence_max {
        let what = format!(
            "listen.sign_on_timeout = {:?} is longer than listen.silence_max = {:?}: make it shorter",
            length(listen.sign_on_timeout),
            length(listen.silence_max)
        );
        found.push(("listen.sign_on_timeout", what));
    }
    if config.cluster.node > 0 && listen.address.ip().is_unspecified() && listen.advertise.is_empty() {
        let what = format!(
            "listen.address = \"{}\" tells no participant where this node is: set listen.advertise to a HOST:PORT at which they reach it",
            listen.address
        );
        found.push(("listen.advertise", what));
    }
    found.extend(cluster(config));
    let socket = config.socket();
    let socket_bytes = socket.as_os_str().len();
    if socket_bytes > 107 {
        let what = format!(
            "the path of the admin socket, {}, has {socket_bytes} bytes; the system takes 107: set admin.socket to a shorter one",
            socket.display()
        );
        found.push(("admin.socket", what));
    }
    found
}

fn cluster(config: &Config) -> Option<(&'static str, String)> {
    let Config { cluster, members, .. } = config;
    let joins = cluster.join == "yes";
    let is_listed = members.iter().any(|member| member.id == cluster.node);
    let what = match cluster.node {
        0 if !members.is_empty() || joins => {
            "there are other nodes, but cluster.node is 0, a node alone: give this node its number".into()
        }
        0 => return None,
        node if !joins && !is_listed => {
            format!("node {node} is not among [[members]]: list all nodes the cluster begins with, or join one: cluster.join = \"yes\"")
        }
        node if joins && !members.is_empty() => {
            format!("node {node} joins a cluster, which tells it its members: remove [[members]]")
        }
        _ if [&cluster.ca, &cluster.certificate, &cluster.key].iter().any(|path| path.as_os_str().is_empty()) => {
            "a node among others needs cluster.ca, cluster.certificate and cluster.key: crosstie pki init, then crosstie pki issue".into()
        }
        _ => return None,
    };
    Some(("cluster.node", what))
}
