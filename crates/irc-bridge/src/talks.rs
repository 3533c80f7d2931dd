//! Talks of two go on when the one on IRC takes another nick.
//!
//! The room of a talk is named by the nick that its partner had when it began. Where that partner goes by another nick now,
//! it is written down here: what they say comes into the same room, and what the person says there goes to who they are
//! now. When somebody else takes the first nick and says something, the room is theirs, for that is its name.
//!
//! A nick that its bearer has given up may be anybody's: who has quit is meant no more, and after a restart or a netsplit
//! somebody is meant again once they were seen with the same address (user and host).

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_appservice::{
    id::UserId,
    store::{Migration, Store, StoreError},
};

/// The table of talks whose partner has another nick.
pub(crate) const TALKS: Migration = Migration {
    name: "talks",
    sql: "CREATE TABLE talks (
        network TEXT NOT NULL,
        user_id TEXT NOT NULL,
        room TEXT NOT NULL,
        nick TEXT NOT NULL,
        PRIMARY KEY (network, user_id, room)
    ) WITHOUT ROWID;",
};

/// Whose the talks are beside their nicks: a nick alone may be anybody's after a restart.
pub(crate) const TALKS_WHO: Migration = Migration {
    name: "talks_who",
    sql: "ALTER TABLE talks ADD COLUMN address TEXT;",
};

/// Talks that are followed at most; more are not, and begin anew in rooms of their own.
const MAX_TALKS: usize = 10_000;

/// A nick, folded, and the person whom its bearer talks to.
type Pair = (String, UserId);

/// The talks of one network.
#[derive(Debug, Default)]
pub(crate) struct Talks {
    /// Rooms that there are, by the nick that they are named by.
    rooms: BTreeSet<Pair>,
    /// Who is meant in a room, where that is no more the nick that it is named by.
    nicks: BTreeMap<Pair, String>,
    /// The other way round: whose room is named by another nick.
    named: BTreeMap<Pair, String>,
    /// The addresses of those who are meant, by person and room, where they are known.
    addresses: BTreeMap<Pair, String>,
    /// Who has yet to be seen again, by nick.
    awaited: BTreeMap<String, Vec<Awaited>>,
    changes: Vec<TalkChange>,
}

/// A talk whose partner has yet to be seen again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Awaited {
    person: UserId,
    room: String,
    address: String,
}

/// Something that is to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TalkChange {
    person: UserId,
    room: String,
    /// Who is meant now, and their address; `None`: the room is its name's own.
    nick: Option<(String, Option<String>)>,
}

impl TalkChange {
    /// Writes it down.
    pub(crate) async fn store(self, store: &Store, network: &str) -> Result<(), StoreError> {
        let (person, room) = ((&self.person).into(), self.room.into());
        let changed = match self.nick {
            Some((nick, address)) => {
                let sql = "INSERT INTO talks (network, user_id, room, nick, address) VALUES (?1, ?2, ?3, ?4, ?5)
                    ON CONFLICT (network, user_id, room)
                    DO UPDATE SET nick = excluded.nick, address = excluded.address";
                let values = [network.into(), person, room, nick.into(), address.into()];
                store.execute(sql, values).await
            }
            None => {
                let sql = "DELETE FROM talks WHERE network = ?1 AND user_id = ?2 AND room = ?3";
                store.execute(sql, [network.into(), person, room]).await
            }
        };
        changed.map(drop)
    }
}

impl Talks {
    /// Reads what is written down.
    pub(crate) async fn load(store: &Store, network: &str) -> Result<Self, StoreError> {
        let sql = "SELECT user_id, room, nick, address FROM talks WHERE network = ?1 LIMIT 10000";
        let rows = store.query(sql, [network.into()]).await?;
        let mut talks = Self::default();
        for row in &rows {
            let text = |at| row.text(at).unwrap_or_default();
            let Ok(person) = UserId::parse(text(0)) else {
                continue;
            };
            match row.text(3) {
                Some(address) => talks.await_again(&person, (text(1), text(2)), address),
                // Nothing could ever tell that it is they.
                None => talks.change(&person, text(1), None),
            }
        }
        Ok(talks)
    }

    /// There is a room, named by this nick.
    pub(crate) fn begun(&mut self, person: &UserId, room: &str) {
        self.rooms.insert(pair(person, room));
    }

