//! Content repository: uploads, announced uploads, downloads, thumbnails.

use std::{io::Cursor, time::Duration};

use bridgehead_testkit::{AppserviceOptions, Client, RecordingAppservice, TestServer};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};

const UPLOAD: &str = "/_matrix/media/v3/upload";
const CREATE: &str = "/_matrix/media/v1/create";
const DOWNLOAD: &str = "/_matrix/client/v1/media/download";
const OLD_DOWNLOAD: &str = "/_matrix/media/v3/download";

/// A server, and requests with any body to it.
struct Fixture {
    server: TestServer,
    http: reqwest::Client,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(settings: &[(&str, &str)]) -> Self {
        Self::of(TestServer::start_with(&[], settings).await.unwrap())
    }

    fn of(server: TestServer) -> Self {
        server.client();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        Self { server, http }
    }

    fn request(&self, method: Method, path: &str, user: Option<&Client>) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}{path}", self.server.base_url()));
        match user.and_then(Client::access_token) {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn get(&self, path: &str, user: Option<&Client>) -> Response {
        self.request(Method::GET, path, user).send().await.unwrap()
    }

    async fn put(&self, id: &str, user: &Client, bytes: &'static [u8]) -> Response {
        let path = format!("{UPLOAD}/{id}");
        let request = self.request(Method::PUT, &path, Some(user));
        request.body(bytes).send().await.unwrap()
    }

    /// `server/id` of an upload.
    async fn upload(
        &self,
        user: &Client,
        content_type: &str,
        filename: &str,
        bytes: Vec<u8>,
    ) -> String {
        let path = format!("{UPLOAD}?filename={}", filename.replace(' ', "%20"));
        let response = self
            .request(Method::POST, &path, Some(user))
            .header(header::CONTENT_TYPE, content_type)
            .body(bytes)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        id_of(&response.json().await.unwrap())
    }

    async fn create(&self, user: &Client) -> String {
        let created = user.expect_ok(Method::POST, CREATE, &[], None).await;
        id_of(&created.unwrap())
    }
}

fn id_of(answer: &Value) -> String {
    let uri = answer["content_uri"].as_str().unwrap();
    uri.strip_prefix("mxc://").unwrap().to_owned()
}

fn text<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[track_caller]
fn assert_error((status, body): (StatusCode, Value), expected: (StatusCode, &str)) {
    assert_eq!(
        (status, body["errcode"].as_str().unwrap_or_default()),
        expected,
        "{body}"
    );
}

async fn error_of(response: Response) -> (StatusCode, Value) {
    (response.status(), response.json().await.unwrap())
}

fn image(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let pixels = RgbImage::from_fn(width, height, |x, _| Rgb([(x % 256) as u8, 90, 10]));
    DynamicImage::from(pixels)
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

#[tokio::test]
async fn what_was_uploaded_comes_back() {
    let fixture = Fixture::new().await;
    let alice = fixture.server.user("alice").await.unwrap();
    let bytes = vec![42; (3 << 20) + 7];
    let id = fixture
        .upload(&alice, "image/png", "a cat.png", bytes.clone())
        .await;
    let response = fixture.get(&format!("{DOWNLOAD}/{id}"), Some(&alice)).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(&response, "content-type"), "image/png");
    assert_eq!(text(&response, "content-length"), bytes.len().to_string());
    assert_eq!(
        text(&response, "content-disposition"),
        "inline; filename=\"a cat.png\""
    );
    assert_eq!(text(&response, "x-content-type-options"), "nosniff");
    assert_eq!(
        text(&response, "cross-origin-resource-policy"),
        "cross-origin"
    );
    assert!(text(&response, "content-security-policy").starts_with("sandbox; default-src 'none';"));
    assert_eq!(response.bytes().await.unwrap(), bytes);
}

