//! What exactly goes out to the homeserver: a homeserver that writes down each request and answers as it is told.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bridgehead_appservice::{
    Database, ProfileChange, Propagation, Running, Secret, Setup,
    surroundings::{Clock, SeededRandomness, Surroundings, Transport, TransportError},
};
use bytes::Bytes;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, try_join_all},
};
use http::{Request, Response};
use parking_lot::Mutex;
use serde_json::json;

use super::*;
use crate::harness::generate;

pub(super) type Answer = Result<(u16, Value), TransportError>;
type Script = Box<dyn FnMut(&Asked) -> Option<Answer> + Send>;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Method and path, without the query.
    pub(super) what: String,
    pub(super) query: String,
    token: String,
    pub(super) body: Value,
}

#[derive(Clone)]
pub(super) struct Homeserver {
    asked: Arc<Mutex<Vec<Asked>>>,
    script: Arc<Mutex<Script>>,
}

impl Homeserver {
    pub(super) fn new(script: impl FnMut(&Asked) -> Option<Answer> + Send + 'static) -> Self {
        Self {
            asked: Arc::default(),
            script: Arc::new(Mutex::new(Box::new(script))),
        }
    }

    fn answer(&self, asked: Asked) -> Answer {
        let answer = (self.script.lock())(&asked);
        let answer = answer.unwrap_or_else(|| Ok((200, usual(&asked))));
        self.asked.lock().push(asked);
        answer
    }

    /// The requests whose method and path hold this.
    pub(super) fn asked(&self, what: &str) -> Vec<Asked> {
        let asked = self.asked.lock();
        asked
            .iter()
            .filter(|asked| asked.what.contains(what))
            .cloned()
            .collect()
    }
}

/// What is answered where the script does not say.
fn usual(asked: &Asked) -> Value {
    match &asked.what {
        what if what.ends_with("/state") => json!([]),
        what if what.ends_with("/whoami") => json!({ "user_id": "@alice:localhost" }),
        what if what.contains("/send/") || what.contains("/state/") => {
            json!({ "event_id": "$sent" })
        }
        what if what.contains("createRoom") || what.contains("/join/") => {
            json!({ "room_id": "!made:localhost" })
        }
        _ => json!({}),
    }
}

impl Transport for Homeserver {
    fn call(
        &self,
        request: Request<Bytes>,
        _: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        async move {
            let token = request.headers().get("authorization");
            let asked = Asked {
                what: format!("{} {}", request.method(), request.uri().path()),
                query: request.uri().query().unwrap_or_default().to_owned(),
                token: token
                    .and_then(|token| token.to_str().ok())
                    .unwrap_or_default()
                    .to_owned(),
                body: serde_json::from_slice(request.body()).unwrap_or_default(),
            };
            tokio::time::sleep(Duration::from_millis(1)).await;
            let (status, body) = self.answer(asked)?;
            let mut response = Response::new(Bytes::from(body.to_string()));
            *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
            Ok(response)
        }
        .boxed()
    }
}

/// A clock that moves with the paused time of the test.
struct Paused(tokio::time::Instant, AtomicI64);

impl Clock for Paused {
    fn now_ms(&self) -> i64 {
        self.1.load(Ordering::Relaxed)
            + i64::try_from(self.0.elapsed().as_millis()).expect("a short test")
    }
}

pub(super) async fn start(homeserver: &Homeserver) -> anyhow::Result<Running> {
    let service = service();
    let setup = Setup {
        registration: generate(&service, None)?.registration,
        server_name: "localhost".to_owned(),
        homeserver: String::new(),
        database: Database::Memory,
        surroundings: Surroundings {
            clock: Arc::new(Paused(
                tokio::time::Instant::now(),
                AtomicI64::new(1_700_000_000_000),
            )),
            randomness: Arc::new(SeededRandomness::new(1)),
            transport: Some(Arc::new(homeserver.clone())),
            web: None,
            inline_store: true,
        },
    };
    Ok(service.start(setup).await?)
}

