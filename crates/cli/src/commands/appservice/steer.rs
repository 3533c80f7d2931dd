//! `pause`, `resume`, `retry`, `fail`, `policy`: one call each, and a sentence about what it did.

use std::{process::ExitCode, time::Duration};

use bridgehead_admin_api::{PauseRequest, PolicyRequest, ReasonRequest, Service};
use clap::Args;

use super::{Caller, One, Reason, confirm::Confirm, describe, show};
use crate::output::{clean, time};

/// A service, and why.
#[derive(Args)]
pub(super) struct Plain {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    reason: Reason,
}

#[derive(Args)]
pub(super) struct Pause {
    #[command(flatten)]
    one: One,
    /// End the pause by itself after this time, such as 30m or 2h.
    #[arg(long = "for", value_name = "DURATION", value_parser = time::parse_duration)]
    lasts: Option<Duration>,
    #[command(flatten)]
    reason: Reason,
}

#[derive(Args)]
pub(super) struct Fail {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    confirm: Confirm,
}

#[derive(Args)]
pub(super) struct Policy {
    #[command(flatten)]
    one: One,
    /// Skip a stuck event after so many further attempts. What is skipped is kept and can be
    /// replayed.
    #[arg(long, value_name = "ATTEMPTS", value_parser = clap::value_parser!(u32).range(1..))]
    skip_stuck_after: Option<u32>,
    /// Never skip: a stuck event waits for a person.
    #[arg(long, conflicts_with = "skip_stuck_after")]
    never_skip: bool,
    #[command(flatten)]
    reason: Reason,
}

impl Reason {
    pub(super) fn into_request(self) -> ReasonRequest {
        ReasonRequest {
            reason: self.reason,
        }
    }
}

pub(super) async fn pause(caller: &Caller, pause: Pause) -> anyhow::Result<ExitCode> {
    let now_ms = time::now_ms();
    let lasts_ms = pause
        .lasts
        .map(|lasts| i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX));
    let request = PauseRequest {
        reason: pause.reason.reason,
        until_ms: lasts_ms.map(|lasts| now_ms.saturating_add(lasts)),
    };
    let service = caller.client.pause(&pause.one.id, &request).await?;
    caller.answer(&service, |service, _| {
        let id = clean(&service.id);
        let until = match request.until_ms {
            Some(until_ms) => format!("until {}", time::utc(until_ms)),
            None => format!("until `bridgehead appservice resume {id}`"),
        };
        format!(
            "{id} is paused {until}. What comes meanwhile is kept.\n{}",
            now(service)
        )
    })
}

pub(super) async fn resume(caller: &Caller, plain: Plain) -> anyhow::Result<ExitCode> {
    let request = plain.reason.into_request();
    let service = caller.client.resume(&plain.one.id, &request).await?;
    caller.answer(&service, |service, _| {
        format!("{} is resumed.\n{}", clean(&service.id), now(service))
    })
}

pub(super) async fn retry(caller: &Caller, plain: Plain) -> anyhow::Result<ExitCode> {
    let request = plain.reason.into_request();
    let service = caller.client.retry(&plain.one.id, &request).await?;
    caller.answer(&service, |service, _| {
        format!(
            "{} is tried again now.\n{}",
            clean(&service.id),
            now(service)
        )
    })
}

pub(super) async fn fail(caller: &Caller, fail: Fail) -> anyhow::Result<ExitCode> {
    let id = fail.one.id;
    let before = caller.client.get_service(&id).await?;
    let shown = clean(&id);
    let what = format!(
        "{shown} will be given up: nothing is sent to it, and nothing tried, until\n\
         `bridgehead appservice retry {shown}`. What waits for it and what comes meanwhile is kept.\n\
         Now: {}.",
        describe::brief(&before)
    );
    if !fail.confirm.ask(&what)? {
        return Ok(ExitCode::FAILURE);
    }
    let request = fail.reason.into_request();
    let service = caller.client.fail(&id, &request).await?;
    caller.answer(&service, |service, _| {
        format!(
            "{shown} is given up, until `bridgehead appservice retry {shown}`. What comes meanwhile is kept.\n{}",
            now(service)
        )
    })
}

pub(super) async fn policy(caller: &Caller, policy: Policy) -> anyhow::Result<ExitCode> {
    let id = &policy.one.id;
    let service = if policy.never_skip || policy.skip_stuck_after.is_some() {
        let request = PolicyRequest {
            skip_stuck_after: policy.skip_stuck_after,
            reason: policy.reason.reason,
        };
        caller.client.set_policy(id, &request).await?
    } else {
        caller.client.get_service(id).await?
    };
    caller.answer(&service, |service, _| {
        format!(
            "A stuck event of {} {}.\n",
            clean(&service.id),
            show::policy(service)
        )
    })
}

/// How the service stands after a verb.
pub(super) fn now(service: &Service) -> String {
    format!("Now: {}.\n", describe::brief(service))
}
