//! The catalogue of reason codes.

use clap::Args;
use serde_json::{Value, json};
use wire::Reason;
use wire::reason::{EXPLANATIONS, Explanation};

use super::output::{Output, Table};
use crate::exit::{Exit, Failure};

#[derive(Args)]
pub(super) struct Errors {
    /// One code, for example AM04; without it all are listed
    code: Option<String>,
    #[command(flatten)]
    output: Output,
}

impl Errors {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let Some(code) = self.code else {
            let all: Vec<Value> = EXPLANATIONS.iter().map(entry).collect();
            return self.output.show(&Value::Array(all), || {
                let mut table = Table::new(&["CODE", "MUST ACT", "SAME UETR AGAIN", "MEANING"]);
                for one in EXPLANATIONS {
                    let again = if one.is_final { "no" } else { "yes" };
                    table.row([one.code.to_string(), one.act.to_string(), again.into(), one.meaning.into()]);
                }
                Ok(table)
            });
        };
        let unknown = || {
            Failure::new(Exit::NotFound, format!("{code} is none of the codes the switch gives"))
                .next("crosstie errors lists all; a code of a participant's own stands in ISO 20022 external code sets")
        };
        let reason: Reason = code.to_uppercase().parse().map_err(|_| unknown())?;
        let one = reason.explanation().ok_or_else(unknown)?;
        self.output.show(&entry(one), || {
            let mut table = Table::default();
            table.row(["code", &one.code.to_string()]);
            table.row(["meaning", one.meaning]);
            table.row(["must act", &one.act.to_string()]);
            table.row(["what to do", one.advice]);
            let lasting = if one.is_final {
                "recorded; a repeat hears the same"
            } else {
                "not recorded; the same UETR may be sent again"
            };
            table.row(["lasting", lasting]);
            Ok(table)
        })
    }
}

fn entry(one: &Explanation) -> Value {
    json!({
        "code": one.code.to_string(),
        "meaning": one.meaning,
        "must_act": one.act.to_string(),
        "advice": one.advice,
        "final": one.is_final,
    })
}
