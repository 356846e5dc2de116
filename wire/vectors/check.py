#!/usr/bin/env python3
"""Decodes and encodes the native protocol, written from PROTOCOL.md alone (standard library only), and checks it with
the vectors beside it: every valid frame must decode to its JSON and encode to the same bytes, every invalid one must be
refused with the error that its JSON names.

    python3 check.py            check all vectors
    python3 check.py FILE.hex   decode one frame and print it
"""
import datetime, json, pathlib, re, struct, sys

INTEGERS = {"u16": "<H", "u32": "<I", "u64": "<Q", "i64": "<q", "time": "<Q", "date": "<I", "date0": "<I"}
STATUSES = "ACTC ACWP ACSC ACCC PDNG BLCK RJCT ACSP".split()
TRANSFER = ("message_id:id created_at:time uetr:uetr debtor_agent:participant creditor_agent:participant amount_minor:amount "
            "currency:currency end_to_end_id:text35 instruction_id:text35? debtor:party creditor:party remittance_information:text140?")
RETURN = ("message_id:id created_at:time uetr:uetr debtor_agent:participant creditor_agent:participant amount_minor:amount "
          "currency:currency original_uetr:uetr reason:reason additional_information:text105?")
OBJECTS = {"party": "name:text140 account:text34", "transfer": TRANSFER, "return": RETURN}
MESSAGES = {
    1: ("SignOn", "protocol_min:u16 protocol_max:u16 participant:participant last_notice:u64 last_system_notice:u64 software:text64"),
    2: ("SignOff", "sent_at:time"),
    3: ("Heartbeat", "sent_at:time last_notice:u64 last_system_notice:u64"),
    8: ("CreditTransfer", TRANSFER),
    9: ("Answer", "message_id:id created_at:time uetr:uetr debtor_agent:participant status:status reason:reason0 additional_information:text105?"),
    10: ("PaymentReturn", RETURN),
    11: ("StatusRequest", "uetr:uetr debtor_agent:participant"),
    64: ("SignedOn", "protocol:u16 node:text64 next_notice:u64 next_system_notice:u64 window:u32 frame_bytes_max:u32 silence_max_ms:u32 "
                     "payment_timeout_ms:u32 creditor_share_ms:u32 skew_max_ms:u32 business_date:date0 sent_at:time"),
    65: ("GoAway", "reason:reason retry_after_ms:u32 text:text512 nodes:nodes?"),
    66: ("HeartbeatReply", "echo:time sent_at:time"),
    67: ("Refused", "kind:u16 uetr:uetr0 reason:reason text:text512"),
    68: ("StatusReport", "uetr:uetr debtor_agent:participant status:status reasons:reasons amount_minor:amount currency:currency settlement_date:date0 at:time"),
    128: ("TransferNotice", "number:u64 at:time deadline:time transfer:transfer"),
    129: ("StatusNotice", "number:u64 at:time uetr:uetr debtor_agent:participant creditor_agent:participant amount_minor:amount currency:currency "
                          "status:status reasons:reasons settlement_date:date0 original_message_id:id additional_information:text105?"),
    130: ("ReturnNotice", "number:u64 at:time deadline:time payment_return:return"),
    131: ("PositionNotice", "number:u64 at:time currency:currency funded_minor:i64 net_minor:i64 reserved_minor:i64 net_debit_cap_minor:i64"),
    132: ("SystemNotice", "number:u64 at:time event:event participant:participant0 business_date:date0"),
}
FIXED = {"uetr": 16, "participant": 16, "currency": 3, "status": 4, "reason": 4, "event": 4}
HERE = pathlib.Path(__file__).parent
CURRENCIES = set()
for line in (HERE.parent / "PROTOCOL.md").read_text("utf-8").splitlines():
    if re.match(r"- [023]: [A-Z]{3} ", line):
        CURRENCIES |= set(line.split()[2:])


class Refuse(Exception):
    def __init__(self, error, field=None):
        self.error, self.field = error, field


