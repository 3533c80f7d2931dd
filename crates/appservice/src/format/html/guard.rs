//! What of a message's HTML goes into the parser: tags that Matrix knows, closed in order, bounded in number and depth.

use super::{
    super::{MAX_INPUT_BYTES, tidy::MAX_ATTRIBUTE_BYTES},
    tags::{Tag, Token, Tokens},
};

/// What is left out of a message's HTML with all that stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Omit {
    /// The fallback of a reply (`mx-reply`).
    ReplyFallback,
    /// That, and the sender's name that a per-message profile put before the text (MSC4144).
    ReplyAndProfileFallback,
}

/// The deepest nesting; the specification says 100, and the parser may add implied elements.
const MAX_OPEN: usize = 90;

/// The most tags. Sanitizing takes the square of the number of siblings.
const MAX_TAGS: usize = 4_000;

/// The most bytes that the result may have.
const MAX_OUTPUT_BYTES: usize = 4 * MAX_INPUT_BYTES;

/// Marks: when another one is closed around them, they go on behind it.
const MARKS: [&str; 13] = [
    "b", "strong", "i", "em", "u", "s", "del", "strike", "code", "span", "font", "sup", "sub",
];

/// Blocks of text. They end a paragraph that is open.
const BLOCKS: [&str; 16] = [
    "p",
    "div",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "blockquote",
    "ul",
    "ol",
    "li",
    "pre",
    "details",
    "summary",
    "table",
];

/// Parts of tables; outside of one they are nothing.
const TABLE_PARTS: [&str; 6] = ["caption", "thead", "tbody", "tr", "th", "td"];

/// Elements whose contents nobody is meant to read.
const UNREADABLE: [&str; 3] = ["script", "style", "title"];

/// The attributes that Matrix knows, and old ones that have successors.
fn is_known_attribute(element: &str, attribute: &str) -> bool {
    match element {
        "span" => matches!(
            attribute,
            "data-mx-bg-color" | "data-mx-color" | "data-mx-spoiler" | "data-mx-maths"
        ),
        "font" => matches!(attribute, "color" | "data-mx-color" | "data-mx-bg-color"),
        "a" => attribute == "href",
        "img" => matches!(
            attribute,
            "src" | "alt" | "title" | "width" | "height" | "data-mx-emoticon"
        ),
        "ol" => attribute == "start",
        "code" => attribute == "class",
        "div" => attribute == "data-mx-maths",
        _ => false,
    }
}

struct Open {
    name: String,
    /// The start tag as it was written, for marks that go on.
    tag: String,
}

struct Guard {
    out: String,
    open: Vec<Open>,
    tags: usize,
    /// The element that is being left out, and how many of its name are open in it.
    omitted: Option<(String, usize)>,
    omit: Omit,
}

/// Writes the HTML again, well-formed and bounded.
pub(super) fn guard(html: &str, omit: Omit) -> String {
    let mut guard = Guard {
        out: String::new(),
        open: Vec::new(),
        tags: 0,
        omitted: None,
        omit,
    };
    let mut tokens = Tokens::new(html);
    while let Some(token) = tokens.next() {
        if let Token::Start(tag) = &token
            && UNREADABLE.contains(&tag.name.as_str())
        {
            tokens.skip_past_end(&tag.name);
            continue;
        }
        guard.token(token);
    }
    guard.close_down_to(0);
    guard.out
}

impl Guard {
    fn token(&mut self, token: Token<'_>) {
        if let Some((name, depth)) = &mut self.omitted {
            match token {
                Token::Start(tag) if tag.name == *name => *depth += 1,
                Token::End(end) if end == *name => *depth -= 1,
                _ => {}
            }
            if *depth == 0 {
                self.omitted = None;
            }
            return;
        }
        match token {
            Token::Text(text) => self.text(text),
            Token::Start(tag) => self.start(tag),
            Token::End(name) => self.end(&name),
        }
    }

