//! What happens in the demonstration, and how each side sees it.

use std::net::SocketAddr;

use bridgehead_irc_protocol::Line;
use serde_json::{Value, json};

use super::{
    bridge::{Bridged, NETWORK, SERVER_NAME},
    irc, matrix, tell,
};

const CHANNEL: &str = "#tea";
/// What the bridge calls people of Matrix on IRC, unless they choose another nick.
const ALICE: &str = "alice[m]";
const CAROL: &str = "carol[m]";

/// Has people talk, and prints what both sides have seen. Fails if anything does not arrive.
pub(super) async fn hold(bridged: &Bridged, server: SocketAddr) -> anyhow::Result<()> {
    tell(&format!(
        "\nbob is on IRC, in {CHANNEL}. alice and carol are on Matrix, and join\n\
         #irc_{NETWORK}_{CHANNEL}:{SERVER_NAME}, which nobody has made: the bridge makes it."
    ));
    let mut bob = irc::Person::connect(server, "bob").await?;
    bob.join(CHANNEL).await?;
    let mut alice = bridged.person("alice").await?;
    let mut carol = bridged.person("carol").await?;
    let alias = format!("#irc_{NETWORK}_{CHANNEL}:{SERVER_NAME}");
    let room = alice.join(&alias).await?;
    carol.join(&alias).await?;
    let happened = async {
        talk(&mut bob, &mut alice, &room).await?;
        correct(&mut bob, &mut alice, &room).await?;
        remove(&mut bob, &mut alice, &mut carol, &room).await
    };
    let happened = happened.await;
    tell("\nWhat bob has seen on IRC (␂ and ␝ are the control characters of bold and italics)\n");
    show(bob.heard().iter().filter_map(irc::shown));
    tell("\nWhat alice has seen on Matrix\n");
    show(alice.seen().iter().filter_map(matrix::shown));
    happened
}

fn show(lines: impl Iterator<Item = String>) {
    lines.for_each(|line| tell(&format!("   {line}")));
}

/// Both say something, plain and formatted, and do something.
async fn talk(bob: &mut irc::Person, alice: &mut matrix::Person, room: &str) -> anyhow::Result<()> {
    let text = |body: &str| json!({ "msgtype": "m.text", "body": body });
    alice.send(room, &text("Hello IRC!")).await?;
    bob.hears("alice", |line| says(line, ALICE, "Hello IRC!"))
        .await?;
    bob.say(Line::new(
        "PRIVMSG",
        [CHANNEL, "Hello Matrix. Milk in first?"],
    ))
    .await?;
    alice
        .sees("bob", |event| body(event).contains("Milk in first?"))
        .await?;
    let formatted = json!({
        "msgtype": "m.text",
        "body": "**never**, says *everybody*",
        "format": "org.matrix.custom.html",
        "formatted_body": "<strong>never</strong>, says <em>everybody</em>",
    });
    alice.send(room, &formatted).await?;
    bob.hears("what is bold", |line| says(line, ALICE, "\x02never\x02"))
        .await?;
    bob.say(Line::new(
        "PRIVMSG",
        [CHANNEL, "I say \x02always\x02 and \x1dforever\x1d"],
    ))
    .await?;
    alice
        .sees("what is bold", |event| body(event).contains("forever"))
        .await?;
    bob.say(Line::new(
        "PRIVMSG",
        [CHANNEL, "\x01ACTION pours the milk\x01"],
    ))
    .await?;
    alice
        .sees("the deed", |event| event["content"]["msgtype"] == "m.emote")
        .await?;
    Ok(())
}

/// Alice edits what she has said: on Matrix it changes, on IRC she says what is different.
async fn correct(
    bob: &mut irc::Person,
    alice: &mut matrix::Person,
    room: &str,
) -> anyhow::Result<()> {
    let wrong = json!({ "msgtype": "m.text", "body": "I will have mine with lemming" });
    let id = alice.send(room, &wrong).await?;
    bob.hears("the mistake", |line| says(line, ALICE, "lemming"))
        .await?;
    let right = "I will have mine with lemon";
    let edit = json!({
        "msgtype": "m.text",
        "body": format!("* {right}"),
        "m.new_content": { "msgtype": "m.text", "body": right },
        "m.relates_to": { "rel_type": "m.replace", "event_id": id },
    });
    alice.send(room, &edit).await?;
    bob.hears("the correction", |line| {
        says(line, ALICE, "lemon") && !says(line, ALICE, "mine with lemming")
    })
    .await?;
    Ok(())
}

/// Bob, who is the channel's operator, kicks Carol: she is out on both sides.
async fn remove(
    bob: &mut irc::Person,
    alice: &mut matrix::Person,
    carol: &mut matrix::Person,
    room: &str,
) -> anyhow::Result<()> {
    carol
        .send(
            room,
            &json!({ "msgtype": "m.text", "body": "BUY MORE COFFEE" }),
        )
        .await?;
    bob.hears("carol", |line| says(line, CAROL, "COFFEE"))
        .await?;
    bob.say(Line::new("KICK", [CHANNEL, CAROL, "this is a tea room"]))
        .await?;
    bob.hears("the kick", |line| line.command == "KICK").await?;
    let id = format!("@carol:{SERVER_NAME}");
    alice
        .sees("the kick", |event| {
            event["type"] == "m.room.member"
                && event["state_key"] == id.as_str()
                && event["content"]["membership"] == "leave"
        })
        .await?;
    Ok(())
}

fn says(line: &Line, who: &str, part: &str) -> bool {
    line.command == "PRIVMSG"
        && line.from_name() == who
        && String::from_utf8_lossy(line.last()).contains(part)
}

fn body(event: &Value) -> &str {
    event["content"]["body"].as_str().unwrap_or_default()
}
