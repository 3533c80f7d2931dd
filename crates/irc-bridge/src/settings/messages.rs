//! How messages cross.

use std::time::Duration;

use bridgehead_appservice::config::{JsonSchema, Refusals, SecretText, Time, schemars};
use bridgehead_irc_protocol::{Source, mask::Mask};
use serde::{Deserialize, Serialize};

use crate::text::to_matrix::MentionRules;

/// How messages cross, on one network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MessageSettings {
    /// What becomes of reactions.
    pub reactions: Reactions,
    /// How long a message waits before it is said on IRC: what is edited meanwhile is said once and right, and what is
    /// deleted is never said. All of its room waits as long; `"0s"`, and nothing waits.
    pub hold: Time,
    /// How long an edit of what was said already waits, so that several edits are one correction. Nobody waits for it.
    pub fold_edits: Time,
    /// How long a reaction waits, so that several reactions to a message are one line, where they are told in words.
    pub fold_reactions: Time,
    /// Whether it is said in words that a message was deleted, where the network cannot take messages back.
    pub deletions: bool,
    /// Whether each side sees who is writing on the other, where the network has that.
    pub typing: bool,
    /// Whether those who are away on IRC are so in Matrix.
    pub presence: bool,
    /// A reply quotes what it answers if that is older; what is younger can still be seen.
    pub quote_after: Time,
    /// Nicks that are words as well: only with an `@` before it is such a one taken for somebody's name.
    pub words: Vec<String>,
    /// Bots that speak for people of other networks (`<alice> hi`), as masks such as `*!*@discord.example`.
    pub relay_bots: Vec<String>,
    /// What stands behind the names of those that the bridge speaks for by `RELAYMSG`, and before that a `/`.
    pub relay_name: String,
    /// Messages of a channel, or of a talk with one person, at most that are fetched when nobody was there to hear them, where
    /// the network keeps them; 0 for none.
    pub history: usize,
    /// A channel that nobody has listened to for longer is told so, where what was said meanwhile cannot be had and
    /// somebody else is there. Restarts of the bridge count as well.
    pub gap: Time,
}

impl Default for MessageSettings {
    fn default() -> Self {
        Self {
            reactions: Reactions::default(),
            hold: Time::from_secs(0),
            fold_edits: Time::from_secs(5),
            fold_reactions: Time::from_secs(5),
            deletions: true,
            typing: true,
            presence: true,
            quote_after: Time::from_secs(300),
            words: Vec::new(),
            relay_bots: Vec::new(),
            relay_name: "matrix".to_owned(),
            history: 1000,
            gap: Time::from_secs(5),
        }
    }
}

/// What becomes of reactions on IRC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reactions {
    /// They are told in words, to everybody.
    #[default]
    Words,
    /// They are told to programs alone (`+draft/react`), and in words where the network takes no tags.
    Tags,
    /// They are not told.
    Off,
}

impl MessageSettings {
    /// Whether somebody is one of the bots that speak for others.
    #[must_use]
    pub fn is_relay_bot(
        &self,
        who: &Source,
        mapping: bridgehead_irc_protocol::CaseMapping,
    ) -> bool {
        let mut masks = self.relay_bots.iter();
        masks.any(|mask| Mask::parse(mask).matches(who, mapping))
    }

    /// What is taken for somebody's name.
    #[must_use]
    pub fn mention_rules(&self) -> MentionRules {
        MentionRules {
            words: self.words.iter().map(|word| word.to_lowercase()).collect(),
            ..MentionRules::default()
        }
    }

    pub(super) fn check(&self, refusals: &mut Refusals<'_>, key: &str) {
        for (name, time) in [
            ("hold", self.hold),
            ("fold_edits", self.fold_edits),
            ("fold_reactions", self.fold_reactions),
        ] {
            check_hold(refusals, &format!("{key}.{name}"), time);
        }
        for mask in &self.relay_bots {
            if Mask::parse(mask).is_everybody() {
                refusals.refuse(
                    &format!("{key}.relay_bots"),
                    format!("`{mask}` is everybody: anybody could speak under any name"),
                    "name the bots, such as \"*!*@discord.example\"",
                );
            }
        }
        let is_sound = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if self.relay_name.is_empty() || !self.relay_name.chars().all(is_sound) {
            refusals.refuse(
                &format!("{key}.relay_name"),
                "it stands in nicks",
                "use letters, digits and `-` alone",
            );
        }
    }
}

/// The longest that something may wait before it is said.
const LONGEST_HOLD: Duration = Duration::from_secs(600);

/// Nobody talks to those who answer after an hour.
pub(super) fn check_hold(refusals: &mut Refusals<'_>, key: &str, time: Time) {
    if time.get() > LONGEST_HOLD {
        refusals.refuse(key, "that is too long for a talk", "take at most \"10m\"");
    }
}

/// Links by which people on IRC see pictures, files and long texts.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MediaSettings {
    /// The bridge's address for everybody, such as `https://irc.example.org`. Where none is given there are no links.
    pub public_url: Option<String>,
    /// What links are signed with: at least 16 random characters. Links signed with a lost one are dead.
    pub secret: SecretText,
    /// How long links live; for ever, where it is `"0s"`.
    pub lifetime: Time,
}

impl Default for MediaSettings {
    fn default() -> Self {
        Self {
            public_url: None,
            secret: SecretText::default(),
            lifetime: Time::from_secs(0),
        }
    }
}

impl MediaSettings {
    /// Whether there are links.
    #[must_use]
    pub fn has_links(&self) -> bool {
        self.public_url.is_some() && self.secret.get().is_some()
    }

    pub(super) fn check(&self, refusals: &mut Refusals<'_>) {
        let secret = self.secret.get().map_or(0, |secret| secret.expose().len());
        if self.public_url.is_some() && secret < 16 {
            refusals.refuse(
                "media.secret",
                "links are signed with it",
                "give at least 16 random characters, or `secret_file`",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use bridgehead_irc_protocol::CaseMapping;

    use super::*;

    #[test]
    fn bots_are_known_by_their_masks() {
        let settings = MessageSettings {
            relay_bots: vec!["*!*@discord.example".to_owned(), "gate".to_owned()],
            ..MessageSettings::default()
        };
        let is_bot =
            |source: &str| settings.is_relay_bot(&Source::parse(source), CaseMapping::Rfc1459);
        assert!(is_bot("d!u@discord.example") && is_bot("GATE!a@b"));
        assert!(!is_bot("d!u@example") && !is_bot("gateway!a@b"));
    }
}
