//! Media, puppets, log-ins and histories, whatever the homeserver.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use bridgehead_appservice::{
    Running,
    bridge::{
        backfill::{BackfillState, HistoryMessage, HistoryPage},
        provisioning::Provisioning,
        puppets::{Consent, PuppetError},
    },
    format::content::{Media, MediaKind},
    media::{Fit, MediaError, Upload},
    prelude::*,
};
use bridgehead_testkit::lab::{LabService, LabUser};
use bytes::Bytes;
use http::{Method, Request, header};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Play, comes_to};
use crate::outside::{log_in, seen};

/// A picture of one pixel.
const PNG: &[u8] = b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\x0dIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82";
/// When the first message of a history was said, ms since the Unix epoch.
const THEN: i64 = 1_000_000_000_000;

/// What would go to the other network.
type Heard = Arc<Mutex<Vec<String>>>;

scenarios! {
    the_same_picture_is_uploaded_once: service("uploads");
    what_people_upload_is_fetched: service("downloads").limits(|limits| limits.max_media_bytes = 1000);
    what_is_said_for_a_person_is_theirs_and_does_not_come_back: heard("doubles", &Heard::default());
    a_registration_may_let_the_service_act_for_all: masks(&Heard::default());
    sessions_that_the_service_made_end_with_it_and_given_ones_do_not: service("sessions").watch_users("@sess.*");
    people_log_in_by_their_homeserver_and_out_again: service("provision").provisioning(Provisioning::new().openid());
    history_is_brought_in_order_with_its_times: service("history");
}

fn service(name: &str) -> Service {
    Service::new(name)
        .bot(&format!("{name}bot"))
        .users(&format!("_{name}_{{nick}}"))
}

/// A bridge that writes down what would go to the other network.
fn heard(name: &str, heard: &Heard) -> Service {
    let (texts, redactions) = (heard.clone(), heard.clone());
    service(name)
        .on(move |text: Text| {
            let heard = texts.clone();
            async move { heard.lock().push(text.body) }
        })
        .on(move |redaction: Redaction| {
            let heard = redactions.clone();
            async move { heard.lock().push(format!("redacted {}", redaction.redacts)) }
        })
}

/// One that may act for whoever has such a name.
fn masks(heard: &Heard) -> Service {
    self::heard("masks", heard).watch_users("@mask.*")
}

async fn the_same_picture_is_uploaded_once(play: Play) -> anyhow::Result<()> {
    let Play { lab, service, .. } = play;
    let irc = lab.mount(service).await?;
    let (running, alice) = (irc.running(), lab.user("alice").await?);
    let (media, ghosts) = (running.media(), running.ghosts());
    let (ann, bob) = (ghosts.named("ann")?, ghosts.named("bob")?);
    let picture = || Upload::new(PNG, "image/png");
    let first = media.upload(picture().by(ann.id())).await?;
    let again = media.upload(picture().by(bob.id())).await?;
    ensure!(first == again);
    let down = alice.download(&first).await?;
    ensure!((&*down.bytes, &*down.content_type) == (PNG, "image/png"));
    drop((media, running, ghosts, ann, bob));
    lab.restart(&irc).await?;
    let media = irc.running().media();
    ensure!(media.upload(picture()).await? == first);
    ensure!(seen(&lab, "PUT upload/").await == 1);

    let named = media.upload(picture().named("cat.png")).await?;
    ensure!(named != first, "the name is the upload's");
    ensure!(media.download(&named).await?.name.as_deref() == Some("cat.png"));
    ensure!(media.upload(picture().anew()).await? != first);
    ensure!(media.forget(&first).await?);
    ensure!(!media.forget(&first).await?);
    ensure!(media.upload(picture()).await? != first);
    Ok(())
}

