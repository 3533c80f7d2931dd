//! Media both ways, and links for people without an account.

use std::time::Duration;

use anyhow::Context as _;
use bridgehead_appservice::{
    Secret,
    media::{MediaError, MediaProxy, Upload},
    prelude::*,
};
use bridgehead_testkit::lab::{Fault, Lab, LabOptions};
use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use serde_json::json;
use tower::ServiceExt as _;

use crate::{
    harness::Pair,
    outside::{Web, ask, json as answer, mount_with_web, seen},
};

/// A picture of one pixel.
const PNG: &[u8] = b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\x0dIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82";

fn service() -> Service {
    Service::new("irc").bot("ircbot").users("_irc_{nick}")
}

fn proxy() -> MediaProxy {
    let secret = Secret::new("a secret of the tests".to_owned());
    MediaProxy::new(&secret, "https://bridge.example.org/")
}

/// The path of a link.
fn path_of(link: &str) -> String {
    link.strip_prefix("https://bridge.example.org")
        .expect("the public address")
        .to_owned()
}

#[test]
fn many_uploads_of_the_same_at_once_are_one() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service()).await?;
        let media = irc.running().media();
        let uploads = (0..20).map(|_| media.upload(Upload::new(PNG, "image/png")));
        let uris = futures_util::future::try_join_all(uploads).await?;
        assert!(uris.iter().all(|uri| *uri == uris[0]));
        assert_eq!(seen(&lab, " upload/").await, 1);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn an_upload_that_broke_off_is_finished_under_its_id() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service()).await?;
        let alice = lab.user("alice").await?;
        lab.faults()
            .plan(Fault::of_calls().put("/upload/").lose_answer());
        let uri = irc
            .running()
            .media()
            .upload(Upload::new("one", "text/plain"))
            .await?;
        assert_eq!(alice.download(&uri).await?.bytes, "one");
        assert_eq!(seen(&lab, "POST create").await, 1);

        lab.faults()
            .plan(Fault::of_calls().put("/upload/").times(6));
        let media = irc.running().media();
        let broken = media.upload(Upload::new("two", "text/plain")).await;
        assert!(
            matches!(broken, Err(MediaError::Homeserver(Error::Transport(_)))),
            "{broken:?}"
        );
        assert_eq!(seen(&lab, "POST create").await, 2);
        drop(media);
        lab.restart(&irc).await?;
        let uri = irc
            .running()
            .media()
            .upload(Upload::new("two", "text/plain"))
            .await?;
        assert_eq!(seen(&lab, "POST create").await, 2, "the id of before");
        assert_eq!(alice.download(&uri).await?.bytes, "two");
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn an_id_that_has_ended_is_not_used() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service()).await?;
        lab.faults()
            .plan(Fault::of_calls().put("/upload/").times(6));
        let media = irc.running().media();
        media
            .upload(Upload::new("one", "text/plain"))
            .await
            .expect_err("nothing arrives");
        lab.pass(Duration::from_secs(25 * 3600)).await;
        media.upload(Upload::new("one", "text/plain")).await?;
        assert_eq!(seen(&lab, "POST create").await, 2);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn a_homeserver_without_ids_beforehand_is_uploaded_to_as_well() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service()).await?;
        let refusal = json!({ "errcode": "M_UNRECOGNIZED", "error": "no such thing" });
        let fault = Fault::of_calls().on(Method::POST, "/media/v1/create");
        lab.faults().plan(fault.answer(answer(404, &refusal)));
        let uri = irc
            .running()
            .media()
            .upload(Upload::new(PNG, "image/png"))
            .await?;
        assert_eq!(irc.running().media().download(&uri).await?.bytes, PNG);
        assert_eq!(seen(&lab, "POST upload").await, 1);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn what_is_too_large_is_not_sent() {
    let options = LabOptions::default().setting("BRIDGEHEAD_LIMITS_MAX_UPLOAD_BYTES", "100");
    options
        .run(async |lab| -> anyhow::Result<()> {
            let irc = lab.mount(service()).await?;
            let media = irc.running().media();
            let large = media.upload(Upload::new(vec![0; 101], "image/png")).await;
            assert!(
                matches!(large, Err(MediaError::TooLarge { limit: Some(100) })),
                "{large:?}"
            );
            let pieces = |count| {
                let piece = || Ok::<_, std::io::Error>(Bytes::from_static(&[0; 10]));
                futures_util::stream::iter((0..count).map(move |_| piece()))
            };
            let stream = media.read(pieces(11)).await;
            assert!(
                matches!(stream, Err(MediaError::TooLarge { limit: Some(100) })),
                "{stream:?}"
            );
            assert_eq!(seen(&lab, " upload/").await, 0);
            let fits = media.read(pieces(10)).await?;
            media.upload(Upload::new(fits, "image/png")).await?;
            let broken =
                futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("cable cut"))]);
            let broken = media.read(broken).await.expect_err("it broke");
            assert!(broken.to_string().contains("cable cut"), "{broken}");
            Ok(())
        })
        .expect("it goes through");
}

