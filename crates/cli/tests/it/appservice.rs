//! `bridgehead appservice` and `bridgehead operator` against a real server with a real service: what they do, what
//! they print, and their exit codes.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a panic is the test's failure"
)]

use crate::BRIDGEHEAD;
use crate::desk::{Desk, Run, SOON, wait_for};
use bridgehead_testkit::{
    Answer, AppserviceOptions, Client, Process, Record, RecordingAppservice, ServerProcess,
    free_port,
};
use http::StatusCode;
use rcgen::generate_simple_self_signed;
use serde_json::{Value, json};
use std::time::Instant;

/// A server with the service `irc`, a person, and a room that both are in.
struct Setup {
    desk: Desk,
    server: ServerProcess,
    irc: RecordingAppservice,
    alice: Client,
    room_id: String,
}

impl Setup {
    async fn start() -> Self {
        let desk = Desk::new();
        let options = AppserviceOptions::with_users("irc", "irc_");
        let irc = RecordingAppservice::start(options).await.unwrap();
        let file = irc.write_registration(desk.path()).unwrap();
        let server = ServerProcess::start(BRIDGEHEAD, &[file]).await.unwrap();
        let password = "a password for a person";
        let alice = server.client().register("alice", password).await.unwrap();
        let service = server.client().with_token(&irc.as_token());
        let ghost = service.register_ghost("irc_bob").await.unwrap();
        let invite = json!({ "invite": [ghost.user_id()] });
        let room_id = alice.create_room(&invite).await.unwrap();
        ghost.join(&room_id).await.unwrap();
        let setup = Self {
            desk,
            server,
            irc,
            alice,
            room_id,
        };
        setup.say("hello").await;
        setup.arrives("hello").await;
        setup
    }

    async fn say(&self, text: &str) {
        let sent = self.alice.send_text(&self.room_id, text, text).await;
        sent.unwrap();
    }

    async fn arrives(&self, text: &str) {
        let arrived = |records: &[Record]| records.iter().any(|record| has(record, text));
        self.irc.wait_for(text, SOON, arrived).await.unwrap();
    }

    /// `bridgehead appservice …` on the server's own machine, but with its address named: the configuration does not
    /// have it.
    async fn run(&self, arguments: &[&str]) -> Run {
        self.run_as("appservice", arguments).await
    }

    async fn run_as(&self, noun: &str, arguments: &[&str]) -> Run {
        let (server, data_dir) = self.place();
        let place = ["--server", &server, "--data-dir", &data_dir];
        self.desk.run(&[&[noun], arguments, &place].concat()).await
    }

    fn place(&self) -> (String, String) {
        let data_dir = self.server.data_dir().to_str().unwrap();
        (self.server.base_url(), data_dir.to_owned())
    }

    fn spawn(&self, arguments: &[&str]) -> Process {
        let (server, data_dir) = self.place();
        let place = ["--server", &server, "--data-dir", &data_dir];
        self.desk
            .spawn(&[&["appservice"], arguments, &place].concat())
    }

    /// Looks at the service until it is as expected.
    async fn shows(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let started_at = Instant::now();
        loop {
            let service = json_of(&self.run(&["show", "irc", "--json"]).await);
            if is_so(&service) {
                return service;
            }
            assert!(started_at.elapsed() < SOON, "not {what}: {service:#}");
        }
    }
}

fn has(record: &Record, text: &str) -> bool {
    let events = record.events();
    events.iter().any(|event| event["content"]["body"] == text)
}

/// The one JSON document of a run that went well.
pub(crate) fn json_of(run: &Run) -> Value {
    assert_eq!(run.code(), Some(0), "{}{}", run.stdout(), run.stderr());
    serde_json::from_str(&run.stdout()).unwrap_or_else(|error| panic!("{error}: {}", run.stdout()))
}

/// What a run that went well printed.
pub(crate) fn text_of(run: &Run) -> String {
    assert_eq!(run.code(), Some(0), "{}{}", run.stdout(), run.stderr());
    run.stdout()
}

