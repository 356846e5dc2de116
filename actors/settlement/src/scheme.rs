//! What all participants share: who takes part, who can be reached, which business date it is.
//!
//! A debtor's actor reads the creditor agent's standing here to refuse early. The creditor's own actor has the last
//! word: it rejects what reaches it after it went away.

use std::collections::HashMap;

use wincode::{SchemaRead, SchemaWrite};
use wire::{BusinessDate, Currency, ParticipantId, Timestamp};

use crate::fact::Fact;
use crate::{Direction, Key};

/// What everyone may know of a participant.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Listing {
    pub id: ParticipantId,
    pub signed_on: bool,
    pub suspended_sending: bool,
    pub suspended_receiving: bool,
    pub currencies: Vec<Currency>,
}

impl Listing {
    pub(crate) fn suspend(&mut self, direction: Direction, suspended: bool) {
        self.suspended_sending = if direction.sends() { suspended } else { self.suspended_sending };
        self.suspended_receiving = if direction.receives() { suspended } else { self.suspended_receiving };
        // Suspension forces a sign-off; after release the participant must sign on again (domain: participant lifecycle).
        self.signed_on &= !(suspended && direction.receives());
    }

    pub(crate) fn hold(&mut self, currency: Currency) {
        if !self.currencies.contains(&currency) {
            self.currencies.push(currency);
        }
    }
}

/// See the file's head.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Scheme {
    listings: Vec<Listing>,
    keys: HashMap<ParticipantId, Key>,
    business_date: BusinessDate,
    /// Stamp of the last fact: the clock never runs backwards past it.
    last_at: Timestamp,
}

impl Scheme {
    pub(crate) fn restored(listings: Vec<Listing>, business_date: BusinessDate, last_at: Timestamp) -> Self {
        let keys = listings.iter().enumerate().map(|(place, listing)| (listing.id, Key(place as u32))).collect();
        Scheme { listings, keys, business_date, last_at }
    }

    pub fn key(&self, id: ParticipantId) -> Option<Key> {
        self.keys.get(&id).copied()
    }

    pub fn listing(&self, key: Key) -> Option<&Listing> {
        self.listings.get(key.place())
    }

    /// The identifier of `key`; none for [`Key::NONE`].
    pub fn id(&self, key: Key) -> ParticipantId {
        self.listing(key).map_or(ParticipantId::NONE, |listing| listing.id)
    }

    pub fn listings(&self) -> &[Listing] {
        &self.listings
    }

    /// The key that the next participant will get.
    pub fn next_key(&self) -> Key {
        Key(self.listings.len() as u32)
    }

    pub fn business_date(&self) -> BusinessDate {
        self.business_date
    }

    pub fn last_at(&self) -> Timestamp {
        self.last_at
    }

    pub fn apply(&mut self, fact: &Fact<'_>) {
        self.last_at = self.last_at.max(fact.at());
        match fact {
            Fact::Registered { key, id, currency, .. } => {
                assert_eq!(*key, self.next_key(), "participants are registered in the order of their keys");
                self.keys.insert(*id, *key);
                self.listings.push(Listing {
                    id: *id,
                    signed_on: false,
                    suspended_sending: false,
                    suspended_receiving: false,
                    currencies: vec![*currency],
                });
            }
            Fact::SignedOn(standing) => self.change(standing.participant, |listing| listing.signed_on = true),
            Fact::SignedOff(standing) => self.change(standing.participant, |listing| listing.signed_on = false),
            Fact::Suspended(standing) => {
                self.change(standing.participant, |listing| listing.suspend(standing.direction, true));
            }
            Fact::Resumed(standing) => {
                self.change(standing.participant, |listing| listing.suspend(standing.direction, false));
            }
            Fact::Funded(moved) | Fact::Defunded(moved) => {
                self.change(moved.participant, |listing| listing.hold(moved.currency));
            }
            Fact::LimitChanged(changed) => self.change(changed.participant, |listing| listing.hold(changed.currency)),
            Fact::DayRolled { date, .. } => self.business_date = *date,
            Fact::Audited(_)
            | Fact::Reserved(_)
            | Fact::Rejected(_)
            | Fact::Settled(_)
            | Fact::Returned(_)
            | Fact::Expired(_)
            | Fact::Annotated(_) => {}
        }
    }

    fn change(&mut self, key: Key, change: impl FnOnce(&mut Listing)) {
        if let Some(listing) = self.listings.get_mut(key.place()) {
            change(listing);
        }
    }
}
