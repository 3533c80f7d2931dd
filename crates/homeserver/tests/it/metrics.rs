//! `/metrics` and statsd: who may read them, and that they tell what happened.

use std::{
    collections::BTreeSet,
    net::UdpSocket,
    time::{Duration, Instant},
};

use bridgehead_testkit::{
    Answer, AppserviceOptions, Client, NamespaceOptions, Query, RecordingAppservice, TestServer,
};
use reqwest::{Method, StatusCode};
use serde_json::json;

const SOON: Duration = Duration::from_secs(30);
const TOKEN: (&str, &str) = ("BRIDGEHEAD_METRICS_TOKEN", "a-token-for-metrics");
const OPEN: (&str, &str) = ("BRIDGEHEAD_METRICS_OPEN", "true");
const QUICK: (&str, &str) = ("BRIDGEHEAD_APPSERVICES_BACKOFF_MIN_MS", "10");

/// What Prometheus would read.
async fn scrape(server: &TestServer) -> String {
    let url = format!("{}/metrics", server.base_url());
    let response = http().get(url).bearer_auth(TOKEN.1).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    response.text().await.unwrap()
}

fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap()
}

/// The value of a series, written as in the page.
fn value(page: &str, series: &str) -> Option<f64> {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    line.parse().ok()
}

/// Scrapes until a series has this value.
async fn wait_for(server: &TestServer, series: &str, wanted: f64) -> String {
    let started = Instant::now();
    loop {
        let page = scrape(server).await;
        if value(&page, series) == Some(wanted) {
            return page;
        }
        assert!(
            started.elapsed() < SOON,
            "{series} is not {wanted} in:\n{page}"
        );
        tokio::task::yield_now().await;
    }
}

async fn service(id: &str) -> RecordingAppservice {
    let options = AppserviceOptions {
        aliases: vec![NamespaceOptions {
            regex: format!("#{id}_.*"),
            exclusive: true,
        }],
        ..AppserviceOptions::with_users(id, &format!("{id}_"))
    };
    RecordingAppservice::start(options).await.unwrap()
}

async fn server_with(services: &[&RecordingAppservice]) -> TestServer {
    let folder = tempfile::TempDir::new().unwrap();
    let files = services
        .iter()
        .map(|service| service.write_registration(folder.path()).unwrap())
        .collect();
    TestServer::start_in(folder, files, &[TOKEN, QUICK])
        .await
        .unwrap()
}

/// A room of a new user's, with a ghost of the service's in it.
async fn room_with_ghost(
    server: &TestServer,
    service: &RecordingAppservice,
    name: &str,
) -> (Client, String) {
    let alice = server.user(name).await.unwrap();
    let bot = server.client().with_token(&service.as_token());
    let ghost = bot.register_ghost(&format!("irc_{name}")).await.unwrap();
    let room = alice
        .create_room(&json!({ "preset": "public_chat" }))
        .await
        .unwrap();
    ghost.join(&room).await.unwrap();
    (alice, room)
}

