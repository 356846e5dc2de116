//! Every event of every payment as a line, for an audit from outside: `TIME EVENT UETR DETAIL`.
//!
//! | event | detail |
//! |---|---|
//! | `sent` | debtor agent, creditor agent, amount in minor units; again for each time it is sent |
//! | `answered` | status |
//! | `final` | status, as the debtor agent was told it |
//!
//! A line is written before its frame is; lines are in the file within a second, and when the run ends.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use wire::{Timestamp, Uetr};

pub(super) struct Journal {
    file: BufWriter<File>,
}

impl Journal {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(Journal { file: BufWriter::with_capacity(1 << 20, File::create(path)?) })
    }

    pub(super) fn write(&mut self, at: Timestamp, event: &str, uetr: &[u8; 16], detail: &str) {
        if let Ok(uetr) = Uetr::from_bytes(*uetr) {
            // A full disk must not change what is measured; the journal's reader sees that its end is missing.
            let _ = writeln!(self.file, "{at} {event} {uetr} {detail}");
        }
    }

    pub(super) fn flush(&mut self) {
        let _ = self.file.flush();
    }
}
