//! Start, stop, start again, and the starts that are refused.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{Node, crosstie, exposed, run, serve};

#[test]
fn what_operators_did_is_there_again_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(data.path(), &[]);
    assert_eq!(node.ready["recovered_entries"], 0);
    let why = ["--currency", "EUR", "--reason", "a test"];
    node.ask(&[&["participant", "register", "BANK-0001"], &why[..]].concat()).with(0);
    let actor = node.ask(&["actor", "show", "BANK-0001", "--json"]).with(0).json();
    assert_eq!(actor["deeds"].as_array().unwrap().len(), 0, "it has done nothing yet: {actor}");
    node.ask(&[&["participant", "fund", "BANK-0001", "1000.50"], &why[..]].concat()).with(0);
    node.ask(&[&["participant", "defund", "BANK-0001", "0.25"], &why[..]].concat()).with(0);
    let cap = ["participant", "limit", "BANK-0001", "--net-debit-cap", "70"];
    node.ask(&[&cap, &why[..]].concat()).with(0);
    node.ask(&["participant", "suspend", "BANK-0001", "--direction", "send", "--reason", "a test"]).with(0);
    let before = node.ask(&["participant", "show", "BANK-0001", "--json"]).with(0).json();
    assert_eq!(before["positions"][0]["balance"], "1000.25");
    assert_eq!(before["positions"][0]["net_debit_cap"], "70.00");
    assert_eq!((&before["suspended_sending"], &before["suspended_receiving"]), (&true.into(), &false.into()));
    let socket = node.socket();
    node.stop();
    assert!(!socket.exists(), "the socket goes with the node");

    let verified = run(&["log", "verify", "--json", "--data", data.path().to_str().unwrap()]).with(0).json();
    assert_eq!(verified["participants"][0]["positions"][0], before["positions"][0]);
    assert_eq!(verified["imbalance"]["EUR"], "0");

    let node = Node::start(data.path(), &[]);
    assert!(node.ready["recovered_entries"].as_u64().unwrap() > 0);
    assert_eq!(node.ask(&["participant", "show", "BANK-0001", "--json"]).with(0).json(), before);
    node.ask(&["participant", "resume", "BANK-0001", "--reason", "a test"]).with(0);
    let after = node.ask(&["participant", "show", "BANK-0001", "--json"]).with(0).json();
    assert_eq!(after["suspended_sending"], false);
    node.stop();
}

#[test]
fn what_a_node_writes_is_read_by_nobody_else() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("deep/log");
    let node = Node::start(&log, &[]);
    node.ask(&["operator", "add", "ann", "--role", "viewer", "--reason", "a test"]).with(0);
    assert_eq!(exposed(&data.path().join("deep")), Vec::<PathBuf>::new());
    let lines = node.stop();
    assert!(!lines.contains("files_exposed"), "{lines}");

    // Of an earlier build, which did not look to that; then closed to others as a whole.
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&log, 0o755);
    mode(&log.join("head"), 0o644);
    let lines = Node::start(&log, &[]).stop();
    let warned = lines.lines().find(|line| line.contains("\"event\":\"files_exposed\"")).expect("a warning");
    assert!(
        warned.contains("/head\"") && warned.contains("\"count\":1") && warned.contains("chmod -R go="),
        "{warned}"
    );
    mode(&log, 0o700);
    assert!(!Node::start(&log, &[]).stop().contains("files_exposed"));
}

#[test]
fn a_killed_node_comes_back_and_takes_its_socket_again() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(data.path(), &[]);
    node.ask(&["participant", "register", "BANK-0001", "--currency", "EUR", "--reason", "a test"]).with(0);
    node.signal("KILL");
    node.ended();
    assert!(data.path().join("admin.sock").exists());
    let node = Node::start(data.path(), &[]);
    assert_eq!(node.ready["participants"], 1);
    assert_eq!(node.ask(&["participant", "list", "--plain"]).with(0).stdout.lines().count(), 1);
    node.stop();
}

#[test]
fn participants_of_the_configuration_are_taken_in_once() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("node.toml");
    let text = "[[participants]]\nid = \"BANK-0001\"\ncurrency = \"EUR\"\nfunded = \"100.00\"\ncount = 40\n\
                [[participants]]\nid = \"BANK-0001\"\ncurrency = \"JPY\"\nfunded = \"7\"\n";
    fs::write(&file, text).unwrap();
    let log = data.path().join("log");
    for start in 1..=2 {
        let node = Node::start(&log, &["--config", file.to_str().unwrap()]);
        assert_eq!(node.ready["participants"], 40, "start {start}");
        let first = node.ask(&["participant", "show", "BANK-0001", "--json"]).with(0).json();
        let balances: Vec<_> =
            first["positions"].as_array().unwrap().iter().map(|own| own["balance"].clone()).collect();
        assert_eq!(balances, ["100.00", "7"], "start {start}");
        node.stop();
    }
}

#[test]
fn only_one_node_at_a_time_has_a_log_or_an_address() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(data.path(), &[]);
    let refused = serve(data.path(), &[]).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(4), "{text}");
    assert!(text.contains("open in another process") && text.contains("--data"), "{text}");
    assert!(refused.stdout.is_empty());

    let elsewhere = tempfile::tempdir().unwrap();
    let mut same_address = crosstie();
    same_address.args(["serve", "--listen", &node.address(), "--data", elsewhere.path().to_str().unwrap()]);
    let refused = same_address.output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{text}");
    assert!(text.contains(&format!("cannot listen on {}", node.address())), "{text}");

    let socket = format!("admin.socket={}", node.socket().display());
    let refused = serve(elsewhere.path(), &["--set", &socket]).output().unwrap();
    assert_eq!(refused.status.code(), Some(4));
    node.ask(&["log", "verify"]).with(4);
    node.ask(&["status"]).with(0);
    node.stop();
}

