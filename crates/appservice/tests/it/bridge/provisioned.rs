//! Portals of the village over the provisioning API.

use bridgehead_appservice::{Running, Secret, bridge::provisioning::Provisioning};
use bridgehead_testkit::lab::Lab;
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use super::{Stage, bridge, gate::Gate, service, village::Village};

const SECRET: &str = "a secret of the operator's";

async fn ask(running: &Running, what: (&str, &str), user: &str, body: &Value) -> (u16, Value) {
    let (method, path) = what;
    let mark = if path.contains('?') { '&' } else { '?' };
    let request = Request::builder()
        .method(method)
        .uri(format!("/_matrix/provision/v1{path}{mark}user_id={user}"))
        .header("authorization", format!("Bearer {SECRET}"))
        .body(Bytes::from(body.to_string()))
        .expect("a request");
    let answer = running.call(request).await;
    let body = serde_json::from_slice(answer.body()).unwrap_or_default();
    (answer.status().as_u16(), body)
}

#[test]
fn portals_are_linked_listed_and_taken_apart() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let village = Village::new(&["square", "well"]);
        let api = Provisioning::new()
            .secret(Secret::new(SECRET.to_owned()))
            .portals::<Gate>();
        let service = service(bridge(&village)).provisioning(api);
        let stage = Stage::with(&lab, &village, service).await;
        let running = stage.service.running();
        let room = stage.alice.create_room("our place").await?;
        running.bot().join(&room).await?;
        let alice = "@alice:localhost";
        let link = |remote: &str| json!({ "room_id": room, "remote_id": remote });
        let (status, made) = ask(&running, ("POST", "/links"), alice, &link("well")).await;
        assert_eq!(
            (status, &made["remote_id"], &made["state"]),
            (200, &json!("well"), &json!("linked"))
        );
        let again = ask(&running, ("POST", "/links"), alice, &link("well")).await;
        assert_eq!((again.0, &again.1), (200, &made), "asked again");
        stage.village.say("well", "bob", "fresh water");
        stage.settle().await;
        assert_eq!(
            stage.said(&room).await.last().map(String::as_str),
            Some("_village_bob: fresh water")
        );

        for (user, remote, status) in [
            (alice, "square", 409),
            ("@eve:localhost", "square", 403),
            (alice, "a/b", 400),
        ] {
            assert_eq!(
                ask(&running, ("POST", "/links"), user, &link(remote))
                    .await
                    .0,
                status,
                "{remote}"
            );
        }
        let other = stage.alice.create_room("another place").await?;
        running.bot().join(&other).await?;
        let nowhere = json!({ "room_id": other, "remote_id": "nowhere" });
        assert_eq!(
            ask(&running, ("POST", "/links"), alice, &nowhere).await.0,
            404
        );
        let theirs = json!({ "room_id": other, "remote_id": "anna and bob" });
        assert_eq!(
            ask(&running, ("POST", "/links"), alice, &theirs).await.0,
            403,
            "a talk of two"
        );
        assert!(stage.portal("anna and bob").await.is_none());
        let taken = json!({ "room_id": other, "remote_id": "well" });
        assert_eq!(
            ask(&running, ("POST", "/links"), alice, &taken).await.0,
            409
        );
        let (_, listed) = ask(&running, ("GET", "/links"), alice, &Value::Null).await;
        assert_eq!(listed["links"].as_array().map(Vec::len), Some(1));
        let path = format!(
            "/links/{}/well",
            room.as_str().replace('!', "%21").replace(':', "%3A")
        );
        assert_eq!(
            ask(&running, ("DELETE", &path), "@eve:localhost", &Value::Null)
                .await
                .0,
            403
        );
        assert_eq!(
            ask(&running, ("DELETE", &path), alice, &Value::Null)
                .await
                .0,
            200
        );
        stage.settle().await;
        assert!(stage.portal("well").await.is_none());
        Ok(())
    })
    .expect("it goes through");
}
