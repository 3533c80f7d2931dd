//! Registration files that come, change and go while the server runs.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bridgehead_testkit::{
    Answer, AppserviceOptions, Client, NamespaceOptions, RecordingAppservice, SERVER_NAME,
    TestServer,
};
use reqwest::StatusCode;
use serde_json::json;
use tempfile::TempDir;

const WITHIN: Duration = Duration::from_secs(20);
const POLL: &[(&str, &str)] = &[
    ("BRIDGEHEAD_APPSERVICES_REGISTRATION_POLL_MS", "20"),
    ("BRIDGEHEAD_APPSERVICES_BACKOFF_MIN_MS", "20"),
    ("BRIDGEHEAD_APPSERVICES_BACKOFF_MAX_MS", "100"),
];

/// A server that watches the folder `as` in its own.
async fn watching() -> (TestServer, PathBuf) {
    let folder = TempDir::new().unwrap();
    let watched = folder.path().join("as");
    fs::create_dir(&watched).unwrap();
    let server = TestServer::start_in(folder, vec![watched.clone()], POLL)
        .await
        .unwrap();
    (server, watched)
}

async fn irc() -> RecordingAppservice {
    RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap()
}

/// Waits until a request with this token is answered so.
async fn until_token_is(server: &TestServer, token: &str, wanted: StatusCode) {
    let client = server.client().with_token(token);
    let started_at = Instant::now();
    loop {
        let (status, answer) = client
            .get("/_matrix/client/v3/account/whoami")
            .await
            .unwrap();
        if status == wanted {
            return;
        }
        assert!(started_at.elapsed() < WITHIN, "still {status}: {answer}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A room with a ghost of the service in it.
async fn room_with_ghost(server: &TestServer, service: &RecordingAppservice) -> (Client, String) {
    let alice = server.user("alice").await.unwrap();
    let room = alice
        .create_room(&json!({ "preset": "public_chat" }))
        .await
        .unwrap();
    let bot = server.client().with_token(&service.as_token());
    let ghost = bot.register_ghost("irc_bob").await.unwrap();
    ghost.join(&room).await.unwrap();
    (alice, room)
}

async fn arrives(service: &RecordingAppservice, event_id: &str) {
    service
        .wait_for(event_id, WITHIN, |records| {
            records.iter().any(|record| {
                record
                    .events()
                    .iter()
                    .any(|event| event["event_id"] == event_id)
            })
        })
        .await
        .unwrap();
}

fn has_received(service: &RecordingAppservice, event_id: &str) -> bool {
    service.records().iter().any(|record| {
        record
            .events()
            .iter()
            .any(|event| event["event_id"] == event_id)
    })
}

#[tokio::test]
async fn a_new_file_takes_effect_and_the_service_is_told_what_happens_from_then_on() {
    let (server, watched) = watching().await;
    let alice = server.user("alice").await.unwrap();
    // A name in the namespace that is to come.
    let person = server.user("irc_old").await.unwrap();
    let room = alice
        .create_room(&json!({ "preset": "public_chat" }))
        .await
        .unwrap();
    person.join(&room).await.unwrap();
    let before = alice.send_text(&room, "1", "before").await.unwrap();

    let service = irc().await;
    service.write_registration(&watched).unwrap();
    until_token_is(&server, &service.as_token(), StatusCode::OK).await;
    let after = alice.send_text(&room, "2", "after").await.unwrap();
    arrives(&service, &after).await;
    assert!(!has_received(&service, &before));
    service.judge(&[after]).unwrap();
}

#[tokio::test]
async fn a_service_whose_file_comes_back_goes_on_where_it_was() {
    let (server, watched) = watching().await;
    let service = irc().await;
    let file = service.write_registration(&watched).unwrap();
    until_token_is(&server, &service.as_token(), StatusCode::OK).await;
    let (alice, room) = room_with_ghost(&server, &service).await;
    let first = alice.send_text(&room, "1", "first").await.unwrap();
    arrives(&service, &first).await;
    service.answer_with(|_| Answer::Status(StatusCode::INTERNAL_SERVER_ERROR));
    let waiting = alice.send_text(&room, "2", "waiting").await.unwrap();
    arrives(&service, &waiting).await;

    fs::remove_file(&file).unwrap();
    until_token_is(&server, &service.as_token(), StatusCode::UNAUTHORIZED).await;
    let tries = service.records().len();
    let meanwhile = alice.send_text(&room, "3", "meanwhile").await.unwrap();
    service.answer_with(|_| Answer::Status(StatusCode::OK));
    service.write_registration(&watched).unwrap();
    until_token_is(&server, &service.as_token(), StatusCode::OK).await;
    let last = alice.send_text(&room, "4", "last").await.unwrap();
    arrives(&service, &last).await;

    let records = service.records();
    assert!(
        records[tries..].iter().any(|record| record
            .events()
            .iter()
            .any(|event| event["event_id"] == waiting)),
        "what was waiting was sent again"
    );
    assert!(!has_received(&service, &meanwhile), "nobody was registered");
    service.judge(&[first, waiting, last]).unwrap();
}

#[tokio::test]
async fn patterns_count_from_their_change_on() {
    let (server, watched) = watching().await;
    let service = irc().await;
    let file = service.write_registration(&watched).unwrap();
    until_token_is(&server, &service.as_token(), StatusCode::OK).await;
    let alice = server.user("alice").await.unwrap();
    let slack = server.user("slack_bob").await.unwrap();
    let room = alice
        .create_room(&json!({ "preset": "public_chat" }))
        .await
        .unwrap();
    slack.join(&room).await.unwrap();
    let before = alice.send_text(&room, "1", "before").await.unwrap();

    let text = fs::read_to_string(&file).unwrap();
    let replace_file = |text: &str| {
        let beside = watched.join(".new");
        fs::write(&beside, text).unwrap();
        fs::rename(&beside, &file).unwrap();
    };
    replace_file(&text.replace("@irc_.*", "@(irc|slack)_.*"));
    // The name is the service's as soon as the pattern is in force.
    let bot = server.client().with_token(&service.as_token());
    let may_act = |wanted: StatusCode| {
        let ghost = bot.acting_as(&format!("@slack_bob:{SERVER_NAME}"));
        async move {
            let started_at = Instant::now();
            while ghost
                .get("/_matrix/client/v3/account/whoami")
                .await
                .unwrap()
                .0
                != wanted
            {
                assert!(started_at.elapsed() < WITHIN);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    may_act(StatusCode::OK).await;
    let during = alice.send_text(&room, "2", "during").await.unwrap();
    arrives(&service, &during).await;

    service.answer_with(|_| Answer::Status(StatusCode::INTERNAL_SERVER_ERROR));
    let kept = alice.send_text(&room, "3", "kept").await.unwrap();
    replace_file(&text);
    may_act(StatusCode::FORBIDDEN).await;
    let after = alice.send_text(&room, "4", "after").await.unwrap();
    service.answer_with(|_| Answer::Status(StatusCode::OK));
    // Decided when it was written, so it comes although the pattern is gone; and something newer,
    // so that what would come with it has come.
    arrives(&service, &kept).await;
    let bob = bot.register_ghost("irc_bob").await.unwrap();
    bob.join(&room).await.unwrap();
    let last = alice.send_text(&room, "5", "last").await.unwrap();
    arrives(&service, &last).await;
    assert!(!has_received(&service, &before));
    assert!(!has_received(&service, &after));
    service.judge(&[during, kept, last]).unwrap();
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_the_others_take_effect() {
    let (server, watched) = watching().await;
    let service = irc().await;
    let file = service.write_registration(&watched).unwrap();
    until_token_is(&server, &service.as_token(), StatusCode::OK).await;
    let (alice, room) = room_with_ghost(&server, &service).await;

    fs::write(&file, "id: irc\nas_token: [").unwrap();
    let other = RecordingAppservice::start(AppserviceOptions::with_users("slack", "slack_"))
        .await
        .unwrap();
    other.write_registration(&watched).unwrap();
    // One that clashes with what is in force.
    let twin = service
        .registration()
        .replace("as-token-of-irc", "another-token");
    fs::write(watched.join("twin.yaml"), &twin).unwrap();
    until_token_is(&server, &other.as_token(), StatusCode::OK).await;
    until_token_is(&server, &service.as_token(), StatusCode::OK).await;
    let event = alice.send_text(&room, "1", "still").await.unwrap();
    arrives(&service, &event).await;
    until_token_is(&server, "another-token", StatusCode::UNAUTHORIZED).await;

    // Its time comes when the first one goes.
    fs::remove_file(&file).unwrap();
    until_token_is(&server, "another-token", StatusCode::OK).await;
    until_token_is(&server, &service.as_token(), StatusCode::UNAUTHORIZED).await;
    let event = alice.send_text(&room, "2", "same service").await.unwrap();
    arrives(&service, &event).await;
}

#[tokio::test]
async fn a_new_address_gets_what_the_old_one_did_not_take() {
    let (server, watched) = watching().await;
    let old = irc().await;
    let file = old.write_registration(&watched).unwrap();
    until_token_is(&server, &old.as_token(), StatusCode::OK).await;
    let (alice, room) = room_with_ghost(&server, &old).await;
    let first = alice.send_text(&room, "1", "first").await.unwrap();
    arrives(&old, &first).await;
    old.answer_with(|_| Answer::Status(StatusCode::INTERNAL_SERVER_ERROR));
    let stuck = alice.send_text(&room, "2", "stuck").await.unwrap();
    arrives(&old, &stuck).await;

    let new = irc().await;
    fs::write(&file, new.registration()).unwrap();
    arrives(&new, &stuck).await;
    let frozen = old.records().last().unwrap().clone();
    let taken = new.records().first().unwrap().clone();
    assert_eq!((&frozen.txn_id, &frozen.body), (&taken.txn_id, &taken.body));
    let last = alice.send_text(&room, "3", "last").await.unwrap();
    arrives(&new, &last).await;
    new.judge(&[stuck, last]).unwrap();
}

#[tokio::test]
async fn without_the_watch_files_are_read_again_when_asked() {
    let folder = TempDir::new().unwrap();
    let watched = folder.path().join("as");
    fs::create_dir(&watched).unwrap();
    let settings = [("BRIDGEHEAD_APPSERVICES_REGISTRATION_POLL_MS", "0")];
    let server = TestServer::start_in(folder, vec![watched.clone()], &settings)
        .await
        .unwrap();
    let service = irc().await;
    let file = service.write_registration(&watched).unwrap();
    until_token_is(&server, &service.as_token(), StatusCode::UNAUTHORIZED).await;
    server.server().reload_registrations().await.unwrap();
    until_token_is(&server, &service.as_token(), StatusCode::OK).await;
    fs::remove_file(file).unwrap();
    server.server().reload_registrations().await.unwrap();
    until_token_is(&server, &service.as_token(), StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn many_come_and_go_while_one_is_served() {
    let (server, watched) = watching().await;
    let service = RecordingAppservice::start(AppserviceOptions {
        rooms: vec![NamespaceOptions {
            regex: "!.*".to_owned(),
            exclusive: false,
        }],
        ..AppserviceOptions::with_users("irc", "irc_")
    })
    .await
    .unwrap();
    service.write_registration(&watched).unwrap();
    until_token_is(&server, &service.as_token(), StatusCode::OK).await;
    let (alice, room) = room_with_ghost(&server, &service).await;
    let mut sent = Vec::new();
    for round in 0..10 {
        write_small(&watched, round);
        if round > 0 {
            fs::remove_file(watched.join(format!("small{}.yaml", round - 1))).unwrap();
        }
        for n in 0..5 {
            let txn = format!("{round}-{n}");
            sent.push(alice.send_text(&room, &txn, &txn).await.unwrap());
        }
        until_token_is(&server, &format!("small-token-{round}"), StatusCode::OK).await;
    }
    arrives(&service, sent.last().unwrap()).await;
    service.judge(&sent).unwrap();
}

fn write_small(folder: &Path, number: usize) {
    let text = format!(
        "id: small{number}\nurl: null\nas_token: small-token-{number}\nhs_token: h\n\
         sender_localpart: small{number}\n"
    );
    fs::write(folder.join(format!("small{number}.yaml")), text).unwrap();
}
