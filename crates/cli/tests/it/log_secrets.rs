//! No token, password or message reaches the log: a real server at its most talkative, in both formats.
//!
//! The run uses every kind of secret in every place that takes one, rightly and wrongly. Afterwards all that the
//! process has printed is searched for each of them, as it is and in the usual encodings.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use bridgehead_testkit::{
    AppserviceOptions, Client, Process, Query, RecordingAppservice, free_port,
};
use futures_util::{SinkExt as _, StreamExt as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    process::Command,
};

use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::BRIDGEHEAD;

const SOON: Duration = Duration::from_secs(60);
/// Where the testkit's process keeps fewer lines than this, some may be missing.
const LINES_KEPT: usize = 20_000;

const PASSWORD: &str = "correct-horse/battery+staple";
const WRONG_PASSWORD: &str = "wrong-horse/battery+staple";
const NEW_PASSWORD: &str = "fresh-horse/battery+staple";
const UNREADABLE_PASSWORD: &str = "horse-in-a-body-that-is-no-json";
const LISTED_PASSWORD: &str = "horse-in-a-list";
const SIGN_UP_TOKEN: &str = "sign-up-token-of-this-test";
const WRONG_SIGN_UP_TOKEN: &str = "sign-up-token-of-nobody";
const SHARED_SECRET: &str = "shared+secret/of=this-test";
const METRICS_TOKEN: &str = "metrics+token/of=this-test";
const UNKNOWN_TOKEN: &str = "syt_token+of/nobody";
const MESSAGE: &str = "what alice said to the ghost";
const ECHO_HS_TOKEN: &str = "hs+token/of=echo";
const ECHO_AS_TOKEN: &str = "as+token/of=echo";
const GONE_HS_TOKEN: &str = "hs+token/of=gone";
const GONE_AS_TOKEN: &str = "as+token/of=gone";
const SOCK_HS_TOKEN: &str = "hs+token/of=sock";
const SOCK_AS_TOKEN: &str = "as+token/of=sock";
const FRAME: &str = "what the service wrote into a frame";

/// The secrets that were used, and what each is for.
#[derive(Default)]
struct Ring(Vec<(String, String)>);

impl Ring {
    fn add(&mut self, what: &str, secret: &str) {
        assert!(secret.len() >= 12, "{what} is too short to search for");
        self.0.push((what.to_owned(), secret.to_owned()));
    }

    /// A secret that an answer holds.
    fn add_from(&mut self, what: &str, answer: &Value, key: &str) -> anyhow::Result<String> {
        let secret = answer[key]
            .as_str()
            .with_context(|| format!("no {key} in {answer}"))?;
        self.add(what, secret);
        Ok(secret.to_owned())
    }

    /// The lines with a secret in them.
    fn found_in<'a>(&self, lines: &'a [String]) -> Vec<(String, &'a str)> {
        let mut found = Vec::new();
        for (what, secret) in &self.0 {
            let forms = forms(secret);
            for line in lines {
                if let Some(form) = forms.iter().find(|form| line.contains(form.as_str())) {
                    found.push((format!("{what} as {form}"), line.as_str()));
                }
            }
        }
        found
    }
}

/// A secret as it is, in a url, in JSON's escapes, and in base64.
fn forms(secret: &str) -> Vec<String> {
    let form = |text: &str| reqwest::Url::parse_with_params("http://x", [("k", text)]);
    let query = form(secret).map(|url| url.query().unwrap_or_default()[2..].to_owned());
    let mut forms = vec![
        secret.to_owned(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        secret.replace('/', "\\/"),
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
    ];
    forms.extend(query);
    forms
}

/// A service that answers every request with a page that shows the request, as debug pages do.
async fn start_echo() -> anyhow::Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 65536];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let page = format!(
                    "<html>Internal error at {}</html>",
                    String::from_utf8_lossy(&request[..length])
                );
                let answer = format!(
                    "HTTP/1.1 500 Oops\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{page}",
                    page.len()
                );
                stream.write_all(answer.as_bytes()).await.ok();
            });
        }
    });
    Ok(url)
}

