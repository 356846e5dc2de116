//! A participant's connection, as far as actors and journal know it: what it asked that is not done, what it is to be
//! told besides its feed, and whether it is to end.
//!
//! A connection keeps what it asked until that is decided and committed, so that another leader can be asked again:
//!
//! ```text
//!   kept    [ batch ][ batch ][ batch ][ batch ]
//!             ^ done so far      ^ sent so far          done <= sent <= kept, at most the window is kept
//! ```
//!
//! On the leader's node stands a line of its own for every connection of another node: it keeps nothing, counts what is
//! done and collects the replies, until both are sent back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use settlement::Key;
use tokio::sync::Notify;
use wire::{ParticipantId, Reason};

use crate::Batch;
use crate::relay::WayBack;

/// Why the switch ends a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub reason: Reason,
    pub retry_after_ms: u32,
    pub text: String,
    pub elsewhere: Elsewhere,
}

/// Other nodes that would serve the participant now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    Nowhere,
    /// Every node that serves participants.
    Anywhere,
    /// At these addresses.
    At(Vec<String>),
}

impl Ending {
    pub fn new(reason: Reason, retry_after_ms: u32, text: impl Into<String>) -> Ending {
        Ending { reason, retry_after_ms, text: text.into(), elsewhere: Elsewhere::Nowhere }
    }

    /// The participant is told where other nodes serve it.
    pub fn elsewhere(reason: Reason, retry_after_ms: u32, text: impl Into<String>) -> Ending {
        Ending { elsewhere: Elsewhere::Anywhere, ..Ending::new(reason, retry_after_ms, text) }
    }

    pub(crate) fn superseded() -> Ending {
        let text = "superseded: this participant has signed on over a newer connection";
        Ending::new(Reason::SUPR, u32::MAX, text)
    }
}

/// What is sent to whoever leads, in this order.
pub(crate) enum Parcel<'a> {
    /// The connection has been there before this reign: here it is.
    Presence,
    /// Instructions, from this number of the batch on.
    Instructions(&'a Arc<Batch>, usize),
}

#[derive(Default)]
struct Kept {
    batches: VecDeque<Arc<Batch>>,
    /// Instructions of the first batch that are done.
    done: usize,
    /// Whole batches that the present leader was sent, and instructions of the next.
    sent: usize,
    sent_of_next: usize,
    /// The sign-on is done.
    is_signed_on: bool,
    /// The present leader knows of this connection.
    is_present: bool,
    /// Memory of batches that are done.
    spare: Vec<Arc<Batch>>,
}

impl Kept {
    fn finish(&mut self, instructions: usize) {
        self.done += instructions;
        while let Some(first) = self.batches.front().map(|batch| batch.items.len()).filter(|count| *count <= self.done)
        {
            self.done -= first;
            self.sent = self.sent.saturating_sub(1);
            if let Some(batch) = self.batches.pop_front() {
                self.is_signed_on |= batch.is_sign_on();
                self.recycle(batch);
            }
        }
    }

    /// Keeps the memory of a batch that is done, unless somebody else holds it.
    fn recycle(&mut self, mut batch: Arc<Batch>) {
        if self.spare.len() < Line::SPARE_MAX
            && let Some(own) = Arc::get_mut(&mut batch)
        {
            own.clear();
            self.spare.push(batch);
        }
    }
}

/// Where the connection is whose line this is, on the leader's node.
pub(crate) struct Remote {
    pub(crate) way_back: Arc<WayBack>,
    pub(crate) connection: u64,
    /// Nothing more is sent back.
    pub(crate) is_gone: AtomicBool,
}

/// What is to be told besides the feed.
#[derive(Default)]
struct Said {
    /// Replies, as frames: unnumbered, gone with the connection.
    frames: Vec<u8>,
    /// Instructions done that the connection's node was not told of. Goes together with the replies to them: what was
    /// refused and told so must not be asked again.
    done: u32,
    /// Instructions that are not answered yet, by the archive or by this node's own book, and those behind them, in order.
    owed: VecDeque<Owed>,
    /// Of the last instruction that was owed an answer.
    owed_last: u64,
}

