//! What messages look like on the other side.

use anyhow::Context as _;
use bridgehead_appservice::id::UserId;
use bridgehead_testkit::lab::LabUser;
use serde_json::json;

use super::talk::ghost;
use crate::{
    peers::raw::RawClient,
    stage::{BOT, Server, Stage, alias, comes_to, nick},
};

scenarios![
    looks_survive_both_ways,
    actions_and_notices_are_told_apart,
    a_long_text_is_cut_between_characters_with_its_looks,
    of_what_is_too_long_the_rest_is_counted,
    edits_are_said_in_few_words,
    edits_at_the_same_time_are_one_correction,
    fresh_replies_name_whom_they_answer,
    threads_have_marks_that_lead_back,
    reactions_and_deletions_are_told_in_words,
    polls_stickers_places_and_files_are_one_line,
    names_are_mentions_on_both_sides,
    questions_of_programs_are_answered_and_no_flood,
    lines_of_other_encodings_are_read,
    programs_are_told_what_a_reply_answers,
    who_writes_is_seen_on_both_sides,
];

/// Somebody on IRC and somebody of Matrix in a channel of their own.
pub(crate) async fn two_in(
    stage: &Stage,
    channel: &str,
    names: (&str, &str),
) -> anyhow::Result<(RawClient, LabUser, bridgehead_appservice::id::RoomId)> {
    let mut bob = RawClient::welcomed(stage.port, names.1).await?;
    bob.join(channel).await?;
    let alice = stage.lab.user(names.0).await?;
    let room = alice.join(&alias(channel)).await?;
    bob.sees_enter(&[BOT, &nick(&alice)]).await?;
    alice.say(&room, "ready").await?;
    bob.hear(":ready").await?;
    Ok((bob, alice, room))
}

/// The text of the next line with this, as it was said in the channel.
pub(crate) async fn told(bob: &mut RawClient, channel: &str, part: &str) -> anyhow::Result<String> {
    let is_it = |line: &str| line.contains(&format!(" {channel} :")) && line.contains(part);
    let line = bob.heard.next(part, is_it).await?;
    Ok(text_of(&line)?.to_owned())
}

/// What a line says.
pub(crate) fn text_of(line: &str) -> anyhow::Result<&str> {
    let line = line.strip_prefix('@').map_or(line, |tagged| {
        tagged.split_once(' ').map_or(tagged, |(_, line)| line)
    });
    let (_, text) = line[1..].split_once(" :").context("a text")?;
    Ok(text)
}

async fn looks_survive_both_ways(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#looks", ("dlooksa", "dlooksb")).await?;
    let html = "<strong>bold</strong> <em>italic</em> <u>under</u> <del>gone</del> <code>mono</code> \
                <span data-mx-color=\"#ff0000\">red</span> <span data-mx-spoiler>secret</span> end";
    let content = json!({
        "msgtype": "m.text", "body": "looks end",
        "format": "org.matrix.custom.html", "formatted_body": html,
    });
    alice.send(&room, "m.room.message", &content).await?;
    let said = told(&mut bob, "#looks", "end").await?;
    for part in [
        "\x02bold\x02",
        "\x1ditalic\x1d",
        "\x1funder\x1f",
        "\x1egone\x1e",
        "\x11mono\x11",
        "red\x03",
        "\x0301,01secret\x03",
    ] {
        anyhow::ensure!(said.contains(part), "{part:?} in {said:?}");
    }
    // What came is said back, and is what it was.
    bob.say(&format!("PRIVMSG #looks :{said}")).await;
    let is_bobs = |event: &bridgehead_appservice::Event| {
        event.sender.as_str() == ghost("dlooksb") && event.kind == "m.room.message"
    };
    let back = alice.wait_for(&room, "the same from IRC", is_bobs).await?;
    let html = back.content["formatted_body"].as_str().context("html")?;
    for part in [
        "<strong>bold</strong>",
        "<em>italic</em>",
        "<u>under</u>",
        "<del>gone</del>",
        "<code>mono</code>",
        ">red</span>",
        "data-mx-spoiler",
    ] {
        anyhow::ensure!(html.contains(part), "{part} in {html}");
    }
    bob.say("PRIVMSG #looks :\x04ff8800hex\x04 and \x0352,98many\x03 <b>no html</b>")
        .await;
    let heard = alice.hears(&room, "hex and many <b>no html</b>").await?;
    let html = heard.content["formatted_body"].as_str().context("html")?;
    anyhow::ensure!(
        html.contains("#ff8800") && html.contains("&lt;b&gt;no"),
        "{html}"
    );
    Ok(())
}

