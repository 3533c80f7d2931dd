//! How somebody is connected, where they are, and why not: what `status` and `why` tell. What the network says as a whole
//! is in [`look`](super::look).

use bridgehead_appservice::{bridge::SendError, id::UserId};

use super::{Hub, Owner, client::Standing, standing::level_of};
use crate::clock::now;

impl Hub {
    /// How somebody is connected.
    pub(super) fn status_of(&self, owner: &Owner) -> String {
        let Some(client) = self.clients.get(owner) else {
            let words = "You have no connection; you get one when you speak.";
            return match self.why_nobody_is_connected() {
                Some(why) => format!("{words} The bridge itself is not connected: {why}."),
                None => words.to_owned(),
            };
        };
        let Some(facts) = self.live_facts(owner) else {
            return self.why_not_connected(owner);
        };
        let standings = client.live.as_ref().map(|live| &live.standings);
        let channels: Vec<&str> = standings
            .into_iter()
            .flat_map(|standings| standings.keys())
            .map(String::as_str)
            .collect();
        let lag = facts
            .lag_ms
            .map_or(String::new(), |lag| format!(", {lag} ms away"));
        let refused = client.refused.iter();
        let refused = refused.map(|(channel, (_, why))| format!("\n{channel} refuses you: {why}"));
        format!(
            "You are {}{lag}, in {}.{}",
            facts.source,
            if channels.is_empty() {
                "no channel".to_owned()
            } else {
                channels.join(", ")
            },
            refused.collect::<String>()
        )
    }

    /// Why the bridge's own connection does not stand, which meets everybody.
    fn why_nobody_is_connected(&self) -> Option<&str> {
        let bot = self.clients.get(&Owner::Bot)?;
        let is_up = bot.live.as_ref().is_some_and(|live| live.is_ready);
        bot.last_error.as_deref().filter(|_| !is_up)
    }

    fn why_not_connected(&self, owner: &Owner) -> String {
        let client = self.clients.get(owner);
        let why = client.and_then(|client| client.last_error.as_deref());
        let why = why.or_else(|| self.bucket.why(now()));
        let is_begun = client.is_some_and(|client| client.live.is_some());
        let why = why.or_else(|| is_begun.then_some("the connection is being made"));
        format!(
            "You are not connected: {}.",
            why.unwrap_or("none was needed")
        )
    }

    /// How somebody stands to a channel, folded here: whether they are in it, may speak there, and are heard; and why not.
    pub(super) fn why(&self, person: &UserId, channel: &str) -> String {
        let told = [
            self.why_not_in(person, channel),
            self.why_not_heard(channel),
        ];
        told.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }

    fn why_not_in(&self, person: &UserId, channel: &str) -> Option<String> {
        let owner = match self.owner_for(&self.channel(channel), person) {
            Ok(owner) => owner,
            Err(SendError::Reject(no)) => {
                return Some(format!("You may not speak in {channel}: {}.", no.reason));
            }
            Err(_) => return None,
        };
        if owner == Owner::Bot {
            return Some(format!(
                "In {channel} the bridge speaks for you, by its own connection."
            ));
        }
        let client = self.clients.get(&owner);
        let refused = client.and_then(|client| client.refused.get(channel));
        let live = client.and_then(|client| client.live.as_ref());
        let standing = live.and_then(|live| live.standings.get(channel));
        Some(match (standing, refused) {
            (Some(Standing::In), _) => self.why_silent(person, channel),
            (None, Some((_, why))) => format!(
                "{channel} refuses you: {why}. It is tried again by itself; `reconnect` tries at once."
            ),
            _ if self.live_facts(&owner).is_none() => {
                let why = self.why_not_connected(&owner);
                format!("You are not in {channel}. {why} You connect when you speak.")
            }
            (Some(Standing::Joining), _) => {
                format!("You are about to enter {channel}: the server has not answered yet.")
            }
            (None, None) => {
                format!("You are not in {channel}: you enter it when you speak in its room.")
            }
        })
    }

    /// Of somebody who is in a channel.
    fn why_silent(&self, person: &UserId, channel: &str) -> String {
        let owner = Owner::Person(person.clone());
        let nick = self.directory.read().nick(&owner).map(str::to_owned);
        let nick = nick.unwrap_or_default();
        let has_voice = level_of(self.standing(channel, &nick)) > 0;
        let why = match self.quiet_for(channel, person) {
            _ if has_voice => String::new(),
            Some(mask) => format!(", and may not speak there: it is quieted for {mask}"),
            None if self.is_moderated(channel) => {
                ", and may not speak there: it is moderated (`+m`), and you have no voice"
                    .to_owned()
            }
            None => String::new(),
        };
        format!("You are in {channel} as {nick}{why}.")
    }

    /// Of what is said in a channel.
    fn why_not_heard(&self, channel: &str) -> Option<String> {
        if !self.is_bridged(channel) {
            return Some(format!(
                "{channel} has no room here: `!join {channel}` makes one, where the bridge may."
            ));
        }
        if self.observer(channel).is_some() {
            return None;
        }
        let bot = self.clients.get(&Owner::Bot);
        let refused = bot.and_then(|bot| bot.refused.get(channel));
        let is_ready = self.live_facts(&Owner::Bot).is_some();
        let why = match refused {
            Some((_, why)) => format!("{channel} refuses it: {why}"),
            None if is_ready => "it is about to enter the channel".to_owned(),
            None => {
                let error = bot.and_then(|bot| bot.last_error.as_deref());
                format!("it is not connected: {}", error.unwrap_or("not yet"))
            }
        };
        Some(format!("The bridge does not hear {channel}: {why}."))
    }
}
