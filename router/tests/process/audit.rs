//! What operators did stands in a trail that nobody can change unseen.

use serde_json::Value;

use crate::support::{Node, run};

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
    node.ask(&["day", "roll"]).with(0);
    node.ask(&["snapshot"]).with(0);
    node.ask(&["node", "drain"]).with(0);
    node.ask(&["node", "undrain"]).with(0);
    node.ask(&["status"]).with(0);
    let expected = ["register done", "fund done", "defund refused", "fund refused", "roll done", "snapshot done"];
    let expected = [&expected[..], &["drain done", "undrain done"]].concat();
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
    node.ask(&["day", "roll"]).with(0);
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
    assert!(stopped(0).stdout.contains("4 entries"));
    std::fs::write(&file, right.replacen("ticket 7", "ticket 8", 1)).unwrap();
    assert!(stopped(7).stderr.contains("audit entry 1"));
}

/// One request over the socket, as the console makes it for who has signed in there.
fn console(node: &Node, operator: &str, command: &Value) -> Value {
    use std::io::{BufRead, BufReader, Write};
    let mut stream = std::os::unix::net::UnixStream::connect(node.socket()).unwrap();
    let request =
        serde_json::json!({ "command": command, "operator": operator, "origin": "console", "reason": "seen" });
    writeln!(stream, "{request}").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

#[test]
fn money_waits_for_a_second_person_and_moves_once() {
    let data = tempfile::tempdir().unwrap();
    let two = ["--set", "operators.second_person=money"];
    let node = Node::start(data.path(), &two);
    let why = ["--currency", "EUR", "--reason", "ticket 7"];
    let funded = |node: &Node| {
        node.ask(&["participant", "show", "BANK-0001", "--json"]).with(0).json()["positions"][0]["funded"].clone()
    };
    let propose = |node: &Node, what: &str, amount: &str| {
        let asked = [&["participant", what, "BANK-0001", amount, "--json"], &why[..]].concat();
        node.ask(&asked).with(0).json()["task"]["number"].as_u64().unwrap()
    };
    let waiting = |node: &Node| node.ask(&["task", "list", "--json"]).with(0).json().as_array().unwrap().len();
    let approve = |number: u64| serde_json::json!({ "approve_task": { "number": number } });
    node.ask(&[&["participant", "register", "BANK-0001"], &why[..]].concat()).with(0);

    let told = node.ask(&[&["participant", "fund", "BANK-0001", "100.00"], &why[..]].concat()).with(0);
    assert!(told.stderr.contains("crosstie task approve 2") && told.stdout.is_empty(), "{told:?}");
    node.ask(&[&["participant", "fund", "BANK-0009", "1"], &why[..]].concat()).with(5);
    node.ask(&[&["participant", "fund", "BANK-0001", "x"], &why[..]].concat()).with(2);
    assert_eq!((funded(&node), waiting(&node)), ("0.00".into(), 1));

    // Neither he himself, nor himself at the console, nor his own process under another name.
    node.ask(&["task", "approve", "2"]).with(4);
    assert_eq!(console(&node, "ann", &approve(2))["error"]["kind"], "refused");
    let other_name = crate::support::crosstie()
        .args(["task", "approve", "2", "--data", data.path().to_str().unwrap()])
        .env("USER", "grace")
        .output()
        .unwrap();
    assert_eq!(other_name.status.code(), Some(4), "{other_name:?}");
    assert_eq!((funded(&node), waiting(&node)), ("0.00".into(), 1));

    // It waits through a crash.
    node.signal("KILL");
    node.ended();
    let node = Node::start(data.path(), &two);
    assert_eq!(waiting(&node), 1);
    assert!(console(&node, "grace", &approve(2))["ok"].is_object());
    assert_eq!(console(&node, "grace", &approve(2))["error"]["kind"], "not_found");
    assert_eq!((funded(&node), waiting(&node)), ("100.00".into(), 0));
    let done = node.ask(&["audit", "log", "--limit", "2", "--json"]).with(0).json()[1].clone();
    let names = (&done["operator"], &done["approver"]["operator"], &done["task"], &done["outcome"]);
    assert_eq!(names, (&"ann".into(), &"grace".into(), &2.into(), &"done".into()), "{done}");

    // Two at once: one of them does it.
    let number = propose(&node, "fund", "1.00");
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let ask = |name: &'static str| scope.spawn(|| console(&node, name, &approve(number)));
        ["grace", "eve"].map(ask).into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|answer| answer["ok"].is_object()).count(), 1, "{answers:?}");
    assert_eq!(funded(&node), "101.00");

    // What the rules refuse ends as well, and so does what a second person refuses, or the first one takes back.
    let number = propose(&node, "defund", "500.00");
    assert_eq!(console(&node, "grace", &approve(number))["error"]["kind"], "refused");
    let number = propose(&node, "defund", "1.00");
    node.ask(&["task", "refuse", &number.to_string()]).with(2);
    node.ask(&["task", "refuse", &number.to_string(), "--reason", "wrong bank"]).with(0);
    assert_eq!((funded(&node), waiting(&node)), ("101.00".into(), 0));
    node.ask(&["task", "approve", "999"]).with(5);
    node.ask(&["audit", "verify"]).with(0);

    // In time only.
    node.stop();
    let node = Node::start(data.path(), &[&two[..], &["--set", "operators.task_timeout=1s"]].concat());
    let number = propose(&node, "fund", "1.00");
    let mut left = 200;
    while waiting(&node) > 0 {
        left -= 1;
        assert!(left > 0, "the task does not expire");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(console(&node, "grace", &approve(number))["error"]["kind"], "not_found");
    assert_eq!(funded(&node), "101.00");
    node.stop();
}
