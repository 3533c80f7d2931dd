//! What the tables hold, taken over row by row.

use std::collections::BTreeSet;

use bridgehead_appservice::{
    Secret,
    bridge::Adopted,
    id::{RoomId, UserId},
};
use bridgehead_irc::{
    Settings,
    import::{Import, Origin, Person},
};
use tokio_postgres::Row;

use super::{
    database::{Tables, text},
    password::Opener,
    settings::{OldNetwork, Taken},
};
use crate::{Report, Result, draft::Draft};

/// People whose accounts are gone that the configuration names at most.
const MAX_DEACTIVATED: usize = 1000;

/// What a row is taken over with.
struct Taking<'a> {
    taken: &'a Taken,
    /// Networks that the configuration knows.
    known: BTreeSet<&'a str>,
    opener: Option<&'a Opener>,
    import: &'a Import,
    report: &'a mut Report,
}

/// People whose accounts were deactivated are kept out by the configuration.
pub(crate) async fn deactivated(
    tables: &Tables<'_>,
    draft: &mut Draft,
    report: &mut Report,
) -> Result<()> {
    if !tables.has("deactivated_users", "user_id").await? {
        return Ok(());
    }
    let mut count = 0;
    let sql = "SELECT user_id FROM deactivated_users ORDER BY user_id";
    tables
        .each(sql, async |row| {
            let user = text(row, 0).and_then(|id| UserId::parse(&id).ok());
            match user.filter(|_| count < MAX_DEACTIVATED) {
                Some(user) => {
                    count += 1;
                    draft.set(&["permissions"], user.as_str(), "blocked");
                }
                None => report.left_out(format!(
                    "the deactivated user {:?}: that is no user id, or there are more than {MAX_DEACTIVATED}",
                    text(row, 0).unwrap_or_default()
                )),
            }
            Ok(())
        })
        .await
}

/// All other tables. The order matters: rooms of two need the ghosts, and channels of the configuration go first.
pub(crate) async fn all(
    tables: &Tables<'_>,
    taken: &Taken,
    settings: &Settings,
    opener: Option<&Opener>,
    (import, report): (&Import, &mut Report),
) -> Result<()> {
    let known = taken.networks.iter().map(|network| network.name.as_str());
    let mut taking = Taking {
        taken,
        known: known
            .filter(|name| settings.networks.contains_key(*name))
            .collect(),
        opener,
        import,
        report,
    };
    taking.missing_networks();
    taking.configured().await?;
    let sql = "SELECT irc_domain, irc_channel, room_id, origin, type FROM rooms
        ORDER BY CASE origin WHEN 'config' THEN 0 WHEN 'alias' THEN 1 WHEN 'join' THEN 2 ELSE 3 END, room_id, irc_channel";
    tables.each(sql, async |row| taking.room(row).await).await?;
    let sql =
        "SELECT user_id FROM matrix_users WHERE user_id IS NOT NULL ORDER BY user_id COLLATE \"C\"";
    tables
        .each(sql, async |row| taking.ghost(row).await)
        .await?;
    let sql = "SELECT irc_domain, irc_nick, room_id, matrix_user_id, virtual_user_id FROM pm_rooms ORDER BY room_id";
    tables.each(sql, async |row| taking.talk(row).await).await?;
    let sql = "SELECT room_id, user_id FROM admin_rooms ORDER BY user_id, room_id";
    tables
        .each(sql, async |row| taking.own_room(row).await)
        .await?;
    let sql =
        "SELECT user_id, domain, config->>'username', config->>'nick', config->>'ipv6', password
        FROM client_config ORDER BY (config->>'username') IS NULL, user_id, domain";
    tables
        .each(sql, async |row| taking.person(row).await)
        .await?;
    taking.rest(tables).await
}