async fn actions_and_notices_are_told_apart(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#acts", ("dactsa", "dactsb")).await?;
    let say = async |msgtype: &str, body: &str| {
        let content = json!({ "msgtype": msgtype, "body": body });
        alice.send(&room, "m.room.message", &content).await
    };
    say("m.emote", "waves").await?;
    say("m.notice", "beep").await?;
    let whole = bob.hear("waves").await?;
    assert_eq!(text_of(&whole)?, "\x01ACTION waves\x01");
    let whole = bob.hear("beep").await?;
    anyhow::ensure!(whole.contains("NOTICE #acts :beep"), "{whole}");
    bob.say("PRIVMSG #acts :\x01ACTION bows\x01").await;
    bob.say("NOTICE #acts :boop").await;
    let acted = alice.hears(&room, "bows").await?;
    assert_eq!(acted.content["msgtype"], "m.emote");
    let noticed = alice.hears(&room, "boop").await?;
    assert_eq!(noticed.content["msgtype"], "m.notice");
    Ok(())
}

async fn a_long_text_is_cut_between_characters_with_its_looks(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#long", ("dlonga", "dlongb")).await?;
    let words: String = (0..70).map(|n| format!("wörter{n}🎉 ")).collect();
    let content = json!({
        "msgtype": "m.text", "body": words,
        "format": "org.matrix.custom.html", "formatted_body": format!("<b>{words}</b> over"),
    });
    alice.send(&room, "m.room.message", &content).await?;
    let mut lines = Vec::new();
    while lines
        .last()
        .is_none_or(|line: &String| !line.ends_with("over"))
    {
        lines.push(told(&mut bob, "#long", "").await?);
    }
    anyhow::ensure!(lines.len() > 1, "{lines:?}");
    for line in &lines {
        // What is not UTF-8 became U+FFFD, and servers cut at 512 bytes without asking.
        anyhow::ensure!(!line.contains('\u{fffd}'), "{line:?}");
        anyhow::ensure!(line.starts_with('\x02'), "{line:?}");
    }
    let whole: String = lines.join(" ").replace('\x02', "");
    assert_eq!(
        whole.split_whitespace().collect::<Vec<_>>(),
        format!("{words} over")
            .split_whitespace()
            .collect::<Vec<_>>()
    );
    Ok(())
}

async fn of_what_is_too_long_the_rest_is_counted(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#rest", ("dresta", "drestb")).await?;
    let lines: Vec<String> = (1..=30).map(|n| format!("line {n}")).collect();
    alice.say(&room, &lines.join("\n")).await?;
    for line in &lines[..4] {
        assert_eq!(told(&mut bob, "#rest", "line").await?, *line);
    }
    assert_eq!(told(&mut bob, "#rest", "lines").await?, "[… 26 more lines]");
    Ok(())
}

async fn edits_are_said_in_few_words(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#edits", ("deditsa", "deditsb")).await?;
    let said = alice.say(&room, "I like green tea very much").await?;
    told(&mut bob, "#edits", "green").await?;
    alice
        .edit(&room, &said, "I like black tea very much")
        .await?;
    assert_eq!(told(&mut bob, "#edits", "black").await?, "s/green/black/");
    // The next is told from what it became.
    alice
        .edit(&room, &said, "I like black coffee very much")
        .await?;
    assert_eq!(told(&mut bob, "#edits", "coffee").await?, "s/tea/coffee/");
    alice
        .edit(&room, &said, "something else altogether")
        .await?;
    assert_eq!(
        told(&mut bob, "#edits", "else").await?,
        "* something else altogether"
    );
    Ok(())
}

