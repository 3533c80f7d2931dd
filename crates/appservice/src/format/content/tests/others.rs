//! Contents that others send.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{super::*, cat, event, message, picture, user};

fn text_of(content: Value) -> Option<String> {
    message(content).rich().map(|rich| rich.to_plain())
}

/// The original of a reply is left out by what the event says, not by what the text looks like.
#[test]
fn reply_fallbacks_are_left_out() {
    let quoted = "> <@bob:x.org> one\n> two\n\nthree";
    let relation = json!({ "m.in_reply_to": { "event_id": "$e" } });
    assert_eq!(
        text_of(json!({ "msgtype": "m.text", "body": quoted })).as_deref(),
        Some(quoted)
    );
    assert_eq!(
        text_of(json!({ "msgtype": "m.text", "body": quoted, "m.relates_to": relation }))
            .as_deref(),
        Some("three"),
    );
    let plain = json!({ "msgtype": "m.text", "body": "three", "m.relates_to": relation });
    assert_eq!(text_of(plain).as_deref(), Some("three"));
    let html = json!({
        "msgtype": "m.text", "body": quoted, "m.relates_to": relation, "format": "org.matrix.custom.html",
        "formatted_body": "<mx-reply><blockquote>one</blockquote></mx-reply>three",
    });
    assert_eq!(text_of(html).as_deref(), Some("three"));
}

/// Edits of replies carry the fallback, and do not say that they are replies (matrix-appservice-irc 1556).
#[test]
fn edits_of_replies_do_not_leak_the_original() {
    let new_content = json!({
        "msgtype": "m.text", "body": "> <@bob:x.org> secret\n\nnew", "format": "org.matrix.custom.html",
        "formatted_body": "<mx-reply><blockquote>secret</blockquote></mx-reply>new",
    });
    let mut edit = new_content.clone();
    edit["m.new_content"] = new_content;
    edit["m.relates_to"] = json!({ "rel_type": "m.replace", "event_id": "$e" });
    assert_eq!(text_of(edit).as_deref(), Some("new"));
}

#[test]
fn edits_without_new_content_are_none() {
    let relation = json!({ "rel_type": "m.replace", "event_id": "$e" });
    let content = message(json!({ "msgtype": "m.text", "body": "* a", "m.relates_to": relation }));
    assert_eq!(content.is_edit_of(), None);
    assert_eq!(content.rich(), Some(Rich::plain("* a")));
}

#[test]
fn profiles_of_others() {
    let read = |key: &str, fields: Value| {
        message(json!({ "msgtype": "m.text", "body": "cat: a", key: fields }))
    };
    let stable = read(
        "m.per_message_profile",
        json!({ "id": "1", "displayname": "cat", "has_fallback": true }),
    );
    assert_eq!(stable.rich(), Some(Rich::plain("a")));
    assert_eq!(
        stable.profile().and_then(|profile| profile.name).as_deref(),
        Some("cat")
    );
    let kept = read(
        "m.per_message_profile",
        json!({ "id": "1", "displayname": "cat" }),
    );
    assert_eq!(kept.rich(), Some(Rich::plain("cat: a")));
    for fields in [
        json!(3),
        json!({}),
        json!({ "id": "" }),
        json!({ "id": 3, "displayname": "cat" }),
    ] {
        assert_eq!(read("m.per_message_profile", fields).profile(), None);
    }
    let bold = message(json!({
        "msgtype": "m.text", "body": "cat: a", "format": "org.matrix.custom.html",
        "formatted_body": "<strong data-mx-profile-fallback>cat: </strong>a",
    }));
    assert_eq!(
        bold.rich().map(|rich| rich.to_plain()).as_deref(),
        Some("cat: a"),
        "without a profile it is text"
    );
}

fn check_line(event_type: &str, content: Value, expected: Option<&str>) {
    assert_eq!(
        Content::new(event_type, content).describe().as_deref(),
        expected
    );
}

