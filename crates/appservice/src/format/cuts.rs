//! Where a text may be cut, and where it is cut best.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

/// What readers take for one character (Unicode Standard Annex 29, extended grapheme clusters): letters with their accents,
/// flags, families, syllables.
#[expect(clippy::expect_used, reason = "the pattern is a constant")]
static CLUSTER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        (?:
            \p{Regional_Indicator}{2}
          | \p{gcb=L}* (?: \p{gcb=V}+ | \p{gcb=LV} \p{gcb=V}* | \p{gcb=LVT} ) \p{gcb=T}*
          | \p{gcb=L}+ | \p{gcb=T}+
          | \p{Extended_Pictographic} (?: \p{gcb=Extend}* \u{200d} \p{Extended_Pictographic} )*
          | (?s:.)
        )
        [\p{gcb=Extend}\p{gcb=SpacingMark}\u{200d}]*",
    )
    .expect("the pattern is legal")
});

/// A cluster of more bytes than this may be cut: accents can be piled up without end.
const MAX_CLUSTER_BYTES: usize = 64;

/// Where a text may be cut: between clusters, and not inside of a whole.
pub(super) struct Cuts<'a> {
    text: &'a str,
    bounds: Vec<usize>,
}

impl<'a> Cuts<'a> {
    /// `wholes` are in order.
    pub(super) fn new(text: &'a str, wholes: &[Range<usize>]) -> Self {
        let mut wholes = wholes.iter().peekable();
        let mut bounds = vec![0];
        for cluster in CLUSTER.find_iter(text) {
            for at in ends(cluster.as_str(), cluster.start()) {
                while wholes.next_if(|whole| whole.end <= at).is_some() {}
                let is_inside = wholes.peek().is_some_and(|whole| whole.start < at);
                if !is_inside {
                    bounds.push(at);
                }
            }
        }
        if bounds.last() != Some(&text.len()) {
            bounds.push(text.len());
        }
        Self { text, bounds }
    }

    /// The furthest place behind `from` up to which the text fits, pulled back to where a reader would cut. Goes on by at
    /// least one cluster. `fits` is asked for the end of what begins at `from`.
    pub(super) fn next(&self, from: usize, fits: &mut dyn FnMut(usize) -> bool) -> usize {
        let first = self.bounds.partition_point(|bound| *bound <= from);
        let Some(last) = self.furthest(first, fits) else {
            return self.bounds.get(first).copied().unwrap_or(self.text.len());
        };
        let best = self.best(from, first, last);
        if best == self.bounds[last] || fits(best) {
            return best;
        }
        self.bounds[last]
    }

    /// The index of the furthest bound that fits, by doubling and halving steps.
    fn furthest(&self, first: usize, fits: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        let end = self.bounds.len();
        if first >= end || !fits(self.bounds[first]) {
            return None;
        }
        let (mut good, mut step) = (first, 1);
        let mut bad = end;
        while good + 1 < bad {
            let probe = if bad == end {
                (good + step).min(end - 1)
            } else {
                good + (bad - good) / 2
            };
            step *= 2;
            if fits(self.bounds[probe]) {
                good = probe;
                if probe == end - 1 {
                    break;
                }
            } else {
                bad = probe;
            }
        }
        Some(good)
    }

    /// A line's end in the last half, a sentence's in the last third, the last space, behind the last mark between words,
    /// or right there.
    fn best(&self, from: usize, first: usize, last: usize) -> usize {
        let limit = self.bounds[last];
        if limit == self.text.len() {
            return limit;
        }
        let length = limit - from;
        let behind = |at: usize| self.text[from..at].chars().next_back();
        let next = |at: usize| self.text[at..].chars().next();
        let is_space = |c: Option<char>| c.is_some_and(char::is_whitespace);
        let find = |least: usize, good: &dyn Fn(usize) -> bool| {
            let bounds = self.bounds[first..=last].iter().rev().copied();
            bounds
                .take_while(|at| at - from > least)
                .find(|at| good(*at))
        };
        find(length / 2, &|at| {
            behind(at) == Some('\n') || next(at) == Some('\n')
        })
        .or_else(|| {
            find(length * 2 / 3, &|at| {
                ends_sentence(&self.text[from..at], next(at))
            })
        })
        .or_else(|| find(0, &|at| is_space(behind(at)) || is_space(next(at))))
        .or_else(|| {
            find(length / 2, &|at| {
                behind(at).is_some_and(|c| "-/,;:.!?&=、，。！？".contains(c))
            })
        })
        .unwrap_or(limit)
    }
}

/// Where a cluster may be cut: behind it, unless it is too large.
fn ends(cluster: &str, start: usize) -> Vec<usize> {
    if cluster.len() <= MAX_CLUSTER_BYTES {
        return vec![start + cluster.len()];
    }
    cluster
        .char_indices()
        .map(|(at, c)| start + at + c.len_utf8())
        .collect()
}

fn ends_sentence(before: &str, next: Option<char>) -> bool {
    let trimmed = before.trim_end();
    let has_space = trimmed.len() < before.len() || next.is_some_and(char::is_whitespace);
    match trimmed.chars().next_back() {
        Some('.' | '!' | '?' | '…') => has_space,
        Some('。' | '！' | '？') => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, limit: usize, expected: &str) {
        let cuts = Cuts::new(text, &[]);
        let at = cuts.next(0, &mut |at| at <= limit);
        assert_eq!(&text[..at], expected);
    }

    #[test]
    fn cut_where_a_reader_would() {
        check("all of it", 20, "all of it");
        check("one two three", 9, "one two ");
        check("One two. Three four", 12, "One two. ");
        check(
            "First, this. Then a long sentence",
            30,
            "First, this. Then a long ",
        );
        check("aaaa bbbbbbbb\ncc", 15, "aaaa bbbbbbbb\n");
        check("https://example.org/some/path", 20, "https://example.org/");
        check("abcdefgh", 3, "abc");
        check("今日は。明日も", 13, "今日は。");
    }

    #[test]
    fn clusters_stay_whole() {
        check("aé́b", 3, "a");
        check("👨‍👩‍👧‍👦x", 20, "👨‍👩‍👧‍👦");
        check("🇩🇪🇫🇷", 12, "🇩🇪");
        check("👍🏽👍🏽", 12, "👍🏽");
        check("각각", 5, "각");
        check("क्षि", 9, "क्");
    }

    #[test]
    fn wholes_stay_whole() {
        let cuts = Cuts::new("hi Mary Poppins!", std::slice::from_ref(&(3..15)));
        assert_eq!(cuts.next(0, &mut |at| at <= 10), 3);
        assert_eq!(cuts.next(3, &mut |at| at <= 15), 15);
        assert_eq!(
            cuts.next(3, &mut |at| at <= 10),
            15,
            "goes on even if it does not fit"
        );
    }

    #[test]
    fn piled_up_accents_are_cut() {
        let text = format!("a{}", "\u{301}".repeat(200));
        let cuts = Cuts::new(&text, &[]);
        assert_eq!(cuts.next(0, &mut |at| at <= 100), 99);
    }
}
