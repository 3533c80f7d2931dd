//! A small Matrix client for tests: what it lacks, [`Client::request`] can do.

use anyhow::{Context as _, bail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

/// No answer of the server may take longer than this.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// All but what RFC 3986 calls unreserved.
const PATH_SEGMENT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Speaks the client-server API for one user. Cloning is cheap and shares the connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base_url: String,
    access_token: Option<String>,
    acting_as: Option<String>,
    user_id: Option<String>,
}

impl Client {
    /// A client that has no user yet.
    pub fn new(base_url: &str) -> Self {
        // Fails if some other client in this process was first, and then there is nothing to do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .timeout(ANSWER_WITHIN)
            .build()
            .expect("a client without special settings can be built");
        Self {
            http,
            base_url: base_url.trim_end_matches('/').to_owned(),
            access_token: None,
            acting_as: None,
            user_id: None,
        }
    }

    /// The same server with this access token, such as an application service's.
    #[must_use]
    pub fn with_token(&self, access_token: &str) -> Self {
        Self {
            access_token: Some(access_token.to_owned()),
            acting_as: None,
            user_id: None,
            ..self.clone()
        }
    }

    /// An application service's client acting as one of its users.
    #[must_use]
    pub fn acting_as(&self, user_id: &str) -> Self {
        let user_id = Some(user_id.to_owned());
        Self {
            acting_as: user_id.clone(),
            user_id,
            ..self.clone()
        }
    }

    /// The user this client was registered or logged in as, or acts as.
    pub fn user_id(&self) -> &str {
        self.user_id
            .as_deref()
            .expect("this client has no user: register, log in or act as one first")
    }

    /// The access token, if there is one.
    pub fn access_token(&self) -> Option<&str> {
        self.access_token.as_deref()
    }

