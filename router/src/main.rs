//! The program `crosstie`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let listen = std::env::args().nth(1).unwrap_or("127.0.0.1:7800".into());
    let data = std::env::args().nth(2).unwrap_or("/tmp/crosstie-data".into());
    let count: u32 = std::env::args().nth(3).and_then(|n| n.parse().ok()).unwrap_or(36);
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("rt");
    rt.block_on(async move {
        let config = crosstie::node::Config {
            listen: listen.parse().expect("addr"),
            connections_max: 5000,
            session: crosstie::session::Limits {
                node: "n1".into(),
                window: 1024,
                silence_max: std::time::Duration::from_secs(30),
                sign_on_timeout: std::time::Duration::from_secs(5),
                read_bytes: 64 << 10,
            },
            switch: actors::Config {
                log: persistence::Config::new(data),
                rules: settlement::Rules { duplicate_window: std::time::Duration::from_secs(60), ..Default::default() },
                participants_per_actor: 1,
                feed_tail_bytes_max: 4 << 20,
            },
        };
        let node = crosstie::node::start(config).await.expect("start");
        eprintln!("{:?}", node.recovery);
        if node.switch.post.scheme().listings().is_empty() {
            for i in 1..=count {
                let id = format!("BANK-{i:04}").parse().expect("id");
                node.switch.register(id, wire::Currency::USD).await.expect("register");
                let operation = actors::OwnedOperation::Fund {
                    currency: wire::Currency::USD,
                    amount_minor: 1_000_000_000_000_000,
                    note: "test".into(),
                };
                node.switch.operate(id, operation).await.expect("fund");
            }
        }
        println!("listening on {}", node.address);
        tokio::signal::ctrl_c().await.expect("signal");
        println!("{:?}", node.stop(std::time::Duration::from_secs(2)).await);
    });
}
