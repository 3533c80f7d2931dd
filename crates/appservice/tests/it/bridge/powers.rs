//! Operators on both sides: power levels, and who is put out.

use bridgehead_appservice::{
    JoinRule,
    bridge::{Action, Member, Receipt, RemoteMessage, RoomChange, RoomInfo},
    id::{RoomId, UserId},
};
use bridgehead_testkit::lab::Lab;
use http::Method;
use serde_json::{Value, json};

use super::plain::{MEMBERSHIP, POWER, Plain, RULES, Scene, ghost, hall};

const BOTH: u32 = POWER | MEMBERSHIP;
const ALL: u32 = BOTH | RULES;

async fn scene(lab: &Lab) -> anyhow::Result<Scene<BOTH>> {
    Scene::new(lab, Plain::new(|_| Ok(Receipt::new()))).await
}

fn ann() -> String {
    "ann".to_owned()
}

async fn levels(scene: &Scene<BOTH>) -> anyhow::Result<Value> {
    let content = scene
        .alice
        .state(&scene.room, "m.room.power_levels", "")
        .await?;
    Ok(content["users"].clone())
}

/// What the network was told of power, as `name: before -> now`.
fn told(scene: &Scene<BOTH>) -> Vec<String> {
    let state = scene.plain.state.lock();
    let changes = state.sent.iter().filter_map(|sent| match &sent.action {
        Action::Power { changes, .. } => Some(changes.clone()),
        _ => None,
    });
    let line = |change: bridgehead_appservice::bridge::PowerChange<_>| {
        let whom = match change.whom {
            Member::User(user) => user,
            Member::Person(person) => person.to_string(),
        };
        format!("{whom}: {} -> {}", change.before, change.now)
    };
    changes.flatten().map(line).collect()
}