/// Other bridges drop stickers, polls, places and voice messages without a word.
#[test]
fn nothing_vanishes() {
    let line =
        |content: Value, expected: &str| check_line("m.room.message", content, Some(expected));
    line(
        Content::media_message(&picture()).to_json(),
        "[image: a.png, 2 KiB]",
    );
    line(
        json!({ "msgtype": "m.audio", "body": "v", "url": "mxc://x.org/v", "info": { "duration": 65_000 }, "org.matrix.msc3245.voice": {} }),
        "[voice message, 1:05]",
    );
    line(
        json!({ "msgtype": "m.video", "body": "two\nlines", "filename": "v.mp4", "url": "mxc://x.org/v", "info": { "size": 1_600_000 } }),
        "[video: v.mp4, 1.5 MiB] two lines",
    );
    line(
        json!({ "msgtype": "m.location", "body": "pub", "geo_uri": "geo:1,2" }),
        "[location: pub geo:1,2]",
    );
    line(
        json!({ "msgtype": "m.location", "body": "pub" }),
        "[location: pub]",
    );
    line(json!({ "msgtype": "org.x", "body": "a\nb" }), "a b");
    check_line(
        "m.sticker",
        json!({ "body": "hi", "url": "mxc://x.org/s", "info": {} }),
        Some("[sticker: hi]"),
    );
    check_line(
        "m.room.encrypted",
        json!({ "ciphertext": "x" }),
        Some("[encrypted message]"),
    );
    check_line(
        "m.reaction",
        Content::reaction_to(&event("$e"), "a").to_json(),
        None,
    );
    let poll = json!({ "question": { "m.text": [{ "body": "tea?" }] }, "answers": [{ "m.text": [{ "body": "yes" }] }, { "m.text": [{ "body": "no" }] }] });
    check_line(
        "m.poll.start",
        json!({ "m.poll": poll }),
        Some("[poll: tea? 1) yes 2) no]"),
    );
    let old = json!({ "question": { "org.matrix.msc1767.text": "tea?" }, "answers": [{ "org.matrix.msc1767.text": "yes" }, 3] });
    check_line(
        "org.matrix.msc3381.poll.start",
        json!({ "org.matrix.msc3381.poll.start": old }),
        Some("[poll: tea? 1) yes]"),
    );
}

/// Any JSON, with the names that are looked for.
fn any_json() -> impl Strategy<Value = Value> {
    let names = [
        "msgtype",
        "body",
        "format",
        "formatted_body",
        "m.relates_to",
        "rel_type",
        "event_id",
        "m.in_reply_to",
        "key",
        "is_falling_back",
        "m.new_content",
        "m.mentions",
        "user_ids",
        "room",
        "url",
        "file",
        "info",
        "filename",
        "size",
        "thumbnail_url",
        "thumbnail_info",
        "mimetype",
        "m.per_message_profile",
        "com.beeper.per_message_profile",
        "id",
        "displayname",
        "has_fallback",
        "avatar_url",
        "m.poll",
        "question",
        "answers",
        "m.text",
        "geo_uri",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "m.text",
            "m.image",
            "m.location",
            "$e",
            "m.replace",
            "m.thread",
            "m.annotation",
            "@a:b.c",
            "mxc://a/b",
            "",
            "org.matrix.custom.html",
            "> a\n\nb",
            "<mx-reply>a",
            "a: b",
            "a",
        ])
        .prop_map(Value::from),
        ".{0,9}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 9, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(names.to_vec()), inner), 0..9).prop_map(
                |fields| fields
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            ),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn any_json_is_read(json in any_json(), event_type in prop::sample::select(vec!["m.room.message", "m.reaction", "m.sticker", "x"])) {
        let content = Content::new(event_type, json);
        let _ = (content.text(), content.rich(), content.describe(), content.media(), content.mentions(), content.profile());
        let ids = [content.replies_to(), content.thread_root(), content.is_edit_of(), content.reaction().map(|(id, _)| id)];
        prop_assert!(ids.into_iter().flatten().all(|id| id.as_str().starts_with('$')));
        // Builders work on it as well.
        let edit = content.in_reply_to(&event("$a"), Some(&user("@a:b.c"))).in_thread(&event("$r"), &event("$l")).with_profile(&cat(), true);
        prop_assert_eq!(edit.replies_to(), Some(event("$a")));
        let edit = edit.as_edit_of(&event("$e"), &Mentions::none());
        prop_assert_eq!(edit.is_edit_of(), Some(event("$e")));
    }
}
