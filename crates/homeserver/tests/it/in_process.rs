//! The server without sockets: requests and transactions by function call, time that stands still,
//! chances from a seed.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bridgehead_homeserver::{
    Outgoing, OutgoingError, Server, Surroundings, TimerClock,
    config::{Config, Overrides},
};
use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// 2026-01-01T00:00:00Z, ms.
const NEW_YEAR: i64 = 1_767_225_600_000;
const SERVICES: [&str; 2] = ["irc", "log"];

/// Services that are functions: what each was told, as `service method path body`.
#[derive(Default)]
struct Told {
    down: AtomicBool,
    requests: Mutex<Vec<(String, String, Value)>>,
}

impl Outgoing for Told {
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'_, Result<Response<Bytes>, OutgoingError>> {
        async move {
            if self.down.load(Ordering::Relaxed) {
                return Err(OutgoingError::Connect("nobody listens".to_owned()));
            }
            let service = request.uri().host().unwrap().to_owned();
            let token = format!("Bearer hs-{service}");
            assert_eq!(request.headers()["authorization"], token.as_str());
            let line = format!("{} {}", request.method(), request.uri().path());
            let body = serde_json::from_slice(request.body()).unwrap_or_default();
            self.requests.lock().push((service, line, body));
            Ok(Response::new(Bytes::from_static(b"{}")))
        }
        .boxed()
    }

    fn reachable<'a>(&'a self, _url: &'a str) -> BoxFuture<'a, bool> {
        async { !self.down.load(Ordering::Relaxed) }.boxed()
    }
}

impl Told {
    /// The events that a service was told, in order.
    fn events(&self, service: &str) -> Vec<Value> {
        let requests = self.requests.lock();
        let of_service = requests.iter().filter(|(to, _, _)| to == service);
        let events = of_service.flat_map(|(_, _, body)| body["events"].as_array().cloned());
        events.flatten().collect()
    }

    /// The texts of the messages among them.
    fn texts(&self, service: &str) -> Vec<String> {
        let events = self.events(service);
        let bodies = events
            .iter()
            .filter_map(|event| event["content"]["body"].as_str());
        bodies.map(str::to_owned).collect()
    }
}

/// A server in the test's thread.
struct World {
    server: Server,
    told: Arc<Told>,
    folder: TempDir,
}

impl World {
    async fn start(seed: u64) -> Self {
        let folder = TempDir::new().unwrap();
        for id in SERVICES {
            let registration = json!({
                "id": id, "url": format!("http://{id}"), "as_token": format!("as-{id}"),
                "hs_token": format!("hs-{id}"), "sender_localpart": id,
                "namespaces": { "users": [{ "regex": format!("@{id}_.*"), "exclusive": true }] },
            });
            let file = folder.path().join(format!("{id}.yaml"));
            std::fs::write(file, registration.to_string()).unwrap();
        }
        Self::start_in(folder, seed).await
    }

    async fn start_in(folder: TempDir, seed: u64) -> Self {
        let told = Arc::new(Told::default());
        let surroundings = Surroundings {
            clock: Arc::new(TimerClock::starting_at(NEW_YEAR)),
            seed: Some(seed),
            outgoing: Some(told.clone()),
            inline: true,
        };
        let server = Server::start_with(config(folder.path()), surroundings);
        Self {
            server: server.await.unwrap(),
            told,
            folder,
        }
    }

    async fn call(&self, token: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .body(Bytes::from(body.to_string()))
            .unwrap();
        let answer = self.server.call(request).await;
        let body = serde_json::from_slice(answer.body()).unwrap_or_default();
        (answer.status().as_u16(), body)
    }

