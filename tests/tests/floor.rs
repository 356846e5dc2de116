//! The floor does what the load generator's money check asks of a switch, in each of its ways to write.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use loadgen::options::Trust;
use loadgen::units::Rate;
use loadgen::{Bank, Options, Progress, Shape, Verdict};

struct Floor {
    process: Child,
    address: String,
}

impl Floor {
    fn start(name: &str, more: &[&str]) -> Self {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_floor"));
        command.arg("--data").arg(folder).args(["--segment-mib", "8"]).args(more);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the floor starts");
        let mut address = String::new();
        let output = process.stdout.take().expect("its output is piped");
        BufReader::new(output).read_line(&mut address).expect("it prints its address");
        Floor { process, address: address.trim().to_string() }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_money_check_passes_at_saturation_and_at_a_constant_rate() {
    for more in [&[][..], &["--buffered"], &["--log-thread"]] {
        let floor = Floor::start(&format!("floor{}", more.concat()), more);
        for shape in [Shape::Saturate, Shape::Constant] {
            let options = Options {
                targets: vec![floor.address.clone()],
                banks: Bank::series("BANK-", 6).expect("these are names"),
                answers: "accept=9,acwp=1,AC04=1".parse().expect("this is a mix"),
                shape,
                rate: Rate(2000.0),
                warm_up: Duration::ZERO,
                length: Duration::from_millis(400),
                verify: true,
                trust: Trust { lag_p99_max: Duration::from_secs(10), lag_share_max: 1.0, busy_max: 2.0 },
                ..Options::default()
            };
            let outcome = loadgen::run(&options, &Progress::default(), |_| {}).expect("the floor is there");
            assert_eq!(outcome.verdict, Verdict::Pass, "{more:?} {shape:?}: {:?}", outcome.check);
            assert!(outcome.check.settled > 400 && outcome.check.rejected > 0, "{:?}", outcome.check);
        }
    }
}
