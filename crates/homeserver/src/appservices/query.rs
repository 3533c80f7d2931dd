//! Lazy provisioning: asking the owning services about a user or alias that nobody knows yet.
//!
//! Application-service API, "Querying". Runs before any unit of work and outside any lock, for the
//! service will call back (create the room, register the user) while the question is open.
//! Concurrent questions about one name share one request; a *no* is remembered briefly.

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc, time::Duration};

use bridgehead_admin_api::EventKind;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use http::{Method, StatusCode};
use lru::LruCache;
use parking_lot::Mutex;
use ruma::{RoomAliasId, UserId};
use tokio::sync::watch;

use super::{
    Appservice,
    wire::{Call, escape},
};
use crate::{app::App, metrics::QueryOutcome};

/// Names whose *no* is remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existence {
    /// It exists, and did before.
    Existed,
    /// A service has just made it.
    Created,
    /// The services say no, or said yes and made nothing.
    No,
    /// No service owns the name.
    Unowned,
    /// No service that could know answered in time.
    Unavailable,
}

/// The questions in flight and the answers remembered.
pub(crate) struct Queries {
    open: Mutex<HashMap<String, watch::Receiver<Option<Existence>>>>,
    refused: Mutex<LruCache<String, i64>>,
}

#[derive(Clone, Copy)]
enum Kind {
    User,
    Alias,
}

impl Queries {
    pub(crate) fn new() -> Self {
        Self {
            open: Mutex::default(),
            refused: Mutex::new(LruCache::new(REMEMBERED)),
        }
    }

    /// Makes sure that a local user exists, asking its services where it does not.
    pub(crate) async fn user(
        &self,
        app: &Arc<App>,
        user_id: &UserId,
    ) -> bridgehead_store::Result<Existence> {
        if app
            .sessions
            .user_state(&app.store, user_id)
            .await?
            .is_some()
        {
            return Ok(Existence::Existed);
        }
        let services = app.registry().services_of_user(user_id.as_str());
        // A service's own user exists with its registration and is never asked about.
        if services.iter().any(|service| service.sender == user_id) {
            return Ok(Existence::Existed);
        }
        Ok(self.ask(app, Kind::User, user_id.as_str(), services).await)
    }

    /// Makes sure that a local alias exists, asking the services where it does not.
    pub(crate) async fn alias(
        &self,
        app: &Arc<App>,
        alias: &RoomAliasId,
    ) -> bridgehead_store::Result<Existence> {
        let name = alias.to_string();
        if app.store.read(move |s| s.alias(&name)).await?.is_some() {
            return Ok(Existence::Existed);
        }
        let services = app.registry().services_of_alias(alias.as_str());
        Ok(self.ask(app, Kind::Alias, alias.as_str(), services).await)
    }

    async fn ask(
        &self,
        app: &Arc<App>,
        kind: Kind,
        name: &str,
        mut services: Vec<Arc<Appservice>>,
    ) -> Existence {
        services.retain(|service| service.answers_questions());
        if services.is_empty() {
            return Existence::Unowned;
        }
        if self
            .refused
            .lock()
            .get(name)
            .is_some_and(|until| *until > app.now_ms())
        {
            return Existence::No;
        }
        let mut answer = self.join_or_start(app, kind, name, services);
        match answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.unwrap_or(Existence::Unavailable),
            Err(_) => Existence::Unavailable,
        }
    }

    /// One request a name: the first asker starts it, the others wait for the same answer. It
    /// runs on its own, so that an asker who gives up takes nothing from the others.
    fn join_or_start(
        &self,
        app: &Arc<App>,
        kind: Kind,
        name: &str,
        services: Vec<Arc<Appservice>>,
    ) -> watch::Receiver<Option<Existence>> {
        let mut open = self.open.lock();
        if let Some(answer) = open.get(name) {
            return answer.clone();
        }
        let (told, answer) = watch::channel(None);
        open.insert(name.to_owned(), answer.clone());
        let (app, name) = (app.clone(), name.to_owned());
        tokio::spawn(async move {
            let question = Question {
                app: &app,
                name: &name,
            };
            let result = ask_all(&app, kind, &name, services).await;
            if result == Existence::No {
                app.queries.refuse(&app, &name);
            }
            drop(question);
            told.send_replace(Some(result));
        });
        answer
    }

    fn refuse(&self, app: &App, name: &str) {
        let remembered = app.config.appservices.negative_cache.as_millis();
        let until = app
            .now_ms()
            .saturating_add(i64::try_from(remembered).unwrap_or(i64::MAX));
        self.refused.lock().put(name.to_owned(), until);
    }

    /// Somebody has just made the name: an earlier *no* is void.
    pub(crate) fn forget_refusal(&self, name: &str) {
        self.refused.lock().pop(name);
    }
}

