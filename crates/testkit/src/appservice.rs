//! An application service that writes down what it receives and answers as the test says.

use crate::judge::{Fault, Record, Verdict, judge};
use anyhow::{Context as _, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as UrlPath, Query as QueryFields, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Larger bodies are refused; no server should send such.
const LARGEST_BODY_BYTES: usize = 16 << 20;

/// A namespace of the registration.
#[derive(Clone, Debug)]
pub struct NamespaceOptions {
    /// The pattern.
    pub regex: String,
    /// Whether it belongs to this service alone.
    pub exclusive: bool,
}

/// What the service's registration says.
#[derive(Clone, Debug)]
pub struct AppserviceOptions {
    /// The registration's id; the tokens are derived from it, so that they differ between services.
    pub id: String,
    /// The localpart of the service's own user.
    pub sender_localpart: String,
    /// Namespaces of user ids.
    pub users: Vec<NamespaceOptions>,
    /// Namespaces of aliases.
    pub aliases: Vec<NamespaceOptions>,
    /// Namespaces of room ids.
    pub rooms: Vec<NamespaceOptions>,
    /// Whether the service wants ephemeral data.
    pub receive_ephemeral: bool,
    /// Whether it wants them under the keys from before they were specified (MSC2409).
    pub push_ephemeral: bool,
    /// Third-party protocols that the service speaks.
    pub protocols: Vec<String>,
}

impl AppserviceOptions {
    /// A service with an exclusive namespace of users, `@<prefix>.*`, and no others.
    pub fn with_users(id: &str, prefix: &str) -> Self {
        Self {
            id: id.to_owned(),
            sender_localpart: format!("{id}-bot"),
            users: vec![NamespaceOptions {
                regex: format!("@{prefix}.*"),
                exclusive: true,
            }],
            aliases: Vec::new(),
            rooms: Vec::new(),
            receive_ephemeral: false,
            push_ephemeral: false,
            protocols: Vec::new(),
        }
    }
}

/// What the service does with a transaction it has written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Answers with this status.
    Status(StatusCode),
    /// Waits, then answers with this status.
    After(Duration, StatusCode),
    /// Closes the connection without an answer.
    Drop,
}

/// A question about a user or an alias that the service was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Does this user exist?
    User(String),
    /// Does this alias exist?
    Alias(String),
}

/// A third-party lookup that the service was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The whole path, the version included.
    pub path: String,
    /// The query's fields, decoded.
    pub fields: Vec<(String, String)>,
}

type LookupHandler = Box<dyn FnMut(&Lookup) -> (StatusCode, Value) + Send>;
type Script = Box<dyn FnMut(&Record) -> Answer + Send>;
type QueryAnswer = Pin<Box<dyn Future<Output = StatusCode> + Send>>;
type QueryHandler = Arc<dyn Fn(Query) -> QueryAnswer + Send + Sync>;

struct Shared {
    hs_token: String,
    records: watch::Sender<Vec<Record>>,
    queries: watch::Sender<Vec<Query>>,
    refused_tokens: watch::Sender<usize>,
    script: Mutex<Script>,
    query_handler: Mutex<QueryHandler>,
    lookups: Mutex<Vec<Lookup>>,
    lookup_handler: Mutex<LookupHandler>,
}

/// The service, listening on a loopback port until it is dropped.
pub struct RecordingAppservice {
    options: AppserviceOptions,
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl RecordingAppservice {
    /// Starts listening. Until told otherwise it accepts each transaction and knows no user and no alias.
    ///
    /// # Errors
    ///
    /// When no port can be bound.
    pub async fn start(options: AppserviceOptions) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let unknown: QueryHandler = Arc::new(|_| Box::pin(async { StatusCode::NOT_FOUND }));
        let shared = Arc::new(Shared {
            hs_token: format!("hs-token-of-{}", options.id),
            records: watch::Sender::new(Vec::new()),
            queries: watch::Sender::new(Vec::new()),
            refused_tokens: watch::Sender::new(0),
            script: Mutex::new(Box::new(|_| Answer::Status(StatusCode::OK))),
            query_handler: Mutex::new(unknown),
            lookups: Mutex::default(),
            lookup_handler: Mutex::new(Box::new(|_| (StatusCode::NOT_FOUND, json!({})))),
        });
        let router = router(shared.clone());
        let task = tokio::spawn(async move {
            // Ends by being aborted; `serve` itself retries what goes wrong with single connections.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            options,
            port,
            shared,
            task,
        })
    }

