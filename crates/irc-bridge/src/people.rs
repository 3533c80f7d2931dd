//! People of Matrix as clients of a network: the nick that they have chosen, their user name, their address. On disk,
//! so that they are the same after a restart.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
};

use bridgehead_appservice::{
    id::UserId,
    store::{Migration, Store, StoreError},
};

use crate::{
    ids::is_nick,
    settings::NetworkSettings,
    text::names::{self, NickTemplate},
};

/// The table of people.
pub(crate) const PEOPLE: Migration = Migration {
    name: "people",
    sql: "CREATE TABLE people (
        number INTEGER PRIMARY KEY,
        network TEXT NOT NULL,
        user_id TEXT NOT NULL,
        username TEXT NOT NULL,
        nick TEXT,
        called TEXT,
        UNIQUE (network, user_id),
        UNIQUE (network, username)
    );",
};

/// Bytes of a nick that servers take, before a server has said how many: InspIRCd refuses what is longer.
pub(crate) const NICK_BYTES: usize = 30;

/// Bits of the prefix of a range of addresses at most: a smaller range is full soon.
const LONGEST_PREFIX: u32 = 112;

/// The people of one network.
#[derive(Clone)]
pub(crate) struct People {
    store: Store,
    network: String,
}

/// A person, as a client is made of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// Nicks to try, the wanted one first.
    pub(crate) nicks: Vec<String>,
    /// The user name, which no other person of the network has.
    pub(crate) username: String,
    /// The address to connect from.
    pub(crate) address: Option<IpAddr>,
}

/// What somebody had at another bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PersonLeft {
    /// Their user name.
    pub(crate) username: Option<String>,
    /// The nick that they have chosen.
    pub(crate) nick: Option<String>,
    /// The number that their address has.
    pub(crate) number: Option<i64>,
}

/// Why somebody is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeopleError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// All user names are taken.
    #[error("no user name is free for this person")]
    NoUsername,
    /// It is no user name.
    #[error(
        "`{0}` is no user name: it begins with a small letter, has small letters, digits, `-`, `_` and `.` after it, and \
         at most {max} characters in all",
        max = names::MAX_IDENT_BYTES
    )]
    NotUsername(String),
    /// Somebody else has it.
    #[error("somebody else has the user name `{0}`")]
    UsernameTaken(String),
    /// It is no nick.
    #[error(
        "`{0}` is no nick: it has to begin with a letter, and has no spaces, dots or punctuation"
    )]
    NoNick(String),
    /// The configuration's template, or range of addresses.
    #[error("the configuration cannot be used: {0}")]
    Settings(String),
}

impl People {
    /// Those who are known.
    pub(crate) async fn load(store: Store, network: &str) -> Result<Self, StoreError> {
        // Read once, so that what is wrong with the table is told at the start.
        store.query("SELECT count(*) FROM people", []).await?;
        Ok(Self {
            store,
            network: network.to_owned(),
        })
    }

    /// What a person's client is made of; who is new is given a user name, for good.
    pub(crate) async fn person(
        &self,
        user: &UserId,
        (settings, name): (&NetworkSettings, Option<&str>),
    ) -> Result<Person, PeopleError> {
        let template = NickTemplate::parse(&settings.people.nick)
            .map_err(|error| PeopleError::Settings(error.to_string()))?;
        let who = names::Person {
            user_id: user,
            display_name: name,
        };
        let made = template.nick(&who, NICK_BYTES);
        let (number, username, chosen, called) = self.row(user).await?;
        let mut nicks: Vec<String> = chosen.into_iter().chain([made]).collect();
        // Under the nick of last time they are known on IRC, where it was one of those that follow from theirs.
        nicks.extend(called);
        let first = nicks[0].clone();
        nicks.extend(names::ladder(&first, NICK_BYTES).take(5));
        let mut seen = BTreeSet::new();
        nicks.retain(|nick| seen.insert(nick.clone()));
        Ok(Person {
            nicks,
            username,
            address: address_of(settings, number)?,
        })
    }

    async fn row(
        &self,
        user: &UserId,
    ) -> Result<(i64, String, Option<String>, Option<String>), PeopleError> {
        let sql =
            "SELECT number, username, nick, called FROM people WHERE network = ?1 AND user_id = ?2";
        let values = || [(&self.network).into(), user.into()];
        let mut rows = self.store.query(sql, values()).await?;
        if rows.is_empty() {
            self.insert(user).await?;
            rows = self.store.query(sql, values()).await?;
        }
        let row = rows.first().ok_or(PeopleError::NoUsername)?;
        Ok((
            row.integer(0).unwrap_or_default(),
            row.text(1).unwrap_or_default().to_owned(),
            row.text(2).map(str::to_owned),
            row.text(3).map(str::to_owned),
        ))
    }