pub(crate) fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} in:\n{text}");
    }
}

pub(crate) fn assert_refused(run: &Run, code: i32, parts: &[&str]) {
    assert_eq!(run.code(), Some(code), "{}{}", run.stdout(), run.stderr());
    assert_eq!(run.stdout(), "");
    assert_has(&run.stderr(), parts);
}

#[tokio::test]
async fn a_service_is_listed_shown_paused_and_resumed() {
    let setup = Setup::start().await;
    let listed = text_of(&setup.run(&["list"]).await);
    assert_has(
        &listed,
        &["ID", "STATE", "irc", "idle", "1 service on localhost\n"],
    );
    let listed = json_of(&setup.run(&["list", "--json"]).await);
    assert_eq!(listed["services"][0]["id"], "irc");

    let reason = "the bridge moves";
    let paused = setup
        .run(&["pause", "irc", "--for", "2h", "--reason", reason])
        .await;
    assert_has(
        &text_of(&paused),
        &["irc is paused until 2", "What comes meanwhile is kept."],
    );
    setup.say("while paused").await;
    let service = setup
        .shows("waiting", |service| service["depth"] == 1)
        .await;
    assert_eq!(service["paused"]["reason"], reason);
    let listed = text_of(&setup.run(&["list"]).await);
    assert_has(
        &listed,
        &["idle, paused", "ends in 1 h 59 min: the bridge moves"],
    );
    let shown = text_of(&setup.run(&["show", "irc"]).await);
    assert_has(
        &shown,
        &[
            "@irc-bot:localhost",
            "Paused",
            "bridgehead appservice resume irc",
        ],
    );
    assert!(
        !setup
            .irc
            .records()
            .iter()
            .any(|record| has(record, "while paused"))
    );

    let resumed = json_of(&setup.run(&["resume", "irc", "--json"]).await);
    assert!(resumed["paused"].is_null(), "{resumed}");
    setup.arrives("while paused").await;
    let again = setup.run(&["resume", "irc"]).await;
    assert_refused(&again, 1, &["M_CONFLICT"]);
    let unknown = setup.run(&["show", "nobody"]).await;
    assert_refused(&unknown, 1, &["M_NOT_FOUND"]);

    let audit = text_of(&setup.run(&["audit", "irc"]).await);
    assert_has(&audit, &["local", "pause", "resume", reason]);
    let audit = json_of(&setup.run(&["audit", "--limit", "1", "--json"]).await);
    assert_eq!(audit["entries"][0]["action"], "resume");
    assert!(audit["next"].is_u64(), "{audit}");
}

