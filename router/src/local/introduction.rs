//! What `crosstie local up` says first: where everything is, and what to try.

use std::path::{Path, PathBuf};

use super::cluster::Cluster;
use super::place::Place;
use super::plan::Seat;
use crate::cli::LOCAL_DIRECTORY;

/// Nodes, roads, commands for other shells.
pub(super) fn introduce(cluster: &Cluster, directory: &Path) -> String {
    nodes(cluster)
        + &roads(cluster.place())
        + &commands(cluster.place(), directory)
        + "Ctrl-C, or crosstie local down, stops all in good order; the data stays, and --fresh begins anew."
}

fn nodes(cluster: &Cluster) -> String {
    let place = cluster.place();
    let line = |seat: &Seat| {
        let address = place.address(seat.node).filter(|_| !seat.is_witness);
        let address = address.map_or("serves no participants".into(), |address| format!("participants at {address}"));
        let pid = cluster.ready(seat.node).map_or(0, |(ready, _)| ready.pid);
        let (kind, admin) = (seat.kind(), place.admin(seat.node));
        let console =
            place.console(seat.node).map_or_else(String::new, |address| format!("console http://{address} · "));
        format!(
            "  node {} · {} · {kind} · {address} · process {pid}\n    {console}admin socket {}\n",
            seat.node,
            seat.region,
            admin.display()
        )
    };
    place.plan().seats.iter().map(line).collect()
}

fn roads(place: &Place) -> String {
    let plan = place.plan();
    let first = |region: &str| plan.seats.iter().find(|seat| seat.region == region).map_or(0, |seat| seat.node);
    let pairs = plan.pairs();
    let road = |(one, other): &(&str, &str)| format!("{one} – {other} {:?}", plan.round_trip(first(one), first(other)));
    let roads: Vec<String> = pairs.iter().map(road).collect();
    format!("  simulated regions, same host; there and back the proxies take: {}\n", roads.join(", "))
}

fn commands(place: &Place, directory: &Path) -> String {
    let plan = place.plan();
    let own = std::env::args().next().unwrap_or_else(|| "crosstie".into());
    let there = match directory == Path::new(LOCAL_DIRECTORY) {
        true => String::new(),
        false => format!(" --dir {}", directory.display()),
    };
    let serving = plan.seats.iter().filter(|seat| !seat.is_witness).filter_map(|seat| place.address(seat.node));
    let serving: Vec<String> = serving.map(|address| address.to_string()).collect();
    let count: u32 = plan.stakes.iter().map(|stake| stake.count).sum();
    let (first, last) = (&serving[0], &serving[serving.len() - 1]);
    let regions = plan.regions();
    let (near, far) = (regions[0], regions[regions.len() - 1]);
    let local = |what: String| format!("{own} local {what}{there}");
    let data = shown(&place.data(1)).display().to_string();
    let targets: String = serving.iter().map(|address| format!(" --target {address}")).collect();
    let (loadgen, runs) = (Path::new(&own).with_file_name("crosstie-loadgen"), shown(directory).join("load"));
    let load = format!(
        "{} run{targets} --participants {count} --rate 500/s --for 30s --out {runs} --feeds {runs}/feeds",
        loadgen.display(),
        runs = runs.display()
    );
    let lines = [
        ("a bank that says yes to whole amounts", format!("cargo run -p wire --example bank -- {last} BANK-0002")),
        ("pay it, by another node", format!("cargo run -p wire --example pay -- {first} BANK-0001 BANK-0002 12.00")),
        ("load, after the bank has ended", load),
        ("the cluster, as node 1 sees it", format!("{own} cluster status --data {data}")),
        ("processes and roads", local("status".into())),
        ("SIGKILL", local("kill 1".into())),
        ("and back", local("start 1".into())),
        ("a region cut off", local(format!("partition {near}"))),
        ("and healed", local("heal".into())),
        ("farther apart", local(format!("delay {near} {far} 200ms"))),
    ];
    let lines: String = lines.iter().map(|(what, command)| format!("  {command}    # {what}\n")).collect();
    format!("try, in other shells here:\n{lines}")
}

/// Short when it lies below the working directory.
fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).map_or_else(|_| path.into(), Path::to_path_buf)
}
