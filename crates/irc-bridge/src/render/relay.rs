//! Where the bridge speaks for people of Matrix, and under which names.

use bridgehead_appservice::bridge::Outgoing;

use crate::{Irc, ids::Target, network::Handle, settings::Mode};

/// Bytes that a network leaves to a name that is spoken for (draft/relaymsg); nicks are hardly ever shorter.
const LONGEST_NAME: usize = 24;

/// Whether the bridge speaks there for people of Matrix.
pub(super) fn is_relayed(outgoing: &Outgoing<Irc>, handle: &Handle) -> bool {
    match &outgoing.room.target {
        Target::Channel(channel) => {
            let level = outgoing.remote().level(&outgoing.speaker.user_id);
            // Without a level the service ends, and nothing of it is said.
            level.is_ok_and(|level| handle.settings.mode_for(channel, level) == Mode::Relay)
        }
        Target::Private { .. } => false,
    }
}

/// The name under which the network lets the bridge speak for somebody (draft/relaymsg).
pub(super) fn relay_name(outgoing: &Outgoing<Irc>, handle: &Handle) -> Option<String> {
    let channel = outgoing.room.as_channel()?;
    let separators = handle.directory.read().relays_in(channel)?.to_owned();
    let separator = separators.chars().next().unwrap_or('/');
    let is_sound = |c: &char| c.is_alphanumeric() || "-_[]{}|^`".contains(*c);
    let tail = format!("{separator}{}", handle.settings.messages.relay_name);
    let mut name: String = outgoing.speaker.name.chars().filter(is_sound).collect();
    name.truncate(name.floor_char_boundary(LONGEST_NAME.saturating_sub(tail.len())));
    if name.is_empty() {
        name = outgoing.speaker.user_id.localpart().to_owned();
    }
    Some(name + &tail)
}
