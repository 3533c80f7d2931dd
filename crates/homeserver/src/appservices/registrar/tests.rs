//! What operators do to registrations, on a real server over real HTTP.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::HeaderMap, routing::post};
use bridgehead_admin_api::{FindingKind, Source};
use bridgehead_store::{PurgeRow, Snapshot};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{By, How, RegistrarError, Replacement};
use crate::{
    Clock, Server,
    app::App,
    appservices::Call,
    config::{Config, Overrides},
};

/// A clock that stands until it is moved.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Fixture {
    server: Option<Server>,
    folder: tempfile::TempDir,
    clock: Arc<Hand>,
}

impl Fixture {
    async fn start() -> Self {
        Self::with_files(&[]).await
    }

    async fn with_files(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("as")).unwrap();
        for (name, content) in files {
            fs::write(folder.path().join("as").join(name), content).unwrap();
        }
        let clock = Arc::new(Hand(AtomicI64::new(1_700_000_000_000)));
        let mut fixture = Self {
            server: None,
            folder,
            clock,
        };
        fixture.run().await;
        fixture
    }

    async fn run(&mut self) {
        let overrides = Overrides {
            data_dir: Some(self.data_dir()),
            server_name: Some("localhost".to_owned()),
            listen: vec!["127.0.0.1:0".to_owned()],
            registrations: vec![self.folder.path().join("as")],
            open_registration: true,
            rate_limits: Some(false),
            registration_shared_secret: None,
        };
        let settings = [(
            "BRIDGEHEAD_APPSERVICES_REGISTRATION_POLL_MS".to_owned(),
            "0".to_owned(),
        )];
        let config = Config::load(None, settings.into_iter(), overrides)
            .unwrap()
            .config;
        let server = Server::start_with_clock(config, self.clock.clone())
            .await
            .unwrap();
        self.server = Some(server);
    }

    async fn restart(&mut self) {
        self.server.take().unwrap().stop().await;
        self.run().await;
    }

    fn data_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("as").join(name)
    }

    fn app(&self) -> &Arc<App> {
        self.server.as_ref().unwrap().app()
    }

    async fn add(&self, yaml: &str) -> u64 {
        let app = self.app();
        let added = app.registrar.add(app, yaml, false, &by()).await;
        added.unwrap().revision
    }

    async fn request(&self, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
        let address = self.server.as_ref().unwrap().addresses()[0];
        let response = reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .request(method, format!("http://{address}/_matrix/client/v3{path}"))
            .bearer_auth(token)
            .json(&body)
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    async fn whoami(&self, token: &str) -> u16 {
        let answer = self
            .request(Method::GET, "/account/whoami", token, json!({}))
            .await;
        answer.0
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> bridgehead_store::Result<T> + Send + 'static,
    ) -> T {
        self.app().store.read(work).await.unwrap()
    }

    async fn actions(&self) -> Vec<(String, String)> {
        let rows = self
            .read(|snapshot| snapshot.audit_page(None, None, 100))
            .await;
        let rows = rows.into_iter().filter(|row| row.service_id.is_some());
        let mut acts: Vec<_> = rows.map(|row| (row.who, row.action)).collect();
        acts.reverse();
        acts
    }
}

fn by() -> By {
    By {
        who: "ann".to_owned(),
        reason: Some("because".to_owned()),
    }
}

fn text(id: &str) -> String {
    format!(
        "id: {id}   # mine\nurl: null\nas_token: \"as-secret-{id}\"\nhs_token: hs-secret-{id}\n\
         sender_localpart: {id}bot\nnamespaces:\n  users:\n  - {{regex: '@{id}_.*', exclusive: true}}\n  \
         aliases:\n  - {{regex: '#{id}_.*', exclusive: true}}\n"
    )
}

fn contains(folder: &Path, needle: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        path.is_file()
            && fs::read(path)
                .unwrap()
                .windows(needle.len())
                .any(|window| window == needle.as_bytes())
    })
}

