//! CTCP: what clients say to each other within a `PRIVMSG` or `NOTICE` (modern.ircdocs.horse/ctcp).
//!
//! A text between two marks (`01`) is a command with its arguments: `ACTION waves` is `/me waves`, and others ask the client
//! something. A question is a `PRIVMSG`, an answer a `NOTICE`, and a `NOTICE` is never answered, or two programs would talk
//! to each other for ever. How often one answers is for the caller to bound.
//!
//! The quoting of the first description (`\020n` for a line break, `\\a` for a mark) is not used by any client at hand, and
//! read by none: what cannot be said is left out.

use std::borrow::Cow;

const MARK: char = '\x01';
/// Bytes that an action takes in addition to its text.
pub const ACTION_BYTES: usize = "\x01ACTION \x01".len();
/// Bytes of a question's arguments that are sent back at most: clients ask with a time.
const MAX_ECHO_BYTES: usize = 64;
/// Bytes of an answer at most, with its marks.
pub const MAX_ANSWER_BYTES: usize = 300;

/// A command and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ctcp {
    /// The command, in upper case.
    pub command: String,
    /// What follows it, as it is; may be empty.
    pub args: String,
}

impl Ctcp {
    /// A command with its arguments.
    #[must_use]
    pub fn new(command: &str, args: impl Into<String>) -> Self {
        Self {
            command: command.to_ascii_uppercase(),
            args: args.into(),
        }
    }

    /// What somebody does: `/me waves`.
    #[must_use]
    pub fn action(text: impl Into<String>) -> Self {
        Self::new("ACTION", text)
    }

    /// Reads a message's text; `None` where it is no CTCP. The mark at its end may be missing, for servers cut lines.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (command, args) = cut(text.as_bytes())?;
        // Both were cut out of a text at bytes of ASCII, and so they are texts.
        let args = String::from_utf8_lossy(args);
        Some(Self {
            command,
            args: args.into_owned(),
        })
    }

    /// Whether it is what somebody does.
    #[must_use]
    pub fn is_action(&self) -> bool {
        self.command == "ACTION"
    }

    /// Writes it as a message's text. Marks, line breaks and NUL within it are left out.
    #[must_use]
    pub fn write(&self) -> String {
        let space = if self.args.is_empty() { "" } else { " " };
        let inner = format!("{}{space}{}", self.command, self.args);
        let may_stand = |c: &char| !matches!(*c, MARK | '\r' | '\n' | '\0');
        let inner: String = inner.chars().filter(may_stand).collect();
        format!("{MARK}{inner}{MARK}")
    }
}

/// Cuts a message's text, in whatever encoding, into the command in upper case and its arguments.
pub(crate) fn cut(text: &[u8]) -> Option<(String, &[u8])> {
    let marked = text.strip_prefix(&[MARK as u8])?;
    let inner = marked
        .split(|byte| *byte == MARK as u8)
        .next()
        .unwrap_or_default();
    let end = inner.iter().position(|byte| *byte == b' ');
    let (command, args) = match end {
        Some(end) => (&inner[..end], &inner[end + 1..]),
        None => (inner, &[][..]),
    };
    let command = String::from_utf8_lossy(command).to_ascii_uppercase();
    (!command.is_empty()).then_some((command, args))
}

/// A text that is not read as a CTCP, whoever wrote it: without marks.
#[must_use]
pub fn unmarked(text: &str) -> Cow<'_, str> {
    if text.contains(MARK) {
        Cow::Owned(text.replace(MARK, ""))
    } else {
        Cow::Borrowed(text)
    }
}

/// What a client says of itself when it is asked. What is empty is not answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Its name and version.
    pub version: &'a str,
    /// Where it can be had.
    pub source: &'a str,
    /// What time it is, as a person reads it.
    pub time: &'a str,
}