/// Instructions that are done when they are answered. What comes behind them is done after them: whoever leads next is asked
/// all but the first so many.
struct Owed {
    number: u64,
    instructions: u32,
    answer: Option<Vec<u8>>,
    /// Instructions behind them that are decided and committed, and the replies to them.
    behind: u32,
    replies: Vec<u8>,
}

impl Said {
    /// Gives back how many instructions are done by that.
    fn finish(&mut self, instructions: u32, replies: &[u8]) -> u32 {
        match self.owed.back_mut() {
            Some(owed) => {
                owed.behind = owed.behind.saturating_add(instructions);
                owed.replies.extend_from_slice(replies);
                0
            }
            None => {
                self.frames.extend_from_slice(replies);
                instructions
            }
        }
    }

    fn pay(&mut self, number: u64, answer: &[u8]) -> u32 {
        if let Some(owed) = self.owed.iter_mut().find(|owed| owed.number == number) {
            owed.answer = Some(answer.to_vec());
        }
        let mut done = 0;
        while let Some(Owed { instructions, answer: Some(answer), behind, replies, .. }) =
            self.owed.pop_front_if(|owed| owed.answer.is_some())
        {
            self.frames.extend_from_slice(&answer);
            self.frames.extend_from_slice(&replies);
            done = instructions.saturating_add(behind).saturating_add(done);
        }
        done
    }
}

/// See the file's head.
pub struct Line {
    key: Key,
    participant: ParticipantId,
    /// Of the connection, never twice in a process.
    number: u64,
    /// When the connection was accepted. Of another node's its age was told: clocks of nodes are never compared.
    pub(crate) since: Instant,
    pub(crate) remote: Option<Remote>,
    window: u32,
    outstanding: AtomicU32,
    waiting: AtomicBool,
    freed: Notify,
    said: Mutex<Said>,
    ending: Mutex<Option<Ending>>,
    is_ended: AtomicBool,
    ended: Notify,
    kept: Mutex<Kept>,
}

static CONNECTIONS: AtomicU64 = AtomicU64::new(1);

impl Line {
    /// Replies that wait to be sent; with more the session reads no further.
    pub const DIRECT_BYTES_MAX: usize = 1 << 20;

    const SPARE_MAX: usize = 4;

    /// A connection to this node. `window`: instructions that may be outstanding, that is read but not yet decided and
    /// committed.
    pub fn new(key: Key, participant: ParticipantId, window: u32) -> Self {
        Line {
            key,
            participant,
            number: CONNECTIONS.fetch_add(1, Ordering::Relaxed),
            since: Instant::now(),
            remote: None,
            window,
            outstanding: AtomicU32::new(0),
            waiting: AtomicBool::new(false),
            freed: Notify::new(),
            said: Mutex::default(),
            ending: Mutex::new(None),
            is_ended: AtomicBool::new(false),
            ended: Notify::new(),
            kept: Mutex::default(),
        }
    }

    /// A connection to another node.
    pub(crate) fn of_another_node(
        key: Key,
        participant: ParticipantId,
        age: Duration,
        way_back: Arc<WayBack>,
        connection: u64,
    ) -> Self {
        let now = Instant::now();
        let since = now.checked_sub(age).unwrap_or(now);
        let remote = Some(Remote { way_back, connection, is_gone: AtomicBool::new(false) });
        Line { since, remote, ..Line::new(key, participant, u32::MAX) }
    }

    pub fn key(&self) -> Key {
        self.key
    }

