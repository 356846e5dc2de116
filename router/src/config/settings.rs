//! The table of all settings. From it come the structs that the program reads, what a file may say, the names of
//! environment variables, and the example file: one place to add a setting.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Seed;
use super::kinds::{
    Address, Bytes, Choice, Collector, Count, DayRoll, HostPort, Hosts, Kind, Length, Name, OptionalAddress, Place,
    Routes, Share, TimeOfDay,
};

/// One setting, as text.
pub struct Setting {
    pub section: &'static str,
    pub key: &'static str,
    pub default: &'static str,
    /// A line each, with a blank in front.
    pub meaning: &'static str,
    /// A file has it as a bare number.
    pub is_number: bool,
    pub bounds: fn() -> String,
    pub apply: fn(&mut Config, &str) -> Result<(), String>,
    pub show: fn(&Config) -> String,
}

macro_rules! settings {
    ($(
        #[doc = $about:literal]
        $section:ident: $Section:ident {
            $( $(#[doc = $meaning:literal])+ $key:ident: $Value:ty = $kind:expr => $default:literal; )+
        }
    )+) => {
        $(
            #[doc = $about]
            #[derive(Clone, Debug, PartialEq)]
            pub struct $Section { $( $(#[doc = $meaning])+ pub $key: $Value, )+ }
        )+

        /// All settings of a node.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $( #[doc = $about] pub $section: $Section, )+
            /// Taken in at start unless they are registered.
            pub participants: Vec<Seed>,
            /// The nodes that the cluster begins with.
            pub members: Vec<persistence::Member>,
        }

        /// Sections and what each is about, in order.
        pub const SECTIONS: &[(&str, &str)] = &[$((stringify!($section), $about)),+];

        /// Every setting, in order.
        pub const SETTINGS: &[Setting] = &[$($(Setting {
            section: stringify!($section),
            key: stringify!($key),
            default: $default,
            meaning: concat!($($meaning, "\n"),+),
            is_number: is_number(&$kind),
            bounds: || $kind.describe(),
            apply: |config, text| {
                config.$section.$key = $kind.parse(text)?;
                Ok(())
            },
            show: |config| $kind.show(&config.$section.$key),
        }),+),+];

        impl Default for Config {
            fn default() -> Config {
                Config {
                    $($section: $Section { $($key: $kind.parse($default).expect("a default within its bounds")),+ },)+
                    participants: Vec::new(),
                    members: Vec::new(),
                }
            }
        }
    };
}

const fn is_number<K: Kind>(_: &K) -> bool {
    K::IS_NUMBER
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

settings! {
    /// Who this node is.
    node: Node {
        /// Its name: told to participants at sign-on, written in the ready line.
        name: String = Name => "n1";
        /// What it is for: shown on every page, so that nobody mistakes one for another.
        environment: String = Choice(&["dev", "uat", "cert", "prod"]) => "dev";
    }
    /// The other nodes, listed under [[members]]. Between nodes everything is encrypted, and each proves who it is.
    cluster: Cluster {
        /// The number of this node among the members, never given to another one; 0 is a node alone.
        node: u64 = Count(0, 4_294_967_295) => "0";
        /// Where other nodes connect.
        listen: SocketAddr = Address => "127.0.0.1:7900";
        /// Certificate of the cluster's authority (`crosstie pki init`).
        ca: PathBuf = Place { may_be_empty: true } => "";
        /// Certificate of this node (`crosstie pki issue`).
        certificate: PathBuf = Place { may_be_empty: true } => "";
        /// Its private key.
        key: PathBuf = Place { may_be_empty: true } => "";
        /// Nodes that are reached from here elsewhere than at the address that all members know: tunnels, translated networks.
        routes: BTreeMap<u64, String> = Routes => "";
        /// True on a node that joins a cluster that exists: it waits until `crosstie cluster add` names it, and no [[members]] are listed.
        join: String = Choice(&["no", "yes"]) => "no";
    }
    /// Where participants connect. The sessions are not encrypted: keep them on loopback or inside a protected network.
    listen: Listen {
        /// Where participants connect.
        address: SocketAddr = Address => "127.0.0.1:7800";
        /// Where participants reach this node, as other nodes tell those whom they send away; empty: listen.address.
        advertise: String = HostPort => "";
        /// Connections at most, signed on or not.
        connections_max: u64 = Count(1, 100_000) => "4096";
        /// Instructions of one session that may be outstanding; when it is used up, its socket is no longer read.
        window: u64 = Count(1, 65_536) => "1024";
        /// A connection that says nothing for so long is closed. Clients send a heartbeat every third of it.
        silence_max: Duration = Length(ms(100), ms(HOUR)) => "30s";
        /// A connection that has not signed on after so long is closed.
        sign_on_timeout: Duration = Length(ms(10), ms(HOUR)) => "5s";
        /// Room for one read from a socket.
        read_bytes: u64 = Bytes(16 * KIB, 16 * MIB, 1) => "64KiB";
    }
    /// The write-ahead log: everything that ever happened.
    log: Log {
        /// Where the log is kept; created if absent. One node per directory.
        directory: PathBuf = Place { may_be_empty: false } => "crosstie-data";
        /// Size of one file of the log, set aside in full. At least twice batch_bytes_max, and 4KiB.
        segment_bytes: u64 = Bytes(64 * KIB, 4096 * MIB - 4096, 4096) => "64MiB";
        /// Most that is committed by one sync.
        batch_bytes_max: u64 = Bytes(16 * KIB, 1024 * MIB, 1) => "8MiB";
        /// Log behind the newest snapshot that is kept, for feeds that are far behind and for audits.
        retained_bytes_max: u64 = Bytes(0, 1024 * TIB, 1) => "4GiB";
        /// A snapshot is taken each time so much has been committed. Less makes a restart faster.
        snapshot_every_bytes: u64 = Bytes(64 * KIB, 1024 * TIB, 1) => "1GiB";
        /// With less than this free on the file system new payments are refused with FULL; those in process finish.
        free_bytes_min: u64 = Bytes(0, 1024 * TIB, 1) => "1GiB";
        /// How long the journal looks for more work before it sleeps. Waking it costs about 40us.
        spin: Duration = Length(ms(0), ms(10)) => "50us";
        /// real: nobody hears of what is not on the disk. none: for measurements only; a power loss loses acknowledged payments.
        sync: String = Choice(&["real", "none"]) => "real";
    }
    /// The scheme's clocks and bounds: the same on every node of a switch, and told to participants.
    scheme: Scheme {
        /// The payment's clock: from its own timestamp to its end.
        payment_timeout: Duration = Length(ms(100), ms(HOUR)) => "10s";
        /// What must be left of it when the creditor agent is asked. Less than payment_timeout.
        creditor_share: Duration = Length(ms(10), ms(HOUR)) => "5s";
        /// How far a timestamp may lie in the future.
        skew_max: Duration = Length(ms(0), ms(HOUR)) => "1s";
        /// How long a UETR is remembered; an instruction with an older timestamp is refused. Costs memory: about 90 bytes
        /// per payment in it. At least payment_timeout.
        duplicate_window: Duration = Length(ms(SECOND), ms(30 * 24 * HOUR)) => "48h";
        /// Most that one payment may move, in minor units (cents) of any currency.
        payment_minor_max: u64 = Count(1, 999_999_999_999_999_999) => "1000000000";
        /// Payments that one debtor agent may have in process.
        in_flight_max: u64 = Count(1, 1_000_000) => "65536";
        /// Payments accepted without posting that one creditor agent may leave unresolved.
        unposted_max: u64 = Count(0, 10_000_000) => "100000";
        /// When the business date rolls: every day at this time, or only by `crosstie day roll`. Before noon it becomes the
        /// date of that day, from noon on the date of the day after.
        day_roll: DayRoll = TimeOfDay => "00:00";
    }
    /// How the work is divided.
    actors: Actors {
        /// Participants that share one actor. One is simplest; more make larger batches when participants are many.
        participants_per_actor: u64 = Count(1, 4096) => "1";
        /// Notices of one participant kept in memory; older ones are read from the log.
        feed_tail_bytes_max: u64 = Bytes(64 * KIB, 1024 * MIB, 1) => "4MiB";
    }
    /// Ended payments on disk: findable when memory has forgotten them. Made from the log, and made anew from it if lost.
    archive: Archive {
        /// Where they are kept; empty: `archive` in log.directory.
        directory: PathBuf = Place { may_be_empty: true } => "";
        /// How much of them is kept; the oldest go first. About 128 bytes per payment.
        retained_bytes_max: u64 = Bytes(0, 1024 * TIB, 1) => "64GiB";
    }
    /// The local socket on which `crosstie status` and the other commands for operators reach the node.
    admin: Admin {
        /// Where it is; empty: `admin.sock` in log.directory. At most 107 bytes long.
        socket: PathBuf = Place { may_be_empty: true } => "";
    }
    /// The page for operators, and health and metrics for machines, over HTTP. Not encrypted: on loopback, or behind a proxy with TLS.
    ops: Ops {
        /// Where it listens. If another program has the address, the node runs without.
        address: Option<SocketAddr> = OptionalAddress => "127.0.0.1:7880";
        /// Names by which browsers know the page besides localhost and addresses: those of a proxy.
        hosts: Vec<String> = Hosts => "";
        /// Who may sign in (`crosstie operator add`); empty: `operators.toml` in log.directory. While there is no such file, whoever
        /// is on this machine may look, and nobody may change anything.
        operators: PathBuf = Place { may_be_empty: true } => "";
        /// Whether `/metrics`, for which nobody signs in, names payments by exemplars. loopback: where address is on loopback and
        /// there are no hosts. always: to whoever reaches it.
        exemplars: String = Choice(&["loopback", "always"]) => "loopback";
    }
    /// What an operator may do alone. Every change stands in the audit trail: `crosstie audit log`.
    operators: Operators {
        /// none: one operator is enough. money: fund, defund and limit wait for `crosstie task approve` by another one. The same on
        /// every node.
        second_person: String = Choice(&["none", "money"]) => "none";
        /// How long such a change waits before it expires.
        task_timeout: Duration = Length(ms(SECOND), ms(30 * 24 * HOUR)) => "24h";
    }
    /// Stopping and draining in good order.
    drain: Drain {
        /// How long payments in process may take to end before a node alone stops without them; they go on at its next start.
        deadline: Duration = Length(ms(0), ms(HOUR)) => "15s";
        /// Over how long a node among others sends its participants to those, a few at a time.
        spread: Duration = Length(ms(0), ms(HOUR)) => "2s";
    }
    /// Log lines on stderr, as JSON. The environment variable RUST_LOG overrides the level in detail.
    logs: Logs {
        /// Least level that is written.
        level: String = Choice(&["error", "warn", "info", "debug", "trace"]) => "info";
        /// Lines that may wait for whoever reads stderr; what comes on top is dropped and counted.
        queue: u64 = Count(1, 1_000_000) => "8192";
    }
    /// A trace of each payment for a collector of OpenTelemetry (OTLP by HTTP); its trace id is the UETR. The same on every node.
    traces: Traces {
        /// Where the collector takes them: `/v1/traces` is appended. Empty: none are made.
        endpoint: String = Collector => "";
        /// Payments that are kept besides those that are slow, rejected or timed out: the same ones on every node.
        share: u32 = Share => "1%";
        /// A payment is slow that takes so long from its first decision to its last.
        slow: Duration = Length(ms(0), ms(HOUR)) => "1s";
        /// Spans sent in one request at most.
        batch: u64 = Count(1, 10_000) => "512";
        /// Spans that may wait for the collector; what comes on top is dropped and counted.
        queue: u64 = Count(1, 1_000_000) => "16384";
        /// How long the collector may take for one request.
        timeout: Duration = Length(ms(10), ms(60 * SECOND)) => "5s";
    }
}

impl Setting {
    /// As people name it.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("CROSSTIE_{}_{}", self.section.to_uppercase(), self.key.to_uppercase())
    }

    /// Its value as a file has it.
    pub fn literal(&self, value: &str) -> String {
        if self.is_number { value.into() } else { toml::Value::String(value.into()).to_string() }
    }
}

/// The setting of that section and key.
pub(super) fn find(section: &str, key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.section == section && setting.key == key)
}
