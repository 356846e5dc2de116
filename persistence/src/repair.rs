//! Gives up the log of a node that is not running, so that its peers bring it back: every file is set aside, and what stays is
//! a log without entries that knows whose it is, what the node promised last, and that it is being repaired.
//!
//! It does not look whether the log is damaged; that is for whoever asks. Why the node endangers nothing when it comes back is
//! in `FORMAT.md`.

use std::path::PathBuf;

use crate::config::Config;
use crate::disk::{Disk, File};
use crate::error;
use crate::fold::{Index, NodeId, Term};
use crate::format::head::{FILE_NAME, Head};
use crate::log::{Kind, Vote};
use crate::reader::{self, Reader};
use crate::replica::membership::{Members, Statement};
use crate::{head, snapshot};

/// The head as it was, for inspection.
const HEAD_BEFORE: &str = "head.before";

/// What was done, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    pub cluster: u128,
    pub node: NodeId,
    /// The members as far as they could be read; empty when nothing tells.
    pub members: Members,
    /// The node votes again once it holds an entry of a later term than this.
    pub term: Term,
    pub files: Vec<String>,
    pub directory: PathBuf,
}

/// Why a log is not given up. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Log(#[from] error::Error),

    /// Under its number the node could vote twice in one term, or follow a leader that it had turned away from.
    #[error(
        "{0}. What this node promised the others stands there and nowhere else, so under its number it cannot come back: keep \
         the directory, take the node out of the cluster, and add one under a new number"
    )]
    Forgotten(error::Error),

    #[error(
        "a leader knew that this node had entries up to {known} when they were gone: its disk was replaced or put back to an \
         earlier day, and with them went what it promised the others. Under its number it cannot come back: keep the \
         directory, take the node out of the cluster, and add one under a new number"
    )]
    Lost { known: Index },

    #[error(
        "this is the log of a node alone: there are no peers to bring it back. Restore the directory from a backup"
    )]
    Alone,

    #[error(
        "with this node the cluster has {voters} that vote: the others alone are no majority, so they could elect nobody to \
         bring it back from. Restore the directory from a backup"
    )]
    TooFew { voters: usize },
}

/// Sets the files of the log on `disk` aside in `directory` beneath it, unless `is_dry`. After a crash in the middle the log
/// is not opened until this has been run again.
pub fn repair<D: Disk>(disk: &D, config: &Config, directory: &str, is_dry: bool) -> Result<Repair, Error> {
    let _lock = lock(disk)?;
    let head = read_head(disk)?;
    let names = disk.list().map_err(|error| error::Error::disk("listing", disk.path(""), error))?;
    let members = members(disk, &head, &names, config)?;
    check(&head, &members, config)?;
    let term = promised(&head);
    let mut files: Vec<String> = names.into_iter().filter(|name| goes(name)).collect();
    if !is_dry {
        begin(disk, head, term)?;
        files.push(HEAD_BEFORE.into());
        let failed = |error| error::Error::disk("setting aside the files of", disk.path(""), error);
        disk.set_aside(&files, directory).map_err(failed)?;
        let head = Head { newest_segment: 0, is_setting_aside: false, ..given_up(head, term) };
        head::write(disk, &head)?;
    }
    let Head { cluster, node, .. } = head;
    Ok(Repair { cluster, node, members, term, files, directory: disk.path(directory) })
}

fn lock<D: Disk>(disk: &D) -> Result<D::Lock, error::Error> {
    let lock = disk.lock().map_err(|error| error::Error::disk("locking", disk.path(""), error))?;
    lock.ok_or_else(|| error::Error::Locked { directory: disk.path("") })
}

fn read_head<D: Disk>(disk: &D) -> Result<Head, Error> {
    match head::read(disk) {
        Ok(Some(head)) => Ok(head),
        Ok(None) => {
            let missing = error::Error::damaged(disk.path(FILE_NAME), 0, "the file is missing");
            Err(Error::Forgotten(missing))
        }
        Err(error @ error::Error::Damaged { .. }) => Err(Error::Forgotten(error)),
        Err(error) => Err(error.into()),
    }
}

fn check(head: &Head, members: &Members, config: &Config) -> Result<(), Error> {
    if head.lost != 0 {
        return Err(Error::Lost { known: head.lost });
    }
    if head.cluster == 0 {
        return Err(Error::Alone);
    }
    if (head.cluster, head.node) != (config.cluster, config.node) {
        let what = format!(
            "node {} of cluster {:032x} is to be repaired, but the log in this directory is that of node {} of {:032x}",
            config.node, config.cluster, head.node, head.cluster
        );
        return Err(error::Error::Configuration(what).into());
    }
    let voters = members.iter().filter(|member| members.votes(member.id)).count();
    let others = voters - usize::from(members.votes(head.node));
    match others > voters / 2 || members.is_empty() {
        true => Ok(()),
        false => Err(Error::TooFew { voters }),
    }
}

/// The latest term in which the node may have promised anything.
fn promised(head: &Head) -> Term {
    head.vote.term.max(head.closed_at.map_or(0, |mark| mark.term)).max(head.repairing).max(1)
}

/// From here on the node has no say in elections, and listens to no leader of a term in which it may have promised something.
fn given_up(head: Head, term: Term) -> Head {
    let vote = Vote { term: term + 1, voted_for: None };
    let Head { identity, newest_segment, cluster, node, .. } = head;
    Head { identity, newest_segment, cluster, node, vote, repairing: term, is_setting_aside: true, ..Head::default() }
}

/// Before the first file goes.
fn begin<D: Disk>(disk: &D, head: Head, term: Term) -> Result<(), error::Error> {
    let copy = || {
        let file = disk.create(HEAD_BEFORE)?;
        file.write_all_at(&head.encode(), 0)?;
        file.sync_data()
    };
    copy().map_err(|error| error::Error::disk("writing", disk.path(HEAD_BEFORE), error))?;
    match head.is_setting_aside {
        true => Ok(()),
        false => head::write(disk, &given_up(head, term)),
    }
}

/// Segments and snapshots, damaged ones too. Blank segments can be used again.
fn goes(name: &str) -> bool {
    (name.starts_with("log-") || name.starts_with("snapshot-")) && !name.ends_with(".tmp")
}

/// What the newest snapshot that is whole and the entries behind it say, as far as they can be read.
fn members<D: Disk>(disk: &D, head: &Head, names: &[String], config: &Config) -> Result<Members, error::Error> {
    let failed = |error| error::Error::disk("reading the snapshots in", disk.path(""), error);
    let newest = snapshot::newest_whole(disk, head.identity, names).map_err(failed)?;
    let first = Members::first(&config.members).map_err(error::Error::Configuration)?;
    let mut members =
        Members::from_bytes(&newest.membership).ok().filter(|members| !members.is_empty()).unwrap_or(first);
    let from = (newest.mark.index + 1).max(reader::oldest(disk)?);
    let Ok(mut reader) = Reader::open_on(disk.clone(), from) else { return Ok(members) };
    while let Ok(Some(record)) = reader.next_record(Index::MAX) {
        if record.kind == Kind::Membership
            && let Ok(statement) = Statement::decode(record.payload)
        {
            members = statement.apply(&members);
        }
    }
    Ok(members)
}
