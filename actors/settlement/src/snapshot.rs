//! The book as bytes: what a restart begins with instead of the whole log.
//!
//! | part | content |
//! |---|---|
//! | magic | `CROSSTIE BOOK 1\n` |
//! | scheme | length `u32`, then business date, last stamp, system notice number, listings |
//! | per listing | length `u32`, then notice number and positions |
//! | payments offered | count `u32`, then so many in parts of up to 4,096, each with its length `u32` |
//! | payments unposted | the same |
//! | payments sent | count `u64`, then so many records of 88 bytes |
//!
//! The last four lines repeat for each listing. All in the byte format of bincode 1. Reading allocates no more than
//! what has really come. [`Frozen`] shares the records' chunks with the book, so taking one is quick
//! whatever the number of payments.

use std::io::{self, Read, Write};
use std::sync::Arc;

use wincode::{SchemaRead, SchemaWrite};
use wire::{BusinessDate, Currency, Timestamp};

use crate::book::Book;
use crate::fact::Payment;
use crate::participant::{Incoming, Participant, identity};
use crate::payments::{Payments, Record};
use crate::{Key, Listing, Position, Scheme};

const MAGIC: &[u8; 16] = b"CROSSTIE BOOK 1\n";
const RECORD_BYTES: usize = 88;
const PART_BYTES_MAX: usize = 256 << 20;
const PART_ITEMS_MAX: usize = 4096;

#[derive(SchemaRead, SchemaWrite)]
struct SchemePart {
    business_date: BusinessDate,
    last_at: Timestamp,
    system_notices: u64,
    listings: Vec<Listing>,
}

#[derive(SchemaRead, SchemaWrite)]
struct ParticipantPart {
    notices: u64,
    positions: Vec<(Currency, Position)>,
}

/// A book that stands still, ready to be written by another thread.
pub struct Frozen {
    scheme: SchemePart,
    participants: Vec<FrozenParticipant>,
}

struct FrozenParticipant {
    part: ParticipantPart,
    incoming: Vec<Incoming>,
    unposted: Vec<Payment>,
    /// Records at the front of the first chunk that are forgotten already.
    skipped: u64,
    chunks: Vec<Arc<Vec<Record>>>,
}

impl Book {
    /// Copies what is small and shares what is large.
    pub fn freeze(&self) -> Frozen {
        let scheme = SchemePart {
            business_date: self.scheme.business_date(),
            last_at: self.scheme.last_at(),
            system_notices: self.system_notices,
            listings: self.scheme.listings().to_vec(),
        };
        let part = |(participant, notices): (&Participant, &u64)| {
            let (skipped, chunks) = participant.payments.share();
            FrozenParticipant {
                part: ParticipantPart { notices: *notices, positions: participant.positions.clone() },
                incoming: participant.incoming.values().copied().collect(),
                unposted: participant.unposted.values().copied().collect(),
                skipped,
                chunks,
            }
        };
        Frozen { scheme, participants: self.participants.iter().zip(&self.notices).map(part).collect() }
    }
}

impl Frozen {
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        write_part(&self.scheme, out)?;
        let mut buffer = Vec::with_capacity(RECORD_BYTES * 256);
        for FrozenParticipant { part, incoming, unposted, skipped, chunks } in &self.participants {
            write_part(part, out)?;
            write_items(incoming, out)?;
            write_items(unposted, out)?;
            let count = chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>() - skipped;
            out.write_all(&count.to_le_bytes())?;
            let mut left_out = *skipped as usize;
            for chunk in chunks {
                buffer.clear();
                for record in &chunk[left_out.min(chunk.len())..] {
                    wincode::serialize_into(&mut buffer, record).map_err(io::Error::other)?;
                }
                left_out = left_out.saturating_sub(chunk.len());
                out.write_all(&buffer)?;
            }
        }
        Ok(())
    }
}

fn write_part<T>(part: &T, out: &mut dyn Write) -> io::Result<()>
where
    T: SchemaWrite<wincode::config::DefaultConfig, Src = T>,
{
    let bytes = wincode::serialize(part).map_err(io::Error::other)?;
    out.write_all(&(bytes.len() as u32).to_le_bytes())?;
    out.write_all(&bytes)
}

