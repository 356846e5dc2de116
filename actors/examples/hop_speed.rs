//! What a message to an actor costs, alone and in batches: why everything travels in batches.
//!
//!     cargo run --release -p actors --example hop_speed

use std::time::Instant;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

const PAYMENTS: usize = 2_000_000;
/// As large as an instruction.
type Instruction = [u64; 16];

struct Counter;

enum Message {
    Batch(Vec<Instruction>),
    Done(oneshot::Sender<u64>),
}

impl Actor for Counter {
    type Msg = Message;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Message>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(&self, _: ActorRef<Message>, message: Message, sum: &mut u64) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Batch(batch) => *sum += batch.iter().map(|instruction| instruction[0]).sum::<u64>(),
            Message::Done(told) => drop(told.send(*sum)),
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (actors, batch) in [(1, 1), (36, 1), (36, 64), (36, 512), (2000, 1), (2000, 8)] {
        let mut all = Vec::new();
        for _ in 0..actors {
            all.push(Actor::spawn(None, Counter, ()).await?.0);
        }
        let began = Instant::now();
        let mut left = PAYMENTS;
        while left > 0 {
            // One round of the sessions: a message to each actor, then the actors have their turn.
            for actor in &all {
                let size = batch.min(left);
                left -= size;
                actor.cast(Message::Batch(vec![[1; 16]; size]))?;
            }
            tokio::task::yield_now().await;
        }
        let mut handled = 0;
        for actor in &all {
            let (told, sum) = oneshot::channel();
            actor.cast(Message::Done(told))?;
            handled += sum.await?;
            actor.stop(None);
        }
        assert_eq!(handled, PAYMENTS as u64, "nothing is lost");
        let each = began.elapsed().as_nanos() as f64 / PAYMENTS as f64;
        println!("{each:7.1} ns an instruction  {actors} actors, {batch} in a message");
    }
    Ok(())
}
