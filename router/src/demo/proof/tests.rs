//! A small true world, and then one lie at a time: the proof must find each.

use settlement::{Expired, Fact, Key, Limits, Payment, PositionMoved, Rejected, Reserved, Settled, Stage};
use wire::{Currency, MessageId, Reason, Reasons, Status, Timestamp};

use super::*;

const BANK_A: usize = 0;
const BANK_B: usize = 1;
const SETTLED: u8 = 1;
const REFUSED_BY_B: u8 = 2;
const EXPIRED: u8 = 3;
const NO_FUNDS: u8 = 4;

struct World {
    books: Vec<Book>,
    told: Vec<Told>,
    replay: Replay,
}

fn uetr(number: u8) -> Uetr {
    Uetr::from_random([number; 16])
}

fn payment(number: u8) -> Payment {
    Payment {
        debtor: Key(BANK_A as u32),
        creditor: Key(BANK_B as u32),
        uetr: uetr(number),
        amount_minor: 100 * i64::from(number),
        currency: Currency::EUR,
        message_id: MessageId::compose(Timestamp(1 << 60).date(), CAST[BANK_A].id(), u64::from(number)),
        original: None,
    }
}

fn reserved(number: u8) -> Fact<'static> {
    let (at, horizon) = (Timestamp(1 << 60), Timestamp(0));
    Fact::Reserved(Reserved { at, payment: payment(number), content: 0, deadline: at, horizon, body: &[] })
}

fn rejected(number: u8, stage: Stage, reason: Reason) -> Fact<'static> {
    Fact::Rejected(Rejected {
        at: Timestamp(1 << 60),
        payment: payment(number),
        content: 0,
        horizon: Timestamp(0),
        stage,
        reasons: Reasons::one(reason),
        additional_information: None,
    })
}

/// Four payments of BANK-A to BANK-B: settled, refused by BANK-B, expired, refused for want of funds.
fn world() -> World {
    let mut replay = Replay::default();
    let at = Timestamp(1 << 60);
    for (place, part) in CAST.iter().enumerate() {
        let participant = Key(place as u32);
        replay.apply(&Fact::Registered { at, key: participant, id: part.id(), currency: Currency::EUR });
        for (own, amount_minor) in part.funded_minor.into_iter().enumerate() {
            let position =
                settlement::Position { funded: amount_minor, limits: Limits::default(), ..Default::default() };
            let currency = currency(own);
            replay.apply(&Fact::Funded(PositionMoved { at, participant, currency, amount_minor, position, note: "" }));
        }
    }
    let settlement_date = at.date();
    for fact in [
        reserved(SETTLED),
        Fact::Settled(Settled { at, payment: payment(SETTLED), status: Status::ACSC, settlement_date }),
        reserved(REFUSED_BY_B),
        rejected(REFUSED_BY_B, Stage::Answer, Reason::AC04),
        reserved(EXPIRED),
        Fact::Expired(Expired { at, payment: payment(EXPIRED), reasons: Reasons::one(Reason::AB05) }),
        rejected(NO_FUNDS, Stage::Submit, Reason::AM04),
    ] {
        replay.apply(&fact);
    }

    let mut books: Vec<Book> = CAST.iter().map(|part| Book::new(part.funded_minor)).collect();
    for (number, ending) in [
        (SETTLED, Ending::Settled),
        (REFUSED_BY_B, Ending::Rejected(Reasons::one(Reason::AC04))),
        (EXPIRED, Ending::Rejected(Reasons::one(Reason::AB05))),
        (NO_FUNDS, Ending::Rejected(Reasons::one(Reason::AM04))),
    ] {
        let sent = Sent {
            to: BANK_B as u8,
            currency: 0,
            is_return: false,
            amount_minor: payment(number).amount_minor,
            number: u32::from(number),
            due_us: 0,
            ending: Some(ending),
            times_told: 1,
            posted: false,
        };
        books[BANK_A].sent.insert(uetr(number), sent);
    }
    for (number, said, ending) in [
        (SETTLED, Said::Yes, Some(Ending::Settled)),
        (REFUSED_BY_B, Said::No(Reason::AC04), None),
        (EXPIRED, Said::Nothing, Some(Ending::Rejected(Reasons::one(Reason::AB05)))),
    ] {
        books[BANK_B].offer(uetr(number), BANK_A, 0, payment(number).amount_minor);
        let offered = books[BANK_B].offered.get_mut(&uetr(number)).unwrap();
        (offered.said, offered.ending) = (said, ending);
    }
    books[BANK_A].net[0] = -payment(SETTLED).amount_minor;
    books[BANK_B].net[0] = payment(SETTLED).amount_minor;
    let told = told(&books, &replay);
    for (book, told) in books.iter_mut().zip(&told) {
        book.last_notice = told.last_notice;
    }
    World { books, told, replay }
}