#[tokio::test]
async fn scripts_are_saved_and_not_shown() {
    let fixture = Fixture::new().await;
    let alice = fixture.server.user("alice").await.unwrap();
    let id = fixture
        .upload(&alice, "text/html", "x.html", b"<script>".to_vec())
        .await;
    let named = fixture
        .get(&format!("{DOWNLOAD}/{id}/other%20name.html"), Some(&alice))
        .await;
    assert_eq!(
        text(&named, "content-disposition"),
        "attachment; filename=\"other name.html\""
    );
}

#[tokio::test]
async fn parts_and_known_bytes_are_not_sent_again() {
    let fixture = Fixture::new().await;
    let alice = fixture.server.user("alice").await.unwrap();
    let id = fixture
        .upload(&alice, "text/plain", "", b"0123456789".to_vec())
        .await;
    let path = format!("{DOWNLOAD}/{id}");
    let get = |name, value: &str| {
        let request = fixture.request(Method::GET, &path, Some(&alice));
        request.header(name, value).send()
    };
    let part = get(header::RANGE, "bytes=3-5").await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(text(&part, "content-range"), "bytes 3-5/10");
    let etag = text(&part, "etag").to_owned();
    assert_eq!(part.text().await.unwrap(), "345");
    let outside = get(header::RANGE, "bytes=10-").await.unwrap();
    assert_eq!(outside.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let known = get(header::IF_NONE_MATCH, &etag).await.unwrap();
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn old_paths_need_no_token_unless_switched_off() {
    for (setting, expected) in [("true", StatusCode::OK), ("false", StatusCode::NOT_FOUND)] {
        let fixture = Fixture::with(&[("BRIDGEHEAD_LIMITS_UNAUTHENTICATED_MEDIA", setting)]).await;
        let alice = fixture.server.user("alice").await.unwrap();
        let png = image(40, 40, ImageFormat::Png);
        let id = fixture.upload(&alice, "image/png", "", png).await;
        let file = fixture.get(&format!("{OLD_DOWNLOAD}/{id}"), None).await;
        assert_eq!(file.status(), expected);
        let small = format!("/_matrix/media/r0/thumbnail/{id}?width=32&height=32&method=crop");
        assert_eq!(fixture.get(&small, None).await.status(), expected);
        let authenticated = fixture.get(&format!("{DOWNLOAD}/{id}"), None).await;
        assert_eq!(authenticated.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn media_of_others_and_unknown_media_is_not_found() {
    let fixture = Fixture::new().await;
    let alice = fixture.server.user("alice").await.unwrap();
    for id in [
        "elsewhere.example/abc",
        "localhost/abc",
        "localhost/%2e%2e%2fx",
    ] {
        let answer = alice.get(&format!("{DOWNLOAD}/{id}")).await.unwrap();
        assert_error(answer, (StatusCode::NOT_FOUND, "M_NOT_FOUND"));
    }
}

#[tokio::test]
async fn uploads_have_a_largest_size_declared_or_not() {
    let fixture = Fixture::with(&[("BRIDGEHEAD_LIMITS_MAX_UPLOAD_BYTES", "1000")]).await;
    let alice = fixture.server.user("alice").await.unwrap();
    let largest = vec![1; 1000];
    fixture.upload(&alice, "a/b", "", largest).await;
    let declared = fixture
        .request(Method::POST, UPLOAD, Some(&alice))
        .body(vec![1; 1001]);
    let answer = error_of(declared.send().await.unwrap()).await;
    assert_error(answer, (StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE"));
    let pieces =
        futures_util::stream::iter([600, 401].map(|n| Ok::<_, std::io::Error>(vec![1; n])));
    let undeclared = fixture
        .request(Method::POST, UPLOAD, Some(&alice))
        .body(reqwest::Body::wrap_stream(pieces));
    let answer = error_of(undeclared.send().await.unwrap()).await;
    assert_error(answer, (StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE"));
    for path in [
        "/_matrix/media/v3/config",
        "/_matrix/client/v1/media/config",
    ] {
        let (_, config) = alice.get(path).await.unwrap();
        assert_eq!(config, json!({ "m.upload.size": 1000 }));
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let fixture = Fixture::new().await;
    let alice = fixture.server.user("alice").await.unwrap();
    let pieces = futures_util::stream::iter([
        Ok(vec![1; 2 << 20]),
        Err(std::io::Error::other("the client dies")),
    ]);
    let request = fixture
        .request(Method::POST, UPLOAD, Some(&alice))
        .body(reqwest::Body::wrap_stream(pieces));
    request.send().await.unwrap_err();
    let arriving = fixture.server.folder().join("data/media/arriving");
    let folder = fixture.server.stop().await;
    assert_eq!(std::fs::read_dir(arriving).unwrap().count(), 0);
    drop(folder);
}

#[tokio::test]
async fn a_download_waits_for_an_announced_upload() {
    let fixture = Fixture::new().await;
    let alice = fixture.server.user("alice").await.unwrap();
    let bob = fixture.server.user("bob").await.unwrap();
    let id = fixture.create(&alice).await;
    let path = format!("{DOWNLOAD}/{id}");
    let answer = bob.get(&format!("{path}?timeout_ms=0")).await.unwrap();
    assert_error(answer, (StatusCode::GATEWAY_TIMEOUT, "M_NOT_YET_UPLOADED"));
    let waiting = fixture.get(&path, Some(&bob));
    let uploading = fixture.put(&id, &alice, b"here at last");
    let (waited, uploaded) = tokio::join!(waiting, uploading);
    assert_eq!(uploaded.status(), StatusCode::OK);
    assert_eq!(waited.status(), StatusCode::OK);
    assert_eq!(waited.text().await.unwrap(), "here at last");
}

#[tokio::test]
async fn an_announced_upload_comes_once_and_from_its_maker() {
    let fixture = Fixture::new().await;
    let alice = fixture.server.user("alice").await.unwrap();
    let bob = fixture.server.user("bob").await.unwrap();
    let id = fixture.create(&alice).await;
    let by_bob = error_of(fixture.put(&id, &bob, b"x").await).await;
    assert_error(by_bob, (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
    assert_eq!(
        fixture.put(&id, &alice, b"x").await.status(),
        StatusCode::OK
    );
    let again = error_of(fixture.put(&id, &alice, b"y").await).await;
    assert_error(again, (StatusCode::CONFLICT, "M_CANNOT_OVERWRITE_MEDIA"));
    let unknown = error_of(fixture.put("localhost/abc", &alice, b"y").await).await;
    assert_error(unknown, (StatusCode::NOT_FOUND, "M_NOT_FOUND"));
}

#[tokio::test]
async fn announcements_are_limited_for_users_and_not_for_bridges() {
    let service = RecordingAppservice::start(AppserviceOptions::with_users("irc", "irc_"))
        .await
        .unwrap();
    let server = TestServer::with_appservices(&[&service]).await.unwrap();
    let fixture = Fixture::of(server);
    let alice = fixture.server.user("alice").await.unwrap();
    let bot = fixture.server.client().with_token(&service.as_token());
    let ghost = bot.register_ghost("irc_bob").await.unwrap();
    for _ in 0..50 {
        fixture.create(&alice).await;
    }
    let answer = alice
        .request(Method::POST, CREATE, &[], None)
        .await
        .unwrap();
    assert_error(answer, (StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED"));
    for _ in 0..51 {
        fixture.create(&bot).await;
    }
    let id = fixture.create(&ghost).await;
    let by_the_bot = error_of(fixture.put(&id, &bot, b"x").await).await;
    assert_error(by_the_bot, (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
}

#[tokio::test]
async fn thumbnails_are_real_smaller_images() {
    let fixture = Fixture::new().await;
    let alice = fixture.server.user("alice").await.unwrap();
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif] {
        let id = fixture
            .upload(&alice, "image/any", "", image(1000, 500, format))
            .await;
        let sizes = [
            ("width=30&height=30&method=crop", (32, 32)),
            ("width=320&height=240&method=scale", (320, 160)),
            ("width=9999&height=9999", (800, 400)),
        ];
        for (query, expected) in sizes {
            let path = format!("/_matrix/client/v1/media/thumbnail/{id}?{query}&animated=true");
            let response = fixture.get(&path, Some(&alice)).await;
            assert_eq!(response.status(), StatusCode::OK, "{query}");
            assert_eq!(text(&response, "content-type"), "image/jpeg");
            let thumbnail = image::load_from_memory(&response.bytes().await.unwrap()).unwrap();
            assert_eq!((thumbnail.width(), thumbnail.height()), expected, "{query}");
        }
    }
}

#[tokio::test]
async fn thumbnails_stay_transparent() {
    let fixture = Fixture::new().await;
    let alice = fixture.server.user("alice").await.unwrap();
    let mut png = Cursor::new(Vec::new());
    DynamicImage::new_rgba8(200, 200)
        .write_to(&mut png, ImageFormat::Png)
        .unwrap();
    let id = fixture
        .upload(&alice, "image/png", "", png.into_inner())
        .await;
    let path = format!("/_matrix/client/v1/media/thumbnail/{id}?width=96&height=96&method=crop");
    let response = fixture.get(&path, Some(&alice)).await;
    assert_eq!(text(&response, "content-type"), "image/png");
    let thumbnail = image::load_from_memory(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(thumbnail.to_rgba8().get_pixel(50, 50)[3], 0);
}

#[tokio::test]
async fn thumbnails_of_what_is_no_image_or_too_large_are_refused() {
    let fixture = Fixture::with(&[("BRIDGEHEAD_LIMITS_MAX_IMAGE_PIXELS", "10000")]).await;
    let alice = fixture.server.user("alice").await.unwrap();
    let mut broken = image(90, 90, ImageFormat::Png);
    broken.truncate(60);
    let cases = [
        (b"hello".to_vec(), (StatusCode::BAD_REQUEST, "M_UNKNOWN")),
        (broken, (StatusCode::BAD_REQUEST, "M_UNKNOWN")),
        (
            image(101, 100, ImageFormat::Png),
            (StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE"),
        ),
    ];
    for (bytes, expected) in cases {
        let id = fixture.upload(&alice, "image/png", "", bytes).await;
        let path = format!("/_matrix/client/v1/media/thumbnail/{id}");
        let query = [("width", "32"), ("height", "32")];
        let answer = alice.request(Method::GET, &path, &query, None).await;
        assert_error(answer.unwrap(), expected);
        for query in [
            "",
            "?width=x&height=1",
            "?width=-1&height=1",
            "?width=0&height=1",
        ] {
            let answer = alice.get(&format!("{path}{query}")).await.unwrap();
            assert_error(answer, (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"));
        }
    }
}

#[tokio::test]
async fn thumbnails_stay_within_their_disk_space() {
    let fixture = Fixture::with(&[("BRIDGEHEAD_LIMITS_MAX_THUMBNAIL_CACHE_BYTES", "10000")]).await;
    let alice = fixture.server.user("alice").await.unwrap();
    for width in [50, 60, 70, 80] {
        let png = image(width, 50, ImageFormat::Png);
        let id = fixture.upload(&alice, "image/png", "", png).await;
        let path = format!("/_matrix/client/v1/media/thumbnail/{id}?width=9&height=9&method=crop");
        for _ in 0..2 {
            let response = fixture.get(&path, Some(&alice)).await;
            assert_eq!(response.status(), StatusCode::OK);
        }
    }
    let kept = fixture.server.folder().join("data/thumbnails");
    assert_eq!(std::fs::read_dir(kept).unwrap().count(), 2);
}

#[tokio::test]
async fn previews_of_urls_are_not_offered() {
    let fixture = Fixture::new().await;
    let alice = fixture.server.user("alice").await.unwrap();
    for path in [
        "/_matrix/media/v3/preview_url",
        "/_matrix/client/v1/media/preview_url",
    ] {
        let query = [("url", "http://localhost/")];
        let answer = alice.request(Method::GET, path, &query, None).await;
        assert_error(answer.unwrap(), (StatusCode::NOT_FOUND, "M_UNRECOGNIZED"));
    }
}
