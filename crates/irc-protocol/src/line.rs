//! One line: tags, source, command, parameters.
//!
//! Parameters are bytes: which encoding a text is in is known only to who knows its channel. Everything else is ASCII on
//! every server that is known, and read as UTF-8 where it is not.

use std::{borrow::Cow, fmt};

use crate::Source;

/// Bytes of a line without its tags, with its end (RFC 1459, 2.3).
pub const MAX_LINE_BYTES: usize = 512;
/// Bytes of the tags that a client may send, with `@` and the space (message-tags).
pub const MAX_CLIENT_TAGS_BYTES: usize = 4096;
/// Bytes of the tags that a server may send, with `@` and the space (message-tags).
pub const MAX_SERVER_TAGS_BYTES: usize = 8191;
/// Bytes that are kept of a line that comes in: what is longer is cut, for servers do not keep to the limits.
pub const MAX_INCOMING_BYTES: usize = 64 << 10;
/// Tags of a line that are read: no server sends more than a few dozen.
const MAX_TAGS: usize = 256;
/// Parameters of a line that are read; no server sends more than 15.
const MAX_PARAMS: usize = 64;

/// One line, from a server or to it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Tags (message-tags).
    pub tags: Tags,
    /// Who it is from; clients leave it out.
    pub source: Option<Source>,
    /// The command in upper case, or a numeric in three digits.
    pub command: String,
    /// The parameters.
    pub params: Vec<Vec<u8>>,
}

/// Why something is no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Nothing but spaces, or tags and a source.
    #[error("it has no command")]
    NoCommand,
    /// A line break or NUL within.
    #[error("it holds a line break or a NUL")]
    Control,
    /// A space, or nothing, in a parameter that is not the last.
    #[error("a parameter that is not the last is empty, holds a space or begins with a colon")]
    Middle,
    /// What stands before the command would end elsewhere than it does.
    #[error("its source, or a tag's name, is none that a line can hold")]
    Head,
}

impl Line {
    /// A command with its parameters.
    #[must_use]
    pub fn new<P: AsRef<[u8]>>(command: &str, params: impl IntoIterator<Item = P>) -> Self {
        Self {
            command: command.to_ascii_uppercase(),
            params: params
                .into_iter()
                .map(|param| param.as_ref().to_vec())
                .collect(),
            ..Self::default()
        }
    }

    /// The same with a tag.
    #[must_use]
    pub fn tag(mut self, key: &str, value: &str) -> Self {
        self.tags.set(key, value);
        self
    }

