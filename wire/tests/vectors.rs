//! The files in `vectors/` are what other implementations are tested with, so they must be what this one does.
//!
//! `CROSSTIE_WRITE_VECTORS=1 cargo test -p wire --test vectors` writes the valid and invalid ones anew: only for a new
//! protocol version. `vectors/bincode-1.3.3/` was written by that crate itself and is never written anew.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};
use wire::frame::{FRAME_BYTES_MAX, Frames, HEADER_BYTES, Kind, decode};
use wire::message::GoAway;
use wire::{Error, Message, Reason};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.chunks(16).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n").collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn read(folder_name: &str, file: &str) -> String {
    let path = folder(folder_name).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares with the files, or writes them.
fn keep(folder_name: &str, name: &str, bytes: &[u8], description: &Value) {
    if std::env::var_os("CROSSTIE_WRITE_VECTORS").is_some() {
        let description = serde_json::to_string_pretty(description).unwrap() + "\n";
        std::fs::write(folder(folder_name).join(format!("{name}.hex")), to_hex(bytes)).unwrap();
        std::fs::write(folder(folder_name).join(format!("{name}.json")), description).unwrap();
    }
    assert_eq!(from_hex(&read(folder_name, &format!("{name}.hex"))), bytes, "{name}");
    let described: Value = serde_json::from_str(&read(folder_name, &format!("{name}.json"))).unwrap();
    assert_eq!(described, *description, "{name}");
}

/// Nothing lies in the folder that no test knows.
fn is_complete(folder_name: &str, names: &BTreeSet<String>) {
    let files = std::fs::read_dir(folder(folder_name)).unwrap().map(|file| file.unwrap().path());
    let found: BTreeSet<String> = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(found, *names);
}

fn valid() -> Vec<(String, Vec<u8>, Value)> {
    let mut vectors = Vec::new();
    for (size, sample) in [("small", support::small()), ("large", support::large())] {
        for message in sample.messages() {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            let kind = format!("{:?}", message.kind());
            let description = json!({ "kind": kind, "fields": support::fields(&message) });
            vectors.push((format!("{kind}-{size}"), bytes, description));
        }
    }
    vectors
}

#[test]
fn valid_vectors() {
    let vectors = valid();
    for (name, bytes, description) in &vectors {
        keep("valid", name, bytes, description);
        let mut frames = Frames::new(bytes);
        let frame = frames.next().unwrap().unwrap();
        assert_eq!(frames.taken(), bytes.len());
        let message = decode(frame.kind, frame.body).unwrap();
        let mut again = Vec::new();
        message.encode(&mut again);
        assert_eq!(again, *bytes, "{name}");
    }
    for kind in Kind::ALL {
        let count = vectors.iter().filter(|(name, ..)| name.split('-').next() == Some(&format!("{kind:?}"))).count();
        assert_eq!(count, 2, "{kind:?}");
    }
    is_complete("valid", &vectors.into_iter().map(|(name, ..)| name).collect());
}

/// What the bincode crate itself, version 1.3.3, made of the same values.
#[test]
fn bodies_are_those_of_bincode_1() {
    let vectors = valid();
    for (name, bytes, _) in &vectors {
        assert_eq!(from_hex(&read("bincode-1.3.3", &format!("{name}.hex"))), bytes[HEADER_BYTES..], "{name}");
    }
    is_complete("bincode-1.3.3", &vectors.into_iter().map(|(name, ..)| name).collect());
}

fn frame_of(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes
}

/// Changes bytes at an offset of the body.
fn patched(bytes: &[u8], offset: usize, patch: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[HEADER_BYTES + offset..][..patch.len()].copy_from_slice(patch);
    bytes
}

