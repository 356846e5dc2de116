//! `[[members]]`: the nodes that a cluster begins with, the same in the configuration of each of them.

use persistence::{Member, MemberKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::File;
use super::{Loading, did_you_mean};

const KEYS: [&str; 5] = ["id", "name", "region", "address", "kind"];

pub(super) fn read(loading: &mut Loading, file: &File<'_>, value: &Spanned<DeValue<'_>>) {
    let DeValue::Array(entries) = value.get_ref() else {
        return loading.refuse(file.at(value), "members is a list: write [[members]] with two brackets");
    };
    for entry in entries.iter() {
        let DeValue::Table(table) = entry.get_ref() else {
            loading.refuse(file.at(entry), "an entry of members is a table: write [[members]]");
            continue;
        };
        for (key, _) in table.iter().filter(|(key, _)| !KEYS.contains(&key.get_ref().as_ref())) {
            let known = KEYS.map(String::from);
            let what = format!("[[members]] has no {:?}{}", key.get_ref(), did_you_mean(key.get_ref(), &known));
            loading.refuse(file.at(key), what);
        }
        match member(table) {
            Ok(member) if loading.config.members.iter().any(|other| other.id == member.id) => {
                loading.refuse(file.at(entry), format!("node {} stands here twice", member.id));
            }
            Ok(member) => loading.config.members.push(member),
            Err(what) => loading.refuse(file.at(entry), what),
        }
    }
}

fn member(table: &DeTable<'_>) -> Result<Member, String> {
    let value = |key: &str| table.iter().find(|(own, _)| own.get_ref() == key).map(|(_, value)| value.get_ref());
    let text = |key: &str, example: &str| match value(key) {
        Some(DeValue::String(text)) if (1..=255).contains(&text.len()) => Ok(text.to_string()),
        Some(_) => Err(format!("{key} is text of 1 to 255 bytes, for example {key} = \"{example}\"")),
        None => Err(format!("{key} is missing, for example {key} = \"{example}\"")),
    };
    let id = match value("id") {
        Some(DeValue::Integer(number)) => {
            number.as_str().parse().ok().filter(|id| (1..=u64::from(u32::MAX)).contains(id))
        }
        _ => None,
    };
    let kind = match value("kind") {
        None => "voter",
        Some(DeValue::String(text)) => text,
        Some(_) => "",
    };
    let kind = match kind {
        "voter" => MemberKind::Voter,
        "witness" => MemberKind::Witness,
        _ => return Err("kind is \"voter\" or \"witness\"; a learner joins later, by crosstie cluster add".into()),
    };
    Ok(Member {
        id: id.ok_or("id is the number of the node, from 1 to 4294967295, never given to another one")?,
        name: text("name", "n1")?,
        region: text("region", "west")?,
        address: text("address", "10.0.0.1:7900")?,
        kind,
    })
}

/// The word that a file has for it.
pub(crate) fn word(kind: MemberKind) -> &'static str {
    match kind {
        MemberKind::Voter => "voter",
        MemberKind::Witness => "witness",
        MemberKind::Learner => "learner",
    }
}
