//! Names what is built: the revision of the source and the compiler. `CROSSTIE_REVISION` in the environment says it where there is
//! no git, as in an archive of the source. A build for development does not look: each commit would compile it anew.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CROSSTIE_REVISION");
    println!("cargo::rustc-env=CROSSTIE_REVISION={}", revision());
    let rustc = said(&std::env::var("RUSTC").unwrap_or_default(), &["--version"]);
    let rustc = rustc.as_deref().and_then(|text| text.split(' ').nth(1)).unwrap_or("unknown").to_string();
    println!("cargo::rustc-env=CROSSTIE_RUSTC={rustc}");
}

fn revision() -> String {
    if let Some(given) = std::env::var("CROSSTIE_REVISION").ok().filter(|given| !given.is_empty()) {
        return given;
    }
    if std::env::var("PROFILE").is_ok_and(|profile| profile != "release") {
        return "development".into();
    }
    // What tells of a commit: where HEAD points, and what is there.
    let head = said("git", &["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(head.as_deref()) {
        let path = said("git", &["rev-parse", "--git-path", name]);
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    said("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".into())
}

/// What a program says, if it can be run and ends well.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}
