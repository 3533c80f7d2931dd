//! Replies, threads, reactions, deletions and polls.

use super::*;

fn text(body: &str) -> Content {
    message(json!({ "msgtype": "m.text", "body": body }))
}

fn reply<'a>(original: &'a Content, age_s: u64) -> Reply<'a> {
    Reply {
        nick: "alice",
        original: Some(original),
        may_quote: true,
        age: Duration::from_secs(age_s),
        is_own: false,
        rules: ReplyRules::default(),
    }
}

#[track_caller]
fn check_reply(reply: Reply<'_>, content: &Content, expected: &str) {
    let around = Around {
        reply: Some(reply),
        ..around(Style::Plain)
    };
    assert_eq!(said(content, &around), [expected]);
}

#[test]
fn a_fresh_reply_names_and_an_old_one_quotes() {
    let original =
        text("where are you? I have looked for you all over the place, and inside the garden");
    check_reply(reply(&original, 10), &text("here"), "alice: here");
    let quoted = "<alice> \"where are you? I have looked for you all over the place, and…\" ← here";
    check_reply(reply(&original, 300), &text("here"), quoted);
    let hidden = Reply {
        may_quote: false,
        ..reply(&original, 300)
    };
    check_reply(hidden, &text("here"), "alice: here");
    let unknown = Reply {
        original: None,
        ..reply(&original, 300)
    };
    check_reply(unknown, &text("here"), "alice: here");
}

#[test]
fn nobody_is_named_twice() {
    let original = text("hi");
    check_reply(reply(&original, 10), &text("Alice: here"), "Alice: here");
    check_reply(reply(&original, 10), &text("alices"), "alice: alices");
    let own = Reply {
        is_own: true,
        ..reply(&original, 10)
    };
    check_reply(own, &text("I mean"), "I mean");
    let own = Reply {
        is_own: true,
        ..reply(&original, 400)
    };
    check_reply(own, &text("I mean"), "<alice> \"hi\" ← I mean");
}

#[test]
fn what_somebody_does_stays_in_front() {
    let original = text("hi");
    let wave = message(json!({ "msgtype": "m.emote", "body": "waves" }));
    check_reply(reply(&original, 10), &wave, "waves (to alice)");
    check_reply(reply(&original, 400), &wave, "waves (to <alice> \"hi\")");
}

#[test]
fn quotes_keep_secrets_and_name_media() {
    let check = |original: Content, quote: &str| {
        check_reply(
            reply(&original, 400),
            &text("yes"),
            &format!("<alice> {quote} ← yes"),
        );
    };
    check(
        html("he <span data-mx-spoiler>d<b>ies</b></span>!"),
        "\"he [spoiler]!\"",
    );
    check(
        message(json!({ "msgtype": "m.image", "body": "cat.png", "url": "mxc://x/y" })),
        "\"[image: cat.png]\"",
    );
    check(html("<ul><li>one</li><li>two</li></ul>"), "\"one two\"");
    let of_reply = message(json!({
        "msgtype": "m.text", "body": "> <@x:y> first\n\nsecond", "m.relates_to": { "m.in_reply_to": { "event_id": "$a" } },
    }));
    check(of_reply, "\"second\"");
}

#[test]
fn the_fallback_of_a_reply_is_not_said() {
    let original = text("hi");
    let content = message(json!({
        "msgtype": "m.text", "body": "> <@alice:x> hi\n\n> my own quote",
        "m.relates_to": { "m.in_reply_to": { "event_id": "$a" } },
    }));
    check_reply(reply(&original, 1), &content, "alice: > my own quote");
}

#[test]
fn threads_have_marks_where_they_are_not_clear() {
    let root = EventId::parse("$root").unwrap();
    let about = text("Lunch?");
    let check =
        |is_current: bool, about: Option<&Content>, reply: Option<Reply<'_>>, expected: &str| {
            let thread = Some(Thread {
                root: &root,
                is_current,
                about,
            });
            let around = Around {
                thread,
                reply,
                ..around(Style::Plain)
            };
            assert_eq!(said(&text("yes"), &around), [expected]);
        };
    let mark = thread::mark(&root);
    check(true, Some(&about), None, "yes");
    check(false, None, None, &format!("[t:{mark}] yes"));
    check(
        false,
        Some(&about),
        None,
        &format!("[t:{mark} \"Lunch?\"] yes"),
    );
    check(
        false,
        None,
        Some(reply(&about, 1)),
        &format!("[t:{mark}] alice: yes"),
    );
}