    /// The base URL of the service.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The token with which the service speaks to the server.
    pub fn as_token(&self) -> String {
        format!("as-token-of-{}", self.options.id)
    }

    /// The token with which the server must speak to the service.
    pub fn hs_token(&self) -> &str {
        &self.shared.hs_token
    }

    /// The registration file's text: JSON, which is YAML too.
    pub fn registration(&self) -> String {
        let namespaces = |list: &[NamespaceOptions]| {
            let entries = list
                .iter()
                .map(|one| json!({ "regex": one.regex, "exclusive": one.exclusive }));
            entries.collect::<Value>()
        };
        let registration = json!({
            "id": self.options.id,
            "url": self.url(),
            "as_token": self.as_token(),
            "hs_token": self.hs_token(),
            "sender_localpart": self.options.sender_localpart,
            "rate_limited": false,
            "receive_ephemeral": self.options.receive_ephemeral,
            "de.sorunome.msc2409.push_ephemeral": self.options.push_ephemeral,
            "protocols": self.options.protocols,
            "namespaces": {
                "users": namespaces(&self.options.users),
                "aliases": namespaces(&self.options.aliases),
                "rooms": namespaces(&self.options.rooms),
            },
        });
        format!("{registration:#}\n")
    }

    /// Writes the registration file into a folder; gives back its path.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_registration(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let path = folder.join(format!("{}.yaml", self.options.id));
        std::fs::write(&path, self.registration()).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// Decides from now on what is done with each transaction, once it is written down.
    pub fn answer_with(&self, script: impl FnMut(&Record) -> Answer + Send + 'static) {
        *self
            .shared
            .script
            .lock()
            .expect("a script that panics fails its test") = Box::new(script);
    }

