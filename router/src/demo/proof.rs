//! The proof: what the banks wrote in their own books, what the nodes told of positions, and what their logs add up to
//! when they are read from nothing. All must say the same.

use wire::Uetr;

use super::book::{Book, Ending, Offered, Said, Sent};
use super::characters::{CAST, CURRENCIES, currency, place_of};
use super::figures::{amount, count};
use super::replay::Replay;
use crate::admin::protocol;
use settlement::{Record, State};

/// Differences that are spelled out; the rest is counted.
const SPELLED_OUT: usize = 12;

/// What the switch told of one bank.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) positions: [Position; CURRENCIES.len()],
    pub(super) last_notice: u64,
}

/// A position, from whichever source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) funded: i64,
    pub(super) net: i64,
    pub(super) reserved: i64,
}

impl Told {
    /// From the answer to `participants`, in the order of the cast; `None` for what cannot be read.
    pub(super) fn all(participants: &[protocol::Participant]) -> Option<Vec<Told>> {
        CAST.iter().map(|part| Told::one(participants.iter().find(|one| one.id == part.name)?)).collect()
    }

    fn one(participant: &protocol::Participant) -> Option<Told> {
        let mut told = Told { last_notice: participant.last_notice, ..Told::default() };
        for position in &participant.positions {
            let currency: wire::Currency = position.currency.parse().ok()?;
            let minor = |text: &str| {
                let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
                wire::Money::parse(digits, currency).ok().map(|money| sign * money.minor)
            };
            let place = super::characters::currency_place(currency)?;
            told.positions[place] = Position {
                funded: minor(&position.funded)?,
                net: minor(&position.net)?,
                reserved: minor(&position.reserved)?,
            };
        }
        Some(told)
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) claim: &'static str,
    pub(super) found: String,
    pub(super) holds: bool,
}

/// See the file's head.
#[derive(Clone, Debug, Default)]
pub(super) struct Proof {
    pub(super) rows: Vec<Row>,
    pub(super) payments: u64,
    /// Payments without an outcome, and outcomes that the log does not have.
    pub(super) lost: u64,
    /// Offered, told or settled more often than once.
    pub(super) doubled: u64,
    /// The first differences, in words.
    pub(super) differences: Vec<String>,
    found: u64,
}

impl Proof {
    pub(super) fn holds(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.rows.iter().all(|row| row.holds)
    }

    fn row(&mut self, claim: &'static str, holds: bool, found: String) {
        self.rows.push(Row { claim, found, holds });
    }

    fn differs(&mut self, what: impl FnOnce() -> String) {
        self.found += 1;
        if self.differences.len() < SPELLED_OUT {
            self.differences.push(what());
        }
    }

    /// As a table, and the verdict as its last line.
    pub(super) fn table(&self, seed: u64) -> String {
        let width = self.rows.iter().map(|row| row.claim.len()).max().unwrap_or(0);
        let mut text = String::new();
        for row in &self.rows {
            let mark = if row.holds { "✓" } else { "✗ NO" };
            text += &format!("  {:<width$}  {}  {mark}\n", row.claim, row.found);
        }
        for difference in &self.differences {
            text += &format!("  ✗ {difference}\n");
        }
        if self.found > self.differences.len() as u64 {
            text += &format!("  ✗ and {} more\n", count(self.found - self.differences.len() as u64));
        }
        let verdict = if self.holds() { "PROOF HOLDS" } else { "PROOF FAILS" };
        let (payments, lost, doubled) = (count(self.payments), count(self.lost), count(self.doubled));
        text + &format!("{verdict}: {payments} payments · {lost} lost · {doubled} doubled · seed {seed}\n")
    }
}

/// Compares everything with everything.
pub(super) fn prove(books: &[&Book], told: &[Told], replay: &Replay) -> Proof {
    let mut proof = Proof::default();
    outcomes(&mut proof, books);
    money(&mut proof, books);
    log(&mut proof, books, replay);
    positions(&mut proof, books, told, replay);
    imbalance(&mut proof, told, replay);
    feeds(&mut proof, books, told, replay);
    repeats(&mut proof, books);
    proof
}

fn name(place: usize) -> &'static str {
    CAST[place].name
}

