//! What anybody on Matrix may send, as IRC's lines: each is one line within its limit, is no command of another kind, and
//! says who speaks.

#![no_main]

use std::time::Duration;

use bridgehead_appservice::{
    Event,
    format::{compose::EditStyle, content::Content},
    id::{EventId, UserId},
};
use bridgehead_fuzz::assert_one_line;
use bridgehead_irc::text::to_irc::{
    Around, Limits, Plan, Reply, ReplyRules, Said, Speaker, Style, Verb, deletion, edit, poll,
    reaction, thread::Thread, to_irc,
};
use bridgehead_irc_protocol::{Line, ctcp::Ctcp};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use serde_json::{Value, json};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    made: Made<'a>,
    style: u8,
    speaker: Option<(&'a str, bool)>,
    reply: Option<(&'a str, Made<'a>, u16, bool)>,
    thread: Option<bool>,
    nick: Option<&'a str>,
    link: Option<&'a str>,
    payload_bytes: u16,
    max_lines: u8,
}

#[derive(Arbitrary, Debug)]
enum Made<'a> {
    /// A message with a body and HTML.
    Message(u8, &'a str, Option<&'a str>),
    /// Media with a name and an address.
    Media(u8, &'a str, &'a str, Option<&'a str>),
    /// Any JSON.
    Json(u8, &'a str),
}

const KINDS: [&str; 9] = [
    "m.room.message",
    "m.sticker",
    "m.reaction",
    "m.poll.start",
    "org.matrix.msc3381.poll.start",
    "m.poll.response",
    "m.poll.end",
    "m.room.encrypted",
    "m.location",
];
const TYPES: [&str; 10] = [
    "m.text",
    "m.notice",
    "m.emote",
    "m.image",
    "m.file",
    "m.audio",
    "m.video",
    "m.location",
    "m.server_notice",
    "x",
];

impl Made<'_> {
    fn content(&self) -> Content {
        let msgtype = |at: u8| TYPES[usize::from(at) % TYPES.len()];
        match *self {
            Self::Message(kind, body, html) => {
                let mut content = json!({ "msgtype": msgtype(kind), "body": body });
                if let Some(html) = html {
                    content["format"] = json!("org.matrix.custom.html");
                    content["formatted_body"] = json!(html);
                }
                Content::new(KINDS[0], content)
            }
            Self::Media(kind, body, url, name) => {
                let content = json!({ "msgtype": msgtype(kind), "body": body, "url": format!("mxc://{url}"),
                                      "filename": name, "info": { "size": 12, "mimetype": "image/png" } });
                Content::new(KINDS[usize::from(kind) % 2], content)
            }
            Self::Json(kind, text) => {
                let value: Value = serde_json::from_str(text).unwrap_or_default();
                Content::new(KINDS[usize::from(kind) % KINDS.len()], value)
            }
        }
    }
}

fuzz_target!(|input: Input<'_>| {
    let content = input.made.content();
    let original = input.reply.as_ref().map(|(_, made, ..)| made.content());
    let reply = input.reply.as_ref().map(|(nick, _, age, is_own)| Reply {
        nick,
        original: original.as_ref(),
        may_quote: true,
        age: Duration::from_secs(u64::from(*age)),
        is_own: *is_own,
        rules: ReplyRules::default(),
    });
    let root = EventId::parse("$root").expect("an id");
    let thread = input.thread.map(|is_current| Thread {
        root: &root,
        is_current,
        about: original.as_ref(),
    });
    let speaker = input
        .speaker
        .map(|(name, is_silent)| Speaker { name, is_silent });
    // Those who call these keep to what nicks and addresses are.
    let nick = input
        .nick
        .filter(|nick| bridgehead_irc::ids::is_nick(nick) && nick.is_ascii());
    let nick = nick.filter(|nick| !nick.contains(|c: char| c.is_control()));
    let link = input
        .link
        .filter(|link| link.bytes().all(|byte| byte.is_ascii_graphic()));
    let around = Around {
        style: [Style::Codes, Style::Marks, Style::Plain][usize::from(input.style) % 3],
        nick_of: &|_: &UserId| nick.map(str::to_owned),
        link_of: &|_| link.map(str::to_owned),
        speaker,
        reply,
        thread,
    };
    let limits = Limits {
        payload_bytes: usize::from(input.payload_bytes % 500),
        max_lines: usize::from(input.max_lines),
    };
    let old = original.as_ref();
    let all = [
        to_irc(&content, &around),
        edit(old, &content, EditStyle::Replacement, &around),
        reaction(&content, old, &around),
        deletion(Some(&content), &around),
        poll::vote(&content, old, &around),
    ];
    all.into_iter()
        .flatten()
        .for_each(|said| check(&said, &limits));
    event(&content);
});

fn check(said: &Said, limits: &Limits) {
    for line in said.lines() {
        check_line(said, &line);
    }
    let lines = match said.plan(limits) {
        Plan::Lines(lines) => {
            assert!(lines.len() <= limits.max_lines.max(1));
            lines
        }
        Plan::Paste(paste) => paste.lines("https://example.org/p"),
    };
    for line in lines.iter().chain(&said.first_lines(limits).0) {
        check_line(said, line);
        let bytes = said.verb.payload(line).len();
        assert!(
            bytes <= limits.payload_bytes.max(192),
            "{bytes} of {line:?}"
        );
    }
}

/// It is one line of its own kind, by whom it is from.
fn check_line(said: &Said, line: &str) {
    assert_one_line(line);
    assert!(line.starts_with(&said.head), "{line:?}");
    let payload = said.verb.payload(line);
    let ctcp = Ctcp::parse(&payload);
    match said.verb {
        Verb::Act => assert!(
            ctcp.is_some_and(|ctcp| ctcp.is_action() && ctcp.args == line),
            "{line:?}"
        ),
        Verb::Say | Verb::Notice => assert_eq!(ctcp, None, "{line:?}"),
    }
    let whole = Line::new(said.verb.command(), ["#c", &payload]);
    assert!(whole.to_bytes().is_ok(), "{line:?}");
}

/// The same as a whole event, as transactions carry it.
fn event(content: &Content) {
    let json = json!({ "event_id": "$e", "room_id": "!r:x", "sender": "@a:x", "type": content.event_type(),
                       "content": content.to_json() });
    let raw = serde_json::value::to_raw_value(&json).expect("it is JSON");
    let event = Event::parse(&raw).expect("it is an event");
    let content = Content::of(&event);
    let _ = (
        content.replies_to(),
        content.thread_root(),
        content.is_edit_of(),
        content.profile(),
        content.mentions(),
    );
}
