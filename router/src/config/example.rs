//! The configuration as text: the example that explains every setting, and what is in force.

use super::{Loaded, SECTIONS, SETTINGS, Setting};

const HEAD: &str = "\
# Configuration of a Crosstie node: every setting with its meaning, its bounds and its default.
# Written by `crosstie config example`. A line that is left out means its default.
#
# Flags win over environment variables, they over this file:
#   crosstie serve --config FILE --set scheme.payment_timeout=8s
#   CROSSTIE_SCHEME_PAYMENT_TIMEOUT=8s crosstie serve --config FILE
# `crosstie config check FILE` tries a file, `crosstie config show --origin` tells where each value comes from.
# All settings are read at start: a change needs a restart.
";

const MEMBERS: &str = "
# The nodes that a cluster begins with, the same in the configuration of each of them: three or five, or two in each of two
# regions and a witness in a third place. Later the log knows them, and `crosstie cluster` changes them.
#
# [[members]]
# id = 1                      # the number of the node, never given to another one
# name = \"n1\"               # for people
# region = \"west\"
# address = \"10.0.0.1:7900\" # where the other nodes reach it
# kind = \"voter\"            # or witness: votes and keeps the log, serves no participant
";

const PARTICIPANTS: &str = "
# Participants of a sandbox, taken in at start unless they are registered. In production participants come by
# `crosstie participant register`. `count` goes on from the digits at the end of the id. Amounts are decimal text in the
# currency's own decimals; a cap or maximum that is left out means none.
#
# [[participants]]
# id = \"BANK-0001\"            # 1 to 16 capital letters, digits and inner hyphens; nine digits are a routing number
# currency = \"EUR\"            # ISO 4217; the same id may come again with another currency
# funded = \"1000000.00\"       # money brought in
# net_debit_cap = \"500000.00\" # most it may owe by payments alone
# payment_max = \"100000.00\"   # most that one payment it sends may move
# count = 8                   # this one and seven more: BANK-0002 to BANK-0008
";

fn lines_of(setting: &Setting) -> impl Iterator<Item = &'static str> {
    setting.meaning.lines().map(str::trim)
}

/// Every setting, explained.
pub fn example() -> String {
    let mut out = String::from(HEAD);
    for (section, about) in SECTIONS {
        out.push_str(&format!("\n# {}\n[{section}]\n", about.trim()));
        for setting in SETTINGS.iter().filter(|setting| setting.section == *section) {
            lines_of(setting).for_each(|line| out.push_str(&format!("# {line}\n")));
            out.push_str(&format!("# {}{}.\n", capital(&(setting.bounds)()), variable(setting)));
            out.push_str(&format!("{} = {}\n", setting.key, setting.literal(setting.default)));
        }
    }
    out.push_str(MEMBERS);
    out.push_str(PARTICIPANTS);
    out
}

fn variable(setting: &Setting) -> String {
    format!(". Environment: {}", setting.variable())
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What is in force, as a file that would set it; with its origin beside each value if asked for.
pub fn show(loaded: &Loaded, with_origin: bool) -> String {
    let mut out = String::new();
    for (section, _) in SECTIONS {
        out.push_str(&format!("{}[{section}]\n", if out.is_empty() { "" } else { "\n" }));
        for setting in SETTINGS.iter().filter(|setting| setting.section == *section) {
            let line = format!("{} = {}", setting.key, setting.literal(&(setting.show)(&loaded.config)));
            match with_origin {
                true => out.push_str(&format!("{line:<48} # {}\n", loaded.origin(setting))),
                false => out.push_str(&format!("{line}\n")),
            }
        }
    }
    for member in &loaded.config.members {
        let persistence::Member { id, name, region, address, kind } = member;
        let kind = super::members::word(*kind);
        out.push_str(&format!(
            "\n[[members]]\nid = {id}\nname = {name:?}\nregion = {region:?}\naddress = {address:?}\nkind = {kind:?}\n"
        ));
    }
    for seed in &loaded.config.participants {
        let amount = |minor: i64| wire::Money::new(minor, seed.currency).decimal();
        let mut lines = vec![
            format!("id = \"{}\"", seed.id),
            format!("currency = \"{}\"", seed.currency),
            format!("funded = \"{}\"", amount(seed.funded_minor)),
        ];
        for (key, minor) in [("net_debit_cap", seed.limits.net_debit_cap), ("payment_max", seed.limits.payment_max)] {
            if minor >= 0 {
                lines.push(format!("{key} = \"{}\"", amount(minor)));
            }
        }
        out.push_str(&format!("\n[[participants]]\n{}\n", lines.join("\n")));
    }
    out
}