async fn what_people_upload_is_fetched(play: Play) -> anyhow::Result<()> {
    let Play { lab, service, .. } = play;
    let irc = lab.mount(service).await?;
    let (media, alice) = (irc.running().media(), lab.user("alice").await?);
    let uri = alice.upload("image/png", PNG).await?;
    let down = media.download(&uri).await?;
    ensure!((&*down.bytes, down.mime.as_deref()) == (PNG, Some("image/png")));
    let small = media.thumbnail(&uri, (32, 32), Fit::Scale).await?;
    ensure!(small.mime.is_some_and(|mime| mime.starts_with("image/")));

    let mut message = Media::new(MediaKind::Image, &uri, "a.png");
    ensure!(media.download_of(&message).await?.bytes == PNG);
    message.encrypted = true;
    let refused = media.download_of(&message).await;
    ensure!(matches!(refused, Err(MediaError::Encrypted)), "{refused:?}");

    let nothing = MxcUri::parse(&format!("mxc://{}/nothing", lab.server_name()))?;
    let found = media.download(&nothing).await;
    ensure!(
        matches!(&found, Err(MediaError::NotFound(uri)) if *uri == nothing),
        "{found:?}"
    );
    let large = alice.upload("text/plain", vec![b'x'; 1001]).await?;
    let refused = media.download(&large).await;
    let is_too_large = matches!(refused, Err(MediaError::TooLarge { limit: Some(1000) }));
    ensure!(is_too_large, "{refused:?}");
    Ok(())
}

/// A room of this person with the service's own user, who lets ghosts in.
async fn portal(service: &LabService, person: &LabUser) -> anyhow::Result<RoomId> {
    let running = service.running();
    let bot = running.bot_id().clone();
    let body = json!({ "preset": "private_chat", "invite": [bot], "room_version": "11" });
    let room = person.create_room_with(&body).await?;
    running.bot().join(&room).await?;
    let power = json!({ "users": { person.id().as_str(): 100, bot.as_str(): 100 } });
    person
        .set_state(&room, "m.room.power_levels", "", &power)
        .await?;
    Ok(room)
}

async fn what_is_said_for_a_person_is_theirs_and_does_not_come_back(
    play: Play,
) -> anyhow::Result<()> {
    let lab = play.lab;
    let heard = Heard::default();
    let irc = lab.mount(self::heard("doubles", &heard)).await?;
    lab.settle().await;
    let alice = lab.user("alice").await?;
    let room = portal(&irc, &alice).await?;
    let token = log_in(&irc, &alice).await?;
    let puppets = irc.running().puppets();
    ensure!(puppets.of(alice.id()).is_none());
    let puppet = puppets.adopt(alice.id(), token).await?;
    let event = puppet.send(&room, "from the other side").await?;
    puppet.redact(&room, &event, None).await?;
    puppet.send(&room, "again").await?;
    alice.say(&room, "typed here").await?;
    let only = vec!["typed here".to_owned()];
    comes_to(&lab, &only, async || Ok(heard.lock().clone())).await?;
    let timeline = alice.timeline(&room).await?;
    let said = timeline
        .iter()
        .find(|event| event.text("body") == Some("again"));
    let said = said.context("it was said")?;
    ensure!(said.sender == *alice.id());
    ensure!(said.content["fi.mau.double_puppet_source"] == "doubles");

    drop((puppet, puppets));
    lab.restart(&irc).await?;
    let puppets = irc.running().puppets();
    let puppet = puppets.of(alice.id()).context("known after a restart")?;
    puppet.send(&room, "once more").await?;
    alice.say(&room, "typed again").await?;
    let both = ["typed here", "typed again"].map(str::to_owned).to_vec();
    comes_to(&lab, &both, async || Ok(heard.lock().clone())).await?;
    let status = puppets.status(alice.id()).await?.context("a status")?;
    ensure!((status.consent, status.lost_ms) == (Consent::Token, None));
    ensure!(puppets.list(None, 10).await? == [status]);
    Ok(())
}

