//! What ghosts do in rooms, whatever the homeserver.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use bridgehead_appservice::{JoinOptions, Membership, prelude::*};
use bridgehead_testkit::lab::{Lab, LabService, LabUser};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::{Play, comes_to};

scenarios! {
    ghosts_get_into_closed_rooms: service("closed");
    a_ban_holds_until_it_is_lifted: service("banned");
    ghosts_get_the_power_that_they_need: service("power");
    makers_of_version_12_are_understood: service("makers");
    memberships_are_brought_about: service("goals");
    rooms_are_known_while_they_are_followed: service("state");
    people_are_invited_kicked_and_let_back: service("moderate");
}

fn service(name: &'static str) -> Service {
    Service::new(name)
        .bot(&format!("{name}bot"))
        .users(&format!("_{name}_{{name}}"))
}

/// A service, alice, and a room of hers with the service's own user in it.
async fn begin(
    lab: &Lab,
    service: Service,
    mut body: Value,
) -> anyhow::Result<(LabService, LabUser, RoomId)> {
    let service = lab.mount(service).await?;
    lab.settle().await;
    let alice = lab.user("alice").await?;
    let bot = service.running().bot_id().clone();
    body["invite"] = json!([bot]);
    let levels = body.pointer_mut("/power_level_content_override/users");
    if let Some(Value::Object(users)) = levels {
        users.insert(alice.id().to_string(), json!(100));
        let level = users.remove("BOT").context("a level")?;
        users.insert(bot.to_string(), level);
    }
    let room = alice.create_room_with(&body).await?;
    service.running().bot().join(&room).await?;
    Ok((service, alice, room))
}

async fn memberships(alice: &LabUser, room: &RoomId, user: &UserId) -> anyhow::Result<Vec<String>> {
    let events = alice.timeline(room).await?;
    let of_user = events.iter().filter(|event| {
        event.kind == "m.room.member" && event.state_key.as_deref() == Some(user.as_str())
    });
    Ok(of_user
        .filter_map(|event| event.text("membership").map(str::to_owned))
        .collect())
}

fn forbidden<T: std::fmt::Debug>(outcome: Result<T, Error>) -> anyhow::Result<String> {
    match outcome {
        Err(Error::Forbidden(text)) => Ok(text),
        other => anyhow::bail!("not forbidden, but {other:?}"),
    }
}

async fn ghosts_get_into_closed_rooms(Play { lab, service, .. }: Play) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    lab.settle().await;
    let running = service.running();
    let alice = lab.user("alice").await?;
    let ghost = running.ghosts().named("ann")?;
    let body = json!({ "preset": "private_chat", "invite": [running.bot_id()] });
    let room = alice.create_room_with(&body).await?;
    ghost.send(&room, "hello").await?;
    alice.hears(&room, "hello").await?;
    let found = memberships(&alice, &room, ghost.id()).await?;
    ensure!(found == ["invite", "join"], "{found:?}");
    let found = memberships(&alice, &room, running.bot_id()).await?;
    ensure!(found == ["invite", "join"], "{found:?}");

    let closed = alice
        .create_room_with(&json!({ "preset": "private_chat" }))
        .await?;
    let error = ghost.send(&closed, "hello").await;
    ensure!(error.is_err(), "let into a closed room");
    let rule = json!({ "join_rule": "knock" });
    alice
        .set_state(&closed, "m.room.join_rules", "", &rule)
        .await?;
    let knocked = forbidden(ghost.join_with(&closed, &JoinOptions::new().knock()).await)?;
    ensure!(knocked.contains("has asked to be let into"), "{knocked}");
    alice.invite(&closed, ghost.id()).await?;
    lab.settle().await;
    ghost.send(&closed, "let in").await?;
    alice.hears(&closed, "let in").await?;
    let found = memberships(&alice, &closed, ghost.id()).await?;
    ensure!(found == ["knock", "invite", "join"], "{found:?}");
    Ok(())
}