#[tokio::test]
async fn added_shown_changed_and_removed() {
    let mut fixture = Fixture::start().await;
    let app = fixture.app();
    let dry = app.registrar.add(app, &text("irc"), true, &by()).await;
    let dry = dry.unwrap();
    assert_eq!((dry.id.as_str(), dry.revision), ("irc", 1));
    assert!(dry.findings.iter().any(|f| f.kind == FindingKind::NoUrl));
    assert_eq!(fixture.whoami("as-secret-irc").await, 401);

    assert_eq!(fixture.add(&text("irc")).await, 1);
    assert_eq!(fixture.whoami("as-secret-irc").await, 200);
    fixture.restart().await;
    assert_eq!(fixture.whoami("as-secret-irc").await, 200, "it is kept");
    assert!(!contains(&fixture.data_dir(), "as-secret-irc"));
    assert!(!contains(&fixture.data_dir(), "hs-secret-irc"));

    let app = fixture.app();
    let shown = app.registrar.text("irc").unwrap();
    assert_eq!((shown.revision, &shown.source), (1, &Source::Api));
    assert!(shown.yaml.contains("id: irc   # mine\n"), "{}", shown.yaml);
    assert!(!shown.yaml.contains("secret"), "{}", shown.yaml);

    // What was shown, with a change: the tokens stay.
    let yaml = shown.yaml.replace("@irc_.*", "@libera_.*");
    let change = |revision, dry_run| Replacement {
        yaml: &yaml,
        revision,
        dry_run,
    };
    let registrar = &app.registrar;
    let stale = registrar.replace(app, "irc", change(7, false), &by()).await;
    assert!(matches!(
        stale,
        Err(RegistrarError::Conflict {
            revision: Some(1),
            ..
        })
    ));
    let dry = registrar.replace(app, "irc", change(1, true), &by()).await;
    assert_eq!(dry.unwrap().revision, 2);
    assert_eq!(registrar.revision("irc"), Some(1));
    let changed = registrar.replace(app, "irc", change(1, false), &by()).await;
    assert_eq!(changed.unwrap().revision, 2);
    assert_eq!(fixture.whoami("as-secret-irc").await, 200);
    assert!(app.registry().is_user_exclusive("@libera_x:localhost"));
    assert!(!app.registry().is_user_exclusive("@irc_x:localhost"));

    let how = How::default();
    let removed = registrar.remove(app, "irc", how, &by()).await.unwrap();
    assert!(removed.finished && !removed.dry_run);
    assert_eq!(fixture.whoami("as-secret-irc").await, 401);
    assert!(matches!(
        registrar.remove(app, "irc", how, &by()).await,
        Err(RegistrarError::NotFound(_))
    ));
    // Numbers are not used twice.
    assert_eq!(fixture.add(&text("irc")).await, 4);
    let acts = fixture.actions().await;
    let verbs: Vec<_> = acts.iter().map(|(_, action)| action.as_str()).collect();
    assert_eq!(verbs, ["add", "change", "remove", "add"]);
    assert!(acts.iter().all(|(who, _)| who == "ann"));
}

#[tokio::test]
async fn what_cannot_be_added() {
    let fixture = Fixture::with_files(&[("f.yaml", &text("file"))]).await;
    fixture.add(&text("irc")).await;
    let app = fixture.app();
    let refused = async |yaml: String| {
        let refused = app.registrar.add(app, &yaml, false, &by()).await;
        refused.unwrap_err().to_string()
    };
    assert!(refused(text("irc")).await.contains("registered already"));
    assert!(refused(text("file")).await.contains("f.yaml"));
    let twin = text("other").replace("as-secret-other", "as-secret-irc");
    assert!(refused(twin).await.contains("`as_token` is already used"));
    let hidden = text("other").replace("as-secret-other", "***");
    assert!(refused(hidden).await.contains("there is none"));
    assert!(refused("][".to_owned()).await.contains("not valid YAML"));
    let sigil = text("other").replace("@other_", "other_");
    assert!(refused(sigil).await.contains("can never match"));
    assert_eq!(app.registry().services().len(), 2);
    // The id is the service.
    let yaml = text("other");
    let change = Replacement {
        yaml: &yaml,
        revision: 1,
        dry_run: false,
    };
    let error = app.registrar.replace(app, "irc", change, &by()).await;
    assert!(error.unwrap_err().to_string().contains("not of `irc`"));
}

