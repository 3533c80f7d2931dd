//! An application service for tests that care how it is asked: it writes down every request as it
//! came, on whatever path, and answers as the test says.

use std::{
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use bridgehead_testkit::{Client, Record, TestServer};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// Longer than anything here takes, also on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// Settings for tests in which attempts fail and are repeated.
pub(crate) const QUICK: &[(&str, &str)] = &[
    ("BRIDGEHEAD_APPSERVICES_BACKOFF_MIN_MS", "10"),
    ("BRIDGEHEAD_APPSERVICES_BACKOFF_MAX_MS", "20"),
];
/// Settings for tests in which no backoff ends by itself.
pub(crate) const PATIENT: &[(&str, &str)] = &[
    ("BRIDGEHEAD_APPSERVICES_BACKOFF_MIN_MS", "600000"),
    ("BRIDGEHEAD_APPSERVICES_BACKOFF_MAX_MS", "600000"),
];

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Escaped as it came.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) authorization: String,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

impl Asked {
    /// The transaction id, for a transaction on either path.
    pub(crate) fn txn_id(&self) -> Option<&str> {
        let (_, id) = self.path.split_once("/transactions/")?;
        (self.method == "PUT").then_some(id)
    }

    pub(crate) fn is_versioned(&self) -> bool {
        self.path.starts_with("/_matrix/app/v1/")
    }

