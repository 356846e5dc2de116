//! The sockets: a thread of its own, its runtime, how many connections there may be and how long they may take.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Extension;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use crate::app::{self, App};
use crate::{Switch, look};

const CONNECTIONS_MAX: usize = 128;
/// For a request's line and headers.
const HEADERS_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
/// One address has no more of them, so that one client that misbehaves does not take those of `/livez` and its like. Against
/// somebody with many addresses the network before it has to help.
const CONNECTIONS_OF_ADDRESS_MAX: usize = CONNECTIONS_MAX / 2;
/// For a request's head to come in, for a connection to be idle, and for what was sent to be received.
const PATIENCE: Duration = Duration::from_secs(10);
/// Lower than everything that a payment waits for.
const NICE: i32 = 5;

#[derive(Clone, Debug)]
pub struct Config {
    pub address: SocketAddr,
    /// Names that browsers know this console by, besides addresses and localhost.
    pub hosts: Vec<String>,
    /// The file of operators. While there is none, whoever is on this machine may look, and nobody may do anything.
    pub operators: PathBuf,
    /// Whether `/metrics`, for which nobody signs in, names payments.
    pub gives_exemplars: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the console cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the console's thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// A running console; it ends when this is dropped.
pub struct Console {
    /// With the port that was taken when 0 was asked for.
    pub address: SocketAddr,
    /// Dropped to end it.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Console {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

/// From where a request came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

pub fn start(config: Config, switch: Arc<dyn Switch>) -> Result<Console, Error> {
    let failed = |source| Error::Listen { address: config.address, source };
    let listener = std::net::TcpListener::bind(config.address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build();
    let runtime = runtime.map_err(Error::Thread)?;
    let (end, ended) = oneshot::channel::<()>();
    let run = move || {
        // Refused only to those who may not lower a priority, and then it stays as it is.
        _ = rustix::process::setpriority_process(None, NICE);
        runtime.block_on(async {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            let (looks, watching) = look::keep(switch.clone());
            let app = Arc::new(App::new(config, address, switch, looks));
            tokio::select! {
                () = serve(listener, app) => {}
                () = watching => {}
                _ = ended => {}
            }
        });
        runtime.shutdown_background();
    };
    let thread = std::thread::Builder::new().name("console".into()).spawn(run).map_err(Error::Thread)?;
    Ok(Console { address, end: Some(end), thread: Some(thread) })
}

async fn serve(listener: TcpListener, app: Arc<App>) {
    let router = app::router(app);
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let taken = Arc::<Mutex<HashMap<IpAddr, usize>>>::default();
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                // Closed at once: whoever has so many has not read what he was told on those.
                let Some(place) = Place::take(&taken, from.ip()) else { continue };
                let router = router.clone();
                tokio::spawn(async move {
                    converse(stream, from, router).await;
                    drop((place, permit));
                });
            }
            Err(error) => {
                tracing::warn!(event = "console_accept_failed", error = %error);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// One of the connections of an address.
struct Place(Arc<Mutex<HashMap<IpAddr, usize>>>, IpAddr);

impl Place {
    fn take(taken: &Arc<Mutex<HashMap<IpAddr, usize>>>, address: IpAddr) -> Option<Place> {
        let mut counts = taken.lock();
        let count = counts.entry(address).or_default();
        if *count >= CONNECTIONS_OF_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Place(taken.clone(), address))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.0.lock();
        match counts.get_mut(&self.1) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = counts.remove(&self.1),
        }
    }
}

async fn converse(stream: TcpStream, from: SocketAddr, router: axum::Router) {
    _ = stream.set_nodelay(true);
    // The kernel ends the connection of whoever receives nothing for so long, and with it the answer that waits.
    _ = SockRef::from(&stream).set_tcp_user_timeout(Some(PATIENCE));
    let service = TowerToHyperService::new(router.layer(Extension(Peer(from))));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEADERS_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(event = "console_connection_ended", error = %error);
    }
}
