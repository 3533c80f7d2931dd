//! What operators may have otherwise: encodings, links, relayed people, old replies, tags in the place of words.

use anyhow::Context as _;
use bridgehead_appservice::{Event, Secret};
use bridgehead_irc::{
    Settings,
    settings::{ChannelSettings, Mode, Reactions},
};
use bridgehead_testkit::SERVER_NAME;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    messages::{tag, text_of, told, two_in},
    talk::ghost,
};
use crate::{
    peers::{
        inspircd::{Inspircd, InspircdOptions},
        raw::RawClient,
    },
    stage::{BOT, NETWORK, Server, Stage, comes_to, nick, on_ours, play_all, settings},
};

scenarios![
    a_channel_is_spoken_to_in_its_encoding,
    three_thousand_characters_arrive_whole,
    long_code_and_pictures_are_links_that_anybody_can_open,
    old_messages_are_quoted_by_replies,
    reactions_go_by_tags_where_the_network_takes_them,
    relayed_people_are_named_before_each_line_and_no_name_can_be_faked,
    bots_of_other_networks_speak_for_their_people,
    a_room_that_is_mapped_by_its_alias_is_the_channels,
];

#[test]
fn with_settings_of_their_own() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    on_ours(
        &own(irc.port)?,
        (irc.port, Server::Inspircd),
        async |stage| play_all(stage, &[ALL]).await,
    )
}

fn own(port: u16) -> anyhow::Result<Settings> {
    let mut settings = settings(port)?;
    settings.media.public_url = Some("https://irc.example.org".to_owned());
    settings.media.secret = Secret::new("sixteen characters, or more".to_owned()).into();
    let network = settings.networks.get_mut(NETWORK).context("the network")?;
    network.limits.max_lines = 40;
    network.messages.quote_after = "0s".parse()?;
    network.messages.reactions = Reactions::Tags;
    network.messages.relay_bots = vec!["rbot*!*@*".to_owned()];
    let koi = ChannelSettings {
        encoding: Some("koi8-r".to_owned()),
        ..ChannelSettings::default()
    };
    network.channels.insert("#koi".to_owned(), koi);
    let relay = ChannelSettings {
        mode: Some(Mode::Relay),
        ..ChannelSettings::default()
    };
    network.channels.insert("#relay".to_owned(), relay);
    let fixed = ChannelSettings {
        room: Some(format!("#plaza:{SERVER_NAME}")),
        ..ChannelSettings::default()
    };
    network.channels.insert("#fixed".to_owned(), fixed);
    Ok(settings)
}

async fn a_room_that_is_mapped_by_its_alias_is_the_channels(stage: Stage) -> anyhow::Result<()> {
    let alice = stage.lab.user("omapa").await?;
    let mut bob = RawClient::welcomed(stage.port, "omapb").await?;
    bob.join("#fixed").await?;
    // The bridge waits for a room that is not there when it starts.
    let body = json!({ "name": "The plaza", "preset": "public_chat", "room_alias_name": "plaza" });
    let room = alice.create_room_with(&body).await?;
    bob.sees_enter(&[BOT, &nick(&alice)]).await?;
    bob.say("PRIVMSG #fixed :from the channel").await;
    alice.hears(&room, "from the channel").await?;
    alice.say(&room, "from the room").await?;
    assert_eq!(told(&mut bob, "#fixed", "from").await?, "from the room");
    Ok(())
}

async fn a_channel_is_spoken_to_in_its_encoding(stage: Stage) -> anyhow::Result<()> {
    let (bob, alice, room) = two_in(&stage, "#koi", ("okoia", "okoib")).await?;
    // In KOI8-R, as clients there write it; and in UTF-8, as others do.
    bob.say_bytes(b"PRIVMSG #koi :\xf0\xd2\xc9\xd7\xc5\xd4")
        .await;
    alice.hears(&room, "Привет").await?;
    bob.say("PRIVMSG #koi :Пока").await;
    alice.hears(&room, "Пока").await?;
    alice.say(&room, "Мир 🎉").await?;
    let heard = async || {
        let bytes = bob.heard.all_bytes();
        let said = b"\xed\xc9\xd2 ?";
        Ok(bytes.iter().any(|line| line.ends_with(said)))
    };
    comes_to(&true, heard).await
}

