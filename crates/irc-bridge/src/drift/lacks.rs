//! What the bridge has not the power for. It works without: what it cannot do is left as it is, and told here.

use bridgehead_appservice::{JoinRule, Power, PowerLevels};

use super::Kept;
use crate::network::{Picture, standing::level_of};

/// What the bridge's own user cannot do in a room, and what that takes.
pub(super) fn in_room(
    (levels, own): (&PowerLevels, Power),
    rule: Option<&JoinRule>,
    kept: Kept,
) -> Vec<String> {
    let is_open = rule == Some(&JoinRule::Public);
    let topic = levels.to_set("m.room.topic");
    let power = levels.to_set("m.room.power_levels");
    let all = [
        (
            !is_open,
            levels.to_invite(),
            "invite those who are on IRC, so that they can come in",
        ),
        (
            kept.to_irc,
            levels.to_kick(),
            "put people out whom the channel has kicked",
        ),
        (
            kept.bans,
            levels.to_ban(),
            "ban people whom the channel has banned",
        ),
        (kept.powers, power, "give power to the channel's operators"),
        (kept.topics, topic, "set the topic"),
        (true, levels.to_redact(), "take back what others have said"),
    ];
    let lacking = all
        .into_iter()
        .filter(|(is_wanted, level, _)| *is_wanted && !own.is_at_least(*level));
    lacking
        .map(|(_, level, what)| format!("{what} (that takes {level}, the bridge has {own})"))
        .collect()
}

/// What the bridge cannot do in a channel.
pub(super) fn in_channel(look: &Picture, kept: Kept) -> Vec<String> {
    let is_half = level_of(look.own) >= level_of(Some('h'));
    let is_full = level_of(look.own) >= level_of(Some('o'));
    let all = [
        (true, is_half, "kick and ban whom the room has removed"),
        (
            kept.powers,
            is_full,
            "give `+o` and `+v` to those who have power in the room",
        ),
        (kept.topics && look.is_topic_kept, is_half, "set the topic"),
        (
            true,
            is_half,
            "invite into the channel when that is for operators",
        ),
    ];
    let lacking = all
        .into_iter()
        .filter(|(is_wanted, can, _)| *is_wanted && !can);
    lacking.map(|(_, _, what)| what.to_owned()).collect()
}

/// Both for people to read.
pub(super) fn told(in_room: &[String], in_channel: &[String]) -> String {
    let section = |what: &str, lacks: &[String], cure: &str| {
        let lacks: Vec<String> = lacks.iter().map(|lack| format!("- {lack}")).collect();
        match lacks.is_empty() {
            true => format!("In {what} the bridge can do all it has to."),
            false => format!(
                "In {what} the bridge cannot:\n{}\n\n{cure}",
                lacks.join("\n")
            ),
        }
    };
    let room = section("the room", in_room, "Give it that power to have it done.");
    let cure = "Make it an operator there (`/mode +o`) to have it done; people who are operators themselves do it with \
                their own connections.";
    let channel = section("the channel", in_channel, cure);
    format!("{room}\n\n{channel}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Kept = Kept {
        to_matrix: true,
        to_irc: true,
        powers: true,
        bans: true,
        topics: true,
    };

    #[test]
    fn an_operator_lacks_nothing() {
        let look = |own| Picture {
            own,
            is_topic_kept: true,
            ..Picture::default()
        };
        assert_eq!(in_channel(&look(Some('o')), KEPT), Vec::<String>::new());
        assert_eq!(in_channel(&look(Some('h')), KEPT).len(), 1);
        let nobody = in_channel(&look(None), KEPT);
        assert_eq!(nobody.len(), 4);
        let told = told(&[], &nobody);
        assert!(told.contains("In the room the bridge can do all"), "{told}");
        assert!(told.contains("- set the topic"), "{told}");
    }
}