#[tokio::test]
async fn only_who_has_the_token_reads_metrics() {
    let server = TestServer::start_with(&[], &[TOKEN]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    for (client, errcode) in [
        (server.client(), "M_MISSING_TOKEN"),
        (server.client().with_token("wrong"), "M_UNKNOWN_TOKEN"),
        (alice, "M_UNKNOWN_TOKEN"),
    ] {
        let (status, body) = client.get("/metrics").await.unwrap();
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(body["errcode"], errcode);
    }
    assert!(scrape(&server).await.contains("bridgehead_build_info"));
    let file = server.folder().join("data/operator.token");
    let operator = std::fs::read_to_string(file).unwrap();
    let operator = server.client().with_token(operator.trim());
    assert!(operator.get("/metrics").await.unwrap().0.is_success());
    // A token in a url ends in logs.
    let query = [("access_token", TOKEN.1)];
    let client = server.client();
    let in_query = client.request(Method::GET, "/metrics", &query, None).await;
    assert_eq!(in_query.unwrap().0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn no_other_sites_page_reads_metrics() {
    let server = TestServer::start_with(&[], &[OPEN]).await.unwrap();
    let get = |path| http().get(format!("{}{path}", server.base_url())).send();
    const ALLOWED: &str = "access-control-allow-origin";
    let metrics = get("/metrics").await.unwrap();
    assert!(!metrics.headers().contains_key(ALLOWED));
    let versions = get("/_matrix/client/versions").await.unwrap();
    assert!(versions.headers().contains_key(ALLOWED));
}

#[tokio::test]
async fn metrics_can_be_open_or_off() {
    let open = TestServer::start_with(&[], &[OPEN]).await.unwrap();
    assert!(open.client().get("/metrics").await.unwrap().0.is_success());
    let off = TestServer::start_with(&[], &[OPEN, ("BRIDGEHEAD_METRICS_ENABLED", "false")])
        .await
        .unwrap();
    let (status, body) = off.client().get("/metrics").await.unwrap();
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(body["errcode"], "M_UNRECOGNIZED");
}

#[tokio::test]
async fn a_scrape_and_the_reference_name_the_same_metrics() {
    let irc = service("irc").await;
    let server = server_with(&[&irc]).await;
    scrape(&server).await;
    let page = scrape(&server).await;
    let shown: BTreeSet<(&str, &str)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let reference = include_str!("../../../../docs/metrics.md");
    let documented: BTreeSet<(&str, &str)> = reference
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
            Some((name, rest.split(' ').next()?))
        })
        .collect();
    assert_eq!(shown, documented);
    for line in page
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let name = line.split(['{', ' ']).next().unwrap();
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        assert!(
            documented
                .iter()
                .any(|(known, _)| *known == name || *known == base),
            "{line}"
        );
    }
    assert!(
        page.lines().all(|line| !line.contains(irc.hs_token())),
        "{page}"
    );
}

#[tokio::test]
async fn requests_are_counted_by_route_and_nothing_that_clients_invent() {
    let server = TestServer::start_with(&[], &[TOKEN]).await.unwrap();
    let alice = server.user("alice").await.unwrap();
    for path in [
        "/_matrix/client/v3/account/whoami",
        "/_matrix/client/r0/account/whoami",
    ] {
        alice.get(path).await.unwrap();
    }
    for path in [
        "/no/such/path",
        "/neither/is/this",
        "/_matrix/client/v3/nor/that",
    ] {
        alice.get(path).await.unwrap();
    }
    let odd = Method::from_bytes(b"BREW").unwrap();
    alice.request(odd, "/health", &[], None).await.unwrap();
    let page = scrape(&server).await;
    let total = "bridgehead_http_requests_total";
    let whoami = r#"endpoint="/_matrix/client/*/account/whoami",method="GET""#;
    assert_eq!(
        value(&page, &format!("{total}{{{whoami},status=\"2xx\"}}")),
        Some(2.0)
    );
    assert_eq!(
        value(
            &page,
            &format!("bridgehead_http_request_duration_seconds_count{{{whoami}}}")
        ),
        Some(2.0)
    );
    let unmatched = r#"endpoint="unmatched",method="GET",status="4xx""#;
    assert_eq!(
        value(&page, &format!("{total}{{{unmatched}}}")),
        Some(3.0),
        "{page}"
    );
    let brewed = r#"endpoint="/health",method="other",status="4xx""#;
    assert_eq!(
        value(&page, &format!("{total}{{{brewed}}}")),
        Some(1.0),
        "{page}"
    );
    assert_eq!(
        value(
            &page,
            r#"bridgehead_http_requests_in_flight{endpoint="/metrics"}"#
        ),
        Some(1.0)
    );
    assert!(
        !page.contains("such/path") && !page.contains("BREW"),
        "{page}"
    );
}

