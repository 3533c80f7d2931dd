//! What people tell the bridge to do.

use anyhow::Context as _;
use bridgehead_appservice::id::UserId;

use super::talk::ghost;
use crate::{
    peers::raw::RawClient,
    stage::{
        Stage, alias, comes_to,
        control::{Control, ask},
        nick,
    },
};

scenarios![
    help_lists_the_commands,
    a_nick_is_chosen_and_kept,
    a_nick_that_cannot_be_had_is_refused_with_words,
    people_of_the_same_name_have_nicks_of_their_own,
    servers_answer_in_words,
    what_is_said_by_command_arrives_and_is_answered,
    a_connection_ends_and_begins_by_command,
    somebody_is_away_and_back,
    rooms_are_joined_and_listed_by_command,
    a_user_name_is_chosen,
];

async fn help_lists_the_commands(stage: Stage) -> anyhow::Result<()> {
    let alice = stage.lab.user("alice-help").await?;
    let control = Control::open(&alice).await?;
    for command in ["help", "!help"] {
        let help = control.ask(command).await?;
        for name in [
            "join",
            "nick",
            "msg",
            "cmd",
            "whois",
            "storepass",
            "removepass",
            "certfp",
            "reconnect",
            "quit",
            "listrooms",
            "away",
            "bridgeversion",
            "why",
            "username",
            "ignore",
            "unignore",
            "ignores",
            "link",
            "unlink",
            "retry",
            "status",
        ] {
            let is_named = help.lines().any(|line| {
                line.split_whitespace()
                    .any(|word| word.trim_matches('`') == name)
            });
            anyhow::ensure!(is_named, "{name} is not in: {help}");
        }
    }
    control.expect("!bridgeversion", "bridgehead-irc").await?;
    control.expect("!niick", "Did you mean").await?;
    control.expect("!nick", "nick is missing").await
}

async fn a_nick_is_chosen_and_kept(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-nick").await?;
    bob.join("#nicks").await?;
    let alice = stage.lab.user("alice-nick").await?;
    let control = Control::open(&alice).await?;
    // Before there is a connection, and by the channel's name of the network.
    control
        .expect("!nick net Chosen0", "as soon as you connect")
        .await?;
    let room = alice.join(&alias("#nicks")).await?;
    bob.hear(":Chosen0!").await.context("JOIN")?;
    control
        .expect("!nick Chosen1", "You are called Chosen1 now.")
        .await?;
    bob.hear("NICK :Chosen1").await?;
    control.expect("!quit", "not connected any more").await?;
    bob.hear(":Chosen1!").await.context("QUIT")?;
    alice.say(&room, "and I am still called that").await?;
    let said = bob.hear("and I am still called that").await?;
    anyhow::ensure!(said.starts_with(":Chosen1!"), "{said}");
    Ok(())
}

async fn a_nick_that_cannot_be_had_is_refused_with_words(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-taken").await?;
    bob.join("#taken").await?;
    let alice = stage.lab.user("alice-taken").await?;
    let control = Control::open(&alice).await?;
    let room = alice.join(&alias("#taken")).await?;
    alice.say(&room, "here I am").await?;
    bob.hear("here I am").await?;
    control
        .expect("!nick bob-taken", "Somebody else is called bob-taken")
        .await?;
    control.expect("!nick 4you", "is no nick").await?;
    control.expect("!nick a.b", "is no nick").await?;
    let long = "n".repeat(31);
    control
        .expect(&format!("!nick {long}"), "at most 30")
        .await?;
    // None of it was chosen.
    control.ask("!quit").await?;
    bob.hear(" QUIT ").await?;
    alice.say(&room, "again").await?;
    let said = bob.hear("again").await?;
    anyhow::ensure!(said.starts_with(&format!(":{}!", nick(&alice))), "{said}");
    Ok(())
}

