//! heisenbridge's rooms, and the people that they are for, taken over.

use std::collections::BTreeSet;

use bridgehead_appservice::{Secret, bridge::Adopted, id::UserId};
use bridgehead_irc::{
    Settings,
    import::{Import, Origin, Person},
};

use super::{
    account_data::{OldRoom, Reader, Rooms},
    settings::{OldNetwork, Taken},
};
use crate::{Report, Result};

/// The network of a room: named, or by the room of that network.
pub(super) fn network_of<'a>(
    room: &OldRoom,
    read: &Rooms,
    networks: &'a [OldNetwork],
) -> Option<&'a OldNetwork> {
    let by_room = || {
        let id = room.text("network_id")?;
        let other = read.rooms.iter().find(|other| other.id.as_str() == id)?;
        other.text("name")
    };
    let name = by_room().or_else(|| room.text("network"))?;
    networks
        .iter()
        .find(|network| network.old.eq_ignore_ascii_case(name))
}

struct Taking<'a> {
    taken: &'a Taken,
    read: &'a Rooms,
    settings: &'a Settings,
    reader: &'a Reader,
    import: &'a Import,
    report: &'a mut Report,
}

/// Networks' rooms, which are people and their secrets; then channels, then talks, and who is in them.
pub(crate) async fn all(
    reader: &Reader,
    (taken, read): (&Taken, &Rooms),
    settings: &Settings,
    (import, report): (&Import, &mut Report),
) -> Result<()> {
    let mut taking = Taking {
        taken,
        read,
        settings,
        reader,
        import,
        report,
    };
    let of = |kind: &'static str| read.rooms.iter().filter(move |room| room.kind == kind);
    for room in of("NetworkRoom") {
        taking.person(room).await?;
    }
    // A room that was there before has more people in it than one that was made for one of them.
    for room in of("PlumbedRoom").chain(of("ChannelRoom")) {
        taking.channel(room).await?;
    }
    for room in of("PrivateRoom") {
        taking.talk(room).await?;
    }
    for room in of("ControlRoom") {
        let adopted = import.own_room(&room.owner, &room.id).await?;
        taking.report.note(
            "control rooms",
            format!("the control room {}", room.id),
            &adopted,
        );
    }
    for room in &read.rooms {
        let why = match room.kind.as_str() {
            "NetworkRoom" => {
                "networks have no rooms of their own here: commands are given in the control room"
            }
            "SpaceRoom" | "HiddenRoom" => "it has no use here",
            "PlumbedRoom" | "ChannelRoom" | "PrivateRoom" | "ControlRoom" => continue,
            _ => "nobody knows what it is",
        };
        taking.report.left_out(format!(
            "{} {} of {}: {why}",
            room.kind, room.id, room.owner
        ));
    }
    Ok(())
}

