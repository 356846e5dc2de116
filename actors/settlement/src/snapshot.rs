//! The book as bytes: what a restart begins with instead of the whole log.
//!
//! | part | content |
//! |---|---|
//! | magic | `CROSSTIE BOOK 2\n`; version 1, which had no days and no trail, is still read |
//! | scheme | length `u32`, then business date, last stamp, system notice number, listings |
//! | per listing | length `u32`, then notice number and positions |
//! | days | length `u32`, then what moved on each business date |
//! | payments offered | count `u32`, then so many in parts of up to 4,096, each with its length `u32` |
//! | payments unposted | the same |
//! | payments sent | count `u64`, then so many records of 88 bytes |
//! | audit trail | length `u32`, then number and hash of its last entry; count `u32`, then so many pieces, each with its length `u32` |
//!
//! The last five lines before the trail repeat for each listing. All in the byte format of bincode 1. Reading allocates no more than
//! what has really come. [`Frozen`] shares the records' chunks and the days with the book, so taking one is quick
//! whatever the number of payments and dates; payments wait meanwhile.

use std::io::{self, Read, Write};
use std::sync::Arc;

use wincode::{SchemaRead, SchemaWrite};
use wire::{BusinessDate, Currency, Timestamp};

use crate::book::Book;
use crate::days::{Day, Days, Diary};
use crate::fact::Payment;
use crate::participant::{Incoming, Participant, identity};
use crate::payments::{Payments, Shared};
use crate::trail::{Hash, Head, Trail};
use crate::{Key, Listing, Position, Scheme};

const MAGIC: &[u8; 16] = b"CROSSTIE BOOK 2\n";
const MAGIC_1: &[u8; 16] = b"CROSSTIE BOOK 1\n";
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

/// Of each currency.
type DiaryPart = Vec<(Currency, DaysPart)>;

#[derive(SchemaRead, SchemaWrite)]
struct DaysPart {
    opening: i64,
    unknown_until: BusinessDate,
    days: Vec<Day>,
}

#[derive(SchemaRead, SchemaWrite)]
struct TrailPart {
    number: u64,
    hash: Hash,
}

/// A book that stands still, ready to be written by another thread.
pub struct Frozen {
    scheme: SchemePart,
    participants: Vec<FrozenParticipant>,
    trail: Trail,
}

struct FrozenParticipant {
    part: ParticipantPart,
    diary: Arc<Diary>,
    incoming: Vec<Incoming>,
    unposted: Vec<Payment>,
    payments: Shared,
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
        let part = |((participant, notices), diary): ((&Participant, &u64), &Arc<Diary>)| FrozenParticipant {
            part: ParticipantPart { notices: *notices, positions: participant.positions.clone() },
            diary: diary.clone(),
            incoming: participant.incoming.values().copied().collect(),
            unposted: participant.unposted.values().copied().collect(),
            payments: participant.payments.share(),
        };
        let participants = self.participants.iter().zip(&self.notices).zip(&self.diaries).map(part).collect();
        Frozen { scheme, participants, trail: self.trail.clone() }
    }
}

impl Frozen {
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        write_part(&self.scheme, out)?;
        let mut buffer = Vec::with_capacity(RECORD_BYTES * 256);
        for FrozenParticipant { part, diary, incoming, unposted, payments } in &self.participants {
            write_part(part, out)?;
            write_part(&diary_part(diary), out)?;
            write_items(incoming, out)?;
            write_items(unposted, out)?;
            out.write_all(&payments.len().to_le_bytes())?;
            let mut records = payments.iter().peekable();
            while records.peek().is_some() {
                buffer.clear();
                for record in records.by_ref().take(256) {
                    wincode::serialize_into(&mut buffer, &record).map_err(io::Error::other)?;
                }
                out.write_all(&buffer)?;
            }
        }
        write_trail(&self.trail, out)
    }
}

fn diary_part(diary: &Diary) -> DiaryPart {
    let part = |days: &Days| DaysPart {
        opening: days.opening,
        unknown_until: days.unknown_until,
        days: days.all().cloned().collect(),
    };
    diary.0.iter().map(|(currency, days)| (*currency, part(days))).collect()
}