async fn a_registration_may_let_the_service_act_for_all(play: Play) -> anyhow::Result<()> {
    let lab = play.lab;
    let heard = Heard::default();
    let irc = lab.mount(masks(&heard)).await?;
    lab.settle().await;
    let (mask, bob) = (lab.user("mask").await?, lab.user("bob").await?);
    let room = portal(&irc, &mask).await?;
    let puppets = irc.running().puppets();
    ensure!(puppets.of(mask.id()).is_none(), "only who was asked for");
    let puppet = puppets.adopt_by_registration(mask.id()).await?;
    puppet.send(&room, "by registration").await?;
    let refused = puppets.adopt_by_registration(bob.id()).await;
    ensure!(
        matches!(refused, Err(PuppetError::NotAllowed(_))),
        "{refused:?}"
    );
    drop((puppet, puppets));
    lab.restart(&irc).await?;
    let puppets = irc.running().puppets();
    let puppet = puppets.of(mask.id()).context("known after a restart")?;
    puppet.send(&room, "again").await?;
    mask.say(&room, "by hand").await?;
    let only = vec!["by hand".to_owned()];
    comes_to(&lab, &only, async || Ok(heard.lock().clone())).await?;
    let texts = mask.texts(&room).await?;
    ensure!(
        texts == ["by registration", "again", "by hand"],
        "{texts:?}"
    );
    ensure!(puppets.drop(mask.id()).await?);
    ensure!(puppets.of(mask.id()).is_none());
    ensure!(!puppets.drop(mask.id()).await?);
    let nobody = UserId::new("masknobody", lab.server_name())?;
    let refused = puppets.adopt_by_registration(&nobody).await;
    ensure!(
        matches!(refused, Err(PuppetError::Homeserver(_))),
        "{refused:?}"
    );
    Ok(())
}

async fn devices(user: &LabUser) -> anyhow::Result<usize> {
    let path = "/_matrix/client/v3/devices";
    let answer = user.call(Method::GET, path, &Value::Null).await?;
    Ok(answer["devices"].as_array().context("devices")?.len())
}

async fn sessions_that_the_service_made_end_with_it_and_given_ones_do_not(
    play: Play,
) -> anyhow::Result<()> {
    let Play { lab, service, .. } = play;
    let irc = lab.mount(service).await?;
    lab.settle().await;
    let person = lab.user("sess").await?;
    let room = portal(&irc, &person).await?;
    let puppets = irc.running().puppets();
    let puppet = puppets.log_in(person.id()).await?;
    puppet.send(&room, "hello").await?;
    ensure!(devices(&person).await? == 2);
    puppets.log_in(person.id()).await?;
    ensure!(
        devices(&person).await? == 2,
        "the session of before has ended"
    );
    ensure!(puppets.drop(person.id()).await?);
    ensure!(devices(&person).await? == 1);
    let token = log_in(&irc, &person).await?;
    puppets.adopt(person.id(), token.clone()).await?;
    ensure!(puppets.drop(person.id()).await?);
    ensure!(devices(&person).await? == 2);
    Ok(())
}

/// Status and JSON of an answer of the provisioning API.
async fn ask(
    running: &Running,
    method: Method,
    path: &str,
    (token, body): (Option<&str>, &Value),
) -> anyhow::Result<(u16, Value)> {
    let uri = format!("/_matrix/provision/v1{path}");
    let mut request = Request::builder().method(method).uri(uri);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = match body {
        Value::Null => Bytes::new(),
        body => Bytes::from(body.to_string()),
    };
    let answer = running.call(request.body(body)?).await;
    let json = serde_json::from_slice(answer.body()).unwrap_or_default();
    Ok((answer.status().as_u16(), json))
}