/// A question in flight. It closes itself, for its askers may all have gone away.
struct Question<'a> {
    app: &'a App,
    name: &'a str,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.app.queries.open.lock().remove(self.name);
    }
}

/// Asks all services at once; the first yes that made something wins.
async fn ask_all(
    app: &Arc<App>,
    kind: Kind,
    name: &str,
    services: Vec<Arc<Appservice>>,
) -> Existence {
    let deadline = match kind {
        Kind::User => app.config.appservices.user_query_timeout,
        Kind::Alias => app.config.appservices.alias_query_timeout,
    };
    let mut answers: FuturesUnordered<_> = services
        .iter()
        .map(|service| async move {
            let answer = ask_one(app, service, kind, name, deadline).await;
            count(app, service, kind, answer);
            (service, answer)
        })
        .collect();
    let mut somebody_answered = false;
    while let Some((service, answer)) = answers.next().await {
        match answer {
            Some(true) if exists(app, kind, name).await => {
                tell_provisioned(app, service, kind, name);
                return Existence::Created;
            }
            Some(true) => {
                somebody_answered = true;
                tracing::warn!(
                    appservice.id = %service.registration.id, name,
                    "the service said that it exists but has not created it"
                );
            }
            Some(false) => somebody_answered = true,
            None => {}
        }
    }
    if somebody_answered {
        Existence::No
    } else {
        Existence::Unavailable
    }
}

/// `None`: the service could not be asked (it is away, or its answer is no answer).
async fn ask_one(
    app: &App,
    service: &Appservice,
    kind: Kind,
    name: &str,
    deadline: Duration,
) -> Option<bool> {
    let what = match kind {
        Kind::User => "users",
        Kind::Alias => "rooms",
    };
    let path = format!("/{what}/{}", escape(name));
    let call = Call {
        method: Method::GET,
        path: &path,
        legacy_path: Some(&path),
        query: &[],
        body: None,
    };
    match service.ask(&call, deadline, app.now_ms()).await? {
        Ok(answer) if answer.status.is_success() => Some(true),
        Ok(answer) if says_no(answer.status) => Some(false),
        Ok(answer) => {
            log_unavailable(service, name, &format!("status {}", answer.status.as_u16()));
            None
        }
        Err(error) => {
            log_unavailable(service, name, &error.to_string());
            None
        }
    }
}

fn count(app: &App, service: &Appservice, kind: Kind, answer: Option<bool>) {
    let kind = match kind {
        Kind::User => "user",
        Kind::Alias => "alias",
    };
    let outcome = match answer {
        Some(true) => QueryOutcome::Yes,
        Some(false) => QueryOutcome::No,
        None => QueryOutcome::Unavailable,
    };
    app.metrics.query(&service.registration.id, kind, outcome);
}

/// A token refused, too many requests and the like say nothing about the name.
fn says_no(status: StatusCode) -> bool {
    status.is_client_error()
        && !matches!(
            status,
            StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_MANY_REQUESTS
        )
}

async fn exists(app: &App, kind: Kind, name: &str) -> bool {
    let id = name.to_owned();
    let found = match kind {
        Kind::User => app.store.read(move |s| Ok(s.user(&id)?.is_some())).await,
        Kind::Alias => app.store.read(move |s| Ok(s.alias(&id)?.is_some())).await,
    };
    found.unwrap_or_else(|error: bridgehead_store::Error| {
        tracing::error!(%error, "looking up a provisioned name failed");
        false
    })
}

fn tell_provisioned(app: &App, service: &Appservice, kind: Kind, name: &str) {
    let service_id = service.registration.id.clone();
    let name = name.to_owned();
    let kind = match kind {
        Kind::User => EventKind::UserProvisioned {
            service_id,
            user_id: name,
        },
        Kind::Alias => EventKind::AliasProvisioned {
            service_id,
            alias: name,
        },
    };
    app.bus.emit(app.now_ms(), kind);
}

fn log_unavailable(service: &Appservice, name: &str, why: &str) {
    tracing::warn!(
        code = "APPSERVICE_SERVICE_UNAVAILABLE", appservice.id = %service.registration.id, name, why,
        "the service could not be asked"
    );
}
