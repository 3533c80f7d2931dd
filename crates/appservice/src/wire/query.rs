//! `GET …/users/{userId}` and `GET …/rooms/{roomAlias}`: does this exist? A handler's yes makes it.

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::answer::{Refusal, segment};
use crate::{
    Error, HandlerError,
    core::Core,
    handler::{AliasAsk, AnyHandler, Context, Delivery, Input, Scope, UserAsk},
    id::{RoomAlias, UserId},
    store::Tx,
};

pub(super) async fn alias(
    State(core): State<Arc<Core>>,
    alias: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refusal> {
    let no = || Refusal::not_found("this service has no such room");
    let alias = RoomAlias::parse(&segment(alias)?)
        .map_err(|error| Refusal::not_found(error.to_string()))?;
    let fields = core.namespaces.alias_fields(&alias).ok_or_else(no)?;
    let ask = AliasAsk {
        alias: alias.clone(),
        fields: Arc::new(fields),
    };
    let handlers = core.handlers.alias.clone();
    let plan = answer(&core, &handlers, Input::Alias(ask))
        .await?
        .ok_or_else(no)?;
    if plan.is_made {
        return Ok(Json(json!({})));
    }
    let made = core.create_room(plan.alias(alias.localpart())).await;
    match made {
        Ok(room_id) => {
            tracing::info!(%alias, %room_id, "a room was made because somebody asked for it");
            Ok(Json(json!({})))
        }
        // Somebody else was faster: it is there.
        Err(error) if error.errcode() == Some("M_ROOM_IN_USE") => Ok(Json(json!({}))),
        Err(error) => Err(failed(&error)),
    }
}

pub(super) async fn user(
    State(core): State<Arc<Core>>,
    user_id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refusal> {
    let no = || Refusal::not_found("this service has no such user");
    let user_id =
        UserId::parse(&segment(user_id)?).map_err(|error| Refusal::not_found(error.to_string()))?;
    if user_id == core.bot {
        core.ensure_registered(&user_id)
            .await
            .map_err(|error| failed(&error))?;
        return Ok(Json(json!({})));
    }
    let fields = core.namespaces.user_fields(&user_id).ok_or_else(no)?;
    let ask = UserAsk {
        user_id: user_id.clone(),
        fields: Arc::new(fields),
    };
    let handlers = core.handlers.user.clone();
    let plan = answer(&core, &handlers, Input::User(ask))
        .await?
        .ok_or_else(no)?;
    core.make_ghost(&user_id, &plan)
        .await
        .map_err(|error| failed(&error))?;
    Ok(Json(json!({})))
}

/// The first handler's answer that is a yes.
async fn answer<T: Send + 'static>(
    core: &Arc<Core>,
    handlers: &[AnyHandler<Option<T>>],
    input: Input,
) -> Result<Option<T>, Refusal> {
    for handler in handlers {
        let plan = call(core, handler, &input, Option::is_some)
            .await?
            .flatten();
        if plan.is_some() {
            return Ok(plan);
        }
    }
    Ok(None)
}

/// Calls one handler, and keeps what it wrote where its answer is one to keep; `None` when it is not for it.
pub(super) async fn call<T: Send + 'static>(
    core: &Arc<Core>,
    handler: &AnyHandler<T>,
    input: &Input,
    keep: impl FnOnce(&T) -> bool,
) -> Result<Option<T>, Refusal> {
    let context = Context {
        core: core.clone(),
        input: input.clone(),
        delivery: Delivery::default(),
        tx: Tx::new(core.store.clone()),
        scope: Scope::new(core.surroundings.randomness.hex(32)),
    };
    let tx = context.tx.clone();
    let called = AssertUnwindSafe(handler.call(context)).catch_unwind();
    let failed_with = |what: &str| handler_failed(&HandlerError::new(what));
    let returned = tokio::time::timeout(core.limits.handler_timeout, called)
        .await
        .map_err(|_| failed_with("the handler took too long"))?
        .map_err(|_| failed_with("the handler panicked"))?;
    let Some(returned) = returned else {
        return Ok(None);
    };
    let answer = returned.map_err(|error| handler_failed(&error))?;
    if keep(&answer) {
        core.commit(&tx).await.map_err(|error| failed(&error))?;
    }
    Ok(Some(answer))
}

fn handler_failed(error: &HandlerError) -> Refusal {
    tracing::error!(%error, "a question of the homeserver was not answered");
    Refusal::internal()
}

fn failed(error: &Error) -> Refusal {
    tracing::error!(%error, "what the homeserver asked for could not be made");
    Refusal::internal()
}
