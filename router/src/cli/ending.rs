//! How a command that came to nothing is told, on stderr: in words, or as an object where JSON was asked for.

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use serde_json::{Value, json};

use super::Cli;
use crate::exit::{Exit, Failure};

/// Known before the arguments are understood: they may be what is wrong. It stands for itself in every subcommand.
fn wants_json() -> bool {
    std::env::args_os().take_while(|argument| argument != "--").any(|argument| argument == "--json")
}

/// What the command line asks. Help and version are told here, and end the program.
pub(super) fn parse() -> Result<Cli, Failure> {
    Cli::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => error.exit(),
        _ if wants_json() => misunderstood(&error.to_string()),
        _ => error.exit(),
    })
}

/// Of clap's paragraphs the last two are the usage and where to find more.
fn misunderstood(text: &str) -> Failure {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (what, usage) = text.split_once("Usage:").unwrap_or((text, "crosstie --help"));
    let usage = usage.split("\n\n").next().unwrap_or_default();
    Failure::new(Exit::Usage, words(what.trim_start_matches("error:"))).next(words(usage))
}

pub(super) fn tell(failure: &Failure) -> ExitCode {
    match (wants_json(), &failure.next) {
        (true, _) => talk!("{}", object(failure)),
        (false, Some(next)) => talk!("error: {failure}\nnext:  {next}"),
        (false, None) => talk!("error: {failure}"),
    }
    failure.exit.into()
}

fn object(failure: &Failure) -> Value {
    let Failure { exit, message, next } = failure;
    json!({ "error": { "code": exit.name(), "exit": *exit as u8, "message": message, "next": next } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(arguments: &[&str]) -> (String, String) {
        let error = Cli::try_parse_from(arguments).err().unwrap();
        let failure = misunderstood(&error.to_string());
        (failure.message, failure.next.unwrap())
    }

    #[test]
    fn what_is_wrong_with_the_arguments_is_told_in_one_line() {
        let (message, next) = told(&["crosstie", "errors", "--jsn"]);
        assert_eq!(message, "unexpected argument '--jsn' found tip: a similar argument exists: '--json'");
        assert_eq!(next, "crosstie errors --json [CODE]");
        let limit = ["crosstie", "participant", "limit", "BANK-0001", "--currency", "EUR", "--reason", "a test"];
        let (message, _) = told(&limit);
        assert!(message.ends_with("were not provided: <--net-debit-cap <AMOUNT>|--payment-max <AMOUNT>>"), "{message}");
        let (message, next) = told(&["crosstie", "pumpkin"]);
        assert_eq!((message.as_str(), next.as_str()), ("unrecognized subcommand 'pumpkin'", "crosstie <COMMAND>"));
    }
}
