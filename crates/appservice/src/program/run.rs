//! `run`: from the configuration to a service at work, until a signal ends it.

use std::{sync::Arc, time::Duration};

use bridgehead_registration::{Outcome, Registration};

use super::{
    Failure, Result,
    control::Control,
    current::Kits,
    log::Log,
    pages, register,
    reload::Reloader,
    serve::{self, Serving},
    site::{Site, limited},
    terminal,
};
use crate::{
    Running, Service,
    config::{Config, MetricsConfig},
    metrics::Metrics,
    run::{OnReload, STOPS_WITHIN},
};

/// How long an orderly end may take before the process ends all the same: longer than all that it waits for.
const END_WITHIN: Duration = Duration::from_secs(60);
const _: () =
    assert!(END_WITHIN.as_secs() > serve::STOPS_WITHIN.as_secs() + STOPS_WITHIN.as_secs());

/// Runs the service until a signal ends it.
pub(super) async fn run<C: Config + Send + Sync + 'static>(
    site: &Site<C>,
    declare: impl FnOnce(&C) -> Service + Send,
) -> Result<()> {
    let log = Log::start(&site.keys().log);
    for warning in &site.warnings {
        tracing::warn!("{warning}");
    }
    // Before anything is begun: a signal that comes early is not lost.
    let mut signals = Signals::listen()?;
    let service = site.declare(declare);
    let current = &site.current;
    let registration = registration(site, &service)?;
    let metrics = metrics(&service.name, &site.keys().metrics);
    let service = limited(service, site.keys()).metrics(&metrics);
    let on_reload = on_reload::<C>(&service)?;
    let kits: Arc<dyn Kits> = Arc::new(current.clone());
    let mut running = service.start(site.setup(registration)).await?;
    pages::add(&mut running, &kits);
    let works = work(site, &running, &kits).await;
    let (serving, control) = match works {
        Ok(works) => works,
        Err(failure) => {
            running.stop().await;
            return Err(failure);
        }
    };
    let mut asked = running.core().reloads.listen();
    let reloader = Reloader {
        site,
        current,
        log: &log,
        on_reload,
    };
    loop {
        let reply = tokio::select! {
            signal = signals.next() => match signal {
                Signal::Reload => None,
                Signal::End => break,
            },
            Some(reply) = asked.recv() => Some(reply),
        };
        let reloading = async {
            let reloaded = reloader.reload(&running).await;
            serving.renew_certificate().await;
            reloaded
        };
        let Some(reloaded) = signals.unless_ended(reloading).await else {
            break;
        };
        if let Some(reply) = reply {
            reply.send(reloaded).ok();
        }
    }
    tracing::info!("ending; a second signal ends at once");
    let ended = end(running, serving, control);
    tokio::select! {
        ended = tokio::time::timeout(END_WITHIN, ended) => {
            ended.map_err(|_| Failure::tried("the service did not end in time; nothing that was acknowledged is lost"))
        }
        () = signals.end() => Err(Failure::tried("ended at once; nothing that was acknowledged is lost")),
    }
}

/// What the author does about a new configuration.
fn on_reload<C: Config + Send + Sync + 'static>(service: &Service) -> Result<Option<OnReload>> {
    let on_reload = service.on_reload.clone();
    match on_reload {
        Some(other) if !other.takes::<C>() => Err(Failure::setup(
            "`on_reload` was given another configuration's type than `main_with`: give both the same",
        )),
        on_reload => Ok(on_reload),
    }
}

/// Opens what others reach the service by.
async fn work<C: Config>(
    site: &Site<C>,
    running: &Running,
    kits: &Arc<dyn Kits>,
) -> Result<(Serving, Control)> {
    let serving = Serving::open(running, site.keys(), kits).await?;
    let control = Control::open(running, site.database_file())
        .await
        .map_err(|error| {
            Failure::tried(format!("other commands cannot reach the service: {error}"))
        })?;
    Ok((serving, control))
}

async fn end(running: Running, serving: Serving, control: Control) {
    serving.stop().await;
    running.stop().await;
    drop(control);
    tracing::info!("ended");
}

/// The registration in its file; the first time, it is made, and the operator told what to do with it.
fn registration<C: Config>(site: &Site<C>, service: &Service) -> Result<Registration> {
    let draft = site.draft(service)?;
    let Some(registration) = site.read_registration()? else {
        let written = site.write_registration(&draft)?;
        if written.outcome == Outcome::Made {
            terminal::say(&register::first_steps(site, &written.registration));
        }
        return Ok(written.registration);
    };
    // The homeserver has the old one: the service runs with that, and says what it lacks.
    match draft.regenerate(&registration, site.server_name()) {
        Ok(generated) if generated.is_changed() => {
            let changes: Vec<String> = generated.changes.iter().map(ToString::to_string).collect();
            tracing::warn!(
                file = %site.registration_file().display(),
                changes = changes.join("; "),
                "the registration is not what the service declares: run `register`, and let the homeserver read it"
            );
        }
        Ok(_) => {}
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            return Err(Failure::Setup(lines.join("\n")));
        }
    }
    Ok(registration)
}

/// The instruments, told to statsd where the configuration says so. Without the statsd server's address the service
/// works all the same.
fn metrics(name: &str, keys: &MetricsConfig) -> Metrics {
    let Some(address) = &keys.statsd else {
        return Metrics::new(name);
    };
    Metrics::with_statsd(name, address.as_str(), &keys.statsd_prefix).unwrap_or_else(|error| {
        tracing::warn!(%error, "statsd gets no figures until the service is started again");
        Metrics::new(name)
    })
}

/// What the operator wants of a running program.
enum Signal {
    End,
    Reload,
}

/// The process's signals.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
    /// The configuration was to be read while it was being read.
    is_asked_again: bool,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(Failure::tried);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
            is_asked_again: false,
        })
    }

    async fn next(&mut self) -> Signal {
        if std::mem::take(&mut self.is_asked_again) {
            return Signal::Reload;
        }
        tokio::select! {
            _ = self.terminate.recv() => Signal::End,
            _ = self.interrupt.recv() => Signal::End,
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }

    /// Returns when the service is to end.
    async fn end(&mut self) {
        while !matches!(self.next().await, Signal::End) {}
    }
}

impl Signals {
    /// What something comes to; `None`, where the service is to end before that. Who wants the configuration to be read
    /// meanwhile has it read once more after that.
    async fn unless_ended<T>(&mut self, doing: impl Future<Output = T>) -> Option<T> {
        let mut doing = std::pin::pin!(doing);
        loop {
            tokio::select! {
                done = &mut doing => return Some(done),
                signal = self.next() => match signal {
                    Signal::End => return None,
                    Signal::Reload => self.is_asked_again = true,
                },
            }
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self {
            is_asked_again: false,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::signal::ctrl_c().await.ok();
        Signal::End
    }

    async fn end(&mut self) {
        self.next().await;
    }
}
