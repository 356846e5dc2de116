//! The file that remembers between runs where each bank's feeds ended: `BANK LAST_NOTICE LAST_SYSTEM_NOTICE` per line.

use std::fmt::Write;
use std::path::Path;

use loadgen::Bank;
use loadgen::outcome::FeedEnd;

pub(crate) fn read(file: &Path, banks: &mut [Bank]) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    for line in text.lines() {
        let wrong = || format!("{}: {line:?} is no line such as BANK-0001 120 3", file.display());
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, last, last_system] = fields[..] else { return Err(wrong()) };
        let (last, last_system) = (last.parse().map_err(|_| wrong())?, last_system.parse().map_err(|_| wrong())?);
        if let Some(bank) = banks.iter_mut().find(|bank| bank.id.as_str() == name) {
            (bank.last_notice, bank.last_system_notice) = (last, last_system);
        }
    }
    Ok(())
}

pub(crate) fn write(file: &Path, feeds: &[FeedEnd]) -> std::io::Result<()> {
    let mut text = String::new();
    for feed in feeds {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {} {}", feed.bank, feed.last_notice, feed.last_system_notice);
    }
    std::fs::write(file, text)
}
