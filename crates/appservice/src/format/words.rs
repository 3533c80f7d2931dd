//! Words of a text that are somebody's name.

use super::{
    inline::{Inline, Mention, Piece, Style},
    rich::Rich,
};

impl Rich {
    /// The same text with words made mentions where the function knows whom they name, at most `limit` of them.
    ///
    /// A word is what stands between spaces, without punctuation at its ends (`bob:`, `(bob)`). Words in code and in
    /// links are not names, and neither are words with `://` or with an `@` inside.
    #[must_use]
    pub fn mention_words(&self, limit: usize, f: &mut dyn FnMut(&str) -> Option<Mention>) -> Self {
        let mut left = limit;
        self.map_inlines(&mut |inline| match &inline.piece {
            Piece::Text(text) if !inline.style.code && inline.style.link.is_none() => {
                named_words(text, &inline.style, &mut left, f)
            }
            _ => vec![inline.clone()],
        })
    }
}

fn named_words(
    text: &str,
    style: &Style,
    left: &mut usize,
    f: &mut dyn FnMut(&str) -> Option<Mention>,
) -> Vec<Inline> {
    let mut inlines = Vec::new();
    let mut done = 0;
    let mut at = 0;
    for chunk in text.split_inclusive(char::is_whitespace) {
        let start = at;
        at += chunk.len();
        let word = chunk.trim_matches(|c: char| c.is_whitespace() || is_punctuation(c));
        let is_address = word.contains("://") || word.contains('@');
        if *left == 0 || word.is_empty() || is_address {
            continue;
        }
        let Some(mention) = f(word) else {
            continue;
        };
        *left -= 1;
        let begin = start + (word.as_ptr().addr() - chunk.as_ptr().addr());
        inlines.push(Inline::text(&text[done..begin], style.clone()));
        inlines.push(Inline {
            piece: Piece::Mention(mention),
            style: style.clone(),
        });
        done = begin + word.len();
    }
    inlines.push(Inline::text(&text[done..], style.clone()));
    inlines
}

fn is_punctuation(c: char) -> bool {
    "?!:;,.()\"'<>…“”‘’«»".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::UserId;

    fn check(text: &str, expected: &str) {
        let mut known = |word: &str| {
            let known = ["bob", "al|away", "[x]"].contains(&word);
            known.then(|| {
                Mention::user(
                    &UserId::parse(&format!("@{}:x.org", word.len())).unwrap(),
                    word,
                )
            })
        };
        let rich = Rich::from_markdown(text).mention_words(2, &mut known);
        let marked = rich.map_inlines(&mut |inline| match &inline.piece {
            Piece::Mention(mention) => vec![Inline::plain(format!("<{}>", mention.name))],
            _ => vec![inline.clone()],
        });
        assert_eq!(marked.to_plain(), expected, "{text}");
    }

    #[test]
    fn names_are_whole_words() {
        check("bob: hi", "<bob>: hi");
        check("(bob), bobby", "(<bob>), bobby");
        check("hi al|away!", "hi <al|away>!");
        check(r"\[x\]", "<[x]>");
        check("bobs", "bobs");
    }

    #[test]
    fn names_are_not_in_addresses_and_code() {
        check(
            "https://x.org/ bob@x.org `bob`",
            "https://x.org/ bob@x.org bob",
        );
        check("https://bob", "https://bob");
        check("[bob](https://x.org)", "bob (https://x.org)");
    }

    #[test]
    fn at_most_so_many_names() {
        check("bob bob bob", "<bob> <bob> bob");
    }
}
