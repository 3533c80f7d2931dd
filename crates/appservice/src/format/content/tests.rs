//! Tests of contents.

mod others;

use serde_json::{Value, json};

use super::*;
use crate::{
    format::{Inline, Mention, Style},
    id::{EventId, MxcUri, UserId},
};

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn event(id: &str) -> EventId {
    EventId::parse(id).unwrap()
}

fn mxc(uri: &str) -> MxcUri {
    MxcUri::parse(uri).unwrap()
}

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
        Mention::user(&user("@bob:x.org"), "Bob").into(),
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
    let reply =
        Content::plain(Kind::Text, "a").in_reply_to(&event("$e"), Some(&user("@bob:x.org")));
    check(
        &reply,
        json!({
            "msgtype": "m.text", "body": "a", "m.mentions": { "user_ids": ["@bob:x.org"] },
            "m.relates_to": { "m.in_reply_to": { "event_id": "$e" } },
        }),
    );
    assert_eq!(
        (reply.replies_to(), reply.thread_root()),
        (Some(event("$e")), None)
    );
    let silent = Content::plain(Kind::Text, "a").in_reply_to(&event("$e"), None);
    assert_eq!(silent.mentions(), Some(Mentions::none()));
}

#[test]
fn threads() {
    let content = Content::plain(Kind::Text, "a").in_thread(&event("$root"), &event("$latest"));
    let relation = json!({
        "rel_type": "m.thread", "event_id": "$root", "is_falling_back": true, "m.in_reply_to": { "event_id": "$latest" },
    });
    assert_eq!(content.to_json()["m.relates_to"], relation);
    assert_eq!(
        (content.thread_root(), content.replies_to()),
        (Some(event("$root")), None)
    );
    let reply = json!({
        "rel_type": "m.thread", "event_id": "$root", "is_falling_back": false, "m.in_reply_to": { "event_id": "$e" },
    });
    let after = content.in_reply_to(&event("$e"), None);
    let before = Content::plain(Kind::Text, "a")
        .in_reply_to(&event("$e"), None)
        .in_thread(&event("$root"), &event("$latest"));
    for content in [after, before] {
        assert_eq!(content.to_json()["m.relates_to"], reply);
        assert_eq!(
            (content.thread_root(), content.replies_to()),
            (Some(event("$root")), Some(event("$e")))
        );
    }
}

#[test]
fn edits() {
    let rich = Rich::from_inlines(vec![
        Inline::text("hi ", Style::bold()),
        Mention::user(&user("@bob:x.org"), "Bob").into(),
        Mention::user(&user("@al:x.org"), "Al").into(),
    ]);
    let notified = Mentions {
        users: vec![user("@bob:x.org")],
        room: false,
    };
    let html = "<strong>hi </strong><a href=\"https://matrix.to/#/@bob:x.org\">Bob</a><a href=\"https://matrix.to/#/@al:x.org\">Al</a>";
    let edit = Content::message(Kind::Text, &rich)
        .in_reply_to(&event("$old"), None)
        .as_edit_of(&event("$e"), &notified);
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
    assert_eq!(edit.is_edit_of(), Some(event("$e")));
    assert_eq!(edit.rich(), Some(rich));
}

#[test]
fn reactions() {
    let reaction = Content::reaction_to(&event("$e"), "👍");
    assert_eq!(reaction.event_type(), "m.reaction");
    check(
        &reaction,
        json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": "$e", "key": "👍" } }),
    );
    assert_eq!(reaction.reaction(), Some((event("$e"), "👍")));
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
            width: Some(1),
            ..Thumbnail::new(&mxc("mxc://x.org/t"))
        }),
        ..Media::new(MediaKind::Image, &mxc("mxc://x.org/a"), "a.png")
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
        ..Media::new(MediaKind::Audio, &mxc("mxc://x.org/v"), "v.ogg")
    };
    assert_eq!(Content::media_message(&voice).media(), Some(voice));
    let sticker = Content::media_message(&Media::new(
        MediaKind::Sticker,
        &mxc("mxc://x.org/s"),
        "hello",
    ));
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
        Some(Media::new(MediaKind::Image, &mxc("mxc://x.org/a"), "file"))
    );
    assert_eq!(
        message(json!({ "msgtype": "m.image", "body": "a", "url": "https://x.org/a" })).media(),
        None
    );
}

fn cat() -> Profile {
    Profile {
        id: "cat!1".to_owned(),
        name: Some("<cat>".to_owned()),
        avatar: Avatar::Picture(mxc("mxc://x.org/c")),
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
    let edit = content.as_edit_of(&event("$e"), &Mentions::none());
    assert_eq!((edit.profile(), edit.rich()), (Some(cat()), Some(rich)));

    let silent = Content::plain(Kind::Text, "meow").with_profile(&cat(), false);
    assert_eq!(silent.text(), Some("meow"));
    let nameless = Profile {
        name: None,
        avatar: Avatar::Blank,
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
