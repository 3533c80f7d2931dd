//! `GET …/thirdparty/…`: what the service knows of the other network (specification, *Application Service API*,
//! *Third-party networks*), also below `/_matrix/app/unstable` as in the protocol's first years.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    routing::get,
};
use serde_json::{Value, json};

use super::{
    answer::{Refusal, segment},
    query::call,
};
use crate::{
    core::Core,
    handler::{
        AnyHandler, Input, ProtocolInfo, RemoteAsk, RemoteLocation, RemoteUser, ThirdParty,
        ask_of_alias, ask_of_user,
    },
    id::{RoomAlias, UserId},
};

/// Results of one look-up at most; more are of use to nobody.
const MAX_FOUND: usize = 1000;

type Segment = Result<Path<String>, PathRejection>;

pub(super) fn routes() -> Router<Arc<Core>> {
    Router::new()
        .route("/thirdparty/protocol/{protocol}", get(protocol))
        .route("/thirdparty/user/{protocol}", get(users))
        .route("/thirdparty/location/{protocol}", get(locations))
        .route("/thirdparty/user", get(of_user))
        .route("/thirdparty/location", get(of_alias))
}

async fn protocol(
    State(core): State<Arc<Core>>,
    name: Segment,
) -> Result<Json<ProtocolInfo>, Refusal> {
    let (_, network) = network(&core, name)?;
    Ok(Json(network.info()))
}

async fn users(
    State(core): State<Arc<Core>>,
    name: Segment,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Refusal> {
    let (name, network) = network(&core, name)?;
    let input = remote_ask(&name, query);
    let found = ask(&core, &network.users, &input).await?;
    answer(found.into_iter().map(|user| user_json(&name, user)))
}

async fn locations(
    State(core): State<Arc<Core>>,
    name: Segment,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Refusal> {
    let (name, network) = network(&core, name)?;
    let input = remote_ask(&name, query);
    let found = ask(&core, &network.locations, &input).await?;
    answer(
        found
            .into_iter()
            .map(|location| location_json(&name, location)),
    )
}

async fn of_user(
    State(core): State<Arc<Core>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Refusal> {
    let user_id = required(query, "userid")?;
    let user_id = UserId::parse(&user_id).map_err(|error| Refusal::not_found(error.to_string()))?;
    let fields = core.namespaces.user_fields(&user_id).unwrap_or_default();
    let input = ask_of_user(user_id, fields);
    let mut all = Vec::new();
    for (name, network) in &core.third_party {
        let found = ask(&core, &network.of_users, &input).await?;
        all.extend(found.into_iter().map(|user| user_json(name, user)));
    }
    answer(all.into_iter())
}

async fn of_alias(
    State(core): State<Arc<Core>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Refusal> {
    let alias = required(query, "alias")?;
    let alias = RoomAlias::parse(&alias).map_err(|error| Refusal::not_found(error.to_string()))?;
    let fields = core.namespaces.alias_fields(&alias).unwrap_or_default();
    let input = ask_of_alias(alias, fields);
    let mut all = Vec::new();
    for (name, network) in &core.third_party {
        let found = ask(&core, &network.of_aliases, &input).await?;
        all.extend(
            found
                .into_iter()
                .map(|location| location_json(name, location)),
        );
    }
    answer(all.into_iter())
}

fn network(core: &Core, name: Segment) -> Result<(Arc<str>, &ThirdParty), Refusal> {
    let name = segment(name)?;
    let known = core.third_party.get_key_value(name.as_str());
    known
        .map(|(name, network)| (name.clone(), network))
        .ok_or_else(|| Refusal::not_found("this service does not speak that protocol"))
}

/// A query's pairs, without the token that homeservers of the first years put there.
fn pairs(query: Option<String>) -> BTreeMap<String, String> {
    let query = query.unwrap_or_default();
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs
        .filter(|(name, _)| name != "access_token")
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

fn required(query: Option<String>, name: &str) -> Result<String, Refusal> {
    pairs(query).remove(name).ok_or_else(|| {
        Refusal::new(
            axum::http::StatusCode::BAD_REQUEST,
            "M_MISSING_PARAM",
            format!("the query has no `{name}`"),
        )
    })
}

fn remote_ask(name: &Arc<str>, query: Option<String>) -> Input {
    Input::Remote(RemoteAsk {
        protocol: name.clone(),
        fields: Arc::new(pairs(query)),
    })
}

async fn ask<T: Send + 'static>(
    core: &Arc<Core>,
    handlers: &[AnyHandler<Vec<T>>],
    input: &Input,
) -> Result<Vec<T>, Refusal> {
    let mut found = Vec::new();
    for handler in handlers {
        found.extend(
            call(core, handler, input, |_| true)
                .await?
                .into_iter()
                .flatten(),
        );
    }
    Ok(found)
}

fn user_json(protocol: &str, user: RemoteUser) -> Value {
    json!({ "userid": user.user_id, "protocol": protocol, "fields": user.fields })
}

fn location_json(protocol: &str, location: RemoteLocation) -> Value {
    json!({ "alias": location.alias, "protocol": protocol, "fields": location.fields })
}

fn answer(found: impl Iterator<Item = Value>) -> Result<Json<Value>, Refusal> {
    let found: Vec<Value> = found.take(MAX_FOUND).collect();
    if found.is_empty() {
        return Err(Refusal::not_found("nothing was found"));
    }
    Ok(Json(Value::Array(found)))
}