#[tokio::test]
async fn a_file_is_changed_as_a_file() {
    let mut fixture = Fixture::with_files(&[("f.yaml", &text("irc"))]).await;
    let app = fixture.app();
    let yaml = text("irc");
    let change = Replacement {
        yaml: &yaml,
        revision: 1,
        dry_run: false,
    };
    for error in [
        app.registrar
            .replace(app, "irc", change, &by())
            .await
            .map(drop),
        app.registrar
            .remove(app, "irc", How::default(), &by())
            .await
            .map(drop),
    ] {
        let error = error.unwrap_err();
        assert!(matches!(error, RegistrarError::Conflict { .. }));
        assert!(error.to_string().contains("f.yaml"), "{error}");
    }
    let how = How {
        dry_run: true,
        purge: true,
    };
    assert!(
        app.registrar
            .remove(app, "irc", how, &by())
            .await
            .unwrap()
            .dry_run
    );

    // Tokens in it are rotated, and nothing else is touched.
    let rotated = app
        .registrar
        .rotate(app, "irc", Duration::from_secs(60), &by())
        .await
        .unwrap();
    let wanted = text("irc")
        .replace("\"as-secret-irc\"", &format!("'{}'", rotated.as_token))
        .replace("hs-secret-irc", &format!("'{}'", rotated.hs_token));
    assert_eq!(fs::read_to_string(fixture.file("f.yaml")).unwrap(), wanted);
    assert_eq!(rotated.revision, 2);
    for token in ["as-secret-irc", &rotated.as_token] {
        assert_eq!(fixture.whoami(token).await, 200);
    }
    fixture.restart().await;
    for token in ["as-secret-irc", &rotated.as_token] {
        assert_eq!(fixture.whoami(token).await, 200);
    }
    let app = fixture.app();
    app.registrar.reload(app).await.unwrap();
    assert_eq!(
        app.registrar.revision("irc"),
        Some(2),
        "nothing has changed"
    );
    let acts = fixture.actions().await;
    let of = |who: &str, action: &str| (who.to_owned(), action.to_owned());
    assert_eq!(acts, [of("server", "add"), of("ann", "rotate")]);
}

#[tokio::test]
async fn tokens_of_a_file_that_cannot_be_replaced_alone() {
    let derived = text("irc").replace("id: irc   # mine\n", "");
    let anchored = text("slack").replace("hs_token: ", "hs_token: &x ") + "mine: *x\n";
    let fixture = Fixture::with_files(&[("a.yaml", &derived), ("b.yaml", &anchored)]).await;
    let app = fixture.app();
    for service in app.registry().services() {
        let id = &service.registration.id;
        let refused = app.registrar.rotate(app, id, Duration::ZERO, &by()).await;
        assert!(
            matches!(refused, Err(RegistrarError::NotWritable(_))),
            "{id}"
        );
    }
    assert_eq!(
        fs::read_to_string(fixture.file("b.yaml")).unwrap(),
        anchored
    );
    assert_eq!(fixture.whoami("as-secret-slack").await, 200);
}

/// A service that takes one token, and says which it was shown.
async fn service_that_knows(token: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let seen = shown.clone();
    let answer = move |headers: HeaderMap| async move {
        let bearer = headers["authorization"].to_str().unwrap().to_owned();
        let known = bearer == format!("Bearer {token}");
        seen.lock().push(bearer);
        if known {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        }
    };
    let router = Router::new().route("/_matrix/app/v1/ping", post(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        axum::serve(listener, router).await.unwrap();
    });
    (url, shown)
}