async fn edits_at_the_same_time_are_one_correction(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#fold", ("dfolda", "dfoldb")).await?;
    let said = alice.say(&room, "I like green tea very much").await?;
    told(&mut bob, "#fold", "green").await?;
    for text in [
        "I like red tea very much",
        "I like black tea very much",
        "I like white tea very much",
    ] {
        alice.edit(&room, &said, text).await?;
    }
    // Nobody waits for it, and there is no other.
    alice.say(&room, "next").await?;
    assert_eq!(told(&mut bob, "#fold", "").await?, "next");
    assert_eq!(told(&mut bob, "#fold", "").await?, "s/green/white/");
    alice.edit(&room, &said, "I like no tea").await?;
    alice.redact(&room, &said).await?;
    assert_eq!(
        told(&mut bob, "#fold", "").await?,
        "\x01ACTION has deleted a message\x01"
    );
    alice.say(&room, "over").await?;
    assert_eq!(told(&mut bob, "#fold", "").await?, "over");
    Ok(())
}

async fn fresh_replies_name_whom_they_answer(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#replies", ("drepa", "DRepB")).await?;
    bob.say("PRIVMSG #replies :who is there?").await;
    let asked = alice.hears(&room, "who is there?").await?;
    alice.reply(&room, &asked.id, "it is me").await?;
    assert_eq!(
        told(&mut bob, "#replies", "it is me").await?,
        "DRepB: it is me"
    );
    let own = alice.say(&room, "and").await?;
    alice.reply(&room, &own, "nobody else").await?;
    // Who answers themselves is not named.
    assert_eq!(told(&mut bob, "#replies", "else").await?, "nobody else");
    Ok(())
}

async fn threads_have_marks_that_lead_back(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#threads", ("dthra", "dthrb")).await?;
    let root = alice.say(&room, "lunch?").await?;
    alice.say(&room, "something else").await?;
    let in_thread = async |body: &str| {
        let relation = json!({
            "rel_type": "m.thread", "event_id": root, "is_falling_back": true,
            "m.in_reply_to": { "event_id": root },
        });
        let content = json!({ "msgtype": "m.text", "body": body, "m.relates_to": relation });
        alice.send(&room, "m.room.message", &content).await
    };
    in_thread("pizza").await?;
    let first = told(&mut bob, "#threads", "pizza").await?;
    let mark = first
        .strip_prefix("[t:")
        .and_then(|rest| rest.split_once(' '))
        .context("a mark")?
        .0
        .to_owned();
    assert_eq!(first, format!("[t:{mark} \"lunch?\"] pizza"));
    in_thread("or soup").await?;
    assert_eq!(told(&mut bob, "#threads", "soup").await?, "or soup");
    bob.say(&format!("PRIVMSG #threads :[t:{mark}] soup!"))
        .await;
    let answer = alice.hears(&room, "soup!").await?;
    assert_eq!(answer.content["m.relates_to"]["event_id"], json!(root));
    bob.say("PRIVMSG #threads :by the way").await;
    let other = alice.hears(&room, "by the way").await?;
    assert!(other.content.get("m.relates_to").is_none());
    in_thread("now").await?;
    assert_eq!(
        told(&mut bob, "#threads", "now").await?,
        format!("[t:{mark}] now")
    );
    Ok(())
}

async fn reactions_and_deletions_are_told_in_words(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#react", ("dreaa", "dreab")).await?;
    bob.say("PRIVMSG #react :we have won").await;
    let won = alice.hears(&room, "we have won").await?;
    alice.react(&room, &won.id, "🎉").await?;
    assert_eq!(
        told(&mut bob, "#react", "reacts").await?,
        "\x01ACTION reacts 🎉 to \"we have won\"\x01"
    );
    let wrong = alice.say(&room, "my password is 1234").await?;
    told(&mut bob, "#react", "1234").await?;
    alice.redact(&room, &wrong).await?;
    // What was deleted is not said once more.
    assert_eq!(
        told(&mut bob, "#react", "deleted").await?,
        "\x01ACTION has deleted a message\x01"
    );
    Ok(())
}

