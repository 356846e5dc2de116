//! A line that breaks: small relays between BANK-E and the nodes that reset both ends again and again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::draw::mix;
use super::stage::Stage;

const BUFFER_BYTES: usize = 64 << 10;

/// Lays a line to each node: where to connect instead. They break until the load is over.
pub(super) async fn lay(nodes: &[SocketAddr], stage: Arc<Stage>) -> std::io::Result<Vec<SocketAddr>> {
    let (cut, cuts) = watch::channel(0);
    let mut lines = Vec::new();
    for node in nodes {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        lines.push(listener.local_addr()?);
        tokio::spawn(relay(listener, *node, cuts.clone()));
    }
    tokio::spawn(break_it(cut, stage));
    Ok(lines)
}

async fn break_it(cut: watch::Sender<u64>, stage: Arc<Stage>) {
    let mut times = 0;
    loop {
        let pause_ms = 1000 + mix(stage.draw.seed ^ times) % 2000;
        sleep(Duration::from_millis(pause_ms)).await;
        if !stage.load_is_over() {
            times += 1;
            cut.send_replace(times);
        }
    }
}

async fn relay(listener: TcpListener, node: SocketAddr, cuts: watch::Receiver<u64>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let mut cuts = cuts.clone();
        cuts.mark_unchanged();
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(node).await else { return };
            _ = (near.set_nodelay(true), far.set_nodelay(true));
            tokio::select! {
                _ = copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER_BYTES, BUFFER_BYTES) => {}
                _ = cuts.changed() => {
                    // Reset, not closed: what was on its way is gone.
                    for end in [&near, &far] {
                        _ = socket2::SockRef::from(end).set_linger(Some(Duration::ZERO));
                    }
                }
            }
        });
    }
}