#[tokio::test]
async fn both_pairs_of_tokens_are_good_while_the_overlap_runs() {
    let fixture = Fixture::start().await;
    let (url, shown) = service_that_knows("hs-secret-irc").await;
    fixture
        .add(&text("irc").replace("url: null", &format!("url: {url}")))
        .await;
    let app = fixture.app();
    let ping = async || {
        let wire = app.registry().services()[0]
            .delivery
            .links()
            .queries
            .clone();
        let call = Call {
            method: Method::POST,
            path: "/ping",
            legacy_path: None,
            query: &[],
            body: Some("{}".into()),
        };
        let answer = wire.unwrap().call(&call, app.now_ms()).await.unwrap();
        answer.status.as_u16()
    };
    assert_eq!(ping().await, 200);
    let overlap = Duration::from_secs(60);
    let rotated = app
        .registrar
        .rotate(app, "irc", overlap, &by())
        .await
        .unwrap();
    assert_eq!(rotated.overlap_until_ms, Some(app.now_ms() + 60_000));
    shown.lock().clear();
    assert_eq!(
        ping().await,
        200,
        "the service still knows the old one alone"
    );
    let first = shown.lock().first().cloned().unwrap();
    assert_eq!(first, format!("Bearer {}", rotated.hs_token));
    for token in ["as-secret-irc", &rotated.as_token] {
        assert_eq!(fixture.whoami(token).await, 200);
    }
    assert!(!contains(&fixture.data_dir(), "hs-secret-irc"));

    fixture.clock.0.fetch_add(60_000, Ordering::Relaxed);
    assert_eq!(ping().await, 403);
    assert_eq!(fixture.whoami("as-secret-irc").await, 401);
    assert_eq!(fixture.whoami(&rotated.as_token).await, 200);

    let again = app
        .registrar
        .rotate(app, "irc", Duration::ZERO, &by())
        .await
        .unwrap();
    assert_eq!(again.overlap_until_ms, None);
    assert_eq!(fixture.whoami(&rotated.as_token).await, 401);
    assert_eq!(fixture.whoami(&again.as_token).await, 200);
}