#[test]
fn what_is_not_there_yet_is_waited_for_and_told() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service()).await?;
        let (media, alice) = (irc.running().media(), lab.user("alice").await?);
        let (create, nothing) = ("/_matrix/media/v1/create", json!({}));
        let created = alice.call(Method::POST, create, &nothing).await?;
        let created = MxcUri::parse(created["content_uri"].as_str().context("an id")?)?;
        let found = media.download(&created).await;
        assert!(
            matches!(&found, Err(MediaError::NotYet(uri)) if *uri == created),
            "{found:?}"
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn older_homeservers_are_asked_the_old_way() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service()).await?;
        let (media, alice) = (irc.running().media(), lab.user("alice").await?);
        let uri = alice.upload("image/png", PNG).await?;
        let refusal = json!({ "errcode": "M_UNRECOGNIZED", "error": "no such thing" });
        let fault = || {
            Fault::of_calls()
                .on(Method::GET, "/client/v1/media/")
                .answer(answer(404, &refusal))
        };
        lab.faults().plan(fault());
        assert_eq!(media.download(&uri).await?.bytes, PNG);
        assert_eq!(media.download(&uri).await?.bytes, PNG);
        assert_eq!(
            seen(&lab, "GET media/download/").await,
            1,
            "it is known by now"
        );
        assert_eq!(seen(&lab, "GET download/").await, 2);
        lab.pass(Duration::from_secs(3601)).await;
        assert_eq!(media.download(&uri).await?.bytes, PNG);
        assert_eq!(
            seen(&lab, "GET media/download/").await,
            2,
            "it may be newer by now"
        );
        Ok(())
    })
    .expect("it goes through");
}

fn redirect(to: &str) -> Response<Bytes> {
    let mut response = answer(307, &json!({}));
    let to = to.parse().expect("a header");
    response.headers_mut().insert(header::LOCATION, to);
    response
}

