//! What differs between a channel and its room: who is there, who may do what, who is banned, what it is about.
//!
//! Both sides follow each other at once, so mostly there is nothing to tell. What stays different is what one side was
//! not allowed to do; [`missing`](lacks::missing) says what that is.
//!
//! - [`compare`] is pure: two pictures, and their differences
//! - `ask` makes the pictures, and answers who asks
//! - `mend` brings both sides in line
//! - `lacks` what the bridge has not the power for

mod ask;
mod lacks;
mod mend;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use bridgehead_appservice::id::UserId;

pub(crate) use self::ask::commands;
use crate::network::{
    Picture, in_one_line,
    standing::{is_same_standing, level_of},
};

/// Differences that are told at most.
const MAX_TOLD: usize = 50;

/// A room, as far as it is to be like its channel.
#[derive(Debug, Default)]
struct RoomPicture {
    /// Nicks of those on IRC who are in it, folded.
    ghosts: BTreeSet<String>,
    /// Powers of those on IRC, by folded nick; who has none is not named.
    ghost_levels: BTreeMap<String, i64>,
    /// People of Matrix who are in it, with their powers.
    people: BTreeMap<UserId, i64>,
    /// People of Matrix who are banned.
    banned: BTreeSet<UserId>,
    /// Nicks of those on IRC who are banned, folded.
    banned_ghosts: BTreeSet<String>,
    topic: String,
    /// Whether everybody may come into it; `None` where the bridge has not made it, and it is others' to say.
    is_open: Option<bool>,
}

/// What is kept the same at all.
#[derive(Clone, Copy, Debug)]
struct Kept {
    to_matrix: bool,
    to_irc: bool,
    powers: bool,
    bans: bool,
    topics: bool,
}

/// Something that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Drift {
    /// Somebody is in the channel, and not in the room.
    NotInRoom(String),
    /// Somebody is in the room who is in the channel no more.
    NotInChannel(String),
    /// A person of Matrix is in the room, and not in the channel; and why, where it is known.
    NotOnIrc(UserId, Option<String>),
    /// Somebody on IRC has this level in the room, and this mode in the channel.
    Power(String, i64, Option<char>),
    /// The same for a person of Matrix.
    PersonsPower(UserId, i64, Option<char>),
    /// A person is banned from the channel, and not from the room.
    NotBanned(UserId),
    /// Somebody on IRC is banned from the room, and not from the channel.
    GhostNotBanned(String),
    /// Whether everybody may come into the channel; with the room it is the other way.
    Open(bool),
    /// The topics: the channel's, and the room's.
    Topic(String, String),
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holds =
            |mode: &Option<char>| mode.map_or("nothing".to_owned(), |mode| format!("+{mode}"));
        match self {
            Self::NotInRoom(nick) => write!(f, "{nick} is in the channel, and not in the room"),
            Self::NotInChannel(nick) => write!(f, "{nick} is in the room, and not in the channel"),
            Self::NotOnIrc(person, why) => {
                write!(f, "{person} is in the room, and not in the channel")?;
                why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            Self::Power(nick, level, mode) => {
                write!(
                    f,
                    "{nick} has the power {level} in the room, and {} in the channel",
                    holds(mode)
                )
            }
            Self::PersonsPower(person, level, mode) => {
                write!(
                    f,
                    "{person} has the power {level} in the room, and {} in the channel",
                    holds(mode)
                )
            }
            Self::NotBanned(person) => {
                write!(
                    f,
                    "{person} is banned from the channel, and not from the room"
                )
            }
            Self::GhostNotBanned(nick) => {
                write!(
                    f,
                    "{nick} is banned from the room, and not from the channel"
                )
            }
            Self::Open(true) => write!(
                f,
                "everybody may come into the channel, and into the room only who is invited"
            ),
            Self::Open(false) => write!(
                f,
                "the channel is closed (`+i` or `+k`), and everybody may come into the room"
            ),
            Self::Topic(channel, room) => {
                write!(
                    f,
                    "the channel's topic is \"{channel}\", and the room's \"{room}\""
                )
            }
        }
    }
}