class Reader:
    def __init__(self, body):
        self.body, self.at = body, 0

    def take(self, count):
        if count > len(self.body) - self.at:
            raise Refuse("body")
        self.at += count
        return self.body[self.at - count:self.at]

    def text(self):
        try:
            return self.take(struct.unpack("<Q", self.take(8))[0]).decode("utf-8")
        except UnicodeDecodeError:
            raise Refuse("body")


def decode_type(kind, reader):
    """The raw value: bytes for the ASCII types, so that the rules can look at every byte."""
    if kind in INTEGERS or kind == "amount":
        layout = INTEGERS.get(kind, "<q")
        return struct.unpack(layout, reader.take(struct.calcsize(layout)))[0]
    if kind in OBJECTS:
        return decode_fields(OBJECTS[kind], reader)
    if kind == "reasons":
        return [reader.take(4) for _ in range(4)]
    if kind.endswith("?"):
        tag = reader.take(1)[0]
        if tag > 1:
            raise Refuse("body")
        return reader.text() if tag else None
    if kind == "id" or kind.startswith("text"):
        return reader.text()
    return reader.take(FIXED[kind.rstrip("0")])


def decode_fields(layout, reader):
    return {name: decode_type(kind, reader) for name, kind in (field.split(":") for field in layout.split())}