#[test]
fn redirections_are_followed_with_care() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let web = Web::new(|request| match request.uri().to_string().as_str() {
            "https://cdn.example.org/a?key=1" => redirect("/b"),
            "https://cdn.example.org/b" | "http://10.0.0.7:9000/c" => {
                let mut found = Response::new(Bytes::from_static(PNG));
                found
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, "image/png".parse().expect("a type"));
                found
            }
            "https://cdn.example.org/down" => redirect("http://cdn.example.org/b"),
            _ => redirect("https://cdn.example.org/again"),
        });
        let service = service().trust_hosts(&["10.0.0.7:9000"]);
        let (_place, running) = mount_with_web(&lab, service, web.clone()).await?;
        let (media, alice) = (running.media(), lab.user("alice").await?);
        let uri = alice.upload("image/png", PNG).await?;
        let to = |place: &str| {
            let fault = Fault::of_calls().on(Method::GET, "/client/v1/media/");
            lab.faults().plan(fault.answer(redirect(place)));
            media.download(&uri)
        };
        let down = to("https://cdn.example.org/a?key=1#x").await?;
        assert_eq!(
            (&*down.bytes, down.mime.as_deref()),
            (PNG, Some("image/png"))
        );
        let store = to("http://10.0.0.7:9000/c").await?;
        assert_eq!(store.bytes, PNG, "the operator has named it");
        let here = to(&format!(
            "/_matrix/media/v3/download/localhost/{}",
            uri.parts().1
        ))
        .await?;
        assert_eq!(here.bytes, PNG, "the homeserver itself");
        let asked = web.asked();
        assert_eq!(
            asked,
            [
                "GET https://cdn.example.org/a?key=1",
                "GET https://cdn.example.org/b",
                "GET http://10.0.0.7:9000/c"
            ]
        );
        for place in [
            "http://127.0.0.1/x",
            "http://10.0.0.7:9001/c",
            "http://169.254.169.254/latest/meta-data",
            "http://localhost/x",
            "file:///etc/passwd",
            "https://cdn.example.org/down",
            "https://cdn.example.org/round",
        ] {
            let refused = to(place).await;
            assert!(
                matches!(refused, Err(MediaError::Redirect(_))),
                "{place}: {refused:?}"
            );
        }
        let touched = web
            .asked()
            .iter()
            .any(|line| line.contains("127.") || line.contains("169."));
        assert!(!touched && !web.was_shown_a_token());
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn links_lead_to_what_was_signed_and_to_nothing_else() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let service =
            service().media_proxy(proxy().lifetime(Duration::from_secs(3600)).max_bytes(1000));
        let irc = lab.mount(service).await?;
        let (running, alice) = (irc.running(), lab.user("alice").await?);
        let media = running.media();
        let uri = alice.upload("image/png", PNG).await?;
        let link = path_of(&media.public_url(&uri, "a cat.png")?);
        let page = running.call(ask("GET", &link)).await;
        assert_eq!((page.status(), &**page.body()), (StatusCode::OK, PNG));
        let header = |name: header::HeaderName| page.headers()[name].to_str().expect("ASCII");
        assert_eq!(header(header::CONTENT_TYPE), "image/png");
        assert_eq!(
            header(header::CONTENT_DISPOSITION),
            "inline; filename*=UTF-8''a%20cat.png"
        );
        assert_eq!(header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert!(header(header::CONTENT_SECURITY_POLICY).starts_with("sandbox"));
        assert_eq!(header(header::CONTENT_LENGTH), PNG.len().to_string());
        let head = running.call(ask("HEAD", &link)).await;
        assert_eq!((head.status(), head.body().len()), (StatusCode::OK, 0));

        let html = alice
            .upload("text/html", "<script>alert(1)</script>")
            .await?;
        let page = running
            .call(ask("GET", &path_of(&media.public_url(&html, "")?)))
            .await;
        assert_eq!(
            page.headers()[header::CONTENT_TYPE],
            "application/octet-stream"
        );
        assert_eq!(page.headers()[header::CONTENT_DISPOSITION], "attachment");

        let status = async |path: &str| running.call(ask("GET", path)).await.status().as_u16();
        let own = uri.parts().1;
        let other = alice.upload("text/plain", "secret").await?;
        let swapped = link.replace(own, other.parts().1);
        let asked = seen(&lab, "GET media/download/").await;
        for wrong in [
            swapped.as_str(),
            &link.replace("cat", "dog"),
            &format!("{link}/more"),
            &format!("/_bridgehead-appservice/media/localhost/{own}"),
            "/_bridgehead-appservice/media/",
            "/_bridgehead-appservice/media/x/y/z/w",
        ] {
            assert_eq!(status(wrong).await, 404, "{wrong}");
        }
        assert_eq!(running.call(ask("POST", &link)).await.status(), 405);
        assert_eq!(
            seen(&lab, "GET media/download/").await,
            asked,
            "the homeserver is not asked for them"
        );

        let nothing = MxcUri::parse("mxc://localhost/nothing")?;
        assert_eq!(
            status(&path_of(&media.public_url(&nothing, "")?)).await,
            404
        );
        let large = alice.upload("text/plain", vec![b'x'; 1001]).await?;
        assert_eq!(status(&path_of(&media.public_url(&large, "")?)).await, 502);
        media.revoke(&html).await?;
        assert_eq!(status(&path_of(&media.public_url(&html, "")?)).await, 410);
        lab.pass(Duration::from_secs(3600)).await;
        assert_eq!(status(&link).await, 410);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn only_so_many_are_served_at_once() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab
            .mount(service().media_proxy(proxy().concurrency(1)))
            .await?;
        let running = irc.running();
        let media = running.media();
        let uri = media.upload(Upload::new(PNG, "image/png")).await?;
        let link = path_of(&media.public_url(&uri, "")?);
        let request = ask("GET", &link).map(axum::body::Body::from);
        let held = running.router().oneshot(request).await?;
        assert_eq!(held.status(), StatusCode::OK);
        let busy = running.call(ask("GET", &link)).await;
        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(busy.headers()[header::RETRY_AFTER], "10");
        drop(held);
        assert_eq!(
            running.call(ask("GET", &link)).await.status(),
            StatusCode::OK
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn without_a_proxy_there_are_no_links() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let irc = lab.mount(service()).await?;
        let uri = MxcUri::parse("mxc://localhost/abc")?;
        let none = irc.running().media().public_url(&uri, "");
        assert!(matches!(none, Err(MediaError::NoLink(_))), "{none:?}");
        let page = irc
            .running()
            .call(ask("GET", "/_bridgehead-appservice/media/a/b/c/d"))
            .await;
        assert_eq!(page.status(), StatusCode::NOT_FOUND);
        let weak = MediaProxy::new(
            &Secret::new("short".to_owned()),
            "https://bridge.example.org",
        );
        let refused = lab
            .mount(Service::new("a").media_proxy(weak))
            .await
            .err()
            .context("refused")?;
        assert!(
            format!("{refused:#}").contains("16 random bytes"),
            "{refused:#}"
        );
        let nowhere = MediaProxy::new(&Secret::new("long enough, surely".to_owned()), "bridge");
        let refused = lab
            .mount(Service::new("b").media_proxy(nowhere))
            .await
            .err()
            .context("refused")?;
        assert!(
            format!("{refused:#}").contains("https://bridge.example.org"),
            "{refused:#}"
        );
        Ok(())
    })
    .expect("it goes through");
}

#[tokio::test]
async fn media_comes_piece_by_piece_over_http() -> anyhow::Result<()> {
    let pair = Pair::start(service().media_proxy(proxy())).await?;
    let media = pair.running.media();
    let bytes: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 251) as u8).collect();
    let uri = media
        .upload(Upload::new(bytes.clone(), "video/mp4").named("film.mp4"))
        .await?;
    let mut stream = media.open(&uri, 8 << 20).await?;
    assert_eq!(
        (stream.size_bytes, stream.name.as_deref()),
        (Some(4_000_000), Some("film.mp4"))
    );
    let (mut read, mut pieces) = (Vec::new(), 0);
    while let Some(piece) = stream.piece().await? {
        read.extend_from_slice(&piece);
        pieces += 1;
    }
    assert!(
        read == bytes && pieces > 1,
        "{} bytes in {pieces} pieces",
        read.len()
    );
    let large = media.open(&uri, 1000).await;
    assert!(matches!(
        large,
        Err(MediaError::TooLarge { limit: Some(1000) })
    ));
    let link = path_of(&media.public_url(&uri, "")?);
    let page = pair.running.call(ask("GET", &link)).await;
    assert!(*page.body() == bytes);
    Ok(())
}
