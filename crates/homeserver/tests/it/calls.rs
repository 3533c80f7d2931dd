//! Calls that tests of accounts and services make all the time.

use std::path::PathBuf;

use bridgehead_homeserver::{
    Server,
    config::{Config, Overrides},
};
use bridgehead_testkit::{Client, RecordingAppservice, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

/// Sends a request; status and answer.
pub(crate) async fn call(client: &Client, method: Method, path: &str, body: Value) -> (u16, Value) {
    query(client, method, path, &[], body).await
}

/// The same with a query.
pub(crate) async fn query(
    client: &Client,
    method: Method,
    path: &str,
    query: &[(&str, &str)],
    body: Value,
) -> (u16, Value) {
    let body = (!body.is_null()).then_some(&body);
    let (status, answer) = client.request(method, path, query, body).await.unwrap();
    (status.as_u16(), answer)
}

/// Status and errcode of an answer.
pub(crate) fn code((status, answer): &(u16, Value)) -> (u16, &str) {
    (*status, answer["errcode"].as_str().unwrap_or_default())
}

/// A request that user-interactive authentication guards, with the password of all test users.
pub(crate) async fn with_password(
    client: &Client,
    method: Method,
    path: &str,
    mut body: Value,
    password: &str,
) -> (u16, Value) {
    let (status, challenge) = call(client, method.clone(), path, body.clone()).await;
    assert_eq!(status, 401, "{challenge}");
    assert_eq!(
        challenge["flows"],
        json!([{ "stages": ["m.login.password"] }])
    );
    body["auth"] = json!({
        "type": "m.login.password",
        "session": challenge["session"],
        "identifier": { "type": "m.id.user", "user": client.user_id() },
        "password": password,
    });
    call(client, method, path, body).await
}

/// Writes the registration of a service, changed by `change`, into a folder that lives as long
/// as the test.
pub(crate) fn registration(
    folder: &tempfile::TempDir,
    service: &RecordingAppservice,
    change: impl FnOnce(&mut Value),
) -> PathBuf {
    let mut registration: Value = serde_json::from_str(&service.registration()).unwrap();
    change(&mut registration);
    let name = registration["id"].as_str().unwrap().to_owned();
    let path = folder.path().join(format!("{name}.yaml"));
    std::fs::write(&path, registration.to_string()).unwrap();
    path
}

/// A server with one service whose registration has these keys too.
pub(crate) async fn server_with(
    service: &RecordingAppservice,
    keys: Value,
    settings: &[(&str, &str)],
) -> TestServer {
    let folder = tempfile::TempDir::new().unwrap();
    let file = registration(&folder, service, |registration| {
        for (key, value) in keys.as_object().unwrap() {
            registration[key] = value.clone();
        }
    });
    TestServer::start_with(&[file], settings).await.unwrap()
}

/// A server that enforces rate limits, which [`TestServer`] never does.
pub(crate) struct StrictServer {
    pub(crate) server: Server,
    _folder: tempfile::TempDir,
}

impl StrictServer {
    pub(crate) async fn start(registrations: Vec<PathBuf>, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let overrides = Overrides {
            data_dir: Some(folder.path().join("data")),
            server_name: Some("localhost".to_owned()),
            listen: vec!["127.0.0.1:0".to_owned()],
            registrations,
            open_registration: true,
            rate_limits: Some(true),
            ..Overrides::default()
        };
        let settings: Vec<(String, String)> = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let loaded = Config::load(None, settings.into_iter(), overrides);
        let config = loaded.map_err(|errors| errors.to_string()).unwrap().config;
        Self {
            server: Server::start(config).await.unwrap(),
            _folder: folder,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.server.addresses()[0]))
    }
}
