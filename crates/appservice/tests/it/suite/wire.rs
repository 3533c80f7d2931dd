//! What a homeserver asks and tells a service beside events, whatever the homeserver.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use bridgehead_appservice::{
    ProtocolInfo, RemoteAsk, RemoteLocation, RemoteUser, ThirdParty, prelude::*,
};
use bridgehead_testkit::lab::{Fault, LabUser};
use http::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Homeserver, Play, comes_to};

/// What a service was told, in the order of its telling.
type Heard = Arc<Mutex<Vec<String>>>;

scenarios! {
    a_ping_comes_back: Service::new("pinged").bot("pingedbot");
    typing_and_receipts_are_told: listener(&Heard::default());
    a_ghost_is_there_once_somebody_wants_it: asked(&Heard::default());
    people_look_up_users_and_places_of_the_other_network: networks();
}

async fn a_ping_comes_back(play: Play) -> anyhow::Result<()> {
    let Play { lab, service, .. } = play;
    let service = lab.mount(service).await?;
    lab.settle().await;
    service.running().ping().await?;
    // The homeserver says what it has met.
    let lost = Fault::of_deliveries().on(Method::POST, "/ping");
    lab.faults()
        .plan(lost.answer_status(http::StatusCode::BAD_GATEWAY));
    let error = service.running().ping().await.expect_err("it did not come");
    ensure!(error.to_string().contains("M_BAD_STATUS"), "{error}");
    ensure!(lab.faults().unused().is_empty());
    service.running().ping().await?;
    Ok(())
}

/// Writes down who types, and who has read what.
fn listener(heard: &Heard) -> Service {
    let (types, reads) = (heard.clone(), heard.clone());
    Service::new("listener")
        .bot("listenerbot")
        .on(move |typing: Typing| {
            let names: Vec<_> = typing.users.iter().map(ToString::to_string).collect();
            types
                .lock()
                .push(format!("[{}] in {}", names.join(" "), typing.room_id));
            async {}
        })
        .on(move |receipt: Receipt| {
            let lines = receipt.reads.iter();
            let lines = lines.map(|(user, event, kind)| format!("{user} {kind} {event}"));
            reads.lock().extend(lines);
            async {}
        })
}

async fn typing_and_receipts_are_told(play: Play) -> anyhow::Result<()> {
    let lab = play.lab;
    let heard = Heard::default();
    let service = lab.mount(listener(&heard)).await?;
    let (alice, bob) = (lab.user("alice").await?, lab.user("bob").await?);
    let room = alice.create_room("lobby").await?;
    // Whoever is there, and where: rooms without the service are none of its business.
    let elsewhere = alice.create_room("elsewhere").await?;
    service.running().bot().join(&room).await?;
    bob.join(&room).await?;
    let said = alice.say(&room, "hello").await?;
    lab.settle().await;
    let told = async |line: String| {
        let is_told = async || Ok(heard.lock().contains(&line));
        comes_to(&lab, &true, is_told)
            .await
            .with_context(|| format!("{line}: {heard:?}"))
    };
    let minute = std::time::Duration::from_secs(60);
    alice.typing(&elsewhere, minute).await?;
    alice.typing(&room, minute).await?;
    told(format!("[{}] in {room}", alice.id())).await?;
    alice.typing(&room, std::time::Duration::ZERO).await?;
    told(format!("[] in {room}")).await?;
    bob.read(&room, &said).await?;
    told(format!("{} m.read {said}", bob.id())).await?;
    // What the service's own users do is no news to it.
    service.running().bot().typing(&room, true).await?;
    lab.settle().await;
    let heard = heard.lock();
    ensure!(
        !heard.iter().any(|line| line.contains(elsewhere.as_str())),
        "{heard:?}"
    );
    ensure!(
        !heard.iter().any(|line| line.contains("listenerbot")),
        "{heard:?}"
    );
    Ok(())
}

/// Makes ghosts of all but `nobody` when it is asked for them.
fn asked(heard: &Heard) -> Service {
    let heard = heard.clone();
    Service::new("asked")
        .bot("askedbot")
        .users("_asked_{name}")
        .on_user(move |ask: UserAsk| {
            heard.lock().push(ask.user_id.to_string());
            async move { (&ask["name"] != "nobody").then(|| GhostPlan::new().name("A ghost")) }
        })
}

