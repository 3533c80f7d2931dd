//! Requests without a socket: a call of a function goes the way that a connection's request goes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use tokio::{sync::watch, time::timeout};
use tower::ServiceExt as _;

/// Longest answer that a call gives back, bytes: more than any upload may have by default.
const MAX_ANSWER_BYTES: usize = 256 << 20;
/// The address that callers come from.
const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Brings requests to a server by function call. Clones share the way; it may outlive the server,
/// and answers 503 then.
#[derive(Clone)]
pub struct Caller {
    router: Router,
    calls: Arc<Calls>,
}

/// Calls under way.
struct Calls {
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    under_way: usize,
    closed: bool,
}

/// One call under way.
struct UnderWay<'a>(&'a Calls);

impl Calls {
    /// `None`: the server has ended.
    fn enter(&self) -> Option<UnderWay<'_>> {
        let entered = self.state.send_if_modified(|state| {
            state.under_way += usize::from(!state.closed);
            !state.closed
        });
        entered.then(|| UnderWay(self))
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.under_way -= 1);
    }
}

impl Caller {
    pub(super) fn new(router: Router) -> Self {
        let calls = Arc::new(Calls {
            state: watch::Sender::default(),
        });
        Self { router, calls }
    }

    /// Answers one request as it would be answered over a connection from this machine: a client's,
    /// or an application service's. Only path and query of the uri count. A long poll takes its
    /// time here too; dropping the future is hanging up.
    pub async fn call(&self, request: Request<Bytes>) -> Response<Bytes> {
        let Some(_under_way) = self.calls.enter() else {
            return failure(StatusCode::SERVICE_UNAVAILABLE, "the server has ended");
        };
        let request = arrived(request);
        let answer = self.router.clone().oneshot(request).await;
        let (head, body) = answer.unwrap_or_else(|never| match never {}).into_parts();
        match Limited::new(body, MAX_ANSWER_BYTES).collect().await {
            Ok(whole) => Response::from_parts(head, whole.to_bytes()),
            Err(error) => {
                tracing::warn!(%error, "an answer broke off before its end");
                failure(StatusCode::BAD_GATEWAY, "the answer broke off")
            }
        }
    }

    /// What answers, for listeners.
    pub(super) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Takes no new calls, and gives those under way some time to be answered.
    pub(super) async fn close(&self, within: Duration) {
        self.calls.state.send_modify(|state| state.closed = true);
        let mut state = self.calls.state.subscribe();
        // Too late is as good as done: what is still about finds the store closed.
        timeout(within, state.wait_for(|state| state.under_way == 0))
            .await
            .ok();
    }
}

/// The request as the router expects it from a connection.
fn arrived(request: Request<Bytes>) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    head.extensions.insert(ConnectInfo(LOOPBACK));
    if !body.is_empty() {
        head.headers
            .entry(header::CONTENT_LENGTH)
            .or_insert(HeaderValue::from(body.len()));
    }
    if let Some(path_and_query) = head.uri.path_and_query().cloned() {
        head.uri = path_and_query.into();
    }
    Request::from_parts(head, Body::from(body))
}

fn failure(status: StatusCode, error: &str) -> Response<Bytes> {
    let body = serde_json::json!({ "errcode": "M_UNKNOWN", "error": error }).to_string();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
