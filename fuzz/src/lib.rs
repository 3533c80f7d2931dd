//! What the fuzz targets have in common: how lines are put together, and what must hold of whatever goes out.
//!
//! Each target in `fuzz_targets/` gives bytes, or a history made of them, to the real parsers and state machines, and says
//! what must hold. `cargo xtask fuzz` builds and runs them; `seeds/` is what they begin with. A finding becomes a test in
//! the crate that it was found in.

use bridgehead_irc_protocol::{Isupport, Line};
use libfuzzer_sys::arbitrary::{self, Arbitrary};

/// A line of IRC, put together of words that mean something to servers and clients, and of any others.
#[derive(Arbitrary, Debug)]
pub struct Words<'a> {
    tags: Option<&'a str>,
    source: From<'a>,
    command: Command<'a>,
    params: Vec<Word<'a>>,
    text: Option<&'a [u8]>,
}

#[derive(Arbitrary, Debug)]
enum From<'a> {
    Nobody,
    Server,
    Me,
    Known(u8),
    Any(&'a str),
}

#[derive(Arbitrary, Debug)]
enum Command<'a> {
    Known(u8),
    Numeric(u16),
    Any(&'a str),
}

#[derive(Arbitrary, Debug)]
enum Word<'a> {
    Known(u8),
    Number(u16),
    Any(&'a str),
}

const COMMANDS: [&str; 34] = [
    "PRIVMSG",
    "NOTICE",
    "TAGMSG",
    "JOIN",
    "PART",
    "KICK",
    "QUIT",
    "NICK",
    "MODE",
    "TOPIC",
    "INVITE",
    "RENAME",
    "AWAY",
    "ACCOUNT",
    "CHGHOST",
    "SETNAME",
    "CAP",
    "AUTHENTICATE",
    "BATCH",
    "PING",
    "PONG",
    "ERROR",
    "KILL",
    "FAIL",
    "WARN",
    "NOTE",
    "ACK",
    "REDACT",
    "CHATHISTORY",
    "001",
    "005",
    "353",
    "366",
    "376",
];

const WORDS: [&str; 44] = [
    "anna",
    "bob",
    "ANNA",
    "#c",
    "#d",
    "@#c",
    "*",
    "LS",
    "ACK",
    "NAK",
    "NEW",
    "DEL",
    "+0",
    "-0",
    "+1",
    "-1",
    "0",
    "1",
    "+",
    "sasl",
    "batch",
    "echo-message",
    "labeled-response",
    "message-tags",
    "draft/multiline",
    "draft/multiline=max-bytes=99,max-lines=3",
    "sts=port=6697,duration=1",
    "sasl=PLAIN,EXTERNAL,SCRAM-SHA-256",
    "netsplit",
    "netjoin",
    "chathistory",
    "a.example",
    "b.example",
    "+o",
    "-v+b",
    "+k-l",
    "CASEMAPPING=ascii",
    "PREFIX=(qaohv)~&@%+",
    "CHANMODES=beI,k,l,imnst",
    "STATUSMSG=@+",
    "NICKLEN=5",
    "LINELEN=2048",
    "MODES=",
    "barrier-1",
];

fn pick(from: &[&'static str], at: u8) -> &'static str {
    from[usize::from(at) % from.len()]
}

impl Words<'_> {
    /// The line, without its end. It may be none: what is not known is put in as it is.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line = Vec::new();
        if let Some(tags) = self.tags {
            line.extend_from_slice(format!("@{tags} ").as_bytes());
        }
        let source = match self.source {
            From::Nobody => String::new(),
            From::Server => ":srv.example ".to_owned(),
            From::Me => ":anna!a@h ".to_owned(),
            From::Known(at) => format!(":{}!u@h ", pick(&WORDS[..3], at)),
            From::Any(text) => format!(":{text} "),
        };
        line.extend_from_slice(source.as_bytes());
        match self.command {
            Command::Known(at) => line.extend_from_slice(pick(&COMMANDS, at).as_bytes()),
            Command::Numeric(numeric) => {
                line.extend_from_slice(format!("{:03}", numeric % 1_000).as_bytes());
            }
            Command::Any(text) => line.extend_from_slice(text.as_bytes()),
        }
        for word in &self.params {
            line.push(b' ');
            match word {
                Word::Known(at) => line.extend_from_slice(pick(&WORDS, *at).as_bytes()),
                Word::Number(number) => line.extend_from_slice(number.to_string().as_bytes()),
                Word::Any(text) => line.extend_from_slice(text.as_bytes()),
            }
        }
        if let Some(text) = self.text {
            line.extend_from_slice(b" :");
            line.extend_from_slice(text);
        }
        line
    }
}

/// What a server says of itself, by the tokens of one 005.
#[must_use]
pub fn isupport(tokens: &[&str]) -> Isupport {
    let mut isupport = Isupport::default();
    let words = ["me"].iter().chain(tokens).chain(&["are supported"]);
    isupport.take(&Line::new("005", words));
    isupport
}

/// Whether it is one of IRC's formatting codes, the only control characters that have a place in what is said.
#[must_use]
pub fn is_code(c: char) -> bool {
    matches!(c, '\x02'..='\x04' | '\x0f' | '\x11' | '\x16' | '\x1d'..='\x1f')
}

/// What goes out as a text is one line, with formatting codes as its only control characters.
///
/// # Panics
/// When it is not.
pub fn assert_one_line(text: &str) {
    let bad = text.chars().find(|c| c.is_control() && !is_code(*c));
    assert_eq!(bad, None, "in {text:?}");
    let is_break = text.contains(['\u{2028}', '\u{2029}']);
    assert!(!is_break, "a break in {text:?}");
}

/// Bytes that a session or a line wrote are one line of IRC, and give it.
///
/// # Panics
/// When they are not.
#[must_use]
pub fn read_line(bytes: &[u8]) -> Line {
    let line = bytes.strip_suffix(b"\r\n").expect("a line has an end");
    Line::parse(line).expect("what goes out is a line")
}