/// One outcome each, and the other bank has it too.
fn outcomes(proof: &mut Proof, books: &[&Book]) {
    let (mut without, mut disagree, mut compared, mut doubled) = (0, 0, 0, 0);
    for (place, book) in books.iter().enumerate() {
        for (uetr, sent) in &book.sent {
            proof.payments += 1;
            let other = usize::from(sent.to);
            if sent.ending.is_none() {
                without += 1;
                proof.differs(|| format!("{uetr}: {} has no outcome of it", name(place)));
                continue;
            }
            if sent.times_told > 1 {
                doubled += 1;
                proof.differs(|| format!("{uetr}: {} was told its outcome {} times", name(place), sent.times_told));
            }
            compared += 1;
            let offered = books[other].offered.get(uetr);
            if !agree(place, sent, offered) {
                disagree += 1;
                proof.differs(|| format!("{uetr}: {} says {sent:?}, {} says {offered:?}", name(place), name(other)));
            }
        }
        for (uetr, offered) in &book.offered {
            if offered.times_offered > 1 || offered.times_told > 1 {
                doubled += 1;
                proof.differs(|| format!("{uetr}: {} was offered or told it more than once: {offered:?}", name(place)));
            }
            let from = usize::from(offered.from);
            if !books[from].sent.contains_key(uetr) {
                disagree += 1;
                proof.differs(|| format!("{uetr}: {} was offered it, {} never sent it", name(place), name(from)));
            }
        }
    }
    proof.lost += without;
    proof.doubled += doubled;
    let (ended, all) = (count(proof.payments - without), count(proof.payments));
    proof.row("every payment has exactly one outcome", without + doubled == 0, format!("{ended} of {all}"));
    let agreed = format!("{} of {}", count(compared - disagree.min(compared)), count(compared));
    proof.row("both banks agree on it", disagree == 0, agreed);
}

/// Whether what the creditor agent knows fits the outcome that the debtor agent knows.
fn agree(debtor: usize, sent: &Sent, offered: Option<&Offered>) -> bool {
    let Some(offered) = offered else {
        // Rejected when it was submitted, or not recorded at all: then nobody was asked.
        return matches!(sent.ending, Some(Ending::Rejected(_) | Ending::Refused(_)));
    };
    let same_content = usize::from(offered.from) == debtor
        && (offered.currency, offered.amount_minor) == (sent.currency, sent.amount_minor);
    let same_outcome = match (sent.ending, offered.ending) {
        (Some(own), Some(others)) => own == others,
        // A no is not confirmed to who said it.
        (Some(Ending::Rejected(reasons)), None) => offered.said == Said::No(reasons.first()),
        _ => false,
    };
    same_content && same_outcome
}

fn money(proof: &mut Proof, books: &[&Book]) {
    let mut found = Vec::new();
    let mut holds = true;
    for (place, code) in CURRENCIES.iter().enumerate() {
        let settled = |ending: Option<Ending>| ending.is_some_and(Ending::is_settled);
        let sent = books.iter().flat_map(|book| book.sent.values());
        let moved: i128 = sent
            .filter(|one| usize::from(one.currency) == place && settled(one.ending))
            .map(|one| i128::from(one.amount_minor))
            .sum();
        let offered = books.iter().flat_map(|book| book.offered.values());
        let received: i128 = offered
            .filter(|one| usize::from(one.currency) == place && settled(one.ending))
            .map(|one| i128::from(one.amount_minor))
            .sum();
        if moved != received {
            holds = false;
            proof.differs(|| format!("{} {code} were sent, {} were received", amount(moved), amount(received)));
        }
        found.push(format!("{code} {}", amount(moved)));
    }
    proof.row("money moved = money received", holds, found.join(" · "));
}

/// The same payments with the same outcomes stand in the log.
fn log(proof: &mut Proof, books: &[&Book], replay: &Replay) {
    let (mut lost, mut unknown, mut differ, mut recorded) = (0, 0, 0, 0u64);
    for (place, book) in books.iter().enumerate() {
        let Some(participant) = replay.book.find(CAST[place].id()) else {
            proof.differs(|| format!("the log does not know {}", name(place)));
            differ += 1;
            continue;
        };
        for (uetr, sent) in &book.sent {
            let record = participant.payment(*uetr);
            match (record, sent.ending) {
                (None, Some(Ending::Refused(_)) | None) => {}
                (None, Some(_)) => {
                    lost += 1;
                    proof.differs(|| format!("{uetr}: {} was told {sent:?}, the log has lost it", name(place)));
                }
                (Some(record), _) if same(sent, &record, replay) => {}
                (Some(record), _) => {
                    differ += 1;
                    proof.differs(|| format!("{uetr}: {} says {sent:?}, the log says {record:?}", name(place)));
                }
            }
        }
        for record in participant.payments().iter() {
            recorded += u64::from(record.state != State::Reserved);
            if !book.sent.contains_key(&record.uetr) {
                unknown += 1;
                proof.differs(|| stray(place, &record.uetr));
            }
        }
    }
    // Each record has an ending, so one more than there are records would be a second one of some payment.
    let surplus = replay.endings.saturating_sub(recorded);
    if surplus > 0 {
        proof.differs(|| format!("the log ends {} payments more often than once", count(surplus)));
    }
    proof.lost += lost;
    proof.doubled += surplus;
    let found = format!(
        "{} entries, {} facts in {:.1} s",
        count(replay.entries),
        count(replay.facts),
        replay.took.as_secs_f64()
    );
    proof.row("the log from entry 1 holds the same", lost + unknown + differ + surplus == 0, found);
}

