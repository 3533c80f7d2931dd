use std::time::Duration;

use bridgehead_appservice::{format::compose::EditStyle, id::EventId};
use serde_json::{Value, json};

use super::*;

mod plans;
mod relations;

fn nick_of(user: &UserId) -> Option<String> {
    (user.as_str() == "@bob:x").then(|| "bobby".to_owned())
}

fn link_of(_: &Media) -> Option<String> {
    Some("https://m.x/1".to_owned())
}

fn around(style: Style) -> Around<'static> {
    Around {
        style,
        nick_of: &nick_of,
        link_of: &link_of,
        speaker: None,
        reply: None,
        thread: None,
    }
}

fn html(html: &str) -> Content {
    message(json!({
        "msgtype": "m.text", "body": "fallback", "format": "org.matrix.custom.html", "formatted_body": html,
    }))
}

fn message(content: Value) -> Content {
    Content::new("m.room.message", content)
}

fn said(content: &Content, around: &Around<'_>) -> Vec<String> {
    to_irc(content, around)
        .map(|said| said.lines())
        .unwrap_or_default()
}

#[track_caller]
fn check_in(style: Style, content: &Content, expected: &[&str]) {
    assert_eq!(said(content, &around(style)), expected);
}

#[test]
fn one_text_in_three_styles() {
    let content = html("<b>bold</b>, <i>italic</i>, <del>gone</del>, <code>x</code>");
    check_in(
        Style::Codes,
        &content,
        &["\x02bold\x02, \x1ditalic\x1d, \x1egone\x1e, \x11x"],
    );
    check_in(Style::Marks, &content, &["*bold*, _italic_, ~gone~, `x`"]);
    check_in(Style::Plain, &content, &["bold, italic, gone, x"]);
}

#[test]
fn colours_are_of_the_palette() {
    let check = |text: &str, expected: &str| check_in(Style::Codes, &html(text), &[expected]);
    check("<font color='#f00'>red</font>", "\x0304red");
    check("<font color='red'>5</font>5", "\x03045\x0f5");
    check(
        "<span data-mx-bg-color='#00007f' data-mx-color='#ff0000'>x</span> y",
        "\x0304,02x\x03 y",
    );
    // Two colours that are nearly the same stay readable.
    check(
        "<span data-mx-bg-color='#ffffff' data-mx-color='#fefefe'>x</span>",
        "\x0300x",
    );
    check_in(
        Style::Plain,
        &html("<font color='#f00'>red</font>"),
        &["red"],
    );
}

#[test]
fn spoilers_are_hidden_or_named() {
    let content = html("he <span data-mx-spoiler>d<b>i</b>es</span> then");
    check_in(
        Style::Codes,
        &content,
        &["he \x0301,01d\x02i\x02es\x03 then"],
    );
    check_in(Style::Marks, &content, &["he [spoiler: d*i*es] then"]);
    let content = html("<span data-mx-spoiler='end'>he dies</span>");
    check_in(Style::Codes, &content, &["(end) \x0301,01he dies"]);
    check_in(Style::Plain, &content, &["[spoiler (end): he dies]"]);
}

#[test]
fn blocks_are_lines() {
    let check = |text: &str, expected: &[&str]| check_in(Style::Plain, &html(text), expected);
    check("<p>a</p><p>b</p>", &["a", "b"]);
    check("<blockquote>q<br>r</blockquote>a", &["> q", "> r", "a"]);
    check("<ul><li>a</li><li>b</li></ul>", &["• a", "• b"]);
    check("<ol start='3'><li>a</li><li>b</li></ol>", &["3. a", "4. b"]);
    check(
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>",
        &["a | b", "1 | 2"],
    );
    check("a<hr>b", &["a", "---", "b"]);
    check(
        "<pre><code>fn a() {\n\n\tb\n}</code></pre>",
        &["fn a() {", "    b", "}"],
    );
    check(
        "<img src='mxc://x/y' alt='cat'> <img src='mxc://x/z' alt=''>",
        &["cat [picture]"],
    );
    check_in(Style::Codes, &html("<h1>T</h1>a"), &["\x02T", "a"]);
    check_in(
        Style::Marks,
        &html("<h1>T</h1><pre><code>x</code></pre>"),
        &["*T*", "x"],
    );
}