fn write_part<T>(part: &T, out: &mut dyn Write) -> io::Result<()>
where
    T: SchemaWrite<wincode::config::DefaultConfig, Src = T>,
{
    let bytes = wincode::serialize(part).map_err(io::Error::other)?;
    out.write_all(&(bytes.len() as u32).to_le_bytes())?;
    out.write_all(&bytes)
}

fn write_trail(trail: &Trail, out: &mut dyn Write) -> io::Result<()> {
    let Head { number, hash } = trail.head();
    write_part(&TrailPart { number, hash }, out)?;
    out.write_all(&(trail.pieces().count() as u32).to_le_bytes())?;
    trail.pieces().try_for_each(|piece| {
        out.write_all(&(piece.len() as u32).to_le_bytes())?;
        out.write_all(piece)
    })
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
    let is_first = &magic == MAGIC_1;
    if !is_first && &magic != MAGIC {
        return Err("the snapshot holds no book of a version known here".into());
    }
    let scheme: SchemePart = read_part(from)?;
    let mut book = Book { system_notices: scheme.system_notices, ..Book::default() };
    for (place, listing) in scheme.listings.iter().enumerate() {
        let part: ParticipantPart = read_part(from)?;
        let mut participant = Participant::new(Key(place as u32), listing.clone());
        participant.positions = part.positions;
        let diary = if is_first { without_past(&participant, scheme.business_date) } else { read_diary(from)? };
        read_items(from, |one: Incoming| _ = participant.incoming.insert(identity(&one.payment), one))?;
        read_items(from, |one: Payment| _ = participant.unposted.insert(identity(&one), one))?;
        participant.payments = read_payments(from)?;
        book.participants.push(participant);
        book.notices.push(part.notices);
        book.diaries.push(Arc::new(diary));
    }
    book.scheme = Scheme::restored(scheme.listings, scheme.business_date, scheme.last_at);
    if !is_first {
        book.trail = read_trail(from)?;
    }
    Ok(book)
}

fn read_diary(from: &mut dyn Read) -> Result<Diary, String> {
    let part: DiaryPart = read_part(from)?;
    let days = |part: DaysPart| Days::restored(part.opening, part.unknown_until, part.days);
    Ok(Diary(part.into_iter().map(|(currency, part)| (currency, days(part))).collect()))
}

fn read_trail(from: &mut dyn Read) -> Result<Trail, String> {
    let TrailPart { number, hash } = read_part(from)?;
    let count = read_length(from)?;
    let mut pieces = Vec::new();
    for _ in 0..count {
        pieces.push(read_bytes(from)?);
    }
    Trail::restored(pieces, Head { number, hash }).map_err(|broken| broken.to_string())
}

fn without_past(participant: &Participant, today: BusinessDate) -> Diary {
    let positions = participant.positions.iter();
    Diary(positions.map(|(currency, position)| (*currency, Days::from_now(position.balance(), today))).collect())
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
    wincode::deserialize_exact(&read_bytes(from)?).map_err(|error| format!("a part of the snapshot: {error}"))
}

fn read_bytes(from: &mut dyn Read) -> Result<Vec<u8>, String> {
    let length = read_length(from)?;
    if length > PART_BYTES_MAX {
        return Err(format!("a part of the snapshot claims {length} bytes, the limit is {PART_BYTES_MAX}"));
    }
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes).map_err(ends_early)?;
    if bytes.len() < length {
        return Err(format!("the book in the snapshot ends early: {} bytes of a part of {length}", bytes.len()));
    }
    Ok(bytes)
}

fn read_length(from: &mut dyn Read) -> Result<usize, String> {
    let mut length = [0; 4];
    from.read_exact(&mut length).map_err(ends_early)?;
    Ok(u32::from_le_bytes(length) as usize)
}