#[test]
fn reactions_in_words() {
    let original = text("Lunch?");
    let to = EventId::parse("$a").unwrap();
    let check = |content: Content, original: Option<&Content>, expected: &str| {
        let said = reaction(&content, original, &around(Style::Plain)).unwrap();
        assert_eq!(
            (said.verb, said.lines()),
            (Verb::Act, vec![expected.to_owned()])
        );
    };
    check(
        Content::reaction_to(&to, "👍"),
        Some(&original),
        "reacts 👍 to \"Lunch?\"",
    );
    check(
        Content::reaction_to(&to, "a\r\nQUIT"),
        None,
        "reacts a QUIT",
    );
    check(
        Content::reaction_to(&to, "mxc://x/y"),
        None,
        "reacts with a picture",
    );
    let named = Content::reaction_to(&to, "mxc://x/y").with_field("shortcode", json!(":party:"));
    check(named, None, "reacts :party:");
    assert_eq!(reaction(&original, None, &around(Style::Plain)), None);
}

#[test]
fn deletions_in_words() {
    let check = |original: Option<&Content>, expected: &str| {
        let said = deletion(original, &around(Style::Plain)).unwrap();
        assert_eq!(
            (said.verb, said.lines()),
            (Verb::Act, vec![expected.to_owned()])
        );
    };
    check(Some(&text("oops")), "has deleted \"oops\"");
    check(None, "has deleted a message");
}

fn polls() -> [Content; 2] {
    let stable = json!({ "m.poll": {
        "question": { "m.text": [{ "body": "Drink?" }] },
        "answers": [{ "m.id": "t", "m.text": [{ "body": "Tea" }] }, { "m.id": "c", "m.text": [{ "body": "Coffee" }] }],
    }});
    let unstable = json!({ "org.matrix.msc3381.poll.start": {
        "question": { "org.matrix.msc1767.text": "Drink?" },
        "answers": [{ "id": "t", "org.matrix.msc1767.text": "Tea" }, { "id": "c", "org.matrix.msc1767.text": "Coffee" }],
    }});
    [
        Content::new("m.poll.start", stable),
        Content::new("org.matrix.msc3381.poll.start", unstable),
    ]
}

#[test]
fn a_poll_is_one_line() {
    for poll in polls() {
        check_in(Style::Codes, &poll, &["[poll: Drink? 1) Tea 2) Coffee]"]);
    }
    let end =
        json!({ "org.matrix.msc3381.poll.end": {}, "org.matrix.msc1767.text": "Tea has won" });
    check_in(
        Style::Plain,
        &Content::new("org.matrix.msc3381.poll.end", end),
        &["[poll ended: Tea has won]"],
    );
    check_in(
        Style::Plain,
        &Content::new("m.poll.end", json!({})),
        &["[poll ended]"],
    );
}

#[test]
fn votes_go_both_ways() {
    let event = EventId::parse("$poll").unwrap();
    for poll in polls() {
        let vote = poll::vote_for(&event, &poll, 2).unwrap();
        let said = poll::vote(&vote, Some(&poll), &around(Style::Plain)).unwrap();
        assert_eq!(
            (said.verb, said.lines().join("|").as_str()),
            (Verb::Act, "votes \"Coffee\" on \"Drink?\"")
        );
        assert_eq!(
            vote.to_json()["m.relates_to"],
            json!({ "rel_type": "m.reference", "event_id": "$poll" })
        );
        let said = poll::vote(&vote, None, &around(Style::Plain)).unwrap();
        assert_eq!(said.lines(), ["votes in a poll"]);
        for number in [0, 3] {
            assert_eq!(poll::vote_for(&event, &poll, number), None);
        }
    }
    let none = Content::new("m.poll.response", json!({ "m.selections": [] }));
    let said = poll::vote(&none, Some(&polls()[0]), &around(Style::Plain)).unwrap();
    assert_eq!(said.lines(), ["takes back the vote on \"Drink?\""]);
}

#[test]
fn reactions_that_came_together_are_one_line() {
    let original = text("Lunch?");
    let to = EventId::parse("$a").unwrap();
    let mut others = Others::default();
    others.own.push("🎉".to_owned());
    for (name, key) in [("bob", "👍"), ("carol", "a\nb"), ("bob", "❤")] {
        others.add(name, key);
    }
    let told = reacts(
        &Content::reaction_to(&to, "👍"),
        &others,
        Some(&original),
        &around(Style::Plain),
    );
    assert_eq!(
        told.unwrap().lines(),
        ["reacts 👍 🎉 to \"Lunch?\" (bob: 👍 ❤, carol: a b)"]
    );
}
