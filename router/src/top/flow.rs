//! Text on as many lines as it needs: a figure stays whole and beside its unit, only a name may end in `…`.

pub(super) fn length(text: &str) -> usize {
    text.chars().count()
}

/// Where a sentence may be broken: not behind a figure, what follows is its next group, its unit, or what it counts.
pub(super) fn words(sentence: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in sentence.split(' ') {
        match words.last_mut() {
            Some(before) if before.ends_with(|end: char| end.is_ascii_digit()) => {
                before.push(' ');
                before.push_str(word);
            }
            _ => words.push(word.into()),
        }
    }
    words
}

/// The parts one behind the other on lines of `width`. A part that is longer than a line is a sentence.
pub(super) fn flow<S: AsRef<str>>(parts: &[S], between: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut put = |part: &str, between: &str| match lines.last_mut() {
        Some(line) if length(line) + length(between) + length(part) <= width => {
            line.push_str(between);
            line.push_str(part);
        }
        _ => lines.push(cut(part, width)),
    };
    for part in parts.iter().map(AsRef::as_ref) {
        if length(part) <= width {
            put(part, between);
            continue;
        }
        let mut between = between;
        for word in words(part) {
            put(&word, between);
            between = " ";
        }
    }
    lines
}

/// Of the parts those that one line holds, the first of them cut where it must be.
pub(super) fn fitting<S: AsRef<str>>(parts: &[S], between: &str, width: usize) -> String {
    let Some((first, others)) = parts.split_first() else { return String::new() };
    let mut line = cut(first.as_ref(), width);
    for part in others.iter().map(AsRef::as_ref) {
        if length(&line) + length(between) + length(part) <= width {
            line.push_str(between);
            line.push_str(part);
        }
    }
    line
}

/// A name that may be too long.
pub(super) fn cut(name: &str, width: usize) -> String {
    if length(name) <= width {
        return name.into();
    }
    let kept: String = name.chars().take(width.saturating_sub(1)).collect();
    kept + "…"
}

/// A name and beside it what it is; where that is too narrow for a sentence, one behind the other.
pub(super) fn beside(name: &str, left: usize, text: &str, width: usize) -> Vec<String> {
    const SENTENCE: usize = 36;
    if width < left + SENTENCE {
        return flow(&[format!("{name}: {text}")], "", width);
    }
    let lines = flow(&[text], "", width - left).into_iter().enumerate();
    lines.map(|(place, line)| format!("{:<left$}{line}", if place == 0 { name } else { "" })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_stays_whole_and_beside_its_unit() {
        let sentence = "4 812 payments settle per second, p99 8.80 ms, and BANK-C has 7 % left.";
        let lines = flow(&[sentence], "", 20);
        assert_eq!(lines, ["4 812 payments", "settle per second,", "p99 8.80 ms, and", "BANK-C has 7 % left."]);
    }

    #[test]
    fn parts_go_on_the_next_line_whole() {
        assert_eq!(
            flow(&["sync 900 us", "wait 1.00 ms", "CREDITOR 62.0 ms"], " │ ", 27),
            ["sync 900 us │ wait 1.00 ms", "CREDITOR 62.0 ms"]
        );
        assert_eq!(fitting(&["participants", "(36)", "worst first", "≥ 1"], " · ", 20), "participants · (36)");
        assert_eq!(fitting(&["participants", "worst first", "≥ 1"], " · ", 20), "participants · ≥ 1");
    }

    #[test]
    fn only_a_name_is_cut_and_says_so() {
        assert_eq!(cut("frankfurt-1", 11), "frankfurt-1");
        assert_eq!(cut("frankfurt-1", 6), "frank…");
        assert_eq!(beside("q", 4, "end", 60), ["q   end"]);
        assert_eq!(beside("q", 4, "end", 20), ["q: end"]);
    }
}
