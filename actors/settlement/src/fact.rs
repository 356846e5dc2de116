//! What happened, in the past tense, self-contained: the log's content and, between actors, the letters.
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0 | kind | which fact |
//! | 1 | version | of that fact's body: 1; 2 where an audit entry tells what a node did of its own accord |
//! | 2..4 | length | `u16`, bytes of the body |
//! | 4.. | body | the struct in the byte format of bincode 1 |

use wincode::{SchemaRead, SchemaWrite};
use wire::{BusinessDate, Currency, MessageId, ParticipantId, Reasons, Status, Timestamp, Uetr};

use crate::{Audited, Direction, Key, Origin, Position, Unreadable};

const VERSION: u8 = 1;
const AUDITED: u8 = 10;
/// Of audit entries of a node's own accord, which builds of before cannot read: they name the version and stop, and take no
/// other entry for what it is not. All others are written as ever, byte for byte: the trail's hashes are made of them.
const VERSION_OF_A_NODE: u8 = 2;

/// What a payment is known by and what it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Payment {
    pub debtor: Key,
    pub creditor: Key,
    pub uetr: Uetr,
    pub amount_minor: i64,
    pub currency: Currency,
    /// Message id of the instruction: `OrgnlMsgId` of everything said about it.
    pub message_id: MessageId,
    /// Set when this is a return: the payment that is returned.
    pub original: Option<Uetr>,
}

/// Funds were set aside; the creditor agent is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Reserved<'a> {
    pub at: Timestamp,
    pub payment: Payment,
    pub content: u64,
    pub deadline: Timestamp,
    /// Records decided before this are no longer needed to recognise duplicates.
    pub horizon: Timestamp,
    /// The instruction's body as it came: what the creditor agent is shown. Empty in a letter.
    pub body: &'a [u8],
}

/// At which point a payment was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum Stage {
    /// When it was submitted: nothing had been set aside, the creditor agent was not asked.
    Submit,
    /// By the creditor agent's answer.
    Answer,
    /// By the creditor's actor, when the payment reached it.
    Arrival,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Rejected<'a> {
    pub at: Timestamp,
    pub payment: Payment,
    pub content: u64,
    pub horizon: Timestamp,
    pub stage: Stage,
    pub reasons: Reasons,
    pub additional_information: Option<&'a str>,
}

/// Both positions changed, finally.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Settled {
    pub at: Timestamp,
    pub payment: Payment,
    /// ACSC, or ACWP when accepted without posting.
    pub status: Status,
    pub settlement_date: BusinessDate,
}

/// The clock ran out; the funds are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Expired {
    pub at: Timestamp,
    pub payment: Payment,
    pub reasons: Reasons,
}

/// What the creditor agent said after settlement; changes no money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Annotated {
    pub at: Timestamp,
    pub payment: Payment,
    pub status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Standing<'a> {
    pub at: Timestamp,
    pub participant: Key,
    pub direction: Direction,
    /// Who did it and why, as the operator gave it; empty when the participant did it itself.
    pub note: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct PositionMoved<'a> {
    pub at: Timestamp,
    pub participant: Key,
    pub currency: Currency,
    pub amount_minor: i64,
    /// The position afterwards, as its actor sees it: what the participant is told.
    pub position: Position,
    pub note: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct LimitChanged<'a> {
    pub at: Timestamp,
    pub participant: Key,
    pub currency: Currency,
    /// The position with its new limits, as its actor sees it.
    pub position: Position,
    pub note: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
