//! Beside our real homeserver.

use std::{path::PathBuf, time::Duration};

use bridgehead_appservice::{
    Database, ProtocolInfo, RemoteAsk, RemoteUser, Running, Service, Setup, ThirdParty, Websocket,
    WebsocketLink, WebsocketState, prelude::*, registration::Generated, surroundings::Surroundings,
};
use bridgehead_testkit::{Client, SERVER_NAME, TestServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::relay::Relay;
use crate::{
    harness::{generate, until},
    rig::Log,
};

/// A homeserver behind a relay, and the registration of a service that opens a websocket.
struct Site {
    relay: Relay,
    host: Option<TestServer>,
    generated: Generated,
    folder: TempDir,
}

impl Site {
    async fn new(service: &Service) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let generated = generate(service, Some("websocket"))?;
        std::fs::write(folder.path().join("r.yaml"), generated.text.expose())?;
        let relay = Relay::start().await?;
        let mut site = Self {
            relay,
            host: None,
            generated,
            folder,
        };
        let host = TestServer::start_with(&[site.registration_file()], &[]).await?;
        site.relay.lead_to(&host.base_url())?;
        site.host = Some(host);
        Ok(site)
    }

    fn registration_file(&self) -> PathBuf {
        self.folder.path().join("r.yaml")
    }

    /// Ends the homeserver and starts it again on its data.
    async fn restart_host(&mut self) -> anyhow::Result<()> {
        let folder = match self.host.take() {
            Some(host) => host.stop().await,
            None => anyhow::bail!("no homeserver"),
        };
        let host = TestServer::start_in(folder, vec![self.registration_file()], &[]).await?;
        self.relay.lead_to(&host.base_url())?;
        self.host = Some(host);
        Ok(())
    }

    async fn start(
        &self,
        service: Service,
        database: &str,
    ) -> anyhow::Result<(Running, WebsocketLink)> {
        let setup = Setup {
            registration: self.generated.registration.clone(),
            server_name: SERVER_NAME.to_owned(),
            homeserver: self.relay.url(),
            database: Database::File(self.folder.path().join(database)),
            surroundings: Surroundings::default(),
        };
        let running = service.start(setup).await?;
        let soon = (Duration::from_millis(5), Duration::from_millis(50));
        let link = running.open_websocket(Websocket::default().waits(soon.0, soon.1))?;
        Ok((running, link))
    }

    async fn user(&self, localpart: &str) -> anyhow::Result<Client> {
        Client::new(&self.relay.url())
            .register(localpart, "password")
            .await
    }
}

fn watcher(log: &Log) -> Service {
    let log = log.clone();
    Service::new("watcher")
        .bot("watcherbot")
        .watch_rooms(".*")
        .on(move |text: Text| {
            let log = log.clone();
            async move { log.lock().push(text.body.clone()) }
        })
}

#[tokio::test]
async fn transactions_and_questions_come_through_it() -> anyhow::Result<()> {
    let log = Log::default();
    let network =
        ThirdParty::new(ProtocolInfo::new()).users(|ask: RemoteAsk, ghosts: Ghosts| async move {
            let ghost = ghosts.named(&ask["nick"])?;
            Ok::<_, Error>(Some(RemoteUser::new(ghost.id())))
        });
    let service = watcher(&log)
        .users("_w_{nick}")
        .aliases("#w_{name}")
        .on_alias(|ask: AliasAsk| async move { RoomPlan::public().name(&ask["name"]) })
        .on_user(|_: UserAsk| async { Some(GhostPlan::new().name("A ghost")) })
        .third_party("w", network);
    let site = Site::new(&service).await?;
    let (running, link) = site.start(service, "a.db").await?;
    assert_eq!(link.connected().await, WebsocketState::Connected);
    let alice = site.user("alice").await?;
    let room = alice.join("#w_made:localhost").await?;
    for number in 0..5 {
        let text = number.to_string();
        alice.send_text(&room, &text, &text).await?;
    }
    until("all is heard", || async { log.lock().len() == 5 }).await?;
    assert_eq!(*log.lock(), ["0", "1", "2", "3", "4"]);
    let (status, profile) = alice
        .get("/_matrix/client/v3/profile/@_w_bob:localhost")
        .await?;
    assert_eq!(
        (status.as_u16(), &profile["displayname"]),
        (200, &json!("A ghost"))
    );
    let (_, users) = alice
        .get("/_matrix/client/v3/thirdparty/user/w?nick=bob")
        .await?;
    assert_eq!(users[0]["userid"], "@_w_bob:localhost");
    running.ping().await?;
    link.stop().await;
    Ok(())
}

