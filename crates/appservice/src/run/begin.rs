//! The first steps of a service that was started: the homeserver has to know it, under the name that it is set up for;
//! then the handlers of its start are called, and the inbox is opened.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Error,
    client::Call,
    core::Core,
    handler::{AnyHandler, Context, Delivery, Input, Scope, Verdict},
    store::Tx,
};

/// The longest wait between attempts at starting work.
const START_WAIT: Duration = Duration::from_secs(30);

/// How often the same trouble at the start is told.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

/// Brings the service to work: its own user, the handlers of its start, then the inbox.
pub(super) async fn begin(core: Arc<Core>) {
    let mut attempt = 0_u32;
    let mut told: Option<(Instant, String)> = None;
    let mut beginning = Beginning {
        name: format!("start-{}", core.surroundings.randomness.hex(16)),
        done: 0,
    };
    loop {
        let begun = tokio::select! {
            begun = begin_once(&core, &mut beginning) => begun,
            () = core.stopping() => return,
        };
        let Err(error) = begun else { return };
        attempt += 1;
        let wait = core
            .client
            .wait_before_retry(&error, attempt)
            .min(START_WAIT);
        let text = error.to_string();
        let is_news = told
            .as_ref()
            .is_none_or(|(at, before)| *before != text || at.elapsed() >= TOLD_AGAIN);
        if is_news {
            tracing::warn!(service = %core.name, error = text, advice = advice(&error), "the service waits for its start");
            told = Some((Instant::now(), text));
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = core.stopping() => return,
        }
    }
}

/// What may have to be done before the start succeeds.
fn advice(error: &Error) -> &'static str {
    match error {
        Error::Refused { errcode, .. } if errcode == "M_UNKNOWN_TOKEN" => {
            "the homeserver does not have this registration, or has another as_token for it: give it the file and let \
             it read it (`register` tells how)"
        }
        Error::Transport(_) => {
            "the homeserver is not there, or not at this address; the service goes on by itself once it answers"
        }
        Error::Refused { errcode, .. } if errcode == "M_EXCLUSIVE" => {
            "the homeserver has another registration that claims the service's own user for itself"
        }
        error if error.is_transient() => "it goes on by itself",
        _ => "`doctor` may tell more",
    }
}

/// How far the start has come: a handler that has succeeded is not called again, and one that has failed does nothing
/// twice.
struct Beginning {
    /// Names the effects of this start.
    name: String,
    /// Handlers that have succeeded.
    done: usize,
}

async fn begin_once(core: &Arc<Core>, beginning: &mut Beginning) -> Result<(), Error> {
    core.ensure_registered(&core.bot).await?;
    check_name(core).await?;
    let left = core.handlers.start.iter().enumerate().skip(beginning.done);
    for (index, handler) in left {
        let tx = Tx::new(core.store.clone());
        let context = Context {
            core: core.clone(),
            input: Input::Start,
            delivery: Delivery::default(),
            tx: tx.clone(),
            scope: Scope::new(format!("{}/{index}", beginning.name)),
        };
        call_at_start(handler, context).await?;
        core.commit(&tx).await?;
        beginning.done = index + 1;
    }
    core.recall_policies().await?;
    core.bridges.begin(core).await?;
    core.inbox.begin(core).await?;
    core.begin_policies();
    core.begin_planner();
    tracing::info!(service = %core.name, bot = %core.bot, "the service works");
    Ok(())
}

/// Sees that the homeserver has the name that the service is set up for. With another one nothing else would fail at
/// once, and nothing would work: namespaces match nobody, and ghosts are refused.
async fn check_name(core: &Core) -> Result<(), Error> {
    // As the sender, who needs no name to be shown.
    let call = Call::get("/_matrix/client/v3/account/whoami").by(Some(core.client.sender()));
    let answer = match core.client.ask::<Value>(&call).await {
        Ok(answer) => answer,
        // Who does not say who the service is cannot be compared.
        Err(Error::Refused {
            status: 403..=405, ..
        }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let user = answer.get("user_id").and_then(Value::as_str);
    let Some((_, name)) = user.and_then(|user| user.split_once(':')) else {
        return Ok(());
    };
    if name == &*core.server_name {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "the homeserver is called `{name}`, and the service is set up for `{}`: set homeserver.server_name = \"{name}\", \
         run `register`, and let the homeserver read the registration again",
        core.server_name
    )))
}

async fn call_at_start(handler: &AnyHandler<Verdict>, context: Context) -> Result<(), Error> {
    let called = AssertUnwindSafe(handler.call(context)).catch_unwind().await;
    let failed = |text: String| Err(Error::Unsupported(text));
    match called {
        Ok(None | Some(Ok(Verdict::Done))) => Ok(()),
        Ok(Some(Ok(
            Verdict::RetryIn(_)
            | Verdict::Retry { .. }
            | Verdict::Wait { .. }
            | Verdict::Hold(_)
            | Verdict::Aside(_),
        ))) => failed("a handler of the start is to be called again".to_owned()),
        Ok(Some(Ok(Verdict::Reject(why) | Verdict::Park(why)))) => failed(why),
        Ok(Some(Err(error))) => match error.as_error() {
            Some(error) => Err(error.clone()),
            None => failed(error.to_string()),
        },
        Err(_) => failed("a handler of the start has panicked".to_owned()),
    }
}
