//! What the tables hold, taken over row by row: `rooms`, `people`.

mod people;
mod rooms;

use std::collections::BTreeSet;

use bridgehead_appservice::{
    bridge::{Adopted, Level},
    id::UserId,
};
use bridgehead_irc::{Settings, import::Import};

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

/// People whose accounts were deactivated are kept out by the configuration; who that is.
pub(crate) async fn deactivated(
    tables: &Tables<'_>,
    draft: &mut Draft,
    report: &mut Report,
) -> Result<Vec<UserId>> {
    let mut all = Vec::new();
    if !tables.has("deactivated_users", "user_id").await? {
        return Ok(all);
    }
    let sql = "SELECT user_id FROM deactivated_users ORDER BY user_id";
    tables
        .each(sql, async |row| {
            let user = text(row, 0).and_then(|id| UserId::parse(&id).ok());
            match user.filter(|_| all.len() < MAX_DEACTIVATED) {
                Some(user) => {
                    draft.set(&["permissions"], user.as_str(), "blocked");
                    all.push(user);
                }
                None => report.left_out(format!(
                    "the deactivated user {:?}: that is no user id, or there are more than {MAX_DEACTIVATED}",
                    text(row, 0).unwrap_or_default()
                )),
            }
            Ok(())
        })
        .await?;
    Ok(all)
}

/// A configuration that was there already is kept: whom it does not keep out is told.
pub(crate) fn not_kept_out(deactivated: &[UserId], settings: &Settings, report: &mut Report) {
    let permissions = &settings.permissions;
    for user in deactivated {
        let with = permissions.clone().allow(user.as_str(), Level::Blocked);
        if with != *permissions {
            report.left_out(format!(
                "the deactivated user {user}: the configuration that is there does not keep them out; add \
                 `\"{user}\" = \"blocked\"` to its [permissions]"
            ));
        }
    }
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