#[test]
fn operators_of_the_network_have_power_here() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let (alice, room, remote) = (&scene.alice, &scene.room, scene.remote());
        for user in ["ann", "bob"] {
            remote.join(&hall(), &user.to_owned()).await?;
        }
        let many = [(ann(), 50), ("bob".to_owned(), 500), ("eve".to_owned(), 0)];
        remote.power(&hall(), &many).await?;
        remote
            .power_of_people(&hall(), &[(alice.id().clone(), 25)])
            .await?;
        scene.settle().await;
        let here = levels(&scene).await?;
        assert_eq!(
            (&here[ghost("ann").as_str()], &here[alice.id().as_str()]),
            (&json!(50), &json!(25))
        );
        assert!(
            here.get(ghost("eve").as_str()).is_none(),
            "as everybody has: {here}"
        );
        // No more than the bridge has itself, and then it is for good.
        let bob = here[ghost("bob").as_str()].as_i64().expect("a level");
        assert!(bob >= 100, "{here}");
        assert!(told(&scene).is_empty(), "nothing of it goes back");

        remote.power(&hall(), &[(ann(), 0)]).await?;
        remote.power(&hall(), &[(ann(), 0)]).await?;
        scene.settle().await;
        assert!(levels(&scene).await?.get(ghost("ann").as_str()).is_none());
        let events = scene.events("m.room.power_levels").await?;
        assert_eq!(events.len(), 4, "the first, and three changes");
        let name = alice
            .set_state(room, "m.room.name", "", &json!({ "name": "x" }))
            .await;
        assert!(name.is_err(), "25 are too few for that");
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn people_of_matrix_are_put_out_by_whom_the_network_says() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let (alice, room, remote) = (&scene.alice, &scene.room, scene.remote());
        let carol = lab.user("carol").await?;
        carol.join(room).await?;
        remote
            .message(RemoteMessage::new("1", hall(), ann(), "hello"))
            .await?;
        remote
            .kick(&hall(), carol.id(), Some(&ann()), Some("too loud"))
            .await?;
        scene.settle().await;
        let member = async |user: &UserId| alice.state(room, "m.room.member", user.as_str()).await;
        let kicked = member(carol.id()).await?;
        assert_eq!(
            (&kicked["membership"], &kicked["reason"]),
            (&json!("leave"), &json!("too loud"))
        );
        carol.join(room).await?;
        // With power of her own it is she who does it.
        remote.power(&hall(), &[(ann(), 60)]).await?;
        remote.ban(&hall(), carol.id(), Some(&ann()), None).await?;
        scene.settle().await;
        assert_eq!(member(carol.id()).await?["membership"], "ban");
        remote.unban(&hall(), carol.id(), None).await?;
        scene.settle().await;
        assert_eq!(member(carol.id()).await?["membership"], "leave");
        carol.join(room).await?;
        scene.settle().await;
        let of_carol = scene.events("m.room.member").await?;
        let by: Vec<_> = of_carol
            .iter()
            .filter(|event| event.state_key.as_deref() == Some(carol.id().as_str()))
            .map(|event| event.sender.localpart())
            .collect();
        let expected = [
            "carol",
            "plainbot",
            "carol",
            "_plain_ann",
            "plainbot",
            "carol",
        ];
        assert_eq!(by, expected);
        let sent = scene.plain.sent();
        assert!(
            sent.iter().all(|line| line == "join: "),
            "nothing of it goes back: {sent:?}"
        );
        let bot = UserId::new("plainbot", "localhost")?;
        assert!(remote.kick(&hall(), &bot, None, None).await.is_err());
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn the_network_is_told_whom_people_give_power() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let (alice, room, remote) = (&scene.alice, &scene.room, scene.remote());
        remote
            .power_of_people(&hall(), &[(alice.id().clone(), 100)])
            .await?;
        remote.join(&hall(), &ann()).await?;
        scene.settle().await;
        let mut content = alice.state(room, "m.room.power_levels", "").await?;
        content["users"][ghost("ann").as_str()] = json!(50);
        content["users"]["@carol:localhost"] = json!(10);
        alice
            .set_state(room, "m.room.power_levels", "", &content)
            .await?;
        scene.settle().await;
        assert_eq!(told(&scene), ["ann: 0 -> 50", "@carol:localhost: 0 -> 10"]);
        content["events"]["m.room.topic"] = json!(75);
        alice
            .set_state(room, "m.room.power_levels", "", &content)
            .await?;
        scene.settle().await;
        assert_eq!(told(&scene).len(), 2, "nobody has another power");
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn a_room_that_was_gone_can_come_back() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let remote = scene.remote();
        remote.gone(&hall(), "closed for repairs").await?;
        remote
            .message(RemoteMessage::new("1", hall(), ann(), "into the void"))
            .await?;
        remote.back(&hall()).await?;
        remote
            .message(RemoteMessage::new("2", hall(), ann(), "open again"))
            .await?;
        scene.settle().await;
        let texts = scene.alice.texts(&scene.room).await?;
        assert!(texts.contains(&"open again".to_owned()), "{texts:?}");
        assert!(!texts.contains(&"into the void".to_owned()), "{texts:?}");
        Ok(())
    })
    .expect("it goes through");
}

/// A private room of Alice's, linked to the network's club.
async fn linked(scene: &Scene<BOTH>) -> anyhow::Result<RoomId> {
    let info = RoomInfo::public("The club");
    scene.plain.state.lock().rooms.insert(club(), info);
    let room = scene.alice.create_room("ours").await?;
    let bot = bot(scene)?;
    scene.alice.invite(&room, &bot).await?;
    scene.settle().await;
    scene.alice.set_power(&room, &bot, 50).await?;
    let linked = scene.portals().link(None, &room, &club()).await;
    linked.map_err(|refused| anyhow::anyhow!("{refused}"))?;
    Ok(room)
}

fn club() -> String {
    "club".to_owned()
}

fn bot(scene: &Scene<BOTH>) -> anyhow::Result<UserId> {
    Ok(scene.service.running().bot_id().clone())
}

