//! A story as a person's page of text.

use super::{Budget, Link, Moment, Story, UNKNOWN};

const WIDTH: usize = 110;
const BAR_CELLS: u64 = 40;

/// See the file's head.
pub fn page(story: &Story) -> String {
    let payment = &story.payment;
    let state = payment.state.replace('_', " ").to_uppercase();
    let at = payment.decided_at.as_deref().or(payment.ended_at.as_deref()).unwrap_or("-");
    let kind = if payment.is_return { "Return" } else { "Payment" };
    let mut out = format!(
        "{kind} {} -- {state} -- {} {} -- {} to {} -- {at}\n\n",
        payment.uetr, payment.amount, payment.currency, payment.debtor_agent, payment.creditor_agent
    );
    out += &wrapped(&payment.summary, "");
    out += &format!("Must act: {}\n", payment.must_act);
    if let Some(budget) = story.budget {
        out += &bar(&budget, &payment.creditor_agent);
    }
    out += &format!("\nTimeline, from the {} and the log\n", story.told_by);
    story.timeline.iter().for_each(|moment| out += &line(moment));
    out += &postings(story);
    if let Some(original) = &story.original {
        out += &format!("\nReturns\n{}", link(original));
    }
    if !story.returns.is_empty() {
        out += "\nReturned by\n";
        story.returns.iter().for_each(|own| out += &link(own));
    }
    out += "\nNot told here\n";
    story.untold.iter().for_each(|one| out += &wrapped(one, "  "));
    out
}

/// `Budget 10.000 s [-###......] - 4.210 ms until reserved  # 3.120 ms BANK-B, with the way there and back  . 9.992 s left`
fn bar(budget: &Budget, creditor: &str) -> String {
    let Budget { total_us, before_us, waiting_us, .. } = *budget;
    let cells = |us: u64| (us.saturating_mul(BAR_CELLS).div_ceil(total_us.max(1)).min(BAR_CELLS)) as usize;
    let before = cells(before_us);
    let waiting = cells(waiting_us).min(BAR_CELLS as usize - before);
    let bar = "-".repeat(before) + &"#".repeat(waiting);
    let parts: Vec<String> = parts(budget, creditor).iter().map(|(sign, what)| format!("{sign} {what}")).collect();
    let parts = parts.join("  ");
    format!("\nBudget {} [{bar:.<width$}]\n       {parts}\n", length(total_us), width = BAR_CELLS as usize)
}

/// Where the time went, in words, and what draws it in the bar.
pub(crate) fn parts(budget: &Budget, creditor: &str) -> Vec<(char, String)> {
    let Budget { before_us, is_at_least, waiting_us, is_shared, late_us, left_us, has_ended, .. } = *budget;
    if is_at_least {
        let left = if left_us > 0 { format!("{} left at most", length(left_us)) } else { "nothing left".into() };
        return vec![('-', format!("{} or more until it was decided", length(before_us))), ('.', left)];
    }
    let whose = if is_shared { "or the switch itself" } else { "with the way there and back" };
    let comma = if is_shared { "" } else { "," };
    let mut parts = vec![
        ('-', format!("{} until reserved", length(before_us))),
        ('#', format!("{} {creditor}{comma} {whose}", length(waiting_us))),
    ];
    if late_us > 0 {
        parts.push((
            '!',
            format!(
                "{} past its deadline until the switch {}",
                length(late_us),
                if has_ended { "decided" } else { "decides" }
            ),
        ));
    }
    parts.push(('.', format!("{} {}", length(left_us), if has_ended { "not needed" } else { "left" })));
    parts
}

pub(crate) fn length(us: u64) -> String {
    match us {
        0..1000 => format!("{us} us"),
        1000..1_000_000 => format!("{}.{:03} ms", us / 1000, us % 1000),
        _ => format!("{}.{:03} s", us / 1_000_000, us / 1000 % 1000),
    }
}

/// `+0.002 400`: seconds, with a gap after the thousandths.
pub(crate) fn after(us: i64) -> String {
    let (sign, us) = (if us < 0 { '-' } else { '+' }, us.unsigned_abs());
    format!("{sign}{}.{:03} {:03}", us / 1_000_000, us / 1000 % 1000, us % 1000)
}

fn line(moment: &Moment) -> String {
    let place = moment.entry.map_or_else(String::new, |entry| format!("entry {entry}"));
    let mut out = format!("{:>13}  {place:<14}{}\n", after(moment.after_us), moment.what);
    for notice in &moment.notices {
        let number = notice.number.map_or_else(|| "notice ?".into(), |number| format!("notice {number}"));
        out += &format!("{:>13}  {number:<14}to {}\n", "", notice.to);
    }
    out
}

fn postings(story: &Story) -> String {
    if story.postings.is_empty() {
        return "\nPostings: none\n".into();
    }
    let widest = |text: fn(&super::Posting) -> &String| {
        story.postings.iter().map(|posting| text(posting).len()).max().unwrap_or(0)
    };
    let (who, amount) = (widest(|posting| &posting.participant), widest(|posting| &posting.amount));
    let mut out = "\nPostings\n".to_string();
    for posting in &story.postings {
        let place = posting.entry.map_or_else(String::new, |entry| format!("  entry {entry}"));
        out += &format!(
            "  {:<8} {:<who$}  {:>amount$} {}{place}\n",
            posting.kind, posting.participant, posting.amount, posting.currency
        );
    }
    out
}

fn link(link: &Link) -> String {
    if link.state == UNKNOWN {
        return format!("  {}  {}\n", link.uetr, unknown_words(&link.debtor_agent));
    }
    let at = link.ended_at.as_deref().unwrap_or("-");
    let state = link.state.replace('_', " ");
    format!("  {}  of {}, {} {}, {state}, {at}\n", link.uetr, link.debtor_agent, link.amount, link.currency)
}

/// Of what a return names and nobody has sent.
pub(crate) fn unknown_words(debtor_agent: &str) -> String {
    format!("no such payment of {debtor_agent} is known")
}

fn wrapped(text: &str, indent: &str) -> String {
    let (mut out, mut line) = (String::new(), indent.to_string());
    for word in text.split(' ') {
        if line.chars().count() + word.chars().count() + 1 > WIDTH {
            out += line.trim_end();
            out.push('\n');
            line = indent.into();
        }
        line += word;
        line.push(' ');
    }
    out + line.trim_end() + "\n"
}
