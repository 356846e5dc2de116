//! A bank that is paid: says yes to whole amounts and no to others, and posts what has settled:
//! `cargo run -p wire --example bank -- 127.0.0.1:7800 SOUTHBANK`

use wire::client::{Client, Options, Reply};
use wire::{Message, Reason};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, participant] = arguments.as_slice() else {
        return Err("usage: bank ADDRESS PARTICIPANT".into());
    };

    // A bank that restarts saves `client.position()` with its postings and gives it to `Options::resume`.
    let (client, mut notices) = Client::connect(Options::new(address, participant.parse()?)).await?;
    while let Some(notice) = notices.next().await? {
        match notice.view() {
            Message::TransferNotice(offer) => {
                let (debtor_agent, uetr) = (offer.transfer.debtor_agent, offer.transfer.uetr);
                let reply = match offer.transfer.amount_minor % 100 {
                    0 => Reply::yes(debtor_agent, uetr),
                    _ => Reply::no(debtor_agent, uetr, Reason::AC04),
                };
                // A yes is not the end: post to the customer when the outcome says that it has settled.
                client.answer(&reply).await?;
            }
            Message::StatusNotice(outcome) => println!("{} {} {}", outcome.uetr, outcome.status, outcome.reasons),
            other => println!("{other:?}"),
        }
        notices.processed(&notice);
    }
    Ok(())
}