fn registration(id: &str, url: &str, as_token: &str, hs_token: &str) -> Value {
    json!({
        "id": id, "url": url, "as_token": as_token, "hs_token": hs_token,
        "sender_localpart": format!("{id}-bot"), "rate_limited": false,
        "namespaces": {
            "users": [{ "regex": format!("@{id}_.*"), "exclusive": true }],
            "aliases": [{ "regex": format!("#{id}_.*"), "exclusive": true }],
            "rooms": [],
        },
        "protocols": [id],
        "io.bridgehead": { "legacy_query_token": true },
    })
}

/// The server under test, with its services.
struct Scene {
    folder: TempDir,
    irc: RecordingAppservice,
    ring: Ring,
    process: Process,
    nobody: Client,
}

impl Scene {
    async fn start(format: &str) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("bridgehead-log-")?;
        let mut ring = Ring::default();
        let irc = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_")).await?;
        let mut legacy: Value = serde_json::from_str(&irc.registration())?;
        legacy["io.bridgehead"] = json!({ "legacy_query_token": true });
        ring.add("as_token", &irc.as_token());
        ring.add("hs_token", irc.hs_token());
        let gone = format!("http://127.0.0.1:{}", free_port()?);
        let services = [
            ("irc", legacy),
            (
                "echo",
                registration("echo", &start_echo().await?, ECHO_AS_TOKEN, ECHO_HS_TOKEN),
            ),
            (
                "gone",
                registration("gone", &gone, GONE_AS_TOKEN, GONE_HS_TOKEN),
            ),
            (
                "sock",
                registration("sock", "websocket", SOCK_AS_TOKEN, SOCK_HS_TOKEN),
            ),
        ];
        fs::create_dir(folder.path().join("services"))?;
        for (id, registration) in services {
            let file = folder.path().join(format!("services/{id}.yaml"));
            fs::write(file, registration.to_string())?;
        }
        for (what, secret) in [
            ("sign-up token", SIGN_UP_TOKEN),
            ("shared secret", SHARED_SECRET),
            ("metrics token", METRICS_TOKEN),
            ("hs_token of echo", ECHO_HS_TOKEN),
            ("as_token of echo", ECHO_AS_TOKEN),
            ("hs_token of gone", GONE_HS_TOKEN),
            ("as_token of gone", GONE_AS_TOKEN),
            ("hs_token of sock", SOCK_HS_TOKEN),
            ("as_token of sock", SOCK_AS_TOKEN),
            ("frame", FRAME),
        ] {
            ring.add(what, secret);
        }
        write_config(folder.path(), format)?;
        let process = spawn(folder.path(), &["serve", "--config", "bridgehead.toml"])?;
        let mut address = None;
        process
            .wait_for_output("its address", SOON, |lines| {
                let at = |line: &String| Some(line.split_once(" at http://")?.1.to_owned());
                address = lines.iter().find_map(at);
                address.is_some()
            })
            .await?;
        let address = address.context("it was just found")?;
        // In JSON the text ends with a quote.
        let address = address.split('"').next().unwrap_or_default();
        let nobody = Client::new(&format!("http://{address}"));
        Ok(Self {
            folder,
            irc,
            ring,
            process,
            nobody,
        })
    }

    async fn post(
        &self,
        client: &Client,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<(StatusCode, Value)> {
        Ok(client.request(Method::POST, path, &[], Some(body)).await?)
    }

    /// Signs up and logs in, rightly and wrongly; gives back a client of the user.
    async fn accounts(&mut self) -> anyhow::Result<Client> {
        for (what, secret) in [
            ("password", PASSWORD),
            ("wrong password", WRONG_PASSWORD),
            ("new password", NEW_PASSWORD),
            ("password in a broken body", UNREADABLE_PASSWORD),
            ("password in a list", LISTED_PASSWORD),
            ("wrong sign-up token", WRONG_SIGN_UP_TOKEN),
        ] {
            self.ring.add(what, secret);
        }
        let alice = self.sign_up("alice").await?;
        let login = "/_matrix/client/v3/login";
        let body = |password: Value, refresh: bool| {
            json!({
                "type": "m.login.password", "password": password, "refresh_token": refresh,
                "identifier": { "type": "m.id.user", "user": "alice" },
            })
        };
        let (status, answer) = self
            .post(&self.nobody, login, &body(json!(PASSWORD), true))
            .await?;
        ensure!(status.is_success(), "{answer}");
        self.ring
            .add_from("access token", &answer, "access_token")?;
        let refresh = self
            .ring
            .add_from("refresh token", &answer, "refresh_token")?;
        let (status, answer) = self
            .post(
                &self.nobody,
                "/_matrix/client/v3/refresh",
                &json!({ "refresh_token": refresh }),
            )
            .await?;
        ensure!(status.is_success(), "{answer}");
        self.ring
            .add_from("second access token", &answer, "access_token")?;
        self.ring
            .add_from("second refresh token", &answer, "refresh_token")?;
        for password in [json!(WRONG_PASSWORD), json!([LISTED_PASSWORD])] {
            let (status, _) = self
                .post(&self.nobody, login, &body(password, false))
                .await?;
            ensure!(status.is_client_error());
        }
        let broken =
            format!("{{\"type\": \"m.login.password\", \"password\": \"{UNREADABLE_PASSWORD}\",");
        let url = format!("{}{login}", self.base());
        let answer = http()?.post(url).body(broken).send().await?;
        ensure!(answer.status() == StatusCode::BAD_REQUEST);
        self.change_password(&alice).await?;
        let forged = json!({
            "nonce": "none", "username": "carol", "password": NEW_PASSWORD, "mac": "00",
        });
        let (status, _) = self
            .post(&self.nobody, "/_synapse/admin/v1/register", &forged)
            .await?;
        ensure!(status.is_client_error());
        Ok(alice)
    }

    /// With a sign-up token: first a wrong one, then the right one.
    async fn sign_up(&mut self, name: &str) -> anyhow::Result<Client> {
        let path = "/_matrix/client/v3/register";
        let validity = "/_matrix/client/v1/register/m.login.registration_token/validity";
        let mut body = json!({ "username": name, "password": PASSWORD });
        let (_, challenge) = self.post(&self.nobody, path, &body).await?;
        for token in [WRONG_SIGN_UP_TOKEN, SIGN_UP_TOKEN] {
            let query = [("token", token)];
            self.nobody
                .request(Method::GET, validity, &query, None)
                .await?;
            body["auth"] = json!({
                "type": "m.login.registration_token", "token": token,
                "session": challenge["session"],
            });
            self.post(&self.nobody, path, &body).await?;
        }
        body["auth"] = json!({ "type": "m.login.dummy", "session": challenge["session"] });
        let (status, answer) = self.post(&self.nobody, path, &body).await?;
        // Where the token alone is enough, the account is there already.
        if status.is_success() {
            self.ring
                .add_from("first access token", &answer, "access_token")?;
        }
        let client = self.nobody.login(name, PASSWORD).await?;
        let token = client.access_token().context("logged in")?;
        self.ring.add("access token of the session", token);
        Ok(client)
    }

    async fn change_password(&self, alice: &Client) -> anyhow::Result<()> {
        let path = "/_matrix/client/v3/account/password";
        let mut body = json!({ "new_password": NEW_PASSWORD, "logout_devices": false });
        let (_, challenge) = self.post(alice, path, &body).await?;
        for password in [WRONG_PASSWORD, PASSWORD] {
            body["auth"] = json!({
                "type": "m.login.password", "password": password,
                "identifier": { "type": "m.id.user", "user": "alice" },
                "session": challenge["session"],
            });
            self.post(alice, path, &body).await?;
        }
        self.nobody.login("alice", NEW_PASSWORD).await?;
        Ok(())
    }

    fn base(&self) -> String {
        // The client keeps it to itself.
        let lines = self.process.output();
        let address = lines
            .iter()
            .find_map(|line| Some(line.split_once(" at http://")?.1.to_owned()));
        format!(
            "http://{}",
            address
                .unwrap_or_default()
                .split('"')
                .next()
                .unwrap_or_default()
        )
    }

    /// Tokens in the header and in the query, on paths that are there and on others.
    async fn tokens(&mut self, alice: &Client) -> anyhow::Result<()> {
        self.ring.add("token of nobody", UNKNOWN_TOKEN);
        let good = alice.access_token().context("logged in")?.to_owned();
        for token in [
            good.as_str(),
            UNKNOWN_TOKEN,
            &self.irc.as_token(),
            METRICS_TOKEN,
        ] {
            let client = self.nobody.with_token(token);
            for path in [
                "/_matrix/client/v3/account/whoami",
                "/no/such/path",
                "/metrics",
            ] {
                client.get(path).await?;
                let query = [("access_token", token)];
                self.nobody.request(Method::GET, path, &query, None).await?;
                self.nobody
                    .request(Method::PATCH, path, &query, None)
                    .await?;
            }
        }
        Ok(())
    }

    /// What the services are told, asked, and say themselves.
    async fn services(&mut self, alice: &Client) -> anyhow::Result<()> {
        self.ring.add("message", MESSAGE);
        self.irc.answer_queries_with(|query| async move {
            match query {
                Query::User(_) | Query::Alias(_) => StatusCode::NOT_FOUND,
            }
        });
        let room = alice
            .create_room(&json!({ "preset": "public_chat" }))
            .await?;
        for (id, token) in [
            ("irc", self.irc.as_token()),
            ("echo", ECHO_AS_TOKEN.to_owned()),
            ("gone", GONE_AS_TOKEN.to_owned()),
            ("sock", SOCK_AS_TOKEN.to_owned()),
        ] {
            let bot = self.nobody.with_token(&token);
            bot.register_ghost(&format!("{id}_ghost"))
                .await?
                .join(&room)
                .await?;
            let ping = format!("/_matrix/client/v1/appservice/{id}/ping");
            self.post(&bot, &ping, &json!({ "transaction_id": "ping" }))
                .await?;
            // Not its own.
            let stranger = json!({ "type": "m.login.application_service", "username": "alice2" });
            self.post(&bot, "/_matrix/client/v3/register", &stranger)
                .await?;
            for path in [
                format!("/_matrix/client/v3/profile/@{id}_nobody:localhost"),
                format!("/_matrix/client/v3/directory/room/%23{id}_nothing:localhost"),
                format!("/_matrix/client/v3/thirdparty/user/{id}?nick=somebody"),
            ] {
                alice.get(&path).await?;
            }
        }
        let sent = alice.send_text(&room, "1", MESSAGE).await?;
        self.irc
            .wait_for("the message", SOON, |records| {
                records
                    .iter()
                    .any(|r| r.events().iter().any(|e| e["event_id"] == sent.as_str()))
            })
            .await?;
        let failed = |lines: &[String]| {
            ["echo", "gone"].iter().all(|id| {
                lines
                    .iter()
                    .any(|line| line.contains("delivery failed") && line.contains(id))
            })
        };
        self.process
            .wait_for_output("both failures", SOON, failed)
            .await
    }

    /// A websocket: the message comes over it, and what goes back is not what the server expects.
    async fn websocket(&mut self) -> anyhow::Result<()> {
        let path = "/_matrix/client/unstable/fi.mau.as_sync";
        for (token, is_good) in [(UNKNOWN_TOKEN, false), (SOCK_AS_TOKEN, true)] {
            let url = format!("{}{path}", self.base()).replacen("http", "ws", 1);
            let mut request = url.into_client_request()?;
            let bearer = format!("Bearer {token}").parse()?;
            request.headers_mut().insert("authorization", bearer);
            let connected = connect_async(request).await;
            ensure!(connected.is_ok() == is_good, "{token} was taken otherwise");
            let Ok((mut socket, _)) = connected else {
                continue;
            };
            let told = tokio::time::timeout(SOON, async {
                while let Some(frame) = socket.next().await.transpose()? {
                    if frame.to_text().is_ok_and(|text| text.contains(MESSAGE)) {
                        return anyhow::Ok(true);
                    }
                }
                Ok(false)
            });
            ensure!(told.await??, "the message did not come");
            for text in [
                json!({ "id": 1, "command": "response", "data": { "odd": FRAME } }).to_string(),
                json!({ "id": 7, "command": FRAME, "data": FRAME }).to_string(),
                format!("{{ \"command\": \"{FRAME}\","),
            ] {
                // The server may hang up at any of these.
                socket.send(Message::text(text)).await.ok();
            }
            socket.close(None).await.ok();
        }
        Ok(())
    }

    /// The operator API: right and wrong tokens, a browser's session, a new operator.
    async fn operators(&mut self) -> anyhow::Result<()> {
        let file = self.folder.path().join("data/operator.token");
        let token = fs::read_to_string(file)?.trim().to_owned();
        self.ring.add("operator's token", &token);
        let operator = self.nobody.with_token(&token);
        let base = "/_bridgehead/v1";
        for client in [&operator, &self.nobody.with_token(UNKNOWN_TOKEN)] {
            for path in [
                "appservices",
                "appservices/echo",
                "appservices/echo/transaction",
                "audit",
            ] {
                client.get(&format!("{base}/{path}")).await?;
            }
        }
        let added = json!({ "name": "ops", "role": "read" });
        let (status, answer) = self
            .post(&operator, &format!("{base}/operators"), &added)
            .await?;
        ensure!(status.is_success(), "{answer}");
        self.ring
            .add_from("second operator's token", &answer, "token")?;
        for given in [UNKNOWN_TOKEN, &token] {
            let response = http()?
                .post(format!("{}{base}/session", self.base()))
                .json(&json!({ "token": given }))
                .send()
                .await?;
            let cookie = response.headers().get("set-cookie").cloned();
            let answer: Value = response.json().await?;
            let Some(cookie) = cookie else { continue };
            let id = cookie
                .to_str()?
                .split(['=', ';'])
                .nth(1)
                .context("a cookie")?
                .to_owned();
            self.ring.add("session", &id);
            self.ring.add_from("CSRF token", &answer, "csrf_token")?;
            http()?
                .get(format!("{}{base}/session", self.base()))
                .header("cookie", format!("bridgehead_session={id}"))
                .send()
                .await?;
        }
        let pause = json!({ "reason": "a test" });
        let path = format!("{base}/appservices/gone/pause");
        self.post(&operator, &path, &pause).await?;
        let paused = |lines: &[String]| lines.iter().any(|line| line.contains("paused"));
        self.process
            .wait_for_output("the pause", SOON, paused)
            .await
    }
}