    /// There is no such room any more.
    pub(crate) fn ended(&mut self, person: &UserId, room: &str) {
        self.rooms.remove(&pair(person, room));
        self.forget(person, room);
        self.await_no_more(|awaited| awaited.person == *person && awaited.room == room);
    }

    /// Who is meant in the room of this name.
    pub(crate) fn nick<'a>(&'a self, person: &UserId, room: &'a str) -> &'a str {
        self.nicks
            .get(&pair(person, room))
            .map_or(room, String::as_str)
    }

    /// In the room of which name somebody talks to a person.
    pub(crate) fn room<'a>(&'a self, person: &UserId, nick: &'a str) -> &'a str {
        self.named
            .get(&pair(person, nick))
            .map_or(nick, String::as_str)
    }

    /// In the room of which name somebody talked to a person, before it is known again who has this nick.
    pub(crate) fn room_then<'a>(
        &'a self,
        person: &UserId,
        nick: &'a str,
        address: Option<&str>,
    ) -> &'a str {
        let awaited = self.awaited.get(nick).into_iter().flatten();
        let mut theirs = awaited
            .filter(|awaited| awaited.person == *person && address == Some(&awaited.address));
        match theirs.next() {
            Some(awaited) => &awaited.room,
            None => self.room(person, nick),
        }
    }

    /// Somebody goes by another nick: the talks that go on, by person and the room's name.
    pub(crate) fn renamed(
        &mut self,
        (from, to): (&str, &str),
        address: Option<&str>,
    ) -> Vec<(UserId, String)> {
        let partners: Vec<UserId> = self.partners(from);
        let mut go_on = Vec::new();
        for person in partners {
            let room = self.room(&person, from).to_owned();
            self.forget(&person, &room);
            // Whoever was known by the new nick before has gone from it.
            let other = self.room(&person, to).to_owned();
            self.forget(&person, &other);
            let is_full = self.nicks.len() >= MAX_TALKS;
            let has_own = room != to && self.rooms.contains(&pair(&person, to));
            if is_full || has_own {
                continue;
            }
            if room != to {
                self.note(&person, (&room, to), address);
                self.change(&person, &room, Some((to, address)));
            }
            go_on.push((person, room));
        }
        go_on
    }

    /// Somebody with this nick says something to a person: a room of that name is theirs, and no other's any more.
    /// And who speaks from another address than the one who was meant is somebody else.
    pub(crate) fn speaks(&mut self, person: &UserId, nick: &str, address: Option<&str>) {
        self.forget(person, nick);
        self.await_no_more(|awaited| awaited.person == *person && awaited.room == nick);
        let Some(room) = self.named.get(&pair(person, nick)).cloned() else {
            return;
        };
        let known = self.addresses.get(&pair(person, &room)).map(String::as_str);
        if known.zip(address).is_some_and(|(one, other)| one != other) {
            self.forget(person, &room);
        }
    }

    /// Nobody has this nick any more: nobody is meant by it in another's room.
    pub(crate) fn gone(&mut self, nick: &str) {
        for (person, room) in self.named_by(nick) {
            self.forget(&person, &room);
        }
        for awaited in self.awaited.remove(nick).unwrap_or_default() {
            self.change(&awaited.person, &awaited.room, None);
        }
    }

    /// Who has this nick is out of sight: they have to be seen again before they are meant.
    pub(crate) fn away(&mut self, nick: &str) {
        for (person, room) in self.named_by(nick) {
            let address = self.addresses.get(&pair(&person, &room)).cloned();
            self.forget(&person, &room);
            if let Some(address) = address {
                self.change(&person, &room, Some((nick, Some(&address))));
                self.await_again(&person, (&room, nick), &address);
            }
        }
    }

    /// Whether somebody has yet to be seen again.
    pub(crate) fn awaits_somebody(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Whether it is still to be seen who is meant in a talk.
    pub(crate) fn is_awaited(&self, person: &UserId, room: &str) -> bool {
        let mut awaited = self.awaited.values().flatten();
        awaited.any(|awaited| awaited.person == *person && awaited.room == room)
    }

    /// Somebody with this nick is seen with their address: they are who was meant, or somebody else.
    pub(crate) fn seen(&mut self, nick: &str, address: &str) {
        for awaited in self.awaited.remove(nick).unwrap_or_default() {
            let Awaited { person, room, .. } = &awaited;
            // The room may be its name's own by now, and the nick may have one.
            let is_free = !self.nicks.contains_key(&pair(person, room))
                && !self.named.contains_key(&pair(person, nick));
            match is_free && awaited.address == address {
                true => self.note(person, (room, nick), Some(address)),
                false => self.change(person, room, None),
            }
        }
    }

    /// The talks in which this nick is meant without being the room's name.
    fn named_by(&self, nick: &str) -> Vec<(UserId, String)> {
        let named = self.named.iter().filter(|((named, _), _)| named == nick);
        let named = named.map(|((_, person), room)| (person.clone(), room.clone()));
        named.collect()
    }

    fn await_again(&mut self, person: &UserId, (room, nick): (&str, &str), address: &str) {
        let awaited = Awaited {
            person: person.clone(),
            room: room.to_owned(),
            address: address.to_owned(),
        };
        self.awaited
            .entry(nick.to_owned())
            .or_default()
            .push(awaited);
    }

    /// These are not waited for any more.
    fn await_no_more(&mut self, is_over: impl Fn(&Awaited) -> bool) {
        let mut over = Vec::new();
        self.awaited.retain(|_, all| {
            over.extend(all.extract_if(.., |awaited| is_over(awaited)));
            !all.is_empty()
        });
        for awaited in over {
            self.change(&awaited.person, &awaited.room, None);
        }
    }

    /// What is to be written down since the last time.
    pub(crate) fn take_changes(&mut self) -> Vec<TalkChange> {
        std::mem::take(&mut self.changes)
    }

    /// Whether a person talks to anybody.
    pub(crate) fn has_any(&self, person: &UserId) -> bool {
        self.rooms.iter().any(|(_, other)| other == person)
    }

    /// Whether anybody has a room in which this nick is meant.
    pub(crate) fn has_partner(&self, nick: &str) -> bool {
        !self.partners(nick).is_empty()
    }

    /// Those who have a room in which this nick is meant.
    fn partners(&self, nick: &str) -> Vec<UserId> {
        let is_meant = |pair: &&Pair| pair.0 == nick;
        let rooms = self.rooms.iter().filter(is_meant);
        let own = rooms.filter(|pair| !self.nicks.contains_key(*pair));
        let named = self.named.keys().filter(is_meant);
        let partners: BTreeSet<&Pair> = own.chain(named).collect();
        let partners = partners.into_iter().map(|(_, person)| person.clone());
        partners.collect()
    }

    fn note(&mut self, person: &UserId, (room, nick): (&str, &str), address: Option<&str>) {
        if let Some(address) = address {
            self.addresses
                .insert(pair(person, room), address.to_owned());
        }
        self.nicks.insert(pair(person, room), nick.to_owned());
        self.named.insert(pair(person, nick), room.to_owned());
    }

    fn forget(&mut self, person: &UserId, room: &str) {
        self.addresses.remove(&pair(person, room));
        if let Some(nick) = self.nicks.remove(&pair(person, room)) {
            self.named.remove(&pair(person, &nick));
            self.change(person, room, None);
        }
    }

    fn change(&mut self, person: &UserId, room: &str, nick: Option<(&str, Option<&str>)>) {
        let nick = nick.map(|(nick, address)| (nick.to_owned(), address.map(str::to_owned)));
        self.changes.push(TalkChange {
            person: person.clone(),
            room: room.to_owned(),
            nick,
        });
    }
}

