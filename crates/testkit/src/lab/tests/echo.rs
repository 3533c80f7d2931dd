//! A service that joins where it is invited and repeats what it hears.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bridgehead_appservice::{id::RoomId, surroundings::Transport};
use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Request, Response, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::super::{Mounted, MountedService};

/// How long it waits before it repeats a call that failed.
const PAUSE: Duration = Duration::from_secs(2);

pub(super) fn registration(url: &str) -> String {
    let registration = json!({
        "id": "echo", "url": url, "as_token": "as-token-of-the-echo",
        "hs_token": "hs-token-of-the-echo", "sender_localpart": "echo",
        "namespaces": { "users": [{ "regex": "@echo_.*", "exclusive": true }] },
    });
    registration.to_string()
}

pub(super) struct Echo {
    host: Arc<dyn Transport>,
    as_token: String,
    hs_token: String,
    /// Ids of transactions in the order of their arrival, repeats and all.
    arrived: Mutex<Vec<String>>,
    taken: Mutex<BTreeSet<String>>,
    busy: AtomicUsize,
    this: std::sync::Weak<Self>,
}

impl Echo {
    pub(super) fn new(place: &Mounted) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            host: place.host(),
            as_token: place.as_token().expose().to_owned(),
            hs_token: place.hs_token().expose().to_owned(),
            arrived: Mutex::default(),
            taken: Mutex::default(),
            busy: AtomicUsize::new(0),
            this: this.clone(),
        })
    }

    pub(super) fn transactions(&self) -> Vec<String> {
        self.arrived.lock().clone()
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.as_token))
            .header("content-type", "application/json")
            .body(Bytes::from(body.to_string()))
            .unwrap();
        let answer = self.host.call(request, 1 << 20).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(answer.status().to_string());
        }
        serde_json::from_slice(answer.body()).map_err(|error| error.to_string())
    }

    pub(super) async fn send(&self, room: &RoomId, txn: &str, body: &Value) -> Result<(), String> {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{txn}");
        self.call("PUT", &path, body).await.map(drop)
    }

    fn take(&self, txn: &str, body: &[u8]) -> StatusCode {
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return StatusCode::BAD_REQUEST;
        };
        self.arrived.lock().push(txn.to_owned());
        if !self.taken.lock().insert(txn.to_owned()) {
            return StatusCode::OK;
        }
        for event in body["events"].as_array().into_iter().flatten() {
            let this = self.this.upgrade().expect("it is called, so it lives");
            let event = event.clone();
            this.busy.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                while this.handle(&event).await.is_err() {
                    sleep(PAUSE).await;
                }
                this.busy.fetch_sub(1, Ordering::Relaxed);
            });
        }
        StatusCode::OK
    }

    async fn handle(&self, event: &Value) -> Result<(), String> {
        let own = event["sender"].as_str().unwrap().starts_with("@echo:");
        let room = RoomId::parse(event["room_id"].as_str().unwrap()).unwrap();
        if event["content"]["membership"] == "invite" {
            let path = format!("/_matrix/client/v3/join/{room}");
            self.call("POST", &path, &json!({})).await?;
        }
        match event["content"]["body"].as_str() {
            Some(body) if !own => {
                let content = json!({ "msgtype": "m.text", "body": format!("echo: {body}") });
                let txn = event["event_id"].as_str().unwrap().replace('$', "echo-");
                self.send(&room, &txn, &content).await
            }
            _ => Ok(()),
        }
    }
}

impl MountedService for Echo {
    fn call(&self, request: Request<Bytes>) -> BoxFuture<'_, Response<Bytes>> {
        async move {
            let bearer = format!("Bearer {}", self.hs_token);
            assert_eq!(request.headers()["authorization"], bearer.as_str());
            let path = request.uri().path();
            let mut answer = Response::new(Bytes::from_static(b"{}"));
            *answer.status_mut() = match path.split_once("/transactions/") {
                Some((_, txn)) => self.take(txn, request.body()),
                None => StatusCode::NOT_FOUND,
            };
            answer
        }
        .boxed()
    }

    fn is_settled(&self) -> bool {
        self.busy.load(Ordering::Relaxed) == 0
    }
}
