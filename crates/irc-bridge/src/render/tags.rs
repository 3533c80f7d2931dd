//! What is told to programs alone, and what is not told at all.

use bridgehead_appservice::bridge::{Action, Outgoing};
use bridgehead_irc_protocol::session::SayCommand;

use super::{Rendered, relay::is_relayed};
use crate::{Irc, ids::msgid, network::Handle, settings::Reactions};

/// Whether reactions are told to programs alone.
pub(crate) fn reacts_by_tags(handle: &Handle) -> bool {
    let directory = handle.directory.read();
    let takes = |tag: &str| directory.offers().takes_tag(tag);
    handle.settings.messages.reactions == Reactions::Tags
        && takes("draft/react")
        && takes("draft/reply")
}

/// What is said by tags alone, to programs.
pub(super) fn tagged(outgoing: &Outgoing<Irc>, handle: &Handle) -> Option<Rendered> {
    let is_alone = outgoing.together.is_empty();
    let may = handle.settings.messages.reactions == Reactions::Tags && is_alone;
    if !may || is_relayed(outgoing, handle) {
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
        unsaid: None,
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