#[tokio::test]
async fn what_a_service_refuses_is_laid_open_skipped_and_replayed() {
    let setup = Setup::start().await;
    setup.irc.answer_with(|record| {
        Answer::Status(match has(record, "poison") {
            true => StatusCode::INTERNAL_SERVER_ERROR,
            false => StatusCode::OK,
        })
    });
    setup.say("poison").await;
    setup.say("behind it").await;
    // Each attempt that is asked for brings the one event nearer to being found.
    let started_at = Instant::now();
    loop {
        setup.run(&["retry", "irc"]).await;
        let service = json_of(&setup.run(&["show", "irc", "--json"]).await);
        if service["stuck"].is_object() {
            assert_eq!(service["stuck"]["sender"], "@alice:localhost");
            break;
        }
        assert!(started_at.elapsed() < SOON, "not stuck: {service:#}");
    }
    let shown = text_of(&setup.run(&["show", "irc"]).await);
    assert_has(
        &shown,
        &[
            "retrying, stuck",
            "Stuck on one event",
            "m.room.message from @alice:localhost",
            "500",
        ],
    );
    let laid_open = text_of(&setup.run(&["transaction", "irc"]).await);
    assert_has(
        &laid_open,
        &["m.room.message", "@alice:localhost", &setup.room_id],
    );
    let body = json_of(&setup.run(&["transaction", "irc", "--body"]).await);
    assert_eq!(body["events"][0]["content"]["body"], "poison");

    let unasked = setup.run(&["skip", "irc"]).await;
    assert_refused(
        &unasked,
        2,
        &[
            "will be skipped: one event, m.room.message from @alice:localhost",
            "--yes",
        ],
    );
    let other = setup
        .run(&["skip", "irc", "--transaction", "999999", "--yes"])
        .await;
    assert_refused(&other, 1, &["M_CONFLICT"]);
    let skipped = setup
        .run(&["skip", "irc", "--yes", "--reason", "bad words"])
        .await;
    assert_has(&text_of(&skipped), &["of irc is skipped."]);
    setup.arrives("behind it").await;

    let skips = json_of(&setup.run(&["skips", "irc", "--json"]).await);
    let number = skips["skips"][0]["skip_id"].to_string();
    let skips = text_of(&setup.run(&["skips", "irc"]).await);
    assert_has(
        &skips,
        &["bad words", "m.room.message from @alice:localhost"],
    );

    setup.irc.answer_with(|_| Answer::Status(StatusCode::OK));
    let replayed = setup
        .run(&["replay", "irc", "--skip", &number, "--wait"])
        .await;
    assert_has(
        &text_of(&replayed),
        &["irc was sent again what was asked for."],
    );
    let accepted = setup
        .irc
        .records()
        .into_iter()
        .rev()
        .find(|record| has(record, "poison"));
    assert!(accepted.is_some());
    let skips = text_of(&setup.run(&["skips", "irc"]).await);
    assert!(!skips.contains(" no  "), "{skips}");
}

#[tokio::test]
async fn long_work_is_waited_for() {
    let setup = Setup::start().await;
    let before = setup.irc.records().len();
    let replayed = setup
        .run(&["replay", "irc", "--since", "1d", "--wait", "--json"])
        .await;
    let service = json_of(&replayed);
    assert!(service["replay"].is_null(), "{service}");
    let again = setup.irc.records()[before..]
        .iter()
        .any(|record| has(record, "hello"));
    assert!(again, "the replay has ended, so the message came again");

    let drained = setup
        .run(&["drain", "irc", "--wait", "--reason", "upgrade"])
        .await;
    assert_has(&text_of(&drained), &["irc is drained and paused"]);
    let service = setup
        .shows("paused", |service| service["paused"].is_object())
        .await;
    assert_eq!(service["depth"], 0);

    setup.say("kept").await;
    let nothing = setup
        .run(&["replay", "irc", "--after", "0", "--skip", "1"])
        .await;
    assert_refused(&nothing, 2, &["cannot be used with"]);
    let late = setup
        .run(&["replay", "irc", "--after", "0", "--wait", "--timeout", "0"])
        .await;
    assert_refused(&late, 1, &["the replay of irc is not done after 0 ms"]);
}

#[tokio::test]
async fn a_service_is_given_up_and_brought_back_by_a_person() {
    let setup = Setup::start().await;
    setup
        .irc
        .answer_with(|_| Answer::Status(StatusCode::BAD_GATEWAY));
    setup.say("bad luck").await;
    setup
        .shows("retrying", |service| service["state"] == "retrying")
        .await;
    let unasked = setup.run(&["fail", "irc"]).await;
    assert_refused(&unasked, 2, &["irc will be given up", "--yes"]);
    let failed = setup.run(&["fail", "irc", "--yes"]).await;
    assert_has(
        &text_of(&failed),
        &["irc is given up", "failed; 1 entry waits"],
    );
    setup.irc.answer_with(|_| Answer::Status(StatusCode::OK));
    let retried = setup.run(&["retry", "irc"]).await;
    assert_has(&text_of(&retried), &["irc is tried again now."]);
    setup.arrives("bad luck").await;
    setup
        .shows("idle", |service| {
            service["state"] == "idle" && service["depth"] == 0
        })
        .await;

    let told = text_of(&setup.run(&["policy", "irc"]).await);
    assert_eq!(told, "A stuck event of irc waits for a person.\n");
    let set = text_of(
        &setup
            .run(&["policy", "irc", "--skip-stuck-after", "7"])
            .await,
    );
    assert_eq!(set, "A stuck event of irc is skipped after 7 attempts.\n");
    let unset = json_of(
        &setup
            .run(&["policy", "irc", "--never-skip", "--json"])
            .await,
    );
    assert!(unset["skip_stuck_after"].is_null(), "{unset}");
}