async fn three_thousand_characters_arrive_whole(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#whole", ("owhola", "owholb")).await?;
    let piece = "Köln 日本語の文章 🎉👨\u{200d}👩\u{200d}👧 ";
    let whole = piece.chars().cycle().take(3000).collect::<String>() + "end";
    alice.say(&room, &whole).await?;
    let mut lines: Vec<String> = Vec::new();
    while lines.last().is_none_or(|line| !line.ends_with("end")) {
        lines.push(told(&mut bob, "#whole", "").await?);
    }
    anyhow::ensure!(
        lines.iter().all(|line| !line.contains('\u{fffd}')),
        "{lines:?}"
    );
    let without_spaces = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(without_spaces(&lines.concat()), without_spaces(&whole));
    Ok(())
}

async fn long_code_and_pictures_are_links_that_anybody_can_open(
    stage: Stage,
) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#links", ("olinka", "olinkb")).await?;
    let code: String = (0..100).map(|n| format!("let x{n} = {n};\n")).collect();
    let content = json!({
        "msgtype": "m.text", "body": format!("look:\n{code}"),
        "format": "org.matrix.custom.html",
        "formatted_body": format!("<p>look:</p><pre><code class=\"language-rust\">{code}</code></pre>"),
    });
    alice.send(&room, "m.room.message", &content).await?;
    assert_eq!(told(&mut bob, "#links", "look").await?, "look:");
    let line = told(&mut bob, "#links", "code").await?;
    let link = line
        .strip_prefix("[rust code: 100 lines] https://irc.example.org")
        .with_context(|| line.clone())?;
    let (head, body) = fetched(&stage, link).await?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    anyhow::ensure!(head.to_lowercase().contains("text/plain"), "{head}");
    anyhow::ensure!(body.contains("let x99 = 99;"), "{body}");

    let picture = alice.upload("image/png", &b"\x89PNG a cat"[..]).await?;
    let content = json!({
        "msgtype": "m.image", "body": "a cat", "filename": "cat.png", "url": picture,
        "info": { "mimetype": "image/png", "size": 10240 },
    });
    alice.send(&room, "m.room.message", &content).await?;
    let line = told(&mut bob, "#links", "cat.png").await?;
    let link = line
        .strip_prefix("[image: cat.png, 10 KiB] https://irc.example.org")
        .and_then(|rest| rest.strip_suffix(" a cat"))
        .with_context(|| line.clone())?;
    let (head, body) = fetched(&stage, link).await?;
    anyhow::ensure!(
        head.starts_with("HTTP/1.1 200") && body.contains("PNG a cat"),
        "{head}"
    );
    // Who changes a link gets nothing by it.
    let (head, _) = fetched(&stage, &link.replacen("media/", "media/x", 1)).await?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 404"), "{head}");
    Ok(())
}

/// What plain HTTP gives for a path: the head, and the body.
async fn fetched(stage: &Stage, path: &str) -> anyhow::Result<(String, String)> {
    let address = stage.url.strip_prefix("http://").context("an address")?;
    let mut stream = TcpStream::connect(address).await?;
    let ask = format!("GET {path} HTTP/1.1\r\nHost: irc.example.org\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).await?;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(crate::peers::SOON, read).await??;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").context("a head")?;
    Ok((head.to_owned(), body.to_owned()))
}

async fn old_messages_are_quoted_by_replies(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#quotes", ("oquota", "OQuotB")).await?;
    bob.say("PRIVMSG #quotes :does \x02anybody\x02 know why?")
        .await;
    let asked = alice.hears(&room, "does anybody know why?").await?;
    alice.reply(&room, &asked.id, "because").await?;
    assert_eq!(
        told(&mut bob, "#quotes", "because").await?,
        "<OQuotB> \"does anybody know why?\" ← because"
    );
    Ok(())
}