/// In parts, for one part may not grow without bound.
fn write_items<T: Copy>(items: &[T], out: &mut dyn Write) -> io::Result<()>
where
    Vec<T>: SchemaWrite<wincode::config::DefaultConfig, Src = Vec<T>>,
{
    out.write_all(&(items.len() as u32).to_le_bytes())?;
    items.chunks(PART_ITEMS_MAX).try_for_each(|part| write_part(&part.to_vec(), out))
}

/// Reads back what [`Frozen::write`] wrote.
pub fn restore(from: &mut dyn Read) -> Result<Book, String> {
    let mut magic = [0; 16];
    from.read_exact(&mut magic).map_err(ends_early)?;
    if &magic != MAGIC {
        return Err("the snapshot holds no book of a version known here".into());
    }
    let scheme: SchemePart = read_part(from)?;
    let mut book = Book { system_notices: scheme.system_notices, ..Book::default() };
    for (place, listing) in scheme.listings.iter().enumerate() {
        let part: ParticipantPart = read_part(from)?;
        let mut participant = Participant::new(Key(place as u32), listing.clone());
        participant.positions = part.positions;
        read_items(from, |one: Incoming| _ = participant.incoming.insert(identity(&one.payment), one))?;
        read_items(from, |one: Payment| _ = participant.unposted.insert(identity(&one), one))?;
        participant.payments = read_payments(from)?;
        book.participants.push(participant);
        book.notices.push(part.notices);
    }
    book.scheme = Scheme::restored(scheme.listings, scheme.business_date, scheme.last_at);
    Ok(book)
}

fn read_payments(from: &mut dyn Read) -> Result<Payments, String> {
    let mut count = [0; 8];
    from.read_exact(&mut count).map_err(ends_early)?;
    let count = u64::from_le_bytes(count);
    let mut payments = Payments::default();
    let mut buffer = [0; RECORD_BYTES * 256];
    let mut done = 0;
    while done < count {
        let records = (count - done).min(256) as usize;
        let bytes = &mut buffer[..records * RECORD_BYTES];
        from.read_exact(bytes).map_err(ends_early)?;
        if payments.is_full() {
            // The count may be wrong: room for sixteen times what has come, which moves each place hardly more than once.
            payments.reserve((count - done).min(16 * done.max(256)) as usize);
        }
        for record in bytes.chunks_exact(RECORD_BYTES) {
            payments.insert(
                wincode::deserialize_exact(record).map_err(|error| format!("a record in the snapshot: {error}"))?,
            );
        }
        done += records as u64;
    }
    Ok(payments)
}

fn read_items<T>(from: &mut dyn Read, mut take: impl FnMut(T)) -> Result<(), String>
where
    Vec<T>: for<'a> SchemaRead<'a, wincode::config::DefaultConfig, Dst = Vec<T>>,
{
    let mut left = read_length(from)?;
    while left > 0 {
        let items: Vec<T> = read_part(from)?;
        if items.len() != left.min(PART_ITEMS_MAX) {
            return Err(format!("a part of the snapshot holds {} items, {left} were announced", items.len()));
        }
        left -= items.len();
        items.into_iter().for_each(&mut take);
    }
    Ok(())
}

fn read_part<T>(from: &mut dyn Read) -> Result<T, String>
where
    T: for<'a> SchemaRead<'a, wincode::config::DefaultConfig, Dst = T>,
{
    let length = read_length(from)?;
    if length > PART_BYTES_MAX {
        return Err(format!("a part of the snapshot claims {length} bytes, the limit is {PART_BYTES_MAX}"));
    }
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes).map_err(ends_early)?;
    if bytes.len() < length {
        return Err(format!("the book in the snapshot ends early: {} bytes of a part of {length}", bytes.len()));
    }
    wincode::deserialize_exact(&bytes).map_err(|error| format!("a part of the snapshot: {error}"))
}

fn read_length(from: &mut dyn Read) -> Result<usize, String> {
    let mut length = [0; 4];
    from.read_exact(&mut length).map_err(ends_early)?;
    Ok(u32::from_le_bytes(length) as usize)
}

fn ends_early(error: io::Error) -> String {
    format!("the book in the snapshot ends early: {error}")
}
