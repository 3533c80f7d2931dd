//! A service alone: its homeserver is a function that writes down what it is asked.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bridgehead_appservice::{
    Database, Running, Service, Setup,
    prelude::*,
    registration::{Generated, RegistrationDraft},
    surroundings::{Surroundings, Transport, TransportError},
};
use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::harness::{generate, generate_changed, until};

/// The homeserver's name.
pub(crate) const SERVER: &str = "localhost";

type Answers = dyn Fn(&Asked) -> Result<Response<Bytes>, TransportError> + Send + Sync;

/// What the homeserver was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) body: Value,
}

/// A homeserver that answers as it is told.
pub(crate) struct FakeHost {
    pub(crate) asked: Mutex<Vec<Asked>>,
    answers: Box<Answers>,
}

impl FakeHost {
    pub(crate) fn new(
        answers: impl Fn(&Asked) -> Result<Response<Bytes>, TransportError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            asked: Mutex::default(),
            answers: Box::new(answers),
        })
    }

    /// One that agrees to everything.
    pub(crate) fn friendly() -> Arc<Self> {
        Self::new(|asked| Ok(agrees(asked)))
    }

    /// What it answers, by whatever way it is asked.
    pub(crate) fn answer(&self, asked: &Asked) -> Result<Response<Bytes>, TransportError> {
        self.asked.lock().push(asked.clone());
        (self.answers)(asked)
    }

    /// What was asked of paths that have this in them.
    pub(crate) fn asked_of(&self, part: &str) -> Vec<Asked> {
        let asked = self.asked.lock();
        let matching = asked.iter().filter(|asked| asked.path.contains(part));
        matching.cloned().collect()
    }
}

impl Transport for FakeHost {
    fn call(
        &self,
        request: Request<Bytes>,
        _: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        let query = request.uri().query().unwrap_or_default().as_bytes();
        let asked = Asked {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: url::form_urlencoded::parse(query).into_owned().collect(),
            body: serde_json::from_slice(request.body()).unwrap_or_default(),
        };
        async move { self.answer(&asked) }.boxed()
    }
}

/// A yes to whatever was asked.
pub(crate) fn agrees(asked: &Asked) -> Response<Bytes> {
    let body = match asked.path.as_str() {
        "/_matrix/client/v3/register" => json!({ "user_id": "@somebody:localhost" }),
        "/_matrix/client/v3/createRoom" => json!({ "room_id": "!made:localhost" }),
        path if path.contains("/send/") => json!({ "event_id": "$sent" }),
        _ => json!({ "room_id": "!there:localhost" }),
    };
    reply(200, &body.to_string())
}

pub(crate) fn reply(status: u16, body: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

/// A service and its fake homeserver.
pub(crate) struct Rig {
    pub(crate) running: Running,
    pub(crate) generated: Generated,
}

impl Rig {
    /// Starts the service beside a homeserver that agrees to everything.
    pub(crate) async fn start(service: Service) -> anyhow::Result<Self> {
        Self::beside(service, FakeHost::friendly()).await
    }

    /// Starts the service beside this homeserver.
    pub(crate) async fn beside(service: Service, host: Arc<FakeHost>) -> anyhow::Result<Self> {
        Self::start_in(service, host, Database::Memory).await
    }

    /// The same with this database.
    pub(crate) async fn start_in(
        service: Service,
        host: Arc<FakeHost>,
        database: Database,
    ) -> anyhow::Result<Self> {
        let generated = generate(&service, Some("http://127.0.0.1:1"))?;
        let running = service.start(setup(&generated, host, database)).await?;
        Ok(Self { running, generated })
    }

    /// The same beside this homeserver, with a registration that somebody else has made, in another way.
    pub(crate) async fn start_changed(
        service: Service,
        host: Arc<FakeHost>,
        change: fn(&mut RegistrationDraft),
    ) -> anyhow::Result<Self> {
        let generated = generate_changed(&service, Some("http://127.0.0.1:1"), change)?;
        let running = service
            .start(setup(&generated, host, Database::Memory))
            .await?;
        Ok(Self { running, generated })
    }

    /// A request with the homeserver's token.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Request<Bytes> {
        let token = self.generated.registration.hs_token.expose();
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .body(body.into())
            .expect("a request")
    }

    /// Asks as the homeserver.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> (u16, Value) {
        let response = self.running.call(self.request(method, path, body)).await;
        let body = serde_json::from_slice(response.body()).unwrap_or_default();
        (response.status().as_u16(), body)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, "").await
    }

    /// Brings a transaction as the homeserver.
    pub(crate) async fn put(&self, txn_id: &str, body: impl Into<Bytes>) -> u16 {
        let path = format!("/_matrix/app/v1/transactions/{txn_id}");
        self.ask(Method::PUT, &path, body).await.0
    }

    /// Brings these events.
    pub(crate) async fn put_events(&self, txn_id: &str, events: &[Value]) -> u16 {
        self.put(txn_id, json!({ "events": events }).to_string())
            .await
    }

    /// Returns when nothing waits in the service.
    pub(crate) async fn settled(&self) -> anyhow::Result<()> {
        until("the service has nothing left to do", || async {
            self.running.is_settled()
        })
        .await
    }
}

pub(crate) fn setup(generated: &Generated, host: Arc<FakeHost>, database: Database) -> Setup {
    Setup {
        registration: generated.registration.clone(),
        server_name: SERVER.to_owned(),
        homeserver: "http://127.0.0.1:1".to_owned(),
        database,
        surroundings: Surroundings {
            transport: Some(host),
            ..Surroundings::default()
        },
    }
}

/// What handlers have seen, in their order.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// A service that writes down the ids of all events.
pub(crate) fn recorder(log: &Log) -> Service {
    let log = log.clone();
    Service::new("recorder").on(move |event: Timeline| {
        let log = log.clone();
        async move { log.lock().push(event.id.to_string()) }
    })
}

/// A message in `!room:localhost`.
pub(crate) fn message(event_id: &str) -> Value {
    message_in("!room:localhost", event_id)
}

pub(crate) fn message_in(room: &str, event_id: &str) -> Value {
    json!({
        "event_id": event_id,
        "room_id": room,
        "sender": "@alice:localhost",
        "type": "m.room.message",
        "content": { "msgtype": "m.text", "body": event_id },
        "origin_server_ts": 1,
    })
}

/// Fails when more time has passed than any bounded thing may take.
pub(crate) fn assert_within(started: Instant, limit: Duration) {
    let took = started.elapsed();
    assert!(took < limit, "{took:?}");
}

/// Any port that is free, on loopback.
pub(crate) fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Files of a certificate for `localhost` that has signed itself, and of its key.
pub(crate) fn self_signed(folder: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    Ok((certificate, key))
}