fn ends_early(error: io::Error) -> String {
    format!("the book in the snapshot ends early: {error}")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use wire::Status;

    use super::*;
    use crate::days::{self, DAYS_MAX};
    use crate::fact::{Fact, Settled};
    use crate::{Record, Rules, table};

    fn book() -> Book {
        table::run(
            Rules::default(),
            "
            fund   B 50 USD
            limit  A cap=90 max=80          -> limited
            submit P1 A B 70                -> reserved
            answer P1 acwp                  -> settled without posting
            submit P2 A B 0                 -> rejected AM01
            submit P3 A C 10                -> reserved
            submit R1 B A 7 returns=P1      -> reserved
            suspend C receive               -> suspended
            roll
            audit                           -> audited
            audit                           -> audited
            ",
        )
        .book
    }

    fn written(book: &Book) -> Vec<u8> {
        let mut bytes = Vec::new();
        book.freeze().write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_reads_back() {
        for book in [Book::default(), book()] {
            let bytes = written(&book);
            let mut rest = bytes.as_slice();
            assert_eq!(restore(&mut rest).unwrap(), book);
            assert!(rest.is_empty(), "what follows a snapshot is left alone");
        }
    }

    /// As version 1 wrote it: everything but the days and the trail.
    #[test]
    fn a_snapshot_of_version_1_is_read() {
        let book = book();
        let Frozen { scheme, participants, .. } = book.freeze();
        let mut bytes = MAGIC_1.to_vec();
        write_part(&scheme, &mut bytes).unwrap();
        for FrozenParticipant { part, incoming, unposted, payments, .. } in &participants {
            write_part(part, &mut bytes).unwrap();
            write_items(incoming, &mut bytes).unwrap();
            write_items(unposted, &mut bytes).unwrap();
            bytes.extend_from_slice(&payments.len().to_le_bytes());
            payments.iter().for_each(|record| bytes.extend(wincode::serialize(&record).unwrap()));
        }
        let read = restore(&mut bytes.as_slice()).unwrap();
        assert_eq!((&read.participants, &read.notices), (&book.participants, &book.notices));
        for (participant, diary) in read.participants.iter().zip(&read.diaries) {
            for (currency, position) in &participant.positions {
                let days = diary.of(*currency).unwrap();
                assert_eq!((days.balance(), days.on(book.scheme.business_date())), (position.balance(), None));
            }
        }
    }

    #[test]
    fn a_frozen_book_stands_still() {
        let mut book = book();
        let (frozen, before) = (book.freeze(), book.clone());
        let table = table::run(Rules::default(), "submit P9 A B 1 -> reserved");
        let last = crate::Facts::new(&table.facts).last().unwrap().unwrap();
        book.apply(&last, &mut ());
        assert_ne!(book, before);
        let mut bytes = Vec::new();
        frozen.write(&mut bytes).unwrap();
        assert_eq!(restore(&mut bytes.as_slice()).unwrap(), before);
    }

    #[test]
    fn cut_at_any_byte_it_is_refused() {
        let bytes = written(&book());
        for end in 0..bytes.len() {
            assert!(restore(&mut &bytes[..end]).is_err(), "cut at {end} of {}", bytes.len());
        }
    }

    #[test]
    fn garbled_it_never_panics() {
        let (bytes, book) = (written(&book()), book());
        let mut noticed = 0;
        for place in 0..bytes.len() {
            for flip in [0x01, 0x10, 0x80, 0xff] {
                let mut garbled = bytes.clone();
                garbled[place] ^= flip;
                noticed += usize::from(restore(&mut garbled.as_slice()).map_or(true, |read| read != book));
            }
        }
        // A second message id byte behind the text, and the like, say nothing; everything else does.
        assert!(noticed * 10 > bytes.len() * 4 * 8, "{noticed} of {}", bytes.len() * 4);
    }

    /// A length that lies costs nothing: it is refused after what really came.
    #[test]
    fn a_length_bomb_is_refused_quickly() {
        let bytes = written(&book());
        for place in 16..bytes.len() - 8 {
            let mut bomb = bytes.clone();
            bomb[place..place + 8].fill(0xff);
            let _ = restore(&mut bomb.as_slice());
            bomb[place..place + 4].copy_from_slice(&(PART_BYTES_MAX as u32).to_le_bytes());
            let _ = restore(&mut bomb.as_slice());
        }
    }

    /// Five thousand participants that moved money on as many dates as are kept.
    fn old_and_large() -> Book {
        let mut book = book();
        let model = book.participants[0].clone();
        let (_, days) = &book.diaries[0].0[0];
        let mut day = days.all().next().unwrap().clone();
        day.fundings.resize(5, day.fundings[0]);
        let mut dates = std::iter::successors(Some(day.date), |date| Some(date.next()));
        let days: Vec<Day> = (0..DAYS_MAX).map(|_| Day { date: dates.next().unwrap(), ..day.clone() }).collect();
        for place in book.participants.len()..5_000 {
            book.participants.push(Participant { key: Key(place as u32), ..model.clone() });
            book.notices.push(1);
            let days = Days::restored(0, BusinessDate::NONE, days.clone());
            book.diaries.push(Arc::new(Diary(vec![(Currency::EUR, days)])));
        }
        book
    }

    /// Payments wait meanwhile, and none may wait for more than 5 ms. Copying the days took four times as long.
    #[test]
    fn freezing_five_thousand_participants_takes_no_5_ms() {
        let book = old_and_large();
        let took = |_| {
            let began = Instant::now();
            let frozen = book.freeze();
            let took = began.elapsed();
            assert_eq!(frozen.participants.len(), 5_000);
            took
        };
        let least = (0..10).map(took).min().unwrap();
        assert!(least < Duration::from_millis(5), "{least:?}");
    }

    /// Nor may the first movements after it be slow: two thousand participants that move in one entry, on the last date, and
    /// then on a new one. Copying all of their days took 5 ms to 10 ms.
    #[test]
    fn entering_a_thousand_payments_beside_a_frozen_book_takes_no_5_ms() {
        let mut book = old_and_large();
        let payment = *book.participants[0].incoming.values().map(|incoming| &incoming.payment).next().unwrap();
        let mut last = book.diaries[10].0[0].1.all().next_back().unwrap().date;
        let enter = |book: &mut Book, date| {
            let payments =
                (10..1_010).map(|place| Payment { debtor: Key(place), creditor: Key(place + 1_000), ..payment });
            let settled = |payment| Settled { at: table::START, payment, status: Status::ACSC, settlement_date: date };
            let facts: Vec<Fact<'_>> = payments.map(|payment| Fact::Settled(settled(payment))).collect();
            let began = Instant::now();
            facts.iter().for_each(|fact| days::enter(&mut book.diaries, fact, &book.scheme));
            began.elapsed()
        };
        let mut least = [Duration::MAX; 2];
        for _ in 0..10 {
            for (least, next) in least.iter_mut().zip([last, last.next()]) {
                let frozen = book.freeze();
                *least = enter(&mut book, next).min(*least);
                let before = &frozen.participants[10].diary.0[0].1;
                assert_ne!(before, &book.diaries[10].0[0].1, "the frozen book stands still");
                last = next;
            }
            enter(&mut book, last);
        }
        assert!(least.iter().all(|least| *least < Duration::from_millis(5)), "{least:?}");
    }

    /// More than fits one part: offered, unposted and sent.
    #[test]
    fn large_books() {
        let mut book = book();
        let payment = *book.participants[0].incoming.values().map(|incoming| &incoming.payment).next().unwrap();
        let numbered = |number: u64| {
            let mut bytes = [0; 16];
            bytes[8..].copy_from_slice(&number.to_be_bytes());
            Payment { uetr: wire::Uetr::from_random(bytes), ..payment }
        };
        for number in 0..50_000 {
            let payment = numbered(number);
            let own = &mut book.participants[1];
            own.incoming.insert(identity(&payment), Incoming { payment, deadline: table::START });
            own.unposted.insert(identity(&payment), payment);
            let record = book.participants[0].payments.iter().next().unwrap();
            book.participants[0].payments.insert(Record { uetr: payment.uetr, ..record });
        }
        let bytes = written(&book);
        assert!(restore(&mut bytes.as_slice()).unwrap() == book);
    }
}
