//! Tests of contents.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::format::{Inline, Mention, Style};

fn message(content: Value) -> Content {
    Content::new("m.room.message", content)
}

fn check(content: &Content, expected: Value) {
    assert_eq!(content.to_json(), expected);
}

#[test]
fn texts() {
    check(
        &Content::message(Kind::Notice, &Rich::plain("a\nb")),
        json!({ "msgtype": "m.notice", "body": "a\nb", "m.mentions": {} }),
    );
    check(
        &Content::message(Kind::Emote, &Rich::from_markdown("**a**")),
        json!({
            "msgtype": "m.emote", "body": "a", "m.mentions": {},
            "format": "org.matrix.custom.html", "formatted_body": "<strong>a</strong>",
        }),
    );
}

/// Other bridges write pills and no `m.mentions` (heisenbridge PR 324).
#[test]
fn mentions_are_said() {
    let rich = Rich::from_inlines(vec![
        Mention::user("@bob:x.org", "Bob").into(),
        Inline::plain(" "),
        Mention::everyone().into(),
    ]);
    check(
        &Content::message(Kind::Text, &rich),
        json!({
            "msgtype": "m.text", "body": "Bob @room", "m.mentions": { "user_ids": ["@bob:x.org"], "room": true },
            "format": "org.matrix.custom.html",
            "formatted_body": "<a href=\"https://matrix.to/#/@bob:x.org\">Bob</a> @room",
        }),
    );
}

#[test]
fn replies() {
    let reply = Content::plain(Kind::Text, "a").in_reply_to("$e", Some("@bob:x.org"));
    check(
        &reply,
        json!({
            "msgtype": "m.text", "body": "a", "m.mentions": { "user_ids": ["@bob:x.org"] },
            "m.relates_to": { "m.in_reply_to": { "event_id": "$e" } },
        }),
    );
    assert_eq!(
        (reply.replies_to(), reply.thread_root()),
        (Some("$e"), None)
    );
    let silent = Content::plain(Kind::Text, "a").in_reply_to("$e", None);
    assert_eq!(silent.mentions(), Some(Mentions::none()));
}

#[test]
fn threads() {
    let content = Content::plain(Kind::Text, "a").in_thread("$root", "$latest");
    let relation = json!({
        "rel_type": "m.thread", "event_id": "$root", "is_falling_back": true, "m.in_reply_to": { "event_id": "$latest" },
    });
    assert_eq!(content.to_json()["m.relates_to"], relation);
    assert_eq!(
        (content.thread_root(), content.replies_to()),
        (Some("$root"), None)
    );
    let reply = json!({
        "rel_type": "m.thread", "event_id": "$root", "is_falling_back": false, "m.in_reply_to": { "event_id": "$e" },
    });
    let after = content.in_reply_to("$e", None);
    let before = Content::plain(Kind::Text, "a")
        .in_reply_to("$e", None)
        .in_thread("$root", "$latest");
    for content in [after, before] {
        assert_eq!(content.to_json()["m.relates_to"], reply);
        assert_eq!(
            (content.thread_root(), content.replies_to()),
            (Some("$root"), Some("$e"))
        );
    }
}

#[test]
fn edits() {
    let rich = Rich::from_inlines(vec![
        Inline::text("hi ", Style::bold()),
        Mention::user("@bob:x.org", "Bob").into(),
        Mention::user("@al:x.org", "Al").into(),
    ]);
    let notified = Mentions {
        users: vec!["@bob:x.org".to_owned()],
        room: false,
    };
    let html = "<strong>hi </strong><a href=\"https://matrix.to/#/@bob:x.org\">Bob</a><a href=\"https://matrix.to/#/@al:x.org\">Al</a>";
    let edit = Content::message(Kind::Text, &rich)
        .in_reply_to("$old", None)
        .as_edit_of("$e", &notified);
    check(
        &edit,
        json!({
            "msgtype": "m.text", "body": "* hi BobAl", "m.mentions": { "user_ids": ["@al:x.org"] },
            "format": "org.matrix.custom.html", "formatted_body": format!("* {html}"),
            "m.new_content": {
                "msgtype": "m.text", "body": "hi BobAl", "m.mentions": { "user_ids": ["@bob:x.org", "@al:x.org"] },
                "format": "org.matrix.custom.html", "formatted_body": html,
            },
            "m.relates_to": { "rel_type": "m.replace", "event_id": "$e" },
        }),
    );
    assert_eq!(edit.is_edit_of(), Some("$e"));
    assert_eq!(edit.rich(), Some(rich));
}

#[test]
fn reactions() {
    let reaction = Content::reaction_to("$e", "👍");
    assert_eq!(reaction.event_type(), "m.reaction");
    check(
        &reaction,
        json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": "$e", "key": "👍" } }),
    );
    assert_eq!(reaction.reaction(), Some(("$e", "👍")));
    assert_eq!(
        message(reaction.to_json()).reaction(),
        None,
        "a message is no reaction"
    );
}

#[test]
fn places() {
    let place = Content::location("the pub", "geo:51.5,-0.1");
    check(
        &place,
        json!({ "msgtype": "m.location", "body": "the pub", "geo_uri": "geo:51.5,-0.1", "m.mentions": {} }),
    );
}

fn picture() -> Media {
    Media {
        mime: Some("image/png".to_owned()),
        size_bytes: Some(2_048),
        width: Some(3),
        height: Some(4),
        thumbnail: Some(Thumbnail {
            uri: "mxc://x.org/t".to_owned(),
            width: Some(1),
            ..Thumbnail::default()
        }),
        ..Media::new(MediaKind::Image, "mxc://x.org/a", "a.png")
    }
}

