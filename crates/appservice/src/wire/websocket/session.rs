//! One websocket from its opening to its end.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Request, Response};
use serde_json::{json, value::RawValue};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_tungstenite::tungstenite::{
    Error as SocketError, Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use tower::ServiceExt as _;

use super::{
    connect::Socket,
    frame::{self, ErrorData, Forwarded, Incoming},
    stopped,
};
use crate::{
    core::Core,
    wire::{answer::Refusal, transaction},
};

/// For one frame to be taken by the network.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// For the close to be written and answered.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Requests of the homeserver that are answered at the same time; more are refused.
const MAX_FORWARDED: usize = 64;

/// Bytes of an answer that is sent back through the websocket.
const MAX_ANSWER: usize = 8 << 20;

/// The close code for a service whose other process has connected.
const REPLACED: u16 = 4001;

/// How a connection ends.
pub(super) enum End {
    /// Another process of the service has connected.
    Replaced,
    /// It was closed from here.
    Stopped,
    /// The homeserver has closed it, or the network; for people.
    Broken(String),
}

/// The answer to a command, by its id.
type Answer = (u64, Result<Box<RawValue>, ErrorData>);

pub(super) struct Session {
    core: Arc<Core>,
    router: axum::Router,
    ping_every: Duration,
    /// Requests of the homeserver that are being answered.
    forwarded: JoinSet<Answer>,
}

impl Session {
    pub(super) fn new(core: &Arc<Core>, router: &axum::Router, ping_every: Duration) -> Self {
        Self {
            core: core.clone(),
            router: router.clone(),
            ping_every,
            forwarded: JoinSet::new(),
        }
    }

    pub(super) async fn run(
        &mut self,
        mut socket: Socket,
        stop: &mut watch::Receiver<bool>,
    ) -> End {
        let core = self.core.clone();
        let mut pings = interval_at(Instant::now() + self.ping_every, self.ping_every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            let outgoing = tokio::select! {
                message = socket.next() => {
                    heard = Instant::now();
                    match self.hear(message).await {
                        Ok(answer) => answer.map(text),
                        Err(end) => return end,
                    }
                }
                Some(done) = self.forwarded.join_next(), if !self.forwarded.is_empty() => {
                    done.ok().filter(|(id, _)| *id != 0).map(text)
                }
                _ = pings.tick() => {
                    if heard.elapsed() >= self.ping_every.saturating_mul(2) {
                        return broken("nothing was heard of the homeserver");
                    }
                    Some(Message::Ping(Bytes::new()))
                }
                () = stopped(stop) => return close(&mut socket).await,
                () = core.stopping() => return close(&mut socket).await,
            };
            let Some(outgoing) = outgoing else { continue };
            match timeout(WRITE_TIMEOUT, socket.send(outgoing)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return broken(&error.to_string()),
                Err(_) => return broken("the homeserver does not read"),
            }
        }
    }

    /// What has come; the answer where there is one at once.
    async fn hear(
        &mut self,
        message: Option<Result<Message, SocketError>>,
    ) -> Result<Option<Answer>, End> {
        match message {
            None => Err(broken("the connection was closed")),
            Some(Err(error)) => Err(broken(&error.to_string())),
            Some(Ok(Message::Text(text))) => {
                let answer = self.hear_text(text.into()).await;
                Ok(answer.filter(|(id, _)| *id != 0))
            }
            Some(Ok(Message::Close(frame))) => Err(closed(frame)),
            Some(Ok(Message::Binary(_))) => Err(broken("a frame was no text")),
            // Pings are answered below this.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(None),
        }
    }

    async fn hear_text(&mut self, text: Bytes) -> Option<Answer> {
        let incoming: Incoming = match serde_json::from_slice(&text) {
            Ok(incoming) => incoming,
            Err(error) => {
                tracing::warn!(service = %self.core.name, %error, "a frame of the homeserver cannot be read");
                return None;
            }
        };
        let id = incoming.id;
        match incoming.command.as_str() {
            "" | "transaction" => Some((id, self.take(incoming.txn_id, text).await)),
            "http_proxy" => {
                let refused = self.forward(id, incoming.data).err();
                refused.map(|error| (id, Err(error)))
            }
            "ping" => Some((id, self.pong())),
            "connect" | "response" | "error" => None,
            other => {
                let shown: String = other.chars().take(64).collect();
                let error = format!("there is no command `{shown}` here");
                Some((id, Err(ErrorData::new("M_UNRECOGNIZED", error))))
            }
        }
    }

    /// Takes a transaction: the frame is its body, with some keys more.
    async fn take(&self, txn_id: Option<String>, frame: Bytes) -> Result<Box<RawValue>, ErrorData> {
        let Some(txn_id) = txn_id else {
            let error = "the transaction has no txn_id";
            return Err(ErrorData::new("M_BAD_JSON", error));
        };
        let taking = transaction::take(&self.core, txn_id.clone(), frame);
        let taken = transaction::traced(&self.core, &txn_id, &HeaderMap::new(), taking).await;
        taken.map_err(|error| ErrorData::from(Refusal::from(error)))?;
        frame::raw(&json!({ "txn_id": txn_id }))
    }

    fn pong(&self) -> Result<Box<RawValue>, ErrorData> {
        frame::raw(&json!({ "timestamp": self.core.now_ms() }))
    }

    /// Begins to answer a request that would have come over HTTP.
    fn forward(&mut self, id: u64, data: Option<Box<RawValue>>) -> Result<(), ErrorData> {
        if self.forwarded.len() >= MAX_FORWARDED {
            let error = "too many requests are under way";
            return Err(ErrorData::new("M_LIMIT_EXCEEDED", error));
        }
        let data = data.ok_or_else(|| ErrorData::new("M_BAD_JSON", "there is no data"))?;
        let forwarded: Forwarded = serde_json::from_str(data.get())
            .map_err(|error| ErrorData::new("M_BAD_JSON", error.to_string()))?;
        let request = forwarded.request()?;
        let router = self.router.clone();
        self.forwarded.spawn(async move {
            let answer = ask(router, request).await;
            (id, answer.and_then(|response| frame::response(&response)))
        });
        Ok(())
    }
}

async fn ask(router: axum::Router, request: Request<Bytes>) -> Result<Response<Bytes>, ErrorData> {
    let asked = router.oneshot(request.map(Body::from)).await;
    let (parts, body) = asked.unwrap_or_else(|never| match never {}).into_parts();
    let body = to_bytes(body, MAX_ANSWER).await.map_err(|_| {
        let error = "the answer is too large for the websocket, or broke off";
        ErrorData::new("M_TOO_LARGE", error)
    })?;
    Ok(Response::from_parts(parts, body))
}

fn text((id, answer): Answer) -> Message {
    Message::Text(frame::answer(id, &answer).into())
}

fn broken(why: &str) -> End {
    End::Broken(why.to_owned())
}

/// What the homeserver says when it closes.
fn closed(frame: Option<CloseFrame>) -> End {
    let Some(frame) = frame else {
        return broken("the homeserver has closed it");
    };
    let code = u16::from(frame.code);
    let reason: serde_json::Value = serde_json::from_str(&frame.reason).unwrap_or_default();
    let status = reason.get("status").and_then(serde_json::Value::as_str);
    if code == REPLACED || status == Some("conn_replaced") {
        return End::Replaced;
    }
    let words: String = status.unwrap_or(&frame.reason).chars().take(120).collect();
    End::Broken(format!("the homeserver has closed it: {code} {words}"))
}

async fn close(socket: &mut Socket) -> End {
    let frame = CloseFrame {
        code: CloseCode::Normal,
        reason: "the service is being ended".into(),
    };
    // Whoever ends the connection with something unread takes back what the other side has not read yet, so the
    // homeserver's own close is waited for. What it sends until then was not acknowledged and comes again.
    let closing = async {
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    timeout(CLOSE_TIMEOUT, closing).await.ok();
    End::Stopped
}