struct Registration {
    at: Timestamp,
    key: Key,
    id: ParticipantId,
    currency: Currency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
struct Roll {
    at: Timestamp,
    date: BusinessDate,
}

/// See the file's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact<'a> {
    Registered {
        at: Timestamp,
        key: Key,
        id: ParticipantId,
        currency: Currency,
    },
    SignedOn(Standing<'a>),
    SignedOff(Standing<'a>),
    Suspended(Standing<'a>),
    Resumed(Standing<'a>),
    Funded(PositionMoved<'a>),
    Defunded(PositionMoved<'a>),
    LimitChanged(LimitChanged<'a>),
    DayRolled {
        at: Timestamp,
        date: BusinessDate,
    },
    /// An operator changed something, or tried to: see `trail.rs`. It comes with what was done, or after it.
    Audited(Audited<'a>),
    Reserved(Reserved<'a>),
    Rejected(Rejected<'a>),
    Settled(Settled),
    /// A return settled: like [`Fact::Settled`], in the other direction than its original.
    Returned(Settled),
    Expired(Expired),
    Annotated(Annotated),
}

impl Fact<'_> {
    pub fn at(&self) -> Timestamp {
        match self {
            Fact::Registered { at, .. } | Fact::DayRolled { at, .. } => *at,
            Fact::SignedOn(fact) | Fact::SignedOff(fact) | Fact::Suspended(fact) | Fact::Resumed(fact) => fact.at,
            Fact::Funded(fact) | Fact::Defunded(fact) => fact.at,
            Fact::LimitChanged(fact) => fact.at,
            Fact::Audited(fact) => fact.at,
            Fact::Reserved(fact) => fact.at,
            Fact::Rejected(fact) => fact.at,
            Fact::Settled(fact) | Fact::Returned(fact) => fact.at,
            Fact::Expired(fact) => fact.at,
            Fact::Annotated(fact) => fact.at,
        }
    }

    /// What happened, in a word.
    pub fn name(&self) -> &'static str {
        match self {
            Fact::Registered { .. } => "registered",
            Fact::SignedOn(_) => "signed_on",
            Fact::SignedOff(_) => "signed_off",
            Fact::Suspended(_) => "suspended",
            Fact::Resumed(_) => "resumed",
            Fact::Funded(_) => "funded",
            Fact::Defunded(_) => "defunded",
            Fact::LimitChanged(_) => "limit_changed",
            Fact::DayRolled { .. } => "day_rolled",
            Fact::Reserved(_) => "reserved",
            Fact::Rejected(_) => "rejected",
            Fact::Settled(_) => "settled",
            Fact::Returned(_) => "returned",
            Fact::Expired(_) => "expired",
            Fact::Annotated(_) => "annotated",
            Fact::Audited(_) => "audited",
        }
    }

    /// The payment it is about, if it is about one.
    pub fn payment(&self) -> Option<&Payment> {
        match self {
            Fact::Reserved(fact) => Some(&fact.payment),
            Fact::Rejected(fact) => Some(&fact.payment),
            Fact::Settled(fact) | Fact::Returned(fact) => Some(&fact.payment),
            Fact::Expired(fact) => Some(&fact.payment),
            Fact::Annotated(fact) => Some(&fact.payment),
            _ => None,
        }
    }

    /// The fact without its free text, when it changes what everyone may know: the [`crate::Scheme`] must see it.
    pub fn news(&self) -> Option<Fact<'static>> {
        let plain = |fact: &Standing<'_>| {
            let Standing { at, participant, direction, .. } = *fact;
            Standing { at, participant, direction, note: "" }
        };
        let moved = |fact: &PositionMoved<'_>| {
            let PositionMoved { at, participant, currency, amount_minor, position, .. } = *fact;
            PositionMoved { at, participant, currency, amount_minor, position, note: "" }
        };
        Some(match self {
            Fact::SignedOn(fact) => Fact::SignedOn(plain(fact)),
            Fact::SignedOff(fact) => Fact::SignedOff(plain(fact)),
            Fact::Suspended(fact) => Fact::Suspended(plain(fact)),
            Fact::Resumed(fact) => Fact::Resumed(plain(fact)),
            Fact::Funded(fact) => Fact::Funded(moved(fact)),
            Fact::Defunded(fact) => Fact::Defunded(moved(fact)),
            Fact::LimitChanged(LimitChanged { at, participant, currency, position, .. }) => {
                Fact::LimitChanged(LimitChanged {
                    at: *at,
                    participant: *participant,
                    currency: *currency,
                    position: *position,
                    note: "",
                })
            }
            Fact::Registered { at, key, id, currency } => {
                Fact::Registered { at: *at, key: *key, id: *id, currency: *currency }
            }
            Fact::DayRolled { at, date } => Fact::DayRolled { at: *at, date: *date },
            Fact::Audited(_)
            | Fact::Reserved(_)
            | Fact::Rejected(_)
            | Fact::Settled(_)
            | Fact::Returned(_)
            | Fact::Expired(_)
            | Fact::Annotated(_) => return None,
        })
    }

    /// Who else has a leg of it, and the letter that tells: the fact itself without its free text.
    pub fn letter(&self) -> Option<(Key, Fact<'static>)> {
        match *self {
            Fact::Reserved(fact) => {
                let Reserved { at, payment, content, deadline, horizon, .. } = fact;
                Some((
                    payment.creditor,
                    Fact::Reserved(Reserved { at, payment, content, deadline, horizon, body: &[] }),
                ))
            }
            Fact::Rejected(fact) if fact.stage != Stage::Submit => {
                let Rejected { at, payment, content, horizon, stage, reasons, .. } = fact;
                let letter = Rejected { at, payment, content, horizon, stage, reasons, additional_information: None };
                Some((payment.debtor, Fact::Rejected(letter)))
            }
            Fact::Settled(fact) => Some((fact.payment.debtor, Fact::Settled(fact))),
            Fact::Returned(fact) => Some((fact.payment.debtor, Fact::Returned(fact))),
            Fact::Expired(fact) => Some((fact.payment.debtor, Fact::Expired(fact))),
            _ => None,
        }
    }

    /// Appends the fact as the log keeps it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Fact::Registered { at, key, id, currency } => {
                put(1, &Registration { at: *at, key: *key, id: *id, currency: *currency }, out);
            }
            Fact::SignedOn(fact) => put(2, fact, out),
            Fact::SignedOff(fact) => put(3, fact, out),
            Fact::Suspended(fact) => put(4, fact, out),
            Fact::Resumed(fact) => put(5, fact, out),
            Fact::Funded(fact) => put(6, fact, out),
            Fact::Defunded(fact) => put(7, fact, out),
            Fact::LimitChanged(fact) => put(8, fact, out),
            Fact::DayRolled { at, date } => put(9, &Roll { at: *at, date: *date }, out),
            Fact::Audited(fact) if fact.origin == Origin::Node => put_as(AUDITED, VERSION_OF_A_NODE, fact, out),
            Fact::Audited(fact) => put(AUDITED, fact, out),
            Fact::Reserved(fact) => put(16, fact, out),
            Fact::Rejected(fact) => put(17, fact, out),
            Fact::Settled(fact) => put(18, fact, out),
            Fact::Returned(fact) => put(19, fact, out),
            Fact::Expired(fact) => put(20, fact, out),
            Fact::Annotated(fact) => put(21, fact, out),
        }
    }
}

fn put<T: SchemaWrite<wincode::config::DefaultConfig, Src = T>>(kind: u8, body: &T, out: &mut Vec<u8>) {
    put_as(kind, VERSION, body, out);
}

fn put_as<T>(kind: u8, version: u8, body: &T, out: &mut Vec<u8>)
where
    T: SchemaWrite<wincode::config::DefaultConfig, Src = T>,
{
    let start = out.len();
    out.extend_from_slice(&[kind, version, 0, 0]);
    wincode::serialize_into(&mut *out, body).expect("a fact always fits a Vec");
    let length = out.len() - start - 4;
    assert!(length <= usize::from(u16::MAX), "a fact of {length} bytes");
    out[start + 2..start + 4].copy_from_slice(&(length as u16).to_le_bytes());
}

/// Walks the facts of one log entry.
pub struct Facts<'a>(&'a [u8]);

impl<'a> Facts<'a> {
    pub fn new(entry: &'a [u8]) -> Self {
        Facts(entry)
    }
}

impl<'a> Iterator for Facts<'a> {
    type Item = Result<Fact<'a>, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let entry = std::mem::take(&mut self.0); // an error ends the walk
        let Some((header, rest)) = entry.split_first_chunk::<4>() else {
            return Some(Err(Unreadable(format!("{} bytes are left, too few for a fact", entry.len()))));
        };
        let length = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let Some((body, rest)) = rest.split_at_checked(length) else {
            return Some(Err(Unreadable(format!("a fact of {length} bytes is cut off after {}", rest.len()))));
        };
        let known = if header[0] == AUDITED { VERSION_OF_A_NODE } else { VERSION };
        if !(VERSION..=known).contains(&header[1]) {
            let what =
                format!("kind {} has version {}, known is {known}: written by a newer Crosstie?", header[0], header[1]);
            return Some(Err(Unreadable(what)));
        }
        let fact = decode(header[0], body).map_err(|error| Unreadable(format!("kind {}: {error}", header[0])));
        self.0 = if fact.is_ok() { rest } else { &[] };
        Some(fact)
    }
}

