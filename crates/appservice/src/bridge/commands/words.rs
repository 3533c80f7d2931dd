//! A command line cut into words and flags.

use std::collections::BTreeMap;

/// Words of a line at most.
const MAX_WORDS: usize = 200;

/// A line: its words, its flags, and each word's rest of the line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) words: Vec<String>,
    /// Where each word begins, in bytes.
    pub(super) starts: Vec<usize>,
    pub(super) flags: BTreeMap<String, String>,
}

/// Why a line cannot be cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadLine {
    #[error("a quotation mark ({0}) is opened and not closed: write \\{0} for the mark itself")]
    Open(char),
    #[error("that is more than {MAX_WORDS} words: put a text between quotation marks")]
    Long,
}

/// Cuts a line at white space. What stands between `"` or `'` is one word, and `\` takes the next character as it
/// is. `--name value`, `--name=value` and `--name` at the end or before another flag are flags; behind `--` there
/// are none.
pub(super) fn cut(text: &str) -> Result<Line, BadLine> {
    let tokens = tokens(text)?;
    let mut line = Line::default();
    let mut tokens = tokens.into_iter().peekable();
    let mut are_flags_over = false;
    while let Some(token) = tokens.next() {
        let name = token.text.strip_prefix("--").filter(|_| !token.is_quoted);
        match name {
            Some("") if !are_flags_over => are_flags_over = true,
            Some(name) if !are_flags_over => {
                let (name, value) = match name.split_once('=') {
                    Some((name, value)) => (name.to_owned(), value.to_owned()),
                    None => {
                        let is_value =
                            |next: &Token| next.is_quoted || !next.text.starts_with("--");
                        let value = tokens.next_if(is_value).map(|token| token.text);
                        (name.to_owned(), value.unwrap_or_default())
                    }
                };
                line.flags.insert(name, value);
            }
            _ => {
                line.words.push(token.text);
                line.starts.push(token.start);
            }
        }
    }
    Ok(line)
}

struct Token {
    text: String,
    start: usize,
    is_quoted: bool,
}

fn tokens(text: &str) -> Result<Vec<Token>, BadLine> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut current: Option<Token> = None;
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((start, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            tokens.extend(current.take());
            if tokens.len() >= MAX_WORDS {
                return Err(BadLine::Long);
            }
            continue;
        }
        let token = current.get_or_insert_with(|| Token {
            text: String::new(),
            start,
            is_quoted: false,
        });
        match character {
            '\\' => token
                .text
                .push(characters.next().map_or('\\', |(_, next)| next)),
            '"' | '\'' if quote == Some(character) => quote = None,
            // An apostrophe in a word is one.
            '"' | '\'' if quote.is_none() && (character == '"' || token.text.is_empty()) => {
                quote = Some(character);
                token.is_quoted = true;
            }
            other => token.text.push(other),
        }
    }
    if let Some(quote) = quote {
        return Err(BadLine::Open(quote));
    }
    tokens.extend(current);
    Ok(tokens)
}

/// The names that look like this one, at most `limit`, the nearest first.
pub(super) fn nearest<'a>(
    word: &str,
    names: impl Iterator<Item = &'a str>,
    limit: usize,
) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let steps = names.map(|name| {
        let is_beginning = word.len() >= 2 && name.starts_with(&word);
        let steps = if is_beginning {
            1
        } else {
            distance(&word, name)
        };
        (steps, name)
    });
    let mut near: Vec<(usize, &str)> = steps
        .filter(|(steps, name)| *steps <= 1 + name.len() / 4)
        .collect();
    near.sort_unstable();
    near.truncate(limit);
    near.into_iter().map(|(_, name)| name).collect()
}

/// How many letters have to be put in, taken out, replaced or swapped with the next to make one word of the other.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) =
        (left.chars().take(64).collect(), right.chars().collect());
    let mut rows = vec![vec![0; right.len() + 1]; left.len() + 1];
    for (index, row) in rows.iter_mut().enumerate() {
        row[0] = index;
    }
    for (column, cell) in rows[0].iter_mut().enumerate() {
        *cell = column;
    }
    for row in 1..=left.len() {
        for column in 1..=right.len() {
            let differs = usize::from(left[row - 1] != right[column - 1]);
            let mut best = (rows[row - 1][column] + 1)
                .min(rows[row][column - 1] + 1)
                .min(rows[row - 1][column - 1] + differs);
            let are_swapped = row > 1
                && column > 1
                && left[row - 1] == right[column - 2]
                && left[row - 2] == right[column - 1];
            if are_swapped {
                best = best.min(rows[row - 2][column - 2] + 1);
            }
            rows[row][column] = best;
        }
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_cut_at_space_and_quotes_hold_together() {
        let check = |text: &str, words: &[&str], flags: &[(&str, &str)]| {
            let line = cut(text).expect(text);
            assert_eq!(line.words, words, "{text}");
            let found: Vec<(&str, &str)> = line
                .flags
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            assert_eq!(found, flags, "{text}");
        };
        check("join #rust", &["join", "#rust"], &[]);
        check(
            "  say \"two words\"  'and more' ",
            &["say", "two words", "and more"],
            &[],
        );
        check(
            "say don't \\\"quote\\\" a\\ b",
            &["say", "don't", "\"quote\"", "a b"],
            &[],
        );
        check("say \"\" x", &["say", "", "x"], &[]);
        check(
            "join --key secret #a --quiet",
            &["join", "#a"],
            &[("key", "secret"), ("quiet", "")],
        );
        check(
            "join --key=a=b --x --y z",
            &["join"],
            &[("key", "a=b"), ("x", ""), ("y", "z")],
        );
        check(
            "say -- --not-a-flag \"--nor this\"",
            &["say", "--not-a-flag", "--nor this"],
            &[],
        );
        check("say \"--quoted\"", &["say", "--quoted"], &[]);
        check("", &[], &[]);
    }

    #[test]
    fn what_cannot_be_cut_is_told() {
        assert_eq!(cut("say \"open"), Err(BadLine::Open('"')));
        assert_eq!(cut(&"x ".repeat(201)), Err(BadLine::Long));
    }

    #[test]
    fn the_nearest_names_are_found_or_none() {
        let names = ["join", "part", "port", "list", "help", "unlink"];
        for (word, name) in [
            ("jion", &["join"][..]),
            ("joi", &["join"]),
            ("JOIN", &["join"]),
            ("unlik", &["unlink"]),
            ("hlep", &["help"]),
            ("prt", &["part", "port"]),
            ("porr", &["port", "part"]),
            ("frobnicate", &[]),
        ] {
            assert_eq!(nearest(word, names.into_iter(), 2), name, "{word}");
        }
        assert_eq!(nearest("prt", names.into_iter(), 1), ["part"]);
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(words in prop::collection::vec("[^\\\\\"]{0,8}", 0..6)) {
            let text: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            prop_assert_eq!(cut(&text.join(" ")).expect("closed").words, words);
        }

        #[test]
        fn any_text_is_cut_or_refused(text in ".{0,300}") {
            cut(&text).ok();
        }
    }
}
