//! Synapse's admin endpoints, and accounts made beside the server.

use std::time::Duration;

use bridgehead_homeserver::{
    CreateUserError, StartError,
    config::{Config, Overrides},
    create_user_offline,
};
use bridgehead_testkit::{
    AppserviceOptions, Client, REGISTRATION_SHARED_SECRET, RecordingAppservice, TestServer,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use serde_json::{Value, json};
use sha1::Sha1;

use crate::calls::{StrictServer, call, code};

const REGISTER: &str = "/_synapse/admin/v1/register";

async fn nonce(client: &Client) -> String {
    let (_, answer) = call(client, Method::GET, REGISTER, Value::Null).await;
    answer["nonce"].as_str().unwrap().to_owned()
}

fn mac(parts: &[&str]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(REGISTRATION_SHARED_SECRET.as_bytes()).unwrap();
    mac.update(parts.join("\0").as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A server with an administrator and a user, both logged in.
async fn scene() -> (TestServer, Client, Client) {
    let server = TestServer::start().await.unwrap();
    server
        .server()
        .create_user("root", "password", true)
        .await
        .unwrap();
    let root = server.client().login("root", "password").await.unwrap();
    let alice = server.user("alice").await.unwrap();
    (server, root, alice)
}

#[tokio::test]
async fn the_shared_secret_makes_accounts() {
    let server = TestServer::start().await.unwrap();
    let client = server.client();
    let nonce = nonce(&client).await;
    let body = json!({
        "nonce": nonce, "username": "root", "password": "pw", "admin": true,
        "mac": mac(&[&nonce, "root", "pw", "admin"]),
    });
    let (status, made) = call(&client, Method::POST, REGISTER, body.clone()).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(made["user_id"], "@root:localhost");
    let root = client.with_token(made["access_token"].as_str().unwrap());
    let path = "/_synapse/admin/v1/users/@root:localhost/admin";
    assert_eq!(
        call(&root, Method::GET, path, Value::Null).await,
        (200, json!({ "admin": true }))
    );
    // The nonce is used up.
    let again = call(&client, Method::POST, REGISTER, body).await;
    assert_eq!(code(&again), (400, "M_UNKNOWN"));
}

#[tokio::test]
async fn a_wrong_mac_makes_nothing() {
    let server = TestServer::start().await.unwrap();
    let client = server.client();
    for (admin, mac_for) in [(true, "notadmin"), (false, "admin")] {
        let nonce = nonce(&client).await;
        let body = json!({
            "nonce": nonce, "username": "root", "password": "pw", "admin": admin,
            "mac": mac(&[&nonce, "root", "pw", mac_for]),
        });
        let refused = call(&client, Method::POST, REGISTER, body).await;
        assert_eq!(code(&refused), (403, "M_FORBIDDEN"));
    }
    let nonce = nonce(&client).await;
    let body = json!({ "nonce": nonce, "username": "root", "password": "pw", "mac": "xyz" });
    let refused = call(&client, Method::POST, REGISTER, body).await;
    assert_eq!(code(&refused), (403, "M_FORBIDDEN"));
    assert!(client.login("root", "pw").await.is_err());
}

#[tokio::test]
async fn only_administrators_get_in() {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    for (method, path) in [
        (Method::GET, "/v1/server_version"),
        (Method::GET, "/v1/users/@alice:localhost/admin"),
        (Method::PUT, "/v1/users/@alice:localhost/admin"),
        (Method::GET, "/v2/users/@alice:localhost"),
        (Method::PUT, "/v2/users/@alice:localhost"),
        (Method::POST, "/v1/join/!room"),
        (Method::POST, "/v1/rooms/!room/make_room_admin"),
    ] {
        let path = format!("/_synapse/admin{path}");
        for client in [&alice, &bot] {
            let body = json!({ "admin": true });
            let refused = call(client, method.clone(), &path, body).await;
            assert_eq!(code(&refused), (403, "M_FORBIDDEN"), "{path}");
        }
        let nobody = call(&server.client(), method, &path, json!({})).await;
        assert_eq!(code(&nobody), (401, "M_MISSING_TOKEN"), "{path}");
    }
}

#[tokio::test]
async fn an_administrator_makes_and_changes_accounts() {
    let (server, root, alice) = scene().await;
    let path = "/_synapse/admin/v2/users/@bob:localhost";
    let missing = call(&root, Method::GET, path, Value::Null).await;
    assert_eq!(code(&missing), (404, "M_NOT_FOUND"));
    let body = json!({ "password": "pw", "displayname": "Bob" });
    let (status, made) = call(&root, Method::PUT, path, body).await;
    assert_eq!(status, 201);
    assert_eq!(
        (&made["name"], &made["displayname"]),
        (&json!("@bob:localhost"), &json!("Bob"))
    );
    let bob = server.client().login("bob", "pw").await.unwrap();

    let body = json!({ "password": "new", "admin": true });
    let (status, changed) = call(&root, Method::PUT, path, body).await;
    assert_eq!((status, &changed["admin"]), (200, &json!(true)));
    let whoami = "/_matrix/client/v3/account/whoami";
    assert_eq!(bob.get(whoami).await.unwrap().0.as_u16(), 401);
    server.client().login("bob", "new").await.unwrap();

    let (_, closed) = call(&root, Method::PUT, path, json!({ "deactivated": true })).await;
    assert_eq!(closed["deactivated"], true);
    let reopen = call(&root, Method::PUT, path, json!({ "deactivated": false })).await;
    assert_eq!(code(&reopen), (400, "M_UNKNOWN"));

    let own = "/_synapse/admin/v1/users/@root:localhost/admin";
    let refused = call(&root, Method::PUT, own, json!({ "admin": false })).await;
    assert_eq!(code(&refused), (400, "M_UNKNOWN"));
    let hers = format!("/_synapse/admin/v1/users/{}/admin", alice.user_id());
    assert_eq!(
        call(&root, Method::PUT, &hers, json!({ "admin": true }))
            .await
            .0,
        200
    );
    assert_eq!(call(&alice, Method::GET, own, Value::Null).await.0, 200);
}

#[tokio::test]
async fn an_administrator_joins_users_and_gives_power() {
    let (_server, root, alice) = scene().await;
    let public = json!({ "preset": "public_chat", "room_alias_name": "tea" });
    let room = alice.create_room(&public).await.unwrap();

    let path = "/_synapse/admin/v1/join/%23tea:localhost";
    let body = json!({ "user_id": "@root:localhost" });
    let joined = call(&root, Method::POST, path, body).await;
    assert_eq!(joined, (200, json!({ "room_id": room })));
    let path = format!("/_synapse/admin/v1/rooms/{room}/make_room_admin");
    let given = call(&root, Method::POST, &path, json!({})).await;
    assert_eq!(given, (200, json!({})));

    let levels = alice.state(&room, "m.room.power_levels", "").await.unwrap();
    assert_eq!(levels["users"]["@root:localhost"], 100);
    let missing = "/_synapse/admin/v1/rooms/!none/make_room_admin";
    let missing = call(&root, Method::POST, missing, json!({})).await;
    assert_eq!(code(&missing), (404, "M_NOT_FOUND"));
}

#[tokio::test]
async fn an_invite_is_needed_for_a_private_room() {
    let (_server, root, alice) = scene().await;
    let room = alice.create_room(&json!({})).await.unwrap();
    let path = format!("/_synapse/admin/v1/join/{room}");
    let body = json!({ "user_id": "@root:localhost" });
    let refused = call(&root, Method::POST, &path, body.clone()).await;
    assert_eq!(code(&refused), (403, "M_FORBIDDEN"));
    // Giving power invites, and then the way is free.
    let power = format!("/_synapse/admin/v1/rooms/{room}/make_room_admin");
    assert_eq!(call(&root, Method::POST, &power, json!({})).await.0, 200);
    assert_eq!(call(&root, Method::POST, &path, body).await.0, 200);
}

fn config_of(folder: &std::path::Path) -> Config {
    let overrides = Overrides {
        data_dir: Some(folder.join("data")),
        server_name: Some("localhost".to_owned()),
        listen: vec!["127.0.0.1:0".to_owned()],
        ..Overrides::default()
    };
    let loaded = Config::load(None, std::iter::empty(), overrides);
    loaded.map_err(|errors| errors.to_string()).unwrap().config
}

#[tokio::test]
async fn accounts_are_made_beside_the_server_only_while_it_does_not_run() {
    let server = TestServer::start().await.unwrap();
    let config = config_of(server.folder());
    let busy = create_user_offline(config.clone(), "root", "pw", true).await;
    assert!(matches!(
        busy,
        Err(CreateUserError::Start(StartError::InUse { .. }))
    ));
    let second = bridgehead_homeserver::Server::start(config.clone()).await;
    assert!(matches!(second.err(), Some(StartError::InUse { .. })));

    let folder = server.stop().await;
    let made = create_user_offline(config.clone(), "root", "pw", true).await;
    assert_eq!(made.unwrap(), "@root:localhost");
    let taken = create_user_offline(config, "root", "pw", true).await;
    assert!(matches!(taken, Err(CreateUserError::Refused(_))));
    let server = TestServer::start_in(folder, Vec::new(), &[]).await.unwrap();
    server.client().login("root", "pw").await.unwrap();
}

#[tokio::test]
async fn scripts_that_know_the_secret_are_not_limited_and_those_that_guess_are() {
    let secret = (
        "BRIDGEHEAD_ACCOUNTS_REGISTRATION_SHARED_SECRET",
        REGISTRATION_SHARED_SECRET,
    );
    let burst = ("BRIDGEHEAD_LIMITS_REGISTRATIONS_BURST", "2");
    let server = StrictServer::start(Vec::new(), &[secret, burst]).await;
    let client = server.client();
    let attempt = async |name: &str, mac: &dyn Fn(&str) -> String| {
        let nonce = nonce(&client).await;
        let body = json!({
            "nonce": nonce, "username": name, "password": "pw", "mac": mac(&nonce),
        });
        let answer = call(&client, Method::POST, REGISTER, body).await;
        answer.0
    };
    for name in ["a", "b", "c", "d"] {
        let right = |nonce: &str| mac(&[nonce, name, "pw", "notadmin"]);
        assert_eq!(attempt(name, &right).await, 200, "{name}");
    }
    let wrong = |_: &str| "00".to_owned();
    let mut guesses = Vec::new();
    for _ in 0..3 {
        guesses.push(attempt("e", &wrong).await);
    }
    assert_eq!(guesses, [403, 403, 429]);
}

#[tokio::test]
async fn a_name_that_an_administrator_gives_reaches_the_users_rooms() {
    let (_server, root, alice) = scene().await;
    let room = alice.create_room(&json!({})).await.unwrap();
    let since = alice.sync(None, Duration::ZERO).await.unwrap()["next_batch"].clone();
    let path = "/_synapse/admin/v2/users/@alice:localhost";
    let (_, changed) = call(&root, Method::PUT, path, json!({ "displayname": "Al" })).await;
    assert_eq!(changed["displayname"], "Al");
    let news = alice
        .sync(since.as_str(), Duration::from_secs(20))
        .await
        .unwrap();
    let member = &news["rooms"]["join"][&room]["timeline"]["events"][0];
    assert_eq!(member["content"]["displayname"], "Al");
}