    async fn insert(&self, user: &UserId) -> Result<(), PeopleError> {
        let username = self.free_username(user).await?;
        let sql = "INSERT INTO people (network, user_id, username) VALUES (?1, ?2, ?3)";
        let values = [(&self.network).into(), user.into(), username.into()];
        self.store.execute(sql, values).await?;
        Ok(())
    }

    /// A user name that nobody has.
    async fn free_username(&self, user: &UserId) -> Result<String, PeopleError> {
        // Names that are tried begin alike, so only those are asked for; there may be many others.
        let first = names::ident(user, names::MAX_IDENT_BYTES, &|_| false);
        let first = first.ok_or(PeopleError::NoUsername)?;
        let begin = &first[..first.len().min(names::MAX_IDENT_BYTES - 5)];
        let sql = "SELECT username FROM people WHERE network = ?1 AND substr(username, 1, ?3) = ?2";
        let length = i64::try_from(begin.len()).unwrap_or(1);
        let values = [(&self.network).into(), begin.into(), length.into()];
        let taken = self.store.query(sql, values).await?;
        let taken: BTreeSet<&str> = taken.iter().filter_map(|row| row.text(0)).collect();
        names::ident(user, names::MAX_IDENT_BYTES, &|name| taken.contains(name))
            .ok_or(PeopleError::NoUsername)
    }

    /// Somebody comes over from another bridge, with what they had there; whether they were new here. Who is known keeps
    /// what they have. What somebody else has here is left out: `None` in what comes back.
    pub(crate) async fn adopt(
        &self,
        user: &UserId,
        left: PersonLeft,
    ) -> Result<Option<PersonLeft>, PeopleError> {
        let sql = "SELECT 1 FROM people WHERE network = ?1 AND user_id = ?2";
        let known = [(&self.network).into(), user.into()];
        if !self.store.query(sql, known).await?.is_empty() {
            return Ok(None);
        }
        let mut left = left;
        left.username = left.username.filter(|name| is_username(name));
        left.nick = left.nick.filter(|nick| is_nick(nick) && nick.len() <= 64);
        left.number = left.number.filter(|number| *number > 0);
        if let Some(name) = &left.username {
            let sql = "SELECT 1 FROM people WHERE network = ?1 AND username = ?2";
            let taken = self
                .store
                .query(sql, [(&self.network).into(), name.into()])
                .await?;
            left.username = left.username.filter(|_| taken.is_empty());
        }
        if let Some(number) = left.number {
            let sql = "SELECT 1 FROM people WHERE number = ?1";
            let taken = self.store.query(sql, [number.into()]).await?;
            left.number = left.number.filter(|_| taken.is_empty());
        }
        let username = match &left.username {
            Some(name) => name.clone(),
            None => self.free_username(user).await?,
        };
        let sql = "INSERT INTO people (number, network, user_id, username, nick) VALUES (?1, ?2, ?3, ?4, ?5)";
        let values = [
            left.number.into(),
            (&self.network).into(),
            user.into(),
            username.into(),
            left.nick.as_deref().into(),
        ];
        self.store.execute(sql, values).await?;
        Ok(Some(left))
    }

    /// A person has chosen a user name.
    pub(crate) async fn choose_username(
        &self,
        user: &UserId,
        name: &str,
    ) -> Result<(), PeopleError> {
        if !is_username(name) {
            return Err(PeopleError::NotUsername(name.to_owned()));
        }
        self.row(user).await?;
        let sql = "UPDATE people SET username = ?3 WHERE network = ?1 AND user_id = ?2
            AND NOT EXISTS (SELECT 1 FROM people WHERE network = ?1 AND username = ?3 AND user_id != ?2)";
        let values = [(&self.network).into(), user.into(), name.into()];
        match self.store.execute(sql, values).await? {
            0 => Err(PeopleError::UsernameTaken(name.to_owned())),
            _ => Ok(()),
        }
    }

    /// The nicks that people were called by last.
    pub(crate) async fn nicks(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT called FROM people WHERE network = ?1 AND called IS NOT NULL";
        let rows = self.store.query(sql, [(&self.network).into()]).await?;
        let nicks = rows.iter().filter_map(|row| row.text(0));
        Ok(nicks.map(str::to_owned).collect())
    }

    /// A person has chosen a nick.
    pub(crate) async fn choose_nick(&self, user: &UserId, nick: &str) -> Result<(), PeopleError> {
        if !is_nick(nick) || nick.len() > 64 {
            return Err(PeopleError::NoNick(nick.to_owned()));
        }
        self.row(user).await?;
        let sql = "UPDATE people SET nick = ?3 WHERE network = ?1 AND user_id = ?2";
        let values = [(&self.network).into(), user.into(), nick.into()];
        self.store.execute(sql, values).await?;
        Ok(())
    }

