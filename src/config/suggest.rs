//! "Did you mean …": the nearest of the words that would have been right.

/// `; did you mean "…"?` with the candidate nearest to `word`, or nothing if none is near.
pub(super) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let furthest = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= furthest)
        .min_by_key(|(distance, _)| *distance)
        .map_or_else(String::new, |(_, candidate)| format!("; did you mean {candidate:?}?"))
}

/// The words in quotes, for people: `"a", "b" or "c"`.
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("{only:?}"),
        [most @ .., last] => {
            let most: Vec<String> = most.iter().map(|word| format!("{word:?}")).collect();
            format!("{} or {last:?}", most.join(", "))
        }
    }
}

/// Edits between two words: letters put in, left out or replaced, neighbours swapped.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut previous_letter = None;
    for (row, letter) in left.chars().enumerate() {
        let mut line = Vec::with_capacity(last.len());
        line.push(row + 1);
        for (column, other) in right.iter().enumerate() {
            let cell = |line: &[usize], at: usize| line.get(at).copied().unwrap_or(usize::MAX - 1);
            let replaced = cell(&last, column) + usize::from(letter != *other);
            let mut least = replaced.min(cell(&last, column + 1) + 1).min(cell(&line, column) + 1);
            let swapped = column.checked_sub(1).filter(|before| {
                previous_letter == Some(*other) && right.get(*before) == Some(&letter) && !before_last.is_empty()
            });
            if let Some(before) = swapped {
                least = least.min(cell(&before_last, before) + 1);
            }
            line.push(least);
        }
        before_last = std::mem::replace(&mut last, line);
        previous_letter = Some(letter);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        for (left, right, edits) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "abc", 3),
            ("url", "url", 0),
            ("ulr", "url", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }

    #[test]
    fn names_the_nearest_word_if_one_is_near() {
        let keys = ["client_id", "client_secret", "role"];
        assert_eq!(did_you_mean("client_idd", keys), "; did you mean \"client_id\"?");
        assert_eq!(did_you_mean("rolle", keys), "; did you mean \"role\"?");
        assert_eq!(did_you_mean("colour", keys), "");
    }

    #[test]
    fn lists_words_for_people() {
        assert_eq!(one_of(&["a", "b", "c"]), r#""a", "b" or "c""#);
        assert_eq!(one_of(&["a"]), r#""a""#);
    }
}