/// A service with two ghosts in a room with alice, an alias and a directory entry.
async fn with_leftovers(fixture: &Fixture) -> (String, String) {
    fixture.add(&text("irc")).await;
    let post = async |path: &str, token: &str, body: Value| {
        let (status, answer) = fixture.request(Method::POST, path, token, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    };
    let (_, challenge) = fixture
        .request(
            Method::POST,
            "/register",
            "",
            json!({ "username": "alice", "password": "pw-long-enough" }),
        )
        .await;
    let auth = json!({ "type": "m.login.dummy", "session": challenge["session"] });
    let alice = post(
        "/register",
        "",
        json!({ "username": "alice", "password": "pw-long-enough", "auth": auth }),
    )
    .await;
    let alice = alice["access_token"].as_str().unwrap().to_owned();
    let room = post("/createRoom", &alice, json!({ "preset": "public_chat" })).await;
    let room = room["room_id"].as_str().unwrap().to_owned();
    for name in ["irc_a", "irc_b"] {
        let body = json!({ "type": "m.login.application_service", "username": name });
        post("/register", "as-secret-irc", body).await;
        let path = format!("/join/{room}?user_id=@{name}:localhost");
        post(&path, "as-secret-irc", json!({})).await;
    }
    post(&format!("/join/{room}"), "as-secret-irc", json!({})).await;
    let (status, _) = fixture
        .request(
            Method::PUT,
            "/directory/room/%23irc_x:localhost?user_id=@irc_a:localhost",
            "as-secret-irc",
            json!({ "room_id": room }),
        )
        .await;
    assert_eq!(status, 200);
    let published = room.clone();
    let app = fixture.app();
    app.store
        .write(move |tx| tx.set_published("irc|libera", &published, true))
        .await
        .map_err(|error: bridgehead_store::Error| error)
        .unwrap();
    (alice, room)
}

async fn joined(fixture: &Fixture, room: &str, token: &str) -> Vec<String> {
    let path = format!("/rooms/{room}/joined_members");
    let (_, answer) = fixture.request(Method::GET, &path, token, json!({})).await;
    let members = answer["joined"].as_object().unwrap();
    members.keys().cloned().collect()
}

#[tokio::test]
async fn a_purge_takes_away_what_the_service_has_left() {
    let fixture = Fixture::start().await;
    let (alice, room) = with_leftovers(&fixture).await;
    let app = fixture.app();
    let how = |dry_run| How {
        purge: true,
        dry_run,
    };
    let dry = app
        .registrar
        .remove(app, "irc", how(true), &by())
        .await
        .unwrap();
    let figures = (
        dry.ghosts,
        dry.memberships,
        dry.aliases,
        dry.directory_entries,
    );
    assert_eq!(figures, (2, 3, 1, 1), "{dry:?}");
    assert!(dry.dry_run && !dry.finished);
    assert!(dry.examples.contains(&"#irc_x:localhost".to_owned()));
    assert_eq!(joined(&fixture, &room, &alice).await.len(), 4);

    let done = app
        .registrar
        .remove(app, "irc", how(false), &by())
        .await
        .unwrap();
    let figures = (
        done.ghosts,
        done.memberships,
        done.aliases,
        done.directory_entries,
    );
    assert_eq!(figures, (2, 3, 1, 1), "{done:?}");
    assert!(done.finished && !done.dry_run);
    assert_eq!(joined(&fixture, &room, &alice).await, ["@alice:localhost"]);
    let ghost = fixture
        .read(|snapshot| snapshot.user("@irc_a:localhost"))
        .await;
    assert!(ghost.unwrap().deactivated);
    assert!(
        fixture
            .read(|s| s.alias("#irc_x:localhost"))
            .await
            .is_none()
    );
    assert!(
        fixture
            .read(|s| s.published_rooms("irc|libera"))
            .await
            .is_empty()
    );
    // The same request tells that it is done.
    let again = app
        .registrar
        .remove(app, "irc", how(false), &by())
        .await
        .unwrap();
    assert_eq!(again, done);
}

#[tokio::test]
async fn a_purge_goes_on_after_a_restart() {
    let mut fixture = Fixture::start().await;
    let (alice, room) = with_leftovers(&fixture).await;
    let app = fixture.app();
    app.registrar
        .remove(app, "irc", How::default(), &by())
        .await
        .unwrap();
    assert_eq!(
        joined(&fixture, &room, &alice).await.len(),
        4,
        "only the registration went"
    );
    // As a crash right after the request would leave it.
    let begun = PurgeRow {
        service_id: "irc".to_owned(),
        sender: "@ircbot:localhost".to_owned(),
        started_at: app.now_ms(),
        examples: "[]".to_owned(),
        ..PurgeRow::default()
    };
    app.store
        .write(move |tx| tx.begin_purge(&begun))
        .await
        .map_err(|error: bridgehead_store::Error| error)
        .unwrap();
    fixture.restart().await;
    let app = fixture.app();
    let how = How {
        purge: true,
        dry_run: false,
    };
    let started_at = std::time::Instant::now();
    let report = loop {
        let report = app.registrar.remove(app, "irc", how, &by()).await.unwrap();
        if report.finished {
            break report;
        }
        assert!(started_at.elapsed() < Duration::from_secs(20), "{report:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(
        (report.ghosts, report.memberships, report.aliases),
        (2, 3, 1)
    );
    assert_eq!(joined(&fixture, &room, &alice).await, ["@alice:localhost"]);
}

#[tokio::test]
async fn a_lost_key_is_told_and_the_service_can_be_added_again() {
    let mut fixture = Fixture::start().await;
    fixture.add(&text("irc")).await;
    fs::remove_file(fixture.data_dir().join("secrets.key")).unwrap();
    fixture.restart().await;
    let app = fixture.app();
    assert_eq!(fixture.whoami("as-secret-irc").await, 401);
    let problems = app.registrar.problems();
    assert!(
        problems[0].errors[0].reason.contains("`irc`"),
        "{problems:?}"
    );
    // The same text is the same revision.
    assert_eq!(fixture.add(&text("irc")).await, 1);
    assert_eq!(fixture.whoami("as-secret-irc").await, 200);
    assert!(fixture.app().registrar.problems().is_empty());
}

#[tokio::test]
async fn the_linter_knows_the_accounts_that_there_are() {
    let fixture = Fixture::start().await;
    let (_, _) = with_leftovers(&fixture).await;
    let app = fixture.app();
    let yaml = text("irc2").replace("@irc2_.*", "@irc.*");
    let report = app.registrar.lint(app, Some(&yaml)).await.unwrap();
    let swallowed = report
        .findings
        .iter()
        .find(|finding| finding.kind == FindingKind::SwallowsUsers)
        .unwrap();
    assert_eq!(swallowed.count, Some(2), "{swallowed:?}");
    let overlap = &report.findings[0];
    assert_eq!(overlap.kind, FindingKind::ExclusiveOverlap);
    assert_eq!(overlap.other_id.as_deref(), Some("irc"));
    let all = app.registrar.lint(app, None).await.unwrap();
    assert!(
        all.findings
            .iter()
            .all(|f| f.kind != FindingKind::SwallowsUsers)
    );
}