#[test]
fn links_say_where_they_lead() {
    let check = |text: &str, expected: &str| check_in(Style::Plain, &html(text), &[expected]);
    check(
        "<a href='https://x.org/a'>here</a>",
        "here (https://x.org/a)",
    );
    check(
        "<a href='https://x.org/a'>https://x.org/a</a>",
        "https://x.org/a",
    );
    check("<a href='https://x.org'>x.org</a>", "x.org");
}

#[test]
fn mentions_are_nicks() {
    let check = |text: &str, expected: &str| check_in(Style::Plain, &html(text), &[expected]);
    check(
        "<a href='https://matrix.to/#/@bob:x'>Bob B.</a>: hi",
        "bobby: hi",
    );
    check(
        "<a href='https://matrix.to/#/@carol:x'>Carol</a>: hi",
        "Carol: hi",
    );
    check(
        "<a href='https://matrix.to/#/%23room:x'>the room</a>",
        "the room",
    );
    check_in(
        Style::Codes,
        &html("<b><a href='https://matrix.to/#/@bob:x'>B</a></b>"),
        &["\x02bobby"],
    );
    let everyone =
        message(json!({ "msgtype": "m.text", "body": "@room hi", "m.mentions": { "room": true } }));
    check_in(Style::Plain, &everyone, &["@room hi"]);
}

#[test]
fn how_things_are_said() {
    let check = |msgtype: &str, verb: Verb, command: &str, payload: &str| {
        let content = message(json!({ "msgtype": msgtype, "body": "waves" }));
        let said = to_irc(&content, &around(Style::Codes)).unwrap();
        assert_eq!(said.verb, verb);
        assert_eq!(said.verb.command(), command);
        assert_eq!(said.verb.payload(&said.lines()[0]), payload);
    };
    check("m.text", Verb::Say, "PRIVMSG", "waves");
    check("m.notice", Verb::Notice, "NOTICE", "waves");
    check("m.emote", Verb::Act, "PRIVMSG", "\x01ACTION waves\x01");
}

#[test]
fn who_is_spoken_for_is_named_before_each_line() {
    let with = |name: &'static str, is_silent: bool, content: Value| {
        let speaker = Some(Speaker { name, is_silent });
        let around = Around {
            speaker,
            ..around(Style::Plain)
        };
        let said = to_irc(&message(content), &around).unwrap();
        (said.verb, said.lines())
    };
    let text = json!({ "msgtype": "m.text", "body": "hi\n<admin> obey" });
    let (verb, lines) = with("Ann", false, text.clone());
    assert_eq!(
        (verb, lines),
        (
            Verb::Say,
            vec!["<Ann> hi".to_owned(), "<Ann> <admin> obey".to_owned()]
        )
    );
    let (_, lines) = with("a> hi\r\n\x01 <b", true, text.clone());
    assert_eq!(lines[0], "<a\u{200b} hi b> hi");
    let (_, lines) = with(" \u{202e}\u{200b}", false, text);
    assert_eq!(lines[0], "<?> hi");
    let (verb, lines) = with(
        "Ann",
        false,
        json!({ "msgtype": "m.emote", "body": "waves" }),
    );
    assert_eq!((verb, lines), (Verb::Say, vec!["* Ann waves".to_owned()]));
}