    /// Sends any request and gives back whatever JSON is answered (null for a body that is no JSON).
    ///
    /// # Errors
    ///
    /// When there is no answer: the server is down, or was killed while answering.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), reqwest::Error> {
        let mut url =
            Url::parse(&format!("{}{path}", self.base_url)).expect("tests use valid paths");
        {
            let mut pairs = url.query_pairs_mut();
            pairs.extend_pairs(query);
            pairs.extend_pairs(self.acting_as.iter().map(|user_id| ("user_id", user_id)));
        }
        let mut request = self.http.request(method, url);
        if let Some(access_token) = &self.access_token {
            request = request.bearer_auth(access_token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// `GET` without a query.
    ///
    /// # Errors
    ///
    /// As [`Client::request`].
    pub async fn get(&self, path: &str) -> Result<(StatusCode, Value), reqwest::Error> {
        self.request(Method::GET, path, &[], None).await
    }

    /// A page that is no JSON, as it is.
    ///
    /// # Errors
    ///
    /// As [`Client::request`].
    pub async fn text(&self, path: &str) -> Result<(StatusCode, String), reqwest::Error> {
        let mut request = self.http.get(format!("{}{path}", self.base_url));
        if let Some(access_token) = &self.access_token {
            request = request.bearer_auth(access_token);
        }
        let response = request.send().await?;
        Ok((response.status(), response.text().await?))
    }

    /// As [`Client::request`], for answers that must be a success.
    ///
    /// # Errors
    ///
    /// Also when the answer is none.
    pub async fn expect_ok(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let (status, answer) = self.request(method.clone(), path, query, body).await?;
        if !status.is_success() {
            bail!("{method} {path} was answered {status}: {answer}");
        }
        Ok(answer)
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.expect_ok(Method::POST, path, &[], Some(body)).await
    }

    /// Registers a user the way a client does: asks, is told the stages, does the dummy one.
    ///
    /// # Errors
    ///
    /// When any of that is answered otherwise.
    pub async fn register(&self, localpart: &str, password: &str) -> anyhow::Result<Self> {
        const PATH: &str = "/_matrix/client/v3/register";
        let mut body = json!({ "username": localpart, "password": password });
        let (status, challenge) = self.request(Method::POST, PATH, &[], Some(&body)).await?;
        if status != StatusCode::UNAUTHORIZED {
            bail!("registration without auth was answered {status}: {challenge}");
        }
        let dummy_alone = challenge["flows"].as_array().is_some_and(|flows| {
            flows
                .iter()
                .any(|flow| flow["stages"] == json!(["m.login.dummy"]))
        });
        if !dummy_alone {
            bail!("no flow with only the dummy stage: {challenge}");
        }
        body["auth"] = json!({ "type": "m.login.dummy", "session": challenge["session"] });
        let registered = self.post(PATH, &body).await?;
        self.logged_in(&registered)
    }

    /// Registers a user of an application service; this client must have the service's token.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn register_ghost(&self, localpart: &str) -> anyhow::Result<Self> {
        let body = json!({
            "type": "m.login.application_service",
            "username": localpart,
            "inhibit_login": true,
        });
        let registered = self.post("/_matrix/client/v3/register", &body).await?;
        Ok(self.acting_as(text(&registered, "user_id")?))
    }

    /// Logs in with a password.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn login(&self, localpart: &str, password: &str) -> anyhow::Result<Self> {
        let body = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": localpart },
            "password": password,
        });
        let logged_in = self.post("/_matrix/client/v3/login", &body).await?;
        self.logged_in(&logged_in)
    }

    fn logged_in(&self, answer: &Value) -> anyhow::Result<Self> {
        let mut client = self.with_token(text(answer, "access_token")?);
        client.user_id = Some(text(answer, "user_id")?.to_owned());
        Ok(client)
    }

    /// Creates a room from a `/createRoom` body; gives back its id.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn create_room(&self, body: &Value) -> anyhow::Result<String> {
        let created = self.post("/_matrix/client/v3/createRoom", body).await?;
        Ok(text(&created, "room_id")?.to_owned())
    }

    /// Joins a room by id or alias; gives back its id.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn join(&self, room_id_or_alias: &str) -> anyhow::Result<String> {
        let path = format!("/_matrix/client/v3/join/{}", segment(room_id_or_alias));
        let joined = self.post(&path, &json!({})).await?;
        Ok(text(&joined, "room_id")?.to_owned())
    }

    /// Invites a user.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn invite(&self, room_id: &str, user_id: &str) -> anyhow::Result<()> {
        let path = format!("/_matrix/client/v3/rooms/{}/invite", segment(room_id));
        self.post(&path, &json!({ "user_id": user_id }))
            .await
            .map(drop)
    }

    /// The path that sends an event under a `client_txn_id`.
    pub fn send_path(room_id: &str, event_type: &str, client_txn_id: &str) -> String {
        format!(
            "/_matrix/client/v3/rooms/{}/send/{}/{}",
            segment(room_id),
            segment(event_type),
            segment(client_txn_id)
        )
    }

    /// Sends an event; gives back its id.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn send(
        &self,
        room_id: &str,
        event_type: &str,
        client_txn_id: &str,
        content: &Value,
    ) -> anyhow::Result<String> {
        let path = Self::send_path(room_id, event_type, client_txn_id);
        let sent = self
            .expect_ok(Method::PUT, &path, &[], Some(content))
            .await?;
        Ok(text(&sent, "event_id")?.to_owned())
    }

    /// Sends a text message; gives back its event id.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn send_text(
        &self,
        room_id: &str,
        client_txn_id: &str,
        body: &str,
    ) -> anyhow::Result<String> {
        let content = json!({ "msgtype": "m.text", "body": body });
        self.send(room_id, "m.room.message", client_txn_id, &content)
            .await
    }

    /// The content of a state event.
    ///
    /// # Errors
    ///
    /// When there is none, or the server refuses.
    pub async fn state(
        &self,
        room_id: &str,
        event_type: &str,
        state_key: &str,
    ) -> anyhow::Result<Value> {
        let path = format!(
            "/_matrix/client/v3/rooms/{}/state/{}/{}",
            segment(room_id),
            segment(event_type),
            segment(state_key)
        );
        self.expect_ok(Method::GET, &path, &[], None).await
    }

    /// One `/sync`, which waits at most `timeout` for news, with timelines long enough to be complete.
    ///
    /// # Errors
    ///
    /// When the server refuses.
    pub async fn sync(&self, since: Option<&str>, timeout: Duration) -> anyhow::Result<Value> {
        let timeout_ms = timeout.as_millis().to_string();
        let mut query = vec![
            ("timeout", timeout_ms.as_str()),
            ("filter", r#"{"room":{"timeline":{"limit":1000}}}"#),
        ];
        query.extend(since.map(|since| ("since", since)));
        self.expect_ok(Method::GET, "/_matrix/client/v3/sync", &query, None)
            .await
    }
}

/// Encodes a text for use as one segment of a path.
fn segment(text: &str) -> String {
    utf8_percent_encode(text, &PATH_SEGMENT).to_string()
}

fn text<'a>(answer: &'a Value, key: &str) -> anyhow::Result<&'a str> {
    answer[key]
        .as_str()
        .with_context(|| format!("no {key} in {answer}"))
}
