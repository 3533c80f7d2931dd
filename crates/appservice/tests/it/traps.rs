//! What other frameworks fall into, one test for each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bridgehead_appservice::{
    Database, Service,
    prelude::*,
    registration::{Namespace, RegistrationDraft},
};
use bridgehead_testkit::SERVER_NAME;
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    harness::{Pair, until},
    rig::{FakeHost, Log, Rig, message, message_in, recorder},
};

/// A service whose handler for `$bad` fails in this way.
fn failing(log: &Log, fail: fn() -> Result<(), HandlerError>) -> Service {
    let log = log.clone();
    Service::new("failing")
        .limits(|limits| {
            limits.attempts = 3;
            limits.first_retry = Duration::from_millis(5);
        })
        .on(move |event: Timeline| {
            let log = log.clone();
            async move {
                if event.id == "$bad" {
                    return fail();
                }
                log.lock().push(event.id.to_string());
                Ok(())
            }
        })
}

/// Trap 1: a listener that throws leaves the transaction pending for ever, and each repetition waits on it.
#[tokio::test]
async fn a_handler_that_throws_wedges_nothing() -> anyhow::Result<()> {
    let ways: [fn() -> Result<(), HandlerError>; 2] =
        [|| panic!("thrown"), || Err(HandlerError::new("thrown"))];
    for fail in ways {
        let log = Log::default();
        let rig = Rig::start(failing(&log, fail)).await?;
        let events = [message("$bad"), message("$after")];
        assert_eq!(rig.put_events("1", &events).await, 200);
        assert_eq!(rig.put_events("1", &events).await, 200);
        assert_eq!(
            rig.put_events("2", &[message_in("!other:x", "$other")])
                .await,
            200
        );
        rig.settled().await?;
        // Everything else was handled, the same room's next event too, and each once.
        let mut handled = log.lock().clone();
        handled.sort();
        assert_eq!(handled, ["$after", "$other"]);
        let parked = rig.running.parked(0, 10).await?;
        assert_eq!((parked.len(), parked[0].attempts), (1, 3));
        assert!(parked[0].error.contains("thrown"), "{}", parked[0].error);
    }
    Ok(())
}

/// Trap 2: what was acknowledged is lost by a crash, being in a queue in memory only.
#[tokio::test]
async fn a_crash_after_the_acknowledgement_loses_nothing() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let database = || Database::File(folder.path().join("service.db"));
    let begun = Arc::new(AtomicUsize::new(0));
    let counter = begun.clone();
    let stuck = Service::new("recorder").on(move |_: Timeline| {
        counter.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<()>()
    });
    let rig = Rig::start_in(stuck, FakeHost::friendly(), database()).await?;
    // More than fit any queue of that kind, over some rooms.
    let events: Vec<Value> = (0..300)
        .map(|number| message_in(&format!("!{}:x", number % 7), &format!("${number:03}")))
        .collect();
    for (index, events) in events.chunks(50).enumerate() {
        assert_eq!(rig.put_events(&index.to_string(), events).await, 200);
    }
    until("handlers are in the middle of it", || async {
        begun.load(Ordering::Relaxed) == 7
    })
    .await?;
    drop(rig);
    let log = Log::default();
    let rig = started_again(recorder(&log), &folder).await?;
    rig.settled().await?;
    let log = log.lock().clone();
    assert_eq!(log.len(), 300);
    for room in 0..7 {
        let of_room: Vec<&String> = log
            .iter()
            .filter(|id| {
                id[1..]
                    .parse::<usize>()
                    .is_ok_and(|number| number % 7 == room)
            })
            .collect();
        assert!(of_room.is_sorted() && !of_room.is_empty(), "{of_room:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_homeserver_has_sent_once_needs_no_second_sending() -> anyhow::Result<()> {
    let begun = Log::default();
    let sink = begun.clone();
    let stuck = Service::new("recorder")
        .watch_rooms(".*")
        .on(move |text: Text| {
            sink.lock().push(text.body.clone());
            std::future::pending::<()>()
        });
    let pair = Pair::start(stuck).await?;
    let alice = pair.user("alice").await?;
    let room = alice.create_room(&json!({})).await?;
    for text in ["one", "two", "three"] {
        alice.send_text(&room, text, text).await?;
    }
    until("all is taken, and the first is being handled", || async {
        pair.running.inbox_depth() >= 3 && *begun.lock() == ["one"]
    })
    .await?;
    let log = Log::default();
    let sink = log.clone();
    let service = Service::new("recorder")
        .watch_rooms(".*")
        .on(move |text: Text| {
            sink.lock().push(text.body.clone());
            async {}
        });
    let pair = pair.crash_and_start(service).await?;
    until("the rest is handled", || async { log.lock().len() >= 3 }).await?;
    pair.settled().await?;
    assert_eq!(*log.lock(), ["one", "two", "three"]);
    Ok(())
}

/// Trap 2, the other half: events whose handlers failed are acknowledged and gone.
#[tokio::test]
async fn what_failed_is_kept_over_a_restart() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let database = Database::File(folder.path().join("service.db"));
    let service = failing(&Log::default(), || {
        Err(HandlerError::new("the network is down"))
    });
    let rig = Rig::start_in(service, FakeHost::friendly(), database).await?;
    assert_eq!(rig.put_events("1", &[message("$bad")]).await, 200);
    rig.settled().await?;
    rig.running.stop().await;
    let log = Log::default();
    let rig = started_again(recorder(&log), &folder).await?;
    let parked = rig.running.parked(0, 10).await?;
    assert_eq!(parked.len(), 1);
    assert!(rig.running.replay(parked[0].number).await?);
    until("it is handled after all", || async {
        *log.lock() == ["$bad"]
    })
    .await
}