def is_date(number):
    try:
        return number >= 19700101 and bool(datetime.date(number // 10000, number // 100 % 100, number % 100))
    except ValueError:
        return False


def is_participant(raw):
    name = raw.rstrip(b"\0").decode("latin-1")
    if not re.fullmatch(r"[A-Z0-9]([A-Z0-9-]*[A-Z0-9])?", name):
        return False
    weighed = sum(int(digit) * weight for digit, weight in zip(name, [3, 7, 1] * 3)) if name.isdigit() else 0
    return not name.isdigit() or (len(name) == 9 and weighed % 10 == 0)


def is_address(text):
    found = re.fullmatch(r"[!-+\--~]+:([0-9]{1,5})", text)
    return bool(found and 1 <= int(found[1]) <= 65535)


def are_nodes(text):
    addresses = text.split(",")
    return len(text) <= 1024 and len(addresses) <= 16 and all(map(is_address, addresses))


def is_message_id(text):
    if not re.fullmatch(r"[A-Za-z0-9]{1,35}", text):
        return False
    dated = lambda part: re.fullmatch(r"[0-9]{8}", part) and is_date(int(part))
    rtp = len(text) == 35 and text[0] == "M" and dated(text[1:9]) and text[20] == "B" and re.fullmatch("[0-9]{11}", text[24:])
    return bool(len(text) >= 18 and dated(text[:8]) or rtp or len(text) == 32 and text[0] == "M")


def keeps_rule(kind, value):
    none_allowed, kind = kind.endswith("0") and not kind.startswith("text"), kind.rstrip("?")
    if none_allowed:
        kind = kind[:-1]
        if kind == "uetr" or not (any(value) if isinstance(value, bytes) else value):
            return True
    if value is None or kind in INTEGERS and kind != "date":
        return True
    if kind.startswith("text"):
        return 1 <= len(value) <= int(kind[4:]) and not re.search(r"[\x00-\x1f\x7f]", value)
    if kind == "reasons":
        used = [reason for reason in value if any(reason)]
        return value[:len(used)] == used and all(keeps_rule("reason", reason) for reason in used)
    return {"id": is_message_id, "nodes": are_nodes, "date": is_date, "amount": lambda it: abs(it) <= 10**18 - 1, "participant": is_participant,
            "uetr": lambda it: it[6] >> 4 == 4 and it[8] >> 6 == 2, "currency": lambda it: it.decode("latin-1") in CURRENCIES,
            "status": lambda it: it.decode("latin-1") in STATUSES, "reason": lambda it: re.fullmatch(rb"[A-Z0-9]{4}", it),
            "event": lambda it: re.fullmatch(rb"[A-Z]{4}", it)}[kind](value)


def check(layout, values, prefix=""):
    for name, kind in (field.split(":") for field in layout.split()):
        if kind in OBJECTS:
            check(OBJECTS[kind], values[name], name + "." if kind == "party" else prefix)
        elif not keeps_rule(kind, values[name]):
            raise Refuse("field", prefix + name)


def check_message(name, fields):
    if name == "SignOn" and not 1 <= fields["protocol_min"] <= fields["protocol_max"]:
        raise Refuse("field", "protocol_min")
    check(next(layout for of, layout in MESSAGES.values() if of == name), fields)
    if name == "Answer":
        if fields["status"] in (b"ACSC", b"ACSP"):
            raise Refuse("field", "status")
        if any(fields["reason"]) != (fields["status"] == b"RJCT"):
            raise Refuse("field", "reason")


def to_json(kind, value):
    if kind in OBJECTS:
        return {name: to_json(of, value[name]) for name, of in (field.split(":") for field in OBJECTS[kind].split())}
    if kind == "reasons":
        return [reason.decode() for reason in value if any(reason)]
    if not isinstance(value, bytes):
        return value
    if not any(value):
        return None
    if kind.startswith("uetr"):
        return re.sub(r"(.{8})(.{4})(.{4})(.{4})(.{12})", r"\1-\2-\3-\4-\5", value.hex())
    return value.rstrip(b"\0").decode()


def encode_type(kind, value):
    """From the JSON form to bytes."""
    if kind in INTEGERS or kind == "amount":
        return struct.pack(INTEGERS.get(kind, "<q"), value)
    if kind in OBJECTS:
        return encode_fields(OBJECTS[kind], value)
    if kind == "reasons":
        return "".join(value).encode().ljust(16, b"\0")
    if kind in ("id", "nodes?") or kind.startswith("text"):
        if value is None:
            return b"\0"
        raw = value.encode("utf-8")
        return (b"\1" if kind.endswith("?") else b"") + struct.pack("<Q", len(raw)) + raw
    if value is not None and kind.startswith("uetr"):
        return bytes.fromhex(value.replace("-", ""))
    return (value or "").encode().ljust(FIXED[kind.rstrip("0")], b"\0")


def encode_fields(layout, values):
    return b"".join(encode_type(kind, values[name]) for name, kind in (field.split(":") for field in layout.split()))


def decode(frame):
    length, kind, reserved = struct.unpack("<IHH", frame[:8])
    if length > 4096:
        raise Refuse("frame_too_long")
    if length < 8:
        raise Refuse("frame_too_short")
    if reserved:
        raise Refuse("reserved_bytes")
    if kind not in MESSAGES:
        raise Refuse("unknown_kind")
    assert length == len(frame), "the vector is not one frame"
    name, layout = MESSAGES[kind]
    reader = Reader(frame[8:])
    fields = decode_fields(layout, reader)
    if reader.at != len(reader.body):
        raise Refuse("body")
    check_message(name, fields)
    return {"kind": name, "fields": {of: to_json(kind, fields[of]) for of, kind in (field.split(":") for field in layout.split())}}


def encode(message):
    number, layout = next((number, layout) for number, (name, layout) in MESSAGES.items() if name == message["kind"])
    body = encode_fields(layout, message["fields"])
    return struct.pack("<IHH", len(body) + 8, number, 0) + body


def read(path):
    return bytes.fromhex(path.read_text()), json.loads(path.with_suffix(".json").read_text("utf-8"))


def main():
    if len(sys.argv) > 1:
        print(json.dumps(decode(bytes.fromhex(pathlib.Path(sys.argv[1]).read_text())), indent=2, ensure_ascii=False))
        return
    valid, invalid = sorted((HERE / "valid").glob("*.hex")), sorted((HERE / "invalid").glob("*.hex"))
    for path in valid:
        frame, expected = read(path)
        decoded = decode(frame)
        assert decoded == expected, f"{path.stem}: decoded {decoded}, expected {expected}"
        assert encode(expected) == frame, f"{path.stem}: encoded {encode(expected).hex()}"
    for path in invalid:
        frame, expected = read(path)
        try:
            raise AssertionError(f"{path.stem}: accepted as {decode(frame)}")
        except Refuse as refused:
            assert {"error": refused.error, "field": refused.field} == expected, f"{path.stem}: {vars(refused)}, expected {expected}"
    print(f"{len(valid)} valid, {len(invalid)} invalid")


if __name__ == "__main__":
    main()
