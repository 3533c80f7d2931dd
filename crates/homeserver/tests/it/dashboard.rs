//! The dashboard in a real browser, against a real server and services that behave well and badly.

mod browser;

use std::path::Path;

use bridgehead_testkit::{Client, TestServer};
use reqwest::{Method, StatusCode, redirect::Policy};
use serde_json::{Value, json};

use self::browser::{Browser, DESKTOP, ENTER, ESCAPE, LEFT, PHONE, TAB, with_browser};
use crate::{
    peer::{Peer, Reply, SOON, joined_ghost, server_for, server_with, yes},
    support::public_room,
};

/// Attempts fail and are repeated, with time to look at the state between them.
const LIVELY: &[(&str, &str)] = &[
    ("BRIDGEHEAD_APPSERVICES_BACKOFF_MIN_MS", "20"),
    ("BRIDGEHEAD_APPSERVICES_BACKOFF_MAX_MS", "1000"),
];
/// What the browser says about being asked to sign in.
const NOT_SIGNED_IN: &str =
    "v1/session - Failed to load resource: the server responded with a status of 401";
/// What it says where a transaction that was on its way is delivered when the page asks for it.
const DELIVERED_MEANWHILE: &str =
    "irc/transaction - Failed to load resource: the server responded with a status of 404";
/// What nobody may ever see as anything but text.
const HOSTILE: &str = "<img src=x onerror=alert(1)><script>alert(2)</script>";

/// The token that the server's first start has written.
fn token(folder: &Path) -> String {
    let written = std::fs::read_to_string(folder.join("data/operator.token")).unwrap();
    written.trim().to_owned()
}

/// An answer of the operator API to the operator `local`.
async fn api(server: &TestServer, method: Method, path: &str, body: Option<Value>) -> Value {
    let client = server.client().with_token(&token(server.folder()));
    let path = format!("/_bridgehead/v1/{path}");
    let answer = client.request(method, &path, &[], body.as_ref()).await;
    let (status, answer) = answer.unwrap();
    assert!(status.is_success(), "{path} was answered {status} {answer}");
    answer
}

/// A service as the operator API shows it.
async fn service(server: &TestServer, id: &str) -> Value {
    api(server, Method::GET, &format!("appservices/{id}"), None).await
}

