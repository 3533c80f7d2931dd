//! Who calls the operator API: a token in the header, or a browser's session in a cookie.
//!
//! An endpoint that takes an [`OperatorRequester`] is open to readers for `GET` and to those who
//! may act for everything else. A request that a cookie vouches for must also show the session's
//! `X-CSRF-Token`, unless it only reads.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use bridgehead_admin_api::Role;
use http::{HeaderMap, Method, header, request::Parts};

use crate::{
    app::App,
    http::error::ApiError,
    operators::{Credential, Operator, csrf_token},
    secret::Secret,
};

/// The session's cookie.
pub(super) const COOKIE: &str = "bridgehead_session";
/// Where pages show that they are ours.
const CSRF_HEADER: &str = "x-csrf-token";

/// An operator who may do what the request asks.
pub(crate) struct OperatorRequester {
    /// Who.
    pub(crate) operator: Operator,
    /// What they showed.
    pub(crate) credential: Credential,
    /// To be shown with each change; a request with a token needs none.
    pub(crate) csrf_token: Option<Secret>,
}

/// An operator of any role, where a method other than `GET` changes nothing that is not theirs.
pub(crate) struct AnyOperator(pub(crate) OperatorRequester);

impl FromRequestParts<Arc<App>> for OperatorRequester {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let requester = authenticate(parts, app).await?;
        if requester.operator.role < Role::Act && !only_reads(&parts.method) {
            return Err(ApiError::forbidden(format!(
                "The operator `{}` has the role read; this needs the role act",
                requester.operator.name
            )));
        }
        Ok(requester)
    }
}

impl FromRequestParts<Arc<App>> for AnyOperator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        authenticate(parts, app).await.map(Self)
    }
}

async fn authenticate(parts: &Parts, app: &Arc<App>) -> Result<OperatorRequester, ApiError> {
    // The header wins: a script is not to depend on a cookie that comes along.
    let (credential, session) = match (bearer(&parts.headers)?, cookie(&parts.headers)) {
        (Some(token), _) => (Credential::token(token.expose()), None),
        (None, Some(id)) => (Credential::session(&id), Some(id)),
        (None, None) => {
            return Err(ApiError::missing_token(
                "The operator API needs an operator's token: Authorization: Bearer <token>",
            ));
        }
    };
    let operator = credential.operator(app).await?.ok_or_else(|| {
        ApiError::unknown_token(match credential {
            Credential::Token(_) => "This is no operator's token",
            Credential::Session(_) => "The session has ended; log in again",
        })
    })?;
    let csrf_token = session.as_ref().map(csrf_token);
    if let Some(expected) = &csrf_token
        && !only_reads(&parts.method)
    {
        check_csrf(&parts.headers, expected)?;
    }
    Ok(OperatorRequester {
        operator,
        credential,
        csrf_token,
    })
}

fn only_reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn check_csrf(headers: &HeaderMap, expected: &Secret) -> Result<(), ApiError> {
    let shown = headers.get(CSRF_HEADER).and_then(|v| v.to_str().ok());
    if shown.is_some_and(|shown| expected.matches(shown)) {
        Ok(())
    } else {
        Err(ApiError::forbidden(
            "A change in a browser's session needs the session's X-CSRF-Token",
        ))
    }
}

/// The token; never from the query, which ends in logs.
fn bearer(headers: &HeaderMap) -> Result<Option<Secret>, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| Some(Secret::new(token.trim().to_owned())))
        .ok_or_else(|| {
            ApiError::missing_token("The header is to read: Authorization: Bearer <token>")
        })
}

/// The session's id.
fn cookie(headers: &HeaderMap) -> Option<Secret> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, id)| Secret::new(id.to_owned()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
        headers
    }

    #[test]
    fn the_token_is_a_bearers() {
        let token = |value| super::bearer(&headers("authorization", value));
        assert_eq!(token("bearer  abc ").unwrap().unwrap().expose(), "abc");
        for wrong in ["abc", "Basic abc", ""] {
            token(wrong).unwrap_err();
        }
        assert!(super::bearer(&HeaderMap::new()).unwrap().is_none());
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let id = |value| super::cookie(&headers("cookie", value)).map(|id| id.expose().to_owned());
        assert_eq!(id("a=b; bridgehead_session=x=; c"), Some("x=".to_owned()));
        assert_eq!(id("xbridgehead_session=1; bridgehead_session2=2"), None);
    }
}