    async fn ok(&self, token: &str, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(token, method, path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// A user's token.
    async fn register(&self, name: &str) -> String {
        let body = json!({
            "username": name, "password": "correct horse", "auth": { "type": "m.login.dummy" },
        });
        let path = "/_matrix/client/v3/register";
        let answer = self.ok("", Method::POST, path, body).await;
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// A room of the user's with a ghost of each service in it.
    async fn room(&self, user: &str) -> String {
        let body = json!({ "preset": "public_chat" });
        let path = "/_matrix/client/v3/createRoom";
        let made = self.ok(user, Method::POST, path, body).await;
        let room = made["room_id"].as_str().unwrap().to_owned();
        for id in SERVICES {
            let (token, ghost) = (format!("as-{id}"), format!("{id}_ghost"));
            let body = json!({ "type": "m.login.application_service", "username": ghost, "inhibit_login": true });
            let path = "/_matrix/client/v3/register";
            self.ok(&token, Method::POST, path, body).await;
            let path = format!("/_matrix/client/v3/join/{room}?user_id=@{ghost}:localhost");
            self.ok(&token, Method::POST, &path, json!({})).await;
        }
        room
    }

    async fn say(&self, user: &str, room: &str, text: &str) -> String {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{text}");
        let content = json!({ "msgtype": "m.text", "body": text });
        let sent = self.ok(user, Method::PUT, &path, content).await;
        sent["event_id"].as_str().unwrap().to_owned()
    }

    /// Until all services have all; the pauses cost no real time.
    async fn settle(&self) {
        let settled = async {
            while !self.server.is_settled() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let settled = timeout(Duration::from_secs(600), settled).await;
        settled.expect("ten minutes are more than the longest backoff");
    }
}

fn config(folder: &Path) -> Config {
    let overrides = Overrides {
        data_dir: Some(folder.join("data")),
        server_name: Some("localhost".to_owned()),
        registrations: SERVICES
            .map(|id| folder.join(format!("{id}.yaml")))
            .to_vec(),
        open_registration: true,
        rate_limits: Some(false),
        ..Overrides::default()
    };
    let mut config = Config::load(None, std::iter::empty(), overrides)
        .unwrap()
        .config;
    config.listen.clear();
    config
}

#[tokio::test(start_paused = true)]
async fn a_hundred_messages_reach_each_service_once_and_in_order() {
    let world = World::start(1).await;
    let alice = world.register("alice").await;
    let room = world.room(&alice).await;
    let said: Vec<String> = (0..100).map(|n| format!("m{n}")).collect();
    for text in &said {
        world.say(&alice, &room, text).await;
    }
    world.settle().await;
    assert!(world.server.addresses().is_empty());
    for id in SERVICES {
        assert_eq!(world.told.texts(id), said);
    }
    world.server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_downtime_passes_in_an_instant() {
    let real = std::time::Instant::now();
    let world = World::start(2).await;
    let alice = world.register("alice").await;
    let room = world.room(&alice).await;
    world.settle().await;
    let before = Instant::now();

    world.told.down.store(true, Ordering::Relaxed);
    world.say(&alice, &room, "missed").await;
    sleep(Duration::from_secs(3600)).await;
    assert!(!world.server.is_settled());
    world.told.down.store(false, Ordering::Relaxed);
    world.settle().await;

    assert_eq!(world.told.texts("irc"), ["missed"]);
    assert!(before.elapsed() >= Duration::from_secs(3600));
    assert!(
        real.elapsed() < Duration::from_secs(20),
        "{:?}",
        real.elapsed()
    );
    // The server's clock went along.
    let event = world.told.events("irc").pop().unwrap();
    let age = NEW_YEAR + 3_600_000 - event["origin_server_ts"].as_i64().unwrap();
    assert!((0..3_600_000).contains(&age), "{age}");
    world.server.stop().await;
}

/// All that a run shows: ids, tokens, the log, and each byte that services were told.
async fn run(seed: u64) -> (Vec<String>, Value, Vec<(String, String, Value)>) {
    let world = World::start(seed).await;
    let alice = world.register("alice").await;
    let room = world.room(&alice).await;
    let mut ids = vec![alice.clone(), room.clone()];
    for n in 0..20 {
        ids.push(world.say(&alice, &room, &format!("m{n}")).await);
    }
    world.settle().await;
    let path = "/_matrix/client/v3/profile/@alice:localhost/displayname";
    let body = json!({ "displayname": "Alice" });
    world.ok(&alice, Method::PUT, path, body).await;
    world.settle().await;
    let path = "/_matrix/client/v3/sync";
    let log = world.ok(&alice, Method::GET, path, json!({})).await;
    world.server.stop().await;
    let told = std::mem::take(&mut *world.told.requests.lock());
    (ids, log, told)
}

#[tokio::test(start_paused = true)]
async fn a_seed_repeats_ids_tokens_and_log() {
    let first = run(7).await;
    assert!(first.2.len() > 2);
    assert_eq!(first, run(7).await);
    let other = run(8).await;
    assert_ne!(first.0[..2], other.0[..2]);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_waits_without_a_socket() {
    let world = World::start(3).await;
    let alice = world.register("alice").await;
    let room = world.room(&alice).await;
    let path = "/_matrix/client/v3/sync?timeout=0";
    let first = world.ok(&alice, Method::GET, path, json!({})).await;
    let path = |since: &Value| {
        let since = since["next_batch"].as_str().unwrap();
        format!("/_matrix/client/v3/sync?timeout=25000&since={since}")
    };
    let said = async {
        sleep(Duration::from_secs(7)).await;
        world.say(&alice, &room, "news").await
    };
    let (started, poll) = (Instant::now(), path(&first));
    let (woken, id) = tokio::join!(world.ok(&alice, Method::GET, &poll, json!({})), said);
    let timeline = &woken["rooms"]["join"][&room]["timeline"]["events"];
    assert_eq!(timeline[0]["event_id"], id.as_str());
    assert_eq!(started.elapsed().as_secs(), 7);
    let started = Instant::now();
    world
        .ok(&alice, Method::GET, &path(&woken), json!({}))
        .await;
    assert_eq!(started.elapsed().as_secs(), 25);
    world.server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn media_come_and_go_on_one_thread() {
    let world = World::start(4).await;
    let alice = world.register("alice").await;
    let bytes = Bytes::from(vec![7; 200_000]);
    let request = |method: Method, path: &str, body: Bytes| {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {alice}"));
        world.server.call(request.body(body).unwrap())
    };
    let path = "/_matrix/media/v3/upload?filename=sevens";
    let uploaded = request(Method::POST, path, bytes.clone()).await;
    let uri: Value = serde_json::from_slice(uploaded.body()).unwrap();
    let id = uri["content_uri"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap();
    let path = format!("/_matrix/client/v1/media/download/localhost/{id}");
    let downloaded = request(Method::GET, &path, Bytes::new()).await;
    assert_eq!(downloaded.status(), StatusCode::OK);
    assert_eq!(downloaded.body(), &bytes);
    world.server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_server_answers_503_and_starts_again_on_its_data() {
    let world = World::start(5).await;
    let alice = world.register("alice").await;
    let room = world.room(&alice).await;
    world.told.down.store(true, Ordering::Relaxed);
    world.say(&alice, &room, "before").await;
    let caller = world.server.caller();
    world.server.stop().await;
    let request = Request::get("/_matrix/client/versions").body(Bytes::new());
    let answer = caller.call(request.unwrap()).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);

    let world = World::start_in(world.folder, 6).await;
    world.say(&alice, &room, "after").await;
    world.settle().await;
    for id in SERVICES {
        assert_eq!(world.told.texts(id), ["before", "after"]);
    }
    world.server.stop().await;
}