impl Facts<'_> {
    /// The text of the `NOTICE` that answers a line's text; `None` where it is not to be answered: it is no question, not
    /// one that is harmless, or a `NOTICE` itself.
    #[must_use]
    pub fn answer(&self, command: &str, text: &str) -> Option<String> {
        if !command.eq_ignore_ascii_case("PRIVMSG") {
            return None;
        }
        let asked = Ctcp::parse(text)?;
        let args = match asked.command.as_str() {
            "PING" => beginning(&asked.args, MAX_ECHO_BYTES).to_owned(),
            "CLIENTINFO" => self.known().collect::<Vec<_>>().join(" "),
            "VERSION" => self.version.to_owned(),
            "SOURCE" => self.source.to_owned(),
            "TIME" => self.time.to_owned(),
            _ => return None,
        };
        let is_known = asked.command == "PING" || !args.is_empty();
        let room = MAX_ANSWER_BYTES - "\x01CLIENTINFO \x01".len();
        is_known.then(|| Ctcp::new(&asked.command, beginning(&args, room)).write())
    }

    /// What is answered, `ACTION` with it, as is the custom.
    fn known(&self) -> impl Iterator<Item = &'static str> {
        [
            ("ACTION", true),
            ("CLIENTINFO", true),
            ("PING", true),
            ("SOURCE", !self.source.is_empty()),
            ("TIME", !self.time.is_empty()),
            ("VERSION", !self.version.is_empty()),
        ]
        .into_iter()
        .filter_map(|(command, is_known)| is_known.then_some(command))
    }
}

/// The beginning of a text, cut between characters.
fn beginning(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FACTS: Facts<'_> = Facts {
        version: "Bridgehead 1.0",
        source: "https://example.org/bridgehead",
        time: "",
    };

    #[test]
    fn commands_are_read() {
        let cases = [
            ("\x01ACTION waves\x01", Some(("ACTION", "waves"))),
            ("\x01action  waves \x01", Some(("ACTION", " waves "))),
            ("\x01ACTION was cut", Some(("ACTION", "was cut"))),
            ("\x01ACTION\x01", Some(("ACTION", ""))),
            ("\x01VERSION\x01 and more", Some(("VERSION", ""))),
            ("\x01\x01", None),
            ("\x01 x\x01", None),
            ("\x01", None),
            ("ACTION waves", None),
            ("see \x01ACTION waves\x01", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(command, args)| Ctcp::new(command, args));
            assert_eq!(Ctcp::parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn commands_are_written() {
        let action = Ctcp::action("waves");
        assert!(action.is_action());
        assert_eq!(action.write(), "\x01ACTION waves\x01");
        assert_eq!(action.write().len(), ACTION_BYTES + "waves".len());
        let injected = Ctcp::action("a\x01\r\nQUIT\0 b");
        assert_eq!(injected.write(), "\x01ACTION aQUIT b\x01");
        assert_eq!(unmarked("\x01VERSION\x01"), "VERSION");
        assert!(matches!(unmarked("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn harmless_questions_are_answered() {
        let cases = [
            ("\x01VERSION\x01", Some("\x01VERSION Bridgehead 1.0\x01")),
            ("\x01ping 12 34\x01", Some("\x01PING 12 34\x01")),
            ("\x01PING\x01", Some("\x01PING\x01")),
            (
                "\x01CLIENTINFO\x01",
                Some("\x01CLIENTINFO ACTION CLIENTINFO PING SOURCE VERSION\x01"),
            ),
            ("\x01TIME\x01", None),
            ("\x01FINGER\x01", None),
            ("\x01DCC SEND x 1 2 3\x01", None),
            ("\x01ACTION waves\x01", None),
            ("VERSION", None),
        ];
        for (text, expected) in cases {
            assert_eq!(
                FACTS.answer("PRIVMSG", text).as_deref(),
                expected,
                "{text:?}"
            );
            assert_eq!(FACTS.answer("NOTICE", text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(command in "[A-Z]{1,9}", args in "[^\x01\r\n\0]{0,30}") {
            let ctcp = Ctcp::new(&command, args);
            prop_assert_eq!(Ctcp::parse(&ctcp.write()), Some(ctcp));
        }

        #[test]
        fn answers_are_short_and_no_questions(text in "\x01(PING|CLIENTINFO|VERSION) .{0,400}", version in ".{0,400}") {
            let facts = Facts { version: &version, ..FACTS };
            if let Some(answer) = facts.answer("PRIVMSG", &text) {
                prop_assert!(answer.len() <= MAX_ANSWER_BYTES);
                prop_assert!(!answer.contains(['\r', '\n', '\0']));
                prop_assert_eq!(facts.answer("NOTICE", &answer), None);
            }
        }
    }
}