    fn record(&self) -> Option<Record> {
        Some(Record {
            txn_id: self.txn_id()?.to_owned(),
            body: self.body.clone(),
            received_at: self.at,
            parsed: serde_json::from_slice(&self.body).unwrap(),
        })
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Json(u16, Value),
    Html(u16),
    Empty(u16),
    /// None, ever.
    Hang,
    /// The connection ends instead.
    Drop,
    /// A status, and then byte after byte without an end.
    Drip(u16),
}

/// 200 `{}`.
pub(crate) fn yes() -> Reply {
    Reply::Json(200, json!({}))
}

type Answer = Pin<Box<dyn Future<Output = Reply> + Send>>;

struct Shared {
    asked: watch::Sender<Vec<Asked>>,
    answer: Mutex<Arc<dyn Fn(Asked) -> Answer + Send + Sync>>,
    closed: AtomicBool,
    unread: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
}

/// The service. Its ghosts are `@<id>_…`, its aliases `#<id>_…`, both its own alone.
pub(crate) struct Peer {
    id: String,
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Peer {
    /// Starts to listen; every request is answered [`yes`].
    pub(crate) async fn start(id: &str) -> Self {
        let shared = Arc::new(Shared {
            asked: watch::Sender::new(Vec::new()),
            answer: Mutex::new(Arc::new(|_| Box::pin(async { yes() }))),
            closed: AtomicBool::new(false),
            unread: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
        });
        let (port, task) = listen(0, shared.clone()).await;
        Self {
            id: id.to_owned(),
            port,
            shared,
            task,
        }
    }

    pub(crate) fn as_token(&self) -> String {
        format!("as-token-of-{}", self.id)
    }

    pub(crate) fn hs_token(&self) -> String {
        format!("hs-token-of-{}", self.id)
    }

    pub(crate) fn registration(&self) -> Value {
        json!({
            "id": self.id,
            "url": format!("http://127.0.0.1:{}", self.port),
            "as_token": self.as_token(),
            "hs_token": self.hs_token(),
            "sender_localpart": format!("{}-bot", self.id),
            "rate_limited": false,
            "namespaces": {
                "users": [{ "exclusive": true, "regex": format!("@{}_.*", self.id) }],
                "aliases": [{ "exclusive": true, "regex": format!("#{}_.*", self.id) }],
                "rooms": [],
            },
        })
    }

    /// The server's client with the service's token.
    pub(crate) fn client(&self, server: &TestServer) -> Client {
        server.client().with_token(&self.as_token())
    }

    /// Answers like this from now on.
    pub(crate) fn answer<F>(&self, answer: impl Fn(Asked) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        *self.shared.answer.lock().unwrap() = Arc::new(move |asked| Box::pin(answer(asked)));
    }

    /// Answers like this, without waiting for anything.
    pub(crate) fn reply(&self, reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        self.answer(move |asked| std::future::ready(reply(&asked)));
    }

    /// Answers with these, one after the other, then [`yes`].
    pub(crate) fn reply_in_turn(&self, replies: Vec<Reply>) {
        let replies = Mutex::new(replies.into_iter());
        self.reply(move |_| replies.lock().unwrap().next().unwrap_or_else(yes));
    }

    /// The next request's connection ends before the body is read; the request is not written down.
    pub(crate) fn drop_one_unread(&self) {
        self.shared.unread.fetch_add(1, Ordering::SeqCst);
    }

    /// Nobody listens on the port any more, and open connections end.
    pub(crate) async fn close(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.task.abort();
        (&mut self.task).await.ok();
    }

    /// Listens again, on the same port.
    pub(crate) async fn open(&mut self) {
        self.shared.closed.store(false, Ordering::SeqCst);
        self.task = listen(self.port, self.shared.clone()).await.1;
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.borrow().clone()
    }

    /// Transaction requests, repeats too.
    pub(crate) fn records(&self) -> Vec<Record> {
        let asked = self.shared.asked.borrow();
        asked.iter().filter_map(Asked::record).collect()
    }

    /// All events of all transaction requests.
    pub(crate) fn events(&self) -> Vec<Value> {
        let records = self.records();
        let events = records.iter().flat_map(Record::events);
        events.cloned().collect()
    }

    /// The most requests that were ever under way together.
    pub(crate) fn most_in_flight(&self) -> usize {
        self.shared.most_in_flight.load(Ordering::SeqCst)
    }

    /// Waits until the requests so far satisfy the condition.
    pub(crate) async fn wait(&self, condition: impl Fn(&[Asked]) -> bool) -> Vec<Asked> {
        let mut asked = self.shared.asked.subscribe();
        let arrived = tokio::time::timeout(SOON, asked.wait_for(|asked| condition(asked))).await;
        let so_far = self.asked();
        let last = so_far.iter().rev().take(3).collect::<Vec<_>>();
        assert!(
            arrived.is_ok(),
            "not within {SOON:?}; the last of {} requests: {last:?}",
            so_far.len()
        );
        so_far
    }

    pub(crate) async fn wait_count(&self, requests: usize) -> Vec<Asked> {
        self.wait(|asked| asked.len() >= requests).await
    }

    /// Waits until a transaction with the event has arrived.
    pub(crate) async fn wait_event(&self, event_id: &str) -> Vec<Asked> {
        self.wait(|asked| {
            asked.iter().filter_map(Asked::record).any(|record| {
                let mut events = record.events().iter();
                events.any(|event| event["event_id"] == event_id)
            })
        })
        .await
    }

    /// The event as it arrived.
    pub(crate) async fn event(&self, event_id: &str) -> Value {
        self.wait_event(event_id).await;
        let mut events = self.events().into_iter();
        events.find(|event| event["event_id"] == event_id).unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(port: u16, shared: Arc<Shared>) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = axum::Router::new().fallback(handle).with_state(shared);
    let task = tokio::spawn(async move {
        axum::serve(listener, router).await.unwrap();
    });
    (port, task)
}

/// Ends the task that serves this connection, without a panic message.
fn hang_up() -> ! {
    std::panic::resume_unwind(Box::new("the test hangs up"))
}

struct InFlight(Arc<Shared>);

impl InFlight {
    fn new(shared: &Arc<Shared>) -> Self {
        let now = shared.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most_in_flight.fetch_max(now, Ordering::SeqCst);
        Self(shared.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if shared.closed.load(Ordering::SeqCst) {
        hang_up();
    }
    let unread = |left: usize| left.checked_sub(1);
    if (shared.unread)
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, unread)
        .is_ok()
    {
        hang_up();
    }
    let in_flight = InFlight::new(&shared);
    let (parts, body) = request.into_parts();
    let authorization = parts.headers.get("authorization");
    let asked = Asked {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        authorization: authorization
            .map_or("", |value| value.to_str().unwrap())
            .to_owned(),
        body: to_bytes(body, usize::MAX).await.unwrap_or_default(),
        at: Instant::now(),
    };
    let answer = shared.answer.lock().unwrap().clone();
    shared.asked.send_modify(|all| all.push(asked.clone()));
    let reply = answer(asked).await;
    drop(in_flight);
    response(reply).await
}

async fn response(reply: Reply) -> Response {
    let (status, kind, body) = match reply {
        Reply::Json(status, value) => (status, "application/json", Body::from(value.to_string())),
        Reply::Html(status) => (status, "text/html", Body::from("<h1>A page</h1>")),
        Reply::Empty(status) => (status, "text/plain", Body::empty()),
        Reply::Hang => std::future::pending().await,
        Reply::Drop => hang_up(),
        Reply::Drip(status) => (status, "application/json", endless()),
    };
    Response::builder()
        .status(status)
        .header("content-type", kind)
        .body(body)
        .unwrap()
}

fn endless() -> Body {
    let drops = stream::repeat(()).then(|()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok::<_, std::io::Error>(" ")
    });
    Body::from_stream(drops)
}

/// A server with these registrations.
pub(crate) async fn server_with(registrations: &[Value], settings: &[(&str, &str)]) -> TestServer {
    let folder = TempDir::new().unwrap();
    for registration in registrations {
        let file = format!("{}.yaml", registration["id"].as_str().unwrap());
        std::fs::write(folder.path().join(file), registration.to_string()).unwrap();
    }
    start_again(folder, settings).await
}

/// A server for one service.
pub(crate) async fn server_for(peer: &Peer, settings: &[(&str, &str)]) -> TestServer {
    server_with(&[peer.registration()], settings).await
}

/// The next server on an earlier one's folder.
pub(crate) async fn start_again(folder: TempDir, settings: &[(&str, &str)]) -> TestServer {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    TestServer::start_in(folder, files, settings).await.unwrap()
}

/// Alice, and a public room of hers that the service's ghost has joined.
pub(crate) async fn room_with_ghost(server: &TestServer, peer: &Peer) -> (Client, Client, String) {
    let alice = server.user("alice").await.unwrap();
    let room = crate::support::public_room(&alice).await;
    let ghost = joined_ghost(server, peer, &room).await;
    (alice, ghost, room)
}

/// A ghost of the service, joined to a public room.
pub(crate) async fn joined_ghost(server: &TestServer, peer: &Peer, room: &str) -> Client {
    let localpart = format!("{}_ghost", peer.id);
    let ghost = peer
        .client(server)
        .register_ghost(&localpart)
        .await
        .unwrap();
    ghost.join(room).await.unwrap();
    ghost
}

/// Sends this many messages, several at a time.
pub(crate) async fn send_many(client: &Client, room: &str, count: usize, text: &str) {
    let sends = (0..count).map(|number| async move {
        let txn_id = format!("many-{number}");
        client.send_text(room, &txn_id, text).await.unwrap()
    });
    stream::iter(sends)
        .buffer_unordered(32)
        .collect::<Vec<_>>()
        .await;
}
