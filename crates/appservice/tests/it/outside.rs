//! What stands around a service in a test: other hosts than the homeserver, and a service in a lab that can reach them.

use std::sync::Arc;

use anyhow::Context as _;
use bridgehead_appservice::{
    Database, Running, Secret, Service, Setup,
    registration::parse,
    surroundings::{Transport, TransportError},
};
use bridgehead_testkit::lab::{Lab, LabUser, Mounted, MountedService, registration_for};
use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Request, Response, StatusCode};
use parking_lot::Mutex;

type Answers = dyn Fn(&Request<Bytes>) -> Response<Bytes> + Send + Sync;

/// Answers for all hosts there are, and writes down what it was asked.
pub(crate) struct Web {
    answers: Box<Answers>,
    asked: Mutex<Vec<Request<Bytes>>>,
}

impl Web {
    pub(crate) fn new(
        answers: impl Fn(&Request<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            answers: Box::new(answers),
            asked: Mutex::default(),
        })
    }

    /// What was asked, as `METHOD address`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock();
        let line = |request: &Request<Bytes>| format!("{} {}", request.method(), request.uri());
        asked.iter().map(line).collect()
    }

    /// The bodies of what was asked, read as JSON.
    pub(crate) fn bodies(&self) -> Vec<serde_json::Value> {
        let asked = self.asked.lock();
        let body = |request: &Request<Bytes>| serde_json::from_slice(request.body());
        asked
            .iter()
            .map(|request| body(request).unwrap_or_default())
            .collect()
    }

    /// Whether any request showed a token.
    pub(crate) fn was_shown_a_token(&self) -> bool {
        let asked = self.asked.lock();
        let mut asked = asked.iter();
        asked.any(|request| request.headers().contains_key(http::header::AUTHORIZATION))
    }
}

impl Transport for Web {
    fn call(
        &self,
        request: Request<Bytes>,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, TransportError>> {
        let answer = (self.answers)(&request);
        self.asked.lock().push(request);
        let fits = answer.body().len() <= max_bytes;
        async move {
            fits.then_some(answer)
                .ok_or(TransportError::TooLarge(max_bytes))
        }
        .boxed()
    }
}

/// A response with this status and JSON.
pub(crate) fn json(status: u16, body: &serde_json::Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

struct Reached(Arc<Running>);

impl MountedService for Reached {
    fn call(&self, request: Request<Bytes>) -> BoxFuture<'_, Response<Bytes>> {
        self.0.call(request).boxed()
    }

    fn is_settled(&self) -> bool {
        self.0.is_settled()
    }
}

/// A service in a lab that has this web around it. It keeps nothing beyond its life.
pub(crate) async fn mount_with_web(
    lab: &Lab,
    service: Service,
    web: Arc<Web>,
) -> anyhow::Result<(Mounted, Arc<Running>)> {
    let (place, mut setup) = place(lab, &service).await?;
    setup.surroundings.web = Some(web);
    let running = Arc::new(service.start(setup).await?);
    place.serve(Arc::new(Reached(running.clone()))).await?;
    Ok((place, running))
}

/// A place for a service in a lab, and the setup of its next life, with its database in memory.
pub(crate) async fn place(lab: &Lab, service: &Service) -> anyhow::Result<(Mounted, Setup)> {
    let text = registration_for(service, "http://service.lab", lab.server_name(), lab.seed())?;
    let (registration, _) = parse(std::path::Path::new("registration"), text.as_bytes())
        .map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let place = lab.place(&text).await?;
    let setup = Setup {
        registration,
        server_name: lab.server_name().to_owned(),
        homeserver: "http://homeserver.lab".to_owned(),
        database: Database::Memory,
        surroundings: place.surroundings(),
    };
    Ok((place, setup))
}

/// A request to one of the service's own routes.
pub(crate) fn ask(method: &str, uri: &str) -> Request<Bytes> {
    let request = Request::builder().method(method).uri(uri);
    request.body(Bytes::new()).expect("a request")
}

/// How often something stands in a lab's transcript.
pub(crate) async fn seen(lab: &Lab, what: &str) -> usize {
    lab.transcript()
        .await
        .lines()
        .filter(|line| line.contains(what))
        .count()
}

/// Another session of a lab's user, by its password.
pub(crate) async fn log_in(place: &Mounted, user: &LabUser) -> anyhow::Result<Secret> {
    let body = serde_json::json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": user.id().as_str() },
        "password": "a password of the lab's",
    });
    let answer = call(place, "POST", "/_matrix/client/v3/login", None, &body).await?;
    let token = answer["access_token"].as_str();
    Ok(Secret::new(token.context("a token")?.to_owned()))
}

/// A JSON request to the homeserver with this token; its answer must be a success.
pub(crate) async fn call(
    place: &Mounted,
    method: &str,
    path: &str,
    token: Option<&Secret>,
    body: &serde_json::Value,
) -> anyhow::Result<serde_json::Value> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {}", token.expose()));
    }
    let request = request.body(Bytes::from(body.to_string()))?;
    let answer = place.host().call(request, 1 << 20).await?;
    let status = answer.status();
    anyhow::ensure!(status.is_success(), "{status}: {:?}", answer.body());
    Ok(serde_json::from_slice(answer.body())?)
}