async fn people_of_the_same_name_have_nicks_of_their_own(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-same").await?;
    bob.join("#same").await?;
    let one = stage.lab.user("one-same").await?;
    let other = stage.lab.user("other-same").await?;
    for user in [&one, &other] {
        user.set_display_name("Same Name").await?;
    }
    let room = one.join(&alias("#same")).await?;
    other.join(&alias("#same")).await?;
    one.say(&room, "from the one").await?;
    other.say(&room, "from the other").await?;
    let first = bob
        .heard
        .next("the one", |line| line.contains("from the one"))
        .await?;
    let all = |part: &str, lines: &[String]| lines.iter().find(|line| line.contains(part)).cloned();
    bob.heard
        .wait("the other", |lines| all("from the other", lines).is_some())
        .await?;
    let second = all("from the other", &bob.heard.all()).unwrap_or_default();
    let nick_of = |line: &str| line[1..line.find('!').unwrap_or(1)].to_owned();
    let (first, second) = (nick_of(&first), nick_of(&second));
    anyhow::ensure!(first != second, "{first}");
    for nick in [&first, &second] {
        anyhow::ensure!(nick.starts_with("Same_Name[m]"), "{nick}");
    }
    Ok(())
}

async fn servers_answer_in_words(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-whois").await?;
    bob.join("#whois").await?;
    let alice = stage.lab.user("alice-whois").await?;
    let control = Control::open(&alice).await?;
    // Without any channel: the connection is made for it.
    let whois = control.ask("!whois bob-whois").await?;
    anyhow::ensure!(whois.contains("calls themselves bob-whois"), "{whois}");
    anyhow::ensure!(whois.contains("They are in @#whois"), "{whois}");
    anyhow::ensure!(!whois.contains("311"), "{whois}");
    control.expect("whois nobody-whois", "nobody-whois").await?;
    control.expect("!cmd VERSION", ".test.invalid").await?;
    control.expect("!cmd TOPIC #whois :x y", "").await?;
    control.expect("!cmd QUIT :bye", "quit does it").await?;
    control.expect("!cmd nick x", "nick does it").await?;
    control.expect("!cmd", "command is missing").await?;
    // In a channel's room behind the prefix alone.
    let room = alice.join(&alias("#whois")).await?;
    let told = ask(&alice, &room, "!irc whois bob-whois").await?;
    anyhow::ensure!(told.contains("calls themselves"), "{told}");
    alice.say(&room, "!whois is what I say").await?;
    bob.hear("PRIVMSG #whois :!whois is what I say").await?;
    let heard = bob.heard.all().join("\n");
    anyhow::ensure!(
        !heard.contains("!irc whois"),
        "a command is nobody's business: {heard}"
    );
    Ok(())
}

async fn what_is_said_by_command_arrives_and_is_answered(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-msg").await?;
    let alice = stage.lab.user("alice-msg").await?;
    let control = Control::open(&alice).await?;
    control
        .expect("!msg bob-msg it's \"me\", -- C:\\ and all", "is told")
        .await?;
    let heard = bob
        .hear("PRIVMSG bob-msg :it's \"me\", -- C:\\ and all")
        .await?;
    anyhow::ensure!(heard.starts_with(&format!(":{}!", nick(&alice))), "{heard}");
    control
        .expect("!msg nobody-msg hello", "nobody-msg")
        .await?;
    control.expect("!msg bob-msg", "text is missing").await?;
    bob.say(&format!("PRIVMSG {} :so it is", nick(&alice)))
        .await;
    let room = super::private::invited(&alice).await?;
    alice.join(&room).await?;
    alice.hears(&room, "so it is").await?;
    Ok(())
}

