//! `crosstie pki`: what it makes, what it refuses, how it ends.

use std::path::Path;

use crate::support::run;

fn pki<'a>(command: &'a str, directory: &'a Path, more: &[&'a str]) -> crate::support::Ended {
    let fixed = ["pki", command, "--dir", directory.to_str().unwrap()];
    run(&[&fixed[..], more].concat())
}

#[test]
fn an_authority_and_nodes_are_made_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("pki");
    let made = pki("init", &directory, &["--json"]).with(0);
    assert!(made.stderr.contains("crosstie pki issue"), "{made:#?}");
    let cluster = made.json()["cluster"].as_str().unwrap().to_string();
    assert_eq!(cluster.len(), 32);
    let node = pki("issue", &directory, &["--node", "1", "--name", "north.example", "--json"]).with(0).json();
    assert_eq!(node["identity"], format!("crosstie://{cluster}/1"));

    let certificate = node["certificate"].as_str().unwrap();
    let shown = run(&["pki", "show", certificate, "--json"]).with(0).json();
    assert_eq!((&shown[0]["cluster"], &shown[0]["node"]), (&cluster.as_str().into(), &1.into()));
    assert_eq!(shown[0]["names"][0], "north.example");
    let table = run(&["pki", "show", certificate, directory.join("ca.pem").to_str().unwrap()]).with(0).stdout;
    assert!(table.contains("DAYS LEFT") && table.contains("the authority CN=crosstie cluster"), "{table}");
}

#[test]
fn nothing_is_overwritten_and_what_is_wrong_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let none = pki("issue", directory, &["--node", "1"]).with(2);
    assert!(none.stderr.contains("crosstie pki init"), "{none:#?}");
    pki("init", directory, &["--cluster", &"5".repeat(32)]).with(0);
    pki("init", directory, &[]).with(4);
    pki("issue", directory, &["--node", "1"]).with(0);
    let again = pki("issue", directory, &["--node", "1"]).with(4);
    assert!(again.stderr.contains("--renew"), "{again:#?}");
    pki("issue", directory, &["--node", "1", "--renew"]).with(0);
    pki("issue", directory, &["--node", "0"]).with(2);
    pki("issue", directory, &["--node", "2", "--name", "no\u{e9}"]).with(2);
    let key = directory.join("node-1.key");
    run(&["pki", "show", key.to_str().unwrap()]).with(2);
}
