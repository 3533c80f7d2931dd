//! IRC's texts as Matrix content, and back: the HTML is nothing but what Matrix allows, all words come through, and what
//! comes back are lines.

#![no_main]

use std::collections::BTreeMap;

use bridgehead_appservice::{format::content::Content, id::UserId};
use bridgehead_fuzz::assert_one_line;
use bridgehead_irc::text::{
    to_irc::{Around, Style, to_irc},
    to_matrix::{Heard, MentionRules, People, Voice, to_matrix},
};
use bridgehead_irc_protocol::formatting::strip;
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    text: &'a str,
    is_notice: bool,
    voice: Who<'a>,
    /// Nicks that are known, with how each is called for people.
    people: Vec<(&'a str, &'a str)>,
}

#[derive(Arbitrary, Debug)]
enum Who<'a> {
    Own,
    Bot,
    Relayed(&'a str),
}

/// What the specification lets clients show, of what a line can become.
const ALLOWED: [&str; 9] = ["strong", "em", "u", "del", "code", "span", "a", "br", "p"];

fuzz_target!(|input: Input<'_>| {
    let known: BTreeMap<&str, &str> = input.people.iter().take(8).copied().collect();
    let id = UserId::parse("@ann:example.org").expect("an id");
    let lookup = |nick: &str| known.get(nick).map(|name| (id.clone(), (*name).to_owned()));
    let people = People {
        lookup: &lookup,
        rules: &MentionRules::default(),
    };
    let heard = Heard {
        text: input.text,
        is_notice: input.is_notice,
        voice: match input.voice {
            Who::Own => Voice::Own,
            Who::Bot => Voice::Bot,
            Who::Relayed(name) => Voice::Relayed(name),
        },
    };
    let contents = to_matrix(&heard, &people);
    for content in &contents {
        check(content);
    }
    let is_plain =
        known.is_empty() && matches!(input.voice, Who::Own) && !input.text.starts_with('\x01');
    if is_plain {
        let lines = contents.iter().flat_map(and_back);
        let back: String = lines.map(|line| visible(&strip(&line))).collect();
        // Of a link that is written otherwise than its address is, the address stands behind it.
        let mut rest = back.chars();
        let said = visible(&strip(input.text));
        assert!(
            said.chars().all(|c| rest.any(|other| other == c)),
            "{said:?} became {back:?}: {contents:?}"
        );
    }
    contents.iter().for_each(|content| drop(and_back(content)));
});

fn check(content: &Content) {
    let json = content.to_json();
    let body = json["body"].as_str().expect("a message has a body");
    assert!(
        !body.contains(|c: char| c.is_control() && !"\n\t".contains(c)),
        "{body:?}"
    );
    let Some(html) = json.get("formatted_body") else {
        return;
    };
    let html = html.as_str().expect("it is text");
    assert!(
        !html.contains(|c: char| c.is_control() && !"\n\t".contains(c)),
        "{html:?}"
    );
    for tag in html.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag ends");
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        assert!(ALLOWED.contains(&name.as_str()), "<{tag}> in {html:?}");
        let attributes = tag[name.len() + usize::from(tag.starts_with('/'))..]
            .split('"')
            .step_by(2);
        for attribute in attributes {
            let name = attribute.trim().trim_end_matches(['=', '/']);
            let is_allowed = name.is_empty() || name == "href" || name.starts_with("data-mx-");
            assert!(is_allowed, "{attribute:?} in {html:?}");
        }
    }
}

/// The same as it comes from a homeserver.
fn and_back(content: &Content) -> Vec<String> {
    let content = Content::new(content.event_type(), content.to_json());
    let around = Around {
        style: Style::Codes,
        nick_of: &|_| None,
        link_of: &|_| None,
        speaker: None,
        reply: None,
        thread: None,
    };
    let lines = to_irc(&content, &around)
        .map(|said| said.lines())
        .unwrap_or_default();
    lines.iter().for_each(|line| assert_one_line(line));
    lines
}

fn visible(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() && !c.is_whitespace())
        .collect()
}
