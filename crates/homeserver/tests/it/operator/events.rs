//! The stream of what happens.

use std::time::Duration;

use bridgehead_admin_api::BASE;
use bridgehead_testkit::TestServer;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ask, local, local_token, log_in, new_operator, raw};
use crate::peer::{PATIENT, Peer, Reply, SOON, room_with_ghost, server_with, yes};

/// One server-sent event.
#[derive(Debug, Clone)]
struct Told {
    name: String,
    id: Option<u64>,
    data: Value,
}

/// An open stream.
struct Events {
    bytes: std::pin::Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    text: String,
}

impl Events {
    async fn open(server: &TestServer, query: &str, header: (&str, &str)) -> Self {
        let response = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .build()
            .unwrap()
            .get(format!("{}{BASE}/events{query}", server.base_url()))
            .header(header.0, header.1)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            bytes: Box::pin(response.bytes_stream()),
            text: String::new(),
        }
    }

    /// The next event; `None` at the stream's end.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let told = parse(block);
                self.text = rest.to_owned();
                match told {
                    Some(told) => return Some(told),
                    // A comment.
                    None => continue,
                }
            }
            let chunk = tokio::time::timeout(SOON, self.bytes.next()).await;
            match chunk.expect("an event or the end comes in time") {
                Some(Ok(bytes)) => self.text.push_str(std::str::from_utf8(&bytes).unwrap()),
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The next event of this name.
    async fn next_named(&mut self, name: &str) -> Told {
        loop {
            let told = self.next().await.expect("the stream goes on");
            if told.name == name {
                return told;
            }
        }
    }

    async fn ends(&mut self) {
        while self.next().await.is_some() {}
    }
}

