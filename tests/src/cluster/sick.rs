//! Nodes that are sick, not dead: a tenth of a processor, a disk a hundred times slower. The program under test has no
//! switches for that; both are done to its process from outside.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::{Setup, signal_to};

/// While it lives a process runs a share of the time only: SIGCONT, SIGSTOP, SIGCONT, …
pub struct Throttle {
    is_over: Arc<AtomicBool>,
    beating: Option<JoinHandle<()>>,
}

impl Throttle {
    /// `runs` of every `period`.
    pub fn start(process: u32, runs: Duration, period: Duration) -> Throttle {
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let beating = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) && signal_to(process, Signal::STOP).is_ok() {
                std::thread::sleep(period - runs);
                _ = signal_to(process, Signal::CONT);
                std::thread::sleep(runs);
            }
        });
        Throttle { is_over, beating: Some(beating) }
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It ends with SIGCONT.
        self.beating.take().map(JoinHandle::join);
    }
}

const SOURCE: &str = include_str!("slow_disk.c");

/// A library between a node and its disk that makes writes and syncs take longer by a factor. See `slow_disk.c`.
pub struct SlowDisk {
    library: PathBuf,
    directory: PathBuf,
}

impl SlowDisk {
    /// Compiles it into `directory`.
    pub fn build(directory: &Path) -> Result<SlowDisk, String> {
        let (source, library) = (directory.join("slow_disk.c"), directory.join("slow_disk.so"));
        std::fs::write(&source, SOURCE).map_err(|error| error.to_string())?;
        let compiled =
            Command::new("cc").args(["-O2", "-Wall", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output();
        let compiled = compiled.map_err(|error| format!("a C compiler is needed: {error}"))?;
        if !compiled.status.success() {
            return Err(format!("slow_disk.c: {}", String::from_utf8_lossy(&compiled.stderr)));
        }
        Ok(SlowDisk { library, directory: directory.into() })
    }

    fn dial(&self, node: u64) -> PathBuf {
        self.directory.join(format!("slow_disk.{node}"))
    }

    /// What a node needs to be started with so that its disk can be made slow later.
    pub fn put_before(&self, node: u64, mut setup: Setup) -> io::Result<Setup> {
        std::fs::write(self.dial(node), [0; 16])?;
        setup.environment.push(("LD_PRELOAD", self.library.display().to_string()));
        setup.environment.push(("SLOW_DISK", self.dial(node).display().to_string()));
        Ok(setup)
    }

    /// From now on each write takes so many times as long; 1 is the disk as it is.
    pub fn set_factor(&self, node: u64, factor: u64) -> io::Result<()> {
        File::options().write(true).open(self.dial(node))?.write_all_at(&factor.to_ne_bytes(), 0)
    }

    /// Calls that were made longer.
    pub fn slowed_calls(&self, node: u64) -> io::Result<u64> {
        let mut bytes = [0; 8];
        File::open(self.dial(node))?.read_exact_at(&mut bytes, 8)?;
        Ok(u64::from_ne_bytes(bytes))
    }
}
