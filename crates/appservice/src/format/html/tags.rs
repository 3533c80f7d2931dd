//! Splits HTML into text and tags the way HTML parsers do.

/// A piece of HTML.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Text, with its entities as they are.
    Text(&'a str),
    /// A start tag.
    Start(Tag<'a>),
    /// An end tag.
    End(String),
}

/// A start tag.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    /// The element's name in lower case.
    pub(super) name: String,
    /// Names in lower case, and values with their entities as they are.
    pub(super) attributes: Vec<(String, &'a str)>,
}

/// The most attributes of a tag that are looked at.
const MAX_ATTRIBUTES: usize = 16;

/// Iterates over the pieces. Comments and the like are left out; a tag that never ends is left out, as in browsers.
pub(super) struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(html: &'a str) -> Self {
        Self { rest: html }
    }

    /// Skips the contents of an element whose contents are not HTML, up to its end tag.
    pub(super) fn skip_past_end(&mut self, name: &str) {
        while let Some(at) = self.rest.find("</") {
            self.rest = &self.rest[at + 2..];
            let end = self.rest.get(..name.len());
            if end.is_some_and(|end| end.eq_ignore_ascii_case(name)) {
                let _ = self.tag();
                return;
            }
        }
        self.rest = "";
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn text(&mut self) -> Option<Token<'a>> {
        // A `<` that begins no tag is text: look for the end of the text behind it.
        let skip = usize::from(self.rest.starts_with('<'));
        let end = self.rest[skip..]
            .find('<')
            .map_or(self.rest.len(), |at| at + skip);
        Some(Token::Text(self.take(end)))
    }

    fn tag(&mut self) -> Option<Tag<'a>> {
        let end = self
            .rest
            .find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>')?;
        let name = self.take(end).to_ascii_lowercase();
        let mut attributes = Vec::new();
        while let Some(attribute) = self.attribute()? {
            let known = attributes.iter().any(|(name, _)| *name == attribute.0);
            if !known && attributes.len() < MAX_ATTRIBUTES {
                attributes.push(attribute);
            }
        }
        Some(Tag { name, attributes })
    }

    /// The next attribute; `Some(None)` at the tag's end, `None` at the text's.
    #[expect(
        clippy::option_option,
        reason = "the two ends are two different things"
    )]
    fn attribute(&mut self) -> Option<Option<(String, &'a str)>> {
        self.rest = self
            .rest
            .trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if self.rest.starts_with('>') {
            self.take(1);
            return Some(None);
        }
        // An `=` in front belongs to the name.
        let skip = usize::from(self.rest.starts_with('='));
        let stop = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '=');
        let end = self.rest[skip..].find(stop)? + skip;
        let name = self.take(end).to_ascii_lowercase();
        let after = self.rest.trim_ascii_start();
        let Some(value) = after.strip_prefix('=') else {
            return Some(Some((name, "")));
        };
        self.rest = value.trim_ascii_start();
        Some(Some((name, self.value()?)))
    }

    fn value(&mut self) -> Option<&'a str> {
        let quote = self.rest.chars().next()?;
        if quote == '"' || quote == '\'' {
            self.take(1);
            let end = self.rest.find(quote)?;
            let value = self.take(end);
            self.take(1);
            return Some(value);
        }
        let end = self
            .rest
            .find(|c: char| c.is_ascii_whitespace() || c == '>')?;
        Some(self.take(end))
    }

    /// Takes the markup that begins here; `Some(None)` if it is one that shows nothing.
    #[expect(clippy::option_option, reason = "the outer one ends the iteration")]
    fn markup(&mut self) -> Option<Option<Token<'a>>> {
        let after = &self.rest[1..];
        match after.bytes().next() {
            Some(byte) if byte.is_ascii_alphabetic() => {
                self.take(1);
                Some(Some(Token::Start(self.tag()?)))
            }
            Some(b'/') if after[1..].starts_with(|c: char| c.is_ascii_alphabetic()) => {
                self.take(2);
                Some(Some(Token::End(self.tag()?.name)))
            }
            Some(b'!') if after.starts_with("!--") => {
                // The shortest comment is `<!-->`.
                let end = after[1..].find("-->")?;
                self.take(1 + 1 + end + 3);
                Some(None)
            }
            Some(b'!' | b'?' | b'/') => {
                let end = self.rest.find('>')?;
                self.take(end + 1);
                Some(None)
            }
            _ => Some(self.text()),
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        while !self.rest.is_empty() {
            if !self.rest.starts_with('<') {
                return self.text();
            }
            let Some(token) = self.markup() else {
                self.rest = "";
                return None;
            };
            if token.is_some() {
                return token;
            }
        }
        None
    }
}
