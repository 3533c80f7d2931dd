//! Networks are browsed, and their names belong to the bridge alone.

use anyhow::Context as _;
use bridgehead_appservice::{
    axum::{
        body::Bytes,
        http::{Method, Request},
    },
    id::UserId,
};
use bridgehead_testkit::{
    SERVER_NAME,
    lab::{CallError, LabUser},
};
use serde_json::{Value, json};

use super::talk::ghost;
use crate::{
    peers::raw::RawClient,
    stage::{NETWORK, Stage, alias},
};

scenarios![
    clients_look_up_people_and_channels,
    nobody_else_takes_names_of_the_bridge,
    odd_names_are_legal_and_led_back,
];

const V3: &str = "/_matrix/client/v3";

async fn get(user: &LabUser, path: &str) -> anyhow::Result<Value> {
    Ok(user
        .call(Method::GET, &format!("{V3}{path}"), &Value::Null)
        .await?)
}

/// What the bridge answers of one of its ids; Synapse does not pass such questions on, and answers that there is nothing.
async fn reverse(stage: &Stage, what: &str) -> anyhow::Result<Value> {
    let token = stage.service.hs_token().expose();
    let request = Request::builder()
        .uri(format!("/_matrix/app/v1/thirdparty/{what}"))
        .header("authorization", format!("Bearer {token}"))
        .body(Bytes::new())?;
    let answer = stage.service.running().call(request).await;
    Ok(serde_json::from_slice(answer.body())?)
}

async fn clients_look_up_people_and_channels(stage: Stage) -> anyhow::Result<()> {
    let mut bob = RawClient::welcomed(stage.port, "BobLook").await?;
    bob.join("#looked").await?;
    let alice = stage.lab.user("alice-look").await?;
    alice.join(&alias("#looked")).await?;
    let protocol = get(&alice, "/thirdparty/protocol/irc").await?;
    let instance = &protocol["instances"][0];
    anyhow::ensure!(
        instance["network_id"] == NETWORK && instance["fields"]["network"] == NETWORK,
        "{protocol}"
    );
    let places = get(
        &alice,
        &format!("/thirdparty/location/irc?network={NETWORK}&channel=%23Looked"),
    )
    .await?;
    anyhow::ensure!(places[0]["alias"] == alias("#looked"), "{places}");
    let back = alias("#looked").replace('#', "%23");
    let back = reverse(&stage, &format!("location?alias={back}")).await?;
    anyhow::ensure!(back[0]["fields"]["channel"] == "#looked", "{back}");
    let users = get(
        &alice,
        &format!("/thirdparty/user/irc?network={NETWORK}&nick=boblook"),
    )
    .await?;
    anyhow::ensure!(users[0]["userid"] == ghost("boblook"), "{users}");
    let back = reverse(&stage, &format!("user?userid={}", ghost("boblook"))).await?;
    anyhow::ensure!(back[0]["fields"]["network"] == NETWORK, "{back}");
    for nothing in [
        "/thirdparty/location/irc?network=elsewhere&channel=%23a".to_owned(),
        format!("/thirdparty/user/irc?network={NETWORK}&nick=not%20one"),
        format!("/thirdparty/location/irc?network={NETWORK}&channel=nochannel"),
    ] {
        let found = alice
            .call(Method::GET, &format!("{V3}{nothing}"), &Value::Null)
            .await;
        let is_none = match &found {
            Ok(found) => found.as_array().is_some_and(Vec::is_empty),
            Err(error) => error.status().is_some_and(|status| status == 404),
        };
        anyhow::ensure!(is_none, "{nothing}: {found:?}");
    }
    Ok(())
}

async fn nobody_else_takes_names_of_the_bridge(stage: Stage) -> anyhow::Result<()> {
    let mallory = stage.lab.user("mallory").await?;
    let refused = |taken: Result<Value, CallError>| match taken {
        Err(error) if error.errcode() == Some("M_EXCLUSIVE") => Ok(()),
        other => Err(anyhow::anyhow!("it was not refused: {other:?}")),
    };
    // The lab puts `_` and its own mark behind it, and that would be a nick.
    let name = format!("irc_{NETWORK}");
    let user = stage.lab.user(&name).await.map(|_| Value::Null);
    refused(user).context("a user")?;
    let room = mallory.create_room("mine").await?;
    let name = alias("#nobody-yet").replace('#', "%23");
    let path = format!("{V3}/directory/room/{name}");
    let body = json!({ "room_id": room });
    refused(mallory.call(Method::PUT, &path, &body).await).context("an alias")
}

async fn odd_names_are_legal_and_led_back(stage: Stage) -> anyhow::Result<()> {
    let nick = "Odd[]\\`_^{|}-9";
    let channel = "#Odd/Chan=\"1\"+_.~";
    let mut bob = RawClient::connect(stage.port).await?;
    bob.say(&format!("NICK {nick}")).await;
    bob.say("USER odd 0 * :odd").await;
    bob.welcome().await?;
    bob.join(channel).await?;
    let alice = stage.lab.user("alice-odd").await?;
    let control = crate::stage::control::Control::open(&alice).await?;
    control
        .expect(&format!("!join '{channel}'"), "You are invited")
        .await?;
    let room = super::private::invited(&alice).await?;
    alice.join(&room).await?;
    bob.say(&format!("PRIVMSG {channel} :odd")).await;
    let heard = alice.hears(&room, "odd").await?;
    let sender = UserId::parse(heard.sender.as_str())?;
    let is_legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._=-/+".contains(c);
    anyhow::ensure!(sender.localpart().chars().all(is_legal), "{sender}");
    anyhow::ensure!(sender.server() == SERVER_NAME, "{sender}");
    let portals = stage.service.running().portals::<bridgehead_irc::Irc>();
    let portals = portals.context("the bridge")?;
    let user = portals.user_of(&sender).context("the way back")?;
    anyhow::ensure!(portals.ghost_id(&user)? == sender, "{user:?}");
    let profile = alice.profile(&sender).await?;
    anyhow::ensure!(profile["displayname"] == nick, "{profile}");
    alice.say(&room, "as odd back").await?;
    bob.hear("as odd back").await?;
    Ok(())
}