pub(super) fn no(errcode: &str) -> Answer {
    Ok((403, json!({ "errcode": errcode, "error": "no" })))
}

pub(super) fn room() -> anyhow::Result<RoomId> {
    room_id("!made:localhost")
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_profiles_is_one_request() -> anyhow::Result<()> {
    let homeserver = Homeserver::new(|_| None);
    let running = start(&homeserver).await?;
    let ghost = running.ghosts().named("ann")?;
    let names: Vec<String> = (0..100).map(|n| format!("Ann {n}")).collect();
    try_join_all(names.iter().map(|name| ghost.set_profile(Some(name), None))).await?;
    let asked = homeserver.asked("/displayname");
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].body, json!({ "displayname": "Ann 99" }));
    let avatar = MxcUri::parse("mxc://localhost/a")?;
    ghost.set_profile(Some("Ann 99"), Some(&avatar)).await?;
    assert_eq!(
        (
            homeserver.asked("/displayname").len(),
            homeserver.asked("/avatar_url").len()
        ),
        (1, 1)
    );
    ghost.set_profile(Some("Ann 99"), Some(&avatar)).await?;
    assert_eq!(homeserver.asked("/profile/").len(), 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_fails_is_everybodys_failure() -> anyhow::Result<()> {
    let homeserver = Homeserver::new(|asked| {
        asked
            .what
            .contains("/displayname")
            .then(|| no("M_FORBIDDEN"))
    });
    let running = start(&homeserver).await?;
    let ghost = running.ghosts().named("ann")?;
    let outcomes = futures_util::future::join_all(
        ["a", "b", "c"].map(|name| ghost.set_profile(Some(name), None)),
    );
    assert!(outcomes.await.iter().all(Result::is_err));
    *homeserver.script.lock() = Box::new(|_| None);
    ghost.set_profile(Some("d"), None).await?;
    let last = homeserver.asked("/displayname").pop().context("asked")?;
    assert_eq!(last.body, json!({ "displayname": "d" }));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn rooms_are_told_as_the_homeserver_offers() -> anyhow::Result<()> {
    for (offers, expected) in [(true, "none"), (false, "")] {
        let homeserver = Homeserver::new(move |asked| {
            let features =
                json!({ "unstable_features": { "computer.gingershaped.msc4466": offers } });
            asked
                .what
                .ends_with("/versions")
                .then_some(Ok((200, features)))
        });
        let running = start(&homeserver).await?;
        let ghost = running.ghosts().named("ann")?;
        let change = ProfileChange::new().name("Ann").tell(Propagation::NoRooms);
        ghost.change_profile(change).await?;
        ghost
            .change_profile(
                ProfileChange::new()
                    .name("Anna")
                    .tell(Propagation::Unchanged),
            )
            .await?;
        ghost.set_profile(Some("Annika"), None).await?;
        let told: Vec<String> = homeserver
            .asked("/displayname")
            .iter()
            .map(|asked| {
                let mut parameters = url::form_urlencoded::parse(asked.query.as_bytes());
                let told =
                    parameters.find(|(key, _)| key == "computer.gingershaped.msc4466.propagate_to");
                told.map(|(_, value)| value.into_owned())
                    .unwrap_or_default()
            })
            .collect();
        let unchanged = if offers { "unchanged" } else { "" };
        assert_eq!(told, [expected, unchanged, ""]);
        assert!(homeserver.asked("/versions").len() <= 1);
    }
    Ok(())
}

/// Which rooms were told of a change, in the order of the requests.
fn told(homeserver: &Homeserver, field: &str) -> Vec<String> {
    let asked = homeserver.asked(field);
    let told = asked.iter().map(|asked| {
        let mut parameters = url::form_urlencoded::parse(asked.query.as_bytes());
        let told = parameters.find(|(key, _)| key == "computer.gingershaped.msc4466.propagate_to");
        told.map_or_else(|| "all".to_owned(), |(_, value)| value.into_owned())
    });
    told.collect()
}

#[tokio::test(start_paused = true)]
async fn each_field_tells_the_rooms_that_it_is_meant_to_tell() -> anyhow::Result<()> {
    let homeserver = Homeserver::new(|asked| {
        let features = json!({ "unstable_features": { "computer.gingershaped.msc4466": true } });
        asked
            .what
            .ends_with("/versions")
            .then_some(Ok((200, features)))
    });
    let running = start(&homeserver).await?;
    let ghost = running.ghosts().named("ann")?;
    let quietly = |change: ProfileChange| change.tell(Propagation::NoRooms);
    let avatar = MxcUri::parse("mxc://localhost/a")?;
    // At about the same time, and each in its own way.
    tokio::try_join!(
        ghost.change_profile(ProfileChange::new().name("Ann")),
        ghost.change_profile(quietly(ProfileChange::new().avatar(&avatar))),
    )?;
    assert_eq!(told(&homeserver, "/displayname"), ["all"]);
    assert_eq!(told(&homeserver, "/avatar_url"), ["none"]);
    // What no room was told of is not done for one that is to tell all.
    ghost.set_profile(None, Some(&avatar)).await?;
    ghost
        .change_profile(quietly(ProfileChange::new().avatar(&avatar)))
        .await?;
    assert_eq!(told(&homeserver, "/avatar_url"), ["none", "all"]);
    // Of the same twice, the one that tells more counts.
    tokio::try_join!(
        ghost.change_profile(ProfileChange::new().name("Anna")),
        ghost.change_profile(quietly(ProfileChange::new().name("Anna"))),
    )?;
    assert_eq!(told(&homeserver, "/displayname"), ["all", "all"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_refused_send_is_repaired_and_sent_again_under_its_own_id() -> anyhow::Result<()> {
    // The ghost believes that it is in the room; the homeserver does not have it there any more.
    let mut refusals = VecDeque::from([true]);
    let homeserver = Homeserver::new(move |asked| {
        let is_send = asked.what.contains("/send/") && asked.body["body"] == "second";
        (is_send && refusals.pop_front().unwrap_or(false)).then(|| no("M_FORBIDDEN"))
    });
    let running = start(&homeserver).await?;
    let ghost = running.ghosts().named("ann")?;
    ghost.send(&room()?, "first").await?;
    assert_eq!(
        (
            homeserver.asked("/join/").len(),
            homeserver.asked("/send/").len()
        ),
        (1, 1)
    );
    ghost.send(&room()?, "second").await?;
    let sends = homeserver.asked("/send/");
    assert_eq!(sends.len(), 3);
    assert_eq!(sends[1].what, sends[2].what, "another transaction id");
    assert_ne!(sends[0].what, sends[1].what);
    assert_eq!(homeserver.asked("/join/").len(), 2, "it has joined again");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_stays_refused_is_asked_twice_and_no_more() -> anyhow::Result<()> {
    let homeserver =
        Homeserver::new(|asked| asked.what.contains("/send/").then(|| no("M_FORBIDDEN")));
    let running = start(&homeserver).await?;
    let ghost = running.ghosts().named("ann")?;
    let refused = ghost.send(&room()?, "hello").await.expect_err("refused");
    assert_eq!(refused.errcode(), Some("M_FORBIDDEN"));
    assert_eq!(homeserver.asked("/send/").len(), 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_closed_room_is_not_hammered() -> anyhow::Result<()> {
    let homeserver = Homeserver::new(|asked| {
        let is_door = ["/join/", "/invite", "/state"]
            .iter()
            .any(|what| asked.what.contains(what));
        is_door.then(|| no("M_FORBIDDEN"))
    });
    let running = start(&homeserver).await?;
    let ghost = running.ghosts().named("ann")?;
    for _ in 0..50 {
        ghost.send(&room()?, "hello").await.expect_err("closed");
    }
    let once = homeserver.asked("/join/").len();
    assert!(
        once <= 2,
        "{once} joins: the ghost's, and that of who would invite it"
    );
    // An hour of messages, one each second.
    for _ in 0..3600 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        ghost.send(&room()?, "hello").await.expect_err("closed");
    }
    let hour = homeserver.asked("/join/").len();
    assert!((4..=24).contains(&hour), "{hour} joins in an hour");
    assert!(homeserver.asked("/send/").is_empty());
    Ok(())
}

/// What a homeserver answers to the making of rooms, one after another, and then the usual.
fn making(answers: impl IntoIterator<Item = Option<Answer>>) -> Homeserver {
    let mut answers: VecDeque<_> = answers.into_iter().collect();
    Homeserver::new(move |asked| match asked.what.contains("createRoom") {
        true => answers.pop_front().flatten(),
        false => None,
    })
}

fn unrecognized() -> Answer {
    Ok((
        404,
        json!({ "errcode": "M_UNRECOGNIZED", "error": "no such endpoint" }),
    ))
}

#[tokio::test(start_paused = true)]
async fn a_room_whose_making_was_not_answered_is_asked_for_under_the_same_id() -> anyhow::Result<()>
{
    let limited = json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 20 });
    let homeserver = making([
        Some(Err(TransportError::Unreachable("nobody there".to_owned()))),
        Some(Ok((429, limited))),
        Some(Err(TransportError::Timeout(1))),
        Some(Ok((502, json!({})))),
    ]);
    let running = start(&homeserver).await?;
    let bot = running.bot();
    let room = bot.create_room(RoomPlan::public()).await?;
    assert_eq!(room.id, super::room_id("!made:localhost")?);
    bot.create_room(RoomPlan::public()).await?;
    let asked = homeserver.asked("createRoom");
    assert_eq!(asked.len(), 6);
    assert!(asked[0].what.starts_with("PUT "), "{:?}", asked[0]);
    assert!(asked[..5].iter().all(|again| again.what == asked[0].what));
    assert_ne!(asked[5].what, asked[0].what);
    // Where it may have been made, it is looked for first.
    assert_eq!(homeserver.asked("/joined_rooms").len(), 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn without_transaction_ids_a_room_is_not_made_again_when_nobody_knows_whether_it_was()
-> anyhow::Result<()> {
    let homeserver = making([Some(unrecognized()), Some(Err(TransportError::Timeout(1)))]);
    let running = start(&homeserver).await?;
    let bot = running.bot();
    let error = bot
        .create_room(RoomPlan::public())
        .await
        .expect_err("nobody knows");
    assert!(
        matches!(error, Error::Transport(TransportError::Timeout(_))),
        "{error}"
    );
    bot.create_room(RoomPlan::public()).await?;
    let asked = homeserver.asked("createRoom");
    let methods: Vec<&str> = asked
        .iter()
        .filter_map(|asked| asked.what.split(' ').next())
        .collect();
    assert_eq!(methods, ["PUT", "POST", "POST"], "it is asked once");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_there_after_all_is_found_by_its_mark() -> anyhow::Result<()> {
    // The homeserver knows no transaction ids, makes the room, and does not say so.
    let mark = Arc::new(Mutex::new(Value::Null));
    let homeserver = Homeserver::new({
        let mut is_asked = false;
        move |asked| match &asked.what {
            what if what.contains("PUT") && what.contains("createRoom") => Some(unrecognized()),
            what if what.contains("createRoom") => {
                *mark.lock() = asked.body["creation_content"].clone();
                assert!(!std::mem::replace(&mut is_asked, true), "made twice");
                Some(Err(TransportError::Timeout(1)))
            }
            what if what.ends_with("/joined_rooms") => Some(Ok((
                200,
                json!({ "joined_rooms": ["!other:localhost", "!found:localhost"] }),
            ))),
            what if what.contains("found") && what.contains("m.room.create") => {
                Some(Ok((200, mark.lock().clone())))
            }
            what if what.contains("m.room.create") => Some(Ok((200, json!({})))),
            what if what.contains("m.room.join_rules") => {
                Some(Ok((200, json!({ "join_rule": "invite" }))))
            }
            _ => None,
        }
    });
    let running = start(&homeserver).await?;
    let alice = UserId::parse("@alice:localhost")?;
    let bot = running.bot();
    bot.create_dm(&alice).await.expect_err("nobody knows");
    let room = bot.create_dm(&alice).await?;
    assert_eq!(room.id, super::room_id("!found:localhost")?);
    let invites = homeserver.asked("/invite");
    assert_eq!(invites.len(), 1, "{invites:?}");
    assert_eq!(invites[0].body["user_id"], "@alice:localhost");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_known_yet_is_no_answer_of_the_room() -> anyhow::Result<()> {
    let mut answers = VecDeque::from([true, true]);
    let homeserver = Homeserver::new(move |asked| {
        let unknown = json!({ "errcode": "M_UNKNOWN_TOKEN", "error": "who?" });
        let is_refused = asked.what.contains("/join/") && answers.pop_front().unwrap_or(false);
        is_refused.then_some(Ok((401, unknown)))
    });
    let running = start(&homeserver).await?;
    let ghost = running.ghosts().named("ann")?;
    ghost.join(&room()?).await.expect_err("not known");
    ghost.join(&room()?).await.expect_err("not known");
    ghost.join(&room()?).await?;
    assert_eq!(homeserver.asked("/join/").len(), 3);
    assert!(
        homeserver.asked("/invite").is_empty(),
        "nobody is asked to help"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_send_waits_for_a_join_that_takes_its_time() -> anyhow::Result<()> {
    // Not there for longer than a call is tried; and who is not in the room cannot send.
    let (mut outage, mut is_in) = (20, false);
    let homeserver = Homeserver::new(move |asked| match &asked.what {
        what if what.contains("/join/") && outage > 0 => {
            outage -= 1;
            Some(Ok((503, json!({}))))
        }
        what if what.contains("/join/") => {
            is_in = true;
            None
        }
        what if what.contains("/send/") && !is_in => Some(no("M_FORBIDDEN")),
        _ => None,
    });
    let running = start(&homeserver).await?;
    let ghost = running.ghosts().named("ann")?;
    ghost.send(&room()?, "hello").await?;
    let sends = homeserver.asked("/send/");
    assert!(sends.len() > 1);
    assert!(sends.iter().all(|send| send.what == sends[0].what));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_room_that_refuses_everything_is_not_looked_into_for_each_message() -> anyhow::Result<()>
{
    let homeserver =
        Homeserver::new(|asked| asked.what.contains("/send/").then(|| no("M_FORBIDDEN")));
    let running = start(&homeserver).await?;
    let ghost = running.ghosts().named("ann")?;
    for _ in 0..20 {
        ghost.send(&room()?, "hello").await.expect_err("refused");
    }
    let read = homeserver.asked("/state").len();
    assert!(read <= 2, "{read} readings of the room");
    assert!(homeserver.asked("/register").len() <= 3);
    // After a while it is worth another look.
    tokio::time::sleep(Duration::from_secs(61)).await;
    ghost.send(&room()?, "hello").await.expect_err("refused");
    assert!(homeserver.asked("/state").len() > read);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_too_large_is_read_once_an_hour() -> anyhow::Result<()> {
    let homeserver = Homeserver::new(|asked| {
        let is_state = asked.what.ends_with("/state");
        is_state.then_some(Err(TransportError::TooLarge(64 << 20)))
    });
    let running = start(&homeserver).await?;
    let bot = running.bot();
    for n in 0..5 {
        let user = UserId::parse(&format!("@u{n}:localhost"))?;
        bot.invite(&room()?, &user).await?;
        running
            .ghosts()
            .named(&format!("g{n}"))?
            .join(&room()?)
            .await?;
    }
    assert_eq!(homeserver.asked("/state").len(), 1);
    tokio::time::sleep(Duration::from_secs(3601)).await;
    bot.invite(&room()?, &UserId::parse("@late:localhost")?)
        .await?;
    assert_eq!(homeserver.asked("/state").len(), 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_acts_is_said_once() -> anyhow::Result<()> {
    let homeserver = Homeserver::new(|_| None);
    let running = start(&homeserver).await?;
    let person = UserId::parse("@alice:localhost")?;
    let puppet = running
        .puppets()
        .adopt(&person, Secret::new("alices-own".to_owned()))
        .await?;
    puppet.send(&room()?, "hello").await?;
    running
        .ghosts()
        .named("ann")?
        .send(&room()?, "hello")
        .await?;
    let sends = homeserver.asked("/send/");
    assert_eq!(
        (&*sends[0].token, &*sends[0].query),
        ("Bearer alices-own", "")
    );
    assert_ne!(sends[1].token, sends[0].token);
    assert_eq!(sends[1].query, "user_id=%40_act_ann%3Alocalhost");
    let registered: Vec<Value> = homeserver
        .asked("/register")
        .iter()
        .map(|asked| asked.body["username"].clone())
        .collect();
    assert_eq!(
        registered,
        ["actorsbot", "_act_ann"],
        "people are not registered"
    );
    assert!(
        homeserver
            .asked("/register")
            .iter()
            .all(|asked| asked.body["inhibit_login"] == true)
    );
    let debug = format!("{puppet:?} {:?}", running.puppets().of(&person));
    assert!(!debug.contains("alices-own"), "{debug}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_persons_token_that_is_refused_holds_up_nobody() -> anyhow::Result<()> {
    let homeserver = Homeserver::new(|asked| {
        let unknown = json!({ "errcode": "M_UNKNOWN_TOKEN", "error": "logged out" });
        (asked.token == "Bearer alices-own" && asked.what.contains("/send/"))
            .then_some(Ok((401, unknown)))
    });
    let running = start(&homeserver).await?;
    let person = UserId::parse("@alice:localhost")?;
    let puppet = running
        .puppets()
        .adopt(&person, Secret::new("alices-own".to_owned()))
        .await?;
    let refused = puppet.send(&room()?, "hello").await.expect_err("refused");
    assert!(matches!(refused, Error::PuppetLost(_)), "{refused}");
    running
        .ghosts()
        .named("ann")?
        .send(&room()?, "hello")
        .await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn joins_name_servers_where_they_are_known() -> anyhow::Result<()> {
    let homeserver = Homeserver::new(|_| None);
    let running = start(&homeserver).await?;
    let ghost = running.ghosts().named("ann")?;
    let far = room_id("!far:elsewhere.example")?;
    let options = bridgehead_appservice::JoinOptions::new()
        .via("near.example")
        .via("near.example")
        .reason("hi");
    ghost.join_with(&far, &options).await?;
    let join = homeserver.asked("/join/").pop().context("joined")?;
    let via: Vec<String> = url::form_urlencoded::parse(join.query.as_bytes())
        .filter(|(key, _)| key == "via")
        .map(|(_, value)| value.into_owned())
        .collect();
    assert_eq!(via, ["near.example", "elsewhere.example"]);
    assert_eq!(join.body, json!({ "reason": "hi" }));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_thousand_sends_into_a_known_room_ask_for_nothing_else() -> anyhow::Result<()> {
    let homeserver = Homeserver::new(|_| None);
    let running = start(&homeserver).await?;
    let ghost = running.ghosts().named("ann")?;
    for n in 0..1000 {
        ghost.send(&room()?, format!("message {n}")).await?;
    }
    assert_eq!(homeserver.asked("/send/").len(), 1000);
    // Two registrations and one join beside them, and what the start asks.
    let others = homeserver.asked("").len() - 1000;
    assert!(others <= 4, "{others} other requests");
    Ok(())
}
