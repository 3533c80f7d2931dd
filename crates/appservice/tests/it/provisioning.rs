//! A bridge steered over HTTP.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use bridgehead_appservice::{
    Running, Secret,
    bridge::provisioning::{
        Caller, LinkAsk, LinkBook, LinkView, LoginView, ProvisionError, Provisioning,
    },
    prelude::*,
};
use bridgehead_testkit::lab::{Lab, LabUser};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::outside::{Web, json as answer, log_in, mount_with_web};

const BASE: &str = "/_matrix/provision/v1";
const SECRET: &str = "a secret of the operator's";

/// Links that are kept in memory.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<Vec<LinkView>>>);

impl LinkBook for Book {
    async fn list(
        &self,
        _: &Caller,
        room: Option<&RoomId>,
    ) -> Result<Vec<LinkView>, ProvisionError> {
        let links = self.0.lock();
        let wanted = links
            .iter()
            .filter(|link| room.is_none_or(|room| link.room_id == *room));
        Ok(wanted.cloned().collect())
    }

    async fn create(&self, caller: &Caller, ask: LinkAsk) -> Result<LinkView, ProvisionError> {
        if ask.remote_id == "#staff" {
            return Err(ProvisionError::conflict("#staff is linked elsewhere"));
        }
        let link = LinkView {
            room_id: ask.room_id,
            remote_id: ask.remote_id,
            state: "linked".to_owned(),
            details: json!({ "by": caller.user_id(), "options": ask.options }),
        };
        self.0.lock().push(link.clone());
        Ok(link)
    }

    async fn delete(
        &self,
        _: &Caller,
        room: &RoomId,
        remote_id: &str,
    ) -> Result<(), ProvisionError> {
        let mut links = self.0.lock();
        let before = links.len();
        links.retain(|link| link.room_id != *room || link.remote_id != remote_id);
        if links.len() == before {
            return Err(ProvisionError::not_found("there is no such link"));
        }
        Ok(())
    }
}

fn api(calls: &Arc<AtomicUsize>) -> Provisioning {
    let calls = calls.clone();
    Provisioning::new()
        .secret(Secret::new(SECRET.to_owned()))
        .openid()
        .links(Book::default())
        .logins(|caller: Caller| async move {
            let id = caller.user_id().localpart().to_owned();
            Ok(vec![LoginView {
                name: format!("{id} on IRC"),
                id,
                state: "connected".to_owned(),
                details: Value::Null,
            }])
        })
        .post("/greet", move |caller: Caller| {
            calls.fetch_add(1, Ordering::Relaxed);
            async move { format!("Hello {}", caller.user_id()) }
        })
}

fn service(api: Provisioning) -> Service {
    Service::new("irc")
        .bot("ircbot")
        .users("_irc_{nick}")
        .provisioning(api)
}

fn request(method: &str, path: &str, token: Option<&str>, body: &Value) -> Request<Bytes> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{BASE}{path}"));
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = match body {
        Value::Null => Bytes::new(),
        body => Bytes::from(body.to_string()),
    };
    request.body(body).expect("a request")
}

/// Status and JSON of an answer.
async fn ask(
    running: &Running,
    method: &str,
    path: &str,
    token: &str,
    body: &Value,
) -> (u16, Value) {
    read(&running.call(request(method, path, Some(token), body)).await)
}

fn read(response: &Response<Bytes>) -> (u16, Value) {
    let body = serde_json::from_slice(response.body()).unwrap_or_default();
    (response.status().as_u16(), body)
}

/// What the homeserver gives a person to log in elsewhere.
async fn openid(person: &LabUser) -> anyhow::Result<Value> {
    let path = format!(
        "/_matrix/client/v3/user/{}/openid/request_token",
        person.id()
    );
    Ok(person.call(Method::POST, &path, &json!({})).await?)
}

async fn log_in_at(running: &Running, token: &Value) -> (u16, Value) {
    read(
        &running
            .call(request("POST", "/openid/login", None, token))
            .await,
    )
}

