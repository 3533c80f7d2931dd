//! The homeserver's token: from the header, or from the query as in the protocol's first years.

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bridgehead_registration::Secret;
use std::sync::Arc;

use super::answer::Refusal;
use crate::{core::Core, metrics::catalogue::TRANSACTIONS};

/// What the homeserver has to show.
#[derive(Clone)]
pub(crate) struct HomeserverToken(pub(crate) Arc<Secret>);

/// Lets nobody pass without the token; the body is not touched before.
pub(super) async fn check(
    State((token, core)): State<(HomeserverToken, Arc<Core>)>,
    request: Request,
    next: Next,
) -> Response {
    let refused = may_pass(&token, &request).err();
    let Some(refusal) = refused else {
        core.way_back.reached();
        return next.run(request).await;
    };
    let brings = request.uri().path().contains("/transactions/");
    core.way_back.refused(brings);
    if brings {
        core.metrics.count(&TRANSACTIONS, &["refused"], 1);
    }
    refusal.into_response()
}

fn may_pass(token: &HomeserverToken, request: &Request) -> Result<(), Refusal> {
    let Some(shown) = shown(request) else {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "M_MISSING_TOKEN",
            "the registration's hs_token is missing: it belongs in the header Authorization",
        ));
    };
    if !token.0.matches(&shown) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "M_FORBIDDEN",
            "this is not the hs_token of the registration that this service runs with",
        ));
    }
    Ok(())
}

fn shown(request: &Request) -> Option<String> {
    let header = request.headers().get(header::AUTHORIZATION);
    if let Some(header) = header {
        let text = header.to_str().ok()?;
        let (scheme, token) = text.split_once(' ')?;
        return scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned());
    }
    let query = request.uri().query()?.as_bytes();
    let mut pairs = url::form_urlencoded::parse(query);
    pairs
        .find(|(key, _)| key == "access_token")
        .map(|(_, token)| token.into_owned())
}
