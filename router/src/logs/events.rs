//! Every event that a node logs: the closed list from which `crosstie log events` and the fields for Splunk and Elastic
//! come. A test holds it against the sources.

/// What a line of this `event` says.
#[derive(Debug, serde::Serialize)]
pub struct Event {
    pub name: &'static str,
    /// Levels at which it is logged, with blanks between.
    pub levels: &'static str,
    /// Keys that it carries besides `ts level event node msg`, with blanks between; some are left out when there is nothing
    /// to say. `uetr` brings `trace_id`.
    pub fields: &'static str,
    /// For people: what happened, what to do.
    pub meaning: &'static str,
}

impl Event {
    pub(super) fn named(name: &str) -> Option<&'static Event> {
        EVENTS.iter().find(|event| event.name == name)
    }

    /// What libraries log goes by one name.
    pub(super) fn of_a_library() -> &'static Event {
        EVENTS.last().expect("the table is not empty")
    }

    /// In the table.
    pub(super) fn place(&'static self) -> usize {
        EVENTS.iter().position(|event| std::ptr::eq(event, self)).expect("an event of the table")
    }
}

const fn event(name: &'static str, levels: &'static str, fields: &'static str, meaning: &'static str) -> Event {
    Event { name, levels, fields, meaning }
}

/// See the file's head.
#[rustfmt::skip] // a table
pub const EVENTS: &[Event] = &[
    // The node as a process.
    event("ready", "info", "address recovered_entries participants took_ms", "participants can connect"),
    event("stopping", "info", "why deadline_ms", "a signal or an operator ends the node; payments in process may end first"),
    event("stopped", "info warn", "payments_left why", "the node has ended; payments left go on when it starts again"),
    event("ended", "error", "exit next", "the node could not start or go on: `msg` says why, `next` what to do"),
    event("exposed", "warn", "address", "participants can connect from other machines, and sessions are neither encrypted nor authenticated"),
    event("files_exposed", "warn", "file count", "other users of the machine may read so many files of the log or the archive, this one among them: take that right from them"),
    event("not_durable", "warn", "", "log.sync is none: for measurements only"),
    event("few_files", "warn", "granted wanted", "the system allows fewer open files than listen.connections_max needs"),
    event("actors_ended", "error", "", "the actors ended though this node leads: the process ends and must be started again"),
    event("task_panicked", "error", "task", "a part that the node cannot do without failed: the process ends and must be started again"),
    event("panic", "error", "at", "a part of the program failed at this place; report it"),
    event("participants_taken_in", "info", "count", "participants of the configuration were registered"),
    event("participants_not_taken_in", "warn", "", "participants of the configuration were not registered; the next leader tries again"),
    event("day_rolled", "info", "date", "the business date rolled"),
    event("day_not_rolled", "error warn", "error", "the business date did not roll: crosstie day roll"),
    event("self_check", "info", "date positions payments unchecked", "every position of a business date was added up again from its payments"),
    event("self_check_failed", "error", "date faults first", "positions and payments do not add up: crosstie report self-check tells all"),
    event("self_check_not_done", "warn", "why", "the positions of a business date were not added up: crosstie report self-check"),
    // Participants.
    event("signed_on", "info", "participant session", "a participant's connection stands"),
    event("disconnected", "info", "participant session code why took_ms", "a participant's connection has ended; without a code the participant ended it"),
    event("sign_on_refused", "info debug", "address session code", "a connection ended before its SignOn was accepted; crosstie errors CODE tells why"),
    event("message_refused", "info", "participant session code kind field", "a participant sent what cannot be read or is not allowed, and was told so"),
    event("feed_unreadable", "error", "participant error", "a participant's notices could not be read again from the log; look at the disk"),
    event("accept_failed", "warn", "error", "a participant's connection could not be taken: out of files?"),
    // Payments.
    event("payment_timed_out", "info", "uetr participant code took_ms", "the creditor agent, `participant`, did not answer in time; the funds are released"),
    event("no_console", "error", "", "the node runs without its page, health checks and metrics: set ops.address"),
    // Operators.
    event("operator_action", "info warn debug", "action uid asked_at result kind message", "an operator changed something, or was refused; `asked_at` is the node that was asked"),
    event("operator_action_forwarded", "info", "action uid answered", "what an operator asked was passed to the node that leads"),
    event("admin_accept_failed", "warn", "error", "a connection to the admin socket could not be taken"),
    event("admin_refused", "warn", "uid", "another user tried the admin socket"),
    event("admin_busy", "warn", "", "too many connections to the admin socket at once"),
    event("audit_broken", "error", "what", "the audit trail of this node is not what was written: crosstie audit verify"),
    event("audit_entry_waits", "warn", "action", "no node leads: what an operator did goes into the trail when one does"),
    event("audit_entries_wait", "error", "error", "the file of entries that wait for the trail cannot be emptied"),
    event("audit_entry_lost", "error", "entry action error", "what an operator did is not in the trail: `entry`, with the reason as it was given, stands here alone"),
    event("signed_in", "info", "operator from", "an operator signed in at the console"),
    event("sign_in_refused", "warn", "from why", "somebody at this address gave a wrong name or passphrase, or has to wait"),
    event("signed_out", "info", "operator", "an operator signed out at the console"),
    event("console_action", "info warn", "action operator result", "an operator asked for this at the console; operator_action tells what the switch did"),
    event("console_request_refused", "warn", "status from", "a request asked for a name that is not the console's, or came from a page of others: is ops.hosts right?"),
    event("operators_unreadable", "error", "", "nobody can sign in: the file of operators cannot be read, `msg` says why"),
    event("console_accept_failed", "warn", "error", "a connection to the console could not be taken: out of files?"),
    event("console_connection_ended", "debug", "error", "a connection to the console ended otherwise than it should"),
    // Actors.
    event("actor_restarted", "error", "actor why", "a participants' actor died and is rebuilt from the book; report it"),
    // The log.
    event("journal_failed", "error", "exit next", "the log cannot be written: the node ends at once, what it acknowledged is safe"),
    event("torn_tail_cut", "warn", "file offset bytes", "an incomplete write at the end of the log, of which nobody was told"),
    event("log_short_of_space", "error", "", "new payments are refused until the disk has more room"),
    event("log_has_room", "info", "", "new payments are taken again"),
    event("old_segment_damaged", "error", "what first", "the newest snapshot has what it held, so the node goes on; repair it when it suits"),
    event("segment_not_made", "warn", "error", "a file of the log could not be made ahead of need"),
    event("snapshot_not_written", "error", "error index", "look at the disk; the log grows until a snapshot succeeds"),
    event("snapshot_damaged", "error", "file what", "an older state is used instead, and more of the log is folded"),
    event("snapshot_not_removed", "warn", "error file", "a snapshot that is not needed could not be removed"),
    event("archive_damaged", "error", "error", "a file of ended payments is set aside and made anew from the log"),
    event("archive_failed", "error", "error", "ended payments could not be written or read; tried again, payments go on"),
    event("archive_hole", "error", "first last", "payments that ended in these log entries are not found once memory forgets them"),
    event("archive_unreadable", "error", "error", "a participant's question about an old payment is not answered"),
    // Nodes.
    event("standing", "info", "term leader leads", "who leads has changed, as this node knows"),
    event("leadership_offered", "info", "peer", "leadership is handed to another node"),
    event("leadership_handed_over", "info", "done", "a node that stops has waited for another one to lead"),
    event("leader_is_slow", "warn", "peer", "this leader is slower than others, and one of them takes over: look at its disk and network"),
    event("log_is_empty", "error", "peer committed directory", "this node's log is empty, its cluster's is not: is the volume mounted?"),
    event("states_differ", "error", "peer index", "after this log entry another node's state is not this one's: whoever differs from a majority stops, and is repaired"),
    event("votes_again", "warn", "index term", "a node that was brought back holds again what it had promised"),
    event("members_changed", "info", "change note", "a node was added, promoted or removed; `note` is who did it and why"),
    event("members_not_reached", "error", "error", "connections to the other nodes could not be made"),
    event("peer_connected", "info", "peer", "another node is connected"),
    event("peer_disconnected", "warn", "peer why", "another node is no longer connected"),
    event("peer_not_reached", "warn", "peer why", "another node cannot be connected to; said again when the reason changes"),
    event("peer_not_heard", "warn", "peer error", "a connection of another node ended as it began"),
    event("peer_not_served", "error", "peer error", "no thread for another node: nothing is sent to it"),
    event("peer_not_understood", "warn", "peer what", "a message of another node cannot be read: do both run the same version?"),
    event("peer_of_another_build", "error", "peer version own_version", "another node's reports cannot be read, so it counts as silent: upgrade the older; stop all nodes, then start all"),
    event("peer_sends_nonsense", "error", "peer why", "another node sends what no node sends, and is disconnected"),
    event("peer_connects_anew", "warn", "peer", "if this repeats, two processes run as that node: stop one"),
    event("peer_accept_failed", "warn", "error", "a connection at the port between nodes could not be taken"),
    event("stranger_refused", "warn", "address why", "somebody without a node's certificate tried the port between nodes"),
    event("strangers_refused", "warn", "count", "so many more than were logged"),
    event("certificate_ends", "warn", "file hours", "this node's certificate ends soon: crosstie pki issue --renew"),
    event("removed_node_connected", "warn", "peer", "a node that was removed from the cluster is told so"),
    event("removal_heard", "info", "peer", "this node hears that it was removed from its cluster"),
    event("removed", "error", "", "this node was removed from its cluster and serves nobody: stop it"),
    event("snapshot_coming", "info", "peer bytes", "this node is far behind and takes over the leader's state"),
    event("snapshot_sending", "info", "peer file", "another node is far behind and is sent the state"),
    event("snapshot_sent", "info", "peer", "another node has the state"),
    event("snapshot_not_sent", "warn", "peer why", "another node did not get the state; tried again"),
    event("snapshot_not_taken", "warn", "peer why", "a state that another node sent was not taken"),
    event("raft", "debug", "", "the words of the library by which the nodes agree"),
    // What tells of all this.
    event("log_lines_dropped", "warn", "count", "stderr was not read fast enough; so many lines are lost"),
    event("log_lines_left_out", "warn", "of count", "this event had more than a hundred lines in a second; so many were left out"),
    event("traces_not_sent", "warn", "why spans", "the collector at traces.endpoint does not take traces; said once until it does again"),
    event("traces_sent_again", "info", "spans_dropped", "the collector takes traces again; so many spans are lost since the start"),
    event("library", "error warn info debug trace", "library", "the words of a library"),
];
