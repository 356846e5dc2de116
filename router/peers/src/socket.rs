//! A TCP connection as TLS reads and writes it: few large reads, a moment by which something must have happened, and
//! one kind of error for being late.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};

const BUFFER_BYTES: usize = 64 << 10;
/// What a stranger may still send while it is told why it is refused.
const FAREWELL_BYTES_MAX: usize = 256 << 10;
const FAREWELL: Duration = Duration::from_millis(500);

pub(crate) struct Socket {
    stream: TcpStream,
    /// While it is set, no read or write goes on beyond it.
    deadline: Option<Instant>,
    /// TLS asks for little at a time.
    buffer: Box<[u8]>,
    begin: usize,
    end: usize,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, deadline: Instant) -> Socket {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Socket { stream, deadline: Some(deadline), buffer, begin: 0, end: 0 }
    }

    pub(crate) fn connect(address: SocketAddr, deadline: Instant) -> io::Result<Socket> {
        let stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
        Ok(Socket::new(stream, deadline))
    }

    /// A handle to shut it down from elsewhere.
    pub(crate) fn handle(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// The hello is over: from now on every single read and write may take `patience`, and so long may sent bytes remain
    /// unacknowledged.
    pub(crate) fn settle(&mut self, patience: Duration) -> io::Result<()> {
        self.deadline = None;
        self.stream.set_nodelay(true)?;
        self.stream.set_read_timeout(Some(patience))?;
        self.stream.set_write_timeout(Some(patience))?;
        let socket = SockRef::from(&self.stream);
        let second = Duration::from_secs(1);
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(2 * second).with_interval(second))?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(patience))?;
        Ok(())
    }

    /// Whether there is something to read, be it the end: on a connection where nothing is expected that is its end.
    pub(crate) fn has_news(&self) -> io::Result<bool> {
        self.stream.set_nonblocking(true)?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        match peeked {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
            Ok(_) => Ok(true),
        }
    }

    /// Ends the connection so that the other side can read what was said last: bytes that nobody reads would take it along.
    pub(crate) fn farewell(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        self.deadline = Some(Instant::now() + FAREWELL);
        let mut rest = FAREWELL_BYTES_MAX;
        while let Ok(count @ 1..) = self.read(&mut [0; 4096]) {
            rest = rest.saturating_sub(count);
            if rest == 0 {
                return;
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if let Some(deadline) = self.deadline {
            self.stream.set_read_timeout(Some(left(deadline)?))?;
        }
        self.end = patiently(|| self.stream.read(&mut self.buffer))?;
        self.begin = 0;
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.begin == self.end {
            self.fill()?;
        }
        let count = into.len().min(self.end - self.begin);
        into[..count].copy_from_slice(&self.buffer[self.begin..self.begin + count]);
        self.begin += count;
        Ok(count)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[io::IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        if let Some(deadline) = self.deadline {
            self.stream.set_write_timeout(Some(left(deadline)?))?;
        }
        patiently(|| self.stream.write_vectored(parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Again after a signal; a socket's timeout shows as `WouldBlock`, which TLS would take for something else.
fn patiently(mut attempt: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
            other => return other,
        }
    }
}