fn pair(person: &UserId, nick: &str) -> Pair {
    (nick.to_owned(), person.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alice() -> UserId {
        UserId::parse("@alice:x").expect("an id")
    }

    fn talking_to(nick: &str) -> Talks {
        let mut talks = Talks::default();
        talks.begun(&alice(), nick);
        talks
    }

    #[test]
    fn a_talk_follows_its_partner_and_comes_back() {
        let mut talks = talking_to("bob");
        assert_eq!(talks.renamed(("bob", "bobby"), None).len(), 1);
        assert_eq!(talks.nick(&alice(), "bob"), "bobby");
        assert_eq!(talks.room(&alice(), "bobby"), "bob");
        assert_eq!(talks.renamed(("bobby", "robert"), None).len(), 1);
        assert_eq!(talks.nick(&alice(), "bob"), "robert");
        assert_eq!(talks.room(&alice(), "bobby"), "bobby");
        assert_eq!(talks.renamed(("robert", "bob"), None).len(), 1);
        assert_eq!(talks.nick(&alice(), "bob"), "bob");
        assert_eq!(talks.room(&alice(), "robert"), "robert");
    }

    #[test]
    fn nobody_gets_into_anothers_talk_by_taking_their_nick() {
        let mut talks = talking_to("bob");
        talks.renamed(("bob", "bobby"), None);
        // Somebody else is bob, and says something.
        talks.speaks(&alice(), "bob", None);
        assert_eq!(talks.nick(&alice(), "bob"), "bob");
        assert_eq!(talks.room(&alice(), "bobby"), "bobby");
    }

    #[test]
    fn who_has_a_room_of_the_new_nick_talks_there() {
        let mut talks = talking_to("bob");
        talks.begun(&alice(), "bobby");
        assert!(talks.renamed(("bob", "bobby"), None).is_empty());
        assert_eq!(talks.room(&alice(), "bobby"), "bobby");
        assert!(talks.renamed(("nobody", "carol"), None).is_empty());
    }

    #[test]
    fn an_ended_talk_leaves_nothing() {
        let mut talks = talking_to("bob");
        talks.renamed(("bob", "bobby"), None);
        talks.ended(&alice(), "bob");
        assert!(talks.renamed(("bobby", "carol"), None).is_empty());
        assert!(
            talks.nicks.is_empty()
                && talks.named.is_empty()
                && talks.rooms.is_empty()
                && talks.addresses.is_empty()
        );
    }

    #[test]
    fn who_takes_the_nick_of_somebody_who_has_gone_is_not_meant() {
        let mut talks = talking_to("bob");
        talks.renamed(("bob", "bobby"), Some("b@home"));
        talks.gone("bobby");
        assert_eq!(talks.nick(&alice(), "bob"), "bob");
        talks.renamed(("bob", "bobby"), Some("b@home"));
        talks.speaks(&alice(), "bobby", Some("e@elsewhere"));
        assert_eq!(talks.room(&alice(), "bobby"), "bobby");
    }

    #[test]
    fn what_was_said_before_the_restart_comes_into_its_talk_and_tells_nothing_of_now() {
        let mut talks = talking_to("bob");
        talks.renamed(("bob", "bobby"), Some("b@home"));
        talks.away("bobby");
        let room = |talks: &Talks, address| talks.room_then(&alice(), "bobby", address).to_owned();
        assert_eq!(room(&talks, Some("b@home")), "bob");
        assert_eq!(room(&talks, Some("e@elsewhere")), "bobby");
        assert_eq!(room(&talks, None), "bobby");
        // Whoever has the nick now has yet to be seen.
        assert_eq!(talks.nick(&alice(), "bob"), "bob");
        assert!(talks.is_awaited(&alice(), "bob"));
        talks.seen("bobby", "b@home");
        assert_eq!(room(&talks, None), "bob");
    }

    #[test]
    fn who_was_out_of_sight_is_meant_once_they_are_seen_again() {
        for (address, meant) in [("b@home", "bobby"), ("e@elsewhere", "bob")] {
            let mut talks = talking_to("bob");
            talks.renamed(("bob", "bobby"), Some("b@home"));
            talks.away("bobby");
            assert_eq!(talks.nick(&alice(), "bob"), "bob");
            assert!(talks.awaits_somebody());
            talks.seen("bobby", address);
            assert_eq!(talks.nick(&alice(), "bob"), meant);
            assert!(!talks.awaits_somebody());
        }
    }

    proptest! {
        #[test]
        fn both_directions_say_the_same(steps in prop::collection::vec((0..7u8, "[a-d]", "[a-d]"), 0..40)) {
            let mut talks = Talks::default();
            for (step, one, other) in steps {
                match step {
                    0 => talks.begun(&alice(), &one),
                    1 => talks.ended(&alice(), &one),
                    4 => talks.gone(&one),
                    5 => talks.away(&one),
                    6 => talks.seen(&one, &other),
                    2 => talks.speaks(&alice(), &one, Some(&other)),
                    _ => drop(talks.renamed((&one, &other), Some(&one))),
                }
                prop_assert_eq!(talks.nicks.len(), talks.named.len());
                for ((room, person), nick) in &talks.nicks {
                    prop_assert!(room != nick);
                    prop_assert_eq!(talks.room(person, nick), room);
                }
            }
        }
    }
}