impl Taking<'_> {
    fn network(&self, room: &OldRoom) -> Option<OldNetwork> {
        let network = network_of(room, self.read, &self.taken.networks)?;
        self.settings
            .networks
            .contains_key(&network.name)
            .then(|| network.clone())
    }

    fn refuse(&mut self, kind: &'static str, what: &str, why: &str) {
        self.report
            .note(kind, what, &Adopted::Taken(why.to_owned()));
    }

    /// What somebody is on a network, and logs in with.
    async fn person(&mut self, room: &OldRoom) -> Result<()> {
        let name = room.text("name").unwrap_or_default();
        let what = format!("{} on {name}", room.owner);
        let mut networks = self.taken.networks.iter();
        let network = networks
            .find(|network| network.old.eq_ignore_ascii_case(name))
            .cloned();
        let known = network.filter(|network| self.settings.networks.contains_key(&network.name));
        let Some(network) = known else {
            self.refuse("people", &what, "the configuration has no such network");
            return Ok(());
        };
        let ident = self
            .taken
            .idents
            .iter()
            .find(|(user, _)| *user == room.owner);
        let left = Person {
            username: ident
                .map(|(_, ident)| ident.as_str())
                .or_else(|| room.text("username"))
                .map(str::to_lowercase),
            nick: room.text("nick").map(str::to_owned),
            address: None,
        };
        let lost = self
            .import
            .person(&network.name, &room.owner, &left)
            .await?;
        let adopted = lost.as_ref().map_or(Adopted::Known, |_| Adopted::New);
        self.report.note("people", &what, &adopted);
        for one in lost.unwrap_or_default() {
            self.report.left_out(format!("{what}: {one}"));
        }
        self.secrets(room, (&network, &what)).await?;
        for (key, why) in [
            (
                "autocmd",
                "nothing is said on IRC at each connection; passwords do without",
            ),
            (
                "ircname",
                "real names are made by networks.*.people.realname",
            ),
        ] {
            if room.text(key).is_some() {
                self.report.left_out(format!("{key} of {what}: {why}"));
            }
        }
        Ok(())
    }

    async fn secrets(
        &mut self,
        room: &OldRoom,
        (network, what): (&OldNetwork, &str),
    ) -> Result<()> {
        let sasl = room.text("sasl_username").zip(room.text("sasl_password"));
        let server = room.text("password").map(|password| {
            let nick = room.text("nick").unwrap_or_else(|| room.owner.localpart());
            password
                .split_once(':')
                .filter(|(name, rest)| !name.is_empty() && !rest.is_empty())
                .unwrap_or((nick, password))
        });
        if let Some((account, password)) = sasl.or(server) {
            let password = Secret::new(password.to_owned());
            let adopted = self
                .import
                .password(&network.name, &room.owner, (account, &password))
                .await?;
            self.report
                .note("passwords", format!("the password of {what}"), &adopted);
        }
        if let Some(pem) = room.text("tls_cert") {
            let pem = Secret::new(pem.to_owned());
            let adopted = self
                .import
                .certificate(&network.name, &room.owner, &pem)
                .await?;
            self.report.note(
                "certificates",
                format!("the certificate of {what}"),
                &adopted,
            );
        }
        Ok(())
    }

    async fn channel(&mut self, room: &OldRoom) -> Result<()> {
        let channel = room.text("name").unwrap_or_default();
        let what = format!("{channel:?} of {} in {}", room.owner, room.id);
        let Some(network) = self.network(room) else {
            self.refuse("channels", &what, "the configuration has no such network");
            return Ok(());
        };
        let of = (network.name.as_str(), channel);
        // A room that was made for one person is theirs: an open channel does not open it.
        let adopted = self
            .import
            .channel(of, &room.id, &Origin::Linked, Some(&room.owner))
            .await?;
        self.report.note("channels", &what, &adopted);
        if matches!(adopted, Adopted::Taken(_)) {
            return Ok(());
        }
        if let Some(key) = room.text("key") {
            let key = Secret::new(key.to_owned());
            let adopted = self
                .import
                .channel_key(&network.name, channel, &key)
                .await?;
            self.report
                .note("channel keys", format!("the key of {what}"), &adopted);
        }
        self.ghosts(room, &network).await
    }

    async fn talk(&mut self, room: &OldRoom) -> Result<()> {
        let nick = room.text("name").unwrap_or_default();
        let what = format!("the talk of {} with {nick:?} in {}", room.owner, room.id);
        let Some(network) = self.network(room) else {
            self.refuse(
                "private talks",
                &what,
                "the configuration has no such network",
            );
            return Ok(());
        };
        let localpart = self.taken.prefix.localpart(&network.old, nick);
        let Ok(ghost) = UserId::new(&localpart, self.reader.user.server()) else {
            self.refuse("private talks", &what, "that is no nick");
            return Ok(());
        };
        let of = (network.name.as_str(), nick);
        let adopted = self.import.talk(of, &room.owner, &room.id, &ghost).await?;
        self.report.note("private talks", &what, &adopted);
        self.ghosts(room, &network).await
    }

    /// Those on IRC who are in a room keep their ids.
    async fn ghosts(&mut self, room: &OldRoom, network: &OldNetwork) -> Result<()> {
        let mut seen = BTreeSet::new();
        for (id, shown) in self.reader.members(&room.id).await? {
            let nick = self
                .taken
                .prefix
                .nick(&network.old, id.localpart(), shown.as_deref());
            let is_ours = id.server() == self.reader.user.server();
            if let Some(nick) = nick.filter(|_| is_ours && seen.insert(id.clone())) {
                let adopted = self.import.ghost((&network.name, &nick), &id).await?;
                self.report.note("ghosts", &id, &adopted);
            }
        }
        Ok(())
    }
}