/// What the switch tells when all is well.
fn told(books: &[Book], replay: &Replay) -> Vec<Told> {
    let one = |(place, book): (usize, &Book)| Told {
        positions: [0, 1].map(|own| Position { funded: book.funded[own], net: book.net[own], reserved: 0 }),
        last_notice: replay.book.last_notice(Key(place as u32)),
    };
    books.iter().enumerate().map(one).collect()
}

/// The proof fails, with this many lost and doubled, and says so in a difference that has `part` in it.
fn finds(lie: impl FnOnce(&mut World), lost: u64, doubled: u64, part: &str) {
    let mut world = world();
    lie(&mut world);
    let proof = prove(&world.books.iter().collect::<Vec<_>>(), &world.told, &world.replay);
    let table = proof.table(7);
    assert!(!proof.holds(), "{part}:\n{table}");
    assert_eq!((proof.lost, proof.doubled), (lost, doubled), "{part}:\n{table}");
    assert!(proof.differences.iter().any(|difference| difference.contains(part)), "{part}:\n{table}");
    assert!(table.contains("PROOF FAILS"), "{table}");
}

fn sent(world: &mut World, number: u8) -> &mut Sent {
    world.books[BANK_A].sent.get_mut(&uetr(number)).unwrap()
}

fn offered(world: &mut World, number: u8) -> &mut Offered {
    world.books[BANK_B].offered.get_mut(&uetr(number)).unwrap()
}

#[test]
fn the_truth_holds() {
    let World { books, told, replay } = world();
    let proof = prove(&books.iter().collect::<Vec<_>>(), &told, &replay);
    let table = proof.table(7);
    assert!(proof.holds(), "{table}");
    assert!(table.ends_with("PROOF HOLDS: 4 payments · 0 lost · 0 doubled · seed 7\n"), "{table}");
}

#[test]
fn a_lost_payment_is_found() {
    finds(|world| sent(world, SETTLED).ending = None, 1, 0, "has no outcome");
    let told_of_it_but_not_in_the_log = |world: &mut World| {
        let one = *sent(world, NO_FUNDS);
        world.books[BANK_A].sent.insert(uetr(9), one);
    };
    finds(told_of_it_but_not_in_the_log, 1, 0, "the log has lost it");
    finds(|world| _ = world.books[BANK_A].sent.remove(&uetr(NO_FUNDS)), 0, 0, "its own book does not");
    finds(|world| _ = world.books[BANK_A].sent.remove(&uetr(SETTLED)), 0, 0, "never sent it");
    finds(|world| _ = world.books[BANK_B].offered.remove(&uetr(SETTLED)), 0, 0, "BANK-B says None");
}

#[test]
fn a_doubled_payment_is_found() {
    finds(|world| sent(world, SETTLED).times_told = 2, 0, 1, "2 times");
    finds(|world| offered(world, SETTLED).times_offered = 2, 0, 1, "more than once");
    finds(|world| offered(world, SETTLED).times_told = 2, 0, 1, "more than once");
    finds(|world| world.replay.endings += 1, 0, 1, "more often than once");
    finds(|world| world.books[BANK_B].repeats_contradicted = 1, 0, 0, "something else the second time");
}

#[test]
fn a_wrong_amount_is_found() {
    finds(|world| sent(world, SETTLED).amount_minor += 1, 0, 0, "were sent");
    finds(|world| offered(world, SETTLED).amount_minor -= 1, 0, 0, "BANK-B says");
    finds(|world| offered(world, EXPIRED).currency = 1, 0, 0, "BANK-B says");
    finds(|world| world.books[BANK_A].net[0] += 1, 0, 0, "BANK-A EUR: own book");
    finds(|world| world.books[BANK_F].funded[1] -= 1, 0, 0, "BANK-F USD: own book");
    finds(|world| world.told[BANK_B].positions[0].net += 1, 0, 0, "add up to 1 (switch)");
    finds(|world| world.told[BANK_B].positions[1].reserved = 1, 0, 0, "BANK-B USD: own book");
}

