//! The configuration, read again while the service runs: who asks for that, and what the author does about it. Read it is
//! by the program (`program/reload.rs`).

use std::{
    any::{Any, TypeId},
    fmt,
    sync::{Arc, OnceLock},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::sync::{mpsc, oneshot};

use super::Handle;
use crate::{config::Whole, error::HandlerError, program::Now};

/// Those who may wait for the same program to read its configuration.
const MAX_ASKED: usize = 16;

/// What a reload has come to: sentences for the operator.
pub type Reloaded = Result<Vec<String>, ReloadError>;

/// Why the configuration stays as it was. Displays as sentences for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// There is no file to read.
    #[error(
        "the service was not started as a program, and has no configuration of its own to read again: whoever has \
         started it has"
    )]
    NoProgram,
    /// The service ends.
    #[error("the service is being ended")]
    Stopping,
    /// The file has mistakes; or the author's part could not be done.
    #[error("the configuration stays as it was:\n{}", .0.join("\n"))]
    Refused(Vec<String>),
}

type Apply = dyn Fn(Handle, Arc<dyn Any + Send + Sync>) -> BoxFuture<'static, Result<Vec<String>, HandlerError>>
    + Send
    + Sync;

/// What the author does about a new configuration.
#[derive(Clone)]
pub(crate) struct OnReload {
    config: TypeId,
    apply: Arc<Apply>,
}

impl fmt::Debug for OnReload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnReload").finish_non_exhaustive()
    }
}

impl OnReload {
    pub(crate) fn new<C, F, Fut>(apply: F) -> Self
    where
        C: Send + Sync + 'static,
        F: Fn(Handle, Now<C>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<String>, HandlerError>> + Send + 'static,
    {
        Self {
            config: TypeId::of::<C>(),
            apply: Arc::new(move |handle, config| {
                // The program has compared the types.
                match config.downcast::<Whole<C>>() {
                    Ok(config) => apply(handle, Now::new(config)).boxed(),
                    Err(_) => std::future::ready(Ok(Vec::new())).boxed(),
                }
            }),
        }
    }

    /// Whether it takes this configuration.
    pub(crate) fn takes<C: 'static>(&self) -> bool {
        self.config == TypeId::of::<C>()
    }

    pub(crate) async fn apply<C: Send + Sync + 'static>(
        &self,
        handle: Handle,
        config: Arc<Whole<C>>,
    ) -> Result<Vec<String>, HandlerError> {
        (self.apply)(handle, config).await
    }
}

/// Who wants the configuration to be read again, on the way to the program.
#[derive(Debug, Default)]
pub(crate) struct Reloads(OnceLock<mpsc::Sender<oneshot::Sender<Reloaded>>>);

impl Reloads {
    /// For the program, which answers them.
    pub(crate) fn listen(&self) -> mpsc::Receiver<oneshot::Sender<Reloaded>> {
        let (sender, asked) = mpsc::channel(MAX_ASKED);
        self.0.set(sender).ok();
        asked
    }

    pub(super) fn way(&self) -> Option<mpsc::Sender<oneshot::Sender<Reloaded>>> {
        self.0.get().cloned()
    }
}

impl Handle {
    /// Has the program read its configuration again, as SIGHUP does; says what has changed, and when that counts. Only
    /// for those who may ([`Level::Admin`](crate::bridge::Level::Admin)): the sentences name keys, and no values.
    ///
    /// # Errors
    /// Why everything stays as it was.
    pub async fn reload(&self) -> Reloaded {
        let way = self.core().map_err(|_| ReloadError::Stopping)?;
        let way = way.reloads.way().ok_or(ReloadError::NoProgram)?;
        let (reply, reloaded) = oneshot::channel();
        way.send(reply).await.map_err(|_| ReloadError::Stopping)?;
        reloaded.await.unwrap_or(Err(ReloadError::Stopping))
    }
}
