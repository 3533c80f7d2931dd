//! Aliases and whose they are: every row of the application-service API's rules about namespaces.

use bridgehead_testkit::{
    AppserviceOptions, Client, NamespaceOptions, RecordingAppservice, TestServer,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{bad_request, forbidden, get, not_found, ok, public_room, put, refused};

struct Setting {
    server: TestServer,
    _services: [RecordingAppservice; 3],
    alice: Client,
    /// Holds `#irc_.*` exclusively and `#open_.*` with everybody.
    irc: Client,
    /// Holds `#xmpp_.*` exclusively, and `#irc_x.*` with everybody who may.
    xmpp: Client,
    /// Has no aliases at all.
    mute: Client,
    room: String,
}

fn namespace(regex: &str, exclusive: bool) -> NamespaceOptions {
    NamespaceOptions {
        regex: regex.to_owned(),
        exclusive,
    }
}

async fn service(id: &str, aliases: Vec<NamespaceOptions>) -> RecordingAppservice {
    let mut options = AppserviceOptions::with_users(id, &format!("{id}_"));
    options.aliases = aliases;
    RecordingAppservice::start(options).await.unwrap()
}

async fn setting() -> Setting {
    let services = [
        service(
            "irc",
            vec![namespace("#irc_.*", true), namespace("#open_.*", false)],
        )
        .await,
        service(
            "xmpp",
            vec![namespace("#xmpp_.*", true), namespace("#irc_x.*", false)],
        )
        .await,
        service("mute", Vec::new()).await,
    ];
    let all: Vec<_> = services.iter().collect();
    let server = TestServer::with_appservices(&all).await.unwrap();
    let client = |index: usize| server.client().with_token(&services[index].as_token());
    let (irc, xmpp, mute) = (client(0), client(1), client(2));
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    Setting {
        server,
        _services: services,
        alice,
        irc,
        xmpp,
        mute,
        room,
    }
}

fn path(localpart: &str) -> String {
    format!("/directory/room/#{localpart}:localhost")
}

impl Setting {
    fn body(&self) -> Value {
        json!({ "room_id": self.room })
    }

    async fn make(&self, client: &Client, localpart: &str) {
        put(client, &path(localpart), self.body()).await;
    }

    async fn refused(&self, client: &Client, localpart: &str) -> (StatusCode, String) {
        refused(client, Method::PUT, &path(localpart), Some(self.body())).await
    }
}

async fn create_room_refused(client: &Client, localpart: &str) -> (StatusCode, String) {
    let body = json!({ "room_alias_name": localpart });
    refused(client, Method::POST, "/createRoom", Some(body)).await
}

#[tokio::test]
async fn people_make_aliases_outside_exclusive_namespaces() {
    let setting = setting().await;
    setting.make(&setting.alice, "tea").await;
    setting.make(&setting.alice, "open_tea").await;
    let exclusive = bad_request("M_EXCLUSIVE");
    assert_eq!(setting.refused(&setting.alice, "irc_tea").await, exclusive);
    assert_eq!(
        create_room_refused(&setting.alice, "irc_tea").await,
        exclusive
    );

    let found = get(&setting.alice, &path("tea"), &[]).await;
    assert_eq!(found["room_id"], json!(setting.room));
    assert_eq!(found["servers"], json!(["localhost"]));
    let listed = get(
        &setting.alice,
        &format!("/rooms/{}/aliases", setting.room),
        &[],
    )
    .await;
    let expected = json!({ "aliases": ["#open_tea:localhost", "#tea:localhost"] });
    assert_eq!(listed, expected);
    let unstable = format!("/org.matrix.msc2432/rooms/{}/aliases", setting.room);
    assert_eq!(get(&setting.alice, &unstable, &[]).await, expected);
}

#[tokio::test]
async fn services_make_aliases_inside_their_namespaces_without_being_in_the_room() {
    let setting = setting().await;
    let ghost = setting.irc.register_ghost("irc_ghost").await.unwrap();
    setting.make(&setting.irc, "irc_a").await;
    setting.make(&setting.irc, "open_a").await;
    setting.make(&ghost, "irc_b").await;
    let body = json!({ "room_alias_name": "irc_c" });
    setting.irc.create_room(&body).await.unwrap();
    ghost
        .create_room(&json!({ "room_alias_name": "irc_d" }))
        .await
        .unwrap();
}

#[tokio::test]
async fn services_make_no_aliases_outside_their_namespaces() {
    let setting = setting().await;
    let exclusive = bad_request("M_EXCLUSIVE");
    let ghost = setting.irc.register_ghost("irc_ghost").await.unwrap();
    for client in [&setting.irc, &ghost, &setting.mute] {
        assert_eq!(setting.refused(client, "tea").await, exclusive);
        assert_eq!(create_room_refused(client, "tea").await, exclusive);
        assert_eq!(setting.refused(client, "xmpp_tea").await, exclusive);
    }
    // Another service's exclusive namespace stays shut, though its own matches too.
    assert_eq!(setting.refused(&setting.xmpp, "irc_x").await, exclusive);
    assert_eq!(create_room_refused(&setting.xmpp, "irc_x").await, exclusive);
}

#[tokio::test]
async fn aliases_are_deleted_by_their_makers_their_services_and_the_rooms_masters() {
    let setting = setting().await;
    let bob = setting.server.user("bob").await.unwrap();
    bob.join(&setting.room).await.unwrap();
    setting.make(&setting.alice, "tea").await;
    setting.make(&bob, "open_bob").await;
    setting.make(&setting.irc, "irc_a").await;

    let delete = |client: &Client, localpart: &str| {
        let (client, path) = (client.clone(), path(localpart));
        async move { refused(&client, Method::DELETE, &path, None).await }
    };
    let exclusive = bad_request("M_EXCLUSIVE");
    assert_eq!(delete(&setting.alice, "irc_a").await, exclusive);
    assert_eq!(delete(&setting.xmpp, "irc_a").await, exclusive);
    assert_eq!(delete(&setting.irc, "tea").await, exclusive);
    assert_eq!(delete(&setting.mute, "tea").await, exclusive);
    assert_eq!(delete(&bob, "tea").await, forbidden());
    assert_eq!(delete(&bob, "none").await, not_found());

    for (client, localpart) in [
        (&setting.irc, "irc_a"),
        (&setting.irc, "open_bob"),
        (&setting.alice, "tea"),
    ] {
        ok(client, Method::DELETE, &path(localpart), &[], None).await;
        assert_eq!(
            refused(&setting.alice, Method::GET, &path(localpart), None).await,
            not_found()
        );
    }
    setting.make(&bob, "bobs").await;
    ok(&setting.alice, Method::DELETE, &path("bobs"), &[], None).await;
}

#[tokio::test]
async fn an_alias_is_made_once_by_members_of_a_room_here() {
    let setting = setting().await;
    let bob = setting.server.user("bob").await.unwrap();
    setting.make(&setting.alice, "tea").await;
    let (status, _) = setting.refused(&setting.alice, "tea").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(
        create_room_refused(&setting.alice, "tea").await,
        bad_request("M_ROOM_IN_USE")
    );
    assert_eq!(setting.refused(&bob, "coffee").await, forbidden());
    let nowhere = json!({ "room_id": "!none:localhost" });
    assert_eq!(
        refused(&setting.alice, Method::PUT, &path("coffee"), Some(nowhere)).await,
        not_found()
    );
    let elsewhere = "/directory/room/#tea:elsewhere.example";
    assert_eq!(
        refused(&setting.alice, Method::PUT, elsewhere, Some(setting.body())).await,
        bad_request("M_INVALID_PARAM")
    );
}

#[tokio::test]
async fn only_newly_named_aliases_must_point_at_the_room() {
    let server = TestServer::start().await.unwrap();
    let alice = server.user("alice").await.unwrap();
    let body = json!({ "room_alias_name": "tea", "preset": "public_chat" });
    let room = alice.create_room(&body).await.unwrap();
    let path = format!("/rooms/{room}/state/m.room.canonical_alias");
    ok(
        &alice,
        Method::DELETE,
        "/directory/room/#tea:localhost",
        &[],
        None,
    )
    .await;

    let standing = json!({ "alias": "#tea:localhost", "alt_aliases": ["#tea:localhost"] });
    put(&alice, &path, standing).await;
    put(&alice, &path, json!({ "alias": "" })).await;
    let gone = json!({ "alias": "#tea:localhost" });
    assert_eq!(
        refused(&alice, Method::PUT, &path, Some(gone)).await,
        bad_request("M_BAD_ALIAS")
    );
}
