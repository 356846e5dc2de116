//! Slow disks: the program is started with a small library (`slow_disk.c`) before libc, which holds up every write and
//! sync of a node for as long as it is told to.

use std::fs::File;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Result;

const SOURCE: &str = include_str!("slow_disk.c");
/// The script that starts the program; the third word is the configuration.
const SCRIPT: &str = "#!/bin/sh\nSLOW_DISK_FILE=\"${3%.toml}.disk\" LD_PRELOAD='LIBRARY' exec 'PROGRAM' \"$@\"\n";

/// Compiles the library and writes the script by which the program is started with it.
pub(super) fn wrap(program: &Path, directory: &Path) -> Result<PathBuf> {
    let directory = std::path::absolute(directory)?;
    let (source, library, script) =
        (directory.join("slow_disk.c"), directory.join("slow_disk.so"), directory.join("crosstie-on-a-slow-disk"));
    std::fs::write(&source, SOURCE)?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(&source).arg("-ldl");
    let status = compiler.status().map_err(|error| format!("cc: {error}; the slow disk needs a C compiler"))?;
    if !status.success() {
        return Err(format!("cc cannot compile {}: {status}", source.display()).into());
    }
    let text =
        SCRIPT.replace("LIBRARY", &library.display().to_string()).replace("PROGRAM", &program.display().to_string());
    std::fs::write(&script, text)?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

/// The disk of a node that was started by the script.
pub(super) struct SlowDisk(File);

impl SlowDisk {
    /// Its file lies beside the node's configuration.
    pub(super) fn of(configuration: &Path) -> Result<SlowDisk> {
        let file = configuration.with_extension("disk");
        let opened = File::options().read(true).write(true).open(&file);
        opened.map(SlowDisk).map_err(|error| format!("{}: {error}; the library was not loaded", file.display()).into())
    }

    /// From now on everything takes so many times as long; 1 is the disk as it is.
    pub(super) fn set_factor(&self, factor: u64) -> Result<()> {
        Ok(self.0.write_all_at(&factor.to_ne_bytes(), 0)?)
    }

    /// Calls that were held up so far, and for how long in all.
    pub(super) fn held_up(&self) -> Result<(u64, Duration)> {
        let mut numbers = [[0; 8]; 2];
        self.0.read_exact_at(numbers.as_flattened_mut(), 8)?;
        let [calls, held_ns] = numbers.map(u64::from_ne_bytes);
        Ok((calls, Duration::from_nanos(held_ns)))
    }
}