    /// Answers questions about users and aliases from now on; may call the server meanwhile.
    pub fn answer_queries_with<F>(&self, handler: impl Fn(Query) -> F + Send + Sync + 'static)
    where
        F: Future<Output = StatusCode> + Send + 'static,
    {
        let handler: QueryHandler = Arc::new(move |query| Box::pin(handler(query)));
        *self
            .shared
            .query_handler
            .lock()
            .expect("nothing panics with this lock") = handler;
    }

    /// Answers third-party lookups from now on, on the paths of all versions; until then each is answered 404.
    pub fn answer_lookups_with(
        &self,
        handler: impl FnMut(&Lookup) -> (StatusCode, Value) + Send + 'static,
    ) {
        *self
            .shared
            .lookup_handler
            .lock()
            .expect("a handler that panics fails its test") = Box::new(handler);
    }

    /// All third-party lookups so far.
    pub fn lookups(&self) -> Vec<Lookup> {
        self.shared
            .lookups
            .lock()
            .expect("nothing panics with this lock")
            .clone()
    }

    /// All transaction requests so far, repeats too.
    pub fn records(&self) -> Vec<Record> {
        self.shared.records.borrow().clone()
    }

    /// All questions so far.
    pub fn queries(&self) -> Vec<Query> {
        self.shared.queries.borrow().clone()
    }

    /// How many requests came without the right token. They are answered 403 and not written down.
    pub fn refused_tokens(&self) -> usize {
        *self.shared.refused_tokens.borrow()
    }

    /// Waits until what was received satisfies the condition.
    ///
    /// # Errors
    ///
    /// When it does not within the time given.
    pub async fn wait_for(
        &self,
        what: &str,
        within: Duration,
        mut condition: impl FnMut(&[Record]) -> bool,
    ) -> anyhow::Result<()> {
        let mut records = self.shared.records.subscribe();
        let arrived = records.wait_for(|records| condition(records));
        if let Ok(arrived) = tokio::time::timeout(within, arrived).await {
            return arrived.map(drop).context("the service is gone");
        }
        let records = self.shared.records.borrow();
        let events = records
            .iter()
            .map(|record| record.events().len())
            .sum::<usize>();
        bail!(
            "{what} did not arrive within {within:?}; {} requests with {events} events did, {} had a wrong token",
            records.len(),
            self.refused_tokens()
        )
    }

    /// Judges the server by everything received so far; see [`judge`].
    ///
    /// # Errors
    ///
    /// The first promise found broken.
    pub fn judge(&self, expected: &[String]) -> Result<Verdict, Fault> {
        judge(&self.shared.records.borrow(), expected)
    }
}

impl Drop for RecordingAppservice {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/_matrix/app/v1/transactions/{txn_id}", put(transaction))
        .route("/_matrix/app/v1/users/{user_id}", get(user))
        .route("/_matrix/app/v1/rooms/{alias}", get(alias))
        .route("/_matrix/app/v1/thirdparty/{*rest}", get(lookup))
        .route("/_matrix/app/unstable/thirdparty/{*rest}", get(lookup))
        .route(
            "/_matrix/app/v1/ping",
            post(|| async { answer(StatusCode::OK, &json!({})) }),
        )
        .layer(middleware::from_fn_with_state(shared.clone(), check_token))
        .layer(DefaultBodyLimit::max(LARGEST_BODY_BYTES))
        .with_state(shared)
}

async fn check_token(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if bearer(request.headers()) == Some(shared.hs_token.as_str()) {
        return next.run(request).await;
    }
    shared.refused_tokens.send_modify(|count| *count += 1);
    let body = json!({ "errcode": "M_FORBIDDEN", "error": "wrong hs_token" });
    answer(StatusCode::FORBIDDEN, &body)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

async fn transaction(
    State(shared): State<Arc<Shared>>,
    UrlPath(txn_id): UrlPath<String>,
    body: Bytes,
) -> Response {
    let parsed = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let record = Record {
        txn_id,
        body,
        received_at: Instant::now(),
        parsed,
    };
    let told = (shared
        .script
        .lock()
        .expect("a script that panics fails its test"))(&record);
    shared.records.send_modify(|records| records.push(record));
    let status = match told {
        Answer::Status(status) => status,
        Answer::After(delay, status) => {
            tokio::time::sleep(delay).await;
            status
        }
        // Ends the task that serves this connection, and the connection with it, without a panic message.
        Answer::Drop => std::panic::resume_unwind(Box::new("the script drops this request")),
    };
    answer(status, &json!({}))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (status, content_type, body.to_string()).into_response()
}

async fn user(State(shared): State<Arc<Shared>>, UrlPath(user_id): UrlPath<String>) -> Response {
    query(&shared, Query::User(user_id)).await
}

async fn alias(State(shared): State<Arc<Shared>>, UrlPath(alias): UrlPath<String>) -> Response {
    query(&shared, Query::Alias(alias)).await
}

async fn lookup(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    QueryFields(fields): QueryFields<Vec<(String, String)>>,
) -> Response {
    let lookup = Lookup {
        path: uri.path().to_owned(),
        fields,
    };
    shared
        .lookups
        .lock()
        .expect("nothing panics with this lock")
        .push(lookup.clone());
    let (status, body) = (shared
        .lookup_handler
        .lock()
        .expect("a handler that panics fails its test"))(&lookup);
    answer(status, &body)
}

async fn query(shared: &Shared, query: Query) -> Response {
    shared
        .queries
        .send_modify(|queries| queries.push(query.clone()));
    let handler = shared
        .query_handler
        .lock()
        .expect("nothing panics with this lock")
        .clone();
    answer(handler(query).await, &json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use reqwest::Method;

    const SOON: Duration = Duration::from_secs(10);

    async fn started() -> (RecordingAppservice, Client) {
        let options = AppserviceOptions::with_users("recorder", "rec_");
        let appservice = RecordingAppservice::start(options).await.unwrap();
        let client = Client::new(&appservice.url()).with_token(appservice.hs_token());
        (appservice, client)
    }

    async fn deliver(
        client: &Client,
        txn_id: &str,
        event_id: &str,
    ) -> Result<StatusCode, reqwest::Error> {
        let path = format!("/_matrix/app/v1/transactions/{txn_id}");
        let body = json!({ "events": [{ "event_id": event_id }] });
        Ok(client
            .request(Method::PUT, &path, &[], Some(&body))
            .await?
            .0)
    }

    #[tokio::test]
    async fn transactions_are_written_down_and_answered_as_told() {
        let (appservice, client) = started().await;
        let mut answers = [
            Answer::Status(StatusCode::BAD_GATEWAY),
            Answer::Drop,
            Answer::After(Duration::from_millis(20), StatusCode::OK),
        ]
        .into_iter();
        appservice.answer_with(move |_| answers.next().unwrap());

        assert_eq!(
            deliver(&client, "1", "$a").await.unwrap(),
            StatusCode::BAD_GATEWAY
        );
        let dropped = deliver(&client, "1", "$a").await;
        assert!(dropped.is_err(), "{dropped:?}");
        let asked_at = Instant::now();
        assert_eq!(deliver(&client, "1", "$a").await.unwrap(), StatusCode::OK);
        assert!(asked_at.elapsed() >= Duration::from_millis(20));

        let verdict = appservice.judge(&["$a".to_owned()]).unwrap();
        assert_eq!((verdict.transactions, verdict.repeats), (1, 2));
    }

    #[tokio::test]
    async fn without_the_token_nothing_is_written_down() {
        let (appservice, client) = started().await;
        for token in ["", "wrong", "as-token-of-recorder"] {
            let status = deliver(&client.with_token(token), "1", "$a").await.unwrap();
            assert_eq!(status, StatusCode::FORBIDDEN);
        }
        assert_eq!(
            (appservice.records().len(), appservice.refused_tokens()),
            (0, 3)
        );
    }

    #[tokio::test]
    async fn a_wait_wakes_when_the_event_arrives_and_ends_when_none_does() {
        let (appservice, client) = started().await;
        let arrived = appservice.wait_for("an event", SOON, |records| !records.is_empty());
        let (arrived, delivered) = tokio::join!(arrived, deliver(&client, "1", "$a"));
        arrived.unwrap();
        delivered.unwrap();
        let waited = appservice.wait_for("a second", Duration::from_millis(20), |records| {
            records.len() > 1
        });
        let error = waited.await.unwrap_err().to_string();
        assert!(error.contains("1 requests with 1 events"), "{error}");
    }

    #[tokio::test]
    async fn questions_are_decoded_and_answered_by_the_handler() {
        let (appservice, client) = started().await;
        let paths = [
            "/_matrix/app/v1/users/%40rec_a%3Alocalhost",
            "/_matrix/app/v1/rooms/%23rec_b%3Alocalhost",
        ];
        assert_eq!(client.get(paths[0]).await.unwrap().0, StatusCode::NOT_FOUND);
        appservice.answer_queries_with(|query| async move {
            match query {
                Query::User(_) => StatusCode::OK,
                Query::Alias(_) => StatusCode::IM_A_TEAPOT,
            }
        });
        assert_eq!(client.get(paths[0]).await.unwrap().0, StatusCode::OK);
        assert_eq!(
            client.get(paths[1]).await.unwrap().0,
            StatusCode::IM_A_TEAPOT
        );
        let user = Query::User("@rec_a:localhost".to_owned());
        let alias = Query::Alias("#rec_b:localhost".to_owned());
        assert_eq!(appservice.queries(), [user.clone(), user, alias]);
    }

    #[tokio::test]
    async fn the_registration_names_what_the_service_uses() {
        let (appservice, _) = started().await;
        let registration = serde_json::from_str::<Value>(&appservice.registration()).unwrap();
        assert_eq!(registration["url"], appservice.url());
        assert_eq!(registration["hs_token"], appservice.hs_token());
        assert_eq!(
            registration["namespaces"]["users"],
            json!([{ "regex": "@rec_.*", "exclusive": true }])
        );
    }
}