/// Whether the channel's topic is the room's, as far as a server has taken it.
pub(crate) fn is_same_topic(channel: &str, room: &str) -> bool {
    let given = in_one_line(room);
    channel == room || channel == given || (!channel.is_empty() && given.starts_with(channel))
}

/// How the network folds a nick.
type Fold<'a> = &'a dyn Fn(&str) -> String;

/// What differs between a channel and its room.
fn compare(
    look: &Picture,
    room: &RoomPicture,
    kept: Kept,
    (topic, fold): (Option<&str>, Fold<'_>),
) -> Vec<Drift> {
    let mut all = members(look, room, kept, fold);
    if kept.powers {
        all.extend(powers(look, room, fold));
    }
    if kept.bans {
        let barred = look.barred.iter().flatten();
        let not_banned = barred.filter(|person| !room.banned.contains(*person));
        all.extend(not_banned.cloned().map(Drift::NotBanned));
        // People of Matrix who are banned in the room alone are kept out there, and so from the channel as well.
        if let Some(banned) = &look.banned {
            let not_banned = room.banned_ghosts.difference(banned);
            all.extend(not_banned.cloned().map(Drift::GhostNotBanned));
        }
    }
    if let (Some(channel), Some(room)) = (look.is_open, room.is_open)
        && channel != room
    {
        all.push(Drift::Open(channel));
    }
    if let Some(topic) = topic.filter(|topic| kept.topics && !is_same_topic(topic, &room.topic)) {
        all.push(Drift::Topic(topic.to_owned(), room.topic.clone()));
    }
    all
}

fn members(look: &Picture, room: &RoomPicture, kept: Kept, fold: Fold<'_>) -> Vec<Drift> {
    let mut all = Vec::new();
    let others = look.seats.iter().filter(|seat| seat.person.is_none());
    let there: BTreeMap<String, &str> = others
        .map(|seat| (fold(&seat.nick), seat.nick.as_str()))
        .collect();
    if kept.to_matrix {
        let missing = there
            .iter()
            .filter(|(nick, _)| !room.ghosts.contains(*nick));
        all.extend(missing.map(|(_, nick)| Drift::NotInRoom((*nick).to_owned())));
        let is_gone = |nick: &&String| !there.contains_key(*nick) && !look.absent.contains(nick);
        let gone = room.ghosts.iter().filter(is_gone);
        all.extend(gone.cloned().map(Drift::NotInChannel));
    }
    if kept.to_irc {
        let on_irc: BTreeSet<&UserId> = look
            .seats
            .iter()
            .filter_map(|seat| seat.person.as_ref())
            .collect();
        let missing = room.people.keys().filter(|person| !on_irc.contains(person));
        all.extend(missing.map(|person| {
            let why = look.refused.iter().find(|(refused, _)| refused == person);
            Drift::NotOnIrc(person.clone(), why.map(|(_, why)| why.clone()))
        }));
    }
    all
}

fn powers(look: &Picture, room: &RoomPicture, fold: Fold<'_>) -> Vec<Drift> {
    let powers = look.seats.iter().filter_map(|seat| match &seat.person {
        Some(person) => {
            let level = *room.people.get(person)?;
            let differs = !is_same_standing(level, level_of(seat.mode));
            differs.then(|| Drift::PersonsPower(person.clone(), level, seat.mode))
        }
        None => {
            let level = room
                .ghost_levels
                .get(&fold(&seat.nick))
                .copied()
                .unwrap_or(0);
            let differs = !is_same_standing(level, level_of(seat.mode));
            differs.then(|| Drift::Power(seat.nick.clone(), level, seat.mode))
        }
    });
    powers.collect()
}

/// Differences for people to read, or that there are none.
fn told(all: &[Drift]) -> String {
    if all.is_empty() {
        return "The channel and the room are the same.".to_owned();
    }
    let lines = all.iter().take(MAX_TOLD).map(|drift| format!("- {drift}"));
    let mut lines: Vec<String> = lines.collect();
    if all.len() > MAX_TOLD {
        lines.push(format!("- and {} more", all.len() - MAX_TOLD));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Seat;

    const ALL: Kept = Kept {
        to_matrix: true,
        to_irc: true,
        powers: true,
        bans: true,
        topics: true,
    };

    fn id(name: &str) -> UserId {
        UserId::parse(&format!("@{name}:example.org")).expect("an id")
    }

    fn seat(nick: &str, person: Option<&str>, mode: Option<char>) -> Seat {
        Seat {
            nick: nick.to_owned(),
            person: person.map(id),
            mode,
        }
    }

    fn check(look: &Picture, room: &RoomPicture, kept: Kept, wanted: &[&str]) {
        let fold = |nick: &str| nick.to_lowercase();
        let all = compare(look, room, kept, (Some("tea"), &fold));
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(all, wanted);
    }

    fn same() -> (Picture, RoomPicture) {
        let look = Picture {
            seats: vec![
                seat("Bob", None, Some('o')),
                seat("alice[m]", Some("alice"), Some('v')),
            ],
            ..Picture::default()
        };
        let room = RoomPicture {
            ghosts: ["bob".to_owned()].into(),
            ghost_levels: [("bob".to_owned(), 60)].into(),
            people: [(id("alice"), 10)].into(),
            topic: "tea".to_owned(),
            ..RoomPicture::default()
        };
        (look, room)
    }

    #[test]
    fn what_is_the_same_is_no_difference() {
        let (look, room) = same();
        check(&look, &room, ALL, &[]);
        assert_eq!(told(&[]), "The channel and the room are the same.");
    }

    #[test]
    fn each_difference_is_told() {
        let (mut look, mut room) = same();
        look.seats[0].mode = None;
        look.seats.push(seat("Carol", None, None));
        look.seats[1] = seat("dan[m]", Some("dan"), None);
        look.refused = vec![(id("alice"), "you are banned".to_owned())];
        look.barred = Some([id("eve")].into());
        look.banned = Some(["troll".to_owned()].into());
        look.is_open = Some(false);
        look.absent = vec!["away".to_owned()];
        room.ghosts.extend(["gone".to_owned(), "away".to_owned()]);
        room.people.insert(id("dan"), 50);
        room.banned_ghosts = ["mallory".to_owned(), "troll".to_owned()].into();
        room.is_open = Some(true);
        room.topic = "coffee".to_owned();
        let wanted = [
            "Carol is in the channel, and not in the room",
            "gone is in the room, and not in the channel",
            "@alice:example.org is in the room, and not in the channel: you are banned",
            "Bob has the power 60 in the room, and nothing in the channel",
            "@dan:example.org has the power 50 in the room, and nothing in the channel",
            "@eve:example.org is banned from the channel, and not from the room",
            "mallory is banned from the room, and not from the channel",
            "the channel is closed (`+i` or `+k`), and everybody may come into the room",
            "the channel's topic is \"tea\", and the room's \"coffee\"",
        ];
        check(&look, &room, ALL, &wanted);
    }

    #[test]
    fn what_is_not_kept_the_same_may_differ() {
        let (mut look, mut room) = same();
        look.seats.clear();
        look.banned = Some(BTreeSet::new());
        room.topic.clear();
        room.banned_ghosts.insert("mallory".to_owned());
        // Whose room it is has opened it.
        look.is_open = Some(false);
        room.is_open = None;
        let nothing = Kept {
            to_matrix: false,
            to_irc: false,
            powers: false,
            bans: false,
            topics: false,
        };
        check(&look, &room, nothing, &[]);
    }

    #[test]
    fn a_topic_that_the_server_has_cut_is_the_same() {
        assert!(is_same_topic("tea an", "tea and cake"));
        assert!(is_same_topic("tea | cake", "tea\n\n  cake\n"));
        assert!(!is_same_topic("", "tea"));
        assert!(!is_same_topic("tea and cake", "tea"));
    }
}
