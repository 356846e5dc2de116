//! What the archive keeps of a payment: all that may be asked of it once the book has forgotten it.

use settlement::{Fact, Key, Payment, Stage, State};
use wire::message::StatusReport;
use wire::{BusinessDate, Currency, ParticipantId, Reason, Reasons, Status, Timestamp, Uetr};

/// Bytes of an entry on disk.
pub(super) const ENTRY_BYTES: usize = 96;

/// A payment that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub uetr: Uetr,
    pub debtor: Key,
    /// [`Key::NONE`] when the creditor agent was not registered.
    pub creditor: Key,
    pub amount_minor: i64,
    pub currency: Currency,
    pub state: State,
    pub reasons: Reasons,
    pub settlement_date: BusinessDate,
    /// When it was decided first; zero when that stood in a part of the log that is gone.
    pub decided_at: Timestamp,
    pub ended_at: Timestamp,
    /// Set when this is a return: the payment that is returned.
    pub original: Option<Uetr>,
    /// The log entry that holds its end.
    pub index: u64,
}

impl Entry {
    /// The entry for a payment that this fact ends. `decided_at` is zero where the fact does not tell it.
    pub(crate) fn of(fact: &Fact<'_>, index: u64) -> Option<Entry> {
        let nothing = (Reasons::NONE, BusinessDate::NONE, Timestamp(0));
        let (payment, state, (reasons, settlement_date, decided_at)) = match fact {
            Fact::Settled(settled) | Fact::Returned(settled) => {
                let with_posting = settled.status != Status::ACWP;
                let state = if with_posting { State::Settled } else { State::SettledWithoutPosting };
                (&settled.payment, state, (Reasons::NONE, settled.settlement_date, nothing.2))
            }
            Fact::Rejected(rejected) => {
                let decided_at = if rejected.stage == Stage::Submit { rejected.at } else { nothing.2 };
                (&rejected.payment, State::Rejected, (rejected.reasons, nothing.1, decided_at))
            }
            Fact::Expired(expired) => (&expired.payment, State::Expired, (expired.reasons, nothing.1, nothing.2)),
            _ => return None,
        };
        let Payment { debtor, creditor, uetr, amount_minor, currency, original, .. } = *payment;
        let ended_at = fact.at();
        Some(Entry {
            uetr,
            debtor,
            creditor,
            amount_minor,
            currency,
            state,
            reasons,
            settlement_date,
            decided_at,
            ended_at,
            original,
            index,
        })
    }

    pub fn concerns(&self, participant: Key) -> bool {
        participant == self.debtor || participant == self.creditor
    }

    /// As a party is told.
    pub fn report(&self, debtor_agent: ParticipantId) -> StatusReport {
        StatusReport {
            uetr: self.uetr,
            debtor_agent,
            status: self.state.status(),
            reasons: self.reasons,
            amount_minor: self.amount_minor,
            currency: self.currency,
            settlement_date: self.settlement_date,
            at: self.ended_at,
        }
    }

    /// What entries are sorted by in a run.
    pub(super) fn order(&self) -> (u128, Key, u64) {
        (self.uetr.number(), self.debtor, self.index)
    }

    /// What a participant's payments are sorted by, oldest first.
    pub(super) fn time_order(&self) -> (Timestamp, (u128, Key, u64)) {
        (self.ended_at, self.order())
    }

    /// The places of entries in the order of a run. Keys that fit a register are sorted instead of entries: the upper
    /// half of the UETR, then the place; what agrees in it is put in order afterwards.
    pub(super) fn in_order(entries: &[Entry]) -> Vec<u32> {
        let key = |(place, entry): (usize, &Entry)| entry.uetr.number() >> 64 << 64 | place as u128;
        let mut keys: Vec<u128> = entries.iter().enumerate().map(key).collect();
        keys.sort_unstable();
        let mut places: Vec<u32> = keys.iter().map(|key| *key as u32).collect();
        let mut start = 0;
        for same in keys.chunk_by(|one, next| one >> 64 == next >> 64) {
            let end = start + same.len();
            if same.len() > 1 {
                places[start..end].sort_unstable_by_key(|place| entries[*place as usize].order());
            }
            start = end;
        }
        places
    }

    pub(super) fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut out = [0; ENTRY_BYTES];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(self.uetr.bytes());
        put(&self.debtor.0.to_le_bytes());
        put(&self.creditor.0.to_le_bytes());
        put(&self.amount_minor.to_le_bytes());
        put(&self.decided_at.nanoseconds().to_le_bytes());
        put(&self.ended_at.nanoseconds().to_le_bytes());
        put(&self.index.to_le_bytes());
        put(&self.original.map_or([0; 16], |original| *original.bytes()));
        let mut reasons = [0; 16];
        for (place, reason) in reasons.chunks_exact_mut(4).zip(self.reasons.iter()) {
            place.copy_from_slice(reason.as_str().as_bytes());
        }
        put(&reasons);
        put(&self.settlement_date.number().to_le_bytes());
        put(self.currency.bytes());
        put(&[code(self.state)]);
        out
    }

    /// `None` for what no archive has written.
    pub(super) fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Entry> {
        let mut rest = &bytes[..];
        let uetr = Uetr::from_bytes(take(&mut rest)?).ok()?;
        let debtor = Key(u32::from_le_bytes(take(&mut rest)?));
        let creditor = Key(u32::from_le_bytes(take(&mut rest)?));
        let amount_minor = i64::from_le_bytes(take(&mut rest)?);
        let decided_at = Timestamp(u64::from_le_bytes(take(&mut rest)?));
        let ended_at = Timestamp(u64::from_le_bytes(take(&mut rest)?));
        let index = u64::from_le_bytes(take(&mut rest)?);
        let original = match take(&mut rest)? {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => None,
            original => Some(Uetr::from_bytes(original).ok()?),
        };
        let mut reasons = Reasons::NONE;
        for _ in 0..4 {
            let reason: [u8; 4] = take(&mut rest)?;
            if reason != [0; 4] {
                reasons.add(std::str::from_utf8(&reason).ok()?.parse::<Reason>().ok()?);
            }
        }
        let settlement_date = match u32::from_le_bytes(take(&mut rest)?) {
            0 => BusinessDate::NONE,
            number => BusinessDate::from_number(number).ok()?,
        };
        let currency = Currency::from_bytes(take(&mut rest)?).ok()?;
        let [state] = take(&mut rest)?;
        let state = state_of(state)?;
        Some(Entry {
            uetr,
            debtor,
            creditor,
            amount_minor,
            currency,
            state,
            reasons,
            settlement_date,
            decided_at,
            ended_at,
            original,
            index,
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

/// A state as the files have it: from 1 to 4, never another.
pub(super) fn code(state: State) -> u8 {
    match state {
        State::Reserved => unreachable!("a payment in process is not archived"),
        State::Settled => 1,
        State::SettledWithoutPosting => 2,
        State::Rejected => 3,
        State::Expired => 4,
    }
}

fn state_of(code: u8) -> Option<State> {
    Some(match code {
        1 => State::Settled,
        2 => State::SettledWithoutPosting,
        3 => State::Rejected,
        4 => State::Expired,
        _ => return None,
    })
}
