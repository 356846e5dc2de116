//! A cluster's certificate authority, and the certificates by which its nodes know each other.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use peers::pki::{self, Description, Files, Request};
use peers::{ClusterId, NodeId};
use serde_json::{Value, json};
use wire::Timestamp;

use super::examples;
use super::output::{Output, Table};
use crate::exit::{Exit, Failure};

/// For the help of each subcommand.
const USE: &str = "\
These certificates are for development and small clusters: the authority's key lies in a file, and a certificate ends \
by its date alone. In production let your own authority issue one per node, for server and client authentication, with \
the URI crosstie://CLUSTER/NODE among its names (CLUSTER: 32 hex digits, NODE: decimal).

";

fn explained(lines: &str) -> String {
    format!("{USE}{}", examples(lines))
}

#[derive(Subcommand)]
pub(super) enum Pki {
    /// Make the authority of a new cluster: ca.pem, ca.key
    #[command(after_help = explained("crosstie pki init --dir pki\n  crosstie pki init --dir pki --json | jq -r .cluster"))]
    Init(Init),
    /// Make certificate and key of one node: node-1.pem, node-1.key
    #[command(after_help = explained("crosstie pki issue --dir pki --node 1 --name node1.example\n  crosstie pki issue --dir pki --node 1 --renew"))]
    Issue(Issue),
    /// What certificates say; ends with 1 when one is not valid now
    #[command(after_help = explained("crosstie pki show pki/ca.pem pki/node-1.pem"))]
    Show(Show),
}

#[derive(Args)]
pub(super) struct Init {
    /// Directory of the authority; created if absent
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The cluster's id instead of a random one
    #[arg(long, value_name = "HEX", value_parser = parse_cluster)]
    cluster: Option<ClusterId>,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
pub(super) struct Issue {
    /// Directory of the authority
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The node's id, from 1; never used again for another node
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    node: NodeId,
    /// A host name or address of the node, for other programs; can be given several times
    #[arg(long, value_name = "HOST")]
    name: Vec<String>,
    /// How long it is valid
    #[arg(long, value_name = "DAYS", default_value = "365", value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Replace the certificate and the key that are there
    #[arg(long)]
    renew: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
pub(super) struct Show {
    /// Certificates in PEM
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    output: Output,
}

impl Pki {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self {
            Pki::Init(init) => {
                let (cluster, files) = pki::init(&init.dir, init.cluster).map_err(|error| Failure::from(&error))?;
                let cluster = format!("{cluster:032x}");
                let exit = made(init.output, vec![("cluster", cluster)], &files)?;
                talk!(
                    "next:  crosstie pki issue --dir {} --node 1; keep ca.key away from the nodes",
                    init.dir.display()
                );
                Ok(exit)
            }
            Pki::Issue(Issue { dir, node, name, days, renew, output }) => {
                let request = Request { node, names: name, days, renews: renew };
                let (identity, files) = pki::issue(&dir, &request).map_err(|error| Failure::from(&error))?;
                made(output, vec![("node", identity.node.to_string()), ("identity", identity.to_string())], &files)
            }
            Pki::Show(show) => show.run(),
        }
    }
}

fn made(output: Output, mut told: Vec<(&str, String)>, files: &Files) -> Result<Exit, Failure> {
    told.push(("certificate", files.certificate.display().to_string()));
    told.push(("key", files.key.display().to_string()));
    let value = Value::Object(told.iter().map(|(name, text)| (name.to_string(), json!(text))).collect());
    output.show(&value, || {
        let mut table = Table::default();
        told.into_iter().for_each(|(name, text)| table.row([name.to_string(), text]));
        Ok(table)
    })
}

impl Show {
    fn run(self) -> Result<Exit, Failure> {
        let now = SystemTime::now();
        let mut all = Vec::new();
        for file in &self.files {
            let read = pki::describe(file).map_err(|error| Failure::from(&error))?;
            all.extend(read.into_iter().map(|one| (file.display().to_string(), one)));
        }
        let are_valid = all.iter().all(|(_, one)| (one.not_before..one.not_after).contains(&now));
        let value = Value::Array(all.iter().map(|(file, one)| entry(file, one)).collect());
        self.output.show(&value, || {
            let mut table = Table::new(&["FILE", "SPEAKS FOR", "ISSUED BY", "VALID FROM", "VALID UNTIL", "DAYS LEFT"]);
            for (file, one) in all {
                let left = one.not_after.duration_since(now).unwrap_or_default().as_secs() / (24 * 3600);
                let speaks_for = speaks_for(&one);
                let (from, until) = (moment(one.not_before), moment(one.not_after));
                table.row([file, speaks_for, one.issuer, from, until, left.to_string()]);
            }
            Ok(table)
        })?;
        Ok(if are_valid { Exit::Done } else { Exit::No })
    }
}

fn speaks_for(one: &Description) -> String {
    match one.identity {
        Some(identity) => identity.to_string(),
        None if one.is_authority => format!("the authority {}", one.subject),
        None => format!("no node ({})", one.subject),
    }
}

fn entry(file: &str, one: &Description) -> Value {
    json!({
        "file": file,
        "subject": one.subject,
        "issuer": one.issuer,
        "authority": one.is_authority,
        "cluster": one.identity.map(|identity| format!("{:032x}", identity.cluster)),
        "node": one.identity.map(|identity| identity.node),
        "names": one.names,
        "not_before": moment(one.not_before),
        "not_after": moment(one.not_after),
    })
}

/// To the second, as certificates have it.
fn moment(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::default().plus(since).to_string().replace(".000000", "")
}

fn parse_cluster(text: &str) -> Result<ClusterId, String> {
    let hex = text.replace('-', "");
    let is_hex = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parsed = ClusterId::from_str_radix(&hex, 16);
    parsed.ok().filter(|_| is_hex).ok_or_else(|| "a cluster id is 32 hex digits, as a UUID has".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_id_is_read_as_hex_or_as_a_uuid() {
        let id = 0x7b0e_0d4c_52f3_4a3e_9c7e_0a1b_2c3d_4e5f;
        for text in ["7b0e0d4c52f34a3e9c7e0a1b2c3d4e5f", "7B0E0D4C-52F3-4A3E-9C7E-0A1B2C3D4E5F"] {
            assert_eq!(parse_cluster(text), Ok(id));
        }
        for text in ["", "7b0e", "+b0e0d4c52f34a3e9c7e0a1b2c3d4e5f", "7b0e0d4c52f34a3e9c7e0a1b2c3d4e5f0"] {
            assert!(parse_cluster(text).is_err(), "{text}");
        }
    }
}
