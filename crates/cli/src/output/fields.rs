//! Pairs of a name and a text, one below the other.

use super::{Look, Tone, clean};

/// Where the texts begin.
const COLUMN: usize = 18;
/// However narrow the terminal, text has so much room.
const NARROWEST: usize = 20;

/// Pairs that are being put together, under one heading.
pub(crate) struct Fields {
    look: Look,
    text: String,
}

impl Fields {
    pub(crate) fn new(look: Look, heading: &str) -> Self {
        Self {
            look,
            text: look.heading(&clean(heading)),
        }
    }

    pub(crate) fn add(&mut self, name: &str, text: impl AsRef<str>) -> &mut Self {
        self.toned(name, Tone::Plain, text)
    }

    /// Adds what is there.
    pub(crate) fn maybe(&mut self, name: &str, text: Option<impl AsRef<str>>) -> &mut Self {
        match text {
            Some(text) => self.add(name, text),
            None => self,
        }
    }

    pub(crate) fn toned(&mut self, name: &str, tone: Tone, text: impl AsRef<str>) -> &mut Self {
        let name = format!("{name:<width$}", width = COLUMN - 2);
        let name = self.look.paint(Tone::Dim, &name);
        let text = flow(self.look, COLUMN, tone, text.as_ref());
        self.text.push_str("  ");
        self.text.push_str(&name);
        self.text.push_str(&text);
        self.text.push('\n');
        self
    }

    pub(crate) fn render(self) -> String {
        self.text
    }
}

/// Text that begins in this column and stays right of it, in lines that fit.
pub(crate) fn flow(look: Look, column: usize, tone: Tone, text: &str) -> String {
    let room = match look.width {
        Some(width) => usize::from(width).saturating_sub(column).max(NARROWEST),
        None => usize::MAX,
    };
    let lines = wrap(&clean(text), room);
    let lines: Vec<_> = lines.iter().map(|line| look.paint(tone, line)).collect();
    lines.join(&format!("\n{:column$}", ""))
}

/// Breaks at spaces, and inside a word only when it alone is too long.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let mut word = word;
        let mut length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(String::new());
            used = 0;
        } else if used > 0 {
            push(&mut lines, " ");
            used += 1;
        }
        while length > width {
            let cut = word
                .char_indices()
                .nth(width)
                .map_or(word.len(), |(at, _)| at);
            push(&mut lines, &word[..cut]);
            lines.push(String::new());
            word = &word[cut..];
            length -= width;
        }
        push(&mut lines, word);
        used += length;
    }
    lines
}

fn push(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_stand_in_two_columns() {
        let look = Look {
            colours: false,
            width: Some(40),
        };
        let mut fields = Fields::new(look, "Delivery");
        fields
            .add("State", "idle")
            .maybe("Paused", None::<&str>)
            .add("Last error", "the service took longer than it may");
        let wanted = "\nDelivery\n  State           idle\n  Last error      the service took\n                  longer than it may\n";
        assert_eq!(fields.render(), wanted);
    }

    #[test]
    fn only_a_word_that_is_too_long_is_broken() {
        let cases: [(&str, &[&str]); 4] = [
            ("", &[""]),
            ("ab cd", &["ab", "cd"]),
            ("a b cd", &["a b", "cd"]),
            ("x abcdefgh y", &["x", "abcd", "efgh", "y"]),
        ];
        for (text, wanted) in cases {
            assert_eq!(wrap(text, 4), wanted, "{text}");
        }
    }
}
