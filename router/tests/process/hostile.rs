//! Bytes on the admin socket that no client of ours would send.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use crate::support::Node;

fn connect(node: &Node) -> UnixStream {
    let stream = UnixStream::connect(node.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Everything that comes back until the node closes or we have closed our side.
fn say(node: &Node, bytes: &[u8]) -> Vec<Value> {
    let mut stream = connect(node);
    // The node may have closed before it read all.
    _ = stream.write_all(bytes);
    _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer);
    answer
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

#[test]
fn hostile_lines_are_refused_and_the_node_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(data.path(), &[]);
    assert_eq!(std::fs::metadata(node.socket()).unwrap().permissions().mode() & 0o777, 0o600);
    let fund = |operator: &str, reason: &str| {
        let command = serde_json::json!({"fund": {"id": "BANK-0001", "currency": "EUR", "amount": "1"}});
        serde_json::json!({"command": command, "operator": operator, "reason": reason}).to_string()
    };
    let deep = "[".repeat(30_000);
    for line in [
        "",
        "status",
        "{}",
        "null",
        "\u{0}",
        "\"status\"",
        &deep,
        r#"{"command":"stop_everything"}"#,
        r#"{"command":"status","more":1}"#,
        r#"{"command":{"participant":{"id":"BANK-0001","x":1}}}"#,
        r#"{"command":{"participant":{"id":"../../etc"}}}"#,
        r#"{"command":{"participant":{"id":5}}}"#,
        r#"{"command":{"suspend":{"id":"BANK-0001","direction":"sideways"}},"reason":"x"}"#,
        r#"{"command":{"payment":{"uetr":"' or 1=1","debtor":null}}}"#,
        r#"{"command":{"roll":{"date":"9999-99-99"}}}"#,
        &fund("ann", ""),
        &fund("ann", &"x".repeat(201)),
        &fund("ann", "line\nbreak"),
        &fund(&"a".repeat(33), "x"),
        &fund("an\u{7}n", "x"),
    ] {
        let answers = say(&node, format!("{line}\n").as_bytes());
        assert_eq!(answers.len(), 1, "{line}");
        assert_eq!(answers[0]["error"]["kind"], "usage", "{line}: {answers:?}");
    }
    assert_eq!(say(&node, b"\xff\xfe\n")[0]["error"]["kind"], "usage");
    assert_eq!(say(&node, b"{\"command\":\"status\"").len(), 0, "a line without its end is no request");

    let long = say(&node, &vec![b'x'; 1 << 20]);
    assert!(long.is_empty() || long[0]["error"]["message"].as_str().unwrap().contains("longer than 65536"), "{long:?}");

    // Several requests on one connection; one that is wrong does not spoil the next.
    let answers = say(&node, b"{\"command\":\"day\"}\nnonsense\n{\"command\":\"day\"}\n");
    assert_eq!(answers.len(), 3);
    assert!(answers[0]["ok"]["business_date"].is_string() && answers[2]["ok"]["business_date"].is_string());

    // Connections that say nothing are few, and do not keep the node from its work or its end.
    let idle: Vec<UnixStream> = (0..20).map(|_| connect(&node)).collect();
    std::thread::sleep(Duration::from_millis(50));
    drop(idle);
    let mut left = 100;
    while node.ask(&["status", "--timeout", "1s"]).code != Some(0) {
        left -= 1;
        assert!(left > 0, "the node answers no more");
    }
    let _idle = connect(&node);
    node.stop();
}
