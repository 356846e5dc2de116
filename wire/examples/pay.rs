//! Sends one payment and prints its outcome:
//! `cargo run -p wire --example pay -- 127.0.0.1:7800 NORTHBANK SOUTHBANK 12.04`

use wire::client::{Client, Options, Transfer};
use wire::{Currency, Money};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, debtor_agent, creditor_agent, amount] = arguments.as_slice() else {
        return Err("usage: pay ADDRESS DEBTOR-AGENT CREDITOR-AGENT AMOUNT".into());
    };

    let (client, notices) = Client::connect(Options::new(address, debtor_agent.parse()?)).await?;
    drop(notices); // this program only pays
    let transfer = Transfer::new(creditor_agent.parse()?, Money::parse(amount, Currency::EUR)?)
        .from("Ada Adler", "DE02100100100006820101")
        .to("Ben Brook", "GB33BUKB20201555555555")
        .remittance_information("Invoice 4711");

    match client.pay(&transfer).await {
        Ok(outcome) => println!("{outcome}"),
        Err(error) => println!("{error}\n{} Who must act: {:?}", error.advice(), error.who_must_act()),
    }
    client.close().await;
    Ok(())
}