#[test]
fn a_wrong_configuration_is_refused_before_anything_is_touched() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("node.toml");
    let path = file.to_str().unwrap();
    fs::write(&file, "[log]\ndirectory = \"never\"\n[scheme]\npayment_timout = \"8s\"\n").unwrap();
    for arguments in
        [vec!["serve", "--config", path], vec!["serve", "--check", "--config", path], vec!["config", "check", path]]
    {
        let refused = run(&arguments).with(2);
        assert!(refused.stderr.contains(&format!("{path}:4: ")), "{refused:#?}");
        assert!(refused.stderr.contains("did you mean \"payment_timeout\"?"), "{refused:#?}");
    }
    run(&["serve", "--config", "/nowhere.toml"]).with(2);
    run(&["serve", "--set", "listen.window=0"]).with(2);

    fs::write(&file, format!("[log]\ndirectory = {:?}\n", data.path().join("never"))).unwrap();
    run(&["serve", "--config", path, "--check"]).with(0);
    run(&["config", "check", path]).with(0);
    assert!(!data.path().join("never").exists());
    let shown = run(&["config", "show", "--origin", "--config", path, "--set", "listen.window=7"]).with(0);
    let line = |key: &str| shown.stdout.lines().find(|line| line.starts_with(key)).unwrap().to_string();
    assert!(line("window = 7").ends_with("# flag --set listen.window=7"));
    assert!(line("directory = ").ends_with(&format!("# {path}:2")));
    assert!(line("level = \"info\"").ends_with("# default"));
}

#[test]
fn signals_and_operators_stop_a_node_in_good_order() {
    let data = tempfile::tempdir().unwrap();
    for signal in ["TERM", "INT"] {
        let node = Node::start(data.path(), &[]);
        node.signal(signal);
        let (code, log) = node.ended();
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("\"event\":\"stopped\"") && log.contains(&format!("SIG{signal}")), "{log}");
    }
    let node = Node::start(data.path(), &[]);
    node.ask(&["node", "drain"]).with(0);
    assert_eq!(node.ask(&["status", "--json"]).with(0).json()["refusing"], "DRAN");
    // Alone it keeps its participants, and refuses what they send: that is not called serving.
    node.until_told(&["crosstie_node_ready 0.0", "crosstie_node_state{state=\"drained\"} 1.0"]);
    let warnings = node.ask(&["status", "--json"]).with(0).json()["warnings"].to_string();
    assert!(warnings.contains("it is drained and takes no new payments"), "{warnings}");
    node.ask(&["stop"]).with(0);
    assert_eq!(node.ended().0, Some(0));
    let gone = run(&["status", "--data", data.path().to_str().unwrap()]).with(3);
    assert!(gone.stderr.contains("is the node running?"), "{gone:#?}");
    let gone = run(&["status", "--json", "--data", data.path().to_str().unwrap()]).with(3);
    assert!(gone.stdout.is_empty(), "{gone:#?}");
    let error = serde_json::from_str::<serde_json::Value>(&gone.stderr).unwrap()["error"].take();
    assert_eq!((&error["code"], &error["exit"]), (&"unreachable".into(), &3.into()), "{error}");
    assert!(
        error["message"].is_string() && error["next"].as_str().unwrap().contains("is the node running?"),
        "{error}"
    );
    let wrong = run(&["status", "--json", "--pumpkin"]).with(2);
    let error = serde_json::from_str::<serde_json::Value>(&wrong.stderr).unwrap()["error"].take();
    assert!(error["code"] == "usage" && error["message"].as_str().unwrap().contains("--pumpkin"), "{error}");
}

#[test]
fn a_damaged_log_is_not_opened_and_the_place_is_named() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(data.path(), &[]);
    for number in 1..=4 {
        let id = format!("BANK-000{number}");
        node.ask(&["participant", "register", &id, "--currency", "EUR", "--reason", "a test"]).with(0);
    }
    node.stop();
    let path = data.path().join("log-0000000000000001.seg");
    let mut file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(512 + 70)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(512 + 70)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();

    let refused = serve(data.path(), &[]).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(7), "{text}");
    let place = format!("{} at byte 512", path.display());
    assert!(text.contains(&place), "{text}");
    assert!(text.contains("\"level\":\"ERROR\"") && refused.stdout.is_empty(), "{text}");
    let verified = run(&["log", "verify", "--data", data.path().to_str().unwrap()]).with(7);
    assert!(verified.stderr.contains(&place), "{verified:#?}");
    run(&["log", "verify", "--data", data.path().join("none").to_str().unwrap()]).with(5);
}

#[test]
fn a_node_whose_log_fails_ends_at_once() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let socket = data.path().join("admin.sock");
    let small = ["log.segment_bytes=64KiB", "log.batch_bytes_max=16KiB"].map(|set| ["--set", set]).concat();
    let elsewhere = format!("admin.socket={}", socket.display());
    let node = Node::start(&log, &[&small[..], &["--set", &elsewhere]].concat());
    // The next segment can no longer be made.
    fs::rename(&log, data.path().join("moved")).unwrap();
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    // Each roll is an entry; the node ends somewhere among them.
    for _ in 0..2_000 {
        if stream.write_all(b"{\"command\":{\"roll\":{\"date\":null}},\"reason\":\"a test\"}\n").is_err() {
            break;
        }
    }
    let mut answers = String::new();
    _ = stream.read_to_string(&mut answers);
    let (code, log) = node.ended();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("\"event\":\"journal_failed\""), "{log}");
    assert!(answers.lines().count() > 10, "{answers}");
}
