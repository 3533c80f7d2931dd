//! One websocket of a service, from its hello to its end.
//!
//! One task a connection. What is written waits in a bounded queue, and while that is full
//! nothing is read either: a service that does not read makes itself wait, and nobody else.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use serde_json::value::RawValue;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use super::{
    Ending, Handed, Outlet, Question, Seat, SocketError, SocketLink, commands,
    frame::{self, BadFrame, Incoming},
};
use crate::{
    app::App,
    appservices::{Appservice, delivery::transport::Failure},
};

/// Largest message read: answers to forwarded requests are the largest ones.
pub(crate) const MAX_INCOMING: usize = 16 << 20;
/// Frames that wait to be written.
const OUTGOING: usize = 16;
/// For one frame to be taken by the network.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// For the service to answer a close, and for the close to be written.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Questions without an answer, and transactions given up without one, that are remembered.
const MAX_OPEN: usize = 256;
const MAX_GIVEN_UP: usize = 16;

/// How a connection ends.
enum End {
    /// The service has closed it, or the network has.
    Gone(&'static str),
    /// It is closed from here.
    Close(u16, String),
}

/// Serves a websocket until it ends.
///
/// `token_hash`: of the token that has opened it.
pub(crate) async fn serve(
    app: Arc<App>,
    service: Arc<Appservice>,
    token_hash: [u8; 32],
    socket: WebSocket,
) {
    let outlet = service.delivery.outlet.clone();
    let (link, questions) = SocketLink::new();
    let (mut sink, stream) = socket.split();
    let Some(seat) = outlet.sit_with_socket(Arc::new(link)) else {
        let (code, reason) = frame::close(Ending::ServerStops);
        close(&mut sink, code, reason).await;
        return;
    };
    let id = service.registration.id.clone();
    tracing::info!(appservice.id = %id, "the application service has opened its websocket");
    let (out, queue) = mpsc::channel(OUTGOING);
    let mut session = Session {
        app,
        service,
        token_hash,
        outlet,
        seat,
        out,
        last_id: 0,
        transactions: VecDeque::new(),
        questions: HashMap::new(),
    };
    let end = tokio::select! {
        end = session.run(stream, questions) => end,
        end = write_all(&mut sink, queue) => end,
    };
    match end {
        End::Gone(why) => {
            tracing::info!(appservice.id = %id, why, "the application service's websocket has ended");
        }
        End::Close(code, reason) => {
            tracing::info!(appservice.id = %id, code, %reason, "the application service's websocket is closed");
            close(&mut sink, code, reason).await;
        }
    }
}

async fn close(sink: &mut SplitSink<WebSocket, Message>, code: u16, reason: String) {
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    let closed = sink.send(Message::Close(Some(frame)));
    timeout(CLOSE_TIMEOUT, closed).await.ok();
}

async fn write_all(
    sink: &mut SplitSink<WebSocket, Message>,
    mut queue: mpsc::Receiver<Message>,
) -> End {
    while let Some(message) = queue.recv().await {
        match timeout(WRITE_TIMEOUT, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Gone("the connection broke"),
            Err(_) => return End::Gone("the service does not read"),
        }
    }
    End::Gone("nobody writes any more")
}

struct Session {
    app: Arc<App>,
    service: Arc<Appservice>,
    token_hash: [u8; 32],
    outlet: Arc<Outlet>,
    seat: Seat,
    out: mpsc::Sender<Message>,
    last_id: u64,
    /// Frames that carried transactions, and the transactions' ids.
    transactions: VecDeque<(u64, u64)>,
    questions: HashMap<u64, oneshot::Sender<Result<Box<RawValue>, SocketError>>>,
}

impl Session {
    async fn run(
        &mut self,
        mut stream: SplitStream<WebSocket>,
        mut questions: mpsc::Receiver<Question>,
    ) -> End {
        self.write(frame::HELLO.to_owned()).await;
        commands::connected(&self.app, &self.service).await;
        let every = self.app.config.appservices.websocket_ping;
        let mut pings = interval_at(Instant::now() + every, every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            let ended = tokio::select! {
                why = self.seat.ended() => {
                    let (code, reason) = frame::close(why);
                    Some(End::Close(code, reason))
                }
                message = stream.next() => {
                    heard = Instant::now();
                    self.hear(message).await
                }
                handed = self.seat.next() => {
                    self.send(&handed).await;
                    None
                }
                Some(question) = questions.recv() => {
                    self.ask(question).await;
                    None
                }
                _ = pings.tick() => self.ping(heard, every).await,
            };
            if let Some(end) = ended {
                return end;
            }
        }
    }