async fn a_connection_ends_and_begins_by_command(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-conn").await?;
    bob.join("#conn").await?;
    let alice = stage.lab.user("alice-conn").await?;
    let control = Control::open(&alice).await?;
    control.expect("!status", "no connection").await?;
    let room = alice.join(&alias("#conn")).await?;
    alice.say(&room, "first").await?;
    bob.hear("first").await?;
    let status = control.ask("!why").await?;
    anyhow::ensure!(
        status.contains(&nick(&alice)) && status.contains("#conn"),
        "{status}"
    );
    control.expect("!reconnect", "Connecting anew").await?;
    bob.hear(&format!(":{}!", nick(&alice)))
        .await
        .context("QUIT")?;
    // The bridge's own may come in late.
    let hers = format!(":{}!", nick(&alice));
    let is_back = |line: &str| line.starts_with(&hers) && line.contains(" JOIN ");
    bob.heard.next("that she is back", is_back).await?;
    control.expect("!quit", "until you speak").await?;
    bob.hear(" QUIT ").await?;
    control.expect("!status", "not connected").await?;
    alice.say(&room, "second").await?;
    bob.hear("second").await?;
    Ok(())
}

async fn somebody_is_away_and_back(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-away").await?;
    let alice = stage.lab.user("alice-away").await?;
    let control = Control::open(&alice).await?;
    control
        .expect("!away gone to \"lunch\"", "You are away")
        .await?;
    let whois = format!("WHOIS {}", nick(&alice));
    let away = bob.ask(&whois, " 301 ").await?;
    anyhow::ensure!(away.ends_with(":gone to \"lunch\""), "{away}");
    control.expect("!away", "You are back").await?;
    bob.ask(&whois, " 318 ").await?;
    let heard = bob.heard.all();
    let aways = heard.iter().filter(|line| line.contains(" 301 ")).count();
    anyhow::ensure!(aways == 1, "{heard:#?}");
    Ok(())
}

async fn rooms_are_joined_and_listed_by_command(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-join").await?;
    bob.join("#sesame").await?;
    bob.ask("MODE #sesame +k sesame", "MODE").await?;
    let (alice, carol) = (
        stage.lab.user("alice-join").await?,
        stage.lab.user("carol-join").await?,
    );
    let control = Control::open(&alice).await?;
    control.expect("!listrooms", "You are in none").await?;
    control.expect("!join nochannel", "is no channel").await?;
    // Who has not the key hears nothing of it.
    let refused = control.ask("!join #sesame wrong").await?;
    anyhow::ensure!(!refused.contains("invited"), "{refused}");
    control
        .expect("!join #sesame sesame", "You are invited")
        .await?;
    let room = super::private::invited(&alice).await?;
    alice.join(&room).await?;
    alice.say(&room, "with the key").await?;
    bob.hear("with the key").await?;
    // The bridge is in too, by the same key.
    let bob_id = UserId::parse(&ghost("bob-join"))?;
    comes_to(&Some("join".to_owned()), async || {
        Ok(alice.members(&room).await?.remove(&bob_id))
    })
    .await?;
    bob.say("PRIVMSG #sesame :heard").await;
    alice.hears(&room, "heard").await?;
    control.expect("!listrooms", "#sesame").await?;
    // The room is there now, and opens to nobody else.
    let control = Control::open(&carol).await?;
    let refused = control.ask("!join #sesame").await?;
    anyhow::ensure!(!refused.contains("invited"), "{refused}");
    control.expect("!listrooms", "You are in none").await
}

async fn a_user_name_is_chosen(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "bob-user").await?;
    bob.join("#username").await?;
    let alice = stage.lab.user("alice-user").await?;
    let control = Control::open(&alice).await?;
    control
        .expect("!username Not-Legal", "is no user name")
        .await?;
    control.expect("!username chosenone", "chosenone").await?;
    alice.join(&alias("#username")).await?;
    let joined = bob.hear(&format!(":{}!", nick(&alice))).await?;
    anyhow::ensure!(joined.contains("chosenone@"), "{joined}");
    let carol = stage.lab.user("carol-user").await?;
    let control = Control::open(&carol).await?;
    control
        .expect("!username chosenone", "somebody else has")
        .await
}
