//! What a start finds in the archive's directory: whole runs, what is to be set aside, what is missing between them.

use std::path::Path;
use std::sync::Arc;

use persistence::Index;

use super::error::Error;
use super::format::parse_file_name;
use super::run::Run;
use super::{LogEnd, Span};

pub(super) struct Opened {
    /// In the order of the log, none overlapping.
    pub(super) runs: Vec<Arc<Run>>,
    /// Parts of the log that belong between or before them.
    pub(super) holes: Vec<Span>,
    pub(super) set_aside: u64,
}

pub(super) fn open(directory: &Path, identity: u128, end_of_log: LogEnd) -> Result<Opened, Error> {
    let last_index = match end_of_log {
        LogEnd::At(last) => last,
        LogEnd::NotBefore(_) => Index::MAX,
    };
    let listing = std::fs::read_dir(directory).map_err(|error| Error::disk("listing", directory, error))?;
    let mut spans = Vec::new();
    for file in listing {
        let name = file.map_err(|error| Error::disk("listing", directory, error))?.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with("archive-") && name.ends_with(".tmp") {
            let path = directory.join(name);
            std::fs::remove_file(&path).map_err(|error| Error::disk("removing", &path, error))?;
        }
        spans.extend(parse_file_name(name).map(|span| (span, directory.join(name))));
    }
    // A merged run before those it was made of.
    spans.sort_by_key(|(span, _)| (span.first, std::cmp::Reverse(span.last)));

    let mut opened = Opened { runs: Vec::new(), holes: Vec::new(), set_aside: 0 };
    let mut damaged = Vec::new();
    for (span, path) in spans {
        let end = opened.runs.last().map_or(0, |run| run.span().last);
        if span.last <= end {
            // A crash came between a merge and the removal of what was merged.
            std::fs::remove_file(&path).map_err(|error| Error::disk("removing", &path, error))?;
            continue;
        }
        let run = match Run::open(&path) {
            Ok(run) if run.span() != span => Err(Error::damaged(&path, 32, "name and header differ")),
            Ok(run) if run.header.identity != identity => Err(Error::damaged(&path, 16, "it belongs to another log")),
            Ok(_) if span.last > last_index => Err(Error::damaged(&path, 40, "it knows more than the log")),
            Ok(_) if span.first <= end => Err(Error::damaged(&path, 32, "it overlaps the run before it")),
            result => result,
        };
        match run {
            Ok(run) => opened.runs.push(Arc::new(run)),
            Err(error @ Error::Damaged { .. }) => {
                tracing::error!(event = "archive_damaged", %error, "set aside as .damaged; it is made anew from the log as far as that goes back");
                set_aside(&path)?;
                opened.set_aside += 1;
                damaged.push(span);
            }
            Err(error) => return Err(error),
        }
    }
    opened.holes = holes(&opened.runs, &damaged);
    Ok(opened)
}

fn holes(runs: &[Arc<Run>], damaged: &[Span]) -> Vec<Span> {
    let mut holes = Vec::new();
    // Before the first run something is missing only if a damaged one was there; else retention has let it go.
    if let (Some(first), Some(lost)) = (runs.first(), damaged.iter().map(|span| span.first).min())
        && lost < first.span().first
    {
        holes.push(Span { first: lost, last: first.span().first - 1 });
    }
    for neighbours in runs.windows(2) {
        let hole = Span { first: neighbours[0].span().last + 1, last: neighbours[1].span().first - 1 };
        if hole.first <= hole.last {
            holes.push(hole);
        }
    }
    holes
}

fn set_aside(path: &Path) -> Result<(), Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    std::fs::rename(path, &name).map_err(|error| Error::disk("setting aside", path, error))
}
