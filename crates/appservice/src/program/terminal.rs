//! Words for whoever sits at the terminal. Somebody who has closed it does not matter.

use std::io::Write as _;

/// Says a line, or several.
pub(super) fn say(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").ok();
}

/// Says what is wrong.
pub(super) fn complain(text: &str) {
    writeln!(std::io::stderr().lock(), "{text}").ok();
}

/// Text from elsewhere, such as an event, without what would steer a terminal, and no longer than `most` characters.
pub(super) fn clean(text: &str, most: usize) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut clean: String = text.chars().take(most).map(shown).collect();
    if text.chars().nth(most).is_some() {
        clean.push('…');
    }
    clean
}

/// A time in the past, as people say it.
pub(super) fn ago(then_ms: i64, now_ms: i64) -> String {
    let seconds = now_ms.saturating_sub(then_ms).max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\nc", 10), "a\u{fffd}[2Jb\u{fffd}c");
        assert_eq!(clean("abcdef", 3), "abc…");
        assert_eq!(clean("abc", 3), "abc");
    }

    #[test]
    fn times_are_told_in_their_order_of_size() {
        let told = [
            (500, "0 s"),
            (59_999, "59 s"),
            (61_000, "1 min"),
            (7_300_000, "2 h"),
            (200_000_000, "2 d"),
        ];
        for (ms, text) in told {
            assert_eq!(ago(0, ms), format!("{text} ago"));
        }
        assert_eq!(ago(10_000, 0), "0 s ago");
    }
}
