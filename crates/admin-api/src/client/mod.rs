//! The operator API, called.
//!
//! - `routes`: one method a route;
//! - `events`: the live stream, read with bounds;
//! - `error`: what may go wrong, by what the caller can do;
//! - `token`: an operator's token, which does not print.
//!
//! Every request has a deadline and every answer a bound. Nothing is retried: the caller knows
//! whether that makes sense. Redirects are not followed, so that a token goes where it was meant to
//! go and nowhere else.

mod error;
mod events;
mod routes;
#[cfg(test)]
mod tests;
mod token;

use std::{net::IpAddr, time::Duration};

use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, LOCATION},
};
use serde::{Serialize, de::DeserializeOwned};
use url::{Host, Url};

pub use self::{
    error::ClientError,
    events::{EventStream, StreamItem},
    routes::AuditQuery,
    token::Token,
};
use crate::{ApiErrorBody, BASE};

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long an ordinary request may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long one may take that does a lot: a doctor's visit, a lint of everything, a purge.
const LONG_ANSWER_WITHIN: Duration = Duration::from_secs(180);
/// Largest answer that is read. A transaction with its body is the largest there is.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Largest refusal that is read.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// A caller of one server's operator API, with one operator's token. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// With a path of `/`, or of a prefix that a reverse proxy has.
    server: Url,
    token: Token,
}

impl Client {
    /// A client of the server at this URL, such as `http://127.0.0.1:8008`.
    ///
    /// The process must have a TLS provider (`rustls::crypto::CryptoProvider`) installed.
    ///
    /// # Errors
    ///
    /// When the URL is none of a server, or no HTTP client can be made.
    pub fn new(server: &Url, token: Token) -> Result<Self, ClientError> {
        Self::with_http(server, token, reqwest::Client::builder())
    }

    /// The same on an HTTP client of the caller's making, for what is special about TLS or names.
    ///
    /// # Errors
    ///
    /// As [`Client::new`].
    pub fn with_http(
        server: &Url,
        token: Token,
        http: reqwest::ClientBuilder,
    ) -> Result<Self, ClientError> {
        if !matches!(server.scheme(), "http" | "https") || server.host().is_none() {
            return Err(ClientError::unexpected(
                server,
                "this is no http or https address",
            ));
        }
        let mut http = http
            .connect_timeout(CONNECT_WITHIN)
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(server) {
            // A proxy could not reach this machine's own addresses.
            http = http.no_proxy();
        }
        Ok(Self {
            http: http
                .build()
                .map_err(|error| ClientError::unexpected(server, &error::reason(&error)))?,
            server: server.clone(),
            token,
        })
    }

    /// Where the server is.
    pub fn server(&self) -> &Url {
        &self.server
    }

    /// A request for the route with these path segments.
    fn request(&self, method: Method, segments: &[&str]) -> Result<Request<'_>, ClientError> {
        if let Some(dots) = segments.iter().find(|one| matches!(**one, "" | "." | "..")) {
            return Err(ClientError::unexpected(
                &self.server,
                &format!("`{dots}` cannot be a part of an address"),
            ));
        }
        let mut url = self.server.clone();
        url.set_query(None);
        url.set_fragment(None);
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty()
                .extend(BASE.trim_start_matches('/').split('/'))
                .extend(segments);
        }
        Ok(Request {
            client: self,
            method,
            url,
            body: None,
            within: ANSWER_WITHIN,
        })
    }
}

/// Whether the URL names this very machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// A request that is being put together.
struct Request<'a> {
    client: &'a Client,
    method: Method,
    url: Url,
    body: Option<Vec<u8>>,
    within: Duration,
}

impl Request<'_> {
    /// Adds to the query.
    fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Adds to the query what is there.
    fn maybe_query(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    fn json(mut self, body: &impl Serialize) -> Result<Self, ClientError> {
        let server = &self.client.server;
        let body = serde_json::to_vec(body)
            .map_err(|error| ClientError::unexpected(server, &error.to_string()))?;
        self.body = Some(body);
        Ok(self)
    }

    /// For what does a lot before it answers.
    fn long(mut self) -> Self {
        self.within = LONG_ANSWER_WITHIN;
        self
    }

    /// Sends it; gives back an answer that the server means well.
    async fn send(self, accept: &'static str) -> Result<Response, ClientError> {
        let client = self.client;
        let mut request = client
            .http
            .request(self.method, self.url)
            .header(AUTHORIZATION, client.token.header())
            .header(ACCEPT, accept);
        if let Some(body) = self.body {
            request = request
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body);
        }
        let sent = tokio::time::timeout(self.within, request.send()).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(ClientError::unreachable(&client.server, &error)),
            Err(_) => return Err(ClientError::silent(&client.server, self.within)),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refusal(&client.server, response).await)
    }

    /// Sends it and reads the JSON that comes back.
    async fn fetch<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let server = &self.client.server;
        let within = self.within;
        let response = self.send("application/json").await?;
        let body = tokio::time::timeout(within, read_bounded(response, MAX_ANSWER_BYTES))
            .await
            .map_err(|_| ClientError::silent(server, within))?
            .map_err(|error| error.at(server))?;
        serde_json::from_slice(&body).map_err(|error| {
            ClientError::unexpected(server, &format!("the answer cannot be read: {error}"))
        })
    }

    /// Sends it; what comes back says nothing more.
    async fn run(self) -> Result<(), ClientError> {
        self.send("application/json").await.map(drop)
    }
}

/// Why a body could not be read.
enum BodyError {
    Broken(reqwest::Error),
    TooLarge(usize),
}

impl BodyError {
    fn at(self, server: &Url) -> ClientError {
        match self {
            Self::Broken(error) => ClientError::unreachable(server, &error),
            Self::TooLarge(limit) => {
                ClientError::unexpected(server, &format!("the answer is larger than {limit} bytes"))
            }
        }
    }
}

async fn read_bounded(mut response: Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Makes an error of an answer that is no success.
async fn refusal(server: &Url, response: Response) -> ClientError {
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(LOCATION);
        let to = to.and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
        return ClientError::unexpected(
            server,
            &format!("it sends on to {to}; name the address itself"),
        );
    }
    let body = tokio::time::timeout(ANSWER_WITHIN, read_bounded(response, MAX_REFUSAL_BYTES)).await;
    let body = body.ok().and_then(Result::ok).unwrap_or_default();
    match serde_json::from_slice::<ApiErrorBody>(&body) {
        Ok(body) if status == StatusCode::NOT_FOUND && body.errcode == "M_UNRECOGNIZED" => {
            ClientError::unexpected(server, "it is no Bridgehead server, or an older one")
        }
        Ok(body) => ClientError::Refused {
            status: status.as_u16(),
            errcode: body.errcode,
            error: body.error,
        },
        Err(_) => ClientError::unexpected(server, &format!("it answered {status}")),
    }
}
