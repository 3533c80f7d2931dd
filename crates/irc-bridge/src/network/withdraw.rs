//! What was to be said and is something else by now: taken back, as long as no server has a line of it.
//!
//! ```text
//! edited ─▶ waits for its connection ──────────────────────────▶ withdrawn
//!        └▶ waits in the connection's queue ─▶ the link cancels ─▶ withdrawn, unless the connection broke meanwhile
//!        └▶ a line is written ─▶ no: the edit is a correction
//! ```

use tokio::sync::oneshot;

use super::{Handle, Hub, Input, speech::Pending};
use crate::link::drive::Order;

/// Something that is to be taken back.
pub(crate) struct Withdrawing {
    key: String,
    /// Lines that the connection has given back.
    given_back: Vec<u64>,
    reply: oneshot::Sender<Answer>,
}

/// What becomes of it.
enum Answer {
    /// It will not be said.
    Withdrawn,
    /// It is said, or about to be.
    No,
    /// The connection has these lines, and tells whether they were written.
    Asked(Vec<u64>, oneshot::Receiver<bool>),
}

impl Handle {
    /// Takes back what is to be said under this key; `false` where a server may have some of it, or nothing of the kind
    /// waits.
    pub(crate) async fn withdraw(&self, key: &str) -> bool {
        match self.ask_to_withdraw(key, Vec::new()).await {
            Answer::Withdrawn => true,
            Answer::No => false,
            Answer::Asked(says, given_back) => {
                let is_given_back = given_back.await.unwrap_or(false);
                // What was given to another connection meanwhile is said by that.
                is_given_back && matches!(self.ask_to_withdraw(key, says).await, Answer::Withdrawn)
            }
        }
    }

    async fn ask_to_withdraw(&self, key: &str, given_back: Vec<u64>) -> Answer {
        let (reply, answer) = oneshot::channel();
        let withdrawing = Withdrawing {
            key: key.to_owned(),
            given_back,
            reply,
        };
        let is_asked = self.inputs.send(Input::Withdraw(withdrawing)).await.is_ok();
        match is_asked {
            true => answer.await.unwrap_or(Answer::No),
            false => Answer::No,
        }
    }
}

impl Hub {
    pub(super) fn withdraw(&mut self, withdrawing: Withdrawing) {
        let Withdrawing {
            key,
            given_back,
            reply,
        } = withdrawing;
        let is_meant = |pending: &Pending| pending.speech.key == key && !pending.reply.is_closed();
        let mut found = self.clients.values_mut().filter_map(|client| {
            let at = client.pendings.iter().position(is_meant)?;
            Some((client, at))
        });
        let Some((client, at)) = found.next() else {
            reply.send(Answer::No).ok();
            return;
        };
        let pending = &mut client.pendings[at];
        let says = pending.says();
        let speech = &pending.speech;
        let is_begun =
            !speech.claimed.is_empty() || speech.doubted.iter().any(|line| line.is_written);
        let is_whole = !is_begun && !pending.is_in_doubt;
        let is_free = !pending.is_handed() || (!says.is_empty() && says == given_back);
        let answer = match client.live.as_ref() {
            _ if !is_whole => Answer::No,
            _ if is_free => {
                pending.is_withdrawn = true;
                Answer::Withdrawn
            }
            // A message of several lines begins with the first.
            Some(live) if given_back.is_empty() => {
                let (told, is_given_back) = oneshot::channel();
                match live.link.order(Order::Withdraw(says.clone(), told)) {
                    true => Answer::Asked(says, is_given_back),
                    false => Answer::No,
                }
            }
            _ => Answer::No,
        };
        reply.send(answer).ok();
    }
}