#[test]
fn a_room_that_was_linked_is_its_owners_to_open() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let room = linked(&scene).await?;
        let before = scene.alice.state(&room, "m.room.join_rules", "").await?;
        for rule in [JoinRule::Public, JoinRule::Invite, JoinRule::Public] {
            let change = RoomChange::new().joined_by(rule).listed(true).topic("tea");
            scene.remote().change(&club(), None, change).await?;
        }
        scene.settle().await;
        let after = scene.alice.state(&room, "m.room.join_rules", "").await?;
        assert_eq!(after, before);
        let path = format!("/_matrix/client/v3/directory/list/room/{room}");
        let listed = scene.alice.call(Method::GET, &path, &Value::Null).await?;
        assert_eq!(listed["visibility"], "private");
        // What it is about is said by either side.
        let topic = scene.alice.state(&room, "m.room.topic", "").await?;
        assert_eq!(topic["topic"], "tea");
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn who_has_put_the_bridge_out_is_not_overruled_by_the_network() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let room = linked(&scene).await?;
        let (remote, bot) = (scene.remote(), bot(&scene)?);
        let is_broken = async || -> anyhow::Result<bool> {
            let portal = remote.portal(&club()).await?.expect("linked");
            Ok(portal.data.broken.is_some())
        };
        // Cut off by the network, and then by her as well.
        for is_gone_before in [true, false] {
            if is_gone_before {
                remote.gone(&club(), "closed for repairs").await?;
                scene.settle().await;
            }
            scene.alice.kick(&room, &bot).await?;
            scene.settle().await;
            remote.back(&club()).await?;
            scene.settle().await;
            assert!(is_broken().await?, "she has put it out");
            scene.alice.invite(&room, &bot).await?;
            scene.settle().await;
            assert!(!is_broken().await?, "she has invited it");
        }
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn rooms_are_made_by_the_rules_that_the_network_names() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let remote = scene.remote();
        let club = RoomInfo::public("The club")
            .joined_by(JoinRule::Knock)
            .listed()
            .local()
            .version("10")
            .power_levels(json!({ "events_default": 5 }));
        scene
            .plain
            .state
            .lock()
            .rooms
            .insert("club".to_owned(), club);
        let club = "club".to_owned();
        remote
            .message(RemoteMessage::new("1", club.clone(), ann(), "hello"))
            .await?;
        scene.settle().await;
        let portal = remote.portal(&club).await?.expect("made").matrix;
        let state = async |kind: &str| -> anyhow::Result<Value> {
            let path = format!("/_matrix/client/v3/rooms/{portal}/state/{kind}/");
            let token = scene.service.as_token().clone();
            crate::outside::call(&scene.service, "GET", &path, Some(&token), &Value::Null).await
        };
        assert_eq!(state("m.room.join_rules").await?["join_rule"], "knock");
        let create = state("m.room.create").await?;
        assert_eq!(
            (&create["room_version"], &create["m.federate"]),
            (&json!("10"), &json!(false))
        );
        assert_eq!(state("m.room.power_levels").await?["events_default"], 5);
        let listed = async || -> anyhow::Result<usize> {
            let page =
                scene
                    .alice
                    .call(Method::GET, "/_matrix/client/v3/publicRooms", &Value::Null);
            Ok(page.await?["chunk"].as_array().map_or(0, Vec::len))
        };
        assert_eq!(listed().await?, 1);
        let change = RoomChange::new().joined_by(JoinRule::Invite).listed(false);
        remote.change(&club, None, change.clone()).await?;
        remote.change(&club, None, change).await?;
        scene.settle().await;
        assert_eq!(state("m.room.join_rules").await?["join_rule"], "invite");
        assert_eq!(listed().await?, 0);
        let nobody = RoomChange::new().joined_by(JoinRule::Restricted);
        remote.change(&club, None, nobody).await?;
        scene.settle().await;
        assert_eq!(
            state("m.room.join_rules").await?,
            json!({ "join_rule": "restricted", "allow": [] })
        );
        assert!(scene.alice.join(&portal).await.is_err());
        let from_hall = RoomChange::new().joined_from([scene.room.clone()]);
        remote.change(&club, None, from_hall).await?;
        scene.settle().await;
        scene.alice.join(&portal).await?;
        Ok(())
    })
    .expect("it goes through");
}

/// What it takes to speak in the hall.
async fn to_speak<const F: u32>(scene: &Scene<F>) -> anyhow::Result<Value> {
    let levels = scene.alice.power_levels(&scene.room).await?;
    Ok(levels["events_default"].clone())
}