#[tokio::test]
async fn a_watch_tells_what_happens_until_it_is_ended() {
    let setup = Setup::start().await;
    let mut scripted = setup.spawn(&["watch", "--json"]);
    let mut watched = setup.spawn(&["watch", "irc"]);
    wait_for(&scripted, "\"event\":\"state\"").await.unwrap();
    wait_for(&watched, "  irc  idle").await.unwrap();
    setup.say("watch this").await;
    wait_for(&scripted, "appservice.events_delivered")
        .await
        .unwrap();
    wait_for(&watched, "  irc  delivered 1 event in transaction ")
        .await
        .unwrap();
    text_of(&setup.run(&["pause", "irc"]).await);
    wait_for(&watched, "  irc  idle, paused").await.unwrap();

    assert_eq!(watched.interrupt().await.unwrap().code(), Some(0));
    assert_eq!(scripted.terminate().await.unwrap().code(), Some(0));
    for line in scripted
        .output()
        .iter()
        .filter(|line| !line.starts_with("--- "))
    {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(
            line["at_ms"].is_i64() && line["event"].is_string(),
            "{line}"
        );
    }
    let unknown = setup.run(&["watch", "nobody"]).await;
    assert_refused(&unknown, 1, &["M_NOT_FOUND"]);
}

#[tokio::test]
async fn a_watch_outlives_the_server() {
    let mut setup = Setup::start().await;
    let watched = setup.spawn(&["watch"]);
    wait_for(&watched, "  irc  idle").await.unwrap();
    setup.server.kill9().await.unwrap();
    wait_for(&watched, "the server is gone (").await.unwrap();
    setup.server.restart().await.unwrap();
    wait_for(&watched, "the server is back").await.unwrap();
    setup.say("back again").await;
    wait_for(&watched, "  irc  delivered ").await.unwrap();
}