impl Taking<'_> {
    fn missing_networks(&mut self) {
        let taken = self.taken;
        for network in &taken.networks {
            if !self.known.contains(network.name.as_str()) {
                let (domain, name) = (&network.domain, &network.name);
                self.report.left_out(format!(
                    "all of {domain}: the configuration that is there has no network `{name}`; remove that file to have \
                     it made anew"
                ));
            }
        }
    }

    fn network(&self, domain: &str) -> Option<&OldNetwork> {
        let mut networks = self.taken.networks.iter();
        networks
            .find(|network| network.domain == domain && self.known.contains(network.name.as_str()))
    }

    /// The network of a row, or what is wrong with it.
    fn of(&self, domain: Option<String>) -> Result<OldNetwork, String> {
        let domain = domain.unwrap_or_default();
        let network = self.network(&domain).cloned();
        network.ok_or_else(|| format!("the configuration has no network {domain:?}"))
    }

    fn refuse(&mut self, kind: &'static str, what: &str, why: String) {
        self.report.note(kind, what, &Adopted::Taken(why));
    }

    /// Rooms that the configuration maps.
    async fn configured(&mut self) -> Result<()> {
        let taken = self.taken;
        for network in &taken.networks {
            if !self.known.contains(network.name.as_str()) {
                continue;
            }
            for (channel, room) in &network.mapped {
                let of = (network.name.as_str(), channel.as_str());
                let adopted = self.import.channel(of, room, &Origin::Linked, None).await?;
                self.report
                    .note("channels", format!("{channel} in {room}"), &adopted);
            }
        }
        Ok(())
    }

    async fn room(&mut self, row: &Row) -> Result<()> {
        let (channel, room) = (
            text(row, 1).unwrap_or_default(),
            text(row, 2).unwrap_or_default(),
        );
        let (origin, kind) = (
            text(row, 3).unwrap_or_default(),
            text(row, 4).unwrap_or_default(),
        );
        let what = format!("{channel:?} in {room}");
        let network = match self.of(text(row, 0)) {
            Ok(network) => network,
            Err(why) => {
                self.refuse("channels", &what, why);
                return Ok(());
            }
        };
        let Ok(id) = RoomId::parse(&room) else {
            self.refuse("channels", &what, "that is no room id".to_owned());
            return Ok(());
        };
        if kind != "channel" {
            self.refuse("channels", &what, format!("it is no channel, but {kind:?}"));
            return Ok(());
        }
        let made = match origin.as_str() {
            "config"
                if network
                    .mapped
                    .iter()
                    .all(|(mapped, to)| !mapped.eq_ignore_ascii_case(&channel) || *to != id) =>
            {
                let why = "the configuration does not map it to this room any more, or maps another room first";
                self.refuse("channels", &what, why.to_owned());
                return Ok(());
            }
            "config" | "provision" => Origin::Linked,
            _ => Origin::Made,
        };
        let adopted = self
            .import
            .channel((&network.name, &channel), &id, &made, None)
            .await?;
        if origin != "config" || adopted != Adopted::Known {
            self.report.note("channels", what, &adopted);
        }
        Ok(())
    }

    async fn ghost(&mut self, row: &Row) -> Result<()> {
        let Some(id) = text(row, 0).and_then(|id| UserId::parse(&id).ok()) else {
            return Ok(());
        };
        let taken = self.taken;
        if id.server() != taken.server_name {
            return Ok(());
        }
        let networks = taken.networks.iter().filter_map(|network| {
            let template = network.users.as_ref()?;
            Some((
                template.weight(),
                network,
                template.value(id.localpart())?.to_owned(),
            ))
        });
        let found = networks.max_by_key(|(weight, ..)| *weight);
        let Some((_, network, nick)) = found else {
            return Ok(());
        };
        if self.known.contains(network.name.as_str()) {
            let adopted = self.import.ghost((&network.name, &nick), &id).await?;
            self.report.note("ghosts", &id, &adopted);
        }
        Ok(())
    }

    async fn talk(&mut self, row: &Row) -> Result<()> {
        let (nick, room) = (
            text(row, 1).unwrap_or_default(),
            text(row, 2).unwrap_or_default(),
        );
        let what = format!("the talk with {nick:?} in {room}");
        let network = self.of(text(row, 0));
        let person = text(row, 3).and_then(|id| UserId::parse(&id).ok());
        let (network, id, person) = match (network, RoomId::parse(&room), person) {
            (Ok(network), Ok(id), Some(person)) => (network, id, person),
            (Err(why), ..) => {
                self.refuse("private talks", &what, why);
                return Ok(());
            }
            _ => {
                self.refuse(
                    "private talks",
                    &what,
                    "it has no room, or nobody of Matrix".to_owned(),
                );
                return Ok(());
            }
        };
        let ghost = text(row, 4).and_then(|id| UserId::parse(&id).ok());
        let named = || {
            let template = network.users.as_ref()?;
            UserId::new(&template.localpart(&nick), &self.taken.server_name).ok()
        };
        let Some(ghost) = ghost.or_else(named) else {
            self.refuse("private talks", &what, "nobody on IRC is in it".to_owned());
            return Ok(());
        };
        let adopted = self
            .import
            .talk((&network.name, &nick), &person, &id, &ghost)
            .await?;
        self.report.note("private talks", what, &adopted);
        Ok(())
    }

    async fn own_room(&mut self, row: &Row) -> Result<()> {
        let room = text(row, 0).unwrap_or_default();
        let what = format!("the admin room {room}");
        let person = text(row, 1).and_then(|id| UserId::parse(&id).ok());
        match (RoomId::parse(&room), person) {
            (Ok(id), Some(person)) => {
                let adopted = self.import.own_room(&person, &id).await?;
                self.report.note("control rooms", what, &adopted);
            }
            _ => self.refuse(
                "control rooms",
                &what,
                "it has no room id, or is nobody's".to_owned(),
            ),
        }
        Ok(())
    }

    async fn person(&mut self, row: &Row) -> Result<()> {
        let user = text(row, 0).unwrap_or_default();
        let domain = text(row, 1);
        let what = format!("{user} on {}", domain.as_deref().unwrap_or_default());
        let (network, id) = match (self.of(domain), UserId::parse(&user)) {
            (Ok(network), Ok(id)) => (network, id),
            (Err(why), _) => {
                self.refuse("people", &what, why);
                return Ok(());
            }
            (_, Err(_)) => {
                self.refuse("people", &what, "that is no user id".to_owned());
                return Ok(());
            }
        };
        let left = Person {
            username: text(row, 2),
            nick: text(row, 3),
            address: text(row, 4).and_then(|address| address.parse().ok()),
        };
        match self.import.person(&network.name, &id, &left).await? {
            Some(lost) => {
                self.report.note("people", &what, &Adopted::New);
                for one in lost {
                    self.report.left_out(format!("{what}: {one}"));
                }
            }
            None => self.report.note("people", &what, &Adopted::Known),
        }
        if let Some(stored) = text(row, 5).filter(|stored| !stored.is_empty()) {
            self.password((&network, &id), &left, &stored).await?;
        }
        Ok(())
    }

    async fn password(
        &mut self,
        (network, user): (&OldNetwork, &UserId),
        left: &Person,
        stored: &str,
    ) -> Result<()> {
        let what = format!("the password of {user} on {}", network.domain);
        let Some(opener) = self.opener else {
            let why = match &self.taken.key_missing {
                Some(file) => format!(
                    "the key {} is not there: give it with --key",
                    file.display()
                ),
                None => "there is no key to open it: give it with --key".to_owned(),
            };
            self.refuse("passwords", &what, why);
            return Ok(());
        };
        let Some(password) = opener.open(stored) else {
            let why = "it is damaged, or was stored with another key";
            self.refuse("passwords", &what, why.to_owned());
            return Ok(());
        };
        let (account, password) = account(network, user, left, &password);
        let login = (account.as_str(), &password);
        let adopted = self.import.password(&network.name, user, login).await?;
        self.report.note("passwords", what, &adopted);
        Ok(())
    }

    /// Tables that mean nothing here.
    async fn rest(&mut self, tables: &Tables<'_>) -> Result<()> {
        for (table, column, why) in [
            (
                "user_features",
                "user_id",
                "whether people want mentions cannot be chosen here",
            ),
            (
                "room_visibility",
                "room_id",
                "the homeserver keeps which rooms stand in its directory",
            ),
            ("last_seen", "user_id", "who was active when is not kept"),
            (
                "user_activity",
                "user_id",
                "who was active when is not kept",
            ),
            (
                "client_config",
                "sasl_cert",
                "people store certificates anew with the command `certificate`",
            ),
            (
                "client_config",
                "cert",
                "people store certificates anew with the command `certificate`",
            ),
        ] {
            let count = tables.count(table, column).await?;
            if count > 0 {
                self.report
                    .left_out(format!("{count} of {table}.{column}: {why}"));
            }
        }
        Ok(())
    }
}

/// The account that a stored password is for. With SASL it is the user name's; without, it went as the server's password,
/// which may name the account itself.
fn account(
    network: &OldNetwork,
    user: &UserId,
    left: &Person,
    password: &Secret,
) -> (String, Secret) {
    if !network.has_sasl
        && let Some((account, rest)) = password.expose().split_once(':')
        && !account.is_empty()
        && !rest.is_empty()
    {
        return (account.to_owned(), Secret::new(rest.to_owned()));
    }
    let names = match network.has_sasl {
        true => [&left.username, &left.nick],
        false => [&left.nick, &left.username],
    };
    let name = names.into_iter().flatten().next().cloned();
    let name = name.unwrap_or_else(|| user.localpart().to_owned());
    (name, password.clone())
}
