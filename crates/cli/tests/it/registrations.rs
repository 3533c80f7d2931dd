//! Registrations of a running server, from the command line: added, changed, rotated, linted and removed, without a
//! restart.

use crate::BRIDGEHEAD;
use crate::appservice::{assert_has, assert_refused, json_of, text_of};
use crate::desk::{Desk, Run, SOON};
use bridgehead_testkit::{AppserviceOptions, Client, Record, RecordingAppservice, ServerProcess};
use serde_json::{Value, json};

/// A server without services, and a service that is not registered yet.
struct Setup {
    desk: Desk,
    server: ServerProcess,
    irc: RecordingAppservice,
}

impl Setup {
    async fn start() -> anyhow::Result<Self> {
        let desk = Desk::new();
        let irc = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_")).await?;
        desk.write("irc.yaml", &irc.registration());
        let server = ServerProcess::start(BRIDGEHEAD, &[]).await?;
        Ok(Self { desk, server, irc })
    }

    async fn run(&self, arguments: &[&str]) -> Run {
        let server = self.server.base_url();
        let data_dir = self.server.data_dir().display().to_string();
        let place = ["--server", &server, "--data-dir", &data_dir];
        self.desk
            .run(&[&["appservice"], arguments, &place].concat())
            .await
    }

    /// A person and a ghost in a room.
    async fn talk(&self) -> anyhow::Result<(Client, String)> {
        let password = "a password for a person";
        let alice = self.server.client().register("alice", password).await?;
        let service = self.server.client().with_token(&self.irc.as_token());
        let ghost = service.register_ghost("irc_bob").await?;
        let invite = json!({ "invite": [ghost.user_id()] });
        let room_id = alice.create_room(&invite).await?;
        ghost.join(&room_id).await?;
        Ok((alice, room_id))
    }

    async fn arrives(&self, text: &str) -> anyhow::Result<()> {
        let has = |record: &Record| {
            let events = record.events();
            events.iter().any(|event| event["content"]["body"] == text)
        };
        let arrived = |records: &[Record]| records.iter().any(has);
        self.irc.wait_for(text, SOON, arrived).await
    }
}

#[tokio::test]
async fn a_service_is_added_and_changed_while_the_server_runs() {
    let setup = Setup::start().await.unwrap();
    let tried = text_of(&setup.run(&["add", "irc.yaml", "--dry-run"]).await);
    assert_has(&tried, &["irc could be added"]);
    assert!(!text_of(&setup.run(&["list"]).await).contains("irc "));
    let added = setup
        .run(&["add", "irc.yaml", "--reason", "new bridge"])
        .await;
    assert_has(&text_of(&added), &["irc is added, revision "]);
    let (alice, room_id) = setup.talk().await.unwrap();
    alice.send_text(&room_id, "1", "welcome").await.unwrap();
    setup.arrives("welcome").await.unwrap();

    // One of two is refused, and the other is added all the same.
    setup.desk.write(
        "more.yaml",
        "id: more\nurl: null\nas_token: a-more\nhs_token: h-more\nsender_localpart: morebot\nnamespaces: {}\n",
    );
    setup.desk.write("bad.yaml", "id: bad\n");
    let both = setup.run(&["add", "bad.yaml", "more.yaml", "--json"]).await;
    assert_eq!(both.code(), Some(1), "{}", both.stderr());
    let both: Value = serde_json::from_str(&both.stdout()).unwrap();
    assert_eq!(both["registered"][0]["id"], "more");
    assert_eq!(both["refused"][0]["file"], "bad.yaml");
    let missing = setup.run(&["add", "nowhere.yaml"]).await;
    assert_refused(&missing, 1, &["cannot read nowhere.yaml", "No such file"]);

    let shown = text_of(&setup.run(&["show", "irc", "--registration"]).await);
    assert_has(&shown, &["# revision ", "***"]);
    assert!(!shown.contains(&setup.irc.as_token()), "{shown}");
    let before = json_of(&setup.run(&["show", "irc", "--json"]).await);
    setup
        .desk
        .write("changed.yaml", &shown.replace("@irc_.*", "@irc_b.*"));
    let changed = text_of(&setup.run(&["change", "irc", "changed.yaml"]).await);
    assert_has(&changed, &["irc is changed, revision "]);
    let revision = before["revision"].to_string();
    let late = setup
        .run(&["change", "irc", "changed.yaml", "--revision", &revision])
        .await;
    assert_refused(&late, 1, &["M_CONFLICT"]);
    // Its tokens have stayed.
    alice.send_text(&room_id, "2", "still here").await.unwrap();
    setup.arrives("still here").await.unwrap();
}

