//! What the owner holds.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::file::Order;
use crate::frame::Kind;
use crate::hello::ADDRESS_BYTES_MAX;
use crate::hub::Hub;
use crate::{Channel, Config, Error, NodeId, Statistics, Upcalls, accept, file};

/// How long [`Peers::stop`] waits for its threads; one may hang in the resolution of a name.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// The connections of one node. When it is dropped, they end.
pub struct Peers {
    hub: Arc<Hub>,
    address: SocketAddr,
}

impl Peers {
    /// Takes connections at `listener` from now on; dials nobody until it is told of members.
    pub fn start(config: Config, listener: TcpListener, upcalls: Arc<dyn Upcalls>) -> Result<Peers, Error> {
        if config.address.len() > ADDRESS_BYTES_MAX {
            return Err(Error::Address { address: config.address, bytes_max: ADDRESS_BYTES_MAX });
        }
        let address = listener.local_addr().map_err(Error::Listener)?;
        let hub = Arc::new(Hub::new(config, upcalls)?);
        let accepting = Arc::clone(&hub);
        hub.threads.spawn("peers-accept".into(), move || accept::run(&accepting, &listener))?;
        Ok(Peers { hub, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All members and their addresses, `host:port`; this node among them is ignored. Those that are new are dialled,
    /// those that are missing are not sent to any more.
    pub fn set_members(&self, members: &[(NodeId, String)]) -> Result<(), Error> {
        if let Some((node, _)) = members.iter().find(|(node, _)| *node == 0) {
            return Err(Error::NodeId(*node));
        }
        for peer in self.hub.all() {
            if !members.iter().any(|(node, _)| *node == peer.node) {
                peer.set_member(None);
                file::cancel(&peer);
            }
        }
        for (node, address) in members.iter().filter(|(node, _)| *node != self.hub.config.node) {
            let peer = self.hub.hold(*node)?;
            peer.set_member(Some(address));
            self.hub.see_to(&peer)?;
        }
        self.hub.tidy();
        Ok(())
    }

    /// Never blocks. False when the message was dropped: the node is not connected, or too much waits for it already.
    /// True is no promise that it arrives.
    pub fn send(&self, to: NodeId, channel: Channel, message: Vec<u8>) -> bool {
        let queue_bytes_max = self.hub.config.limits.queue_bytes_max;
        self.hub.known(to).is_some_and(|peer| peer.send(channel, message, queue_bytes_max))
    }

    /// Sends a file, and at its end says so by [`Upcalls::file_sent`]. One file at a time to each node; false when
    /// another is on its way, or the node is not known. The header is opaque, up to 200 KiB.
    pub fn send_file(&self, to: NodeId, header: Vec<u8>, path: PathBuf, rate_bytes_per_s: u64) -> bool {
        assert!(header.len() + size_of::<u64>() <= Kind::FileBegin.bytes_max(), "a header of {} bytes", header.len());
        let order = Order { header, path, rate_bytes_per_s };
        self.hub.known(to).is_some_and(|peer| file::start(&self.hub, peer, order))
    }

    pub fn statistics(&self) -> Statistics {
        let (refused, last_refusal) = self.hub.refusals.read();
        Statistics {
            peers: self.hub.all().iter().map(|peer| peer.statistics()).collect(),
            half_open: self.hub.half_open.len(),
            refused,
            last_refusal,
        }
    }

    /// Ends all connections. Nothing is called up any more when it returns, except by a call that hangs.
    pub fn stop(&self) {
        if !self.hub.threads.stop() {
            return;
        }
        for peer in self.hub.all() {
            peer.end("this node stops");
            peer.shut_incoming();
            file::cancel(&peer);
        }
        self.hub.half_open.shut();
        let _ = self.knock();
        self.hub.threads.wait(STOP_PATIENCE);
    }

    /// The accepting thread waits for a connection; this is the last.
    fn knock(&self) -> io::Result<TcpStream> {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        TcpStream::connect_timeout(&SocketAddr::new(ip, self.address.port()), STOP_PATIENCE)
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Peers").field("node", &self.hub.config.node).finish_non_exhaustive()
    }
}
