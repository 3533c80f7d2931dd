//! The provisioning API: a bridge steered by programs, such as a page in which people link rooms, instead of by chat.
//!
//! It is served under `/_matrix/provision/v1` (or elsewhere: [`Provisioning::at`]), beside the routes for the homeserver. Who
//! asks is a program with the operator's shared secret, which names a person with `?user_id=`, or a person who has logged in
//! with an OpenID token of their homeserver. Every route but the login is closed to others, the author's own too.
//!
//! | Route | |
//! |---|---|
//! | `POST /openid/login` | the body of the homeserver's `openid/request_token`, as it is; gives `token`, `user_id`, `expires_at_ms` |
//! | `POST /logout` | ends the session |
//! | `GET /whoami` | who asks, of which service, and how the service stands with them |
//! | `GET /logins` | their accounts on the other network: [`Provisioning::logins`] |
//! | `PUT /puppet`, `DELETE /puppet` | `{"access_token": …}`: the service acts for them (see [`puppets`](super::puppets)), or no more |
//! | `GET /links`, `POST /links`, `DELETE /links/{room_id}/{remote_id}` | what is linked to what: [`Provisioning::links`] |
//!
//! People whom the service's [`Permissions`](crate::bridge::Permissions) block are let in nowhere, and it takes
//! [`Level::User`](crate::bridge::Level) to link portals. Logins are counted by the address that they come from; where
//! the service stands behind a reverse proxy, by the last address in its `X-Forwarded-For`.
//!
//! A no is `{"errcode": …, "error": …}`, as in the client-server API.
//!
//! ```no_run
//! # use bridgehead_appservice::{prelude::*, Secret, bridge::provisioning::*};
//! # fn f(secret: Secret) -> Service {
//! let api = Provisioning::new()
//!     .secret(secret)
//!     .openid()
//!     .get("/greeting", |caller: Caller| async move { format!("Hello {}", caller.user_id()) });
//! Service::new("irc").provisioning(api)
//! # }
//! ```

mod builtin;
mod caller;
mod error;
mod links;
mod openid;
mod origin;
mod portals;
mod rate;
mod session;

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request},
    handler::Handler,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, delete, get, post, put},
};
use bridgehead_registration::Secret;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use url::Url;

pub use self::{
    caller::Caller,
    error::ProvisionError,
    links::{LinkAsk, LinkBook, LinkView},
};
use self::{openid::Trust, rate::Rate};
use crate::{bridge::Network, core::Core, run::Handle};

/// Bytes of a request at most.
const MAX_BODY: usize = 256 << 10;

/// Logins that ask a homeserver at the same time.
const LOGINS_AT_ONCE: usize = 16;

/// A homeserver whose people may log in.
#[derive(Clone, Debug)]
struct TrustedServer {
    name: String,
    /// Where it is; `None`: found as other homeservers find it.
    address: Option<Url>,
}

/// Somebody's account on the other network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoginView {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// How it stands, such as `connected`.
    pub state: String,
    /// More about it, in the author's own form.
    pub details: Value,
}

type Logins =
    Arc<dyn Fn(Caller) -> BoxFuture<'static, Result<Vec<LoginView>, ProvisionError>> + Send + Sync>;

/// A provisioning API, as an author declares it; see the [module](self).
#[derive(Clone)]
#[must_use = "nothing is served before `Service::provisioning`"]
pub struct Provisioning {
    mount: String,
    secret: Option<Secret>,
    trust: Trust,
    lifetime: Duration,
    routes: Router,
    logins: Option<Logins>,
    mistakes: Vec<String>,
}

impl Default for Provisioning {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Provisioning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provisioning")
            .field("mount", &self.mount)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

impl Provisioning {
    /// An API that nobody can use yet: say [`secret`](Self::secret), [`openid`](Self::openid), or both.
    pub fn new() -> Self {
        Self {
            mount: "/_matrix/provision/v1".to_owned(),
            secret: None,
            trust: Trust::default(),
            lifetime: Duration::from_secs(24 * 3600),
            routes: Router::new(),
            logins: None,
            mistakes: Vec::new(),
        }
    }

    /// Served under this path instead of `/_matrix/provision/v1`.
    pub fn at(mut self, path: &str) -> Self {
        path.trim_end_matches('/').clone_into(&mut self.mount);
        self
    }

    /// Who shows this secret, of at least 16 random bytes, may act for everybody, whom they name with `?user_id=`: for
    /// programs of the operator.
    pub fn secret(mut self, secret: Secret) -> Self {
        if secret.expose().len() < 16 {
            self.mistakes.push(
                "the secret of `provisioning` is too short: use at least 16 random bytes"
                    .to_owned(),
            );
        }
        self.secret = Some(secret);
        self
    }

    /// People of the service's own homeserver may log in with OpenID tokens. It is asked where the service asks
    /// everything; name another address with [`openid_server`](Self::openid_server) where it has its federation API
    /// elsewhere.
    pub fn openid(mut self) -> Self {
        self.trust.own = true;
        self
    }

    /// People of this homeserver may log in with OpenID tokens. It is asked at this address, such as
    /// `https://matrix.example.org`, which may be a private one; without an address, where it says that it is, which has
    /// to be public.
    pub fn openid_server(mut self, name: &str, address: Option<&str>) -> Self {
        let address = match address.map(Url::parse) {
            Some(Ok(url)) if matches!(url.scheme(), "http" | "https") => Some(url),
            None => None,
            Some(_) => {
                self.mistakes
                    .push(format!("the address of the homeserver `{name}` is none"));
                return self;
            }
        };
        self.trust.servers.push(TrustedServer {
            name: name.to_owned(),
            address,
        });
        self
    }