#[tokio::test]
async fn who_may_only_read_cannot_act_and_who_is_removed_can_do_nothing() {
    let setup = Setup::start().await;
    let add = ["add", "wall", "--role", "read", "--output", "wall.token"];
    let added = setup.run_as("operator", &add).await;
    assert_eq!(
        (added.code(), added.stdout().as_str()),
        (Some(0), ""),
        "{}",
        added.stderr()
    );
    assert_eq!(setup.desk.mode("wall.token"), 0o600);
    let again = setup.run_as("operator", &add).await;
    assert_refused(&again, 1, &["wall.token is there already"]);
    let listed = text_of(&setup.run_as("operator", &["list"]).await);
    assert_has(&listed, &["local", "act", "wall", "read", "never"]);

    let wall = ["--token-file", "wall.token"];
    text_of(&setup.run(&[&["list"], &wall[..]].concat()).await);
    let refused = setup.run(&[&["pause", "irc"], &wall[..]].concat()).await;
    assert_refused(&refused, 4, &["M_FORBIDDEN"]);
    let removed = setup.run_as("operator", &["remove", "wall"]).await;
    assert_eq!(text_of(&removed), "wall is no operator any more.\n");
    let refused = setup.run(&[&["list"], &wall[..]].concat()).await;
    assert_eq!(refused.code(), Some(4), "{}", refused.stderr());
    let audit = json_of(&setup.run(&["audit", "--json"]).await);
    let acts: Vec<_> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["action"])
        .collect();
    assert!(
        acts.contains(&&json!("operator_add")) && acts.contains(&&json!("operator_remove")),
        "{audit}"
    );
    let secret = std::fs::read_to_string(setup.desk.path().join("wall.token")).unwrap();
    assert!(!audit.to_string().contains(secret.trim()));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_with_what_to_do() {
    let desk = Desk::new();
    let nobody = format!("http://127.0.0.1:{}", free_port().unwrap());
    desk.write("operator.token", "a-token-that-no-server-ever-gave-out\n");
    let list = ["appservice", "list", "--server", &nobody];
    let refused = desk
        .run(&[&list[..], &["--token-file", "operator.token"]].concat())
        .await;
    assert_refused(
        &refused,
        3,
        &[&nobody, "Connection refused", "bridgehead serve"],
    );
    let refused = desk.run(&[&list[..], &["--data-dir", "."]].concat()).await;
    assert_refused(&refused, 3, &["Connection refused"]);

    let none = desk.run(&list).await;
    assert_refused(
        &none,
        4,
        &[
            "there is no operator's token in ./bridgehead-data",
            "--token-file",
        ],
    );
    let elsewhere = desk
        .run(&["appservice", "list", "--server", "http://server.invalid"])
        .await;
    assert_refused(
        &elsewhere,
        4,
        &[
            "a token of http://server.invalid/ is needed",
            "BRIDGEHEAD_OPERATOR_TOKEN",
        ],
    );
    let wrong = desk
        .run(&["appservice", "list", "--server", "server.invalid"])
        .await;
    assert_refused(&wrong, 2, &["`server.invalid` is no server's address"]);
    desk.write("bad.toml", "listen = 1\n");
    let wrong = desk
        .run(&["appservice", "list", "--config", "bad.toml"])
        .await;
    assert_refused(&wrong, 2, &["bad.toml:1:", "--server"]);
    let wrong = desk.run(&["appservice", "replay", "irc"]).await;
    assert_refused(&wrong, 2, &["--after", "--since", "--skip"]);
}

#[tokio::test]
async fn a_wrong_token_and_a_server_of_another_kind_are_told_apart() {
    let setup = Setup::start().await;
    setup
        .desk
        .write("wrong.token", "a-token-that-no-server-ever-gave-out\n");
    let server = setup.server.base_url();
    let list = [
        "appservice",
        "list",
        "--token-file",
        "wrong.token",
        "--server",
    ];
    let refused = setup.desk.run(&[&list[..], &[&server]].concat()).await;
    assert_eq!(
        (refused.code(), refused.stdout().as_str()),
        (Some(4), ""),
        "{}",
        refused.stderr()
    );
    assert!(
        !refused.stderr().contains("a-token-that"),
        "{}",
        refused.stderr()
    );
    let other = format!("{server}/elsewhere");
    let other = setup.desk.run(&[&list[..], &[&other]].concat()).await;
    assert_refused(&other, 3, &["it is no Bridgehead server"]);
    // A service has tokens of its own, and says no as a server does.
    let service = setup.irc.url();
    let service = setup.desk.run(&[&list[..], &[&service]].concat()).await;
    assert_refused(&service, 4, &["wrong hs_token"]);
}

#[tokio::test]
async fn on_the_servers_own_machine_nothing_has_to_be_said() {
    let desk = Desk::new();
    let port = free_port().unwrap();
    desk.write(
        "bridgehead.toml",
        &format!("listen = [\"0.0.0.0:{port}\"]\ndata_dir = \"data\"\n"),
    );
    finds_its_server(&desk, "http").await;
}