/// Sends with the same id until it is done.
async fn send(client: &Client, room: &str, text: &str) -> anyhow::Result<Value> {
    let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
    loop {
        match client.send_text(room, text, text).await {
            Err(_) if std::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            other => return Ok(json!(other?)),
        }
    }
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_it_breaks_and_the_homeserver_restarts()
-> anyhow::Result<()> {
    let log = Log::default();
    let mut site = Site::new(&watcher(&log)).await?;
    let (_running, link) = site.start(watcher(&log), "a.db").await?;
    link.connected().await;
    let alice = site.user("alice").await?;
    let rooms = [
        alice.create_room(&json!({})).await?,
        alice.create_room(&json!({})).await?,
    ];
    for number in 0..120 {
        let text = format!("{number:03}");
        send(&alice, &rooms[number % 2], &text).await?;
        match number {
            20 | 70 => site.restart_host().await?,
            number if number % 9 == 0 => site.relay.cut(),
            _ => {}
        }
    }
    until("all is heard", || async { log.lock().len() >= 120 }).await?;
    until("the websocket is open", || async {
        link.state() == WebsocketState::Connected
    })
    .await?;
    let log = log.lock().clone();
    let of_room = |room: usize| -> Vec<String> {
        let numbers = log
            .iter()
            .filter(|text| text.parse::<usize>().is_ok_and(|n| n % 2 == room));
        numbers.cloned().collect()
    };
    for room in 0..2 {
        let wanted: Vec<String> = (0..120)
            .filter(|number| number % 2 == room)
            .map(|number| format!("{number:03}"))
            .collect();
        assert_eq!(of_room(room), wanted);
    }
    Ok(())
}

#[tokio::test]
async fn what_came_while_the_service_was_away_comes_at_its_return() -> anyhow::Result<()> {
    let log = Log::default();
    let site = Site::new(&watcher(&log)).await?;
    let (running, link) = site.start(watcher(&log), "a.db").await?;
    link.connected().await;
    let alice = site.user("alice").await?;
    let room = alice.create_room(&json!({})).await?;
    send(&alice, &room, "before").await?;
    until("the first is heard", || async { log.lock().len() == 1 }).await?;
    link.stop().await;
    running.stop().await;
    for text in ["away 1", "away 2"] {
        send(&alice, &room, text).await?;
    }
    let (_running, link) = site.start(watcher(&log), "a.db").await?;
    link.connected().await;
    until("the rest is heard", || async { log.lock().len() >= 3 }).await?;
    assert_eq!(*log.lock(), ["before", "away 1", "away 2"]);
    Ok(())
}

#[tokio::test]
async fn of_two_processes_the_second_one_stays() -> anyhow::Result<()> {
    let log = Log::default();
    let site = Site::new(&watcher(&log)).await?;
    let (_first, first) = site.start(watcher(&Log::default()), "a.db").await?;
    first.connected().await;
    let (_second, second) = site.start(watcher(&log), "b.db").await?;
    assert_eq!(first.ended().await, WebsocketState::Replaced);
    assert_eq!(second.connected().await, WebsocketState::Connected);
    let alice = site.user("alice").await?;
    let room = alice.create_room(&json!({})).await?;
    send(&alice, &room, "hello").await?;
    until("the second hears", || async { *log.lock() == ["hello"] }).await?;
    assert_eq!(second.state(), WebsocketState::Connected);
    assert_eq!(first.state(), WebsocketState::Replaced);
    Ok(())
}
