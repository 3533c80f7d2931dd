//! Waiting for something long, and showing how far it has come. Ctrl-C ends the wait and nothing
//! else: the work is the server's.

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use anyhow::bail;
use bridgehead_admin_api::{Progress, Service, State};
use clap::Args;

use super::{Caller, describe};
use crate::output::{clean, meter::Meter, time};

/// How often the server is asked.
const ASK_EVERY: Duration = Duration::from_millis(300);

#[derive(Args)]
pub(super) struct Wait {
    /// Wait until it is done and show how far it has come; so it is on a terminal anyway.
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Do not wait until it is done.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait at most.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = time::parse_duration)]
    timeout: Duration,
}

impl Wait {
    pub(super) fn is_wanted(&self) -> bool {
        self.wait || (!self.no_wait && io::stderr().is_terminal())
    }

    /// The pause before the next look.
    ///
    /// # Errors
    /// When the wait has been long enough.
    pub(super) async fn pause(&self, started_at: Instant, what: &str) -> anyhow::Result<()> {
        if started_at.elapsed() >= self.timeout {
            let waited = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
            bail!(
                "{what} is not done after {}; it goes on without being watched",
                time::duration(waited)
            );
        }
        tokio::time::sleep(ASK_EVERY).await;
        Ok(())
    }

    /// Waits until `progress` finds nothing any more that goes on; gives back the service then.
    pub(super) async fn until_done(
        &self,
        caller: &Caller,
        mut service: Service,
        label: &str,
        progress: impl Fn(&Service) -> Option<Progress>,
    ) -> anyhow::Result<Service> {
        let started_at = Instant::now();
        let id = service.id.clone();
        let what = format!("the {label} of {}", clean(&id));
        let mut meter = Meter::new(&format!("{label} of {id}"));
        while let Some(now) = progress(&service) {
            let (done, total) = describe::done_of(&now);
            meter.show(done, total, &hindrance(&service));
            if service.state == State::Failed {
                meter.end();
                bail!(
                    "{what} stands still: the service was given up, and goes on with `bridgehead appservice retry`"
                );
            }
            self.pause(started_at, &what).await?;
            service = caller.client.get_service(&id).await?;
        }
        meter.end();
        Ok(service)
    }
}

/// What holds it up, if anything does.
fn hindrance(service: &Service) -> String {
    let note = describe::note(service, time::now_ms());
    match describe::needs_attention(service) || service.paused.is_some() {
        true => note,
        false => String::new(),
    }
}
