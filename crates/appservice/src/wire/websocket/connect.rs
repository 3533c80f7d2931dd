//! Opening a websocket: one HTTP request, and the connection that is left of it.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::Upgraded;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

use super::Websocket;
use crate::{client::is_local, core::Core};

/// Where it is opened, behind the homeserver's address.
const PATH: &str = "/_matrix/client/unstable/fi.mau.as_sync";

/// For the connection, the handshake and the homeserver's answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// What a frame has beside a transaction's body.
const FRAME_EXTRA: usize = 64 << 10;

/// Bytes of a refusal that are read, and characters of it that are told.
const MAX_REFUSAL: usize = 16 << 10;
const MAX_WORDS: usize = 300;

pub(super) type Socket = WebSocketStream<Upgraded>;

/// Why there is no connection. For people, without secrets.
#[derive(Debug)]
pub(super) enum Unopened {
    /// The homeserver does not want to.
    Refused(String),
    /// There is nobody, or nobody who speaks this.
    Unreachable(String),
}

/// Opens connections to one homeserver.
pub(super) struct Connector {
    client: reqwest::Client,
    url: String,
    headers: HeaderMap,
    config: WebSocketConfig,
    surroundings: crate::surroundings::Surroundings,
}

impl Connector {
    /// # Errors
    /// A sentence for people, when the address or a certificate is none.
    pub(super) fn new(core: &Core, websocket: &Websocket) -> Result<Self, String> {
        let url = url_of(websocket.address.as_deref().unwrap_or(&core.homeserver))?;
        let mut headers = HeaderMap::new();
        let token = format!("Bearer {}", core.registration.as_token.expose());
        let mut token = HeaderValue::try_from(token)
            .map_err(|_| "the as_token has characters that no header may have".to_owned())?;
        token.set_sensitive(true);
        let process = core.surroundings.randomness.hex(32);
        let process =
            HeaderValue::try_from(process).expect("hexadecimal digits are good everywhere");
        headers.insert(header::AUTHORIZATION, token);
        headers.insert("x-mautrix-websocket-version", HeaderValue::from_static("3"));
        headers.insert("x-mautrix-process-id", process);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(
            header::SEC_WEBSOCKET_VERSION,
            HeaderValue::from_static("13"),
        );
        let max_frame = core.limits.max_body_bytes.saturating_add(FRAME_EXTRA);
        Ok(Self {
            client: client(&url, websocket.trusted.as_deref())?,
            url: url.to_string(),
            headers,
            config: WebSocketConfig::default()
                .max_message_size(Some(max_frame))
                .max_frame_size(Some(max_frame)),
            surroundings: core.surroundings.clone(),
        })
    }

    pub(super) async fn open(&self) -> Result<Socket, Unopened> {
        let opened = tokio::time::timeout(OPEN_TIMEOUT, self.try_open()).await;
        opened.unwrap_or_else(|_| {
            let why = format!("no answer within {OPEN_TIMEOUT:?}");
            Err(Unopened::Unreachable(why))
        })
    }

    async fn try_open(&self) -> Result<Socket, Unopened> {
        let mut key = [0; 16];
        self.surroundings.randomness.fill(&mut key);
        let key = STANDARD.encode(key);
        let request = self
            .client
            .get(&self.url)
            .headers(self.headers.clone())
            .header(header::SEC_WEBSOCKET_KEY, &key);
        let response = request.send().await.map_err(unreachable)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refusal(response).await);
        }
        let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        if accepted.is_none_or(|accepted| accepted != derive_accept_key(key.as_bytes()).as_str()) {
            let why = "whoever answers does not speak websocket: its key is wrong";
            return Err(Unopened::Unreachable(why.to_owned()));
        }
        let upgraded = response.upgrade().await.map_err(unreachable)?;
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(self.config)).await)
    }
}

/// An HTTP client that leaves its connections to whoever upgrades them.
fn client(url: &url::Url, trusted: Option<&[u8]>) -> Result<reqwest::Client, String> {
    // The process's TLS provider; a second call finds it set already.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let mut builder = reqwest::Client::builder()
        .http1_only()
        .connect_timeout(OPEN_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .tcp_nodelay(true)
        .user_agent(concat!("bridgehead-appservice/", env!("CARGO_PKG_VERSION")));
    if is_local(url) {
        // A proxy of the machine's is not for loopback.
        builder = builder.no_proxy();
    }
    if let Some(pem) = trusted {
        let certificates = reqwest::Certificate::from_pem_bundle(pem)
            .map_err(|error| format!("the trusted certificates cannot be read: {error}"))?;
        if certificates.is_empty() {
            return Err("there is no certificate among the trusted certificates".to_owned());
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder
        .build()
        .map_err(|error| format!("no HTTP client can be made: {error}"))
}

/// The address to ask, from an address with any of the schemes that people write.
fn url_of(address: &str) -> Result<url::Url, String> {
    let wrong = || {
        format!(
            "`{address}` is no address of a homeserver: write `https://host` or `ws://host:port`"
        )
    };
    let (scheme, rest) = address.split_once("://").ok_or_else(wrong)?;
    let scheme = match scheme {
        "ws" | "http" => "http",
        "wss" | "https" => "https",
        _ => return Err(wrong()),
    };
    // Checked without the path, which would be taken for the host where there is none.
    let base = format!("{scheme}://{}", rest.trim_end_matches('/'));
    url::Url::parse(&base)
        .and_then(|_| url::Url::parse(&(base + PATH)))
        .map_err(|_| wrong())
}

/// What went wrong, without the address.
fn unreachable(error: reqwest::Error) -> Unopened {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    Unopened::Unreachable(text)
}

async fn refusal(mut response: reqwest::Response) -> Unopened {
    let status = response.status();
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_REFUSAL {
            break;
        }
    }
    let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |key: &str| said.get(key).and_then(serde_json::Value::as_str);
    let why = match (text("errcode"), text("error")) {
        (None, None) if status == StatusCode::NOT_FOUND => {
            "404: there is no websocket for application services here".to_owned()
        }
        (code, words) => {
            let (code, words) = (code.unwrap_or_default(), words.unwrap_or_default());
            format!("{} {code}: {words}", status.as_u16())
        }
    };
    let why = why.chars().take(MAX_WORDS).collect();
    if status.is_client_error() {
        Unopened::Refused(why)
    } else {
        Unopened::Unreachable(why)
    }
}

#[cfg(test)]
mod tests {
    use super::url_of;

    #[test]
    fn all_schemes_that_people_write_are_good() {
        for (address, scheme) in [
            ("http://localhost:8008", "http"),
            ("ws://localhost:8008/", "http"),
            ("https://localhost:8008//", "https"),
            ("wss://localhost:8008", "https"),
        ] {
            let url = url_of(address).expect(address);
            let wanted = "://localhost:8008/_matrix/client/unstable/fi.mau.as_sync";
            assert_eq!(url.as_str(), format!("{scheme}{wanted}"));
        }
        for address in ["", "localhost:8008", "ftp://localhost", "http://", "ws:///"] {
            assert!(url_of(address).is_err(), "{address}");
        }
    }
}
