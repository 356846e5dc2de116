//! The writing side of a connection: pulls replies and feeds as fast as the socket takes them.
//!
//! A slow reader makes a long feed, never a full memory: nothing is pulled before the last pull is written.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actors::trail::{Interest, Trail};
use actors::{Cursor, Feed, Line, Progress};
use parking_lot::Mutex;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

use crate::ops::messages::Counts;
use crate::session::{Heard, Opened};

/// Pulled at a time, bytes.
const PULL_BYTES_MAX: usize = 256 << 10;

/// What an outlet needs from its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The socket is full: wait until it is writable, then pump again.
    Writable,
    /// The next notice of a feed, its own or the shared one, is not in memory: read it from the log.
    CatchUp { everyone: bool, wanted: u64, first: u64, until: u64, index: u64 },
    /// The next notice is no longer kept at all.
    Gone { wanted: u64, oldest: u64 },
    /// The connection is broken.
    Broken,
}

struct Pending {
    out: Vec<u8>,
    sent: usize,
    own: Cursor,
    everyone: Cursor,
    need: Option<Need>,
    /// The trail knows that the socket has taken the notices up to this number.
    told: u64,
    /// The last word is in `out`: nothing may follow it.
    is_over: bool,
}

/// Who is told of what goes out.
pub(crate) struct Onlookers {
    pub(crate) trail: Arc<Trail>,
    pub(crate) counts: Arc<Counts>,
}

/// See the file's head.
pub(crate) struct Outlet {
    line: Arc<Line>,
    pub(crate) opened: Opened,
    heard: Arc<Heard>,
    socket: OwnedWriteHalf,
    feed: Arc<Feed>,
    everyone: Arc<Feed>,
    onlookers: Onlookers,
    pending: Mutex<Pending>,
    needs: Notify,
}

impl Outlet {
    /// `greeting` goes out first, then the feeds from the cursors on.
    pub(crate) fn new(
        line: Arc<Line>,
        opened: Opened,
        heard: Arc<Heard>,
        socket: OwnedWriteHalf,
        ((feed, own), (everyone, shared)): ((Arc<Feed>, Cursor), (Arc<Feed>, Cursor)),
        greeting: Vec<u8>,
        onlookers: Onlookers,
    ) -> Self {
        let told = own.last();
        let pending = Pending { out: greeting, sent: 0, own, everyone: shared, need: None, told, is_over: false };
        let (pending, needs) = (Mutex::new(pending), Notify::new());
        Outlet { line, opened, heard, socket, feed, everyone, onlookers, pending, needs }
    }

    pub(crate) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.onlookers.counts
    }

    /// How long nothing was read from the connection.
    pub(crate) fn silent(&self) -> Duration {
        self.heard.silent()
    }

    /// Instructions that were read from the connection.
    pub(crate) fn instructions(&self) -> u64 {
        self.heard.instructions()
    }

    /// How long it has been since the sign-on.
    pub(crate) fn age(&self) -> Duration {
        self.heard.age()
    }

    /// Number of the last notice that was taken from its feed to be sent, and of the last there is.
    pub(crate) fn notices(&self) -> (u64, u64) {
        (self.pending.lock().own.last(), self.feed.last())
    }

    /// Bytes that were pulled and not taken by the socket yet, and replies behind them.
    pub(crate) fn unsent_bytes(&self) -> usize {
        let pending = self.pending.lock();
        pending.out.len() - pending.sent + self.line.unsaid_bytes()
    }

    /// Writes whatever there is until the socket is full or nothing is left.
    pub(crate) fn pump(&self) {
        let mut pending = self.pending.lock();
        if pending.need.is_some() {
            return;
        }
        match self.pump_until(&mut pending) {
            Ok(()) if self.onlookers.trail.is_wanted(Interest::Everything) && pending.own.last() > pending.told => {
                pending.told = pending.own.last();
                self.onlookers.trail.written(self.line.key(), pending.told);
            }
            Ok(()) => {}
            Err(need) => {
                pending.need = Some(need);
                self.needs.notify_one();
            }
        }
    }

    fn pump_until(&self, pending: &mut Pending) -> Result<(), Need> {
        loop {
            if pending.sent == pending.out.len() {
                self.onlookers.counts.written(&pending.out);
                pending.out.clear();
                pending.sent = 0;
                if pending.is_over {
                    return Ok(());
                }
                self.pull(pending)?;
                if pending.out.is_empty() {
                    return Ok(());
                }
            }
            match self.socket.try_write(&pending.out[pending.sent..]) {
                Ok(bytes) => pending.sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Need::Writable),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Need::Broken),
            }
        }
    }

    fn pull(&self, pending: &mut Pending) -> Result<(), Need> {
        let Pending { out, own, everyone, .. } = pending;
        // Replies first, with no notice made between: that a payment is in process is not told behind its outcome.
        let replies = |out: &mut Vec<u8>| self.line.take_direct(out);
        let of_own = self.feed.read_behind(replies, own, PULL_BYTES_MAX, out);
        let need = need_of(false, of_own).or_else(|| need_of(true, self.everyone.read(everyone, PULL_BYTES_MAX, out)));
        // What was pulled already goes out first; the next pull meets the need again.
        need.filter(|_| out.is_empty()).map_or(Ok(()), Err)
    }

    /// Waits until the outlet needs something.
    pub(crate) async fn until_needed(&self) -> Need {
        loop {
            if let Some(need) = self.pending.lock().need {
                return need;
            }
            self.needs.notified().await;
        }
    }

    /// True while the socket is full.
    pub(crate) fn is_waiting(&self) -> bool {
        self.pending.lock().need == Some(Need::Writable)
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// The need is met; goes on writing.
    pub(crate) fn go_on(&self) {
        self.pending.lock().need = None;
        self.pump();
    }

    /// What can be told at once, then this frame, and nothing after it.
    pub(crate) fn say_last(&self, farewell: &[u8]) {
        let mut pending = self.pending.lock();
        // A feed that needs the log stays where it is: the participant hears the rest when it comes back.
        _ = self.pull(&mut pending);
        pending.out.extend_from_slice(farewell);
        pending.is_over = true;
    }

    /// Continues a feed with frames read from the log, up to notice number `last`.
    pub(crate) fn caught_up(&self, everyone: bool, frames: &[u8], last: u64) {
        let mut pending = self.pending.lock();
        // Like every pull: replies first.
        self.line.take_direct(&mut pending.out);
        pending.out.extend_from_slice(frames);
        if everyone {
            pending.everyone = Cursor::after(last);
        } else {
            pending.own = Cursor::after(last);
        }
    }
}

/// What is to be done before a feed can be read on, its own or the shared one.
fn need_of(everyone: bool, progress: Progress) -> Option<Need> {
    match progress {
        Progress::AtEnd | Progress::More => None,
        Progress::Behind { wanted, first, until, index } => {
            Some(Need::CatchUp { everyone, wanted, first, until, index })
        }
        Progress::Gone { wanted, oldest } => Some(Need::Gone { wanted, oldest }),
    }
}
