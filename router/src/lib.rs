//! The switch as a program: listener, sessions, configuration, administration, the command line.
//!
//! In reading order: `node` (the whole switch, wired on one page), `cluster` (the other nodes),
//! `session`, `outlet`, `needs`, `courier` (a participant's connection); `serve` (a node as a process), `office` (its thread for
//! operators), `config`, `admin`, `ops` (what is measured, each second), `story` (of a payment), `tap` (payments as they end),
//! `report` (for treasury), `console` (the page on the wall), `day`, `logs`,
//! `traces`; `local` (a cluster on this
//! machine), `demo`; `cli` (every subcommand), `verify` (a
//! log replayed offline), `exit` (how the program ends).

pub mod admin;
pub mod cli;
mod cluster;
pub mod config;
mod console;
mod courier;
mod day;
pub mod demo;
mod door;
pub mod exit;
pub mod local;
pub mod logs;
mod needs;
pub mod node;
mod office;
pub mod ops;
mod outlet;
pub mod report;
pub mod serve;
pub mod session;
pub mod story;
pub mod tap;
mod top;
pub mod traces;
pub mod verify;