/// Waits until the service is as wanted.
async fn wait_service(server: &TestServer, id: &str, is: impl Fn(&Value) -> bool) -> Value {
    let started_at = std::time::Instant::now();
    loop {
        let now = service(server, id).await;
        if is(&now) {
            return now;
        }
        assert!(started_at.elapsed() < SOON, "{now:#}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Three services in Alice's room: one well, one away, one that refuses everything hostile.
struct Town {
    server: TestServer,
    well: Peer,
    away: Peer,
    picky: Peer,
    alice: Client,
    room: String,
}

impl Town {
    async fn start() -> Self {
        let (well, away, picky) = (
            Peer::start("well").await,
            Peer::start("away").await,
            Peer::start("picky").await,
        );
        let all = [&well, &away, &picky];
        let server = server_with(&all.map(Peer::registration), LIVELY).await;
        let alice = server.user("alice").await.unwrap();
        let room = public_room(&alice).await;
        for peer in all {
            joined_ghost(&server, peer, &room).await;
        }
        Self {
            server,
            well,
            away,
            picky,
            alice,
            room,
        }
    }

    /// Sends what `picky` refuses, with `away` gone.
    async fn in_trouble() -> Self {
        let mut town = Self::start().await;
        town.picky.reply(|asked| {
            let body = String::from_utf8_lossy(&asked.body).into_owned();
            if body.contains("onerror") {
                Reply::Json(500, json!({ "errcode": "M_UNKNOWN", "error": HOSTILE }))
            } else {
                yes()
            }
        });
        town.away.close().await;
        let poison = town.say(HOSTILE).await;
        let after = town.say("after it").await;
        town.well.wait_event(&after).await;
        let stuck = wait_service(&town.server, "picky", |now| now["stuck"].is_object()).await;
        assert_eq!(stuck["stuck"]["event_id"], poison);
        wait_service(&town.server, "away", |now| now["state"] == "retrying").await;
        town
    }

    async fn say(&self, text: &str) -> String {
        let id = format!("say-{}", text.len());
        self.alice.send_text(&self.room, &id, text).await.unwrap()
    }
}

/// Answers a dialog.
async fn confirm(browser: &Browser, reason: &str) {
    browser
        .fill("dialog[open] input[name=reason]", reason)
        .await;
    browser.click("dialog[open] button[type=submit]").await;
    browser.wait_gone("dialog").await;
}

async fn assert_contrast(browser: &Browser, page: &str) {
    let poor = browser.js(include_str!("dashboard/contrast.js")).await;
    assert_eq!(poor, json!([]), "{page}");
}

#[tokio::test]
async fn the_files_are_guarded_and_asked_for_again_each_time() {
    let server = TestServer::start().await.unwrap();
    let http = reqwest::Client::builder()
        .redirect(Policy::none())
        .build()
        .unwrap();
    let url = |path: &str| format!("{}{path}", server.base_url());
    let bare = http.get(url("/_bridgehead")).send().await.unwrap();
    assert_eq!(
        (bare.status(), &bare.headers()["location"]),
        (
            StatusCode::PERMANENT_REDIRECT,
            &"/_bridgehead/".parse().unwrap()
        )
    );
    for (path, kind) in [
        ("", "text/html; charset=utf-8"),
        ("app.css", "text/css; charset=utf-8"),
        ("js/main.js", "text/javascript; charset=utf-8"),
        ("js/pages/login.js", "text/javascript; charset=utf-8"),
        ("favicon.svg", "image/svg+xml"),
    ] {
        let url = url(&format!("/_bridgehead/{path}"));
        let asked = http.get(&url).header("origin", "https://elsewhere.example");
        let file = asked.send().await.unwrap();
        let headers = file.headers().clone();
        let said = |name: &str| {
            headers
                .get(name)
                .map_or("", |value| value.to_str().unwrap())
        };
        assert_eq!(
            (file.status(), said("content-type")),
            (StatusCode::OK, kind)
        );
        assert_eq!(said("cache-control"), "no-cache");
        assert_eq!(said("x-content-type-options"), "nosniff");
        assert_eq!(said("referrer-policy"), "no-referrer");
        assert_eq!(said("access-control-allow-origin"), "");
        let policy = said("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        let again = http.get(&url).header("if-none-match", said("etag"));
        let again = again.send().await.unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{url}");
    }
    for path in [
        "js/none.js",
        "js/../index.html",
        "..%2fCargo.toml",
        "js/pages",
    ] {
        let none = http.get(url(&format!("/_bridgehead/{path}"))).send().await;
        assert_ne!(none.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
    let posted = http.post(url("/_bridgehead/")).send().await.unwrap();
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn signing_in_and_out() {
    let server = TestServer::start().await.unwrap();
    let (right, base) = (token(server.folder()), server.base_url());
    with_browser(&server, move |browser| async move {
        browser.go("").await;
        browser.wait_text(".login", "operator.token").await;
        assert_eq!(
            browser.js("return document.activeElement.id").await,
            "token"
        );
        browser.screenshot("login").await;
        assert_contrast(&browser, "login").await;
        browser.click(".login button[type=submit]").await;
        assert_eq!(
            browser
                .js("return document.getElementById('token').validity.valueMissing")
                .await,
            true
        );
        browser.fill("#token", "not-the-token").await;
        browser.press(ENTER).await;
        browser
            .wait_text(".problem", "No operator has this token")
            .await;

        browser.fill("#token", &right).await;
        browser.press(ENTER).await;
        browser.wait_text("#empty", "No service yet").await;
        browser.wait_text("#who", "local (may act)").await;
        browser.screenshot("empty").await;
        browser.reload().await;
        browser.wait_text("#who", "local (may act)").await;
        // The session is the cookie's: scripts see neither it nor the token.
        let seen = browser
            .js("return document.cookie + JSON.stringify({...localStorage, ...sessionStorage})")
            .await;
        assert_eq!(seen, "{}");

        browser.click("#sign-out").await;
        browser.wait_text(".notice", "You have signed out").await;
        browser.reload().await;
        browser.wait("document.getElementById('token')").await;
        // Somebody at the same address tries tokens, and everybody there has to wait.
        for _ in 0..12 {
            let guess = json!({ "token": "a guess" });
            let url = format!("{base}/_bridgehead/v1/session");
            reqwest::Client::new().post(&url).json(&guess).send().await.unwrap();
        }
        browser.fill("#token", "not-the-token").await;
        browser.press(ENTER).await;
        browser.wait_text(".problem", "Too many attempts").await;
        browser.wait("document.querySelector('.login button').disabled").await;
        browser.screenshot("login-too-many").await;
        browser.wait("!document.querySelector('.login button').disabled").await;
        let refused = |status: &str| format!("v1/session - Failed to load resource: the server responded with a status of {status}");
        browser.assert_console_is_clean(&[NOT_SIGNED_IN, &refused("403"), &refused("429")]).await;
    })
    .await;
}

#[tokio::test]
async fn the_overview_shows_the_worst_first_on_every_screen() {
    let town = Town::in_trouble().await;
    let token = token(town.server.folder());
    with_browser(&town.server, move |browser| async move {
        browser.sign_in(&token).await;
        browser.wait("document.querySelectorAll('#services tbody tr').length === 3").await;
        browser.wait_text("tr[data-id=picky] .pills", "Stuck").await;
        browser.wait_text("tr[data-id=away] .pills", "Retrying").await;
        browser.wait_text("tr[data-id=well] .pills", "Idle").await;
        let ids = browser.texts("#services tbody tr .c-id a").await;
        assert_eq!(ids, ["picky", "away", "well"]);
        browser.wait_text("tr[data-id=picky] .c-error", "500").await;
        browser.wait_text("#summary", "Need attention").await;
        // No colour alone: each word has its own shape.
        let shapes = browser.js("return [...document.querySelectorAll('#services .pill path, #services .pill circle')].map((one) => one.outerHTML)").await;
        let shapes: Vec<String> = serde_json::from_value(shapes).unwrap();
        assert!(shapes.len() >= 4, "{shapes:?}");
        assert_ne!(shapes[0], shapes[1]);

        browser.fill("#search", "WEL").await;
        browser.wait("document.querySelectorAll('#services tbody tr:not([hidden])').length === 1").await;
        browser.fill("#search", " ").await;
        browser.click("#attention").await;
        browser.wait("document.querySelector('tr[data-id=well]').hidden").await;
        browser.click("#attention").await;
        browser.wait("!document.querySelector('tr[data-id=well]').hidden").await;

        for (size, device) in [(DESKTOP, "desktop"), (PHONE, "phone")] {
            browser.size(size).await;
            for scheme in ["light", "dark"] {
                browser.prefer(scheme).await;
                let background = browser.js("return getComputedStyle(document.body).backgroundColor").await;
                assert_eq!(background == "rgb(14, 18, 23)", scheme == "dark");
                browser.screenshot(&format!("overview-{device}-{scheme}")).await;
                assert_contrast(&browser, "overview").await;
                browser.assert_no_sideways_scrolling("the overview").await;
            }
        }
        browser.assert_console_is_clean(&[NOT_SIGNED_IN]).await;
    })
    .await;
}

#[tokio::test]
async fn a_service_is_paused_and_resumed_after_being_asked() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, LIVELY).await;
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    joined_ghost(&server, &peer, &room).await;
    let before = alice.send_text(&room, "1", "before").await.unwrap();
    peer.wait_event(&before).await;
    wait_service(&server, "irc", |now| now["depth"] == 0).await;
    let token = token(server.folder());
    with_browser(&server, move |browser| async move {
        browser.sign_in(&token).await;
        browser.click("tr[data-id=irc] .c-id a").await;
        browser.wait_text("#state", "Idle").await;
        let why = browser
            .texts("[data-verb=resume][aria-disabled=true] + span")
            .await;
        assert_eq!(why, ["It is not paused."]);

        browser.click("[data-verb=pause]").await;
        browser.wait_text("dialog[open]", "Nothing is lost").await;
        browser.screenshot("dialog-pause").await;
        assert_contrast(&browser, "dialog").await;
        browser.press(ESCAPE).await;
        browser.wait_gone("dialog").await;
        browser.wait_text("#state", "Idle").await;

        browser.click("[data-verb=pause]").await;
        confirm(&browser, "moving house").await;
        browser.wait_text("#toasts", "irc is paused").await;
        browser.wait_text("#state", "Paused").await;
        browser.wait_text("#callouts", "moving house").await;
        browser.wait_text("#audit", "moving house").await;

        let held = alice.send_text(&room, "2", "held").await.unwrap();
        browser.wait_text("#facts", "1 entry").await;
        assert!(peer.events().iter().all(|event| event["event_id"] != held));
        browser.click("[data-verb=resume]").await;
        browser.wait_text("dialog[open]", "1 entry waits").await;
        confirm(&browser, "moved").await;
        peer.wait_event(&held).await;
        browser.wait_text("#toasts", "irc is resumed").await;
        browser
            .wait("!document.getElementById('state').textContent.includes('Paused')")
            .await;
        browser
            .assert_console_is_clean(&[NOT_SIGNED_IN, DELIVERED_MEANWHILE])
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_stuck_event_is_laid_open_skipped_and_replayed() {
    let town = Town::in_trouble().await;
    let token = token(town.server.folder());
    let (picky, alice, room) = (town.picky, town.alice, town.room);
    with_browser(&town.server, move |browser| async move {
        browser.sign_in(&token).await;
        browser.turn_to("#/services/picky", "picky").await;
        browser.wait_text("#stuck", "m.room.message").await;
        browser.wait_text("#stuck", "@alice:localhost").await;
        browser.wait_text("#stuck pre", HOSTILE).await;
        browser.click("#transaction summary").await;
        browser
            .wait_text("#transaction pre", "onerror=alert(1)")
            .await;
        // Text it is, and no element.
        assert_eq!(
            browser
                .js("return document.querySelectorAll('main img, main script').length")
                .await,
            0
        );
        for (size, device) in [(DESKTOP, "desktop"), (PHONE, "phone")] {
            browser.size(size).await;
            for scheme in ["light", "dark"] {
                browser.prefer(scheme).await;
                browser
                    .screenshot(&format!("stuck-{device}-{scheme}"))
                    .await;
                assert_contrast(&browser, "service").await;
                browser
                    .assert_no_sideways_scrolling("the service's page")
                    .await;
            }
        }
        browser.size(DESKTOP).await;

        browser.click("[data-verb=skip]").await;
        browser
            .wait_text("dialog[open]", "m.room.message by @alice:localhost")
            .await;
        confirm(&browser, "known to be bad").await;
        browser.wait_text("#skips", "known to be bad").await;
        browser
            .wait("document.getElementById('stuck').hidden")
            .await;
        browser.wait_text("#state", "Idle").await;
        picky.reply(|_| yes());
        let bodies = |peer: &Peer| peer.records().len();
        let before = bodies(&picky);
        browser.click(".toast-close").await;
        browser.wait_gone(".toast").await;
        browser.click("#skips .skip-head button").await;
        confirm(&browser, "mended").await;
        picky.wait(|asked| asked.len() > before).await;
        browser.wait_text("#skips", "Replayed").await;
        let last = alice.send_text(&room, "last", "last").await.unwrap();
        picky.wait_event(&last).await;
        // Between two looks the transaction in flight may have been acknowledged.
        let gone =
            "/transaction - Failed to load resource: the server responded with a status of 404";
        browser
            .assert_console_is_clean(&[NOT_SIGNED_IN, gone])
            .await;
    })
    .await;
}

#[tokio::test]
async fn everything_can_be_done_by_keyboard() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, LIVELY).await;
    let token = token(server.folder());
    with_browser(&server, move |browser| async move {
        browser.go("").await;
        browser.wait("document.activeElement.id === 'token'").await;
        browser.press(&token).await;
        browser.press(ENTER).await;
        browser.wait_text("tr[data-id=irc] .pills", "Idle").await;
        // The heading has the focus, so that a screen reader begins with it.
        assert_eq!(browser.js("return document.activeElement.tagName").await, "H1");
        browser.tab_to("tr[data-id=irc] a").await;
        let ring = browser.js("return getComputedStyle(document.activeElement).outlineStyle").await;
        assert_eq!(ring, "solid");
        browser.press(ENTER).await;
        browser.wait_text("#state", "Idle").await;

        browser.tab_to("[data-verb=pause]").await;
        browser.press(ENTER).await;
        browser.wait("document.activeElement.closest('dialog[open]')").await;
        for _ in 0..8 {
            browser.press(TAB).await;
            let inside = browser.js("return document.activeElement === document.body || Boolean(document.activeElement.closest('dialog'))").await;
            assert_eq!(inside, true, "the focus left the dialog");
        }
        browser.tab_to("dialog[open] button[type=submit]").await;
        browser.press(ENTER).await;
        browser.wait_text("#state", "Paused").await;
        assert_eq!(browser.js("return document.activeElement.dataset.verb").await, "pause");
        // What makes no sense now can be reached, says why, and does nothing.
        let why = browser.js("return document.getElementById(document.activeElement.getAttribute('aria-describedby')).textContent");
        assert_eq!(why.await, "It is paused already.");
        browser.press(ENTER).await;
        browser.wait_text("#toasts-urgent", "It is paused already.").await;
        browser.wait_gone("dialog").await;

        browser.tab_to(".plot-frame").await;
        browser.wait("document.querySelector('.plot-svg .line').getAttribute('d')").await;
        browser.press(LEFT).await;
        browser.wait_text(".plot .readout", "lag").await;
        browser.js("document.activeElement.blur()").await;
        browser.js("document.body.focus()").await;
        browser.tab_to("#skip-link").await;
        browser.press(ENTER).await;
        assert_eq!(browser.js("return document.activeElement.id").await, "main");
        assert_eq!(browser.js("return location.hash").await, "#/services/irc");
        browser.assert_console_is_clean(&[NOT_SIGNED_IN]).await;
    })
    .await;
}

#[tokio::test]
async fn a_reader_sees_everything_and_no_verb() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, LIVELY).await;
    let body = json!({ "name": "night-shift", "role": "read" });
    let made = api(&server, Method::POST, "operators", Some(body)).await;
    let reader = made["token"].as_str().unwrap().to_owned();
    with_browser(&server, move |browser| async move {
        browser.sign_in(&reader).await;
        browser.wait_text("#who", "night-shift (may look)").await;
        browser.wait_text("tr[data-id=irc]", "irc").await;
        assert_eq!(browser.texts("a[href='#/add']").await, Vec::<String>::new());
        browser.turn_to("#/services/irc", "irc").await;
        browser.wait_text("#state", "Idle").await;
        browser.wait_text("#facts", "@irc-bot:localhost").await;
        assert_eq!(
            browser
                .js("return document.querySelectorAll('#verbs, #doctor, main [data-verb]').length")
                .await,
            0
        );
        browser.turn_to("#/operators", "Operators").await;
        browser.wait_text("main table", "night-shift").await;
        assert_eq!(
            browser
                .js("return document.querySelectorAll('main .button').length")
                .await,
            0
        );
        browser.assert_console_is_clean(&[NOT_SIGNED_IN]).await;
    })
    .await;
}

#[tokio::test]
async fn an_operator_is_added_seen_in_the_audit_log_and_removed() {
    let server = TestServer::start().await.unwrap();
    let token = token(server.folder());
    with_browser(&server, move |browser| async move {
        browser.sign_in(&token).await;
        browser.turn_to("#/operators", "Operators").await;
        browser.click(".page-head .button").await;
        browser
            .fill("dialog[open] input[name=name]", "night-shift")
            .await;
        browser.click("dialog[open] button[type=submit]").await;
        browser
            .wait_text("dialog[open]", "Token of night-shift")
            .await;
        let shown = browser
            .js("return document.querySelector('dialog[open] input').value.length >= 32")
            .await;
        assert_eq!(shown, true);
        browser.click("dialog[open] .primary").await;
        browser.wait_gone("dialog").await;
        browser.wait_text("main tbody", "night-shift").await;
        // The server's own operator stays.
        assert_eq!(browser.texts("main tbody .button").await.len(), 1);
        browser.screenshot("operators").await;

        browser.turn_to("#/audit", "Audit log").await;
        browser.wait_text("main tbody", "operator add").await;
        browser.size(PHONE).await;
        browser.screenshot("audit-phone").await;
        browser.assert_no_sideways_scrolling("the audit log").await;
        assert_contrast(&browser, "audit").await;
        browser.size(DESKTOP).await;

        browser.turn_to("#/operators", "Operators").await;
        browser.click("main tbody .button").await;
        browser.click("dialog[open] button[type=submit]").await;
        browser
            .wait("!document.querySelector('main tbody').textContent.includes('night-shift')")
            .await;
        browser.assert_console_is_clean(&[NOT_SIGNED_IN]).await;
    })
    .await;
}

#[tokio::test]
async fn the_feed_tells_what_happens() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, LIVELY).await;
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    joined_ghost(&server, &peer, &room).await;
    peer.wait_count(1).await;
    let token = token(server.folder());
    with_browser(&server, move |browser| async move {
        browser.sign_in(&token).await;
        browser.turn_to("#/events", "Events").await;
        browser.wait_text(".feed-state", "Live").await;
        peer.reply_in_turn(vec![Reply::Json(500, json!({}))]);
        alice.send_text(&room, "1", "one").await.unwrap();
        browser.wait_text(".feed", "did not take").await;
        browser.wait_text(".feed", "acknowledged 1 event").await;
        browser.screenshot("events").await;
        assert_contrast(&browser, "events").await;
        browser.fill("#feed-filter", "other").await;
        browser
            .wait("document.querySelectorAll('.feed li:not([hidden])').length === 0")
            .await;
        browser.assert_console_is_clean(&[NOT_SIGNED_IN]).await;
    })
    .await;
}

#[tokio::test]
async fn a_server_that_goes_away_is_said_to_have_gone() {
    let peer = Peer::start("irc").await;
    let server = server_for(&peer, LIVELY).await;
    let token = token(server.folder());
    with_browser(&server, move |browser| async move {
        browser.sign_in(&token).await;
        browser.wait_text("tr[data-id=irc]", "irc").await;
        browser.reach_network(false).await;
        browser.wait_text("#banner", "Connection lost").await;
        browser.size(PHONE).await;
        browser.screenshot("connection-lost-phone").await;
        browser.assert_no_sideways_scrolling("the banner").await;
        assert_contrast(&browser, "banner").await;
        browser.reach_network(true).await;
        browser.click("#banner .button").await;
        browser
            .wait("document.getElementById('banner').hidden")
            .await;
        browser
            .assert_console_is_clean(&[NOT_SIGNED_IN, "ERR_INTERNET_DISCONNECTED"])
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_service_that_is_away_is_examined_given_up_and_brought_back() {
    let mut peer = Peer::start("irc").await;
    let server = server_for(&peer, LIVELY).await;
    let alice = server.user("alice").await.unwrap();
    let room = public_room(&alice).await;
    joined_ghost(&server, &peer, &room).await;
    peer.wait_count(1).await;
    peer.close().await;
    let waiting = alice.send_text(&room, "1", "waiting").await.unwrap();
    wait_service(&server, "irc", |now| now["state"] == "retrying").await;
    let token = token(server.folder());
    with_browser(&server, move |browser| async move {
        browser.sign_in(&token).await;
        browser.turn_to("#/services/irc", "irc").await;
        browser.wait_text("#state", "Retrying").await;
        browser.wait_text("#callouts", "onnect").await;
        browser.click("#doctor .button").await;
        browser.wait_text("#doctor .steps", "Cure").await;
        browser.screenshot("doctor").await;
        assert_contrast(&browser, "doctor").await;

        browser.click("[data-verb=fail]:not([aria-disabled])").await;
        confirm(&browser, "gone for the night").await;
        browser.wait_text("#state", "Failed").await;
        browser
            .wait_text("#callouts", "only a person brings it back")
            .await;
        peer.open().await;
        browser
            .click("[data-verb=retry]:not([aria-disabled])")
            .await;
        browser.wait_text("dialog[open]", "Bring irc back?").await;
        confirm(&browser, "morning").await;
        peer.wait_event(&waiting).await;
        browser.wait_text("#state", "Idle").await;

        browser.click("[data-verb=policy]").await;
        browser.fill("dialog[open] input[type=number]", "5").await;
        confirm(&browser, "nights are short").await;
        browser
            .wait_text("#facts", "are skipped after 5 attempts")
            .await;
        browser.click("[data-verb=drain]").await;
        confirm(&browser, "moving").await;
        browser.wait_text("#state", "Paused").await;
        browser.wait_text("#audit", "nights are short").await;
        browser.assert_console_is_clean(&[NOT_SIGNED_IN]).await;
    })
    .await;
}

#[tokio::test]
async fn a_service_is_added_changed_given_new_tokens_and_removed() {
    let peer = Peer::start("irc").await;
    let server = TestServer::start().await.unwrap();
    let token = token(server.folder());
    let mut registration = peer.registration();
    let users = registration["namespaces"]["users"].as_array_mut();
    users
        .unwrap()
        .push(json!({ "exclusive": false, "regex": ".*" }));
    with_browser(&server, move |browser| async move {
        browser.sign_in(&token).await;
        browser.click("a[href='#/add']").await;
        browser.fill("#yaml", "id: irc").await;
        browser.click("form button[type=submit]").await;
        browser
            .wait("!document.querySelector('form .problem').hidden")
            .await;
        browser.fill("#yaml", &registration.to_string()).await;
        browser.click("form button[type=submit]").await;
        browser.wait_text("#preview .finding", "Cure").await;
        browser.screenshot("add").await;
        assert_contrast(&browser, "add").await;
        browser.fill("#reason", "a new network").await;
        browser.click(".dialog-buttons button[type=button]").await;
        browser.wait_text("#toasts", "irc is added").await;
        browser.wait_text("#registration", "the operator API").await;
        browser.wait_text("#registration pre", "***").await;
        let text = browser.text("#registration pre").await;
        assert!(!text.contains("token-of-irc"), "{text}");
        browser.wait_text("#audit", "a new network").await;
        browser.wait_text("#findings .finding", "Cure").await;

        browser.turn_to("#/lint", "Linter").await;
        browser.wait_text(".finding", "irc").await;
        browser.screenshot("lint").await;
        assert_contrast(&browser, "lint").await;

        browser
            .turn_to("#/services/irc/registration", "Change irc")
            .await;
        browser.wait_text("#yaml", "irc-bot").await;
        registration["namespaces"]["users"]
            .as_array_mut()
            .unwrap()
            .pop();
        registration["as_token"] = json!("***");
        registration["hs_token"] = json!("***");
        browser.fill("#yaml", &registration.to_string()).await;
        browser.click("form button[type=submit]").await;
        browser.wait_text("#preview", "What the linter says").await;
        browser.click(".dialog-buttons button[type=button]").await;
        browser.wait_text("#toasts", "irc is changed").await;

        browser.click("[data-verb=rotate]").await;
        browser.wait_text("dialog[open]", "shown once").await;
        browser.click("dialog[open] button[type=submit]").await;
        browser
            .wait_text("dialog[open]", "They are shown only now")
            .await;
        assert_eq!(
            browser
                .js("return document.querySelectorAll('dialog input[readonly]').length")
                .await,
            2
        );
        browser.click("dialog[open] .primary").await;
        browser.wait_text("#toasts", "irc has new tokens").await;

        browser.click("[data-verb=remove]").await;
        browser.click("dialog[open] button[type=submit]").await;
        browser
            .wait_text("dialog[open]", "What the server counted")
            .await;
        browser.fill("dialog[open] input[name=typed]", "ric").await;
        browser.click("dialog[open] button[type=submit]").await;
        browser
            .wait_text("dialog[open] .problem", "not the service")
            .await;
        browser.screenshot("dialog-remove").await;
        browser.fill("dialog[open] input[name=typed]", "irc").await;
        confirm(&browser, "the network has closed").await;
        browser.wait_text("#empty", "No service yet").await;
        let refused =
            "v1/appservices - Failed to load resource: the server responded with a status of 400";
        browser
            .assert_console_is_clean(&[NOT_SIGNED_IN, refused])
            .await;
    })
    .await;
}
