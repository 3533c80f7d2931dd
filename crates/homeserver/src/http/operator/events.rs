//! `GET events`: what happens, as it happens, as server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use bridgehead_admin_api::{ApiErrorBody, OperatorEvent};
use futures_util::{Stream, stream};
use http::HeaderName;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{
    OwnedSemaphorePermit,
    broadcast::{self, error::RecvError},
    watch,
};
use utoipa::IntoParams;

use super::auth::OperatorRequester;
use crate::{
    app::App,
    http::{
        error::{ApiError, ApiResult},
        extract::QueryParams,
    },
    operators::{Access, Credential},
};

/// A comment is sent after so much silence, so that proxies and clients see a living stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often a stream looks whether its session has expired.
const RECHECK: Duration = Duration::from_secs(60);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Only what concerns this service.
    service_id: Option<String>,
}

/// What happens, as it happens.
///
/// Server-sent events: `event:` is the event's name, `data:` the JSON, `id:` grows. What was
/// before the stream began is not told. A reader that is too slow is told with an event `lagged`
/// how many events (of all services) it has missed: `{"missed": 12}`. The stream ends when the
/// server ends, or the operator's access.
#[utoipa::path(
    get, path = "/events", tag = "events", params(Query),
    responses(
        (status = 200, body = OperatorEvent, content_type = "text/event-stream"),
        (status = 401, body = ApiErrorBody),
        (status = 429, body = ApiErrorBody, description = "Too many streams are open."),
    ),
)]
pub(super) async fn stream(
    requester: OperatorRequester,
    State(app): State<Arc<App>>,
    QueryParams(query): QueryParams<Query>,
) -> ApiResult<Response> {
    let place = app
        .operators
        .streams
        .clone()
        .try_acquire_owned()
        .map_err(|_| ApiError::limit_exceeded(5_000))?;
    let listener = Listener {
        events: app.bus.subscribe(),
        access: app.operators.watch_access(),
        credential: requester.credential,
        service_id: query.service_id,
        last_id: 0,
        app,
        _place: place,
    };
    let headers = [(HeaderName::from_static("x-accel-buffering"), "no")];
    let events = Sse::new(told(listener)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok((headers, events).into_response())
}

fn told(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok(event), listener))
    })
}

/// One open stream.
struct Listener {
    app: Arc<App>,
    events: broadcast::Receiver<OperatorEvent>,
    access: watch::Receiver<Access>,
    credential: Credential,
    service_id: Option<String>,
    last_id: i64,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                // First, so that a busy stream ends as promptly as a silent one.
                biased;
                changed = self.access.changed() => {
                    changed.ok()?;
                    self.check().await?;
                }
                () = tokio::time::sleep(RECHECK) => self.check().await?,
                event = self.events.recv() => match event {
                    Ok(event) => if let Some(event) = self.event(&event) {
                        return Some(event);
                    },
                    Err(RecvError::Lagged(missed)) => {
                        let data = json!({ "missed": missed }).to_string();
                        return Some(Event::default().event("lagged").data(data));
                    }
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    /// `None` when the server ends, or the operator's access. A store that cannot be read says
    /// nothing about it.
    async fn check(&self) -> Option<()> {
        if self.access.borrow().closed {
            return None;
        }
        match self.credential.operator(&self.app).await {
            Ok(operator) => operator.map(drop),
            Err(_) => Some(()),
        }
    }

    fn event(&mut self, event: &OperatorEvent) -> Option<Event> {
        let service_id = event.kind.service_id();
        if self
            .service_id
            .as_deref()
            .is_some_and(|id| id != service_id)
        {
            return None;
        }
        // Of the time, so that it grows from stream to stream too.
        self.last_id = (self.last_id + 1).max(event.at_ms.saturating_mul(1_000));
        Event::default()
            .event(event.kind.name())
            .id(self.last_id.to_string())
            .json_data(event)
            .ok()
    }
}