    /// A person has this nick now; whether they had another one before, as far as that is remembered.
    pub(crate) async fn is_news_of_nick(&self, user: &UserId, nick: &str) -> bool {
        let before = self.row(user).await.map(|(_, _, _, called)| called);
        let is_news = before.is_ok_and(|called| called.as_deref() != Some(nick));
        if is_news {
            self.is_called(user, nick).await;
        }
        is_news
    }

    /// A person has this nick now.
    pub(crate) async fn is_called(&self, user: &UserId, nick: &str) {
        let sql = "UPDATE people SET called = ?3 WHERE network = ?1 AND user_id = ?2";
        let values = [(&self.network).into(), user.into(), nick.into()];
        if let Err(error) = self.store.execute(sql, values).await {
            tracing::warn!(%error, "a nick is not remembered");
        }
    }
}

fn is_username(name: &str) -> bool {
    let is_first = |c: char| c.is_ascii_lowercase();
    let is_legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    name.starts_with(is_first) && name.chars().all(is_legal) && name.len() <= names::MAX_IDENT_BYTES
}

/// The number of the person with this address, where it is one of the range.
pub(crate) fn number_of(settings: &NetworkSettings, address: Ipv6Addr) -> Option<i64> {
    let (_, bits) = settings.people.addresses.as_deref()?.split_once('/')?;
    let mask = u128::MAX >> bits.parse::<u32>().ok().filter(|bits| *bits <= 120)?;
    let number = i64::try_from((u128::from(address) & mask).checked_sub(1)?).ok()?;
    let own = address_of(settings, number).ok()??;
    (number > 0 && own == IpAddr::from(address)).then_some(number)
}

/// The address of the person with this number.
pub(crate) fn address_of(
    settings: &NetworkSettings,
    number: i64,
) -> Result<Option<IpAddr>, PeopleError> {
    let Some(range) = &settings.people.addresses else {
        return Ok(settings.people.address);
    };
    let wrong = || {
        PeopleError::Settings(format!(
            "`{range}` is no range such as 2001:db8:1::/64, of at least a /{LONGEST_PREFIX}"
        ))
    };
    let (prefix, bits) = range.split_once('/').ok_or_else(wrong)?;
    let prefix: Ipv6Addr = prefix.parse().map_err(|_| wrong())?;
    let bits: u32 = bits
        .parse()
        .ok()
        .filter(|bits| *bits <= LONGEST_PREFIX)
        .ok_or_else(wrong)?;
    let mask = u128::MAX >> bits;
    // The first address is a router's by custom, so nobody gets it.
    let host = u128::from(number.unsigned_abs()) + 1;
    if host > mask {
        return Err(PeopleError::Settings(format!(
            "all addresses of `{range}` are taken, and no two people share one: give a larger range"
        )));
    }
    let address = (u128::from(prefix) & !mask) | host;
    Ok(Some(Ipv6Addr::from(address).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_an_address_of_the_range() {
        let mut settings = NetworkSettings::default();
        settings.people.addresses = Some("2001:db8:1::/64".to_owned());
        let address = |number| {
            address_of(&settings, number)
                .expect("a range")
                .map(|address| address.to_string())
        };
        assert_eq!(address(1).as_deref(), Some("2001:db8:1::2"));
        assert_eq!(address(0x1_0000).as_deref(), Some("2001:db8:1::1:1"));
        for number in [1, 2, 0x1_0000, i64::MAX - 1] {
            let Ok(Some(IpAddr::V6(address))) = address_of(&settings, number) else {
                panic!("no address for {number}");
            };
            assert_eq!(number_of(&settings, address), Some(number));
        }
        for other in ["2001:db8:2::2", "2001:db8:1::1", "2001:db8:1::"] {
            let other = other.parse().expect("an address");
            assert_eq!(number_of(&settings, other), None, "{other}");
        }
        // No two have the same, however small it is.
        settings.people.addresses = Some("2001:db8:1::/112".to_owned());
        assert!(address_of(&settings, 0xfffe).is_ok());
        let full = address_of(&settings, 0xffff).map_err(|error| error.to_string());
        assert!(full.is_err_and(|text| text.contains("larger range")));
        for wrong in [
            "2001:db8::",
            "10.0.0.0/8",
            "2001:db8::/129",
            "2001:db8::/113",
        ] {
            settings.people.addresses = Some(wrong.to_owned());
            assert!(address_of(&settings, 1).is_err(), "{wrong}");
        }
    }
}
