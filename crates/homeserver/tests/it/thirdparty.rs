//! Third-party look-ups, both directions.

use bridgehead_testkit::{
    AppserviceOptions, Client, Lookup, NamespaceOptions, RecordingAppservice, TestServer,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{bad_request, get, not_found, refused};

async fn service(id: &str) -> RecordingAppservice {
    let mut options = AppserviceOptions::with_users(id, &format!("{id}_"));
    options.protocols = vec!["irc".to_owned()];
    options.aliases = vec![NamespaceOptions {
        regex: format!("#{id}_.*"),
        exclusive: true,
    }];
    RecordingAppservice::start(options).await.unwrap()
}

async fn two_services() -> (RecordingAppservice, RecordingAppservice, TestServer, Client) {
    let (a, b) = (service("a").await, service("b").await);
    let server = TestServer::with_appservices(&[&a, &b]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    (a, b, server, alice)
}

fn description(network: &str) -> Value {
    json!({
        "user_fields": ["network", "nick"], "location_fields": ["network", "channel"],
        "icon": "mxc://x/y", "field_types": { "nick": { "regexp": ".*", "placeholder": "nick" } },
        "instances": [{ "desc": network, "fields": {}, "network_id": network }],
    })
}

fn user(id: &str) -> Value {
    json!({ "userid": id, "protocol": "irc", "fields": { "nick": "n" } })
}

fn paths(service: &RecordingAppservice) -> Vec<String> {
    service
        .lookups()
        .into_iter()
        .map(|lookup| lookup.path)
        .collect()
}

#[tokio::test]
async fn a_protocol_is_what_all_its_services_say_and_is_remembered() {
    let (a, b, _server, alice) = two_services().await;
    a.answer_lookups_with(|_| (StatusCode::OK, description("libera")));
    b.answer_lookups_with(|_| (StatusCode::OK, description("oftc")));

    let protocol = get(&alice, "/thirdparty/protocol/irc", &[]).await;
    assert_eq!(protocol["user_fields"], json!(["network", "nick"]));
    assert_eq!(
        protocol["instances"],
        json!([
            { "desc": "libera", "fields": {}, "network_id": "libera", "instance_id": "a|libera" },
            { "desc": "oftc", "fields": {}, "network_id": "oftc", "instance_id": "b|oftc" },
        ])
    );
    let all = get(&alice, "/thirdparty/protocols", &[]).await;
    assert_eq!(all, json!({ "irc": protocol }));
    assert_eq!(paths(&a), ["/_matrix/app/v1/thirdparty/protocol/irc"]);
    assert_eq!(
        refused(&alice, Method::GET, "/thirdparty/protocol/xmpp", None).await,
        not_found()
    );
}

#[tokio::test]
async fn a_service_that_talks_nonsense_is_left_out() {
    let (a, b, _server, alice) = two_services().await;
    a.answer_lookups_with(|_| (StatusCode::INTERNAL_SERVER_ERROR, json!({})));
    b.answer_lookups_with(|_| (StatusCode::OK, json!(["nonsense"])));
    assert_eq!(get(&alice, "/thirdparty/protocols", &[]).await, json!({}));
    assert_eq!(
        refused(&alice, Method::GET, "/thirdparty/protocol/irc", None).await,
        not_found()
    );
    assert_eq!(get(&alice, "/thirdparty/user/irc", &[]).await, json!([]));
}

#[tokio::test]
async fn fields_reach_every_service_and_whole_results_come_back() {
    let (a, b, server, _alice) = two_services().await;
    a.answer_lookups_with(|_| {
        (
            StatusCode::OK,
            json!([user("@a_n:localhost"), { "userid": "x" }]),
        )
    });
    b.answer_lookups_with(|_| (StatusCode::OK, json!([user("@b_n:localhost")])));
    let bot = server
        .client()
        .with_token(&a.as_token())
        .acting_as("@a-bot:localhost");
    let token = a.as_token();
    let query = [("nick", "n m"), ("nick", "o"), ("access_token", &token)];

    let found = get(&bot, "/thirdparty/user/irc", &query).await;
    assert_eq!(
        found,
        json!([user("@a_n:localhost"), user("@b_n:localhost")])
    );
    let asked = Lookup {
        path: "/_matrix/app/v1/thirdparty/user/irc".to_owned(),
        fields: vec![
            ("nick".to_owned(), "n m".to_owned()),
            ("nick".to_owned(), "o".to_owned()),
        ],
    };
    assert_eq!(a.lookups(), std::slice::from_ref(&asked));
    assert_eq!(b.lookups(), [asked]);

    let location = json!({ "alias": "#a_c:localhost", "protocol": "irc", "fields": {} });
    let answer = json!([location]);
    a.answer_lookups_with(move |_| (StatusCode::OK, answer.clone()));
    let found = get(&bot, "/thirdparty/location/irc", &[("channel", "#c")]).await;
    assert_eq!(found, json!([location]), "users are no locations");
    assert_eq!(
        refused(&bot, Method::GET, "/thirdparty/location/xmpp", None).await,
        not_found()
    );
}

#[tokio::test]
async fn names_here_are_looked_up_at_the_service_that_owns_them() {
    let (a, b, _server, alice) = two_services().await;
    a.answer_lookups_with(|lookup| {
        let found = match &*lookup.path {
            "/_matrix/app/v1/thirdparty/user" => user(&lookup.fields[0].1),
            _ => json!({ "alias": lookup.fields[0].1, "protocol": "irc", "fields": {} }),
        };
        (StatusCode::OK, json!([found]))
    });
    let by_user = get(&alice, "/thirdparty/user", &[("userid", "@a_n:localhost")]).await;
    assert_eq!(by_user, json!([user("@a_n:localhost")]));
    let by_alias = get(
        &alice,
        "/thirdparty/location",
        &[("alias", "#a_c:localhost")],
    )
    .await;
    assert_eq!(by_alias[0]["alias"], "#a_c:localhost");
    assert_eq!(b.lookups(), []);
    let nobody = get(
        &alice,
        "/thirdparty/user",
        &[("userid", "@alice:localhost")],
    )
    .await;
    assert_eq!(nobody, json!([]));

    for (rest, code) in [
        ("/thirdparty/user", "M_MISSING_PARAM"),
        ("/thirdparty/location", "M_MISSING_PARAM"),
        ("/thirdparty/user?userid=x", "M_INVALID_PARAM"),
        ("/thirdparty/location?alias=x", "M_INVALID_PARAM"),
    ] {
        assert_eq!(
            refused(&alice, Method::GET, rest, None).await,
            bad_request(code),
            "{rest}"
        );
    }
}

#[tokio::test]
async fn an_old_service_is_asked_on_its_old_paths() {
    let (a, _b, _server, alice) = two_services().await;
    a.answer_lookups_with(|lookup| match lookup.path.contains("/unstable/") {
        true => (StatusCode::OK, json!([user("@a_n:localhost")])),
        false => (
            StatusCode::NOT_FOUND,
            json!({ "errcode": "M_UNRECOGNIZED" }),
        ),
    });
    let found = get(&alice, "/thirdparty/user/irc", &[]).await;
    assert_eq!(found, json!([user("@a_n:localhost")]));
    assert_eq!(
        paths(&a).last().unwrap(),
        "/_matrix/app/unstable/thirdparty/user/irc"
    );
}

#[tokio::test]
async fn look_ups_need_a_token() {
    let (_a, _b, server, _alice) = two_services().await;
    for rest in [
        "/thirdparty/protocols",
        "/thirdparty/user/irc",
        "/thirdparty/location?alias=x",
    ] {
        let (status, _) = refused(&server.client(), Method::GET, rest, None).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{rest}");
    }
}
