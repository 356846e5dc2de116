//! Identifiers as tables: what is one, what is none, and why.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

use wire::{BusinessDate, MessageId, ParticipantId, Reason, Uetr};

#[test]
fn participants() {
    for text in [
        "021000021",
        "026009593",
        "011401533",
        "000000000", // routing transit numbers
        "DEUTDEFF",
        "DEUTDEFF500",
        "BOFAUS3NXXX", // BICs
        "N",
        "NORTHBANK",
        "BANK-7",
        "7BANK",
        "A-1",
        "ABCDEFGH-1234567",
        "1234567-9",
    ] {
        let participant: ParticipantId = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((participant.as_str(), participant.to_string().as_str()), (text, text));
        assert_eq!(ParticipantId::from_bytes(*participant.bytes()), Ok(participant));
        assert!(!participant.is_none());
    }
    for (text, why) in [
        ("", "empty"),
        ("021000022", "checksum"),
        ("02100002", "nine digits"),
        ("0210000210", "nine digits"),
        ("1", "nine digits"),
        ("northbank", "A-Z"),
        ("NORTH BANK", "A-Z"),
        ("NORTH_BANK", "A-Z"),
        ("BÄNK", "A-Z"),
        ("A\0B", "A-Z"),
        ("-BANK", "hyphen"),
        ("BANK-", "hyphen"),
        ("-", "hyphen"),
        ("ABCDEFGHIJKLMNOPQ", "16 characters"),
    ] {
        let error = text.parse::<ParticipantId>().expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
    let mut hole = *b"NORTH\0BANK\0\0\0\0\0\0";
    assert!(ParticipantId::from_bytes(hole).is_err());
    hole[5] = b'-';
    assert_eq!(ParticipantId::from_bytes(hole).unwrap().as_str(), "NORTH-BANK");
    assert!(ParticipantId::NONE.is_none() && ParticipantId::from_bytes([0; 16]).is_err());
    assert_eq!(ParticipantId::NONE.to_string(), "-");
}

/// One wrong digit, or two neighbours exchanged that differ by something else than five, never passes.
#[test]
fn the_checksum_of_routing_numbers() {
    let real = *b"121042882";
    for place in 0..9 {
        for digit in b'0'..=b'9' {
            let mut changed = real;
            changed[place] = digit;
            let text = std::str::from_utf8(&changed).unwrap();
            assert_eq!(text.parse::<ParticipantId>().is_ok(), changed == real, "{text}");
        }
        let mut swapped = real;
        swapped.swap(place, (place + 1).min(8));
        let differ_by = swapped[place].abs_diff(real[place]);
        let text = std::str::from_utf8(&swapped).unwrap();
        assert_eq!(text.parse::<ParticipantId>().is_ok(), differ_by.is_multiple_of(5), "{text}");
    }
}

#[test]
fn uetrs() {
    let text = "7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5f";
    let uetr: Uetr = text.parse().unwrap();
    assert_eq!(uetr.to_string(), text);
    assert_eq!(uetr.number(), 0x7b0e0d4c_52f3_4a3e_9c7e_0a1b2c3d4e5f);
    assert_eq!(text.to_uppercase().parse(), Ok(uetr));
    assert_eq!(text.replace('-', "").parse(), Ok(uetr));
    for variant in ["8", "9", "a", "b"] {
        assert!(format!("7b0e0d4c-52f3-4a3e-{variant}c7e-0a1b2c3d4e5f").parse::<Uetr>().is_ok());
    }
    for wrong in [
        "7b0e0d4c-52f3-1a3e-9c7e-0a1b2c3d4e5f", // version 1
        "7b0e0d4c-52f3-7a3e-9c7e-0a1b2c3d4e5f", // version 7
        "7b0e0d4c-52f3-4a3e-0c7e-0a1b2c3d4e5f", // variant of NCS
        "7b0e0d4c-52f3-4a3e-cc7e-0a1b2c3d4e5f", // variant of Microsoft
        "00000000-0000-0000-0000-000000000000",
        "7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5",
        "7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5ff",
        "7b0e0d4c52f3-4a3e-9c7e-0a1b-2c3d4e5f",
        "7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5g",
        "{7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e}",
        "7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4eé",
        "",
    ] {
        assert!(wrong.parse::<Uetr>().is_err(), "{wrong}");
    }
    for byte in [0, 0x55, 0xff] {
        assert_eq!(Uetr::from_bytes(*Uetr::from_random([byte; 16]).bytes()), Ok(Uetr::from_random([byte; 16])));
    }
}

#[test]
fn message_ids() {
    for text in [
        "20261123021000021A",                  // FedNow, shortest
        "202611230210000210123456789ABCDEFgh", // FedNow, longest
        "M2026112302100002112B00112345678901", // RTP
        "M123456780123456789abcdefghijklm",    // Pix
        "20240229NORTHBANK1",                  // a leap day
    ] {
        let id: MessageId = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(id.as_str(), text);
    }
    for (text, why) in [
        ("", "1 to 35"),
        ("202611230210000210123456789ABCDEFghi", "1 to 35"),
        ("20261123NORTHBANK-1", "letters and digits"),
        ("20261123NORTHBANK 1", "letters and digits"),
        ("20261123NORTHBANKé", "letters and digits"),
        ("20261123NORTHBANK", "three known forms"), // 17
        ("20261323NORTHBANK1", "three known forms"),
        ("20230229NORTHBANK1", "three known forms"),
        ("19691231NORTHBANK1", "three known forms"),
        ("M2026112302100002112H00112345678901", "three known forms"), // no B
        ("M2026112302100002112B0011234567890A", "three known forms"), // letter among the digits
        ("M2026132302100002112B00112345678901", "three known forms"),
        ("M123456780123456789abcdefghijkl", "three known forms"), // 31
        ("X123456780123456789abcdefghijklm", "three known forms"),
    ] {
        let error = text.parse::<MessageId>().expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn composed_message_ids_are_valid_sorted_and_distinct() {
    let date: BusinessDate = "2026-11-23".parse().unwrap();
    for (party, prefix) in
        [("N", "20261123N00000000"), ("021000021", "20261123021000021"), ("A-LONGER-NAME", "20261123ALONGERNA")]
    {
        let mut before = String::new();
        for number in [0, 1, 31, 32, 1023, 1024, 1 << 40, u64::MAX - 1, u64::MAX] {
            let id = MessageId::compose(date, party.parse().unwrap(), number);
            assert_eq!(id.as_str().parse(), Ok(id));
            assert!(id.as_str().starts_with(prefix) && id.as_str() > before.as_str(), "{id}");
            before = id.to_string();
        }
    }
}

#[test]
fn reasons() {
    for text in ["AM04", "E996", "1100", "NARR"] {
        assert_eq!(text.parse::<Reason>().unwrap().as_str(), text);
    }
    for text in ["", "AM4", "AM040", "am04", "AM-4", "ÄM4"] {
        assert!(text.parse::<Reason>().is_err(), "{text}");
    }
}