    /// People of every homeserver may log in with OpenID tokens. Any homeserver that somebody names is asked, at public
    /// addresses alone.
    pub fn openid_of_any_server(mut self) -> Self {
        self.trust.any = true;
        self
    }

    /// How long a session lasts; 24 hours if it is not said.
    pub fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Answers `GET` at this path below the mount. The handler's arguments are [`Caller`], what
    /// [`Service::routes`](crate::Service::routes) takes, and axum's extractors.
    ///
    /// # Panics
    /// When the path has a handler already, or is none.
    pub fn get<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, ()>,
        T: 'static,
    {
        self.route(path, get(handler))
    }

    /// Answers `POST`; see [`get`](Self::get).
    ///
    /// # Panics
    /// As [`get`](Self::get).
    pub fn post<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, ()>,
        T: 'static,
    {
        self.route(path, post(handler))
    }

    /// Answers `PUT`; see [`get`](Self::get).
    ///
    /// # Panics
    /// As [`get`](Self::get).
    pub fn put<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, ()>,
        T: 'static,
    {
        self.route(path, put(handler))
    }

    /// Answers `DELETE`; see [`get`](Self::get).
    ///
    /// # Panics
    /// As [`get`](Self::get).
    pub fn delete<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Handler<T, ()>,
        T: 'static,
    {
        self.route(path, delete(handler))
    }

    fn route(mut self, path: &str, handler: MethodRouter) -> Self {
        self.routes = self.routes.route(path, handler);
        self
    }

    /// Answers `GET /logins`: somebody's accounts on the other network.
    pub fn logins<F, Answering>(mut self, logins: F) -> Self
    where
        F: Fn(Caller) -> Answering + Send + Sync + 'static,
        Answering: Future<Output = Result<Vec<LoginView>, ProvisionError>> + Send + 'static,
    {
        self.logins = Some(Arc::new(move |caller| logins(caller).boxed()));
        self
    }

    /// Answers `GET /links`, `POST /links` and `DELETE /links/…`.
    pub fn links(mut self, book: impl LinkBook) -> Self {
        self.routes = self.routes.merge(links::router(book));
        self
    }

    /// Answers `GET /links`, `POST /links` and `DELETE /links/…` with the portals of a bridge made with the kit.
    pub fn portals<N: Network>(self) -> Self {
        self.links(portals::PortalBook::<N>::new())
    }

    /// What is wrong with it.
    pub(crate) fn check(&self) -> Vec<String> {
        let mut mistakes = self.mistakes.clone();
        if !self.mount.starts_with('/') {
            mistakes.push(format!(
                "`provisioning` cannot be at `{}`: write a path such as `/provision`",
                self.mount
            ));
        }
        let nobody = self.secret.is_none()
            && !self.trust.own
            && !self.trust.any
            && self.trust.servers.is_empty();
        if nobody {
            mistakes.push(
                "nobody can use `provisioning`: say `.secret(…)`, `.openid()`, or both".to_owned(),
            );
        }
        mistakes
    }

    /// The routes of a running service.
    pub(crate) fn router(self, core: &Arc<Core>) -> Router {
        let api = Arc::new(Api {
            core: core.clone(),
            secret: self.secret,
            trust: self.trust,
            lifetime: self.lifetime,
            logins: self.logins,
            logging_in: Semaphore::new(LOGINS_AT_ONCE),
            address_rate: Rate::new(10, Duration::from_secs(3)),
            login_rate: Rate::new(200, Duration::from_millis(50)),
            server_rate: Rate::new(50, Duration::from_millis(500)),
        });
        let authors = self
            .routes
            .fallback(unknown)
            .method_not_allowed_fallback(wrong_method);
        let closed = builtin::router(api.clone())
            .method_not_allowed_fallback(wrong_method)
            .fallback_service(authors)
            .layer(middleware::from_fn_with_state(api.clone(), caller::check));
        let open = Router::new()
            .route("/openid/login", post(session::log_in))
            .with_state(api);
        let all = open
            .merge(closed)
            .layer(Extension(Handle::new(core)))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(middleware::from_fn(cross_origin));
        Router::new().nest(&self.mount, all)
    }
}

/// What the routes share.
struct Api {
    core: Arc<Core>,
    secret: Option<Secret>,
    trust: Trust,
    lifetime: Duration,
    logins: Option<Logins>,
    logging_in: Semaphore,
    /// Of logins from one address: nobody uses up what is there for all.
    address_rate: Rate,
    /// Of all logins together.
    login_rate: Rate,
    /// Of logins by way of one homeserver.
    server_rate: Rate,
}

async fn unknown() -> ProvisionError {
    ProvisionError::new(
        StatusCode::NOT_FOUND,
        "M_UNRECOGNIZED",
        "there is nothing here",
    )
}

async fn wrong_method() -> ProvisionError {
    let message = "this can be asked, but not with this method";
    ProvisionError::new(StatusCode::METHOD_NOT_ALLOWED, "M_UNRECOGNIZED", message)
}

/// Pages of every origin may ask: the token is in a header, which no page sends that has not got it.
async fn cross_origin(request: Request, next: Next) -> Response {
    let is_preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    let fixed = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, POST, PUT, DELETE, OPTIONS",
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type",
        ),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
