//! `POST /_matrix/client/unstable/org.bridgehead.appservice/{appserviceId}/transactions/{txnId}`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::own::own;
use crate::{
    app::App,
    appservices::{Appservice, refusal_of},
    http::{
        auth::AppserviceToken,
        error::{ApiError, ApiResult},
        extract::{JsonBody, Params},
    },
};

#[derive(Deserialize)]
pub(crate) struct Body {
    error: Option<Box<RawValue>>,
}

/// Takes the service's answer to a transaction: an acknowledgement, or a refusal with `error`.
pub(crate) async fn answer_transaction(
    State(app): State<Arc<App>>,
    token: AppserviceToken,
    Params((id, txn_id)): Params<(String, String)>,
    JsonBody(body): JsonBody<Body>,
) -> ApiResult<Json<Value>> {
    let service = own(token, &id)?;
    let known = match txn_id.parse() {
        Ok(txn_id) => match body.error {
            Some(error) => service
                .delivery
                .outlet
                .answer(txn_id, Err(refusal_of(&error))),
            None => acknowledge(&app, &service, txn_id).await?,
        },
        Err(_) => false,
    };
    if known {
        Ok(Json(json!({})))
    } else {
        Err(ApiError::not_found(
            "No such transaction waits for an answer",
        ))
    }
}

async fn acknowledge(app: &App, service: &Appservice, txn_id: u64) -> ApiResult<bool> {
    let outlet = &service.delivery.outlet;
    if outlet.answer(txn_id, Ok(())) || outlet.has_acknowledged(txn_id) {
        return Ok(true);
    }
    // It may have been handed out by an earlier life of the server.
    let waits = service.frozen_txn_id(app).await? == Some(txn_id);
    if waits {
        outlet.acknowledge_late(txn_id);
    }
    Ok(waits)
}
