//! Portals of the village over the provisioning API.

use bridgehead_appservice::{
    Running, Secret,
    bridge::{Level, Permissions, provisioning::Provisioning},
};
use bridgehead_testkit::lab::Lab;
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use super::{Stage, bridge, gate::Gate, service, village::Village};
use crate::provisioning::session;

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

/// The same as a person with a session.
async fn ask_as(
    running: &Running,
    (method, path): (&str, &str),
    token: &str,
    body: &Value,
) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("/_matrix/provision/v1{path}"))
        .header("authorization", format!("Bearer {token}"))
        .body(Bytes::from(body.to_string()))
        .expect("a request");
    let answer = running.call(request).await;
    let body = serde_json::from_slice(answer.body()).unwrap_or_default();
    (answer.status().as_u16(), body)
}

#[test]
fn who_is_blocked_is_let_in_nowhere_and_links_are_no_secret_only_to_members() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let village = Village::new(&["square", "well"]);
        let api = Provisioning::new()
            .secret(Secret::new(SECRET.to_owned()))
            .openid()
            .portals::<Gate>();
        let permissions = Permissions::new()
            .allow("@root:localhost", Level::Admin)
            .allow("@eve:localhost", Level::Blocked)
            .allow("@rita:localhost", Level::Relay);
        let service = service(bridge(&village))
            .permissions(permissions)
            .provisioning(api);
        let stage = Stage::with(&lab, &village, service).await;
        let running = stage.service.running();
        let (eve, rita, root) = (
            lab.user("eve").await?,
            lab.user("rita").await?,
            lab.user("root").await?,
        );
        assert!(session(&running, &eve).await.is_err(), "no session");
        for what in [("GET", "/whoami"), ("GET", "/links")] {
            let refused = ask(&running, what, "@eve:localhost", &Value::Null).await;
            assert_eq!(refused.0, 403, "not for the operator's program either");
        }
        // She has all the power in her room, and may only be heard on the network.
        let hers = rita.create_room("rita's").await?;
        rita.invite(&hers, &super::bot()).await?;
        running.bot().join(&hers).await?;
        let link = json!({ "room_id": hers, "remote_id": "well" });
        let token = session(&running, &rita).await?;
        let refused = ask_as(&running, ("POST", "/links"), &token, &link).await;
        assert_eq!(refused.0, 403, "{}", refused.1);
        assert!(stage.portal("well").await.is_none());

        let room = stage.enter("square").await;
        let path = format!("/links?room_id={}", room.as_str().replace('!', "%21"));
        let seen = async |token: &str, path: &str| {
            let (_, listed) = ask_as(&running, ("GET", path), token, &Value::Null).await;
            listed["links"].as_array().map(Vec::len)
        };
        assert_eq!(seen(&token, &path).await, Some(0), "she is not in it");
        let alice = session(&running, &stage.alice).await?;
        assert_eq!(seen(&alice, &path).await, Some(1));
        assert_eq!(seen(&alice, "/links").await, Some(0), "not of her making");
        rita.join(&room).await?;
        stage.settle().await;
        assert_eq!(seen(&token, &path).await, Some(1));
        let root = session(&running, &root).await?;
        assert_eq!(
            (seen(&root, &path).await, seen(&root, "/links").await),
            (Some(1), Some(1))
        );
        Ok(())
    })
    .expect("it goes through");
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