fn http() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()?)
}

fn write_config(folder: &Path, format: &str) -> anyhow::Result<()> {
    let config = format!(
        "data_dir = 'data'\nlisten = ['127.0.0.1:0']\nregistrations = ['services']\n\
         [accounts]\nregistration_tokens = ['{SIGN_UP_TOKEN}']\n\
         registration_shared_secret = '{SHARED_SECRET}'\n\
         [limits]\nrate_limits = 'off'\n\
         [appservices]\nbackoff_min_ms = 50\nbackoff_max_ms = 200\n\
         [metrics]\ntoken = '{METRICS_TOKEN}'\n\
         [log]\nformat = '{format}'\nfilter = 'trace'\n"
    );
    Ok(fs::write(folder.join("bridgehead.toml"), config)?)
}

fn spawn(folder: &Path, arguments: &[&str]) -> anyhow::Result<Process> {
    let mut command = Command::new(BRIDGEHEAD);
    command.args(arguments).current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BRIDGEHEAD_") {
            command.env_remove(name);
        }
    }
    Process::spawn("bridgehead", command)
}

/// Every kind of secret is used; gives back what was printed, and the secrets.
async fn run(format: &str) -> anyhow::Result<(Vec<String>, Ring)> {
    let mut scene = Scene::start(format).await?;
    let alice = scene.accounts().await?;
    scene.tokens(&alice).await?;
    scene.services(&alice).await?;
    scene.websocket().await?;
    scene.operators().await?;
    scene.process.terminate().await?;
    let lines = scene.process.output();
    ensure!(lines.len() < LINES_KEPT, "{} lines", lines.len());
    Ok((lines, scene.ring))
}