async fn reactions_go_by_tags_where_the_network_takes_them(stage: Stage) -> anyhow::Result<()> {
    let (mut bob, alice, room) = two_in(&stage, "#tagged", ("otaga", "otagb")).await?;
    bob.ask("CAP REQ :message-tags echo-message", "ACK").await?;
    bob.say("PRIVMSG #tagged :we have won").await;
    let echo = bob.hear(":we have won").await?;
    let won = alice.hears(&room, "we have won").await?;
    let reaction = alice.react(&room, &won.id, "🎉").await?;
    let tagged = bob.hear("TAGMSG").await?;
    assert_eq!(tag(&tagged, "+draft/react"), Some("🎉"));
    assert_eq!(tag(&tagged, "+draft/reply"), tag(&echo, "msgid"));
    alice.redact(&room, &reaction).await?;
    let taken = bob.hear("TAGMSG").await?;
    assert_eq!(tag(&taken, "+draft/unreact"), Some("🎉"));
    Ok(())
}

async fn relayed_people_are_named_before_each_line_and_no_name_can_be_faked(
    stage: Stage,
) -> anyhow::Result<()> {
    let mut bob = crate::peers::raw::RawClient::welcomed(stage.port, "orelb").await?;
    bob.join("#relay").await?;
    let alice = stage.lab.user("orela").await?;
    let mallory = stage.lab.user("orelm").await?;
    mallory.set_display_name("x> <root").await?;
    alice.set_display_name("Alice").await?;
    let room = alice.join(&crate::stage::alias("#relay")).await?;
    mallory.join(&crate::stage::alias("#relay")).await?;
    alice.say(&room, "one\ntwo").await?;
    // A space of no width keeps the name from being a ping.
    let shown = |text: String| text.replace('\u{200b}', "");
    for expected in ["<Alice> one", "<Alice> two"] {
        let line = bob.hear("PRIVMSG #relay").await?;
        anyhow::ensure!(line.starts_with(":bridge!"), "{line}");
        assert_eq!(shown(text_of(&line)?.to_owned()), expected);
    }
    mallory.say(&room, "<root> hello\n* root waves").await?;
    let mut lines = Vec::new();
    for _ in 0..2 {
        lines.push(shown(told(&mut bob, "#relay", "").await?));
    }
    anyhow::ensure!(
        lines[0].ends_with("> <root> hello") && lines[1].ends_with("> * root waves"),
        "{lines:?}"
    );
    anyhow::ensure!(
        lines
            .iter()
            .all(|line| line.starts_with("<x root>") || line.starts_with("<x  root>")),
        "{lines:?}"
    );
    let wave = json!({ "msgtype": "m.emote", "body": "waves" });
    alice.send(&room, "m.room.message", &wave).await?;
    assert_eq!(
        shown(told(&mut bob, "#relay", "waves").await?),
        "* Alice waves"
    );
    // Who is relayed has no connection.
    let names = bob.ask("NAMES #relay", " 353 ").await?;
    anyhow::ensure!(!names.contains("orela"), "{names}");
    Ok(())
}

async fn bots_of_other_networks_speak_for_their_people(stage: Stage) -> anyhow::Result<()> {
    let (bot, alice, room) = two_in(&stage, "#bots", ("obota", "rbot1")).await?;
    bot.say("PRIVMSG #bots :<carla> hello from elsewhere").await;
    let is_hers = |event: &Event| {
        event.sender.as_str() == ghost("rbot1")
            && event.content["com.beeper.per_message_profile"]["displayname"] == "carla"
    };
    let heard = alice.wait_for(&room, "what carla says", is_hers).await?;
    let body = heard.content["body"].as_str().context("a body")?;
    anyhow::ensure!(body.contains("hello from elsewhere"), "{body}");
    anyhow::ensure!(!body.contains("<carla>"), "{body}");
    Ok(())
}