#[tokio::test]
async fn a_server_with_tls_is_found_by_the_certificate_of_its_configuration() {
    let desk = Desk::new();
    let port = free_port().unwrap();
    let certified = generate_simple_self_signed(["matrix.example.org".to_owned()]).unwrap();
    write_private(&desk, "cert.pem", &certified.cert.pem());
    write_private(&desk, "key.pem", &certified.signing_key.serialize_pem());
    let tls = "[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n";
    let text = format!("listen = [\"127.0.0.1:{port}\"]\ndata_dir = \"data\"\n{tls}");
    desk.write("bridgehead.toml", &text);
    finds_its_server(&desk, "https").await;

    // Another certificate than the one that the server shows.
    let other = generate_simple_self_signed(["matrix.example.org".to_owned()]).unwrap();
    let _server = started(&desk, "https").await;
    write_private(&desk, "cert.pem", &other.cert.pem());
    write_private(&desk, "key.pem", &other.signing_key.serialize_pem());
    let refused = desk
        .run(&["appservice", "list", "--config", "bridgehead.toml"])
        .await;
    assert_refused(
        &refused,
        3,
        &["it is not the certificate that the configuration names"],
    );
}

async fn finds_its_server(desk: &Desk, scheme: &str) {
    let mut server = started(desk, scheme).await;
    let listed = desk
        .run(&["appservice", "list", "--config", "bridgehead.toml"])
        .await;
    assert_has(
        &text_of(&listed),
        &["localhost has no application services"],
    );
    let mut command = desk.command(&["operator", "list", "--json"]);
    command.env("BRIDGEHEAD_CONFIG", "bridgehead.toml");
    let listed = Run(command.output().await.unwrap());
    assert_eq!(json_of(&listed)["operators"][0]["name"], "local");
    // Its folder is free for another when it is gone, not when it is told to go.
    server.terminate().await.unwrap();
}

async fn started(desk: &Desk, scheme: &str) -> Process {
    let server = desk.spawn(&["serve", "--config", "bridgehead.toml"]);
    let serving = format!("serving localhost at {scheme}://");
    wait_for(&server, &serving).await.unwrap();
    server
}

fn write_private(desk: &Desk, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    desk.write(name, text);
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(desk.path().join(name), private).unwrap();
}

#[tokio::test]
async fn files_are_linted_without_a_server() {
    let desk = Desk::new();
    let registration = |id: &str, pattern: &str| {
        format!(
            "id: {id}\nurl: http://127.0.0.1:9000\nas_token: a-{id}\nhs_token: h-{id}\nsender_localpart: {id}bot\n\
             namespaces:\n  users:\n  - regex: '{pattern}'\n    exclusive: true\n"
        )
    };
    desk.write("irc.yaml", &registration("irc", "@irc.*:example\\.org"));
    desk.write(
        "other.yaml",
        &registration("other", "@irc_a.*:example\\.org"),
    );
    desk.write("bad.yaml", &registration("bad", "bad_.*"));
    let lint = [
        "appservice",
        "lint",
        "--server-name",
        "example.org",
        "--offline",
    ];
    let clean = desk.run(&[&lint[..], &["irc.yaml"]].concat()).await;
    assert_eq!(text_of(&clean), "irc.yaml: nothing found\n");
    let overlap = desk
        .run(&[&lint[..], &["irc.yaml", "other.yaml"]].concat())
        .await;
    assert_eq!(overlap.code(), Some(1), "{}", overlap.stderr());
    assert_has(
        &overlap.stdout(),
        &["error: ", "for example: @irc_a", "1 error"],
    );
    let bad = desk
        .run(&[&lint[..], &["bad.yaml", "--json"]].concat())
        .await;
    assert_eq!(bad.code(), Some(1));
    let report: Value = serde_json::from_str(&bad.stdout()).unwrap();
    assert_eq!(report["online"], false);
    assert_eq!(report["files"][0]["findings"][0]["kind"], "missing_sigil");

    // Nobody named a server, and none is there: it is said, and what can be said without one.
    let alone = desk
        .run(&[
            "appservice",
            "lint",
            "--server-name",
            "example.org",
            "irc.yaml",
        ])
        .await;
    assert_eq!(text_of(&alone), "irc.yaml: nothing found\n");
    assert_has(&alone.stderr(), &["warning: no server was asked"]);
    let named = [
        "appservice",
        "lint",
        "irc.yaml",
        "--server",
        "http://127.0.0.1:1",
        "--data-dir",
        ".",
    ];
    desk.write("operator.token", "a-token-that-no-server-ever-gave-out\n");
    assert_refused(&desk.run(&named).await, 3, &["no server answers"]);
}