async fn a_ban_holds_until_it_is_lifted(Play { lab, service, .. }: Play) -> anyhow::Result<()> {
    let body = json!({ "preset": "public_chat", "power_level_content_override": { "users": { "BOT": 50 } } });
    let body = with_version(body, "11");
    let (service, alice, room) = begin(&lab, service, body).await?;
    let running = service.running();
    let ghost = running.ghosts().named("ann")?;
    ghost.send(&room, "one").await?;
    // The service reads the room's state.
    let handle = running.room(&room);
    ensure!(handle.members().await?.is_known());
    alice.ban(&room, ghost.id()).await?;
    comes_to(&lab, &true, async || {
        let member = handle.member(ghost.id()).await?.known().flatten();
        Ok(member.is_some_and(|member| member.membership == Membership::Ban))
    })
    .await?;
    let why = forbidden(ghost.send(&room, "two").await)?;
    ensure!(why.contains("is banned from"), "{why}");
    ensure!(why.contains("could lift the ban"), "{why}");
    ghost.join_with(&room, &JoinOptions::new().unban()).await?;
    ghost.send(&room, "three").await?;
    alice.hears(&room, "three").await?;
    let found = memberships(&alice, &room, ghost.id()).await?;
    ensure!(found == ["join", "ban", "leave", "join"], "{found:?}");
    Ok(())
}

fn with_version(mut body: Value, version: &str) -> Value {
    body["room_version"] = json!(version);
    body
}

async fn ghosts_get_the_power_that_they_need(
    Play { lab, service, .. }: Play,
) -> anyhow::Result<()> {
    let body = json!({ "preset": "public_chat", "power_level_content_override": {
        "users": { "BOT": 90 }, "events_default": 10,
        "events": { "m.room.topic": 40, "m.room.power_levels": 80, "org.example.locked": 95 },
    } });
    let (service, alice, room) = begin(&lab, service, with_version(body, "11")).await?;
    let running = service.running();
    let ghosts = running.ghosts();
    // Nothing is known of the room: the homeserver refuses first, then it is seen to.
    let first = ghosts.named("g0")?;
    first.send(&room, "hello").await?;
    alice.hears(&room, "hello").await?;
    let level = alice.power_levels(&room).await?["users"][first.id().as_str()].clone();
    ensure!(level == 10, "{level}");
    let topics = (0..4).map(|n| {
        let (ghosts, room) = (ghosts.clone(), room.clone());
        async move {
            let ghost = ghosts.named(&format!("g{n}"))?;
            let topic = json!({ "topic": format!("of {n}") });
            ghost.set_state(&room, "m.room.topic", "", topic).await
        }
    });
    try_join_all(topics).await?;
    let levels = alice.power_levels(&room).await?;
    let users = levels["users"].as_object().context("users")?;
    ensure!(users.len() == 6, "{users:?}");
    ensure!(
        users.values().filter(|level| **level == 40).count() == 4,
        "{users:?}"
    );
    let name = json!({ "name": "no" });
    let state_default = levels["state_default"].as_i64().unwrap_or(50);
    ensure!(state_default == 50);
    first.set_state(&room, "m.room.name", "", name).await?;
    let why = forbidden(
        first
            .set_state(&room, "org.example.locked", "", json!({}))
            .await,
    )?;
    ensure!(
        why.contains("cannot give 95") && why.contains(alice.id().as_str()),
        "{why}"
    );
    Ok(())
}

async fn makers_of_version_12_are_understood(
    Play { lab, service, .. }: Play,
) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    lab.settle().await;
    let running = service.running();
    let alice = lab.user("alice").await?;
    let bot = running.bot();
    let room = bot.create_room(RoomPlan::public().version("12")).await?;
    alice.join(room.id.as_str()).await?;
    ensure!(room.version().await? == Fresh::Known("12".to_owned()));
    let ghost = running.ghosts().named("ann")?;
    let topic = json!({ "topic": "of a ghost" });
    ghost.set_state(&room, "m.room.topic", "", topic).await?;
    let levels = alice.power_levels(&room.id).await?;
    let users = levels["users"].as_object().context("users")?;
    ensure!(
        users.len() == 1 && users.contains_key(ghost.id().as_str()),
        "{users:?}"
    );
    let why = forbidden(ghost.kick(&room, bot.id(), None).await)?;
    ensure!(why.contains("it has made the room"), "{why}");
    Ok(())
}

