//! `bridgehead appservice …`: the operator API on the command line. There is nothing here that a
//! script could not do with the API itself.
//!
//! - `list`, `show`, `transaction`, `skips`, `audit`, `watch`: looking;
//! - `steer`: pause, resume, retry, fail, policy; `skip`; `again`: replay, drain;
//! - `registration`: add, change, rotate; `remove`; `lint`, `doctor`;
//! - `caller`: what all of them have in common; `describe`: a service in words;
//! - `confirm`, `wait`: asking before, and waiting after.

mod again;
mod audit;
mod caller;
mod confirm;
mod describe;
mod doctor;
mod lint;
mod list;
mod registration;
mod remove;
mod show;
mod skip;
mod steer;
#[cfg(test)]
mod tests;
mod transaction;
mod wait;
mod watch;

use std::process::ExitCode;

use clap::{Args, Subcommand};

pub(super) use self::caller::{Caller, write_private_answer};
use super::connection::Connection;
use crate::exit;

#[derive(Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

/// What every command has that speaks to a server.
#[derive(Args, Clone, Debug)]
pub(super) struct Common {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// Print the operator API's JSON instead of text for people.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// A service.
#[derive(Args)]
pub(super) struct One {
    /// The service's id.
    id: String,
}

/// Why something is done.
#[derive(Args)]
pub(super) struct Reason {
    /// Why, for the audit log and for whoever looks at the service.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Subcommand)]
enum Verb {
    /// List all services: state, what waits, for how long, and what is wrong.
    #[command(after_help = exit::HELP)]
    List(list::List),
    /// Show everything about one service.
    #[command(after_help = exit::HELP)]
    Show(show::Show),
    /// Stop sending to a service; what comes meanwhile is kept.
    #[command(after_help = exit::HELP)]
    Pause(steer::Pause),
    /// End a pause.
    #[command(after_help = exit::HELP)]
    Resume(steer::Plain),
    /// Try again now, without waiting for the next attempt's time; also brings back a service that
    /// was given up.
    #[command(after_help = exit::HELP)]
    Retry(steer::Plain),
    /// Give a service up: nothing is sent, and nothing tried, until somebody retries.
    #[command(after_help = exit::HELP)]
    Fail(steer::Fail),
    /// Go on behind the transaction in flight. What was in it is kept and can be replayed.
    #[command(after_help = exit::HELP)]
    Skip(skip::Skip),
    /// Send again what was sent, or skipped, before.
    #[command(after_help = exit::HELP)]
    Replay(again::Replay),
    /// Deliver what waits now, then pause.
    #[command(after_help = exit::HELP)]
    Drain(again::Drain),
    /// Say what the server may do by itself about an event that a service goes on refusing; without
    /// an option, tell what it may do now.
    #[command(after_help = exit::HELP)]
    Policy(steer::Policy),
    /// Add services from registration files.
    #[command(after_help = exit::HELP)]
    Add(registration::Add),
    /// Change a service's registration. It is refused when somebody else has changed it meanwhile.
    #[command(after_help = exit::HELP)]
    Change(registration::Change),
    /// Give a service new tokens. The old ones are good for a while, too.
    #[command(after_help = exit::HELP)]
    Rotate(registration::Rotate),
    /// Remove a service, and with --purge what it left behind.
    #[command(after_help = exit::HELP)]
    Remove(remove::Remove),
    /// Find what is doubtful about registrations: those in force, or files before they are added.
    #[command(after_help = exit::HELP)]
    Lint(lint::Lint),
    /// Find out what keeps a service from being reached, step by step.
    #[command(after_help = exit::HELP)]
    Doctor(One),
    /// Show what happens, as it happens, until Ctrl-C.
    #[command(after_help = exit::HELP)]
    Watch(watch::Watch),
    /// List the transactions of a service that were skipped.
    #[command(after_help = exit::HELP)]
    Skips(One),
    /// Lay open the transaction that a service has not acknowledged yet.
    #[command(after_help = exit::HELP)]
    Transaction(transaction::Transaction),
    /// Show who did what, when and why.
    #[command(after_help = exit::HELP)]
    Audit(audit::Audit),
}

/// Runs the command.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let common = &arguments.common;
    // The one verb that can do without a server.
    if let Verb::Lint(lint) = arguments.verb {
        return lint::run(common, lint).await;
    }
    let caller = Caller::new(common)?;
    match arguments.verb {
        Verb::List(list) => list::run(&caller, &list).await,
        Verb::Show(show) => show::run(&caller, &show).await,
        Verb::Pause(pause) => steer::pause(&caller, pause).await,
        Verb::Resume(plain) => steer::resume(&caller, plain).await,
        Verb::Retry(plain) => steer::retry(&caller, plain).await,
        Verb::Fail(fail) => steer::fail(&caller, fail).await,
        Verb::Skip(skip) => skip::run(&caller, skip).await,
        Verb::Replay(replay) => again::replay(&caller, replay).await,
        Verb::Drain(drain) => again::drain(&caller, drain).await,
        Verb::Policy(policy) => steer::policy(&caller, policy).await,
        Verb::Add(add) => registration::add(&caller, add).await,
        Verb::Change(change) => registration::change(&caller, change).await,
        Verb::Rotate(rotate) => registration::rotate(&caller, rotate).await,
        Verb::Remove(remove) => remove::run(&caller, remove).await,
        Verb::Lint(lint) => lint::run(common, lint).await,
        Verb::Doctor(one) => doctor::run(&caller, &one.id).await,
        Verb::Watch(watch) => watch::run(&caller, watch).await,
        Verb::Skips(one) => skip::list(&caller, &one.id).await,
        Verb::Transaction(transaction) => transaction::run(&caller, &transaction).await,
        Verb::Audit(audit) => audit::run(&caller, audit).await,
    }
}