/// A session of this person's.
pub(crate) async fn session(running: &Running, person: &LabUser) -> anyhow::Result<String> {
    let (status, answer) = log_in_at(running, &openid(person).await?).await;
    anyhow::ensure!(status == 200, "{status} {answer}");
    assert_eq!(answer["user_id"], person.id().as_str());
    Ok(answer["token"].as_str().context("a token")?.to_owned())
}

#[test]
fn nobody_gets_through_without_a_good_token() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let calls = Arc::<AtomicUsize>::default();
        let irc = lab.mount(service(api(&calls))).await?;
        let (running, alice) = (irc.running(), lab.user("alice").await?);
        let ended = session(&running, &alice).await?;
        lab.pass(Duration::from_secs(24 * 3600)).await;
        let good = session(&running, &alice).await?;
        let almost = format!("{}x", &good[..good.len() - 1]);
        for (method, path) in [
            ("GET", "/whoami"),
            ("GET", "/logins"),
            ("POST", "/logout"),
            ("PUT", "/puppet"),
            ("DELETE", "/puppet"),
            ("GET", "/links"),
            ("POST", "/links"),
            ("DELETE", "/links/!a:localhost/x"),
            ("POST", "/greet"),
            ("PATCH", "/whoami"),
            ("GET", "/nothing"),
        ] {
            let status = |response: Response<Bytes>| {
                let (status, body) = read(&response);
                format!("{status} {}", body["errcode"].as_str().unwrap_or_default())
            };
            let with = async |token: Option<&str>| {
                status(
                    running
                        .call(request(method, path, token, &Value::Null))
                        .await,
                )
            };
            assert_eq!(with(None).await, "401 M_MISSING_TOKEN", "{method} {path}");
            for wrong in [
                "nonsense",
                "",
                "bhp_",
                &almost,
                "a secret of the operator'S",
                irc.as_token().expose(),
            ] {
                assert_eq!(
                    with(Some(wrong)).await,
                    "401 M_UNKNOWN_TOKEN",
                    "{method} {path} {wrong}"
                );
            }
            assert_eq!(
                with(Some(&ended)).await,
                "401 M_UNKNOWN_TOKEN",
                "{method} {path}"
            );
            let mut basic = request(method, path, None, &Value::Null);
            let header = format!("Basic {good}").parse()?;
            basic.headers_mut().insert(header::AUTHORIZATION, header);
            assert_eq!(status(running.call(basic).await), "401 M_MISSING_TOKEN");
        }
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        let greeted = running
            .call(request("POST", "/greet", Some(&good), &Value::Null))
            .await;
        assert_eq!(greeted.body(), "Hello @alice:localhost");
        assert_eq!(
            ask(&running, "GET", "/nothing", &good, &Value::Null)
                .await
                .0,
            404
        );
        assert_eq!(
            ask(&running, "PATCH", "/whoami", &good, &Value::Null)
                .await
                .0,
            405
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn who_cannot_prove_who_they_are_does_not_log_in() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service(api(&Arc::default()))).await?;
        let (running, alice) = (irc.running(), lab.user("alice").await?);
        let good = openid(&alice).await?;
        let with = |key: &str, value: Value| {
            let mut changed = good.clone();
            changed[key] = value;
            changed
        };
        for (body, status) in [
            (json!("nonsense"), 400),
            (json!({}), 400),
            (json!({ "access_token": "x" }), 400),
            (with("access_token", json!("")), 400),
            (with("matrix_server_name", json!("not a name/")), 400),
            (with("matrix_server_name", json!("localhost/@evil")), 400),
            (with("access_token", json!("wrong")), 401),
            (with("access_token", json!(alice.token().expose())), 401),
            (with("matrix_server_name", json!("elsewhere.example")), 403),
            (with("matrix_server_name", json!("127.0.0.1:8008")), 403),
        ] {
            assert_eq!(log_in_at(&running, &body).await.0, status, "{body}");
            lab.pass(Duration::from_secs(10)).await;
        }
        lab.pass(Duration::from_secs(3600)).await;
        assert_eq!(log_in_at(&running, &good).await.0, 401, "it has ended");
        lab.stop_host().await?;
        let (status, answer) = log_in_at(&running, &good).await;
        assert_eq!((status, &answer["errcode"]), (502, &json!("M_UNKNOWN")));
        lab.start_host().await?;
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn other_homeservers_vouch_for_their_own_people_alone() {
    let web = Web::new(|request| {
        let user = |user: &str| answer(200, &json!({ "sub": user }));
        match request.uri().to_string().as_str() {
            "https://named.example/.well-known/matrix/server" => {
                let mut moved = answer(302, &json!({}));
                let to = "https://www.named.example/server"
                    .parse()
                    .expect("a header");
                moved.headers_mut().insert(header::LOCATION, to);
                moved
            }
            "https://www.named.example/server" => {
                answer(200, &json!({ "m.server": "hs.named.example:443" }))
            }
            "https://hs.named.example/_matrix/federation/v1/openid/userinfo?access_token=t" => {
                user("@ann:named.example")
            }
            "http://10.0.0.5:8008/_matrix/federation/v1/openid/userinfo?access_token=t" => {
                user("@bob:inside.example")
            }
            "https://plain.example:8448/_matrix/federation/v1/openid/userinfo?access_token=t" => {
                user("@eve:plain.example")
            }
            "https://liar.example:8448/_matrix/federation/v1/openid/userinfo?access_token=t" => {
                user("@ann:named.example")
            }
            "https://inward.example/.well-known/matrix/server" => {
                answer(200, &json!({ "m.server": "10.0.0.5:8008" }))
            }
            _ => answer(404, &json!({})),
        }
    });
    Lab::run(async |lab| -> anyhow::Result<()> {
        let api = Provisioning::new()
            .openid_server("named.example", None)
            .openid_server("inside.example", Some("http://10.0.0.5:8008"))
            .openid_server("plain.example", None)
            .openid_server("liar.example", None)
            .openid_server("inward.example", None)
            .openid_server("localhost:9000", None)
            .openid_server("10.0.0.6", None);
        let (_place, running) = mount_with_web(&lab, service(api), web.clone()).await?;
        let login = async |server: &str| {
            let token = json!({ "access_token": "t", "matrix_server_name": server, "token_type": "Bearer" });
            log_in_at(&running, &token).await
        };
        for (server, user) in [
            ("named.example", "@ann:named.example"),
            ("inside.example", "@bob:inside.example"),
            ("plain.example", "@eve:plain.example"),
        ] {
            let (status, answer) = login(server).await;
            assert_eq!((status, &answer["user_id"]), (200, &json!(user)), "{server}");
            let token = answer["token"].as_str().context("a token")?;
            assert_eq!(ask(&running, "GET", "/whoami", token, &Value::Null).await.1["user_id"], user);
        }
        for server in ["liar.example", "inward.example", "localhost:9000", "10.0.0.6", "stranger.example", "localhost"] {
            let (status, answer) = login(server).await;
            assert_eq!((status, &answer["errcode"]), (403, &json!("M_FORBIDDEN")), "{server}");
        }
        let asked = web.asked();
        let touched = |text: &str| asked.iter().filter(|line| line.contains(text)).count();
        assert_eq!((touched("10.0.0.5"), touched("10.0.0.6"), touched("stranger"), touched("localhost")), (1, 0, 0, 0));
        assert!(!web.was_shown_a_token());
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn nobody_uses_up_the_logins_of_all() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service(api(&Arc::default()))).await?;
        let (running, alice) = (irc.running(), lab.user("alice").await?);
        let log_in = async |from: &str, body: &Value| {
            let mut request = request("POST", "/openid/login", None, body);
            let headers = request.headers_mut();
            headers.insert("x-forwarded-for", from.parse().expect("a header"));
            running.call(request).await.status().as_u16()
        };
        let wrong = json!({ "access_token": "guessed", "matrix_server_name": "localhost" });
        let mut statuses = Vec::new();
        for _ in 0..120 {
            statuses.push(log_in("9.9.9.9, 203.0.113.9", &wrong).await);
            lab.pass(Duration::from_secs(1)).await;
        }
        assert!(
            statuses.contains(&401) && statuses.contains(&429),
            "{statuses:?}"
        );
        // At the same time, and at the same homeserver.
        for number in 0..20 {
            assert_ne!(log_in(&format!("203.0.113.{number}"), &wrong).await, 429);
        }
        let good = openid(&alice).await?;
        assert_eq!(log_in("198.51.100.7", &good).await, 200);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn logins_are_bounded() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service(api(&Arc::default()))).await?;
        let (running, alice) = (irc.running(), lab.user("alice").await?);
        let first = session(&running, &alice).await?;
        lab.pass(Duration::from_millis(1)).await;
        for _ in 0..9 {
            session(&running, &alice).await?;
        }
        let (status, refused) = log_in_at(&running, &openid(&alice).await?).await;
        assert_eq!(
            (status, &refused["errcode"]),
            (429, &json!("M_LIMIT_EXCEEDED"))
        );
        let wait = refused["retry_after_ms"].as_u64().context("a wait")?;
        lab.pass(Duration::from_millis(wait)).await;
        let mut last = String::new();
        for _ in 0..10 {
            last = session(&running, &alice).await?;
            lab.pass(Duration::from_secs(5)).await;
        }
        assert_eq!(
            ask(&running, "GET", "/whoami", &first, &Value::Null)
                .await
                .0,
            200
        );
        session(&running, &alice).await?;
        assert_eq!(
            ask(&running, "GET", "/whoami", &first, &Value::Null)
                .await
                .0,
            401,
            "the oldest ends"
        );
        assert_eq!(
            ask(&running, "GET", "/whoami", &last, &Value::Null).await.0,
            200
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn the_operators_secret_acts_for_whom_it_names() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service(api(&Arc::default()))).await?;
        let running = irc.running();
        let who = ask(
            &running,
            "GET",
            "/whoami?user_id=%40zoe%3Alocalhost",
            SECRET,
            &Value::Null,
        )
        .await;
        assert_eq!((who.0, &who.1["user_id"]), (200, &json!("@zoe:localhost")));
        for path in [
            "/whoami",
            "/whoami?user_id=zoe",
            "/logout?user_id=@zoe:localhost",
        ] {
            let method = if path.starts_with("/logout") {
                "POST"
            } else {
                "GET"
            };
            assert_eq!(
                ask(&running, method, path, SECRET, &Value::Null).await.0,
                400,
                "{path}"
            );
        }
        let mistakes = [
            (Provisioning::new(), "nobody can use"),
            (
                Provisioning::new().secret(Secret::new("short".to_owned())),
                "16 random bytes",
            ),
            (Provisioning::new().openid().at("provision"), "cannot be at"),
            (
                Provisioning::new().openid_server("a", Some("ftp://a")),
                "address of the homeserver `a`",
            ),
        ];
        for (number, (api, said)) in mistakes.into_iter().enumerate() {
            let service = Service::new(&format!("wrong{number}")).provisioning(api);
            let refused = lab.mount(service).await.err().context("refused")?;
            assert!(format!("{refused:#}").contains(said), "{refused:#}");
        }
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn links_are_made_by_those_who_have_the_power() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service(api(&Arc::default()))).await?;
        let running = irc.running();
        let (alice, bob, eve) = (
            lab.user("alice").await?,
            lab.user("bob").await?,
            lab.user("eve").await?,
        );
        let room = alice.create_room("lobby").await?;
        bob.join(&room).await?;
        let (a, b, e) = (
            session(&running, &alice).await?,
            session(&running, &bob).await?,
            session(&running, &eve).await?,
        );
        let link = json!({ "room_id": room, "remote_id": "#rust/a b", "options": { "key": 1 } });
        let (status, refused) = ask(&running, "POST", "/links", &a, &link).await;
        assert_eq!(status, 403);
        assert!(
            refused["error"]
                .as_str()
                .is_some_and(|error| error.contains("invite it first")),
            "{refused}"
        );
        running.bot().join(&room).await?;
        for token in [&b, &e] {
            assert_eq!(ask(&running, "POST", "/links", token, &link).await.0, 403);
        }
        let (status, made) = ask(&running, "POST", "/links", &a, &link).await;
        assert_eq!((status, &made["state"]), (200, &json!("linked")));
        assert_eq!(
            made["details"],
            json!({ "by": "@alice:localhost", "options": { "key": 1 } })
        );
        let staff = json!({ "room_id": room, "remote_id": "#staff" });
        assert_eq!(ask(&running, "POST", "/links", &a, &staff).await.0, 409);
        for wrong in [
            json!({}),
            json!({ "room_id": "x", "remote_id": "y" }),
            json!({ "room_id": room, "remote_id": "" }),
        ] {
            assert_eq!(
                ask(&running, "POST", "/links", &a, &wrong).await.0,
                400,
                "{wrong}"
            );
        }
        let escaped = room.as_str().replace('!', "%21").replace(':', "%3A");
        let list = format!("/links?room_id={escaped}");
        assert_eq!(
            ask(&running, "GET", &list, &a, &Value::Null).await.1,
            json!({ "links": [made] })
        );
        let gone = format!("/links/{escaped}/%23rust%2Fa%20b");
        assert_eq!(
            ask(&running, "DELETE", &gone, &b, &Value::Null).await.0,
            403
        );
        assert_eq!(
            ask(&running, "DELETE", &gone, &a, &Value::Null).await.0,
            200
        );
        assert_eq!(
            ask(&running, "DELETE", &gone, &a, &Value::Null).await.0,
            404
        );
        assert_eq!(
            ask(&running, "GET", "/links", &a, &Value::Null).await.1,
            json!({ "links": [] })
        );
        let named = json!({ "room_id": room, "remote_id": "#other" });
        let eves = ask(
            &running,
            "POST",
            "/links?user_id=@eve:localhost",
            SECRET,
            &named,
        )
        .await;
        assert_eq!(
            eves.0, 403,
            "the secret has no more power than whom it names"
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn a_puppet_is_adopted_and_dropped() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service(api(&Arc::default()))).await?;
        let (running, alice, bob) = (
            irc.running(),
            lab.user("alice").await?,
            lab.user("bob").await?,
        );
        let token = session(&running, &alice).await?;
        let theirs = json!({ "access_token": bob.token().expose() });
        assert_eq!(
            ask(&running, "PUT", "/puppet", &token, &theirs).await.0,
            400
        );
        assert_eq!(
            ask(&running, "PUT", "/puppet", &token, &json!({})).await.0,
            400
        );
        let own = json!({ "access_token": log_in(&irc, &alice).await?.expose() });
        assert_eq!(ask(&running, "PUT", "/puppet", &token, &own).await.0, 200);
        assert!(
            running.puppets().of(alice.id()).is_some() && running.puppets().of(bob.id()).is_none()
        );
        let (_, who) = ask(&running, "GET", "/whoami", &token, &Value::Null).await;
        assert_eq!(who["puppet"]["consent"], "token");
        assert_eq!(
            ask(&running, "DELETE", "/puppet", &token, &Value::Null)
                .await
                .0,
            200
        );
        assert_eq!(
            ask(&running, "DELETE", "/puppet", &token, &Value::Null)
                .await
                .0,
            404
        );
        assert!(running.puppets().of(alice.id()).is_none());
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn pages_of_other_origins_may_ask_and_bodies_are_bounded() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service(api(&Arc::default()))).await?;
        let running = irc.running();
        let mut preflight = request("OPTIONS", "/links", None, &Value::Null);
        let headers = preflight.headers_mut();
        headers.insert(header::ORIGIN, "https://page.example".parse()?);
        headers.insert(header::ACCESS_CONTROL_REQUEST_METHOD, "POST".parse()?);
        let allowed = running.call(preflight).await;
        assert_eq!(allowed.status(), StatusCode::NO_CONTENT);
        let methods = allowed.headers()[header::ACCESS_CONTROL_ALLOW_METHODS].to_str()?;
        assert!(methods.contains("DELETE"));
        let refused = running
            .call(request("GET", "/whoami", None, &Value::Null))
            .await;
        assert_eq!(refused.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(refused.headers()[header::CACHE_CONTROL], "no-store");
        let large = json!({ "access_token": "x".repeat(300 << 10) });
        assert_eq!(log_in_at(&running, &large).await.0, 413);
        Ok(())
    })
    .expect("it goes through");
}
