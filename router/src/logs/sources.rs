//! The table of events against the sources of everything that a node is made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::EVENTS;

/// What a node runs. The client library runs in participants' programs.
const ROOMS: [&str; 8] = [
    "router/src",
    "router/peers/src",
    "router/watch/src",
    "router/console/src",
    "actors/src",
    "actors/settlement/src",
    "persistence/src",
    "meter/src",
];
/// Written by the logs' own thread.
const OWN: [&str; 3] = ["log_lines_dropped", "log_lines_left_out", "library"];

fn files(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The arguments of a macro from behind its opening bracket on, split at the commas between them.
fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut in_text, mut escaped) = (0, false, false);
    let mut all = vec![String::new()];
    for letter in text.chars() {
        let last = all.last_mut().unwrap();
        if in_text {
            (in_text, escaped) = (escaped || letter != '"', !escaped && letter == '\\');
        } else {
            match letter {
                '"' => in_text = true,
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' if depth == 0 => break,
                ')' | ']' | '}' => depth -= 1,
                ',' if depth == 0 => {
                    all.push(String::new());
                    continue;
                }
                _ => {}
            }
        }
        last.push(letter);
    }
    all.iter().map(|argument| argument.trim().to_string()).filter(|argument| !argument.is_empty()).collect()
}

/// Event and fields of one call; without an event when it names none.
fn call(text: &str) -> (Option<String>, Vec<String>) {
    let (mut event, mut fields) = (None, Vec::new());
    // Behind the first text come what it shows.
    for argument in arguments(text).iter().take_while(|argument| !argument.starts_with('"')) {
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        match name.trim().trim_start_matches(['%', '?']) {
            "event" => {
                event = value.trim().strip_prefix('"').and_then(|value| value.strip_suffix('"')).map(String::from)
            }
            name if name.starts_with("target:") => {}
            name => fields.push(name.rsplit('.').next().unwrap().to_string()),
        }
    }
    (event, fields)
}

#[test]
fn every_event_in_the_sources_is_in_the_table_with_its_levels_and_fields_and_the_other_way_round() {
    let mut paths = Vec::new();
    for room in ROOMS {
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(room), &mut paths);
    }
    let (mut found, mut problems) = (BTreeMap::<String, (Vec<String>, Vec<String>)>::new(), Vec::new());
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        for level in ["error", "warn", "info", "debug", "trace"] {
            for (_, rest) in
                text.match_indices(&format!("tracing::{level}!(")).map(|(at, start)| (at, &text[at + start.len()..]))
            {
                let (event, fields) = call(rest);
                let Some(event) = event else {
                    let shown: String = rest.chars().take(60).collect();
                    problems.push(format!("{}: names no event: {shown}", path.display()));
                    continue;
                };
                let entry = found.entry(event).or_default();
                entry.0.push(level.into());
                entry.1.extend(fields);
            }
        }
    }
    let sorted = |words: &[String]| {
        let mut words = words.to_vec();
        words.sort();
        words.dedup();
        words
    };
    let listed = |words: &str| sorted(&words.split_whitespace().map(String::from).collect::<Vec<_>>());
    for event in EVENTS.iter().filter(|event| !OWN.contains(&event.name)) {
        match found.remove(event.name) {
            None => problems.push(format!("{}: in the table, but nothing logs it", event.name)),
            Some((levels, fields)) => {
                let is_equal = (sorted(&levels), sorted(&fields)) == (listed(event.levels), listed(event.fields));
                if !is_equal {
                    problems.push(format!(
                        "{}: logged at {levels:?} with {fields:?}, the table says otherwise",
                        event.name
                    ));
                }
            }
        }
    }
    problems.extend(found.keys().map(|event| format!("{event}: logged, but not in the table")));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn what_splunk_and_elastic_are_told_speaks_of_keys_that_lines_have() {
    let mut keys: Vec<&str> = EVENTS.iter().flat_map(|event| event.fields.split_whitespace()).collect();
    keys.extend(["ts", "level", "event", "node", "msg", "trace_id"]);
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let splunk = std::fs::read_to_string(deploy.join("splunk/props.conf")).unwrap();
    let (_, aliases) = splunk.split_once("FIELDALIAS-crosstie = ").unwrap();
    let words: Vec<&str> = aliases.split_whitespace().collect();
    let aliased = words.chunks(3).map(|alias| alias[0]);
    let elastic = std::fs::read_to_string(deploy.join("elastic/crosstie-log.json")).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&elastic).unwrap()["processors"].is_array());
    let renamed = elastic.split("\"crosstie.").skip(1).map(|rest| rest.split('"').next().unwrap());
    for key in aliased.chain(renamed) {
        assert!(keys.contains(&key), "{key}");
    }
}

#[test]
fn calls_are_read_as_they_are_written() {
    let (event, fields) =
        call(r#"event = "a_b", error = %error.f(1, "x, \" )"), peer = n, why, "text, {}", others); next(event = "c")"#);
    assert_eq!((event.as_deref(), fields), (Some("a_b"), ["error", "peer", "why"].map(String::from).to_vec()));
    assert_eq!(call(r#""only {}", words)"#), (None, vec![]));
    assert_eq!(call(r#"target: "raft", event = "raft", "{}", 1)"#), (Some("raft".into()), vec![]));
}

#[test]
fn the_table_has_each_event_once_and_libraries_last() {
    let mut names: Vec<_> = EVENTS.iter().map(|event| event.name).collect();
    assert_eq!(names.last(), Some(&"library"));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), EVENTS.len());
}
