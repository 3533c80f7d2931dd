//! What a channel is like, for those who compare it with its room.

use std::collections::BTreeSet;

use bridgehead_appservice::id::UserId;

use super::{Hub, Owner};

/// A channel, as the observer sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picture {
    /// The topic as it came; `None` where it is not known.
    pub(crate) topic: Option<Vec<u8>>,
    /// All who are in it but the bridge.
    pub(crate) seats: Vec<Seat>,
    /// What the bridge holds there.
    pub(crate) own: Option<char>,
    /// Whether operators alone set the topic (`+t`).
    pub(crate) is_topic_kept: bool,
    /// People of Matrix who are banned; `None` where the bans are not known.
    pub(crate) barred: Option<BTreeSet<UserId>>,
    /// Whether everybody may come into a room that the bridge has made for it; `None` where that is not its affair.
    pub(crate) is_open: Option<bool>,
    /// The nicks that its bans name, folded; `None` where the bans are not known.
    pub(crate) banned: Option<BTreeSet<String>>,
    /// People of Matrix whom it has refused, and why.
    pub(crate) refused: Vec<(UserId, String)>,
    /// Who is away in a netsplit, and counts as a member.
    pub(crate) absent: Vec<String>,
}

/// Somebody in a channel.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    /// How they write their nick.
    pub(crate) nick: String,
    /// The person of Matrix whose client it is.
    pub(crate) person: Option<UserId>,
    /// The highest mode that they hold.
    pub(crate) mode: Option<char>,
}

impl Hub {
    /// What a channel is like now.
    pub(super) fn picture(&self, channel: &str) -> Option<Picture> {
        let known = self.watcher(channel)?.view.channel(channel)?;
        let folded = self.directory.read().case_mapping().fold(channel);
        let mut picture = Picture {
            topic: known.topic().map(|topic| topic.text.clone()),
            is_topic_kept: known.has_mode('t'),
            barred: self.barred(channel),
            is_open: self.is_open(channel),
            banned: self.banned_nicks(channel),
            ..Picture::default()
        };
        for member in known.members() {
            let nick = member.source.name;
            let mode = member.modes.first().copied();
            let person = match self.own(&nick) {
                Some(Owner::Bot) => {
                    picture.own = mode;
                    continue;
                }
                Some(Owner::Person(person)) => Some(person),
                None if self.directory.read().is_or_was_ours(&nick) => continue,
                None => None,
            };
            picture.seats.push(Seat { nick, person, mode });
        }
        picture.refused = self.refused_people(&folded);
        let absent = self.split.iter();
        let absent = absent.filter(|(_, (channels, _))| channels.contains(&folded));
        picture.absent = absent.map(|(nick, _)| nick.clone()).collect();
        Some(picture)
    }

    fn refused_people(&self, folded: &str) -> Vec<(UserId, String)> {
        let clients = self.clients.values();
        let refused = clients.filter_map(|client| {
            let (_, why) = client.refused.get(folded)?;
            Some((client.owner.person()?.clone(), why.clone()))
        });
        refused.collect()
    }
}
