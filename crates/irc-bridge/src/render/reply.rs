//! What a reply answers, and what people are called.

use std::time::{Duration, SystemTime};

use bridgehead_appservice::{
    Content,
    bridge::{MessageRef, Outgoing},
    id::UserId,
};

use crate::{
    Irc,
    ids::msgid,
    network::{Handle, Owner},
    text::to_irc::{Reply, ReplyRules},
};

/// What somebody is called on IRC at the moment.
pub(super) fn nick_of(outgoing: &Outgoing<Irc>, handle: &Handle, user: &UserId) -> Option<String> {
    let directory = handle.directory.read();
    match outgoing.remote().user_of(user) {
        Some(nick) => {
            let written = directory.written_anywhere(&nick.nick);
            Some(written.unwrap_or(&nick.nick).to_owned())
        }
        None => {
            let person = Owner::Person(user.clone());
            directory.nick(&person).map(str::to_owned)
        }
    }
}

/// What a reply answers.
pub(super) struct Original {
    nick: String,
    content: Option<Content>,
    age: Duration,
    is_own: bool,
    pub(super) msgid: Option<String>,
}

impl Original {
    pub(super) fn of(outgoing: &Outgoing<Irc>, handle: &Handle, target: &MessageRef) -> Self {
        let nick = nick_of(outgoing, handle, &target.sender);
        Self {
            nick: nick.unwrap_or_else(|| target.sender.localpart().to_owned()),
            content: target.content.clone(),
            age: age(target, outgoing.sent_at_ms),
            is_own: target.sender == outgoing.speaker.user_id,
            msgid: target
                .ids
                .iter()
                .find_map(|id| msgid(id))
                .map(str::to_owned),
        }
    }

    pub(super) fn reply(&self, handle: &Handle) -> Reply<'_> {
        Reply {
            nick: &self.nick,
            original: self.content.as_ref(),
            // Only what both sides have is known here at all.
            may_quote: true,
            age: self.age,
            is_own: self.is_own,
            rules: ReplyRules {
                quote_after: handle.settings.messages.quote_after.get(),
                ..ReplyRules::default()
            },
        }
    }
}

/// How old a message was when something answered it.
fn age(target: &MessageRef, answered_at_ms: i64) -> Duration {
    let Some(said_at_ms) = target.said_at_ms else {
        return Duration::MAX;
    };
    // Clocks of other homeservers may be wrong, but not wronger than a message from the future.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now_ms = now.map_or(i64::MAX, |now| {
        i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
    });
    let age_ms = answered_at_ms.min(now_ms).saturating_sub(said_at_ms);
    Duration::from_millis(u64::try_from(age_ms).unwrap_or(0))
}