    /// A peer that answers nothing, not even pings, is gone without having said so; and one whose
    /// token has been taken away must not go on.
    async fn ping(&self, heard: Instant, every: Duration) -> Option<End> {
        let owner = self.app.registry().by_token(&self.token_hash);
        if owner.is_none_or(|owner| owner.nid != self.service.nid) {
            return Some(End::Close(
                close_code::POLICY,
                frame::close_reason("token_revoked"),
            ));
        }
        if heard.elapsed() >= every.saturating_mul(2) {
            return Some(End::Gone("nothing was heard of the service"));
        }
        self.out.send(Message::Ping(bytes::Bytes::new())).await.ok();
        None
    }

    async fn write(&self, text: String) {
        // Fails when the writer has ended, and then so does this session.
        self.out.send(Message::Text(text.into())).await.ok();
    }

    fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    async fn send(&mut self, handed: &Handed) {
        let id = self.fresh_id();
        let Some(text) = frame::transaction(id, handed.txn_id, &handed.body) else {
            let too_large = Failure::Refused {
                status: 413,
                body: "the transaction is larger than a websocket frame may be".to_owned(),
            };
            self.outlet.answer(handed.txn_id, Err(too_large));
            return;
        };
        if self.transactions.len() >= MAX_GIVEN_UP {
            self.transactions.pop_front();
        }
        self.transactions.push_back((id, handed.txn_id));
        self.write(text).await;
    }

    async fn ask(&mut self, question: Question) {
        self.questions.retain(|_, answer| !answer.is_closed());
        if self.questions.len() >= MAX_OPEN {
            question.answer.send(Err(SocketError::Busy)).ok();
            return;
        }
        let id = self.fresh_id();
        self.questions.insert(id, question.answer);
        self.write(frame::command(id, question.command, &question.data))
            .await;
    }

    async fn hear(&mut self, message: Option<Result<Message, axum::Error>>) -> Option<End> {
        match message {
            None => Some(End::Gone("the connection was closed")),
            Some(Err(error)) => Some(unreadable(&error)),
            Some(Ok(Message::Text(text))) => self.hear_text(&text).await,
            Some(Ok(Message::Binary(_))) => Some(End::Close(
                close_code::UNSUPPORTED,
                frame::close_reason("binary_frame"),
            )),
            Some(Ok(Message::Close(_))) => Some(End::Gone("the service has closed it")),
            // Pings are answered below this.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => None,
        }
    }

    async fn hear_text(&mut self, text: &Utf8Bytes) -> Option<End> {
        let incoming = match Incoming::parse(text) {
            Ok(incoming) => incoming,
            Err(BadFrame::NotJson) => {
                return Some(End::Close(
                    close_code::INVALID,
                    frame::close_reason("not_json"),
                ));
            }
            Err(BadFrame::NoCommand(message)) => {
                let error = frame::CommandError {
                    code: "M_BAD_JSON",
                    message,
                };
                self.write(error.frame(0).to_string()).await;
                return None;
            }
        };
        match incoming.command.as_str() {
            "response" => self.answered(incoming.id, Ok(incoming.data())),
            "error" => self.answered(incoming.id, Err(incoming.data())),
            _ => {
                let id = incoming.id;
                let answer = commands::carry_out(&self.app, &self.service, incoming).await;
                if let Some(text) = frame::response(id, &answer) {
                    self.write(text).await;
                }
            }
        }
        None
    }

    /// The service answers something of ours; answers to nothing are of no interest.
    fn answered(&mut self, id: u64, answer: Result<Box<RawValue>, Box<RawValue>>) {
        let sent = self.transactions.iter().position(|(sent, _)| *sent == id);
        if let Some((_, txn_id)) = sent.and_then(|index| self.transactions.remove(index)) {
            let outcome = answer.map(drop).map_err(|data| frame::refusal(&data));
            self.outlet.answer(txn_id, outcome);
        } else if let Some(asker) = self.questions.remove(&id) {
            let answer =
                answer.map_err(|data| SocketError::Refused(frame::refusal(&data).to_string()));
            // The asker may have given up.
            asker.send(answer).ok();
        }
    }
}

/// What to say to a peer whose bytes are no messages.
fn unreadable(error: &axum::Error) -> End {
    let text = error.to_string();
    // The library's words for a message over the limit; its type is not to be had.
    if text.contains("too long") {
        return End::Close(close_code::SIZE, frame::close_reason("frame_too_large"));
    }
    if text.contains("UTF-8") {
        return End::Close(close_code::INVALID, frame::close_reason("not_utf8"));
    }
    End::Gone("the connection broke")
}
