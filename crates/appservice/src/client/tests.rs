//! What requests look like, by whom they are made, and what answers mean.

use serde_json::json;

use super::*;
use crate::scripted::{PausedClock, Said, Scripted};

fn user(id: &str) -> UserId {
    UserId::parse(id).expect("a user")
}

fn client(bot: &str, script: impl IntoIterator<Item = Said>) -> (Arc<Scripted>, Client) {
    let host = Arc::new(Scripted::saying(script));
    let client = Client::new(ClientConfig {
        transport: host.clone(),
        as_token: Secret::new("as-secret".to_owned()),
        sender: user("@sender:x"),
        bot: user(bot),
        surroundings: Surroundings {
            clock: Arc::new(PausedClock::default()),
            ..Surroundings::default()
        },
        concurrency: 4,
        metrics: Metrics::new("test"),
        puppets: Arc::new(PuppetTable::new("test").0),
    });
    (host, client)
}

#[tokio::test(start_paused = true)]
async fn who_acts_is_said_where_the_token_does_not_say_it() {
    let ghost = user("@_ghost:x");
    for (bot, as_bot) in [
        ("@sender:x", "GET /_matrix/a"),
        // A service's own user in its namespace, beside a sender with another name.
        ("@bot:x", "GET /_matrix/a?user_id=%40bot%3Ax"),
    ] {
        let (host, client) = client(bot, []);
        let call = Call::get("/_matrix/a");
        client.call::<Value>(&call).await.expect("answered");
        let call = call.query("limit", "5").by(Some(&ghost));
        client.call::<Value>(&call).await.expect("answered");
        let call = Call::get("/_matrix/a").by(Some(&user("@sender:x")));
        client.call::<Value>(&call).await.expect("answered");
        let expected = [
            as_bot,
            "GET /_matrix/a?limit=5&user_id=%40_ghost%3Ax",
            "GET /_matrix/a",
        ];
        assert_eq!(*host.heard.lock(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_in_its_own_words_without_the_token() {
    let body = json!({ "errcode": "M_FORBIDDEN", "error": "as-secret may not" });
    let (_, client) = client("@sender:x", [Said::Answer(403, body)]);
    let call = Call::get("/_matrix/a").query("q", "private");
    let error = client.ask::<Value>(&call).await.expect_err("refused");
    assert_eq!(
        (error.status(), error.errcode()),
        (Some(403), Some("M_FORBIDDEN"))
    );
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("GET /_matrix/a") && text.contains("may not"),
        "{text}"
    );
    assert!(
        !text.contains("as-secret") && !text.contains("private"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn asking_obeys_limits_and_ends() {
    let limited = |ms: u64| {
        let body = json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": ms });
        Said::Answer(429, body)
    };
    let (host, client_) = client("@sender:x", [limited(7000), limited(3000)]);
    let begun = Instant::now();
    let call = Call::get("/_matrix/a");
    client_.ask::<Value>(&call).await.expect("answered");
    let took = begun.elapsed().as_secs();
    assert!((10..20).contains(&took), "{took} s");
    assert_eq!(host.heard.lock().len(), 3);

    let down = (0..100).map(|_| Said::Answer(502, json!({})));
    let (host, client_) = client("@sender:x", down);
    let begun = Instant::now();
    let error = client_.ask::<Value>(&call).await.expect_err("it is down");
    assert_eq!(error.status(), Some(502));
    assert_eq!(host.heard.lock().len(), ASK_ATTEMPTS as usize);
    assert!(begun.elapsed() < ASK_MAX_WAIT * ASK_ATTEMPTS);
}

#[tokio::test(start_paused = true)]
async fn a_homeserver_that_comes_back_is_noticed() {
    let script = [
        Said::Answer(502, json!("a proxy's page")),
        Said::Broken,
        Said::Answer(502, json!({ "errcode": "M_UNKNOWN" })),
    ];
    let (_, client) = client("@sender:x", script);
    let comebacks = client.comebacks();
    let call = Call::get("/_matrix/a");
    for expected in [0, 0, 1, 1] {
        client.call::<Value>(&call).await.ok();
        assert_eq!(*comebacks.borrow(), expected);
    }
}

#[test]
fn requests_count_for_the_limits_that_homeservers_have() {
    for (path, class) in [
        (
            "/_matrix/client/v3/rooms/%21r%3Ax/send/m.room.message/t",
            Class::Message,
        ),
        (
            "/_matrix/client/v3/rooms/%21r%3Ax/state/m.room.name/",
            Class::Message,
        ),
        (
            "/_matrix/client/v3/rooms/%21r%3Ax/redact/%24e/t",
            Class::Message,
        ),
        ("/_matrix/client/v3/rooms/%21r%3Ax/invite", Class::Invite),
        ("/_matrix/client/v3/rooms/%21r%3Ax/join", Class::Join),
        ("/_matrix/client/v3/rooms/%21r%3Ax/members", Class::Other),
        ("/_matrix/client/v3/join/%23a%3Ax", Class::Join),
        (
            "/_matrix/client/v3/profile/%40u%3Ax/displayname",
            Class::Profile,
        ),
        ("/_matrix/client/v3/register", Class::Registration),
        ("/_matrix/media/v3/upload", Class::Media),
        ("/_matrix/client/v1/media/download/x/y", Class::Media),
        ("/_matrix/client/v3/account/whoami", Class::Other),
    ] {
        assert_eq!(class_of(&Call::get(path)), class, "{path}");
    }
}
