//! What is told to programs alone, and what is not told at all.

use bridgehead_appservice::bridge::{Action, Outgoing};
use bridgehead_irc_protocol::session::SayCommand;

use super::{Rendered, relay::is_relayed};
use crate::{Irc, ids::msgid, network::Handle, settings::Reactions};

/// What is said by tags alone, to programs.
pub(super) fn tagged(outgoing: &Outgoing<Irc>, handle: &Handle) -> Option<Rendered> {
    if handle.settings.messages.reactions != Reactions::Tags || is_relayed(outgoing, handle) {
        return None;
    }
    let (name, target, key) = match &outgoing.action {
        Action::React { target, key } => ("draft/react", target.ids.first()?, key),
        Action::Unreact { reaction } => {
            let reaction = reaction.reaction.as_ref()?;
            ("draft/unreact", reaction.target.first()?, &reaction.key)
        }
        _ => return None,
    };
    let target = msgid(target)?;
    let takes = |tag: &str| handle.directory.read().offers().takes_tag(tag);
    (takes(name) && takes("draft/reply")).then(|| Rendered {
        command: SayCommand::Tagmsg,
        lines: vec![Vec::new()],
        tags: vec![
            ("+draft/reply".to_owned(), target.to_owned()),
            (format!("+{name}"), key.clone()),
        ],
        is_one: false,
        relayed_as: None,
    })
}

/// Whether the configuration does not want it told.
pub(super) fn is_kept_silent(outgoing: &Outgoing<Irc>, handle: &Handle) -> bool {
    let messages = &handle.settings.messages;
    match &outgoing.action {
        Action::React { .. } => messages.reactions == Reactions::Off,
        // It was said in words, and cannot be unsaid.
        Action::Unreact { .. } => true,
        Action::Redact { .. } => !messages.deletions,
        _ => false,
    }
}