fn parse(block: &str) -> Option<Told> {
    let field = |name: &str| {
        block
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    Some(Told {
        name: field("event")?.to_owned(),
        id: field("id").map(|id| id.parse().unwrap()),
        data: serde_json::from_str(field("data")?).unwrap(),
    })
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

async fn two_services() -> (Peer, Peer, TestServer) {
    let (irc, mail) = (Peer::start("irc").await, Peer::start("mail").await);
    let registrations = [irc.registration(), mail.registration()];
    let server = server_with(&registrations, PATIENT).await;
    (irc, mail, server)
}

#[tokio::test]
async fn deliveries_and_failures_are_told_with_their_exact_fields() {
    let (irc, mail, server) = two_services().await;
    let auth = bearer(&local_token(&server));
    let header = ("authorization", auth.as_str());
    let mut all = Events::open(&server, "", header).await;
    let mut of_irc = Events::open(&server, "?service_id=irc", header).await;
    let (alice, _, room) = room_with_ghost(&server, &irc).await;
    crate::peer::joined_ghost(&server, &mail, &room).await;

    let delivered = of_irc.next_named("appservice.events_delivered").await;
    let data = &delivered.data;
    assert_eq!(data["event"], "appservice.events_delivered");
    assert_eq!(data["service_id"], "irc");
    assert!(data["transaction_id"].is_string() && data["event_count"].as_u64() >= Some(1));
    assert!(data["at_ms"].as_i64() > Some(0));
    assert_eq!(data.as_object().unwrap().len(), 5, "{data}");

    irc.reply(|asked| match asked.txn_id() {
        Some(_) => Reply::Json(503, json!({})),
        None => yes(),
    });
    alice.send_text(&room, "1", "hello").await.unwrap();
    let failed = of_irc.next_named("appservice.delivery_failed").await;
    let data = &failed.data;
    assert_eq!(data["event"], "appservice.delivery_failed");
    assert_eq!(
        (&data["service_id"], &data["retry_count"]),
        (&json!("irc"), &json!(1))
    );
    assert!(data["transaction_id"].is_string());
    assert_eq!(data.as_object().unwrap().len(), 5, "{data}");
    assert!(failed.id > delivered.id, "{delivered:?} {failed:?}");

    // The other stream tells of both services, in one growing order.
    let mut last = 0;
    let mut services = std::collections::BTreeSet::new();
    while services.len() < 2 {
        let told = all.next().await.unwrap();
        assert!(told.id > Some(last), "{told:?}");
        last = told.id.unwrap();
        services.insert(told.data["service_id"].as_str().unwrap().to_owned());
    }
}

#[tokio::test]
async fn provisioned_users_and_aliases_are_told() {
    let irc = Peer::start("irc").await;
    let server = crate::peer::server_for(&irc, &[]).await;
    let auth = bearer(&local_token(&server));
    let mut events = Events::open(&server, "", ("authorization", &auth)).await;
    let service = irc.client(&server);
    irc.answer(move |asked| {
        let service = service.clone();
        async move {
            if asked.path.contains("/users/") {
                service.register_ghost("irc_carol").await.unwrap();
            } else if asked.path.contains("/rooms/") {
                let body = json!({ "room_alias_name": "irc_dev" });
                service.create_room(&body).await.unwrap();
            }
            yes()
        }
    });
    let alice = server.user("alice").await.unwrap();
    let room = crate::support::public_room(&alice).await;
    alice.invite(&room, "@irc_carol:localhost").await.unwrap();
    let user = events.next_named("appservice.user_provisioned").await;
    assert_eq!(
        (&user.data["service_id"], &user.data["user_id"]),
        (&json!("irc"), &json!("@irc_carol:localhost"))
    );
    assert_eq!(user.data.as_object().unwrap().len(), 4, "{user:?}");
    let path = "/directory/room/#irc_dev:localhost";
    crate::support::get(&alice, path, &[]).await;
    let alias = events.next_named("appservice.alias_provisioned").await;
    assert_eq!(
        (&alias.data["service_id"], &alias.data["alias"]),
        (&json!("irc"), &json!("#irc_dev:localhost"))
    );
    assert_eq!(alias.data.as_object().unwrap().len(), 4, "{alias:?}");
}

#[tokio::test]
async fn a_stream_ends_with_its_operators_access() {
    let server = TestServer::start().await.unwrap();
    let token = new_operator(&server, "ann", "read").await;
    let (cookie, csrf) = log_in(&server, &token).await;
    let (by_token, by_cookie) = (bearer(&token), cookie.as_str());
    let mut streams = [
        Events::open(&server, "", ("authorization", &by_token)).await,
        Events::open(&server, "", ("cookie", by_cookie)).await,
    ];
    // A logout ends the session's stream and no other.
    let out = [("cookie", by_cookie), ("x-csrf-token", csrf.as_str())];
    let ended = raw(&server, Method::DELETE, "/session", &out, None).await;
    assert_eq!(ended.status, 204);
    streams[1].ends().await;
    let silent = tokio::time::timeout(Duration::from_millis(100), streams[0].bytes.next()).await;
    assert!(silent.is_err(), "{silent:?}");
    ask(
        &local(&server),
        Method::DELETE,
        "/operators/ann",
        Value::Null,
    )
    .await;
    streams[0].ends().await;
}

#[tokio::test]
async fn streams_end_with_the_server_and_their_number_is_bounded() {
    let server = TestServer::start().await.unwrap();
    let auth = bearer(&local_token(&server));
    let header = ("authorization", auth.as_str());
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(Events::open(&server, "", header).await);
    }
    let one_more = raw(&server, Method::GET, "/events", &[header], None).await;
    assert_eq!(
        (one_more.status, one_more.errcode()),
        (429, "M_LIMIT_EXCEEDED")
    );
    // One that goes makes place, as soon as the server sees that it is gone.
    drop(streams.pop());
    let started = std::time::Instant::now();
    server.stop().await;
    for stream in &mut streams {
        stream.ends().await;
    }
    // Well within the grace that requests in flight are given.
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
}
