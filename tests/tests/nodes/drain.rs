//! The leader's node is drained under load, then another one is stopped: nothing fails, and nobody waits for long. The
//! audit trail tells of it on every node.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{directory, load, outcome_of, program, seconds, setup, until_ready};
use tests::cluster::Cluster;

/// On a busy machine; `tests/bench` holds it to 300 ms.
const GAP_MAX: Duration = Duration::from_secs(2);

/// Of a time such as 2026-11-23T14:02:11.000310Z. A run over midnight would show a gap that was none.
fn nanosecond_of_day(time: &str) -> u64 {
    let clock = time.split_once('T').unwrap().1.trim_end_matches('Z');
    let seconds = clock.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap());
    (seconds * 1e9) as u64
}

/// Between two final outcomes, and between a payment and its outcome: the longest of each.
fn longest(journal: &Path) -> (Duration, Duration) {
    let text = std::fs::read_to_string(journal).unwrap();
    let (mut last, mut sent) = (None, HashMap::new());
    let (mut gap, mut wait) = (0, 0);
    for line in text.lines() {
        let mut words = line.split(' ');
        let (at, event, uetr) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let at = nanosecond_of_day(at);
        match event {
            "sent" => _ = sent.entry(uetr).or_insert(at),
            "final" => {
                gap = gap.max(at.saturating_sub(last.replace(at).unwrap_or(at)));
                wait = wait.max(at.saturating_sub(sent[uetr]));
            }
            _ => {}
        }
    }
    (Duration::from_nanos(gap), Duration::from_nanos(wait))
}

#[tokio::test]
async fn a_drained_leader_leaves_no_gap() -> Result<(), String> {
    let directory = directory();
    let mut cluster = Cluster::start(program(), directory.path(), 3, &setup()).await?;
    let first = until_ready(&cluster).await?;
    let journal = directory.path().join("load.journal");
    let paying = load(&cluster, &[1, 2, 3], Duration::from_secs(14), Some(journal.clone()));
    seconds(3).await;

    let drained = cluster.ask(first, &["node", "drain"])?;
    assert_eq!(drained["elsewhere"].as_array().map(Vec::len), Some(2), "{drained}");
    let status = cluster.ask(first, &["status"])?;
    assert_eq!((&status["closed"], &status["sessions"]), (&"drained".into(), &0.into()), "{status}");
    let second = cluster.leader_seen_by(first % 3 + 1).await?;
    assert_ne!(second, first);
    let shown = cluster.ask(second, &["cluster", "status"])?;
    assert_eq!(shown["members"][first as usize - 1]["serves"], "drained", "{shown}");

    // The next leader does not hand over to the drained node, though that one has all of the log.
    let third = 6 - first - second;
    cluster.ask(second, &["node", "step-down"])?;
    assert_eq!(cluster.leader_seen_by(third).await?, third);
    // Among the other two there is one that serves; with that drained as well there would be nobody.
    cluster.ask(second, &["node", "drain"])?;
    let refused = cluster.ask(third, &["node", "drain"]).unwrap_err();
    assert!(refused.contains("nowhere to send"), "{refused}");

    for node in [first, second] {
        let undrained = cluster.ask(node, &["node", "undrain"])?;
        assert!(undrained["closed"].is_null(), "{undrained}");
    }
    cluster
        .until(|cluster| {
            let shown = cluster.ask(third, &["cluster", "status"])?;
            let open = |one: &serde_json::Value| one["serves"].as_str().is_some_and(|text| text.contains(':'));
            Ok(shown["members"].as_array().is_some_and(|all| all.iter().all(open)).then_some(()))
        })
        .await?;

    // In good order a leader's node also stops without a gap.
    let process = cluster.process_id(third).unwrap();
    assert!(Command::new("kill").args(["-TERM", &process.to_string()]).status().unwrap().success());
    cluster.until(|cluster| Ok(cluster.diary(third).contains("\"event\":\"stopped\"").then_some(()))).await?;
    cluster.start_node(third).await?;

    let outcome = outcome_of(paying).await;
    let (gap, wait) = longest(&journal);
    println!("longest gap between outcomes {gap:?}, longest wait for one {wait:?}; {:?}", outcome.check);
    assert!(gap < GAP_MAX && wait < GAP_MAX, "longest gap {gap:?}, longest wait {wait:?}");
    cluster.at_rest().await?;

    // Every node tells the same of who did what where, whoever led then.
    let log = cluster.ask(first, &["audit", "log"])?;
    // Participants of the configuration, and a node that was told to stop by the system, have theirs besides.
    let (own, all): (Vec<_>, Vec<_>) = log.as_array().unwrap().iter().partition(|one| one["origin"] == "node");
    assert_eq!(own.iter().filter(|one| one["node"] == third && one["action"] == "stop").count(), 1, "{log}");
    let came = |node: u64, action: &str| {
        let is_it = |one: &&serde_json::Value| one["node"] == node && one["action"] == action;
        all.iter().copied().filter(is_it).map(|one| one["outcome"].as_str().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!((came(first, "drain"), came(first, "undrain")), (vec!["done"], vec!["done"]), "{log}");
    assert_eq!((came(second, "step_down"), came(second, "drain")), (vec!["done"], vec!["done"]), "{log}");
    assert_eq!((came(third, "drain"), all.len()), (vec!["refused"], 6), "{log}");
    for node in [second, third] {
        assert_eq!(cluster.ask(node, &["audit", "verify"])?, cluster.ask(first, &["audit", "verify"])?);
    }

    // Where nobody leads it is done all the same, and told to the others when somebody does, once.
    [first, second].iter().for_each(|node| cluster.kill(*node));
    cluster.ask(third, &["node", "undrain"])?;
    cluster.until(|cluster| Ok(cluster.diary(third).contains("\"event\":\"audit_entry_waits\"").then_some(()))).await?;
    for node in [first, second] {
        cluster.start_node(node).await?;
    }
    let waiting = cluster.log(third).join("audit.waiting");
    cluster.until(|_| Ok((!waiting.exists()).then_some(()))).await?;
    cluster.at_rest().await?;
    let log = cluster.ask(first, &["audit", "log", "--action", "undrain"])?;
    let of_third = log.as_array().unwrap().iter().filter(|one| one["node"] == third).count();
    assert_eq!(of_third, 1, "{log}");
    Ok(())
}
