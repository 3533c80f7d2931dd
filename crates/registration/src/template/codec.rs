//! How a field's value stands in an id, and how it is read back.
//!
//! In user ids as the specification maps other character sets (appendices): bytes that are not allowed become `=hh`,
//! upper case becomes `_` and the lower case letter, `_` is doubled. In room aliases, which may hold nearly anything,
//! the rest becomes `%HH`.
//!
//! The separator after the field never begins within the value: its first character is escaped there, always as hex.
//! Where that character is `_`, upper case is written as hex too. So a reader that takes one plain or escaped
//! character after the other ends the value at the first separator, with nothing to try twice.
//!
//! Each value has one way to be written; what is written otherwise is no value.

use crate::NamespaceKind;

/// How one field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Codec {
    pub(super) kind: NamespaceKind,
    /// First character of the text after the field; `None` if the id's server name follows.
    pub(super) stop: Option<char>,
}

/// One step through a written value.
enum Step {
    /// A byte of the value, and how many bytes it is written in.
    Byte(u8, usize),
    /// A character that stands for itself.
    Char(char),
}

impl Codec {
    /// The character that begins an escape by hex.
    pub(super) fn escape(self) -> char {
        if self.is_user() { '=' } else { '%' }
    }

    fn is_user(self) -> bool {
        self.kind == NamespaceKind::Users
    }

    /// Whether upper case is told by `_`.
    fn shifts(self) -> bool {
        self.is_user() && self.stop != Some('_')
    }

    /// Whether the character stands for itself.
    fn is_plain(self, c: char) -> bool {
        let allowed = if self.is_user() {
            is_plain_in_user_ids(c)
        } else {
            !(c == ':' || c == '%' || c.is_whitespace() || c.is_control())
        };
        allowed && self.stop != Some(c)
    }

    /// Writes a value.
    pub(super) fn encode(self, value: &str, id: &mut String) {
        for c in value.chars() {
            if self.is_plain(c) {
                id.push(c);
            } else if self.shifts() && (c == '_' || c.is_ascii_uppercase()) {
                id.extend(['_', c.to_ascii_lowercase()]);
            } else {
                self.push_hex(c, id);
            }
        }
    }

    fn push_hex(self, c: char, id: &mut String) {
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            id.push(self.escape());
            for digit in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(digit), 16).expect("four bits are a digit");
                id.push(if self.is_user() {
                    digit
                } else {
                    digit.to_ascii_uppercase()
                });
            }
        }
    }

    /// Reads a value from the start of `written`, and says what comes after it. `None` if there is none, or if it
    /// would be written otherwise.
    pub(super) fn decode(self, written: &str) -> Option<(String, &str)> {
        let mut bytes = Vec::with_capacity(written.len());
        let mut rest = written;
        while let Some(c) = rest.chars().next().filter(|c| Some(*c) != self.stop) {
            match self.step(c, rest)? {
                Step::Byte(byte, length) => {
                    bytes.push(byte);
                    rest = &rest[length..];
                }
                Step::Char(c) => {
                    bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        let value = String::from_utf8(bytes).ok()?;
        let consumed = &written[..written.len() - rest.len()];
        let mut again = String::with_capacity(consumed.len());
        self.encode(&value, &mut again);
        (!value.is_empty() && again == consumed).then_some((value, rest))
    }

    fn step(self, c: char, rest: &str) -> Option<Step> {
        if c == self.escape() {
            let hex = rest.get(1..3)?;
            let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
            let byte = u8::from_str_radix(hex, 16).ok().filter(|_| is_hex)?;
            return Some(Step::Byte(byte, 3));
        }
        if c == '_' && self.shifts() {
            let shifted = *rest.as_bytes().get(1)?;
            let is_shifted = shifted == b'_' || shifted.is_ascii_lowercase();
            return is_shifted.then(|| Step::Byte(shifted.to_ascii_uppercase(), 2));
        }
        self.is_plain(c).then_some(Step::Char(c))
    }

    /// The pattern of a written value.
    pub(super) fn regex(self) -> String {
        if !self.is_user() {
            let stop = self.stop.map(in_class).unwrap_or_default();
            return format!(r"(?:[^:%\s\x00-\x1f\x7f-\x9f{stop}]|%[0-9A-F][0-9A-F])+");
        }
        let plain: Vec<char> = "abcdefghijklmnopqrstuvwxyz0123456789./+-"
            .chars()
            .filter(|c| self.is_plain(*c))
            .collect();
        let plain = ranges(&plain);
        let shift = if self.shifts() { "|_[a-z_]" } else { "" };
        format!("(?:[{plain}]{shift}|=[0-9a-f][0-9a-f])+")
    }
}

/// The specification's list, without `=` and `_`, which have a meaning.
fn is_plain_in_user_ids(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || "./+-".contains(c)
}

/// A character within the brackets of a class.
fn in_class(c: char) -> String {
    // Escaped where Python or we would take it for more than itself; other escapes may mean something.
    if r"\]^[-&~|".contains(c) {
        format!("\\{c}")
    } else {
        c.to_string()
    }
}

/// The inside of a class, with letters and digits that follow each other as ranges. `-` comes last, where it means
/// itself.
fn ranges(chars: &[char]) -> String {
    let mut class = String::new();
    let mut at = 0;
    while at < chars.len() {
        let mut end = at;
        while end + 1 < chars.len()
            && chars[end].is_ascii_alphanumeric()
            && u32::from(chars[end + 1]) == u32::from(chars[end]) + 1
        {
            end += 1;
        }
        class.push(chars[at]);
        if end > at + 1 {
            class.push('-');
        }
        if end > at {
            class.push(chars[end]);
        }
        at = end + 1;
    }
    class
}
