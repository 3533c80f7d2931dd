//! Pictures and files through a network: in from its own code, out as links, and as the faces of ghosts.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bridgehead_appservice::{
    Content, Error, Secret,
    bridge::{Receipt, RemoteMessage, UserInfo},
    format::content::{Media, MediaKind},
    id::MxcUri,
    media::{MediaError, MediaProxy, Upload},
};
use bridgehead_testkit::lab::{Lab, LabOptions};
use futures_util::FutureExt as _;
use http::StatusCode;
use serde_json::json;

use super::plain::{Plain, Scene, ghost, hall, service};
use crate::outside::{ask, seen};

const CAT: &[u8] = b"a picture of a cat";
const PUBLIC: &str = "https://bridge.example.org";

fn proxy() -> MediaProxy {
    MediaProxy::new(&Secret::new("a secret of the tests".to_owned()), PUBLIC)
}

#[test]
fn a_picture_of_the_network_is_shown_once_whatever_crashes() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let is_cut_short = Arc::new(AtomicBool::new(true));
        let cut = is_cut_short.clone();
        let plain = Plain::<0>::new(|_| Ok(Receipt::new())).saying(move |remote| {
            let cut = cut.clone();
            async move {
                let ann = "ann".to_owned();
                let upload = Upload::new(CAT, "image/png").named("cat.png");
                let upload = upload.by(&remote.ghost_id(&ann)?);
                let uri = remote.media().upload(upload).await?;
                if cut.load(Ordering::Acquire) {
                    return Ok(());
                }
                let picture = Media::new(MediaKind::Image, &uri, "cat.png");
                let content = Content::media_message(&picture);
                let message = RemoteMessage::new("1", hall(), ann, content);
                remote.message(message).await?;
                Ok(())
            }
            .boxed()
        });
        let scene = Scene::new(&lab, plain).await?;
        assert_eq!(seen(&lab, "PUT upload/").await, 1);
        is_cut_short.store(false, Ordering::Release);
        for _ in 0..2 {
            scene.restart().await?;
            let said = scene.events("m.room.message").await?;
            assert_eq!(said.len(), 1, "{said:?}");
            let (sender, content) = (&said[0].sender, &said[0].content);
            assert_eq!(
                (sender, &content["msgtype"]),
                (&ghost("ann"), &json!("m.image"))
            );
            let uri = MxcUri::parse(content["url"].as_str().expect("a URI"))?;
            assert_eq!(scene.alice.download(&uri).await?.bytes, CAT);
            assert_eq!(seen(&lab, "PUT upload/").await, 1);
        }
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn a_file_reaches_the_network_as_a_link_that_opens() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let plain = Plain::<0>::new(|_| Ok(Receipt::new()));
        let service = service(&plain).media_proxy(proxy());
        let scene = Scene::with(&lab, plain, service).await?;
        let uri = scene.alice.upload("text/plain", "my notes").await?;
        let file = |url: serde_json::Value| {
            let mut content = json!({
                "msgtype": "m.file", "body": "see page 2", "filename": "notes.txt", "info": { "size": 8 },
            });
            for (key, value) in url.as_object().expect("an object") {
                content[key] = value.clone();
            }
            content
        };
        let open = file(json!({ "url": uri }));
        let closed = file(json!({ "file": { "url": uri } }));
        for content in [&open, &closed] {
            scene.alice.send(&scene.room, "m.room.message", content).await?;
        }
        scene.settle().await;
        let sent = scene.plain.sent();
        let words = "message: [file: notes.txt, 8 B] see page 2";
        let link = sent[0].strip_prefix(words).expect("the words first").trim();
        let path = link.strip_prefix(PUBLIC).expect("the public address");
        let page = scene.service.running().call(ask("GET", path)).await;
        assert_eq!((page.status(), &**page.body()), (StatusCode::OK, &b"my notes"[..]));
        let named = page.headers()[http::header::CONTENT_DISPOSITION].to_str()?;
        assert!(named.contains("notes.txt"), "{named}");
        assert_eq!(sent[1], words, "nobody could read what is encrypted");
        let kept = scene.plain.state.lock().sent[0].clone();
        assert_eq!(kept.media().download(&uri).await?.bytes, "my notes");

        // The network has kept all of it, and that keeps nothing of the service.
        let media = kept.media();
        scene.restart().await?;
        for media in [kept.media(), media] {
            let ended = media.download(&uri).await;
            assert!(
                matches!(ended, Err(MediaError::Homeserver(Error::Stopping))),
                "{ended:?}"
            );
        }
        scene.alice.send(&scene.room, "m.room.message", &open).await?;
        scene.settle().await;
        assert_eq!(scene.plain.state.lock().sent.len(), 3);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn without_a_proxy_there_are_words_alone() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = Scene::new(&lab, Plain::<0>::new(|_| Ok(Receipt::new()))).await?;
        let uri = scene.alice.upload("image/png", CAT).await?;
        let content = json!({ "msgtype": "m.image", "body": "cat.png", "url": uri });
        scene
            .alice
            .send(&scene.room, "m.room.message", &content)
            .await?;
        scene.settle().await;
        assert_eq!(scene.plain.sent(), ["message: [image: cat.png]"]);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn ghosts_have_the_faces_that_the_network_shows() {
    let options = LabOptions::default().setting("BRIDGEHEAD_LIMITS_MAX_UPLOAD_BYTES", "100");
    options
        .run(async |lab| -> anyhow::Result<()> {
            let plain = Plain::<0>::new(|_| Ok(Receipt::new()));
            let face = |bytes: &[u8]| Upload::new(bytes.to_vec(), "image/png");
            for (name, bytes) in [("ann", CAT), ("bob", CAT), ("eve", &[7; 101])] {
                let info = UserInfo::named(name).picture(face(bytes));
                plain.state.lock().users.insert(name.to_owned(), info);
            }
            let scene = Scene::new(&lab, plain).await?;
            for name in ["ann", "bob", "eve"] {
                let message = RemoteMessage::new(name, hall(), name.to_owned(), "hello");
                scene.remote().message(message).await?;
            }
            scene.settle().await;
            let avatar = async |name: &str| -> anyhow::Result<Option<MxcUri>> {
                let profile = scene.alice.profile(&ghost(name)).await?;
                let uri = profile.get("avatar_url").and_then(|uri| uri.as_str());
                Ok(uri.map(MxcUri::parse).transpose()?)
            };
            let (ann, bob) = (avatar("ann").await?.expect("one"), avatar("bob").await?);
            assert_eq!(scene.alice.download(&ann).await?.bytes, CAT);
            assert_eq!(bob, Some(ann), "the same picture is there once");
            assert_eq!(
                avatar("eve").await?,
                None,
                "too large, and she is heard all the same"
            );
            assert_eq!(scene.events("m.room.message").await?.len(), 3);
            assert_eq!(seen(&lab, "PUT upload/").await, 1);

            let dog = UserInfo::named("Bob").picture(face(b"a dog"));
            scene
                .remote()
                .profile(&"bob".to_owned(), dog.clone())
                .await?;
            scene.settle().await;
            let bob = avatar("bob").await?.expect("another");
            assert_eq!(scene.alice.download(&bob).await?.bytes, "a dog");
            scene.restart().await?;
            scene.remote().profile(&"bob".to_owned(), dog).await?;
            scene.settle().await;
            assert_eq!(avatar("bob").await?, Some(bob));
            assert_eq!(seen(&lab, "PUT upload/").await, 2);
            Ok(())
        })
        .expect("it goes through");
}
