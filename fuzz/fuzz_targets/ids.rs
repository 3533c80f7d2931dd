//! Ids: any text is one or none; what is one is built again as the same, and names made for people are legal.

#![no_main]

use bridgehead_appservice::{bridge::RemoteId, id::UserId};
use bridgehead_irc::{
    ids::{Nick, Place, is_channel, is_nick},
    text::names::{NickTemplate, Person, ident, ladder, real_name, relayed_nick},
};
use bridgehead_irc_protocol::CaseMapping;
use bridgehead_registration::{NamespaceTemplate, anchored};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use regex::Regex;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    text: &'a str,
    network: &'a str,
    template: Option<&'a str>,
    display: Option<&'a str>,
    max_bytes: u8,
    taken: u8,
}

fuzz_target!(|input: Input<'_>| {
    remote::<Nick>(&input);
    remote::<Place>(&input);
    if is_nick(input.text) {
        let nick = Nick::new(input.network, input.text, CaseMapping::Rfc1459);
        assert_eq!(Nick::from_text(&nick.to_text()), Some(nick));
    }
    if is_channel(input.text) {
        let place = Place::channel(input.network, input.text, CaseMapping::Rfc1459);
        assert_eq!(Place::from_text(&place.to_text()), Some(place));
    }
    templates(&input);
    if let Ok(user_id) = UserId::parse(input.text) {
        names(&user_id, &input);
    }
});

fn remote<I: RemoteId>(input: &Input<'_>) {
    let of_values = I::from_values(&[input.network, input.text]);
    for id in of_values.into_iter().chain(I::from_text(input.text)) {
        let values = id.values();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        assert_eq!(I::from_values(&values).as_ref(), Some(&id));
        assert_eq!(I::from_text(&id.to_text()).as_ref(), Some(&id));
    }
}

fn templates(input: &Input<'_>) {
    let users = input.template.unwrap_or("irc_{network}_{nick}");
    let aliases = input.template.unwrap_or("#irc_{network}_{channel}");
    let all = [
        NamespaceTemplate::users(users),
        NamespaceTemplate::aliases(aliases),
    ];
    for template in all.into_iter().flatten() {
        let Ok(bound) = template.at("example.org") else {
            continue;
        };
        if let Some(fields) = bound.parse(input.text) {
            let values: Vec<_> = fields.iter().collect();
            assert_eq!(bound.build(&values).as_deref(), Ok(input.text));
        }
        let names: Vec<&str> = template.field_names().collect();
        let values = [input.network, input.text].into_iter().cycle();
        let values: Vec<_> = names.into_iter().zip(values).collect();
        let Ok(id) = bound.build(&values) else {
            continue;
        };
        let fields = bound.parse(&id).expect("what was built is read");
        assert_eq!(fields.iter().collect::<Vec<_>>(), values, "{id}");
        let pattern = Regex::new(&anchored(bound.regex())).expect("its pattern is one");
        assert!(pattern.is_match(&id), "{id} by {}", bound.regex());
    }
}

fn names(user_id: &UserId, input: &Input<'_>) {
    let max_bytes = usize::from(input.max_bytes).max(1);
    let person = Person {
        user_id,
        display_name: input.display,
    };
    let template = input
        .template
        .and_then(|text| NickTemplate::parse(text).ok())
        .unwrap_or_default();
    let nick = template.nick(&person, max_bytes);
    for nick in [nick.clone()]
        .into_iter()
        .chain(ladder(&nick, max_bytes).take(5))
    {
        assert!(
            !nick.is_empty() && nick.len() <= max_bytes && is_nick(&nick),
            "{nick:?}"
        );
        assert!(nick.bytes().all(|byte| byte.is_ascii_graphic()), "{nick:?}");
    }
    let relayed = relayed_nick(&person, '/', "m", max_bytes);
    assert!(
        relayed.bytes().all(|byte| byte.is_ascii_graphic()),
        "{relayed:?}"
    );
    let asked = std::cell::Cell::new(0);
    let is_taken = |_: &str| {
        asked.set(asked.get() + 1_u32);
        asked.get() <= u32::from(input.taken)
    };
    let ident = ident(user_id, max_bytes, &is_taken).expect("one is free");
    let is_legal =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    assert!(
        !ident.is_empty() && ident.len() <= max_bytes.max(5) && ident.bytes().all(is_legal),
        "{ident:?}"
    );
    let real_name = real_name(user_id, max_bytes);
    assert!(
        real_name.len() <= max_bytes && !real_name.contains(['\r', '\n', '\0']),
        "{real_name:?}"
    );
}
