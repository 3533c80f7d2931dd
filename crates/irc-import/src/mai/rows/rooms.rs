//! Rooms: channels, talks of two, control rooms; and who is in them.

use bridgehead_appservice::{
    bridge::Adopted,
    id::{RoomId, UserId},
};
use bridgehead_irc::import::Origin;
use tokio_postgres::Row;

use super::{super::database::text, Taking};
use crate::Result;

impl Taking<'_> {
    /// Rooms that the configuration maps.
    pub(super) async fn configured(&mut self) -> Result<()> {
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

    pub(super) async fn room(&mut self, row: &Row) -> Result<()> {
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
            // What was not open to everybody is not opened.
            _ if !network.is_open => Origin::Linked,
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

    pub(super) async fn ghost(&mut self, row: &Row) -> Result<()> {
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

    pub(super) async fn talk(&mut self, row: &Row) -> Result<()> {
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

    pub(super) async fn own_room(&mut self, row: &Row) -> Result<()> {
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
}
