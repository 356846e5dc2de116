//! What operators did stands in a trail that nobody can change unseen.

use serde_json::Value;

use crate::support::{Node, exposed, run};

/// Number, operator, action and outcome of every entry, the oldest first.
fn entries(node: &Node) -> Vec<(u64, String, String, String)> {
    let log = node.ask(&["audit", "log", "--json"]).with(0).json();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_string();
    let read = |entry: &Value| {
        (entry["number"].as_u64().unwrap(), text(entry, "operator"), text(entry, "action"), text(entry, "outcome"))
    };
    log.as_array().unwrap().iter().rev().map(read).collect()
}

#[test]
fn every_change_is_an_entry_and_survives_a_snapshot_and_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(data.path(), &[]);
    let why = ["--currency", "EUR", "--reason", "ticket 7"];
    node.ask(&[&["participant", "register", "BANK-0001"], &why[..]].concat()).with(0);
    node.ask(&[&["participant", "fund", "BANK-0001", "100.00"], &why[..]].concat()).with(0);
    node.ask(&[&["participant", "defund", "BANK-0001", "100.01"], &why[..]].concat()).with(4);
    node.ask(&[&["participant", "fund", "BANK-0002", "1"], &why[..]].concat()).with(5);
    node.ask(&[&["participant", "fund", "BANK-0001", "x"], &why[..]].concat()).with(2);
    node.ask(&["day", "roll", "--reason", "ticket 7"]).with(0);
    node.ask(&["snapshot"]).with(0);
    node.ask(&["node", "drain"]).with(0);
    node.ask(&["node", "undrain"]).with(0);
    node.ask(&["operator", "add", "eve", "--role", "viewer", "--reason", "ticket 7"]).with(0);
    node.ask(&["operator", "remove", "bob", "--reason", "ticket 7"]).with(5);
    node.ask(&["operator", "remove", "eve"]).with(2);
    node.ask(&["status"]).with(0);
    let expected = ["register done", "fund done", "defund refused", "fund refused", "roll done", "snapshot done"];
    let expected =
        [&expected[..], &["drain done", "undrain done", "operator_add done", "operator_remove refused"]].concat();
    let told = |node: &Node| entries(node).iter().map(|(_, _, action, came)| format!("{action} {came}")).collect();
    let before: Vec<String> = told(&node);
    assert_eq!(before, expected);
    let all = entries(&node);
    assert!(
        all.iter().zip(1..).all(|((number, operator, ..), place)| *number == place && operator == "ann"),
        "{all:?}"
    );

    let log = node.ask(&["audit", "log", "--action", "defund", "--limit", "1", "--json"]).with(0).json();
    let entry = &log[0];
    assert_eq!(entry["parameters"], r#"{"amount":"100.01","currency":"EUR","id":"BANK-0001"}"#);
    assert_eq!((&entry["reason"], &entry["origin"], &entry["node"]), (&"ticket 7".into(), &"cli".into(), &1.into()));
    assert!(entry["why"].as_str().unwrap().contains("AM04"), "{entry}");
    assert_eq!(node.ask(&["audit", "log", "--operator", "eve", "--json"]).with(0).json(), serde_json::json!([]));
    assert_eq!(node.ask(&["audit", "log", "--since", "2100-01-01", "--plain"]).with(0).stdout, "");
    node.ask(&["audit", "log", "--since", "soon"]).with(2);
    node.ask(&["audit", "log", "--limit", "0"]).with(2);

    let log = node.ask(&["audit", "log", "--action", "operator_add", "--json"]).with(0).json();
    assert_eq!((&log[0]["parameters"], &log[0]["node"]), (&r#"{"name":"eve","roles":["viewer"]}"#.into(), &1.into()));
    let rolled = node.ask(&["audit", "log", "--action", "roll", "--json"]).with(0).json();
    assert_eq!(rolled[0]["reason"], "ticket 7");

    // Killed: the log has it, and the snapshot before.
    node.signal("KILL");
    node.ended();
    let node = Node::start(data.path(), &[]);
    assert_eq!(told(&node), before);
    node.ask(&["stop"]).with(0);
    node.ended();
    let node = Node::start(data.path(), &[]);
    assert_eq!(told(&node).last(), Some(&"stop done".to_string()));
    node.stop();
}

#[test]
fn an_export_is_proved_against_the_node_running_or_stopped() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let node = Node::start(&log, &[]);
    let why = ["--currency", "EUR", "--reason", "ticket 7"];
    for id in ["BANK-0001", "BANK-0002", "BANK-0003"] {
        node.ask(&[&["participant", "register", id], &why[..]].concat()).with(0);
    }
    let right = node.ask(&["audit", "export"]).with(0).stdout;
    assert_eq!(right.lines().count(), 4);
    let file = data.path().join("trail.ndjson");
    let check = |node: &Node, text: &str, code: i32, part: &str| {
        std::fs::write(&file, text).unwrap();
        let ended = node.ask(&["audit", "verify", file.to_str().unwrap()]).with(code);
        assert!(ended.stderr.contains(part), "{ended:#?}");
    };
    node.ask(&["audit", "verify"]).with(0);
    check(&node, &right, 0, "");
    check(&node, &right.replacen("BANK-0002", "BANK-0009", 1), 7, "audit entry 2");
    let cut: String = right.lines().take(2).map(|line| format!("{line}\n")).collect();
    check(&node, &cut, 7, "audit entry 3");
    check(&node, "", 7, "audit entry 1");
    node.ask(&["audit", "verify", "/nowhere"]).with(2);

    // More has happened since: the export is the beginning of it.
    node.ask(&["day", "roll", "--reason", "ticket 7"]).with(0);
    check(&node, &right, 0, "");

    // A trail that holds together, but of another switch.
    let other = Node::start(&data.path().join("other"), &[]);
    for id in ["BANK-0001", "BANK-0002", "BANK-0003"] {
        other.ask(&[&["participant", "register", id], &why[..]].concat()).with(0);
    }
    check(&node, &other.ask(&["audit", "export"]).with(0).stdout, 7, "entry 3 is another one");
    check(&other, &node.ask(&["audit", "export"]).with(0).stdout, 7, "has 3 entries, the export 4");
    other.stop();

    let stopped = |code: i32| {
        let arguments = ["audit", "verify", file.to_str().unwrap(), "--stopped", "--data", log.to_str().unwrap()];
        run(&arguments).with(code)
    };
    std::fs::write(&file, &right).unwrap();
    stopped(4);
    node.stop();
    // Its stop is one more.
    assert!(stopped(0).stdout.contains("5 entries"));
    std::fs::write(&file, right.replacen("ticket 7", "ticket 8", 1)).unwrap();
    assert!(stopped(7).stderr.contains("audit entry 1"));
}

#[test]
fn operators_of_a_node_that_does_not_run_are_entries_once_it_does() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let path = log.to_str().unwrap();
    let add = ["operator", "add", "eve", "--role", "viewer", "--reason", "ticket 7", "--data", path];
    assert!(run(&add).with(5).stderr.contains("start the node first"));
    Node::start(&log, &[]).stop();
    let passphrase = run(&add).with(0).stdout;
    assert_eq!(passphrase.trim().len(), 23);
    run(&["operator", "remove", "bob", "--reason", "ticket 7", "--data", path]).with(5);
    let nameless = crate::support::crosstie()
        .args(["operator", "remove", "eve", "--reason", "ticket 8", "--data", path])
        .env_remove("USER")
        .status();
    assert!(nameless.unwrap().success());
    assert_eq!(exposed(&log), Vec::<std::path::PathBuf>::new());

    let node = Node::start(&log, &[]);
    let mut left = 400;
    while log.join("audit.waiting").exists() {
        left -= 1;
        assert!(left > 0, "they are not taken");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let told: Vec<_> =
        entries(&node).into_iter().map(|(_, who, action, came)| format!("{who} {action} {came}")).collect();
    let uid = std::fs::metadata(log.join("head")).map(|own| std::os::unix::fs::MetadataExt::uid(&own)).unwrap();
    let nameless = format!("uid {uid} operator_remove done");
    assert_eq!(told[1..], ["ann operator_add done", "ann operator_remove refused", &nameless]);
    assert_eq!(node.ask(&["operator", "list", "--json"]).with(0).json(), serde_json::json!([]));
    node.stop();
}

/// When it was asked, nanoseconds since 1970: behind the head of the fact and the time of its record.
pub(crate) fn asked_at_ns(entry: &Value) -> u64 {
    let digits = entry["fact"].as_str().unwrap();
    let byte = |place: usize| u8::from_str_radix(&digits[2 * place..2 * place + 2], 16).unwrap();
    u64::from_le_bytes(std::array::from_fn(|place| byte(12 + place)))
}

/// An entry that waits in a file of the node, as it stands there, made of one that was exported.
pub(crate) fn waiting(entry: &Value, asked_at_ns: u64, outcome: &str) -> String {
    let who = serde_json::json!({
        "operator": entry["operator"], "uid": entry["uid"], "node": entry["node"], "origin": entry["origin"],
        "reason": entry["reason"], "asked_at_ns": asked_at_ns,
    });
    let (action, parameters) = (&entry["action"], &entry["parameters"]);
    format!(
        "{}\n",
        serde_json::json!({ "action": action, "parameters": parameters, "who": who, "outcome": outcome, "why": "" })
    )
}

#[test]
fn what_is_told_twice_is_written_once() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(data.path(), &[]);
    let why = ["--currency", "EUR", "--reason", "ticket 7"];
    node.ask(&[&["participant", "register", "BANK-0001"], &why[..]].concat()).with(0);
    node.ask(&[&["participant", "defund", "BANK-0001", "1"], &why[..]].concat()).with(4);
    let exported = node.ask(&["audit", "export"]).with(0).stdout;
    node.stop();
    let [registered, refused] =
        [0, 1].map(|place| serde_json::from_str::<Value>(exported.lines().nth(place).unwrap()).unwrap());
    let (first, second) = (asked_at_ns(&registered), asked_at_ns(&refused));
    // A node that did not hear that they were written tells of them again; of the first, that nobody knows; and of one more.
    let file = data.path().join("audit.waiting");
    let lines = [
        waiting(&refused, second, "refused"),
        waiting(&registered, first, "unknown"),
        waiting(&refused, second + 1000, "refused"),
    ];
    std::fs::write(&file, lines.concat()).unwrap();
    let node = Node::start(data.path(), &[]);
    let mut left = 400;
    while file.exists() {
        left -= 1;
        assert!(left > 0, "they are not taken");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let told: Vec<_> = entries(&node).into_iter().map(|(_, operator, action, came)| (operator, action, came)).collect();
    let expected = [
        ("ann", "register", "done"),
        ("ann", "defund", "refused"),
        ("node 1", "stop", "done"),
        ("ann", "defund", "refused"),
    ];
    let expected =
        expected.map(|(operator, action, came)| (operator.to_string(), action.to_string(), came.to_string()));
    assert_eq!(told, expected);
    node.stop();
}

#[test]
fn what_a_node_does_of_its_own_accord_is_an_entry() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("node.toml");
    let text =
        "[[participants]]\nid = \"BANK-0001\"\ncurrency = \"EUR\"\nfunded = \"100.00\"\npayment_max = \"7.00\"\n";
    std::fs::write(&file, text).unwrap();
    let log = data.path().join("log");
    let start = || Node::start(&log, &["--config", file.to_str().unwrap()]);
    start().stop();
    // What is registered already is not registered again.
    let node = start();
    let told: Vec<_> =
        entries(&node).into_iter().map(|(_, operator, action, _)| format!("{operator}: {action}")).collect();
    let expected = ["configuration: register", "configuration: fund", "configuration: limit", "node 1: stop"];
    assert_eq!(told, expected);
    let all = node.ask(&["audit", "log", "--json"]).with(0).json();
    assert!(all.as_array().unwrap().iter().all(|entry| entry["origin"] == "node"), "{all}");
    assert_eq!((&all[0]["reason"], &all[0]["parameters"]), (&"SIGTERM".into(), &"".into()));
    assert_eq!(all[1]["parameters"], r#"{"currency":"EUR","id":"BANK-0001","payment_max":"7.00"}"#);
    assert_eq!(all[2]["parameters"], r#"{"amount":"100.00","currency":"EUR","id":"BANK-0001"}"#);
    node.ask(&["audit", "verify"]).with(0);
    node.stop();
}
