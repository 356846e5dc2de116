//! PROTOCOL.md says what the code does: kinds, fields, codes, limits, and its annotated frame.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use serde_json::Value;
use wire::Message;
use wire::frame::{FRAME_BYTES_MAX, Frames, Kind, decode};
use wire::reason::{EXPLANATIONS, Status};

const PAGE: &str = include_str!("../PROTOCOL.md");

/// The part of the page under a heading, up to the next one.
fn section(heading: &str) -> &'static str {
    let start = PAGE.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("the page has no heading {heading:?}"));
    let text = &PAGE[start + 1 + heading.len()..];
    &text[..text.find("\n##").unwrap_or(text.len())]
}

#[test]
fn every_message_has_its_section_with_every_field_in_order() {
    let sample = support::large();
    for message in sample.messages() {
        let kind = message.kind();
        let text = section(&format!("### {} {kind:?}", kind as u16));
        assert!(PAGE.contains(&format!("| {} | {kind:?} |", kind as u16)), "{kind:?} is not in the list of kinds");
        let Value::Object(fields) = support::fields(&message) else { panic!() };
        let rows = text.lines().filter(|line| line.contains("| `")).count();
        let mut expected = 0;
        for (field, value) in &fields {
            let parts = match value {
                Value::Object(parts) if matches!(field.as_str(), "debtor" | "creditor") => parts.keys().collect(),
                _ => vec![],
            };
            expected += parts.len().max(1);
            for part in &parts {
                assert!(text.contains(&format!("| `{field}.{part}` |")), "{kind:?} {field}.{part}");
            }
            assert!(!parts.is_empty() || text.contains(&format!("| `{field}` |")), "{kind:?} {field}");
        }
        assert_eq!(rows, expected, "{kind:?} has other fields on the page");
    }
    assert_eq!(PAGE.lines().filter(|line| line.starts_with("### ")).count(), Kind::ALL.len());
}

/// Offsets are the sums of the sizes before them, and a body of fixed size has that size.
#[test]
fn offsets_and_sizes_add_up() {
    for message in support::small().messages() {
        let kind = message.kind();
        let mut offset = Some(0);
        for row in section(&format!("### {} {kind:?}", kind as u16)).lines().filter(|line| line.contains("| `")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            assert_eq!(cells[1], offset.map_or(String::new(), |offset: usize| offset.to_string()), "{kind:?}: {row}");
            offset = offset.and_then(|offset| cells[2].parse::<usize>().ok().map(|size| offset + size));
        }
        let mut frame = Vec::new();
        message.encode(&mut frame);
        assert!(offset.is_none_or(|size| size == frame.len() - 8), "{kind:?} is {} bytes", frame.len() - 8);
    }
}

#[test]
fn every_code_stands_there_as_it_is_explained() {
    let text = section("## 9. Errors");
    for explanation in EXPLANATIONS {
        let again = if explanation.is_final { "no" } else { "yes" };
        let line = format!(
            "| {} | {} | {} | {} | {again} |",
            explanation.code, explanation.meaning, explanation.act, explanation.advice
        );
        assert!(text.contains(&line), "missing or different: {line}");
    }
    assert_eq!(text.lines().filter(|line| line.starts_with("| ")).count(), EXPLANATIONS.len() + 1);
    let types = section("## 2. Types");
    assert!(Status::ALL.iter().all(|status| types.contains(status.as_str())));
    assert!(section("## 1. Connection and frames").contains(&format!("8 to {FRAME_BYTES_MAX}")));
}

#[test]
fn every_currency_stands_there_with_its_decimals() {
    let text = section("## 2. Types");
    let mut listed = 0;
    for exponent in [0, 2, 3] {
        let line = text.lines().find(|line| line.starts_with(&format!("- {exponent}: "))).unwrap();
        for code in line.split(' ').skip(2) {
            assert_eq!(code.parse::<wire::Currency>().unwrap().exponent(), exponent, "{code}");
            listed += 1;
        }
    }
    let letters = || (b'A'..=b'Z').map(char::from);
    let all = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| format!("{a}{b}{c}"))));
    assert_eq!(all.filter(|code| code.parse::<wire::Currency>().is_ok()).count(), listed);
}

#[test]
fn the_annotated_frame_decodes() {
    let text = section("## 11. One frame, annotated");
    let dump = text.split("```hex\n").nth(1).unwrap().split("```").next().unwrap();
    let mut bytes = Vec::new();
    for line in dump.lines() {
        let columns: Vec<&str> = line.splitn(3, '|').map(str::trim).collect();
        assert_eq!(usize::from_str_radix(columns[0], 16).unwrap(), bytes.len(), "{line}");
        bytes.extend(columns[1].split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    let frame = Frames::new(&bytes).next().unwrap().unwrap();
    assert_eq!(frame.body.len() + 8, bytes.len());
    let Message::CreditTransfer(transfer) = decode(frame.kind, frame.body).unwrap() else { panic!() };
    assert_eq!(transfer.created_at.to_string(), "2026-11-23T14:02:11.000310Z");
    assert_eq!((transfer.money().to_string(), transfer.creditor.name), ("12.04 EUR".into(), "Zoë Brück"));
    for value in
        [transfer.message_id, &transfer.uetr.to_string(), "021000021", "INV-4711", transfer.debtor.account, "Thanks"]
    {
        assert!(dump.contains(value), "{value}");
    }
}