    pub fn participant(&self) -> ParticipantId {
        self.participant
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// True when both are lines of one and the same connection.
    pub(crate) fn is_same_connection(&self, other: &Line) -> bool {
        match (&self.remote, &other.remote) {
            (None, None) => self.number == other.number,
            (Some(one), Some(other)) => (one.way_back.node, one.connection) == (other.way_back.node, other.connection),
            _ => false,
        }
    }

    /// True when this is the line of another node's connection, and what that node asked is asked again by a newer line, if it is
    /// not done.
    pub(crate) fn is_void(&self) -> bool {
        self.remote.as_ref().is_some_and(|remote| remote.way_back.is_void())
    }

    /// Whether the connection was accepted after another of its participant, as far as can be told: of two of one node their
    /// numbers tell, of others their ages, give or take what lay on the way or the messages lay somewhere.
    pub(crate) fn is_newer(&self, other: &Line, give_or_take: Duration) -> bool {
        match (&self.remote, &other.remote) {
            (None, None) => self.number > other.number,
            (Some(own), Some(other)) if own.way_back.node == other.way_back.node => own.connection > other.connection,
            _ => self.since > other.since + give_or_take,
        }
    }

    pub fn outstanding(&self) -> u32 {
        self.outstanding.load(Ordering::Acquire)
    }

    /// Counts instructions that came from another node.
    pub(crate) fn take(&self, instructions: u32) {
        self.outstanding.fetch_add(instructions, Ordering::AcqRel);
    }

    /// Keeps a batch that was read, then sends on what can be sent. `send` gives back how many instructions it took (of a
    /// presence, how many presences); when it took less than it was given, the rest stays, and this is false. Gives back
    /// memory for the next read, used before if there is any.
    pub(crate) fn hand_over(
        &self,
        batch: Arc<Batch>,
        send: impl FnMut(Parcel<'_>) -> usize,
    ) -> (bool, Option<Arc<Batch>>) {
        self.outstanding.fetch_add(batch.items.len() as u32, Ordering::AcqRel);
        let mut kept = self.kept.lock();
        kept.batches.push_back(batch);
        (self.send_on(&mut kept, send), kept.spare.pop())
    }

    /// Sends what the present leader was not sent.
    pub(crate) fn send_rest(&self, send: impl FnMut(Parcel<'_>) -> usize) -> bool {
        self.send_on(&mut self.kept.lock(), send)
    }

    fn send_on(&self, kept: &mut Kept, mut send: impl FnMut(Parcel<'_>) -> usize) -> bool {
        // Its client was told to go and sends again elsewhere what it has no answer to.
        if self.is_ended() {
            return true;
        }
        if kept.is_signed_on && !kept.is_present {
            if send(Parcel::Presence) == 0 {
                return false;
            }
            kept.is_present = true;
            // It may have been superseded without knowing.
            if self.is_ended() {
                return true;
            }
        }
        while let Some(batch) = kept.batches.get(kept.sent) {
            let done = if kept.sent == 0 { kept.done } else { 0 };
            let from = done.max(kept.sent_of_next);
            kept.sent_of_next = from + send(Parcel::Instructions(batch, from));
            if kept.sent_of_next < batch.items.len() {
                return false;
            }
            kept.is_present |= batch.is_sign_on();
            (kept.sent, kept.sent_of_next) = (kept.sent + 1, 0);
        }
        true
    }

    /// Another leads: it was sent nothing yet.
    pub(crate) fn begin_again(&self) {
        let mut kept = self.kept.lock();
        self.said.lock().owed.clear();
        (kept.sent, kept.sent_of_next, kept.is_present) = (0, 0, false);
    }

    /// True when the present leader knows of this connection.
    pub(crate) fn is_present(&self) -> bool {
        self.kept.lock().is_present
    }

    /// Instructions are decided and committed, and these are the replies to them. No more are counted than are outstanding.
    ///
    /// Gives back how many bytes of replies wait now, when there are some to this.
    pub(crate) fn finish(&self, instructions: u32, replies: &[u8]) -> usize {
        self.count(|said| said.finish(instructions, replies))
    }

    /// The next instructions are answered later, by the archive or by this node's own book: they are done with [`Line::pay`].
    pub(crate) fn owe(&self, instructions: u32) -> u64 {
        let mut said = self.said.lock();
        said.owed_last += 1;
        let number = said.owed_last;
        said.owed.push_back(Owed { number, instructions, answer: None, behind: 0, replies: Vec::new() });
        number
    }

    /// The answer that was owed, as frames. Dropped when another leader was asked meanwhile.
    pub(crate) fn pay(&self, owed: u64, answer: &[u8]) {
        self.count(|said| said.pay(owed, answer));
    }

    /// Counts what is done by `say`, in one step with the saying: if another leads in between, either all of it is said and
    /// not asked again, or none of it is said. Gives back how many bytes of replies wait now.
    fn count(&self, say: impl FnOnce(&mut Said) -> u32) -> usize {
        let kept = self.remote.is_none().then(|| self.kept.lock());
        let mut said = self.said.lock();
        let done = say(&mut said).min(self.outstanding());
        match kept {
            Some(mut kept) => kept.finish(done as usize),
            None => said.done += done,
        }
        self.outstanding.fetch_sub(done, Ordering::AcqRel);
        let waiting = said.frames.len();
        drop(said);
        self.free();
        waiting
    }

    fn free(&self) {
        if self.waiting.swap(false, Ordering::AcqRel) {
            self.freed.notify_one();
        }
    }

    /// Returns when less than the window is outstanding and the replies have been taken.
    pub async fn wait_for_room(&self) {
        loop {
            if self.has_room() {
                return;
            }
            // An exchange, not a store: the look at the count below must not be done before it.
            self.waiting.swap(true, Ordering::AcqRel);
            if self.has_room() {
                return;
            }
            self.freed.notified().await;
        }
    }

    /// Replies that wait to be sent.
    pub fn unsaid_bytes(&self) -> usize {
        self.said.lock().frames.len()
    }

    pub fn has_room(&self) -> bool {
        self.outstanding() < self.window && self.said.lock().frames.len() < Self::DIRECT_BYTES_MAX
    }

    /// Empty memory for a batch from another node.
    pub(crate) fn spare(&self) -> Arc<Batch> {
        self.kept.lock().spare.pop().unwrap_or_default()
    }

    /// Takes back the memory of a batch that its actor needs no longer, unless somebody else holds it.
    pub(crate) fn take_back(&self, mut batch: Arc<Batch>) {
        if Arc::get_mut(&mut batch).is_some() {
            self.kept.lock().recycle(batch);
        }
    }

    /// Adds a reply: `write` appends one frame.
    pub fn say(&self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.said.lock().frames);
    }

    /// Moves the waiting replies to the end of `out`.
    pub fn take_direct(&self, out: &mut Vec<u8>) {
        self.take_done(out);
    }

    /// Moves the waiting replies to the end of `out`; gives back how many instructions are done that the connection's node
    /// was not told of.
    pub(crate) fn take_done(&self, out: &mut Vec<u8>) -> u32 {
        let mut said = self.said.lock();
        let done = std::mem::take(&mut said.done);
        if !said.frames.is_empty() {
            out.extend_from_slice(&said.frames);
            said.frames.clear();
            drop(said);
            self.free();
        }
        done
    }

    /// Asks the session to say why and to close. The first reason stands.
    pub fn end(&self, ending: Ending) {
        self.ending.lock().get_or_insert(ending);
        self.is_ended.store(true, Ordering::Release);
        self.ended.notify_one();
    }

    pub fn ending(&self) -> Option<Ending> {
        self.ending.lock().clone()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Acquire)
    }

    /// Returns when the connection is to end.
    pub async fn until_ended(&self) -> Ending {
        loop {
            if let Some(ending) = self.ending() {
                return ending;
            }
            self.ended.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Instruction;

    fn line(window: u32) -> Line {
        Line::new(Key(0), "BANK-0".parse().unwrap(), window)
    }

    fn batch(instructions: usize) -> Arc<Batch> {
        Arc::new(Batch { bytes: Vec::new(), items: vec![Instruction::SignOff; instructions] })
    }

    /// What a leader that takes `room` instructions is sent.
    fn sent(room: usize, sent: &mut Vec<(usize, usize)>) -> impl FnMut(Parcel<'_>) -> usize {
        let mut room = room;
        move |parcel| {
            let Parcel::Instructions(batch, from) = parcel else {
                sent.push((0, 0));
                return 1;
            };
            let taken = (batch.items.len() - from).min(room);
            sent.push((from, taken));
            room -= taken;
            taken
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_full_window_waits_until_something_is_committed() {
        let line = Arc::new(line(2));
        line.hand_over(batch(2), |_| 2);
        let waiting = tokio::spawn({
            let line = line.clone();
            async move { line.wait_for_room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        line.finish(1, &[]);
        waiting.await.unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_first_ending_stands() {
        let line = line(2);
        for text in ["first", "second"] {
            line.end(Ending::new(Reason::FORM, 0, text));
        }
        assert_eq!(line.until_ended().await.text, "first");
    }

    #[test]
    fn what_is_not_done_is_sent_to_the_next_leader_in_order() {
        let line = line(1000);
        assert!(line.hand_over(Arc::new(Batch::sign_on()), |_| 1).0);
        for instructions in [3, 2, 4] {
            assert!(line.hand_over(batch(instructions), |parcel| sent(9, &mut Vec::new())(parcel)).0);
        }
        assert_eq!(line.outstanding(), 10);
        line.finish(1 + 3 + 1, &[]);
        assert_eq!(line.outstanding(), 5);

        line.begin_again();
        assert!(!line.is_present());
        let mut seen = Vec::new();
        // The presence, what is left of the second batch, and as much of the third as there is room for.
        assert!(!line.send_rest(sent(3, &mut seen)));
        assert_eq!(seen, [(0, 0), (1, 1), (0, 2)]);
        assert!(line.is_present());
        let mut seen = Vec::new();
        assert!(!line.hand_over(batch(1), sent(2, &mut seen)).0);
        assert_eq!(seen, [(2, 2), (0, 0)]);
        let mut seen = Vec::new();
        assert!(line.send_rest(sent(9, &mut seen)));
        assert_eq!(seen, [(0, 1)]);
        line.finish(6, &[]);
        assert_eq!(line.outstanding(), 0);
        assert!(line.send_rest(|_| panic!("nothing is left")));
    }

    #[test]
    fn a_sign_on_that_is_not_done_is_sent_again_as_such() {
        let line = line(1000);
        line.hand_over(Arc::new(Batch::sign_on()), |_| 0);
        line.begin_again();
        let mut signs_on = false;
        line.send_rest(|parcel| {
            signs_on |= matches!(parcel, Parcel::Instructions(batch, 0) if batch.is_sign_on());
            1
        });
        assert!(signs_on && line.is_present());
    }

    #[test]
    fn an_ended_connection_sends_nothing_more() {
        let line = line(1000);
        line.hand_over(batch(2), |_| 0);
        line.end(Ending::new(Reason::SUPR, 0, ""));
        assert!(line.send_rest(|_| panic!("it was told to go")));
    }

    #[test]
    fn memory_serves_again_once_nobody_needs_it() {
        let line = line(1000);
        let mut own = batch(2);
        Arc::get_mut(&mut own).unwrap().bytes.reserve(100);
        let held_by_the_actor = own.clone();
        let address = Arc::as_ptr(&own);
        line.hand_over(own, |_| 2);
        line.take_back(held_by_the_actor);
        line.finish(2, &[]);
        let spare = line.hand_over(batch(1), |_| 1).1.unwrap();
        assert!(Arc::as_ptr(&spare) == address && spare.items.is_empty() && spare.bytes.capacity() >= 100);
    }

    /// The archive answers late; nothing overtakes its answer, and until then another leader would be asked.
    #[test]
    fn what_the_archive_owes_is_not_done() {
        let line = line(1000);
        line.hand_over(batch(6), |_| 6);
        line.finish(1, b"a");
        let (first, second) = (line.owe(1), line.owe(1));
        line.finish(2, b"d");
        assert_eq!(line.outstanding(), 5);
        line.pay(second, b"c");
        let mut out = Vec::new();
        line.take_direct(&mut out);
        assert_eq!((out.as_slice(), line.outstanding()), (b"a".as_slice(), 5));
        line.pay(first, b"b");
        line.take_direct(&mut out);
        assert_eq!((out.as_slice(), line.outstanding()), (b"abcd".as_slice(), 1));

        let third = line.owe(1);
        line.begin_again();
        line.pay(third, b"e");
        let mut asked = Vec::new();
        line.send_rest(sent(9, &mut asked));
        line.take_direct(&mut out);
        assert_eq!((asked, line.outstanding(), out.len()), (vec![(5, 1)], 1, 4));
    }

    #[test]
    fn what_is_done_and_the_replies_to_it_go_together() {
        let line =
            Line::of_another_node(Key(0), "BANK-0".parse().unwrap(), Duration::ZERO, Arc::new(WayBack::new(2, 3)), 4);
        line.take(5);
        line.finish(2, b"ab");
        line.finish(1, b"");
        let mut out = Vec::new();
        assert_eq!((line.take_done(&mut out), out.as_slice()), (3, b"ab".as_slice()));
        assert_eq!((line.take_done(&mut out), line.outstanding()), (0, 2));
    }
}