#[tokio::test]
async fn deliveries_are_counted_with_their_failures() {
    let irc = service("irc").await;
    let quiet = service("quiet").await;
    let mut refusals = 3;
    irc.answer_with(move |record| {
        let refused = record
            .events()
            .iter()
            .any(|e| e["type"] == "m.room.message")
            && refusals > 0;
        refusals -= usize::from(refused);
        Answer::Status(if refused {
            StatusCode::BAD_GATEWAY
        } else {
            StatusCode::OK
        })
    });
    let server = server_with(&[&irc, &quiet]).await;
    let (alice, room) = room_with_ghost(&server, &irc, "alice").await;
    let as_of = |page: &str, name: &str, labels: &str| {
        let series = format!("bridgehead_appservice_{name}{{appservice=\"irc\"{labels}}}");
        value(page, &series).unwrap_or_else(|| panic!("no {series} in:\n{page}"))
    };
    let waiting = r#"bridgehead_appservice_waiting_entries{appservice="irc"}"#;
    wait_for(&server, waiting, 0.0).await;
    // What the service has is counted a moment after it has it.
    let events = irc
        .records()
        .iter()
        .map(|r| r.events().len())
        .sum::<usize>();
    let series = r#"bridgehead_appservice_events_delivered_total{appservice="irc"}"#;
    let before = wait_for(&server, series, events as f64).await;
    alice.send_text(&room, "1", "hello").await.unwrap();
    let failures =
        r#"bridgehead_appservice_delivery_failures_total{appservice="irc",reason="5xx"}"#;
    wait_for(&server, failures, 3.0).await;
    let delivered = as_of(&before, "events_delivered_total", "") + 1.0;
    let page = wait_for(&server, series, delivered).await;
    let grown =
        |name: &str, labels: &str| as_of(&page, name, labels) - as_of(&before, name, labels);
    assert_eq!(grown("delivery_attempts_total", ""), 4.0);
    assert_eq!(grown("delivery_retries_total", ""), 3.0);
    assert_eq!(
        grown("transactions_total", ",outcome=\"acknowledged\""),
        1.0
    );
    assert_eq!(grown("delivery_latency_seconds_count", ""), 1.0);
    assert_eq!(grown("push_duration_seconds_count", ""), 4.0);
    assert_eq!(as_of(&page, "state", ",state=\"failed\""), 0.0);
    assert_eq!(as_of(&page, "oldest_waiting_seconds", ""), 0.0);
    assert_eq!(as_of(&page, "batch_limit_entries", ""), 100.0);
    let quiet = r#"bridgehead_appservice_delivery_attempts_total{appservice="quiet"}"#;
    assert_eq!(value(&page, quiet), Some(0.0));
}