    fn text(&mut self, text: &str) {
        // Text holds a `<` only where no tag begins.
        for (index, part) in text.split('<').enumerate() {
            if index > 0 {
                self.out.push_str("&lt;");
            }
            self.out.push_str(part);
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        if self.is_omitted(&tag) {
            self.omitted = Some((tag.name, 1));
            return;
        }
        let name = tag.name.as_str();
        let in_table = self.open.iter().any(|open| open.name == "table");
        if !is_known(name) || (TABLE_PARTS.contains(&name) && !in_table) {
            return;
        }
        self.close_implied(name);
        let void = matches!(name, "br" | "hr" | "img");
        if !self.may_open(void) {
            return;
        }
        let text = written(&tag);
        self.out.push_str(&text);
        if !void {
            self.open.push(Open {
                name: tag.name,
                tag: text,
            });
        }
    }

    fn is_omitted(&self, tag: &Tag<'_>) -> bool {
        let profile = tag.name == "strong"
            && tag
                .attributes
                .iter()
                .any(|(name, _)| name == "data-mx-profile-fallback");
        tag.name == "mx-reply" || (profile && self.omit == Omit::ReplyAndProfileFallback)
    }

    fn may_open(&mut self, void: bool) -> bool {
        let may = self.tags < MAX_TAGS
            && (void || self.open.len() < MAX_OPEN)
            && self.out.len() < MAX_OUTPUT_BYTES;
        self.tags += usize::from(may);
        may
    }

    /// Closes what a start tag of this name ends without saying so.
    fn close_implied(&mut self, name: &str) {
        match name {
            "a" => self.close(&["a"], &["td", "th"]),
            "li" => self.close(&["li"], &["ul", "ol", "td", "th"]),
            "td" | "th" => self.close_parts(&["td", "th", "caption"]),
            "tr" => self.close_parts(&["tr", "td", "th", "caption"]),
            "thead" | "tbody" | "caption" => self.close_parts(&TABLE_PARTS),
            _ => {}
        }
        if name == "hr" || BLOCKS.contains(&name) {
            self.close(&["p"], &["td", "th", "blockquote", "li"]);
        }
        if matches!(name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6") {
            self.close(
                &["h1", "h2", "h3", "h4", "h5", "h6"],
                &["td", "th", "blockquote", "li"],
            );
        }
    }

    /// Closes the innermost element of these names, unless one of the barriers is open within it.
    fn close(&mut self, names: &[&str], barriers: &[&str]) {
        let found = self.open.iter().rposition(|open| {
            names.contains(&open.name.as_str()) || barriers.contains(&open.name.as_str())
        });
        if let Some(at) = found
            && names.contains(&self.open[at].name.as_str())
        {
            self.close_down_to(at);
        }
    }

    /// Closes the outermost of these parts of the innermost table.
    fn close_parts(&mut self, names: &[&str]) {
        let table = self.open.iter().rposition(|open| open.name == "table");
        let inside = table.map_or(0, |table| table + 1);
        let mut parts = self.open[inside..].iter();
        if let Some(at) = parts.position(|open| names.contains(&open.name.as_str())) {
            self.close_down_to(inside + at);
        }
    }

    fn end(&mut self, name: &str) {
        let is_part = TABLE_PARTS.contains(&name) || name == "table";
        let barrier = |open: &str| !is_part && matches!(open, "td" | "th" | "caption");
        let found = self
            .open
            .iter()
            .rposition(|open| open.name == name || barrier(&open.name));
        let Some(at) = found.filter(|at| self.open[*at].name == name) else {
            return;
        };
        let inner: Vec<Open> = self.open.drain(at + 1..).collect();
        for open in inner.iter().rev() {
            self.write_end(&open.name);
        }
        self.close_down_to(at);
        if MARKS.contains(&name) || name == "a" {
            self.reopen(inner);
        }
    }

    /// `<b><i>x</b>y</i>`: the `y` is italic.
    fn reopen(&mut self, inner: Vec<Open>) {
        for open in inner {
            if MARKS.contains(&open.name.as_str()) && self.may_open(false) {
                self.out.push_str(&open.tag);
                self.open.push(open);
            }
        }
    }

    fn close_down_to(&mut self, at: usize) {
        while self.open.len() > at {
            if let Some(open) = self.open.pop() {
                self.write_end(&open.name);
            }
        }
    }

    fn write_end(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }
}

fn is_known(name: &str) -> bool {
    MARKS.contains(&name)
        || BLOCKS.contains(&name)
        || TABLE_PARTS.contains(&name)
        || matches!(name, "a" | "br" | "hr" | "img")
}

fn written(tag: &Tag<'_>) -> String {
    let mut text = format!("<{}", tag.name);
    for (name, value) in &tag.attributes {
        if is_known_attribute(&tag.name, name) && value.len() <= MAX_ATTRIBUTE_BYTES {
            let value = with_low_scheme(value).replace('"', "&quot;");
            text.push_str(&format!(" {name}=\"{value}\""));
        }
    }
    text.push('>');
    text
}

/// The sanitizer knows schemes in lower case only.
fn with_low_scheme(value: &str) -> String {
    let scheme = value.split_once(':').map(|(scheme, _)| scheme);
    match scheme {
        Some(scheme) if scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
            scheme.to_ascii_lowercase() + &value[scheme.len()..]
        }
        _ => value.to_owned(),
    }
}
