//! What the second section of a run is sorted by: a participant, when its payment ended, where the payment stands.
//!
//! | bits, highest first | |
//! |---|---|
//! | 32 | key of the participant |
//! | 64 | when the payment ended, nanoseconds since 1970 |
//! | 28 | place of the payment among the entries of the run |
//! | 4 | its state |

use settlement::{Key, State};
use wire::Timestamp;

use super::entry::{self, Entry};

/// See the file's head. On disk with its highest byte first, so that keys sort as their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TimeKey(pub(super) u128);

impl TimeKey {
    fn new(participant: Key, ended_at: Timestamp, place: u32, state: u8) -> TimeKey {
        let low = place << 4 | u32::from(state);
        TimeKey(u128::from(participant.0) << 96 | u128::from(ended_at.nanoseconds()) << 32 | u128::from(low))
    }

    /// Of both parties, or of the one that is registered.
    pub(super) fn of(entry: &Entry, place: u32) -> impl Iterator<Item = TimeKey> {
        let creditor = (entry.creditor != Key::NONE && entry.creditor != entry.debtor).then_some(entry.creditor);
        let (ended_at, state) = (entry.ended_at, entry::code(entry.state));
        std::iter::once(entry.debtor).chain(creditor).map(move |party| TimeKey::new(party, ended_at, place, state))
    }

    /// Lies before every key of this participant from this time on.
    pub(super) fn lowest(participant: Key, from: Timestamp) -> TimeKey {
        TimeKey::new(participant, from, 0, 0)
    }

    pub(super) fn at(place: u32, key: TimeKey) -> TimeKey {
        TimeKey(key.0 & !(0xffff_fff0) | u128::from(place << 4))
    }

    pub(super) fn participant(self) -> u32 {
        (self.0 >> 96) as u32
    }

    pub(super) fn ended_at(self) -> Timestamp {
        Timestamp((self.0 >> 32) as u64)
    }

    pub(super) fn place(self) -> u32 {
        (self.0 as u32) >> 4
    }

    pub(super) fn is(self, state: State) -> bool {
        (self.0 & 0xf) as u8 == entry::code(state)
    }
}