#[tokio::test]
async fn shells_and_man_learn_the_commands() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = text_of(&desk.run(&["completions", shell]).await);
        assert_has(&script, &["appservice", "skip-stuck-after", "dry-run"]);
    }
    let page = text_of(&desk.run(&["man"]).await);
    assert_has(
        &page,
        &[".TH bridgehead 1", "See and steer the application services"],
    );
    let written = desk.run(&["man", "--out", "man/pages"]).await;
    assert_eq!(text_of(&written), "");
    let page = desk.path().join("man/pages/bridgehead-appservice-doctor.1");
    assert_has(
        &std::fs::read_to_string(page).unwrap(),
        &["what keeps a service from being reached", "Exit codes"],
    );
    let help = text_of(&desk.run(&["appservice", "list", "--help"]).await);
    assert_has(
        &help,
        &[
            "3  no server could be reached",
            "BRIDGEHEAD_SERVER",
            "NO_COLOR",
        ],
    );
}

#[tokio::test]
async fn a_start_that_fails_is_told_in_json_where_the_log_is() {
    let desk = Desk::new();
    let message = |run: &Run| {
        assert_eq!((run.code(), run.stdout().as_str()), (Some(1), ""));
        let told = run.stderr();
        let line: Value =
            serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
        assert_eq!(line["level"], "ERROR");
        line["fields"]["message"].as_str().unwrap().to_owned()
    };
    let json = "[log]\nformat = \"json\"\nfilter = \"off\"\n";
    desk.write("bad.toml", &format!("listen = 1\n{json}"));
    let run = desk.run(&["serve", "--config", "bad.toml"]).await;
    assert_has(
        &message(&run),
        &["the configuration has mistakes", "bad.toml:1:"],
    );

    let mut command = desk.command(&["serve", "--listen", "nowhere"]);
    command.env("BRIDGEHEAD_LOG_FORMAT", "json");
    let run = Run(command.output().await.unwrap());
    assert_has(
        &message(&run),
        &["the configuration has mistakes", "--listen"],
    );

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    desk.write("good.toml", json);
    let serve = ["serve", "--config", "good.toml", "--listen", &address];
    let message = message(&desk.run(&serve).await);
    assert_has(&message, &["cannot listen on", "Address already in use"]);
    let text = desk.run(&["serve", "--listen", "nowhere"]).await;
    assert!(
        text.stderr()
            .starts_with("bridgehead: the configuration has mistakes:\n"),
        "{}",
        text.stderr()
    );
}

#[tokio::test]
async fn a_doctor_finds_a_service_healthy_and_a_dead_one_not() {
    let setup = Setup::start().await;
    let healthy = text_of(&setup.run(&["doctor", "irc"]).await);
    assert_has(
        &healthy,
        &["✓  tcp", "✓  ping", "✓  round_trip", "\nirc is healthy\n"],
    );

    setup
        .irc
        .answer_with(|_| Answer::Status(StatusCode::INTERNAL_SERVER_ERROR));
    let sick = setup.run(&["doctor", "irc"]).await;
    assert_eq!(sick.code(), Some(1), "{}", sick.stderr());
    assert_has(
        &sick.stdout(),
        &["✓  ping", "✗  round_trip", "500", "\nirc is not healthy\n"],
    );
    let sick = setup.run(&["doctor", "irc", "--json"]).await;
    assert_eq!(sick.code(), Some(1));
    let report: Value = serde_json::from_str(&sick.stdout()).unwrap();
    assert_eq!(report["healthy"], false);
    assert_refused(&setup.run(&["doctor", "nobody"]).await, 1, &["M_NOT_FOUND"]);
}