fn stray(place: usize, uetr: &Uetr) -> String {
    format!("{uetr}: the log says {} sent it, its own book does not", name(place))
}

fn same(sent: &Sent, record: &Record, replay: &Replay) -> bool {
    let same_outcome = match (sent.ending, record.state) {
        (Some(Ending::Settled), State::Settled) | (Some(Ending::WithoutPosting), State::SettledWithoutPosting) => true,
        (Some(Ending::Rejected(reasons)), State::Rejected | State::Expired) => reasons == record.reasons,
        _ => false,
    };
    same_outcome
        && (sent.amount_minor, sent.is_return) == (record.amount_minor, record.is_return)
        && currency(usize::from(sent.currency)) == record.currency
        && place_of(replay.book.scheme().id(record.creditor)) == Some(usize::from(sent.to))
}

fn positions(proof: &mut Proof, books: &[&Book], told: &[Told], replay: &Replay) {
    let (mut differ, mut compared) = (0, 0);
    for (place, book) in books.iter().enumerate() {
        for (own, code) in CURRENCIES.iter().enumerate() {
            compared += 1;
            let in_book = Position { funded: book.funded[own], net: book.net[own], reserved: 0 };
            let by_switch = told.get(place).map(|told| told.positions[own]);
            let held = replay.book.find(CAST[place].id()).and_then(|held| held.position(currency(own)));
            let in_log = held.map(|held| Position { funded: held.funded, net: held.net, reserved: held.reserved });
            if by_switch != Some(in_book) || in_log != Some(in_book) {
                differ += 1;
                proof.differs(|| {
                    format!("{} {code}: own book {in_book:?}, switch {by_switch:?}, log {in_log:?}", name(place))
                });
            }
        }
    }
    let found = format!("{} of {compared} positions", compared - differ);
    proof.row("nodes = banks' own books = log", differ == 0, found);
}

fn imbalance(proof: &mut Proof, told: &[Told], replay: &Replay) {
    let mut found = Vec::new();
    let mut holds = true;
    for (place, code) in CURRENCIES.iter().enumerate() {
        let by_switch: i128 = told.iter().map(|told| i128::from(told.positions[place].net)).sum();
        let in_log = replay.book.imbalance(currency(place));
        if by_switch != 0 || in_log != 0 {
            holds = false;
            proof.differs(|| format!("{code}: positions add up to {by_switch} (switch), {in_log} (log) instead of 0"));
        }
        found.push(format!("{code} {}", amount(if in_log != 0 { in_log } else { by_switch })));
    }
    proof.row("imbalance", holds, found.join(" · "));
}

fn feeds(proof: &mut Proof, books: &[&Book], told: &[Told], replay: &Replay) {
    let (mut wrong, mut notices) = (0, 0);
    for (place, book) in books.iter().enumerate() {
        notices += book.last_notice;
        let key = replay.book.scheme().key(CAST[place].id());
        let in_log = key.map(|key| replay.book.last_notice(key));
        let by_switch = told.get(place).map(|told| told.last_notice);
        let complete = in_log == Some(book.last_notice) && by_switch == Some(book.last_notice);
        let system = book.last_system_notice <= replay.book.last_system_notice();
        if book.gaps > 0 || book.unknown > 0 || !complete || !system {
            wrong += 1;
            proof.differs(|| {
                format!(
                    "{}: its feed ends with {}, told {by_switch:?}, in the log {in_log:?}; {} gaps, {} notices about unknown payments",
                    name(place), book.last_notice, book.gaps, book.unknown
                )
            });
        }
    }
    let found = format!("{} notices in {} feeds", count(notices), books.len());
    proof.row("feeds without a gap", wrong == 0, found);
}

fn repeats(proof: &mut Proof, books: &[&Book]) {
    let repeats: u64 = books.iter().map(|book| book.repeats).sum();
    let contradicted: u64 = books.iter().map(|book| book.repeats_contradicted).sum();
    if contradicted > 0 {
        proof.differs(|| format!("{} payments sent twice heard something else the second time", count(contradicted)));
    }
    let found = format!("{} sent again, {} heard something else", count(repeats), count(contradicted));
    proof.row("a payment sent twice moves once", contradicted == 0, found);
}

mod nodes;
#[cfg(test)]
mod tests;