fn decode(kind: u8, body: &[u8]) -> Result<Fact<'_>, String> {
    fn get<'a, T>(body: &'a [u8]) -> Result<T, String>
    where
        T: SchemaRead<'a, wincode::config::DefaultConfig, Dst = T>,
    {
        wincode::deserialize_exact(body).map_err(|error| error.to_string())
    }
    Ok(match kind {
        1 => {
            let Registration { at, key, id, currency } = get(body)?;
            Fact::Registered { at, key, id, currency }
        }
        2 => Fact::SignedOn(get(body)?),
        3 => Fact::SignedOff(get(body)?),
        4 => Fact::Suspended(get(body)?),
        5 => Fact::Resumed(get(body)?),
        6 => Fact::Funded(get(body)?),
        7 => Fact::Defunded(get(body)?),
        8 => Fact::LimitChanged(get(body)?),
        9 => {
            let Roll { at, date } = get(body)?;
            Fact::DayRolled { at, date }
        }
        AUDITED => Fact::Audited(get(body)?),
        16 => Fact::Reserved(get(body)?),
        17 => Fact::Rejected(get(body)?),
        18 => Fact::Settled(get(body)?),
        19 => Fact::Returned(get(body)?),
        20 => Fact::Expired(get(body)?),
        21 => Fact::Annotated(get(body)?),
        other => return Err(format!("no fact has the number {other}: written by a newer Crosstie?")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rules, table};

    /// One of each kind.
    fn facts() -> Vec<u8> {
        table::run(
            Rules::default(),
            "
            submit P1 A B 70                -> reserved
            answer P1 acwp                  -> settled without posting
            answer P1 pdng                  -> noted PDNG
            submit R1 B A 7 returns=P1      -> reserved
            answer R1 yes                   -> returned
            submit P2 A B 0                 -> rejected AM01
            submit P3 A B 1                 -> reserved
            answer P3 no                    -> rejected AC04
            submit P4 A B 1                 -> reserved
            wait   10s
            expire P4                       -> expired AB05
            limit  A cap=5                  -> limited
            defund A 1
            suspend A                       -> suspended
            resume A                        -> resumed
            sign-off B                      -> signed off
            audit                           -> audited
            ",
        )
        .facts
    }

    #[test]
    fn every_fact_reads_back() {
        let (bytes, mut again) = (facts(), Vec::new());
        let mut kinds = std::collections::BTreeSet::new();
        for fact in Facts::new(&bytes) {
            let fact = fact.unwrap();
            kinds.insert(bytes[again.len()]);
            fact.encode(&mut again);
        }
        assert_eq!(bytes, again);
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 18, 19, 20, 21]);
    }

    #[test]
    fn cut_at_any_byte_it_ends_with_an_error_and_never_panics() {
        let bytes = facts();
        let whole = Facts::new(&bytes).count();
        for end in 0..bytes.len() {
            let read: Vec<_> = Facts::new(&bytes[..end]).take(whole + 1).collect();
            assert!(read.len() <= whole, "cut at {end}, the walk does not end");
            let good = read.iter().take_while(|fact| fact.is_ok()).count();
            assert!(read.len() - good <= 1, "cut at {end}, it goes on after an error");
        }
    }

    #[test]
    fn garbled_it_never_panics() {
        let bytes = facts();
        let whole = Facts::new(&bytes).count();
        for place in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut garbled = bytes.clone();
                garbled[place] ^= flip;
                for fact in Facts::new(&garbled).take(2 * whole).flatten() {
                    // Whatever was read can be looked at.
                    let _ = (format!("{fact:?}").len(), fact.letter(), fact.news(), fact.payment());
                }
            }
        }
    }

    #[test]
    fn another_version_or_kind_is_named() {
        let error = |bytes: &[u8]| Facts::new(bytes).next().unwrap().unwrap_err().to_string();
        assert!(error(&[16, 2, 0, 0]).contains("kind 16 has version 2"));
        assert!(error(&[AUDITED, 3, 0, 0]).contains("kind 10 has version 3, known is 2"));
        assert!(error(&[AUDITED, 0, 0, 0]).contains("kind 10 has version 0"));
        assert!(error(&[99, 1, 0, 0]).contains("no fact has the number 99"));
        assert!(error(&[16, 1, 9, 0, 1]).contains("cut off"));
        assert!(error(&[16, 1]).contains("too few"));
    }

    #[test]
    fn an_entry_says_what_it_takes_to_read_it() {
        let version = |origin| {
            let audited = Audited { origin, ..crate::table::audited() };
            let mut bytes = Vec::new();
            Fact::Audited(audited).encode(&mut bytes);
            assert_eq!(Facts::new(&bytes).next().unwrap().unwrap(), Fact::Audited(audited));
            bytes[1]
        };
        assert_eq!([Origin::Cli, Origin::Console, Origin::Node].map(version), [1, 1, 2]);
    }

    #[test]
    fn a_letter_is_the_fact_without_its_text() {
        let bytes = facts();
        for fact in Facts::new(&bytes).map(Result::unwrap) {
            let Some((to, letter)) = fact.letter() else {
                assert!(!matches!(fact, Fact::Reserved(_) | Fact::Settled(_) | Fact::Returned(_) | Fact::Expired(_)));
                continue;
            };
            let payment = fact.payment().unwrap();
            let other = if matches!(fact, Fact::Reserved(_)) { payment.creditor } else { payment.debtor };
            assert_eq!((to, letter.payment(), letter.at()), (other, Some(payment), fact.at()));
            assert!(letter.letter() == Some((to, letter)), "a letter about a letter is the same");
        }
    }
}
