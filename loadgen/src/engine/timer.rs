//! The alarm clock: wakes the poll at a nanosecond, where its own timeout knows only milliseconds.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

pub(super) struct Alarm {
    clock: OwnedFd,
    /// When it will ring, on the run's clock; in the past when it is not set.
    rings_ns: u64,
}

impl Alarm {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let clock = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut SourceFd(&clock.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Alarm { clock, rings_ns: 0 })
    }

    /// Sets it to `next_ns`, unless it will ring at that time anyway. Returns the timeout that is left to the poll: none.
    pub(super) fn set(&mut self, now_ns: u64, next_ns: u64, left: Duration) -> io::Result<Option<Duration>> {
        if self.rings_ns != next_ns || self.rings_ns <= now_ns {
            let it_value = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            let once = Itimerspec { it_interval: Timespec::default(), it_value };
            timerfd_settime(&self.clock, TimerfdTimerFlags::empty(), &once)?;
            self.rings_ns = next_ns;
        }
        Ok(None)
    }
}