#[test]
fn where_only_some_may_speak_nothing_of_the_network_is_lost() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let (alice, room, remote) = (&scene.alice, &scene.room, scene.remote());
        for user in ["ann", "bob"] {
            remote.join(&hall(), &user.to_owned()).await?;
        }
        remote.power(&hall(), &[(ann(), 1)]).await?;
        scene.settle().await;
        let before = alice.power_levels(room).await?;
        let moderated = RoomChange::new().spoken_from(1);
        remote.change(&hall(), None, moderated.clone()).await?;
        remote.change(&hall(), None, moderated.clone()).await?;
        scene.settle().await;
        let mut wanted = before.clone();
        wanted["events_default"] = json!(1);
        assert_eq!(alice.power_levels(room).await?, wanted, "and nothing else");
        assert!(alice.say(room, "may I?").await.is_err());
        // The network has let both speak.
        for (at, user) in ["ann", "bob"].into_iter().enumerate() {
            let said = format!("{user} speaks");
            let message =
                RemoteMessage::new(at.to_string(), hall(), user.to_owned(), said.as_str());
            remote.message(message).await?;
        }
        scene.settle().await;
        let texts = alice.texts(room).await?;
        for said in ["ann speaks", "bob speaks"] {
            assert!(texts.contains(&said.to_owned()), "{texts:?}");
        }
        // It is the same after a crash, and what the room asked for before is not forgotten.
        scene.restart().await?;
        let remote = scene.remote();
        remote.change(&hall(), None, moderated).await?;
        scene.settle().await;
        assert_eq!(to_speak(&scene).await?, 1);
        let open = RoomChange::new().spoken_from(0);
        remote.change(&hall(), None, open).await?;
        scene.settle().await;
        assert_eq!(to_speak(&scene).await?, 0);
        alice.say(room, "thank you").await?;
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn who_may_speak_in_a_room_that_was_linked_is_its_owners_to_say() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let room = linked(&scene).await?;
        let bot = bot(&scene)?;
        scene.alice.set_power(&room, &bot, 100).await?;
        let before = scene.alice.power_levels(&room).await?;
        let moderated = RoomChange::new().spoken_from(1).topic("tea");
        scene.remote().change(&club(), None, moderated).await?;
        scene.settle().await;
        let topic = scene.alice.state(&room, "m.room.topic", "").await?;
        assert_eq!(topic["topic"], "tea");
        assert_eq!(scene.alice.power_levels(&room).await?, before);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn the_network_is_told_who_may_join_and_speak() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = Scene::<ALL>::new(&lab, Plain::new(|_| Ok(Receipt::new()))).await?;
        let (alice, room, remote) = (&scene.alice, &scene.room, scene.remote());
        remote
            .power_of_people(&hall(), &[(alice.id().clone(), 100)])
            .await?;
        // What the network has changed does not come back to it.
        let change = RoomChange::new().joined_by(JoinRule::Invite).spoken_from(1);
        remote.change(&hall(), None, change).await?;
        let change = RoomChange::new().joined_by(JoinRule::Public).spoken_from(0);
        remote.change(&hall(), None, change).await?;
        scene.settle().await;
        let rule = json!({ "join_rule": "invite" });
        alice
            .set_state(room, "m.room.join_rules", "", &rule)
            .await?;
        let mut levels = alice.power_levels(room).await?;
        levels["events_default"] = json!(20);
        for _ in 0..2 {
            alice
                .set_state(room, "m.room.power_levels", "", &levels)
                .await?;
            levels["events"]["m.room.topic"] = json!(75);
        }
        scene.settle().await;
        let state = scene.plain.state.lock();
        let told: Vec<String> = state
            .sent
            .iter()
            .filter_map(|sent| match &sent.action {
                Action::JoinRule { before, now } => Some(format!("{before:?} -> {now:?}")),
                Action::Power { speech, .. } => Some(format!("{speech:?}")),
                _ => None,
            })
            .collect();
        assert_eq!(told, ["Some(Public) -> Invite", "Some((0, 20))"]);
        Ok(())
    })
    .expect("it goes through");
}