async fn polls_stickers_places_and_files_are_one_line(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#lines", ("dlinea", "dlineb")).await?;
    let poll = json!({ "org.matrix.msc3381.poll.start": {
        "question": { "org.matrix.msc1767.text": "Tea or coffee?" },
        "kind": "org.matrix.msc3381.poll.disclosed", "max_selections": 1,
        "answers": [
            { "id": "t", "org.matrix.msc1767.text": "Tea" },
            { "id": "c", "org.matrix.msc1767.text": "Coffee" },
        ],
    } });
    let asked = alice
        .send(&room, "org.matrix.msc3381.poll.start", &poll)
        .await?;
    assert_eq!(
        told(&mut bob, "#lines", "poll").await?,
        "[poll: Tea or coffee? 1) Tea 2) Coffee]"
    );
    let vote = json!({
        "m.relates_to": { "rel_type": "m.reference", "event_id": asked },
        "org.matrix.msc3381.poll.response": { "answers": ["t"] },
    });
    alice
        .send(&room, "org.matrix.msc3381.poll.response", &vote)
        .await?;
    assert_eq!(
        told(&mut bob, "#lines", "votes").await?,
        "\x01ACTION votes \"Tea\" on \"Tea or coffee?\"\x01"
    );
    let media = alice.upload("image/png", &b"\x89PNG"[..]).await?;
    let sticker = json!({ "body": "a happy cat", "url": media, "info": {} });
    alice.send(&room, "m.sticker", &sticker).await?;
    assert_eq!(
        told(&mut bob, "#lines", "cat").await?,
        "[sticker: a happy cat]"
    );
    let place = json!({ "msgtype": "m.location", "body": "the pub", "geo_uri": "geo:51.5,0.1" });
    alice.send(&room, "m.room.message", &place).await?;
    assert_eq!(
        told(&mut bob, "#lines", "pub").await?,
        "[location: the pub geo:51.5,0.1]"
    );
    let file = json!({
        "msgtype": "m.file", "body": "notes.txt", "url": media, "info": { "size": 2048 },
    });
    alice.send(&room, "m.room.message", &file).await?;
    assert_eq!(
        told(&mut bob, "#lines", "notes").await?,
        "[file: notes.txt, 2 KiB]"
    );
    Ok(())
}

async fn names_are_mentions_on_both_sides(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#names", ("dnamea", "DNameB")).await?;
    bob.say(&format!("PRIVMSG #names :{}: look at this", nick(&alice)))
        .await;
    let body = format!("{}: look at this", nick(&alice));
    let called = alice.hears(&room, &body).await?;
    assert_eq!(
        called.content["m.mentions"],
        json!({ "user_ids": [alice.id()] })
    );
    let ghost_id = ghost("dnameb");
    let content = json!({
        "msgtype": "m.text", "body": "Somebody: hello",
        "format": "org.matrix.custom.html",
        "formatted_body": format!("<a href=\"https://matrix.to/#/{ghost_id}\">Somebody</a>: hello"),
        "m.mentions": { "user_ids": [ghost_id] },
    });
    alice.send(&room, "m.room.message", &content).await?;
    assert_eq!(told(&mut bob, "#names", "hello").await?, "DNameB: hello");
    Ok(())
}

async fn questions_of_programs_are_answered_and_no_flood(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, _) = two_in(&stage, "#ctcp", ("dctcpa", "dctcpb")).await?;
    let alices = nick(&alice);
    bob.say(&format!("PRIVMSG {alices} :\x01PING 4711\x01"))
        .await;
    let pong = bob.hear("4711").await?;
    anyhow::ensure!(pong.ends_with("NOTICE dctcpb :\x01PING 4711\x01"), "{pong}");
    bob.say(&format!("PRIVMSG {alices} :\x01VERSION\x01")).await;
    bob.hear("\x01VERSION bridgehead-irc").await?;
    for n in 0..50 {
        bob.say(&format!("PRIVMSG {alices} :\x01PING flood{n}\x01"))
            .await;
    }
    // What the bridge does not know it shows, and does not answer.
    bob.say(&format!("PRIVMSG {alices} :\x01FINGER\x01")).await;
    let mut invited = None;
    comes_to(&true, async || {
        invited = alice.invitations().await?.into_iter().next();
        Ok(invited.is_some())
    })
    .await?;
    let own = invited.context("an invitation")?;
    alice.join(&own).await?;
    let shown = alice.hears(&own, "[asks CTCP FINGER]").await?;
    assert_eq!(shown.content["msgtype"], "m.notice");
    let answered = bob.heard.all();
    let answered = answered.iter().filter(|line| line.contains("PING flood"));
    anyhow::ensure!(answered.count() < 10, "flooded");
    Ok(())
}

async fn lines_of_other_encodings_are_read(stage: Stage) -> anyhow::Result<()> {
    let (bob, alice, room) = two_in(&stage, "#codes", ("dcoda", "dcodb")).await?;
    bob.say_bytes(b"PRIVMSG #codes :one caf\xe9").await;
    bob.say("PRIVMSG #codes :two café").await;
    alice.hears(&room, "one café").await?;
    alice.hears(&room, "two café").await?;
    Ok(())
}