#[tokio::test]
async fn what_waits_for_a_service_that_is_away_is_seen() {
    let irc = service("irc").await;
    let server = server_with(&[&irc]).await;
    let (alice, room) = room_with_ghost(&server, &irc, "alice").await;
    wait_for(
        &server,
        r#"bridgehead_appservice_waiting_entries{appservice="irc"}"#,
        0.0,
    )
    .await;
    irc.answer_with(|_| Answer::Drop);
    for n in 0..3 {
        alice
            .send_text(&room, &n.to_string(), "hello")
            .await
            .unwrap();
    }
    let page = wait_for(
        &server,
        r#"bridgehead_appservice_waiting_entries{appservice="irc"}"#,
        3.0,
    )
    .await;
    assert_eq!(
        value(&page, r#"bridgehead_appservice_paused{appservice="irc"}"#),
        Some(0.0)
    );
    let states: f64 = ["idle", "delivering", "retrying", "failed"]
        .iter()
        .filter_map(|state| {
            let series =
                format!(r#"bridgehead_appservice_state{{appservice="irc",state="{state}"}}"#);
            value(&page, &series)
        })
        .sum();
    assert_eq!(states, 1.0, "{page}");
}

#[tokio::test]
async fn queries_and_what_comes_of_them_are_counted() {
    let irc = service("irc").await;
    let server = server_with(&[&irc]).await;
    let bot = server.client().with_token(&irc.as_token());
    irc.answer_queries_with(move |query| {
        let bot = bot.clone();
        async move {
            match query {
                Query::User(id) if id.contains("yes") => {
                    bot.register_ghost("irc_yes").await.unwrap();
                    StatusCode::OK
                }
                Query::User(_) => StatusCode::NOT_FOUND,
                Query::Alias(_) => StatusCode::BAD_GATEWAY,
            }
        }
    });
    let alice = server.user("alice").await.unwrap();
    for user in ["irc_yes", "irc_no"] {
        let path = format!("/_matrix/client/v3/profile/@{user}:localhost");
        alice.get(&path).await.unwrap();
    }
    let path = "/_matrix/client/v3/directory/room/%23irc_room:localhost";
    alice.get(path).await.unwrap();
    let page = scrape(&server).await;
    for (labels, wanted) in [
        (r#"kind="user",outcome="yes""#, 1.0),
        (r#"kind="user",outcome="no""#, 1.0),
        (r#"kind="alias",outcome="unavailable""#, 1.0),
        (r#"kind="alias",outcome="yes""#, 0.0),
    ] {
        let series = format!("bridgehead_appservice_queries_total{{appservice=\"irc\",{labels}}}");
        assert_eq!(value(&page, &series), Some(wanted), "{page}");
    }
    let users = r#"bridgehead_appservice_users_provisioned_total{appservice="irc"}"#;
    assert_eq!(value(&page, users), Some(1.0));
}

#[tokio::test]
async fn the_store_and_the_process_are_seen() {
    let server = TestServer::start_with(&[], &[TOKEN]).await.unwrap();
    server.user("alice").await.unwrap();
    let page = scrape(&server).await;
    for series in [
        "bridgehead_store_commit_duration_seconds_count",
        "bridgehead_store_commit_units_sum",
        "bridgehead_store_wal_bytes",
        "bridgehead_store_disk_free_bytes",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        let value = value(&page, series);
        assert!(
            value.is_some_and(|value| value > 0.0),
            "{series} in:\n{page}"
        );
    }
    assert_eq!(value(&page, "bridgehead_store_queued_units"), Some(0.0));
    assert_eq!(
        value(&page, "bridgehead_store_commits_failed_total"),
        Some(0.0)
    );
}

#[tokio::test]
async fn two_servers_in_one_process_count_for_themselves() {
    let [one, two] = [
        TestServer::start_with(&[], &[TOKEN]).await.unwrap(),
        TestServer::start_with(&[], &[TOKEN]).await.unwrap(),
    ];
    for _ in 0..5 {
        one.client().get("/health").await.unwrap();
    }
    let health = r#"bridgehead_http_requests_total{endpoint="/health",method="GET",status="2xx"}"#;
    assert_eq!(value(&scrape(&one).await, health), Some(5.0));
    assert_eq!(value(&scrape(&two).await, health), None);
}

#[tokio::test]
async fn statsd_is_told_the_same() {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let settings = [
        TOKEN,
        ("BRIDGEHEAD_METRICS_STATSD", address.as_str()),
        ("BRIDGEHEAD_METRICS_STATSD_PREFIX", "home"),
    ];
    let server = TestServer::start_with(&[], &settings).await.unwrap();
    server.user("alice").await.unwrap();
    // A scrape reads the gauges, and statsd is told them, too.
    scrape(&server).await;
    let health = format!("{}/health", server.base_url());
    let reading = tokio::task::spawn_blocking(move || {
        let mut wanted = vec![
            (
                r"home.bridgehead_http_requests_total:1|c|#endpoint:",
                "status:2xx",
            ),
            ("home.bridgehead_http_request_duration_seconds:", "|ms|#"),
            ("home.bridgehead_store_commit_units:", "|h"),
            ("home.process_open_fds:", "|g"),
        ];
        let mut buffer = [0; 65536];
        let started = Instant::now();
        while !wanted.is_empty() && started.elapsed() < SOON {
            let length = socket.recv(&mut buffer).unwrap();
            let packet = String::from_utf8_lossy(&buffer[..length]).into_owned();
            assert!(length <= 1432, "{packet}");
            for line in packet.lines() {
                wanted.retain(|(start, part)| !(line.starts_with(start) && line.contains(part)));
            }
        }
        wanted
    });
    // What was recorded is sent once it fills a packet.
    while !reading.is_finished() {
        http().get(&health).send().await.unwrap();
    }
    assert_eq!(reading.await.unwrap(), []);
}
