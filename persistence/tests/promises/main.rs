//! What the log promises, each promise in a file of its own.

mod ledger;

mod commits;