async fn programs_are_told_what_a_reply_answers(stage: Stage) -> anyhow::Result<()> {
    if stage.server != Server::Inspircd {
        // ngIRCd has no tags.
        return Ok(());
    }
    let (mut bob, alice, room) = two_in(&stage, "#tags", ("dtaga", "dtagb")).await?;
    bob.ask("CAP REQ :message-tags server-time echo-message", "ACK")
        .await?;
    bob.say("PRIVMSG #tags :a question").await;
    let echo = bob.hear(":a question").await?;
    let asked = alice.hears(&room, "a question").await?;
    alice.reply(&room, &asked.id, "an answer").await?;
    let answer = bob.hear("an answer").await?;
    let msgid = tag(&echo, "msgid").context("an id")?;
    assert_eq!(tag(&answer, "+draft/reply"), Some(msgid));
    let own = tag(&answer, "msgid").context("an id")?;
    bob.say(&format!("@+draft/reply={own} PRIVMSG #tags :indeed"))
        .await;
    let heard = alice.hears(&room, "indeed").await?;
    let events = alice.timeline(&room).await?;
    let answer = events
        .iter()
        .find(|event| event.content["body"] == "an answer")
        .context("the answer")?;
    let answered = &heard.content["m.relates_to"]["m.in_reply_to"]["event_id"];
    assert_eq!(*answered, json!(answer.id));
    // What answers something of a thread belongs to it.
    let relation = json!({
        "rel_type": "m.thread", "event_id": asked.id, "is_falling_back": true,
        "m.in_reply_to": { "event_id": asked.id },
    });
    let content = json!({ "msgtype": "m.text", "body": "apart", "m.relates_to": relation });
    alice.send(&room, "m.room.message", &content).await?;
    let apart = bob.hear("apart").await?;
    let apart = tag(&apart, "msgid").context("an id")?;
    bob.say(&format!("@+draft/reply={apart} PRIVMSG #tags :as well"))
        .await;
    let heard = alice.hears(&room, "as well").await?;
    assert_eq!(heard.content["m.relates_to"]["event_id"], json!(asked.id));
    assert_eq!(heard.content["m.relates_to"]["is_falling_back"], false);
    // And a reaction by tag is one.
    bob.say(&format!("@+draft/reply={own};+draft/react=👍 TAGMSG #tags"))
        .await;
    let is_it = |event: &bridgehead_appservice::Event| {
        event.kind == "m.reaction" && event.content["m.relates_to"]["key"] == "👍"
    };
    let reacted = alice.wait_for(&room, "the reaction", is_it).await?;
    assert_eq!(reacted.sender, UserId::parse(&ghost("dtagb"))?);
    Ok(())
}

/// The value of a line's tag.
pub(crate) fn tag<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (tags, _) = line.strip_prefix('@')?.split_once(' ')?;
    let mut tags = tags.split(';').filter_map(|tag| tag.split_once('='));
    tags.find_map(|(name, value)| (name == key).then_some(value))
}

async fn who_writes_is_seen_on_both_sides(stage: Stage) -> anyhow::Result<()> {
    if stage.server != Server::Inspircd {
        return Ok(());
    }
    let (mut bob, alice, room) = two_in(&stage, "#typing", ("dtypa", "dtypb")).await?;
    bob.ask("CAP REQ :message-tags", "ACK").await?;
    alice
        .typing(&room, std::time::Duration::from_secs(20))
        .await?;
    let writes = bob.hear("TAGMSG :#typing").await?;
    assert_eq!(tag(&writes, "+typing"), Some("active"));
    alice.typing(&room, std::time::Duration::ZERO).await?;
    let stops = bob.hear("TAGMSG :#typing").await?;
    assert_eq!(tag(&stops, "+typing"), Some("done"));
    bob.say("PRIVMSG #typing :hm").await;
    alice.hears(&room, "hm").await?;
    let ghost = ghost("dtypb");
    comes_to(&true, async || {
        bob.say("@+typing=active TAGMSG #typing").await;
        let seen = alice.sync(None, std::time::Duration::ZERO).await?;
        let events = &seen["rooms"]["join"][room.as_str()]["ephemeral"]["events"];
        Ok(events.to_string().contains(&ghost))
    })
    .await
}
