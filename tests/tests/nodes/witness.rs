//! A witness votes, never leads while another can, and serves no participant: it says who does.

use wire::client::{Client, Options, State};
use wire::{Message, Reason};

use crate::support::{directory, program, setup, until_ready};
use tests::cluster::Cluster;
use tests::peer::{Peer, sign_on};

const WITNESS: u64 = 3;

#[tokio::test]
async fn a_witness_sends_participants_to_the_others() -> Result<(), String> {
    let directory = directory();
    let kinds = ["voter", "voter", "witness"];
    let mut cluster = Cluster::start_as(program(), directory.path(), &kinds, &setup()).await?;
    let leader = until_ready(&cluster).await?;
    cluster
        .until(|cluster| {
            let shown = cluster.ask(WITNESS, &["cluster", "status"])?;
            let serve = |node: usize| shown["members"][node]["serves"].as_str().is_some_and(|text| text.contains(':'));
            assert_eq!(shown["members"][2]["serves"], "witness", "{shown}");
            Ok((serve(0) && serve(1)).then_some(()))
        })
        .await?;

    let bank = "BANK-0001".parse().unwrap();
    let (_peer, answer) = Peer::sign_on(cluster.address(WITNESS), &sign_on(bank, 0, 0)).await.unwrap();
    let Message::GoAway(go_away) = answer.message().unwrap() else { panic!("{answer:?}") };
    let mut named: Vec<&str> = go_away.nodes.unwrap().split(',').collect();
    let mut others = [1, 2].map(|node| cluster.address(node).to_string());
    named.sort_unstable();
    others.sort_unstable();
    assert_eq!((go_away.reason, named), (Reason::DRAN, others.iter().map(String::as_str).collect()));

    let options = Options::new(cluster.address(WITNESS).to_string(), bank);
    let (client, _notices) = Client::connect(options).await.unwrap();
    assert!(matches!(&*client.state().borrow(), State::SignedOn { node, .. } if node != "n3"));

    // The other voter leads, not the witness; with that one gone too there is no majority.
    cluster.ask(leader, &["node", "step-down"])?;
    let other = 3 - leader;
    cluster.until(|cluster| Ok((cluster.view(other)?.leader == Some(other)).then_some(()))).await?;
    cluster.kill(other);
    cluster.until(|cluster| Ok((cluster.view(leader)?.leader == Some(leader)).then_some(()))).await
}
