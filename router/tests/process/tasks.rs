//! What waits for a second person: proposed by one, done, refused or withdrawn once, whoever leads.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::audit;
use crate::cluster::Cluster;
use crate::support::Node;

const WHY: [&str; 4] = ["--currency", "EUR", "--reason", "ticket 7"];
const TWO: [&str; 2] = ["--set", "operators.second_person=money"];

fn approve(number: u64) -> Value {
    serde_json::json!({ "approve_task": { "number": number } })
}

fn funded(node: &Node) -> Value {
    node.ask(&["participant", "show", "BANK-0001", "--json"]).with(0).json()["positions"][0]["funded"].clone()
}

/// Proposed by ann on the command line; the number of the task.
fn propose(node: &Node, what: &str, amount: &str) -> u64 {
    let asked = [&["participant", what, "BANK-0001", amount, "--json"], &WHY[..]].concat();
    node.ask(&asked).with(0).json()["task"]["number"].as_u64().unwrap()
}

/// The same by ann at the console, where there is a second person.
fn propose_there(node: &Node, what: &str, amount: &str) -> u64 {
    let command = serde_json::json!({ what: { "id": "BANK-0001", "currency": "EUR", "amount": amount } });
    let told = console(node, "ann", &command);
    told["ok"]["task"]["number"].as_u64().unwrap_or_else(|| panic!("{told}"))
}

fn waiting(node: &Node) -> usize {
    node.ask(&["task", "list", "--json"]).with(0).json().as_array().unwrap().len()
}

/// One request over the socket, as the console makes it for who has signed in there.
fn console(node: &Node, operator: &str, command: &Value) -> Value {
    ask(&node.socket(), operator, command).unwrap()
}

/// The same; none when the node ends meanwhile.
fn ask(socket: &Path, operator: &str, command: &Value) -> Option<Value> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let request =
        serde_json::json!({ "command": command, "operator": operator, "origin": "console", "reason": "seen" });
    writeln!(stream, "{request}").ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

#[test]
fn money_waits_for_a_second_person_and_moves_once() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(data.path(), &TWO);
    node.ask(&[&["participant", "register", "BANK-0001"], &WHY[..]].concat()).with(0);

    let told = node.ask(&[&["participant", "fund", "BANK-0001", "100.00"], &WHY[..]].concat()).with(0);
    assert!(told.stderr.contains("task 2 waits") && told.stderr.contains("next:  "), "{told:?}");
    assert!(told.stdout.is_empty(), "{told:?}");
    node.ask(&[&["participant", "fund", "BANK-0009", "1"], &WHY[..]].concat()).with(5);
    let nothing = node.ask(&[&["participant", "fund", "BANK-0001", "0"], &WHY[..]].concat()).with(4);
    assert!(nothing.stderr.contains("error: AM01: "), "{nothing:?}");
    node.ask(&[&["participant", "fund", "BANK-0001", "x"], &WHY[..]].concat()).with(2);
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

    // Nor another name at the console: on the command line his was as good as any.
    assert_eq!(console(&node, "grace", &approve(2))["error"]["kind"], "refused");
    node.ask(&["task", "withdraw", "2", "--reason", "to be proposed at the console"]).with(0);
    let number = propose_there(&node, "fund", "100.00");
    let own = number.to_string();
    let mallory = crate::support::crosstie()
        .args(["task", "approve", &own, "--data", data.path().to_str().unwrap()])
        .env("USER", "mallory")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&mallory.stderr);
    assert!(mallory.status.code() == Some(4) && said.contains("proposed by ann at the console"), "{mallory:?}");
    assert_eq!(console(&node, "ann", &approve(number))["error"]["kind"], "refused");
    assert_eq!((funded(&node), waiting(&node)), ("0.00".into(), 1));

    // It waits through a crash.
    node.signal("KILL");
    node.ended();
    let node = Node::start(data.path(), &TWO);
    assert_eq!(waiting(&node), 1);
    assert!(console(&node, "grace", &approve(number))["ok"].is_object());
    assert_eq!(console(&node, "grace", &approve(number))["error"]["kind"], "not_found");
    assert_eq!((funded(&node), waiting(&node)), ("100.00".into(), 0));
    let done = node.ask(&["audit", "log", "--limit", "2", "--json"]).with(0).json()[1].clone();
    let names = (&done["operator"], &done["approver"]["operator"], &done["task"], &done["outcome"]);
    assert_eq!(names, (&"ann".into(), &"grace".into(), &number.into(), &"done".into()), "{done}");
    assert_eq!((&done["reason"], &done["why"]), (&"seen".into(), &"approved: seen".into()));

    // Two at once: one of them does it.
    let number = propose_there(&node, "fund", "1.00");
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let ask = |name: &'static str| scope.spawn(|| console(&node, name, &approve(number)));
        ["grace", "eve"].map(ask).into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|answer| answer["ok"].is_object()).count(), 1, "{answers:?}");
    assert_eq!(funded(&node), "101.00");

    // What the rules refuse ends as well, and so does what a second person refuses, or the first one withdraws.
    let number = propose_there(&node, "defund", "500.00");
    assert_eq!(console(&node, "grace", &approve(number))["error"]["kind"], "refused");
    let number = propose(&node, "defund", "1.00");
    let own = node.ask(&["task", "refuse", &number.to_string(), "--reason", "no"]).with(4);
    assert!(own.stderr.contains("crosstie task withdraw"), "{own:?}");
    let refuse = serde_json::json!({ "refuse_task": { "number": number } });
    assert!(console(&node, "grace", &refuse)["ok"].is_object());
    let number = propose(&node, "defund", "1.00").to_string();
    let withdraw = serde_json::json!({ "withdraw_task": { "number": number.parse::<u64>().unwrap() } });
    assert_eq!(console(&node, "grace", &withdraw)["error"]["kind"], "refused");
    assert_eq!(console(&node, "ann", &withdraw)["error"]["kind"], "refused", "a name alone");
    node.ask(&["task", "withdraw", &number]).with(2);
    node.ask(&["task", "withdraw", &number, "--reason", "wrong bank"]).with(0);
    node.ask(&["task", "withdraw", &number, "--reason", "again"]).with(5);
    assert_eq!((funded(&node), waiting(&node)), ("101.00".into(), 0));
    let log = node.ask(&["audit", "log", "--action", "defund", "--limit", "1", "--json"]).with(0).json()[0].clone();
    let ended = (&log["operator"], &log["reason"], &log["outcome"], &log["why"], &log["approver"]);
    let expected = (&"ann".into(), &"wrong bank".into(), &"refused".into(), &"withdrawn".into(), &Value::Null);
    assert_eq!((ended, log["task"].to_string()), (expected, number));

    // His process under another name may be he or not: it can stop it, in both names.
    let number = propose(&node, "defund", "1.00").to_string();
    let as_eve = |way: &str| {
        let mut asking = crate::support::crosstie();
        asking.args(["task", way, &number, "--reason", "stop", "--data", data.path().to_str().unwrap()]);
        asking.env("USER", "eve").output().unwrap().status.code()
    };
    assert_eq!((as_eve("withdraw"), as_eve("refuse"), waiting(&node)), (Some(4), Some(0), 0));
    let log = node.ask(&["audit", "log", "--action", "defund", "--limit", "1", "--json"]).with(0).json()[0].clone();
    let names = (&log["operator"], &log["approver"]["operator"], &log["outcome"]);
    assert_eq!(names, (&"ann".into(), &"eve".into(), &"refused".into()), "{log}");
    node.ask(&["task", "approve", "999"]).with(5);
    node.ask(&["audit", "verify"]).with(0);

    // In time only.
    node.stop();
    let node = Node::start(data.path(), &[&TWO[..], &["--set", "operators.task_timeout=1s"]].concat());
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

