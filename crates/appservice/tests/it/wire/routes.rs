//! An author's routes beside those of the homeserver.

use axum::{Router, routing::get};
use bridgehead_appservice::{
    Database, Running, Service, Setup, bridge::provisioning::Provisioning,
    surroundings::Surroundings,
};
use bridgehead_registration::Secret;
use http::Request;

use crate::{harness::generate, rig::FakeHost};

async fn start(service: Service) -> anyhow::Result<(Running, String)> {
    let generated = generate(&service, Some("http://127.0.0.1:1"))?;
    let token = generated.registration.hs_token.expose().to_owned();
    let setup = Setup {
        registration: generated.registration,
        server_name: "localhost".to_owned(),
        homeserver: "http://127.0.0.1:1".to_owned(),
        database: Database::Memory,
        surroundings: Surroundings {
            transport: Some(FakeHost::friendly()),
            inline_store: true,
            ..Surroundings::default()
        },
    };
    Ok((service.start(setup).await?, token))
}

async fn ask(running: &Running, path: &str, token: &str) -> anyhow::Result<(u16, String)> {
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    let response = running.call(request.body(bytes::Bytes::new())?).await;
    let body = String::from_utf8_lossy(response.body()).into_owned();
    Ok((response.status().as_u16(), body))
}

#[tokio::test(start_paused = true)]
async fn an_authors_routes_take_nothing_from_the_homeserver() -> anyhow::Result<()> {
    let routes = Router::new()
        .route("/users/{x}", get(async || "the author's"))
        .route("/page", get(async || "the author's"))
        .fallback(async || (http::StatusCode::IM_A_TEAPOT, "the author's fallback"));
    let service = Service::new("test").routes(routes);
    let (running, token) = start(service).await?;
    let (status, body) = ask(&running, "/users/@nobody:localhost", &token).await?;
    assert!(
        status == 404 && body.contains("M_NOT_FOUND"),
        "{status} {body}"
    );
    let (status, body) = ask(&running, "/page", "").await?;
    assert_eq!((status, &*body), (200, "the author's"));
    let (status, body) = ask(&running, "/nowhere", "").await?;
    assert_eq!((status, &*body), (418, "the author's fallback"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_nobody_knows_is_said_in_matrix_words() -> anyhow::Result<()> {
    let routes = Router::new().route("/bare", get(async || http::StatusCode::NOT_FOUND));
    let (running, token) = start(Service::new("test").routes(routes)).await?;
    for path in ["/nowhere", "/_matrix/app/v1/nowhere"] {
        let (status, body) = ask(&running, path, &token).await?;
        assert!(
            status == 404 && body.contains("M_UNRECOGNIZED"),
            "{path}: {body}"
        );
    }
    assert_eq!(ask(&running, "/bare", "").await?, (404, String::new()));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_provisioning_route_of_the_kits_own_name_is_no_end_of_the_service() -> anyhow::Result<()>
{
    let api = Provisioning::new()
        .secret(Secret::new("0123456789abcdef0123456789abcdef".to_owned()))
        .get("/whoami", async || "the author's");
    let (running, _) = start(Service::new("test").provisioning(api)).await?;
    let (status, _) = ask(&running, "/nowhere", "").await?;
    assert_eq!(status, 404);
    Ok(())
}