async fn people_log_in_by_their_homeserver_and_out_again(play: Play) -> anyhow::Result<()> {
    let Play { lab, service, .. } = play;
    let irc = lab.mount(service).await?;
    lab.settle().await;
    let alice = lab.user("alice").await?;
    let path = format!(
        "/_matrix/client/v3/user/{}/openid/request_token",
        alice.id()
    );
    let proof = alice.call(Method::POST, &path, &json!({})).await?;
    let log_in = async |proof: &Value| {
        ask(&irc.running(), Method::POST, "/openid/login", (None, proof)).await
    };
    let mut forged = proof.clone();
    forged["access_token"] = json!(alice.token().expose());
    ensure!(log_in(&forged).await?.0 == 401);
    let (status, answer) = log_in(&proof).await?;
    ensure!(status == 200, "{status} {answer}");
    ensure!(answer["user_id"] == alice.id().as_str());
    let token = answer["token"].as_str().context("a token")?.to_owned();
    let as_alice = (Some(&*token), &Value::Null);
    let (status, who) = ask(&irc.running(), Method::GET, "/whoami", as_alice).await?;
    let known = json!({
        "user_id": alice.id(), "service": "provision", "bot": irc.running().bot_id(),
        "management_room": null, "puppet": null, "logins": [],
    });
    ensure!((status, &who) == (200, &known), "{status} {who}");
    lab.restart(&irc).await?;
    let running = irc.running();
    let (status, _) = ask(&running, Method::GET, "/logins", as_alice).await?;
    ensure!(status == 200, "after a restart");
    let sql = "SELECT hex(digest), user_id FROM provisioning_sessions";
    let stored = running.store().query(sql, []).await?;
    let hex: String = token.bytes().map(|byte| format!("{byte:02X}")).collect();
    ensure!(stored[0].text(1) == Some(alice.id().as_str()));
    ensure!(stored[0].text(0).map(str::len) == Some(64));
    ensure!(stored[0].text(0) != Some(&*hex));
    ensure!(ask(&running, Method::POST, "/logout", as_alice).await?.0 == 200);
    ensure!(ask(&running, Method::GET, "/whoami", as_alice).await?.0 == 401);
    Ok(())
}

/// The message of this number, said by one of two people.
fn message(running: &Running, number: usize) -> anyhow::Result<HistoryMessage> {
    let ghost = running.ghosts().named(["ann", "ben"][number % 2])?;
    let sent_ms = THEN + number as i64 * 1000;
    Ok(HistoryMessage::new(
        &format!("m{number}"),
        ghost.id(),
        sent_ms,
        format!("line {number}"),
    ))
}

async fn history_is_brought_in_order_with_its_times(play: Play) -> anyhow::Result<()> {
    const ALL: usize = 12;
    let Play { lab, service, .. } = play;
    let irc = lab.mount(service).await?;
    lab.settle().await;
    let (running, alice) = (irc.running(), lab.user("alice").await?);
    let room = alice.create_room("lobby").await?;
    running.bot().join(&room).await?;
    let history = running.backfills().of(&room, "libera/#rust");
    ensure!(history.status().await?.is_none());
    let asked = Mutex::new(Vec::new());
    // Pages of five; the cursor is the number of the next message.
    let status = history.clone().run(|cursor: Option<String>| {
        let from: usize = cursor
            .as_deref()
            .map_or(0, |cursor| cursor.parse().expect("a number"));
        let to = (from + 5).min(ALL);
        let messages = (from..to).map(|number| message(&running, number).expect("a ghost"));
        let page = HistoryPage {
            messages: messages.collect(),
            next: (to < ALL).then(|| to.to_string()),
        };
        asked.lock().push(cursor);
        async move { Ok::<_, Error>(page) }
    });
    let status = status.await?;
    ensure!((status.state, status.sent, status.failed) == (BackfillState::Done, ALL as u64, 0));
    let cursors = [None, Some("5".to_owned()), Some("10".to_owned())];
    ensure!(*asked.lock() == cursors);
    let lines: Vec<_> = (0..ALL).map(|number| format!("line {number}")).collect();
    ensure!(alice.texts(&room).await? == lines);
    let timeline = alice.timeline(&room).await?;
    let said: Vec<_> = timeline
        .iter()
        .filter(|event| event.kind == "m.room.message")
        .collect();
    for (number, event) in said.iter().enumerate() {
        ensure!(event.sent_at_ms == THEN + number as i64 * 1000);
        let sender = ["_history_ann", "_history_ben"][number % 2];
        ensure!(event.sender.localpart() == sender);
        ensure!(event.content["org.matrix.msc2716.historical"] == true);
        ensure!(event.content["m.mentions"] == json!({}));
    }
    let last = said.last().map(|event| &event.id);
    ensure!(status.last_event.as_ref() == last);
    let again = history
        .clone()
        .run(async |_| -> Result<HistoryPage, Error> { panic!("it is done") });
    ensure!(again.await? == status);
    ensure!(history.status().await? == Some(status));
    // By `ts`: neither homeserver takes batches.
    ensure!(!running.capabilities().await?.batch_send());
    Ok(())
}