async fn a_ghost_is_there_once_somebody_wants_it(play: Play) -> anyhow::Result<()> {
    let Play {
        lab, homeserver, ..
    } = play;
    let heard = Heard::default();
    let service = lab.mount(asked(&heard)).await?;
    lab.settle().await;
    let alice = lab.user("alice").await?;
    let ghost = |name: &str| UserId::new(&format!("_asked_{name}"), lab.server_name());
    let (bob, nobody, dora) = (ghost("bob")?, ghost("nobody")?, ghost("dora")?);
    let profile = async |user: &UserId| Ok(name_of(alice.profile(user).await.ok()));
    let room = alice.create_room("lobby").await?;
    match homeserver {
        // Asks before it answers, whoever wants to know of a user.
        Homeserver::Bridgehead => {
            ensure!(profile(&dora).await?.as_deref() == Some("A ghost"));
            ensure!(*heard.lock() == [dora.to_string()], "{heard:?}");
            let refused = alice
                .invite(&room, &nobody)
                .await
                .expect_err("there is no such ghost");
            ensure!(
                refused.status().is_some_and(|status| status == 404),
                "{refused}"
            );
        }
        // Invites whoever is named, and asks afterwards; who only looks at a profile is told that there is none.
        Homeserver::Synapse => {
            ensure!(profile(&dora).await?.is_none());
            alice.invite(&room, &nobody).await?;
            comes_to(&lab, &vec![nobody.to_string()], async || {
                Ok(heard.lock().clone())
            })
            .await?;
        }
    }
    ensure!(profile(&nobody).await?.is_none());
    alice.invite(&room, &bob).await?;
    comes_to(&lab, &Some("A ghost".to_owned()), async || {
        profile(&bob).await
    })
    .await?;
    service
        .running()
        .ghosts()
        .user(&bob)?
        .send(&room, "here I am")
        .await?;
    alice.hears(&room, "here I am").await?;
    lab.settle().await;
    let heard = heard.lock();
    let asked = heard.iter().filter(|user| **user == *bob.as_str()).count();
    ensure!(asked == 1, "{heard:?}");
    Ok(())
}

fn name_of(profile: Option<Value>) -> Option<String> {
    profile?["displayname"].as_str().map(str::to_owned)
}

/// A network that knows Bob and all channels.
fn networks() -> Service {
    let info = ProtocolInfo::new()
        .field("network", "[a-z.]+", "irc.example.org")
        .field("nick", r"\S+", "somebody")
        .field("channel", r"#\S+", "#rust")
        .users_by(&["network", "nick"])
        .locations_by(&["network", "channel"])
        .instance("example", "Example", &[("network", "irc.example.org")]);
    let irc = ThirdParty::new(info)
        .users(|ask: RemoteAsk, ghosts: Ghosts| async move {
            if &ask["nick"] != "bob" {
                return Ok::<_, Error>(None);
            }
            let ghost = ghosts.named(&ask["nick"])?;
            Ok(Some(
                RemoteUser::new(ghost.id()).field("nick", &ask["nick"]),
            ))
        })
        .locations(|ask: RemoteAsk, bot: Bot| async move {
            let name = format!("lookup_{}", ask["channel"].trim_start_matches('#'));
            let alias = RoomAlias::new(&name, bot.id().server())?;
            let found = RemoteLocation::new(&alias).field("channel", &ask["channel"]);
            Ok::<_, Error>(vec![found])
        })
        .of_user(|ask: UserAsk| async move {
            ask.get("name")
                .map(|name| RemoteUser::new(&ask.user_id).field("nick", name))
        })
        .of_alias(|ask: AliasAsk| async move {
            let channel = format!("#{}", &ask["channel"]);
            vec![RemoteLocation::new(&ask.alias).field("channel", &channel)]
        });
    Service::new("lookup")
        .bot("lookupbot")
        .users("_lookup_{name}")
        .aliases("#lookup_{channel}")
        .third_party("irc", irc)
        .third_party("gopher", ThirdParty::new(ProtocolInfo::new()))
}

async fn people_look_up_users_and_places_of_the_other_network(play: Play) -> anyhow::Result<()> {
    let Play {
        lab,
        service,
        homeserver,
    } = play;
    let _service = lab.mount(service).await?;
    lab.settle().await;
    let alice = lab.user("alice").await?;
    let (bob, rust) = (
        format!("@_lookup_bob:{}", lab.server_name()),
        format!("#lookup_rust:{}", lab.server_name()),
    );
    let look = async |path: &str| look_up(&alice, path).await;
    let protocols = look("protocols").await?;
    ensure!(
        protocols["irc"]["instances"][0]["network_id"] == "example",
        "{protocols}"
    );
    ensure!(protocols["gopher"]["instances"] == json!([]), "{protocols}");
    let irc = look("protocol/irc").await?;
    ensure!(
        irc["field_types"]["channel"]["placeholder"] == "#rust",
        "{irc}"
    );
    ensure!(
        irc["location_fields"] == json!(["network", "channel"]),
        "{irc}"
    );
    let users = look("user/irc?network=irc.example.org&nick=bob").await?;
    let known = json!([{ "userid": bob, "protocol": "irc", "fields": { "nick": "bob" } }]);
    ensure!(users == known, "{users}");
    ensure!(look("user/irc?nick=eve").await? == json!([]));
    let places = look("location/irc?channel=%23rust").await?;
    let known = json!([{ "alias": rust, "protocol": "irc", "fields": { "channel": "#rust" } }]);
    ensure!(places == known, "{places}");
    // What an id of Matrix is on the other side: Synapse has the path, and asks nobody.
    let users = look(&format!("user?userid={}", bob.replace('@', "%40"))).await?;
    let places = look(&format!("location?alias={}", rust.replace('#', "%23"))).await?;
    match homeserver {
        Homeserver::Bridgehead => {
            ensure!(users[0]["fields"]["nick"] == "bob", "{users}");
            ensure!(places[0]["fields"]["channel"] == "#rust", "{places}");
        }
        Homeserver::Synapse => ensure!((users, places) == (json!([]), json!([]))),
    }
    Ok(())
}

async fn look_up(person: &LabUser, what: &str) -> anyhow::Result<Value> {
    let path = format!("/_matrix/client/v3/thirdparty/{what}");
    Ok(person.call(Method::GET, &path, &Value::Null).await?)
}
