//! `replay` and `drain`: long work of the server's, which can be waited for.

use std::process::ExitCode;

use bridgehead_admin_api::ReplayRequest;
use clap::Args;

use super::{Caller, One, Reason, describe, steer, wait::Wait};
use crate::output::{clean, time};

#[derive(Args)]
pub(super) struct Replay {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Everything after this position.
    #[arg(long, value_name = "POSITION")]
    after: Option<u64>,
    /// Everything since then: how long ago (90s, 5m, 2h, 1d), or when (2026-01-02T03:04:05Z).
    #[arg(long, value_name = "TIME", value_parser = time::parse_moment)]
    since: Option<time::Moment>,
    /// One skipped transaction, by its number in `skips`.
    #[arg(long, value_name = "NUMBER")]
    skip: Option<u64>,
}

#[derive(Args)]
pub(super) struct Drain {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    wait: Wait,
}

pub(super) async fn replay(caller: &Caller, replay: Replay) -> anyhow::Result<ExitCode> {
    let now_ms = time::now_ms();
    let request = ReplayRequest {
        after: replay.what.after,
        since_ms: replay.what.since.map(|since| since.at_ms(now_ms)),
        skip_id: replay.what.skip,
        reason: replay.reason.reason,
    };
    let mut service = caller.client.replay(&replay.one.id, &request).await?;
    if replay.wait.is_wanted() {
        let wait = replay.wait;
        service = wait
            .until_done(caller, service, "replay", |one| one.replay)
            .await?;
    }
    caller.answer(&service, |service, _| {
        let id = clean(&service.id);
        let said = match &service.replay {
            Some(progress) => format!(
                "{id} is sent again what was asked for: {}.\n",
                describe::progress(progress)
            ),
            None => format!("{id} was sent again what was asked for.\n"),
        };
        said + &steer::now(service)
    })
}

pub(super) async fn drain(caller: &Caller, drain: Drain) -> anyhow::Result<ExitCode> {
    let request = drain.reason.into_request();
    let mut service = caller.client.drain(&drain.one.id, &request).await?;
    if drain.wait.is_wanted() {
        let wait = drain.wait;
        service = wait
            .until_done(caller, service, "drain", |one| one.drain)
            .await?;
    }
    caller.answer(&service, |service, _| {
        let id = clean(&service.id);
        let said = match &service.drain {
            Some(progress) => format!(
                "{id} is sent what waits now, and paused then: {}.\n",
                describe::progress(progress)
            ),
            None => {
                format!("{id} is drained and paused, until `bridgehead appservice resume {id}`.\n")
            }
        };
        said + &steer::now(service)
    })
}