/// The frame with another body, its length corrected.
fn with_body(bytes: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    change(&mut bytes);
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// (name, bytes, error, field)
fn invalid() -> Vec<(&'static str, Vec<u8>, &'static str, Option<&'static str>)> {
    let sample = support::small();
    let messages = sample.messages();
    let of = |kind: Kind| frame_of(messages.iter().find(|message| message.kind() == kind).unwrap());
    let transfer = of(Kind::CreditTransfer);
    let changed = |change: &dyn Fn(&mut wire::message::CreditTransfer<'_>)| {
        let mut transfer = sample.transfer();
        change(&mut transfer);
        frame_of(&Message::CreditTransfer(transfer))
    };
    let go_away = |nodes: &str| {
        let go_away = GoAway { reason: Reason::DRAN, retry_after_ms: 0, text: "t", nodes: Some(nodes) };
        frame_of(&Message::GoAway(go_away))
    };
    let header = |length: u32, kind: u16, reserved: u16| {
        [&length.to_le_bytes()[..], &kind.to_le_bytes(), &reserved.to_le_bytes()].concat()
    };
    // Offsets in the body of the small CreditTransfer: message id 0, created_at 26, uetr 34, agents 50 and 66,
    // amount 82, currency 90, end_to_end_id 93, instruction_id 102.
    vec![
        ("frame-too-long", header(FRAME_BYTES_MAX as u32 + 1, 8, 0), "frame_too_long", None),
        ("frame-length-bomb", header(u32::MAX, 8, 0), "frame_too_long", None),
        ("frame-too-short", header(7, 8, 0), "frame_too_short", None),
        ("frame-length-zero", header(0, 8, 0), "frame_too_short", None),
        ("reserved-bytes", header(8, 3, 1), "reserved_bytes", None),
        ("unknown-kind", header(8, 7, 0), "unknown_kind", None),
        ("unknown-kind-largest", header(8, u16::MAX, 0), "unknown_kind", None),
        ("body-empty", header(8, 8, 0), "body", None),
        ("body-truncated", with_body(&transfer, |bytes| bytes.truncate(bytes.len() - 1)), "body", None),
        ("body-trailing-byte", with_body(&transfer, |bytes| bytes.push(0)), "body", None),
        ("string-length-bomb", patched(&transfer, 0, &(1u64 << 62).to_le_bytes()), "body", None),
        ("string-length-largest", patched(&transfer, 0, &u64::MAX.to_le_bytes()), "body", None),
        ("string-not-utf8", patched(&transfer, 101, &[0xff]), "body", None),
        ("option-tag-two", patched(&transfer, 102, &[2]), "body", None),
        ("message-id-date", patched(&transfer, 8, b"20261323"), "field", Some("message_id")),
        ("message-id-character", patched(&transfer, 25, b"-"), "field", Some("message_id")),
        ("message-id-empty", changed(&|it| it.message_id = ""), "field", Some("message_id")),
        (
            "message-id-36",
            changed(&|it| it.message_id = "20261123NORTHBANK0000000000000000001"),
            "field",
            Some("message_id"),
        ),
        ("uetr-version-1", patched(&transfer, 34 + 6, &[0x10]), "field", Some("uetr")),
        ("uetr-variant", patched(&transfer, 34 + 8, &[0xc0]), "field", Some("uetr")),
        ("participant-none", patched(&transfer, 50, &[0; 16]), "field", Some("debtor_agent")),
        ("participant-lower-case", patched(&transfer, 50, b"n"), "field", Some("debtor_agent")),
        ("participant-hyphen-last", patched(&transfer, 50, b"N-"), "field", Some("debtor_agent")),
        ("participant-after-padding", patched(&transfer, 50 + 15, b"N"), "field", Some("debtor_agent")),
        ("participant-checksum", patched(&transfer, 66, b"021000022"), "field", Some("creditor_agent")),
        ("participant-ten-digits", patched(&transfer, 66, b"0210000210"), "field", Some("creditor_agent")),
        (
            "amount-19-digits",
            patched(&transfer, 82, &1_000_000_000_000_000_000_i64.to_le_bytes()),
            "field",
            Some("amount_minor"),
        ),
        ("amount-least", patched(&transfer, 82, &i64::MIN.to_le_bytes()), "field", Some("amount_minor")),
        ("currency-unknown", patched(&transfer, 90, b"XXX"), "field", Some("currency")),
        ("currency-lower-case", patched(&transfer, 90, b"eur"), "field", Some("currency")),
        ("text-empty", changed(&|it| it.end_to_end_id = ""), "field", Some("end_to_end_id")),
        ("text-control-character", changed(&|it| it.end_to_end_id = "a\nb"), "field", Some("end_to_end_id")),
        ("text-delete", changed(&|it| it.instruction_id = Some("a\u{7f}b")), "field", Some("instruction_id")),
        (
            "reference-36",
            changed(&|it| it.end_to_end_id = "012345678901234567890123456789012345"),
            "field",
            Some("end_to_end_id"),
        ),
        ("name-141", changed(&|it| it.debtor.name = LONG), "field", Some("debtor.name")),
        ("account-35", changed(&|it| it.creditor.account = &LONG[..35]), "field", Some("creditor.account")),
        (
            "remittance-141",
            changed(&|it| it.remittance_information = Some(LONG)),
            "field",
            Some("remittance_information"),
        ),
        // Answer: status 66, reason 70.
        ("answer-status-acsc", patched(&of(Kind::Answer), 66, b"ACSC"), "field", Some("status")),
        ("answer-rejected-without-reason", patched(&of(Kind::Answer), 66, b"RJCT"), "field", Some("reason")),
        ("answer-yes-with-reason", patched(&of(Kind::Answer), 70, b"AC04"), "field", Some("reason")),
        ("answer-reason-lower-case", patched(&of(Kind::Answer), 66, b"RJCTac04"), "field", Some("reason")),
        // SignOn: versions 0 and 2.
        ("sign-on-version-zero", patched(&of(Kind::SignOn), 0, &[0, 0]), "field", Some("protocol_min")),
        ("sign-on-versions-crossed", patched(&of(Kind::SignOn), 0, &[2, 0]), "field", Some("protocol_min")),
        // StatusReport: status 32, reasons 36, settlement date 63.
        ("report-status-unknown", patched(&of(Kind::StatusReport), 32, b"XXXX"), "field", Some("status")),
        ("report-reason-behind-empty", patched(&of(Kind::StatusReport), 40, b"AC04"), "field", Some("reasons")),
        (
            "report-date",
            patched(&of(Kind::StatusReport), 63, &20_260_230_u32.to_le_bytes()),
            "field",
            Some("settlement_date"),
        ),
        // GoAway: text 8, nodes 17.
        ("go-away-node-without-port", go_away("north.example"), "field", Some("nodes")),
        ("go-away-node-empty", go_away("north.example:7800,"), "field", Some("nodes")),
        ("go-away-node-port-zero", go_away("north.example:0"), "field", Some("nodes")),
        // SystemNotice: event 16.
        ("event-lower-case", patched(&of(Kind::SystemNotice), 16, b"roll"), "field", Some("event")),
    ]
}

const LONG: &str = "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\
    012345678901234567890123456789012345678901234567890";

#[test]
fn invalid_vectors() {
    for (name, bytes, error, field) in invalid() {
        keep("invalid", name, &bytes, &json!({ "error": error, "field": field }));
        let refused = match Frames::new(&bytes).next().expect("a whole frame") {
            Err(error) => error,
            Ok(frame) => decode(frame.kind, frame.body).expect_err(name),
        };
        let class = match &refused {
            Error::FrameTooLong { .. } => "frame_too_long",
            Error::FrameTooShort { .. } => "frame_too_short",
            Error::ReservedBytes(_) => "reserved_bytes",
            Error::UnknownKind(_) => "unknown_kind",
            Error::Body { .. } => "body",
            Error::Field { .. } => "field",
        };
        assert_eq!((class, refused.field()), (error, field), "{name}: {refused}");
        assert_eq!(refused.ends_the_stream(), class.starts_with("frame") || class == "reserved_bytes");
    }
    is_complete("invalid", &invalid().into_iter().map(|(name, ..)| name.to_owned()).collect());
}

/// A decoder in another language, written from PROTOCOL.md alone, agrees with every file.
#[test]
fn a_stranger_reads_them_too() {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/check.py");
    match std::process::Command::new("python3").arg(script).output() {
        Err(error) => eprintln!("not checked, there is no python3: {error}"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}");
            assert!(said.contains(&format!("{} valid, {} invalid", valid().len(), invalid().len())), "{said}");
        }
    }
}
