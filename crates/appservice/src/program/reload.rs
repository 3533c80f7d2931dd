//! The configuration, read again: on SIGHUP, or because somebody asks for it. One with mistakes changes nothing.

use std::{sync::Arc, time::Duration};

use super::{Current, log::Log, site::Site};
use crate::{
    Handle, Running,
    config::{self, Config, Whole},
    run::{OnReload, ReloadError, Reloaded},
};

/// How long the author's part may take.
const APPLIED_WITHIN: Duration = Duration::from_secs(120);

/// What a reload needs.
pub(super) struct Reloader<'a, C> {
    pub(super) site: &'a Site<C>,
    pub(super) current: &'a Current<C>,
    pub(super) log: &'a Log,
    /// The author's part.
    pub(super) on_reload: Option<OnReload>,
}

impl<C: Config + Send + Sync + 'static> Reloader<'_, C> {
    /// Reads the configuration again, and says in the log what came of it, and to who has asked.
    pub(super) async fn reload(&self, running: &Running) -> Reloaded {
        let reloaded = self.read_and_apply(running).await;
        match &reloaded {
            Ok(sentences) => {
                for sentence in sentences {
                    tracing::info!("{sentence}");
                }
            }
            Err(error) => {
                if let ReloadError::Refused(problems) = error {
                    for problem in problems {
                        tracing::error!("{problem}");
                    }
                }
                tracing::error!("the configuration has mistakes, and stays as it was");
            }
        }
        reloaded
    }

    async fn read_and_apply(&self, running: &Running) -> Reloaded {
        let loaded = self.site.reload().map_err(|mistakes| {
            ReloadError::Refused(mistakes.iter().map(ToString::to_string).collect())
        })?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let (before, config) = (self.current.whole(), Arc::new(loaded.config));
        let mut sentences = config::sentences(&*before, &config);
        if sentences.is_empty() {
            let same = "the configuration was read again; nothing has changed";
            return Ok(vec![same.to_owned()]);
        }
        sentences.extend(self.apply(running, config.clone()).await?);
        self.log.set(&config.service.log);
        self.current.set(config);
        Ok(sentences)
    }

    /// Has the author's part done.
    async fn apply(&self, running: &Running, config: Arc<Whole<C>>) -> Reloaded {
        let Some(on_reload) = &self.on_reload else {
            return Ok(Vec::new());
        };
        let applied = on_reload.apply(Handle::new(running.core()), config);
        match tokio::time::timeout(APPLIED_WITHIN, applied).await {
            Ok(Ok(sentences)) => Ok(sentences),
            Ok(Err(error)) => Err(ReloadError::Refused(vec![error.to_string()])),
            Err(_) => {
                let seconds = APPLIED_WITHIN.as_secs();
                let words = format!(
                    "it took more than {seconds} s, and it is not known what of it was done: start the service again"
                );
                Err(ReloadError::Refused(vec![words]))
            }
        }
    }
}
