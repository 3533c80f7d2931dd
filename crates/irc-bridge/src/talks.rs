//! Talks of two go on when the one on IRC takes another nick.
//!
//! The room of a talk is named by the nick that its partner had when it began. Where that partner goes by another nick now,
//! it is written down here: what they say comes into the same room, and what the person says there goes to who they are
//! now. When somebody else takes the first nick and says something, the room is theirs, for that is its name.

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
    changes: Vec<TalkChange>,
}

/// Something that is to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TalkChange {
    person: UserId,
    room: String,
    /// `None`: the room is its name's own.
    nick: Option<String>,
}

impl TalkChange {
    /// Writes it down.
    pub(crate) async fn store(self, store: &Store, network: &str) -> Result<(), StoreError> {
        let (person, room) = ((&self.person).into(), self.room.into());
        let changed = match self.nick {
            Some(nick) => {
                let sql = "INSERT INTO talks (network, user_id, room, nick) VALUES (?1, ?2, ?3, ?4)
                    ON CONFLICT (network, user_id, room) DO UPDATE SET nick = excluded.nick";
                let values = [network.into(), person, room, nick.into()];
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
        let sql = "SELECT user_id, room, nick FROM talks WHERE network = ?1 LIMIT 10000";
        let rows = store.query(sql, [network.into()]).await?;
        let mut talks = Self::default();
        for row in &rows {
            let text = |at| row.text(at).unwrap_or_default();
            if let Ok(person) = UserId::parse(text(0)) {
                talks.note(&person, text(1), text(2));
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

    /// Somebody goes by another nick: the talks that go on, by person and the room's name.
    pub(crate) fn renamed(&mut self, from: &str, to: &str) -> Vec<(UserId, String)> {
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
                self.note(&person, &room, to);
                self.change(&person, &room, Some(to));
            }
            go_on.push((person, room));
        }
        go_on
    }

    /// Somebody with this nick says something to a person: a room of that name is theirs, and no other's any more.
    pub(crate) fn speaks(&mut self, person: &UserId, nick: &str) {
        self.forget(person, nick);
    }

    /// What is to be written down since the last time.
    pub(crate) fn take_changes(&mut self) -> Vec<TalkChange> {
        std::mem::take(&mut self.changes)
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

    fn note(&mut self, person: &UserId, room: &str, nick: &str) {
        self.nicks.insert(pair(person, room), nick.to_owned());
        self.named.insert(pair(person, nick), room.to_owned());
    }

    fn forget(&mut self, person: &UserId, room: &str) {
        if let Some(nick) = self.nicks.remove(&pair(person, room)) {
            self.named.remove(&pair(person, &nick));
            self.change(person, room, None);
        }
    }

    fn change(&mut self, person: &UserId, room: &str, nick: Option<&str>) {
        self.changes.push(TalkChange {
            person: person.clone(),
            room: room.to_owned(),
            nick: nick.map(str::to_owned),
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
        assert_eq!(talks.renamed("bob", "bobby").len(), 1);
        assert_eq!(talks.nick(&alice(), "bob"), "bobby");
        assert_eq!(talks.room(&alice(), "bobby"), "bob");
        assert_eq!(talks.renamed("bobby", "robert").len(), 1);
        assert_eq!(talks.nick(&alice(), "bob"), "robert");
        assert_eq!(talks.room(&alice(), "bobby"), "bobby");
        assert_eq!(talks.renamed("robert", "bob").len(), 1);
        assert_eq!(talks.nick(&alice(), "bob"), "bob");
        assert_eq!(talks.room(&alice(), "robert"), "robert");
    }

    #[test]
    fn nobody_gets_into_anothers_talk_by_taking_their_nick() {
        let mut talks = talking_to("bob");
        talks.renamed("bob", "bobby");
        // Somebody else is bob, and says something.
        talks.speaks(&alice(), "bob");
        assert_eq!(talks.nick(&alice(), "bob"), "bob");
        assert_eq!(talks.room(&alice(), "bobby"), "bobby");
    }

    #[test]
    fn who_has_a_room_of_the_new_nick_talks_there() {
        let mut talks = talking_to("bob");
        talks.begun(&alice(), "bobby");
        assert!(talks.renamed("bob", "bobby").is_empty());
        assert_eq!(talks.room(&alice(), "bobby"), "bobby");
        assert!(talks.renamed("nobody", "carol").is_empty());
    }

    #[test]
    fn an_ended_talk_leaves_nothing() {
        let mut talks = talking_to("bob");
        talks.renamed("bob", "bobby");
        talks.ended(&alice(), "bob");
        assert!(talks.renamed("bobby", "carol").is_empty());
        assert!(talks.nicks.is_empty() && talks.named.is_empty() && talks.rooms.is_empty());
    }

    proptest! {
        #[test]
        fn both_directions_say_the_same(steps in prop::collection::vec((0..4u8, "[a-d]", "[a-d]"), 0..40)) {
            let mut talks = Talks::default();
            for (step, one, other) in steps {
                match step {
                    0 => talks.begun(&alice(), &one),
                    1 => talks.ended(&alice(), &one),
                    2 => talks.speaks(&alice(), &one),
                    _ => drop(talks.renamed(&one, &other)),
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
