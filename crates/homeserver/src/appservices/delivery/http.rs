//! Transactions over HTTP: `PUT /_matrix/app/v1/transactions/{txnId}`.

use std::{sync::Arc, time::Duration};

use bridgehead_admin_api::Transport as TransportKind;
use bridgehead_store::FrozenTransaction;
use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::Method;

use super::transport::{Failure, Transport};
use crate::{
    appservices::{
        Wire,
        wire::{Call, CallError},
    },
    clock::Clock,
};

/// How often a service that refused connections is looked at while its backoff runs.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// Pushes to the url of a registration.
pub(crate) struct HttpPush {
    pub(crate) wire: Wire,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Transport for HttpPush {
    fn kind(&self) -> TransportKind {
        TransportKind::Http
    }

    fn push<'a>(
        &'a self,
        transaction: &'a FrozenTransaction,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        self.put(transaction).boxed()
    }

    fn reachable_again(&self, misled: bool) -> BoxFuture<'_, ()> {
        self.listens_again(misled).boxed()
    }
}

impl HttpPush {
    async fn put(&self, transaction: &FrozenTransaction) -> Result<(), Failure> {
        let path = format!("/transactions/{}", transaction.txn_id);
        let call = Call {
            method: Method::PUT,
            path: &path,
            legacy_path: Some(&path),
            query: &[],
            body: Some(Bytes::copy_from_slice(&transaction.body)),
        };
        let answer = self.wire.call(&call, self.clock.now_ms()).await?;
        // Any 2xx is success, whatever the body: a service that answers with a page of HTML has
        // taken the events all the same.
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(Failure::Refused {
                status: answer.status.as_u16(),
                body: answer.head(),
            })
        }
    }

    /// Returns when somebody accepts connections at the service's address. Where that has misled us
    /// (TLS refused, for example), somebody has to go away first.
    async fn listens_again(&self, mut closed_first: bool) {
        loop {
            tokio::time::sleep(PROBE_INTERVAL).await;
            match self.wire.is_reachable(PROBE_INTERVAL).await {
                true if !closed_first => return,
                true => {}
                false => closed_first = false,
            }
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Connect(reason) => Self::Unreachable(reason),
            CallError::Timeout(after) => {
                Self::Timeout(u64::try_from(after.as_millis()).unwrap_or(u64::MAX))
            }
            CallError::Broken(reason) => Self::Broken(reason),
        }
    }
}