    /// The same from somebody.
    #[must_use]
    pub fn from(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// Reads a line, without its end.
    ///
    /// # Errors
    /// [`LineError::NoCommand`] and [`LineError::Control`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LineError> {
        if bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(LineError::Control);
        }
        let mut rest = after_spaces(bytes);
        let mut line = Self::default();
        if let Some(tagged) = rest.strip_prefix(b"@") {
            let (tags, after) = word(tagged);
            line.tags = Tags::parse(&String::from_utf8_lossy(tags));
            rest = after;
        }
        if let Some(sourced) = rest.strip_prefix(b":") {
            let (source, after) = word(sourced);
            line.source = Some(Source::parse(&String::from_utf8_lossy(source)));
            rest = after;
        }
        let (command, mut rest) = word(rest);
        if command.is_empty() {
            return Err(LineError::NoCommand);
        }
        line.command = String::from_utf8_lossy(command).to_ascii_uppercase();
        while !rest.is_empty() {
            if let Some(last) = rest.strip_prefix(b":") {
                line.params.push(last.to_vec());
                break;
            }
            if line.params.len() + 1 == MAX_PARAMS {
                line.params.push(rest.to_vec());
                break;
            }
            let (param, after) = word(rest);
            line.params.push(param.to_vec());
            rest = after;
        }
        Ok(line)
    }

    /// Writes the line, with its end.
    ///
    /// # Errors
    /// When it would be read as another line, or as several.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LineError> {
        let is_cut = |tag: (&str, &str)| tag.0.is_empty() || tag.0.contains([' ', ';', '=']);
        let source = self.source.as_ref().map(Source::to_string);
        if self.tags.iter().any(is_cut) || source.is_some_and(|source| source.contains(' ')) {
            return Err(LineError::Head);
        }
        let mut out = Vec::new();
        self.tags.write(&mut out);
        if let Some(source) = &self.source {
            out.extend_from_slice(format!(":{source} ").as_bytes());
        }
        out.extend_from_slice(self.command.as_bytes());
        for (at, param) in self.params.iter().enumerate() {
            let is_plain = !param.is_empty() && param[0] != b':' && !param.contains(&b' ');
            let is_last = at + 1 == self.params.len();
            if !is_plain && !is_last {
                return Err(LineError::Middle);
            }
            // A text is always written as one: some servers and bots rely on it.
            let is_text = is_last && at > 0;
            out.extend_from_slice(if !is_plain || is_text { b" :" } else { b" " });
            out.extend_from_slice(param);
        }
        if self.command.is_empty() || self.command.contains([' ', ':', '@']) {
            return Err(LineError::NoCommand);
        }
        if out.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(LineError::Control);
        }
        out.extend_from_slice(b"\r\n");
        Ok(out)
    }

    /// A parameter as it is.
    #[must_use]
    pub fn param(&self, at: usize) -> Option<&[u8]> {
        self.params.get(at).map(Vec::as_slice)
    }

    /// A parameter as text; empty where there is none.
    #[must_use]
    pub fn text(&self, at: usize) -> Cow<'_, str> {
        String::from_utf8_lossy(self.param(at).unwrap_or_default())
    }

    /// The last parameter as it is; empty where there is none.
    #[must_use]
    pub fn last(&self) -> &[u8] {
        self.params.last().map(Vec::as_slice).unwrap_or_default()
    }

    /// The numeric, if it is one.
    #[must_use]
    pub fn numeric(&self) -> Option<u16> {
        let is_numeric =
            self.command.len() == 3 && self.command.bytes().all(|byte| byte.is_ascii_digit());
        is_numeric.then(|| self.command.parse().ok()).flatten()
    }

    /// The name of whom it is from; empty where it does not say.
    #[must_use]
    pub fn from_name(&self) -> &str {
        self.source.as_ref().map_or("", |source| &source.name)
    }
}

impl fmt::Debug for Line {
    /// As on the wire, for logs and the messages of tests.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tags = Vec::new();
        self.tags.write(&mut tags);
        write!(f, "{}", String::from_utf8_lossy(&tags))?;
        if let Some(source) = &self.source {
            write!(f, ":{source} ")?;
        }
        f.write_str(&self.command)?;
        for (at, param) in self.params.iter().enumerate() {
            let colon = if at + 1 == self.params.len() { ":" } else { "" };
            write!(
                f,
                " {colon}{}",
                String::from_utf8_lossy(param).escape_debug()
            )?;
        }
        Ok(())
    }
}

/// The first word, and what follows the spaces behind it.
fn word(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b' ');
    let (word, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
    (word, after_spaces(rest))
}

fn after_spaces(bytes: &[u8]) -> &[u8] {
    let spaces = bytes.iter().take_while(|byte| **byte == b' ').count();
    &bytes[spaces..]
}

/// The tags of a line, in their order; a key stands there once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Vec<(String, String)>);

impl Tags {
    /// Reads what stands between `@` and the space.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut tags = Self::default();
        let given = text.split(';').filter(|tag| !tag.is_empty());
        for tag in given.take(MAX_TAGS) {
            let (key, value) = tag.split_once('=').unwrap_or((tag, ""));
            if !key.is_empty() {
                tags.set(key, &unescape(value));
            }
        }
        tags
    }

    /// A tag's value; empty where it has none. A missing tag is `None`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str())
    }

    /// Sets a tag, in the place of one with the same key.
    pub fn set(&mut self, key: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, held)) => value.clone_into(held),
            None => self.0.push((key.to_owned(), value.to_owned())),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (at, (key, value)) in self.0.iter().enumerate() {
            out.push(if at == 0 { b'@' } else { b';' });
            out.extend_from_slice(key.as_bytes());
            if !value.is_empty() {
                out.push(b'=');
                out.extend_from_slice(escape(value).as_bytes());
            }
        }
        if !self.0.is_empty() {
            out.push(b' ');
        }
    }
}

fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            ';' => escaped.push_str("\\:"),
            ' ' => escaped.push_str("\\s"),
            '\\' => escaped.push_str("\\\\"),
            '\r' => escaped.push_str("\\r"),
            '\n' => escaped.push_str("\\n"),
            _ => escaped.push(c),
        }
    }
    escaped
}

fn unescape(escaped: &str) -> String {
    let mut value = String::with_capacity(escaped.len());
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            value.push(c);
            continue;
        }
        // A lone backslash at the end is dropped, and one before anything else too (message-tags, "Escaping values").
        match chars.next() {
            Some(':') => value.push(';'),
            Some('s') => value.push(' '),
            Some('r') => value.push('\r'),
            Some('n') => value.push('\n'),
            Some(other) => value.push(other),
            None => {}
        }
    }
    value
}

/// Cuts what comes from a socket into lines.
///
/// Holds [`MAX_INCOMING_BYTES`] at most: the rest of a line that is longer is dropped up to its end.
#[derive(Debug, Default)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// Where the lines that were taken end.
    taken: usize,
    is_cut: bool,
}

impl LineBuffer {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what has come. Calls [`next`](Self::next_line) until it is empty before the next.
    pub fn push(&mut self, mut bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        if self.is_cut {
            match bytes.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.is_cut = false;
                    self.bytes.push(b'\n');
                    bytes = &bytes[end + 1..];
                }
                None => return,
            }
        }
        self.bytes.extend_from_slice(bytes);
        let open = match self.bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None => 0,
        };
        if self.bytes.len() - open > MAX_INCOMING_BYTES {
            self.bytes.truncate(open + MAX_INCOMING_BYTES);
            self.is_cut = true;
        }
    }

    /// The next line that has come whole, without its end. Empty ones are passed over.
    pub fn next_line(&mut self) -> Option<&[u8]> {
        loop {
            let rest = &self.bytes[self.taken..];
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let start = self.taken;
            self.taken += end + 1;
            let line = &self.bytes[start..start + end];
            let is_empty = line.iter().all(|byte| *byte == b'\r');
            if !is_empty {
                let line = &self.bytes[start..start + end];
                return Some(line.strip_suffix(b"\r").unwrap_or(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Line {
        Line::parse(text.as_bytes()).expect("a line")
    }

    #[test]
    fn a_line_is_cut_into_its_parts() {
        let line = read(
            "@time=2026-01-02T03:04:05.678Z;msgid=a\\:b;+x :nick!user@host  privmsg #chan  :hello  there ",
        );
        assert_eq!(line.tags.get("time"), Some("2026-01-02T03:04:05.678Z"));
        assert_eq!(line.tags.get("msgid"), Some("a;b"));
        assert_eq!(line.tags.get("+x"), Some(""));
        assert_eq!(line.tags.get("y"), None);
        assert_eq!(line.from_name(), "nick");
        assert_eq!(line.command, "PRIVMSG");
        assert_eq!(line.text(0), "#chan");
        assert_eq!(line.text(1), "hello  there ");
        assert_eq!(line.text(2), "");
        assert_eq!(read(":srv 001 me :Welcome").numeric(), Some(1));
        assert_eq!(read("PING :x").numeric(), None);
    }

    #[test]
    fn what_is_no_line_is_refused() {
        assert_eq!(Line::parse(b"  "), Err(LineError::NoCommand));
        assert_eq!(Line::parse(b":nick"), Err(LineError::NoCommand));
        assert_eq!(Line::parse(b"A\nB"), Err(LineError::Control));
        let split = Line::new("PRIVMSG", ["#a b", "text"]);
        assert_eq!(split.to_bytes(), Err(LineError::Middle));
        let injected = Line::new("PRIVMSG", ["#a", "text\r\nQUIT"]);
        assert_eq!(injected.to_bytes(), Err(LineError::Control));
        assert_eq!(Line::new("", ["a"]).to_bytes(), Err(LineError::NoCommand));
        let somebody_else = Line::new("PRIVMSG", ["#a", "x"]).from(Source::named("a KICK #a b :"));
        assert_eq!(somebody_else.to_bytes(), Err(LineError::Head));
        for key in ["", "a b", "a;label", "a=b"] {
            let tagged = Line::new("PRIVMSG", ["#a", "x"]).tag(key, "y");
            assert_eq!(tagged.to_bytes(), Err(LineError::Head), "{key:?}");
        }
    }

    #[test]
    fn a_line_is_written() {
        let line = Line::new("privmsg", ["#a", "hi"]).tag("label", "1 2");
        assert_eq!(
            line.to_bytes().as_deref(),
            Ok(&b"@label=1\\s2 PRIVMSG #a :hi\r\n"[..])
        );
        assert_eq!(
            Line::new("JOIN", ["#a"]).to_bytes().as_deref(),
            Ok(&b"JOIN #a\r\n"[..])
        );
        assert_eq!(
            Line::new("TOPIC", ["#a", ""]).to_bytes().as_deref(),
            Ok(&b"TOPIC #a :\r\n"[..])
        );
    }

    #[test]
    fn lines_come_in_any_pieces() {
        let mut buffer = LineBuffer::new();
        let mut lines = Vec::new();
        for piece in ["PI", "NG :a\r", "\n\r\n\nPONG :b\nQ", "UIT\n"] {
            buffer.push(piece.as_bytes());
            while let Some(line) = buffer.next_line() {
                lines.push(String::from_utf8_lossy(line).into_owned());
            }
        }
        assert_eq!(lines, ["PING :a", "PONG :b", "QUIT"]);
    }

    #[test]
    fn an_endless_line_takes_no_endless_memory() {
        let mut buffer = LineBuffer::new();
        for _ in 0..100 {
            buffer.push(&[b'a'; 4096]);
            assert_eq!(buffer.next_line(), None);
            assert!(buffer.bytes.len() <= MAX_INCOMING_BYTES);
        }
        buffer.push(b"aaa\nPING :x\n");
        let cut = buffer.next_line().map(<[u8]>::len);
        assert_eq!(cut, Some(MAX_INCOMING_BYTES));
        assert_eq!(buffer.next_line(), Some(&b"PING :x"[..]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_line_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(line) = Line::parse(&bytes)
                && let Ok(written) = line.to_bytes()
            {
                let again = Line::parse(&written[..written.len() - 2]).expect("a line");
                prop_assert_eq!(again, line);
            }
        }

        #[test]
        fn what_is_written_is_read_back(
            tags in prop::collection::btree_map("[+a-z/.-]{1,9}", "\\PC{0,9}|[;\\\\ \r\n]{1,4}", 0..4),
            command in "[A-Z]{1,9}|[0-9]{3}",
            middle in prop::collection::vec("[^: \r\n\0][^ \r\n\0]{0,9}", 0..5),
            text in "[^\r\n\0]{0,30}",
        ) {
            let mut line = Line::new(&command, middle.iter().chain([&text]));
            for (key, value) in &tags {
                line.tags.set(key, value);
            }
            let written = line.to_bytes().expect("a line");
            prop_assert_eq!(Line::parse(&written[..written.len() - 2]), Ok(line));
        }

        #[test]
        fn pieces_do_not_matter(bytes in "[a-c \r\n]{0,60}", cuts in prop::collection::vec(1_usize..9, 0..20)) {
            let lines_of = |pieces: Vec<&[u8]>| {
                let mut buffer = LineBuffer::new();
                let mut lines = Vec::new();
                for piece in pieces {
                    buffer.push(piece);
                    while let Some(line) = buffer.next_line() {
                        lines.push(line.to_vec());
                    }
                }
                lines
            };
            let mut pieces = Vec::new();
            let mut rest = bytes.as_bytes();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            prop_assert_eq!(lines_of(pieces), lines_of(vec![bytes.as_bytes()]));
        }
    }
}