#[tokio::test]
async fn tokens_are_rotated_and_shown_once() {
    let setup = Setup::start().await.unwrap();
    text_of(&setup.run(&["add", "irc.yaml"]).await);
    let rotate = ["rotate", "irc", "--overlap", "0", "--output", "new.yaml"];
    let rotated = setup.run(&rotate).await;
    assert_eq!(text_of(&rotated), "");
    assert_has(
        &rotated.stderr(),
        &["new tokens of irc", "The old ones are good no more."],
    );
    assert_eq!(setup.desk.mode("new.yaml"), 0o600);
    let text = std::fs::read_to_string(setup.desk.path().join("new.yaml")).unwrap();
    let as_token = text
        .lines()
        .find_map(|line| line.strip_prefix("as_token: '")?.strip_suffix('\''))
        .unwrap();
    let whoami = "/_matrix/client/v3/account/whoami";
    for (token, wanted) in [(as_token, 200), (&setup.irc.as_token(), 401)] {
        let client = setup.server.client().with_token(token);
        let (status, body) = client.get(whoami).await.unwrap();
        assert_eq!(status.as_u16(), wanted, "{body}");
    }
    let again = setup.run(&rotate).await;
    assert_refused(&again, 1, &["new.yaml is there already"]);

    let printed = setup.run(&["rotate", "irc", "--json"]).await;
    let printed = json_of(&printed);
    assert!(
        printed["overlap_until_ms"].is_i64(),
        "an hour without the option: {printed}"
    );
    let audit = text_of(&setup.run(&["audit"]).await);
    assert!(!audit.contains(as_token), "{audit}");
}

#[tokio::test]
async fn a_removal_is_tried_asked_for_and_done() {
    let setup = Setup::start().await.unwrap();
    text_of(&setup.run(&["add", "irc.yaml"]).await);
    let (alice, room_id) = setup.talk().await.unwrap();
    let tried = text_of(&setup.run(&["remove", "irc", "--dry-run"]).await);
    assert_has(
        &tried,
        &["irc would be removed. Its users, aliases and rooms stay."],
    );
    let counted = setup.run(&["remove", "irc", "--purge", "--dry-run"]).await;
    assert_has(
        &text_of(&counted),
        &["irc would be removed, and with it:", "in 1 membership"],
    );
    let unasked = setup.run(&["remove", "irc", "--purge"]).await;
    assert_refused(
        &unasked,
        2,
        &["irc would be removed, and with it:", "--yes"],
    );
    let listed = text_of(&setup.run(&["list"]).await);
    assert_has(&listed, &["irc"]);

    let purged = setup
        .run(&["remove", "irc", "--purge", "--yes", "--wait", "--json"])
        .await;
    let report = json_of(&purged);
    assert_eq!(
        (&report["finished"], &report["dry_run"]),
        (&json!(true), &json!(false))
    );
    let members = format!("/_matrix/client/v3/rooms/{room_id}/joined_members");
    let (_, members) = alice.get(&members).await.unwrap();
    assert_eq!(
        members["joined"].as_object().map(serde_json::Map::len),
        Some(1),
        "{members}"
    );
    assert_refused(&setup.run(&["show", "irc"]).await, 1, &["M_NOT_FOUND"]);
}

#[tokio::test]
async fn a_linter_knows_those_in_force() {
    let setup = Setup::start().await.unwrap();
    text_of(&setup.run(&["add", "irc.yaml"]).await);
    let registration = |id: &str, pattern: &str| {
        format!(
            "id: {id}\nurl: http://127.0.0.1:9000\nas_token: a-{id}\nhs_token: h-{id}\nsender_localpart: {id}bot\n\
             namespaces:\n  users:\n  - regex: '{pattern}'\n    exclusive: true\n"
        )
    };
    setup
        .desk
        .write("other.yaml", &registration("other", "@irc_a.*:localhost"));
    setup
        .desk
        .write("third.yaml", &registration("third", "@irc_ab.*:localhost"));
    let linted = setup.run(&["lint", "other.yaml"]).await;
    assert_eq!(
        linted.code(),
        Some(1),
        "{}{}",
        linted.stdout(),
        linted.stderr()
    );
    assert_has(
        &linted.stdout(),
        &["other.yaml", "error: ", "irc", "for example: @irc_a"],
    );

    let linted = setup
        .run(&["lint", "other.yaml", "third.yaml", "--json"])
        .await;
    assert_eq!(linted.code(), Some(1));
    let report: Value = serde_json::from_str(&linted.stdout()).unwrap();
    assert_eq!(report["online"], true);
    let findings = report["files"][0]["findings"].as_array().unwrap();
    let others: Vec<_> = findings.iter().map(|one| &one["other_id"]).collect();
    assert!(
        others.contains(&&json!("irc")) && others.contains(&&json!("third")),
        "{report}"
    );

    let all = setup.run(&["lint"]).await;
    assert_eq!(all.code(), Some(0), "{}", all.stdout());
    let all = json_of(&setup.run(&["lint", "--json"]).await);
    assert!(all["findings"].is_array(), "{all}");
}