/// Starts a service on the database of one that has just gone.
async fn started_again(service: Service, folder: &TempDir) -> anyhow::Result<Rig> {
    let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
    loop {
        let database = Database::File(folder.path().join("service.db"));
        match Rig::start_in(service.clone(), FakeHost::friendly(), database).await {
            Err(error)
                if error.to_string().contains("in use") && std::time::Instant::now() < deadline =>
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            other => return other,
        }
    }
}

/// Trap 3: a no with status 200 and an errcode in the body is a yes to homeservers.
#[tokio::test]
async fn a_no_is_no_success() -> anyhow::Result<()> {
    let service = Service::new("asked")
        .users("_x_{name}")
        .aliases("#x_{name}")
        .on_alias(|ask: AliasAsk| async move {
            match &ask["name"] {
                "fails" => Err(HandlerError::new("no database")),
                "panics" => panic!("as it was told"),
                "yes" => Ok(Some(RoomPlan::public())),
                _ => Ok(None),
            }
        })
        .on_user(|ask: UserAsk| async move {
            match &ask["name"] {
                "fails" => Err(HandlerError::new("no database")),
                "yes" => Ok(Some(GhostPlan::new())),
                _ => Ok(None),
            }
        });
    let rig = Rig::start(service).await?;
    for (name, status) in [("yes", 200), ("no", 404), ("fails", 500)] {
        let (alias, _) = rig
            .get(&format!("/_matrix/app/v1/rooms/%23x_{name}:localhost"))
            .await;
        let (user, _) = rig
            .get(&format!("/_matrix/app/v1/users/@_x_{name}:localhost"))
            .await;
        assert_eq!((alias, user), (status, status), "{name}");
    }
    let (status, _) = rig.get("/rooms/%23x_panics:localhost").await;
    assert_eq!(status, 500);
    // A service without such handlers says no as well, and never lets the homeserver wait.
    let rig = Rig::start(
        Service::new("silent")
            .users("_x_{name}")
            .aliases("#x_{name}"),
    )
    .await?;
    for path in ["/users/@_x_a:localhost", "/rooms/%23x_a:localhost"] {
        assert_eq!(rig.get(path).await.0, 404, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn nobody_joins_a_room_that_the_service_denies() -> anyhow::Result<()> {
    let service = Service::new("denier")
        .aliases("#denied_{name}")
        .on_alias(|_: AliasAsk| async { None::<RoomPlan> });
    let pair = Pair::start(service).await?;
    let alice = pair.user("alice").await?;
    let error = alice
        .join("#denied_room:localhost")
        .await
        .expect_err("no room");
    assert!(error.to_string().contains("404"), "{error}");
    Ok(())
}

/// Trap 4: patterns that are searched anywhere in an id, and templates whose dots match anything.
#[tokio::test]
async fn namespaces_are_whole_ids_from_their_start() -> anyhow::Result<()> {
    let asked = Log::default();
    let (aliases, users) = (asked.clone(), asked.clone());
    let service = Service::new("owner")
        .users("_a.b_{name}")
        .aliases("#x.y_{name}")
        .on_alias(move |ask: AliasAsk| {
            aliases.lock().push(ask.alias.to_string());
            async { None::<RoomPlan> }
        })
        .on_user(move |ask: UserAsk| {
            users.lock().push(ask.user_id.to_string());
            async { None::<GhostPlan> }
        });
    let rig = Rig::start(service).await?;
    for path in [
        "/users/@evil_a.b_bob:localhost",
        "/users/@_aXb_bob:localhost",
        "/users/@_a.b_bob:localhost.evil.org",
        "/users/@_a.b_bob:elsewhere",
        "/users/@_a.b_:localhost",
        "/rooms/%23evil%23x.y_room:localhost",
        "/rooms/%23xXy_room:localhost",
        "/rooms/%23x.y_room:localhost.evil.org",
    ] {
        assert_eq!(rig.get(path).await.0, 404, "{path}");
    }
    assert!(asked.lock().is_empty(), "{asked:?}");
    let ghosts = rig.running.ghosts();
    for foreign in [
        "@evil_a.b_bob:localhost",
        "@_aXb_bob:localhost",
        "@_a.b_bob:elsewhere",
    ] {
        assert!(ghosts.user(&UserId::parse(foreign)?).is_err(), "{foreign}");
    }
    rig.get("/users/@_a.b_bob:localhost").await;
    rig.get("/rooms/%23x.y_room:localhost").await;
    assert_eq!(
        *asked.lock(),
        ["@_a.b_bob:localhost", "#x.y_room:localhost"]
    );
    // What the homeserver matches by is as narrow.
    for namespace in &rig.generated.registration.users {
        let pattern = regex::Regex::new(&format!(r"\A(?:{})", namespace.regex))?;
        assert!(
            pattern.is_match("@_a.b_bob:localhost"),
            "{}",
            namespace.regex
        );
        for foreign in ["@_aXb_bob:localhost", "@_a.b_bob:elsewhere"] {
            assert!(!pattern.is_match(foreign), "{} {foreign}", namespace.regex);
        }
    }
    Ok(())
}

/// The layout of some generators: the sender has a random name, and the bot is a user of the namespace.
fn namespaced_bot(draft: &mut RegistrationDraft) {
    let bot = std::mem::replace(&mut draft.sender_localpart, "x7f3random".to_owned());
    draft.users.push(Namespace {
        regex: format!("@{}:{SERVER_NAME}", regex::escape(&bot)),
        exclusive: true,
    });
}

/// Trap 5: a bot that is no sender is not the service's own user.
#[tokio::test]
async fn both_layouts_of_the_bot_work() -> anyhow::Result<()> {
    let changes: [fn(&mut RegistrationDraft); 2] = [|_| (), namespaced_bot];
    for change in changes {
        let log = Log::default();
        let sink = log.clone();
        let service = Service::new("bridge")
            .bot("bridgebot")
            .users("_b_{name}")
            .on(move |text: Text, room: Room, bot: Bot| {
                let sink = sink.clone();
                async move {
                    sink.lock().push(text.body.clone());
                    bot.send(&room, format!("heard {}", text.body)).await
                }
            });
        let pair = Pair::start_changed(service, change).await?;
        assert_eq!(pair.running.bot_id(), "@bridgebot:localhost");
        let alice = pair.user("alice").await?;
        let invited = json!({ "invite": ["@bridgebot:localhost"] });
        let room = alice.create_room(&invited).await?;
        pair.running.bot().join(&RoomId::parse(&room)?).await?;
        alice.send_text(&room, "1", "hello").await?;
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=20");
        until("the bot has answered", || async {
            let Ok((_, page)) = alice.get(&path).await else {
                return false;
            };
            let events = page["chunk"].as_array().cloned().unwrap_or_default();
            events.iter().any(|event| {
                event["sender"] == "@bridgebot:localhost"
                    && event["content"]["body"] == "heard hello"
            })
        })
        .await?;
        pair.settled().await?;
        // Its own answer is not taken for a message of somebody.
        assert_eq!(*log.lock(), ["hello"]);
        pair.running.ping().await?;
    }
    Ok(())
}

/// Trap 6: a framework that wants exactly one namespace of users.
#[tokio::test]
async fn any_number_of_namespaces_is_good() -> anyhow::Result<()> {
    let templates: [&[&str]; 3] = [
        &[],
        &["_one_{name}"],
        &["_libera_{nick}", "_oftc_{nick}", "_matter_{team}_{name}"],
    ];
    for templates in templates {
        let asked = Log::default();
        let sink = asked.clone();
        let service = Service::new("many")
            .bot("manybot")
            .on_user(move |ask: UserAsk| {
                sink.lock().push(ask.user_id.to_string());
                async { Some(GhostPlan::new()) }
            });
        let service = templates
            .iter()
            .fold(service, |service, template| service.users(template));
        let pair = Pair::start(service).await?;
        pair.running
            .bot()
            .join(&RoomId::parse(&room_of(&pair).await?)?)
            .await?;
        for template in templates {
            let localpart = template.replace(['{', '}'], "");
            let user = UserId::parse(&format!("@{localpart}:{SERVER_NAME}"))?;
            let ghost = pair.running.ghosts().user(&user)?;
            ghost.join(&RoomId::parse(&room_of(&pair).await?)?).await?;
            let alice = pair.user(&format!("asker_{localpart}")).await?;
            let path = format!("/_matrix/client/v3/profile/@{localpart}2:{SERVER_NAME}");
            assert_eq!(alice.get(&path).await?.0.as_u16(), 200);
        }
        let nobody = UserId::parse(&format!("@_else_a:{SERVER_NAME}"))?;
        assert!(pair.running.ghosts().user(&nobody).is_err());
        assert_eq!(asked.lock().len(), templates.len());
    }
    Ok(())
}

async fn room_of(pair: &Pair) -> anyhow::Result<String> {
    let owner = pair
        .user(&format!("owner{}", rand::random::<u32>()))
        .await?;
    owner.create_room(&json!({ "preset": "public_chat" })).await
}

/// Trap 7: endpoints of the service itself are asked under a mask, and refused.
#[tokio::test]
async fn the_ping_is_asked_without_a_mask() -> anyhow::Result<()> {
    let log = Log::default();
    let changes: [(fn(&mut RegistrationDraft), _); 2] = [
        (|_| (), None),
        (namespaced_bot, Some("@bridgebot:localhost")),
    ];
    for (change, wanted) in changes {
        let host = FakeHost::friendly();
        let service = recorder(&log).bot("bridgebot").encryption(true);
        let rig = Rig::start_changed(service, host.clone(), change).await?;
        // Nobody calls back here; the request is what counts.
        rig.running.ping().await.expect_err("nobody has called");
        let pings = host.asked_of("/ping");
        assert_eq!(pings.len(), 1);
        assert_eq!(pings[0].method, Method::POST);
        assert_eq!(pings[0].path, "/_matrix/client/v1/appservice/recorder/ping");
        assert!(pings[0].query.is_empty(), "{:?}", pings[0].query);
        // The bot itself is masked where it is not the sender.
        rig.running
            .bot()
            .join(&RoomId::parse("!there:localhost")?)
            .await?;
        let joins = host.asked_of("/join/");
        let mask = joins[0].query.get("user_id").map(String::as_str);
        assert_eq!(mask, wanted);
    }
    Ok(())
}