/// Nothing secret was printed; but what the log is for was.
fn judge(lines: &[String], ring: &Ring, interesting: &[&[&str]]) {
    let found = ring.found_in(lines);
    assert!(
        found.is_empty(),
        "{} secrets in the log: {found:#?}",
        found.len()
    );
    for parts in interesting {
        assert!(
            lines
                .iter()
                .any(|line| parts.iter().all(|part| line.contains(part))),
            "no line with {parts:?} in:\n{}",
            lines.join("\n")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_logged_as_text() {
    let (lines, ring) = run("text").await.unwrap();
    judge(
        &lines,
        &ring,
        &[
            &[
                "answered",
                "request.id=",
                "path=\"/_matrix/client/v3/login\"",
                "status=403",
            ],
            &["answered", "path=\"/no/such/path\"", "status=404"],
            &[
                "delivery failed",
                "appservice.id=echo",
                "the service answered 500",
            ],
            &["delivery failed", "appservice.id=gone", "cannot connect"],
            &["APPSERVICE_NAMESPACE_CONFLICT", "appservice.id=irc"],
            &["APPSERVICE_SERVICE_UNAVAILABLE", "appservice.id=echo"],
            &["appservice.events_delivered"],
            &["paused", "appservice.id=gone", "by=\"operator\""],
            // Libraries speak, too.
            &["DEBUG", "hyper"],
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_logged_as_json() {
    let (lines, ring) = run("json").await.unwrap();
    judge(
        &lines,
        &ring,
        &[
            &[
                "\"message\":\"answered\"",
                "\"path\":\"/_matrix/client/v3/login\"",
                "\"status\":403",
                "\"request.id\":\"",
            ],
            &[
                "delivery failed",
                "\"appservice.id\":\"echo\"",
                "the service answered 500",
            ],
            &["\"appservice.id\":\"gone\"", "cannot connect"],
            &["\"level\":\"DEBUG\"", "hyper"],
        ],
    );
    // The testkit's own remarks begin with dashes.
    for line in lines.iter().filter(|line| !line.starts_with("---")) {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(
            line["timestamp"].is_string() && line["level"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn a_secret_is_found_however_it_is_written() {
    let mut ring = Ring::default();
    ring.add("token", "a+token/of=nobody");
    for line in [
        "GET /x?access_token=a%2Btoken%2Fof%3Dnobody HTTP/1.1",
        "{\"token\":\"a+token\\/of=nobody\"}",
        "Authorization: Basic YSt0b2tlbi9vZj1ub2JvZHk=",
        "Bearer a+token/of=nobody",
    ] {
        let lines = ["nothing".to_owned(), line.to_owned()];
        assert_eq!(ring.found_in(&lines).len(), 1, "{line}");
    }
}

/// Registrations with mistakes, each with tokens in it.
fn bad_registrations() -> Vec<String> {
    let good = "id: bad\nurl: http://127.0.0.1:1\nas_token: as+token/of=bad\nhs_token: hs+token/of=bad\n\
                sender_localpart: bad-bot\nnamespaces: {}\n";
    vec![
        good.replace("as+token/of=bad", "[as+token/of=bad]"),
        good.replace("as+token/of=bad", "'as+token/of=bad"),
        good.replace("as+token/of=bad", "{ as+token/of=bad"),
        good.replace("as_token: ", "as_token as+token/of=bad: "),
        good.replace("namespaces: {}", "namespaces: { users: as+token/of=bad }"),
        format!("{good}as_token: as+token/of=bad\n"),
        format!("\t{good}"),
    ]
}

#[tokio::test]
async fn a_registration_with_mistakes_is_refused_without_its_tokens() {
    let mut ring = Ring::default();
    ring.add("as_token", "as+token/of=bad");
    ring.add("hs_token", "hs+token/of=bad");
    for text in bad_registrations() {
        let folder = TempDir::with_prefix("bridgehead-log-").unwrap();
        fs::create_dir(folder.path().join("services")).unwrap();
        let file: PathBuf = folder.path().join("services/bad.yaml");
        fs::write(&file, &text).unwrap();
        write_config(folder.path(), "text").unwrap();
        let process = spawn(folder.path(), &["serve", "--config", "bridgehead.toml"]).unwrap();
        let refused = |lines: &[String]| lines.iter().any(|line| line.contains("bad.yaml"));
        process
            .wait_for_output("the refusal", SOON, refused)
            .await
            .unwrap();
        // Waits in vain until the process has ended, and then has all that it printed.
        let over = process.wait_for_output("more", SOON, |_| false).await;
        let over = over.unwrap_err().to_string();
        assert!(over.contains("ended and had not printed"), "{over}");
        let lines = process.output();
        let found = ring.found_in(&lines);
        assert!(found.is_empty(), "{text}\n{found:#?}");
    }
}
