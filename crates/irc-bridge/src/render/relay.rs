//! Where the bridge speaks for people of Matrix, and under which names.

use bridgehead_appservice::bridge::Outgoing;

use crate::{Irc, clock::now, ids::Target, network::Handle, settings::Mode};

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
    let directory = handle.directory.read();
    let separator = directory.relays_in(channel)?.chars().next().unwrap_or('/');
    let tail = format!("{separator}{}", handle.settings.messages.relay_name);
    let speaker = &outgoing.speaker;
    let name = name_of(&speaker.name, speaker.user_id.localpart(), &tail)?;
    (!directory.refuses_name(channel, &name, now())).then_some(name)
}

/// A name that networks take, with this behind it: what somebody calls themselves, or where nothing of that can stand in
/// one, their localpart.
fn name_of(name: &str, localpart: &str, tail: &str) -> Option<String> {
    let is_sound = |c: &char| c.is_alphanumeric() || "-_[]{}|^`".contains(*c);
    let room = LONGEST_NAME.saturating_sub(tail.len());
    let mut names = [name, localpart].into_iter().map(|name| {
        let mut name: String = name.chars().filter(is_sound).collect();
        name.truncate(name.floor_char_boundary(room));
        name
    });
    let name = names.find(|name| !name.is_empty())?;
    Some(name + tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_as_networks_take() {
        let long = "l".repeat(255);
        for (name, localpart, said) in [
            ("Alice <3", "alice", Some("Alice3/matrix")),
            ("*** ***", "alice", Some("alice/matrix")),
            ("???", "a=b.c/d", Some("abcd/matrix")),
            ("", &long, Some("lllllllllllllllll/matrix")),
            ("éééééééééé", "x", Some("éééééééé/matrix")),
            ("!", "=./", None),
        ] {
            let found = name_of(name, localpart, "/matrix");
            assert_eq!(found.as_deref(), said, "{name} {localpart}");
            assert!(found.is_none_or(|found| found.len() <= LONGEST_NAME));
        }
    }
}
