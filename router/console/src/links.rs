//! The ways from a name to its page. Names in sentences lead there, too.

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use watch::{Snapshot, Warning};

use crate::live::slug;

/// All but what a part of a URL may have as it is (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

pub(crate) fn page_of_participant(id: &str) -> String {
    format!("/participants/{}", encoded(id))
}

pub(crate) fn page_of_kind(kind: &str) -> String {
    format!("/actors/{}", encoded(kind))
}

pub(crate) fn page_of_actor(kind: &str, name: &str) -> String {
    format!("/actors/{}/{}", encoded(kind), encoded(name))
}

/// Its row among the nodes.
pub(crate) fn page_of_node(name: &str) -> String {
    format!("/nodes#row-{}", slug(name))
}

/// A participant's name; a dash, where there is none, leads nowhere.
pub fn participant(id: &str) -> Markup {
    html! { @if id == watch::text::NONE { (id) } @else { a href=(page_of_participant(id)) { (id) } } }
}

/// A payment's UETR.
pub fn payment(uetr: &str) -> Markup {
    html! { a href={ "/payments/" (encoded(uetr)) } { code { (uetr) } } }
}

/// A sentence of which the words that `is_participant` knows, and UETRs, lead to their pages.
pub fn linked(sentence: &str, is_participant: impl Fn(&str) -> bool) -> Markup {
    with_links(sentence, |name| is_participant(name).then(|| page_of_participant(name)))
}

/// The same with the names of a snapshot: participants and nodes.
pub(crate) fn linked_of(now: &Snapshot, sentence: &str) -> Markup {
    with_links(sentence, |name| page_of_name(now, name))
}

fn with_links(sentence: &str, page: impl Fn(&str) -> Option<String>) -> Markup {
    html! {
        @for (place, word) in sentence.split(' ').enumerate() {
            @if place > 0 { " " }
            @let name = word.trim_matches(|letter: char| ".,:;()".contains(letter));
            @let page = if is_uetr(name) { Some(format!("/payments/{name}")) } else { page(name) };
            @match page.and_then(|page| Some((page, word.split_once(name)?))) {
                Some((page, (before, behind))) => { (before) a href=(page) { (name) } (behind) },
                None => { (word) },
            }
        }
    }
}

fn is_uetr(word: &str) -> bool {
    word.len() == 36
        && word.char_indices().all(|(place, letter)| match place {
            8 | 13 | 18 | 23 => letter == '-',
            _ => letter.is_ascii_hexdigit(),
        })
}

fn page_of_name(now: &Snapshot, name: &str) -> Option<String> {
    if now.participants.iter().any(|own| own.id == name) {
        return Some(page_of_participant(name));
    }
    now.peers.iter().any(|own| own.name == name).then(|| page_of_node(name))
}

/// What a warning is about, and where more is to be seen of that.
pub(crate) fn subject<'a>(now: &Snapshot, warning: &'a Warning) -> (&'a str, String) {
    let name = warning.subject.as_str();
    if name.is_empty() {
        return ("this node", "/nodes".into());
    }
    if name == watch::SEVERAL {
        return (name, "/#participants".into());
    }
    let slow = now.actors.iter().filter(|_| warning.code == "actor_slow");
    if let Some(kind) = slow.into_iter().find(|kind| kind.busiest.iter().any(|own| own.name == name)) {
        return (name, page_of_actor(&kind.kind, name));
    }
    let kind = || now.actors.iter().any(|own| own.kind == name).then(|| page_of_kind(name));
    (name, page_of_name(now, name).or_else(kind).unwrap_or_else(|| "/nodes".into()))
}

#[cfg(test)]
mod tests {
    use watch::{ActorKind, BusiestActor, Participant, Peer};

    use super::*;

    fn now() -> Snapshot {
        let busiest = vec![BusiestActor { name: "BANK-F".into(), ..BusiestActor::default() }];
        Snapshot {
            participants: vec![Participant { id: "BANK-F".into(), ..Participant::default() }],
            peers: vec![Peer { name: "n2".into(), ..Peer::default() }],
            actors: vec![ActorKind { kind: "participant".into(), busiest, ..ActorKind::default() }],
            ..Snapshot::default()
        }
    }

    #[test]
    fn names_in_sentences_lead_to_their_pages() {
        let linked = |sentence| linked_of(&now(), sentence).into_string();
        assert_eq!(
            linked("BANK-F, and <n2> (n2) lag."),
            "<a href=\"/participants/BANK-F\">BANK-F</a>, and &lt;n2&gt; (<a href=\"/nodes#row-n2\">n2</a>) lag."
        );
        assert_eq!(linked("BANK-FF  is no participant."), "BANK-FF  is no participant.");
        let uetr = "7b0e0d4c-52f3-4a3e-9c7e-0a1b2c3d4e5f";
        assert_eq!(linked(&format!("of {uetr}.")), format!("of <a href=\"/payments/{uetr}\">{uetr}</a>."));
    }

    #[test]
    fn a_warning_leads_to_what_it_is_about() {
        let to = |code: &str, subject_name: &str| {
            let warning = Warning { code: code.into(), subject: subject_name.into(), ..Warning::default() };
            subject(&now(), &warning).1
        };
        for (code, name, page) in [
            ("creditor_slow", "BANK-F", "/participants/BANK-F"),
            ("actor_slow", "BANK-F", "/actors/participant/BANK-F"),
            ("actor_restarted", "participant", "/actors/participant"),
            ("node_silent", "n2", "/nodes#row-n2"),
            ("not_connected", watch::SEVERAL, "/#participants"),
            ("no_leader", "", "/nodes"),
            ("imbalance", "EUR", "/nodes"),
        ] {
            assert_eq!(to(code, name), page, "{code} {name}");
        }
    }
}
