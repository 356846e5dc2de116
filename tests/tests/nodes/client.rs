//! The client library across the death of the node that it is connected to, with payments in flight.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wire::client::{Client, Notices, Options, Reply, State, Transfer};
use wire::{Currency, Message, Money, Uetr};

use crate::support::{directory, program, setup, until_ready};
use tests::cluster::Cluster;

const PAYMENTS_IN_FLIGHT: usize = 32;

async fn connect(cluster: &Cluster, participant: &str, nodes: [u64; 3]) -> (Client, Notices) {
    let addresses = nodes.map(|node| cluster.address(node).to_string()).to_vec();
    let options = Options { addresses, ..Options::new("", participant.parse().unwrap()) };
    Client::connect(options).await.unwrap()
}

fn node_of(client: &Client) -> Option<String> {
    match &*client.state().borrow() {
        State::SignedOn { node, .. } => Some(node.clone()),
        _ => None,
    }
}

/// Says yes to everything; how many offers came of each payment.
async fn accept_all(client: Client, mut notices: Notices) -> HashMap<Uetr, usize> {
    let mut offers = HashMap::new();
    while let Ok(Some(notice)) = notices.next().await {
        if let Message::TransferNotice(offer) = notice.view() {
            *offers.entry(offer.transfer.uetr).or_default() += 1;
            client.answer(&Reply::yes(offer.transfer.debtor_agent, offer.transfer.uetr)).await.unwrap();
        }
        notices.processed(&notice);
    }
    offers
}

/// How many final outcomes came of each payment; a gap in the feed would be an error.
async fn count_outcomes(mut notices: Notices) -> HashMap<Uetr, usize> {
    let mut outcomes = HashMap::new();
    while let Some(notice) = notices.next().await.unwrap() {
        if let Message::StatusNotice(status) = notice.view() {
            *outcomes.entry(status.uetr).or_default() += 1;
        }
        notices.processed(&notice);
    }
    outcomes
}

/// Pays one cent after the other until told to stop; every one settles.
async fn pay(client: Client, settled: Arc<AtomicU64>, stop: Arc<AtomicU64>) -> Vec<Uetr> {
    let mut paid = Vec::new();
    while stop.load(Ordering::Relaxed) == 0 {
        let transfer = Transfer::new("BANK-0002".parse().unwrap(), Money::parse("0.01", Currency::EUR).unwrap())
            .from("Ada", "DE1")
            .to("Ben", "GB2");
        let payment = client.submit(&transfer).await.unwrap();
        let uetr = payment.uetr();
        let outcome = payment.outcome().await.unwrap();
        assert!(outcome.is_settled(), "{outcome}");
        settled.fetch_add(1, Ordering::Relaxed);
        paid.push(uetr);
    }
    paid
}

/// Kills the node; the longest time in which nothing settled then.
async fn kill_under_way(cluster: &mut Cluster, node: u64, settled: &AtomicU64) -> Duration {
    let count = || settled.load(Ordering::Relaxed);
    let begun = count();
    while count() < begun + 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.kill(node);
    let (dead, mut last, mut longest) = (count(), (count(), Instant::now()), Duration::ZERO);
    // Enough that some of it was asked after the death.
    while count() < dead + 10 * PAYMENTS_IN_FLIGHT as u64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        longest = longest.max(last.1.elapsed());
        assert!(longest < Duration::from_secs(30), "nothing settles any more");
        if count() > last.0 {
            last = (count(), Instant::now());
        }
    }
    longest
}

#[tokio::test]
async fn a_client_goes_on_at_another_node_when_its_own_dies() -> Result<(), String> {
    let directory = directory();
    let mut cluster = Cluster::start(program(), directory.path(), 3, &setup()).await?;
    let leader = until_ready(&cluster).await?;
    let (near, far) = (leader % 3 + 1, (leader + 1) % 3 + 1);
    // The payer at a follower, the payee at the leader.
    let (payer, own) = connect(&cluster, "BANK-0001", [near, leader, far]).await;
    let (payee, offered) = connect(&cluster, "BANK-0002", [leader, far, near]).await;
    assert_eq!((node_of(&payer), node_of(&payee)), (Some(format!("n{near}")), Some(format!("n{leader}"))));
    let outcomes = tokio::spawn(count_outcomes(own));
    let offers = tokio::spawn(accept_all(payee.clone(), offered));
    let (settled, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let paying: Vec<_> =
        (0..PAYMENTS_IN_FLIGHT).map(|_| tokio::spawn(pay(payer.clone(), settled.clone(), stop.clone()))).collect();

    let first = kill_under_way(&mut cluster, near, &settled).await;
    assert_eq!(node_of(&payer), Some(format!("n{leader}")), "the next of its own addresses");
    cluster.start_node(near).await?;
    cluster.leader_seen_by(near).await?;
    let second = kill_under_way(&mut cluster, leader, &settled).await;
    assert_ne!(node_of(&payer), Some(format!("n{leader}")));
    println!(
        "nothing settled for {first:?} when the payer's node died, for {second:?} when the leader's, both banks', did"
    );
    cluster.start_node(leader).await?;

    stop.store(1, Ordering::Relaxed);
    let mut paid = Vec::new();
    for one in paying {
        paid.extend(one.await.map_err(|error| error.to_string())?);
    }
    payer.close().await;
    payee.close().await;
    let (outcomes, offers) = (outcomes.await.unwrap(), offers.await.unwrap());
    for uetr in &paid {
        assert_eq!(outcomes.get(uetr), Some(&1), "one outcome of {uetr}, told once");
        assert_eq!(offers.get(uetr), Some(&1), "offered once: {uetr}");
    }
    assert_eq!((outcomes.len(), offers.len()), (paid.len(), paid.len()));
    let books = cluster.at_rest().await?;
    let moved = Money::new(paid.len() as i64, Currency::EUR).decimal().to_string();
    assert_eq!(books[1]["positions"][0]["net"], moved.as_str(), "{} payments: {books}", paid.len());
    Ok(())
}