#[test]
fn media() {
    let info = json!({
        "mimetype": "image/png", "size": 2048, "w": 3, "h": 4,
        "thumbnail_url": "mxc://x.org/t", "thumbnail_info": { "w": 1 },
    });
    let content = Content::media_message(&picture());
    check(
        &content,
        json!({ "msgtype": "m.image", "body": "a.png", "filename": "a.png", "url": "mxc://x.org/a", "info": info, "m.mentions": {} }),
    );
    assert_eq!(content.media(), Some(picture()));
    assert_eq!(content.rich(), None, "a file's name is no text");

    let captioned = Media {
        caption: Some(Rich::from_markdown("*look*")),
        ..picture()
    };
    let content = Content::media_message(&captioned);
    assert_eq!(content.to_json()["body"], "look");
    assert_eq!(content.to_json()["formatted_body"], "<em>look</em>");
    assert_eq!(content.media(), Some(captioned.clone()));
    assert_eq!(content.rich(), captioned.caption);

    let voice = Media {
        voice: true,
        duration_ms: Some(65_000),
        ..Media::new(MediaKind::Audio, "mxc://x.org/v", "v.ogg")
    };
    assert_eq!(Content::media_message(&voice).media(), Some(voice));
    let sticker = Content::media_message(&Media::new(MediaKind::Sticker, "mxc://x.org/s", "hello"));
    assert_eq!(
        (sticker.event_type(), sticker.msgtype()),
        ("m.sticker", None)
    );
    assert_eq!(
        sticker.media().map(|media| media.kind),
        Some(MediaKind::Sticker)
    );
}

#[test]
fn media_of_others() {
    let secret = message(
        json!({ "msgtype": "m.file", "body": "a", "file": { "url": "mxc://x.org/a", "key": {} } }),
    );
    assert!(secret.media().is_some_and(|media| media.encrypted));
    let named = |name: &str| {
        let content = message(json!({ "msgtype": "m.file", "body": name, "url": "mxc://x.org/a" }));
        content.media().map(|media| media.name)
    };
    assert_eq!(named("../../etc/passwd").as_deref(), Some("passwd"));
    assert_eq!(named("C:\\a\nb.txt").as_deref(), Some("a b.txt"));
    assert_eq!(named("..").as_deref(), Some("file"));
    let odd = json!({ "mimetype": "a\r\nb/c", "size": -1, "w": 1.5, "h": "3", "thumbnail_url": "https://x.org" });
    let odd =
        message(json!({ "msgtype": "m.image", "body": 3, "url": "mxc://x.org/a", "info": odd }))
            .media();
    assert_eq!(
        odd,
        Some(Media::new(MediaKind::Image, "mxc://x.org/a", "file"))
    );
    assert_eq!(
        message(json!({ "msgtype": "m.image", "body": "a", "url": "https://x.org/a" })).media(),
        None
    );
}

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

fn cat() -> Profile {
    Profile {
        id: "cat!1".to_owned(),
        name: Some("<cat>".to_owned()),
        avatar: Some("mxc://x.org/c".to_owned()),
    }
}

#[test]
fn profiles() {
    let rich = Rich::from_markdown("**meow**");
    let content = Content::message(Kind::Text, &rich).with_profile(&cat(), true);
    check(
        &content,
        json!({
            "msgtype": "m.text", "body": "<cat>: meow", "m.mentions": {}, "format": "org.matrix.custom.html",
            "formatted_body": "<strong data-mx-profile-fallback>&lt;cat&gt;: </strong><strong>meow</strong>",
            "com.beeper.per_message_profile": {
                "id": "cat!1", "displayname": "<cat>", "avatar_url": "mxc://x.org/c", "has_fallback": true,
            },
        }),
    );
    assert_eq!(
        (content.profile(), content.rich()),
        (Some(cat()), Some(rich.clone()))
    );
    let edit = content.as_edit_of("$e", &Mentions::none());
    assert_eq!((edit.profile(), edit.rich()), (Some(cat()), Some(rich)));

    let silent = Content::plain(Kind::Text, "meow").with_profile(&cat(), false);
    assert_eq!(silent.text(), Some("meow"));
    let nameless = Profile {
        name: None,
        avatar: Some(String::new()),
        ..cat()
    };
    let content = Content::plain(Kind::Text, "meow").with_profile(&nameless, true);
    assert_eq!(
        (content.text(), content.profile()),
        (Some("meow"), Some(nameless))
    );
}

#[test]
fn profiles_of_media() {
    for caption in [None, Some(Rich::plain("<cat>: look"))] {
        let media = Media {
            caption,
            ..picture()
        };
        let content = Content::media_message(&media).with_profile(&cat(), true);
        assert_eq!(content.media(), Some(media));
    }
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
        Content::reaction_to("$e", "a").to_json(),
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
        prop_assert!(ids.into_iter().flatten().all(|id| id.starts_with('$')));
        // Builders work on it as well.
        let edit = content.in_reply_to("$a", Some("@a:b.c")).in_thread("$r", "$l").with_profile(&cat(), true);
        prop_assert_eq!(edit.replies_to(), Some("$a"));
        let edit = edit.as_edit_of("$e", &Mentions::none());
        prop_assert_eq!(edit.is_edit_of(), Some("$e"));
    }
}