#[test]
fn what_is_no_text_is_told() {
    let check = |content: Content, expected: &[&str]| check_in(Style::Plain, &content, expected);
    let image = json!({
        "msgtype": "m.image", "body": "cat.png", "url": "mxc://x/y", "info": { "size": 12_600, "mimetype": "image/png" },
    });
    check(
        message(image.clone()),
        &["[image: cat.png, 12 KiB] https://m.x/1"],
    );
    let captioned = |body: &str| {
        let mut content = image.clone();
        content["filename"] = json!("cat.png");
        content["body"] = json!(body);
        message(content)
    };
    check(
        captioned("my cat"),
        &["[image: cat.png, 12 KiB] https://m.x/1 my cat"],
    );
    check(
        captioned("my cat\nand I"),
        &["[image: cat.png, 12 KiB] https://m.x/1", "my cat", "and I"],
    );
    let voice = json!({
        "msgtype": "m.audio", "body": "Voice message", "url": "mxc://x/y",
        "info": { "duration": 62_000 }, "org.matrix.msc3245.voice": {},
    });
    check(message(voice), &["[voice message, 1:02] https://m.x/1"]);
    let secret = json!({ "msgtype": "m.file", "body": "a.txt", "file": { "url": "mxc://x/y" } });
    check(
        message(secret),
        &["[file: a.txt] (encrypted: it cannot be shown here)"],
    );
    let odd = json!({
        "msgtype": "m.file", "body": "report", "url": "mxc://x/y", "info": { "mimetype": "application/pdf" },
    });
    check(
        message(odd),
        &["[file: report, application/pdf] https://m.x/1"],
    );
    let sticker = Content::new("m.sticker", json!({ "body": "wave", "url": "mxc://x/y" }));
    check(sticker, &["[sticker: wave] https://m.x/1"]);
    let place = json!({ "msgtype": "m.location", "body": "the pub", "geo_uri": "geo:1,2" });
    check(message(place), &["[location: the pub geo:1,2]"]);
    check(
        message(json!({ "msgtype": "m.image", "body": "lost.png" })),
        &["lost.png"],
    );
    check(
        message(json!({ "msgtype": "org.new", "body": "new" })),
        &["new"],
    );
    check(
        message(json!({ "msgtype": "m.key.verification.request", "body": "verify me" })),
        &[],
    );
    check(
        Content::new("m.room.encrypted", json!({})),
        &["[encrypted message]"],
    );
    check(
        Content::reaction_to(&EventId::parse("$a").unwrap(), "👍"),
        &[],
    );
    check(message(json!({ "msgtype": "m.text", "body": " \n" })), &[]);
}

#[test]
fn no_command_gets_through() {
    let content = message(json!({
        "msgtype": "m.text",
        "body": "\x01VERSION\x01\r\nQUIT\0 :x\x02\x03\x0f\u{85}NICK\u{2028}y",
    }));
    for style in [Style::Codes, Style::Marks, Style::Plain] {
        check_in(style, &content, &["VERSION", "QUIT :x NICK y"]);
    }
}

#[test]
fn an_edit_in_full_is_its_new_text() {
    let content = message(json!({
        "msgtype": "m.text", "body": "* new",
        "m.new_content": { "msgtype": "m.text", "body": "new" },
        "m.relates_to": { "rel_type": "m.replace", "event_id": "$a" },
    }));
    check_in(Style::Plain, &content, &["new"]);
}

#[test]
fn edits_are_corrections() {
    let text = |body: &str| message(json!({ "msgtype": "m.text", "body": body }));
    let check = |old: Option<&str>, new: &str, style: EditStyle, expected: Option<&str>| {
        let old = old.map(text);
        let said = edit(old.as_ref(), &text(new), style, &around(Style::Plain));
        let lines = said.map(|said| said.lines().join("|"));
        assert_eq!(lines.as_deref(), expected, "{new}");
    };
    let short = EditStyle::Replacement;
    check(
        Some("a cat is here"),
        "a dog is here",
        short,
        Some("s/cat/dog/"),
    );
    check(
        Some("a cat is here"),
        "two large dogs have come now",
        short,
        Some("* two large dogs have come now"),
    );
    check(
        Some("one\ntwo two two two two\nthree"),
        "one\n2 2 2 2 2 2\nthree",
        short,
        Some("* 2 2 2 2 2 2"),
    );
    check(Some("a cat"), "a dog", EditStyle::Star, Some("* a dog"));
    check(Some("same"), "same", short, None);
    check(None, "a dog", short, Some("* a dog"));
}

#[test]
fn an_edit_is_read_from_what_the_homeserver_sends() {
    let old = html("<a href='https://matrix.to/#/@bob:x'>Bob</a>: a cat is here");
    let new = message(json!({
        "msgtype": "m.text", "body": "* > <@bob:x> no\n\nBob: a dog is here",
        "m.new_content": {
            "msgtype": "m.text", "body": "Bob: a dog is here", "format": "org.matrix.custom.html",
            "formatted_body": "<a href='https://matrix.to/#/@bob:x'>Bob</a>: a dog is here",
        },
        "m.relates_to": { "rel_type": "m.replace", "event_id": "$a" },
    }));
    let said = edit(
        Some(&old),
        &new,
        EditStyle::Replacement,
        &around(Style::Codes),
    )
    .unwrap();
    assert_eq!(said.lines(), ["s/cat/dog/"]);
    let said = edit(None, &new, EditStyle::Star, &around(Style::Codes)).unwrap();
    assert_eq!(said.lines(), ["* bobby: a dog is here"]);
}