async fn memberships_are_brought_about(Play { lab, service, .. }: Play) -> anyhow::Result<()> {
    let body = json!({ "preset": "private_chat" });
    let (service, alice, room) = begin(&lab, service, body).await?;
    let running = service.running();
    let ghosts = running.ghosts();
    let members: Vec<UserId> = (0..12)
        .map(|n| Ok(ghosts.named(&format!("g{n:02}"))?.id().clone()))
        .collect::<Result<_, Error>>()?;
    let handle = running.room(&room);
    handle.want_members(members.clone()).await?;
    lab.settle().await;
    let joined = async || {
        let members = alice.members(&room).await?;
        let joined = members
            .into_iter()
            .filter(|(_, membership)| membership == "join");
        anyhow::Ok(joined.map(|(user, _)| user).collect::<BTreeSet<UserId>>())
    };
    let wanted = |ghosts: &[UserId]| {
        let people = [alice.id().clone(), running.bot_id().clone()];
        people
            .into_iter()
            .chain(ghosts.iter().cloned())
            .collect::<BTreeSet<UserId>>()
    };
    ensure!(joined().await? == wanted(&members), "{:?}", joined().await?);
    handle.want_members(members[..3].to_vec()).await?;
    lab.settle().await;
    ensure!(
        joined().await? == wanted(&members[..3]),
        "{:?}",
        joined().await?
    );
    ensure!(handle.membership_gap().await?.is_closed());
    let ghost = ghosts.user(&members[0])?;
    let names: Vec<String> = (0..20).map(|n| format!("Ann {n}")).collect();
    try_join_all(names.iter().map(|name| ghost.set_profile(Some(name), None))).await?;
    ensure!(alice.profile(ghost.id()).await?["displayname"] == "Ann 19");
    ghost
        .set_room_profile(&room, Some("Ann here"), None)
        .await?;
    comes_to(&lab, &Some("Ann here".to_owned()), async || {
        let member = handle.member(ghost.id()).await?.known().flatten();
        Ok(member.and_then(|member| member.displayname))
    })
    .await
}

async fn rooms_are_known_while_they_are_followed(
    Play { lab, service, .. }: Play,
) -> anyhow::Result<()> {
    let body = json!({ "preset": "public_chat", "name": "first" });
    let (service, alice, room) = begin(&lab, service, body).await?;
    let running = service.running();
    let handle = running.room(&room);
    ensure!(handle.name().await? == Fresh::Known(Some("first".to_owned())));
    let name = json!({ "name": "second" });
    alice.set_state(&room, "m.room.name", "", &name).await?;
    let known = Fresh::Known(Some("second".to_owned()));
    comes_to(&lab, &known, async || Ok(handle.name().await?)).await?;
    running.bot().leave(&room, None).await?;
    let name = json!({ "name": "third" });
    alice.set_state(&room, "m.room.name", "", &name).await?;
    lab.settle().await;
    let stale = handle.name().await?;
    ensure!(
        matches!(&stale, Fresh::Stale(Some(name), _) if name == "second"),
        "{stale:?}"
    );
    running.bot().join(&room).await?;
    ensure!(handle.name().await? == Fresh::Known(Some("third".to_owned())));
    Ok(())
}

async fn people_are_invited_kicked_and_let_back(
    Play { lab, service, .. }: Play,
) -> anyhow::Result<()> {
    let service = lab.mount(service).await?;
    lab.settle().await;
    let running = service.running();
    let (alice, bob) = (lab.user("alice").await?, lab.user("bob").await?);
    let bot = running.bot();
    let room = bot
        .create_room(RoomPlan::private().invite([alice.id()]))
        .await?;
    alice.join(room.id.as_str()).await?;
    bot.invite(&room, bob.id()).await?;
    bot.invite(&room, bob.id()).await?;
    bob.join(room.id.as_str()).await?;
    bot.kick(&room, bob.id(), Some("bye")).await?;
    bot.invite(&room, bob.id()).await?;
    bob.join(room.id.as_str()).await?;
    bot.ban(&room, bob.id(), None).await?;
    bot.unban(&room, bob.id()).await?;
    // Nothing is left to be done, and that is no error.
    bot.unban(&room, bob.id()).await?;
    bot.invite(&room, bob.id()).await?;
    bob.join(room.id.as_str()).await?;
    lab.settle().await;
    let found = memberships(&alice, &room.id, bob.id()).await?;
    let expected = [
        "invite", "join", "leave", "invite", "join", "ban", "leave", "invite", "join",
    ];
    ensure!(found == expected, "{found:?}");
    Ok(())
}
