//! One node of ours, or the floor, as a process; and load on it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::load::Load;
pub(super) use super::load::Run;
use super::machine::resident_mib;
use super::{Bench, Result};

/// What is measured.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Server {
    Ours,
    Floor,
}

impl Bench {
    pub(super) fn run(&self, server: Server, participants: u32, load: &[&str]) -> Result<Run> {
        let data = self.fresh("data")?;
        let (mut child, address) = self.start(server, participants, &data, "60s")?;
        let run = self.load(&child, &address, participants, load);
        end(&mut child)?;
        std::fs::remove_dir_all(&data)?;
        run
    }

    pub(super) fn fresh(&self, name: &str) -> Result<PathBuf> {
        let data = self.directory.join(name);
        if data.exists() {
            std::fs::remove_dir_all(&data)?;
        }
        std::fs::create_dir_all(&data)?;
        Ok(data)
    }

    pub(super) fn start(
        &self,
        server: Server,
        participants: u32,
        data: &Path,
        window: &str,
    ) -> Result<(Child, String)> {
        let log = data.join("log");
        let mut command = match server {
            Server::Floor => {
                let mut command = Command::new(self.binaries.join("floor"));
                command
                    .args(["--listen", "127.0.0.1:0", "--participants", &participants.to_string(), "--data"])
                    .arg(&log);
                command
            }
            Server::Ours => {
                let config = data.join("crosstie.toml");
                let text = format!(
                    "[listen]\naddress = \"127.0.0.1:0\"\nsilence_max = \"60s\"\n[log]\ndirectory = {:?}\nretained_bytes_max = \"1GiB\"\n\
                     [scheme]\nduplicate_window = \"{window}\"\n[logs]\nlevel = \"warn\"\n\
                     [[participants]]\nid = \"BANK-0001\"\ncurrency = \"EUR\"\nfunded = \"100000000000.00\"\ncount = {participants}\n",
                    log.to_string_lossy()
                );
                std::fs::write(&config, text)?;
                let mut command = Command::new(self.binaries.join("crosstie"));
                command.args(["serve", "--config"]).arg(config);
                command
            }
        };
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = match serde_json::from_str::<Value>(&line) {
            Ok(ready) => ready["address"].as_str().unwrap_or_default().to_string(),
            Err(_) => line.split_ascii_whitespace().last().unwrap_or_default().to_string(),
        };
        if address.is_empty() {
            let status = child.wait()?;
            return Err(format!("the server did not start: {status}").into());
        }
        Ok((child, address))
    }

    pub(super) fn load(&self, server: &Child, address: &str, participants: u32, load: &[&str]) -> Result<Run> {
        let mut load = Load::new(&self.binaries, &self.directory.join("load"), &[address.into()], load);
        load.participants(participants).server(server.id());
        let mut run = load.run()?.sound()?;
        run.memory_mib = resident_mib(server.id());
        Ok(run)
    }
}

/// Ends a server in good order; by force if it takes longer than a quarter of a minute.
pub(super) fn end(server: &mut Child) -> Result<()> {
    Command::new("kill").args(["-TERM", &server.id().to_string()]).status()?;
    let until = Instant::now() + Duration::from_secs(15);
    while server.try_wait()?.is_none() {
        if Instant::now() > until {
            server.kill()?;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