const BANK_F: usize = 5;

#[test]
fn a_disagreement_is_found() {
    finds(|world| offered(world, SETTLED).ending = Some(Ending::WithoutPosting), 0, 0, "BANK-B says");
    finds(|world| offered(world, SETTLED).ending = None, 0, 0, "BANK-B says");
    finds(|world| offered(world, REFUSED_BY_B).said = Said::No(Reason::AC01), 0, 0, "BANK-B says");
    finds(|world| offered(world, REFUSED_BY_B).said = Said::Yes, 0, 0, "BANK-B says");
    finds(|world| offered(world, EXPIRED).ending = Some(Ending::Settled), 0, 0, "were received");
    finds(|world| offered(world, SETTLED).from = 2, 0, 0, "never sent it");
    finds(|world| sent(world, NO_FUNDS).ending = Some(Ending::Settled), 0, 0, "the log says");
    finds(|world| sent(world, NO_FUNDS).ending = Some(Ending::Refused(Reason::BUSY)), 0, 0, "the log says");
    finds(|world| sent(world, NO_FUNDS).to = 2, 0, 0, "the log says");
}

#[test]
fn a_feed_with_a_gap_is_found() {
    finds(|world| world.books[BANK_A].gaps = 1, 0, 0, "1 gaps");
    finds(|world| world.books[BANK_A].last_notice -= 1, 0, 0, "its feed ends with");
    finds(|world| world.told[BANK_A].last_notice += 1, 0, 0, "its feed ends with");
    finds(|world| world.books[BANK_A].last_system_notice = 1000, 0, 0, "its feed ends with");
    finds(|world| world.books[BANK_B].unknown = 1, 0, 0, "1 notices about unknown");
}

/// A proof that held, after one more look at the nodes.
fn look(look: impl FnOnce(&mut Proof, Replay)) -> Proof {
    let World { books, told, replay } = world();
    let mut proof = prove(&books.iter().collect::<Vec<_>>(), &told, &replay);
    assert!(proof.holds());
    look(&mut proof, replay);
    proof
}

#[test]
fn nodes_that_differ_are_found() {
    let books = |differences| crate::local::Books { index: 9, nodes: 3, holdings: Vec::new(), differences };
    assert!(look(|proof, _| proof.nodes(&books(Vec::new()))).holds());
    assert!(!look(|proof, _| proof.nodes(&books(vec!["node 3 holds less".into()]))).holds());
    assert!(look(|proof, replay| proof.logs(&[(1, replay), (2, world().replay)])).holds());
    let another_log = |proof: &mut Proof, replay| {
        let mut other = world().replay;
        other.fingerprint += 1;
        proof.logs(&[(1, replay), (2, other)]);
    };
    assert!(!look(another_log).holds());
    let another_book = |proof: &mut Proof, replay| {
        let mut other = world().replay;
        let position = settlement::Position { funded: 1, limits: Limits::default(), ..Default::default() };
        let (at, participant, currency) = (Timestamp(1 << 60), Key(0), Currency::EUR);
        let moved = PositionMoved { at, participant, currency, amount_minor: 1, position, note: "" };
        other.book.apply(&Fact::Funded(moved), &mut ());
        proof.logs(&[(1, replay), (2, other)]);
    };
    assert!(!look(another_book).holds());
}

#[test]
fn a_word_of_a_node_that_was_cut_off_is_found() {
    let silence = |committed, notices| crate::demo::acts::Silence {
        node: 2,
        length: std::time::Duration::from_secs(3),
        committed,
        banks: 3,
        notices,
    };
    assert!(look(|proof, _| proof.silence(&silence((5, 5), 0))).holds());
    assert!(!look(|proof, _| proof.silence(&silence((5, 6), 0))).holds());
    assert!(!look(|proof, _| proof.silence(&silence((5, 5), 1))).holds());
}
