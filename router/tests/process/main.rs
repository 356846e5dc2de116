//! The program as its users meet it: real processes, a real socket, a real directory.

#![allow(clippy::unwrap_used)] // helpers of tests are not tests to clippy

mod archive;
mod audit;
mod browser;
mod certificates;
mod cluster;
mod collector;
mod console;
mod hostile;
mod lifecycle;
mod operators;
mod repair;
mod reports;
mod support;
mod tap;
mod tasks;
mod telemetry;
mod watching;
