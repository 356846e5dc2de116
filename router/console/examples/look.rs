//! The console over a switch that is made up, for working on its pages:
//! `cargo run -p console --example look -- [ADDRESS] [ENVIRONMENT] [OPERATORS]`.

#[path = "../tests/made/mod.rs"]
mod made;

use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:7880".into()).parse()?;
    let environment = if arguments.next().as_deref() == Some("prod") { "prod" } else { "dev" };
    let operators = arguments.next().unwrap_or_default().into();
    let config = console::Config { address, hosts: Vec::new(), operators, gives_exemplars: true };
    let console = console::start(config, Arc::new(made::Made::new(environment)))?;
    println!("http://{}", console.address);
    loop {
        std::thread::park();
    }
}
