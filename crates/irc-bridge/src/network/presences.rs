//! Who is there, away, or gone: told to Matrix, and told again from time to time, for homeservers keep it in memory alone
//! and forget it of users that nobody is logged in as.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bridgehead_appservice::bridge::RemotePresence;

use super::Hub;

/// How often it is told again.
const AGAIN: Duration = Duration::from_secs(300);
/// Of whom it is told again at most: they take their turns well within that time.
const MAX_TOLD: usize = 2_000;

/// What Matrix is told again, by folded nick: who is away, and whom somebody talks to alone.
#[derive(Debug, Default)]
pub(super) struct Presences {
    told: BTreeMap<String, RemotePresence>,
    again_at: Option<Instant>,
}

impl Presences {
    /// This was told. Whoever is gone, or there and of no interest, is as a homeserver takes them to be by itself.
    fn note(&mut self, nick: &str, presence: &RemotePresence, is_partner: bool) {
        let is_kept = match presence {
            RemotePresence::Away(_) => true,
            RemotePresence::Online => is_partner,
            _ => false,
        };
        if !is_kept {
            self.told.remove(nick);
        } else if self.told.len() < MAX_TOLD || self.told.contains_key(nick) {
            self.told.insert(nick.to_owned(), presence.clone());
        }
    }

    /// What is to be told again, when it is time for it.
    fn due(&mut self, now: Instant) -> Vec<(String, RemotePresence)> {
        let again_at = *self.again_at.get_or_insert(now + AGAIN);
        if again_at > now {
            return Vec::new();
        }
        self.again_at = Some(now + AGAIN);
        let told = self.told.iter();
        told.map(|(nick, presence)| (nick.clone(), presence.clone()))
            .collect()
    }
}

impl Hub {
    /// Somebody on IRC is there, is away, or has gone.
    pub(super) fn tell_presence(&mut self, nick: &str, presence: RemotePresence) {
        if !self.settings.messages.presence || self.own(nick).is_some() {
            return;
        }
        let nick = self.nick(nick);
        let is_partner = self.monitor.is_watched(&nick.nick);
        self.presences.note(&nick.nick, &presence, is_partner);
        self.remote.presence(&nick, presence);
    }

    /// Whether somebody has said that they are away.
    pub(super) fn is_away(&self, folded: &str) -> bool {
        matches!(
            self.presences.told.get(folded),
            Some(RemotePresence::Away(_))
        )
    }

    /// Somebody has left the network: what was told of them is so no more.
    pub(super) fn tell_absent(&mut self, nick: &str) {
        let folded = self.directory.read().case_mapping().fold(nick);
        if self.presences.told.contains_key(&folded) {
            self.tell_presence(nick, RemotePresence::Offline);
        }
    }

    /// Somebody goes by another nick, and is as they were.
    pub(super) fn tell_presence_moved(&mut self, from: &str, to: &str) {
        let folded = self.directory.read().case_mapping().fold(from);
        if let Some(presence) = self.presences.told.get(&folded).cloned() {
            self.tell_presence(from, RemotePresence::Offline);
            self.tell_presence(to, presence);
        }
    }

    /// Tells again what a homeserver may have forgotten.
    pub(super) fn tell_presences_again(&mut self, now: Instant) {
        for (nick, presence) in self.presences.due(now) {
            self.remote.presence(&self.nick(&nick), presence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_away_is_told_again_and_who_is_back_is_not() {
        let begin = Instant::now();
        let away = RemotePresence::Away(Some("lunch".to_owned()));
        let mut presences = Presences::default();
        presences.note("ann", &away, false);
        presences.note("bob", &away, false);
        presences.note("bob", &RemotePresence::Online, false);
        presences.note("carol", &RemotePresence::Online, true);
        assert_eq!(presences.due(begin), []);
        let again = presences.due(begin + AGAIN);
        let carol = ("carol".to_owned(), RemotePresence::Online);
        assert_eq!(again, [("ann".to_owned(), away), carol]);
        assert_eq!(presences.due(begin + AGAIN), [], "once each time");
        presences.note("ann", &RemotePresence::Offline, false);
        presences.note("carol", &RemotePresence::Offline, true);
        assert_eq!(presences.due(begin + AGAIN * 2), []);
    }

    #[test]
    fn so_many_are_told_again_and_no_more() {
        let mut presences = Presences::default();
        for n in 0..=MAX_TOLD {
            presences.note(&n.to_string(), &RemotePresence::Away(None), false);
        }
        assert_eq!(presences.told.len(), MAX_TOLD);
    }
}
