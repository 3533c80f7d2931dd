//! A homeserver with a fault: the real one, behind something that changes what it says.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// What is wrong with the homeserver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// Its clock is wrong by years.
    Clock,
    /// Media cannot be fetched.
    Media,
    /// Sends are never answered.
    Sends,
    /// Accounts are an authentication service's, and services deactivate none.
    Deactivation,
}

/// The homeserver behind it.
pub(super) struct Proxy {
    pub(super) address: String,
    seen: Arc<parking_lot::Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Clone)]
struct Behind {
    address: String,
    fault: Fault,
    http: reqwest::Client,
    seen: Arc<parking_lot::Mutex<Vec<String>>>,
}

impl Proxy {
    pub(super) async fn before(address: &str, fault: Fault) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let seen = Arc::<parking_lot::Mutex<Vec<String>>>::default();
        let behind = Behind {
            address: address.to_owned(),
            fault,
            http: reqwest::Client::builder().no_proxy().build()?,
            seen: seen.clone(),
        };
        let address = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(pass).with_state(behind);
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.ok();
        });
        Ok(Self {
            address,
            seen,
            serving,
        })
    }

    /// The paths of all requests so far.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }
}

async fn pass(State(behind): State<Behind>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    behind.seen.lock().push(path.clone());
    match behind.fault {
        Fault::Media if path.contains("/download/") => {
            return StatusCode::NOT_FOUND.into_response();
        }
        Fault::Deactivation if path.ends_with("/deactivate") => {
            let body =
                serde_json::json!({ "errcode": "M_UNRECOGNIZED", "error": "Unrecognized request" });
            return (StatusCode::NOT_FOUND, axum::Json(body)).into_response();
        }
        Fault::Sends if path.contains("/send/") => std::future::pending().await,
        _ => {}
    }
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    match ask(&behind, &parts, body).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn ask(
    behind: &Behind,
    parts: &axum::http::request::Parts,
    body: Bytes,
) -> anyhow::Result<Response> {
    let mut headers = parts.headers.clone();
    headers.remove("host");
    let url = format!("{}{}", behind.address, parts.uri);
    let request = behind.http.request(parts.method.clone(), url);
    let answer = request.headers(headers).body(body).send().await?;
    let status = answer.status();
    let mut headers = HeaderMap::new();
    for name in ["content-type", "date", "retry-after"] {
        if let Some(value) = answer.headers().get(name) {
            headers.insert(name, value.clone());
        }
    }
    if behind.fault == Fault::Clock {
        headers.insert("date", "Sun, 06 Nov 1994 08:49:37 GMT".parse()?);
    }
    let body = answer.bytes().await?;
    Ok((status, headers, Body::from(body)).into_response())
}