/// Until it is done: a node that does not know who leads is asked again.
fn approve_at(node: &Node, number: u64) {
    for attempt in 0.. {
        let told = console(node, "grace", &approve(number));
        if told["ok"].is_object() || told["error"]["kind"] == "not_found" {
            return;
        }
        assert!(told["error"]["kind"] == "unavailable" && attempt < 100, "{told}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_task_outlives_the_leader_and_is_done_once() {
    let mut cluster = Cluster::start(&TWO);
    let first = cluster.leader();
    let other = |node: usize| node % 3 + 1;
    cluster.node(first).ask(&[&["participant", "register", "BANK-0001"], &WHY[..]].concat()).with(0);

    // Proposed at a node that does not lead, approved when the one that did is gone.
    let number = propose_there(cluster.node(other(first)), "fund", "100.00");
    cluster.kill_node(first);
    let second = cluster.leader();
    let bystander = (1..=3).find(|node| ![first, second].contains(node)).unwrap();
    cluster.wait("the new leader has the task", |cluster| waiting(cluster.node(second)) == 1);
    assert_eq!(funded(cluster.node(second)), "0.00");
    approve_at(cluster.node(bystander), number);
    for node in [second, bystander] {
        assert_eq!(console(cluster.node(node), "grace", &approve(number))["error"]["kind"], "not_found");
    }
    // The one that was killed tells the leader of an entry again, as if it had not heard that it was written.
    let exported = cluster.node(second).ask(&["audit", "export"]).with(0).stdout;
    let registered: Value = serde_json::from_str(exported.lines().next().unwrap()).unwrap();
    let file = cluster.data(first).join("audit.waiting");
    // And of one more, that another node asked of it when it led: nobody else can tell what came of that.
    let mut of_another = registered.clone();
    (of_another["node"], of_another["action"]) = (other(first).into(), "limit".into());
    let at = audit::asked_at_ns(&registered);
    let lines = [audit::waiting(&registered, at, "unknown"), audit::waiting(&of_another, at + 1000, "unknown")];
    std::fs::write(&file, lines.concat()).unwrap();
    cluster.start_node(first);
    cluster.wait("it is heard", |_| !file.exists());

    // The leader is lost while it is at it: whether or not it was done, it can be asked again, and is done once.
    let number = propose_there(cluster.node(second), "fund", "1.00");
    let (from, command) = (cluster.node(bystander).socket(), approve(number));
    let asked = std::thread::spawn(move || ask(&from, "grace", &command));
    cluster.kill_node(second);
    _ = asked.join().unwrap();
    let third = cluster.leader();
    approve_at(cluster.node(third), number);
    cluster.start_node(second);
    cluster.wait("all have it, once", |cluster| {
        (1..=3).all(|node| funded(cluster.node(node)) == "101.00" && waiting(cluster.node(node)) == 0)
    });
    let log = cluster.node(third).ask(&["audit", "log", "--json"]).with(0).json();
    let count = |action: &str, outcome: &str| {
        let is_it = |entry: &&Value| entry["action"] == action && entry["outcome"] == outcome;
        log.as_array().unwrap().iter().filter(is_it).count()
    };
    let counts = (count("fund", "done"), count("register", "done"), count("register", "unknown"));
    assert_eq!((counts, count("limit", "unknown")), ((2, 1, 0), 1), "{log}");
    (1..=3).for_each(|node| _ = cluster.node(node).ask(&["audit", "verify"]).with(0));
}
