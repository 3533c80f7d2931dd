//! What another bridge has left, put into this one's database: rooms, talks, ghosts, people and their secrets. Who reads
//! the other bridge's things is somebody else; here it is only told.
//!
//! Only while this bridge does not run. What is there already is never changed, so that a second run does nothing, and
//! what people have changed since the first one stays.

use std::{net::Ipv6Addr, sync::Arc};

use bridgehead_appservice::{
    Database, Secret, StartError, Still,
    bridge::{Adopted, Adopting, PortalData, PortalKind},
    id::{RoomId, UserId},
    store::StoreError,
};
use bridgehead_irc_protocol::CaseMapping;

use crate::{
    Irc, Settings,
    accounts::Accounts,
    ids::{Nick, Place, is_channel, is_nick},
    people::{People, PersonLeft, number_of},
    seal::Seal,
    service,
};

/// The database of a bridge that does not run, open for what another one has left.
pub struct Import {
    settings: Arc<Settings>,
    still: Still,
    adopting: Adopting<Irc>,
    seal: Arc<Seal>,
}

impl std::fmt::Debug for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import").finish_non_exhaustive()
    }
}

/// Why nothing is taken over. Displays as what an operator is to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The bridge runs, or its database cannot be used.
    #[error("{0}")]
    Start(#[from] StartError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key of stored passwords.
    #[error("{0}")]
    Key(String),
    /// A user name for somebody.
    #[error("{0}")]
    Person(String),
}

/// How another bridge came to a room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// It has made it.
    Made,
    /// It was there before.
    Linked,
}

/// What somebody of Matrix had on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Their user name.
    pub username: Option<String>,
    /// The nick that they have chosen.
    pub nick: Option<String>,
    /// The address that they have connected from.
    pub address: Option<Ipv6Addr>,
}

impl Import {
    /// Opens the database of the bridge with this configuration, on the homeserver of this name.
    ///
    /// # Errors
    /// When the bridge runs, or its database or the key of stored passwords cannot be used.
    pub async fn open(
        settings: &Settings,
        server_name: &str,
        database: &Database,
    ) -> Result<Self, ImportError> {
        let still = service(settings).still(server_name, database)?;
        let adopting = still.adopting().await?;
        let seal = Seal::load(&settings.secrets, still.store()).await;
        let seal = seal.map_err(|error| ImportError::Key(error.to_string()))?;
        Ok(Self {
            settings: Arc::new(settings.clone()),
            still,
            adopting,
            seal: Arc::new(seal),
        })
    }

    /// A room goes on as that of a channel.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn channel(
        &self,
        (network, channel): (&str, &str),
        room: &RoomId,
        origin: &Origin,
        creator: Option<&UserId>,
    ) -> Result<Adopted, ImportError> {
        if !is_channel(channel) {
            return Ok(Adopted::Taken("that is no channel".to_owned()));
        }
        let place = Place::channel(network, channel, CaseMapping::Ascii);
        let mut data = PortalData::default();
        data.creator = creator.cloned();
        data.kind = match origin {
            Origin::Made => PortalKind::Made,
            Origin::Linked => PortalKind::Plumbed,
        };
        Ok(self.adopting.portal(&place, room, &data).await?)
    }

    /// A room in which a person and somebody on IRC talk alone goes on. The ghost is in the room, and the bridge's own user
    /// is not.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn talk(
        &self,
        (network, nick): (&str, &str),
        person: &UserId,
        room: &RoomId,
        ghost: &UserId,
    ) -> Result<Adopted, ImportError> {
        if !is_nick(nick) {
            return Ok(Adopted::Taken("that is no nick".to_owned()));
        }
        let nick = Nick::new(network, nick, CaseMapping::Ascii);
        let mut data = PortalData::default();
        data.kind = PortalKind::Direct;
        data.creator = Some(person.clone());
        data.agent = Some(ghost.clone());
        let place = Place::private(&nick, person);
        Ok(self.adopting.portal(&place, room, &data).await?)
    }

    /// A room in which somebody gives commands goes on.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn own_room(&self, person: &UserId, room: &RoomId) -> Result<Adopted, ImportError> {
        Ok(self.adopting.own_room(person, room).await?)
    }

    /// Somebody on IRC goes on under the id that the other bridge has given them.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn ghost(
        &self,
        (network, nick): (&str, &str),
        ghost: &UserId,
    ) -> Result<Adopted, ImportError> {
        if !is_nick(nick) {
            return Ok(Adopted::Taken("that is no nick".to_owned()));
        }
        // How the network folds case is known when it is connected to. Where it makes no difference there is one name.
        let mut adopted = Adopted::Known;
        for mapping in [CaseMapping::Ascii, CaseMapping::Rfc1459] {
            let one = self
                .adopting
                .ghost(&Nick::new(network, nick, mapping), ghost)
                .await?;
            if adopted == Adopted::Known {
                adopted = one;
            }
        }
        Ok(adopted)
    }

    /// Somebody of Matrix goes on as they were known on a network: what of theirs is left out, in words; `None` where they
    /// are known here already.
    ///
    /// # Errors
    /// When the database cannot be used, or no user name is free for them.
    pub async fn person(
        &self,
        network: &str,
        user: &UserId,
        left: &Person,
    ) -> Result<Option<Vec<String>>, ImportError> {
        let people = People::load(self.still.store().clone(), network).await?;
        let settings = self.settings.networks.get(network);
        let number = left
            .address
            .and_then(|address| number_of(settings?, address));
        let given = PersonLeft {
            username: left.username.clone(),
            nick: left.nick.clone(),
            number,
        };
        let adopted = people.adopt(user, given).await;
        let adopted = adopted.map_err(|error| ImportError::Person(error.to_string()))?;
        let Some(taken) = adopted else {
            return Ok(None);
        };
        let mut lost = Vec::new();
        if let Some(name) = left.username.as_ref().filter(|_| taken.username.is_none()) {
            lost.push(format!(
                "the user name `{name}`, which is not legal here or somebody else's: they get another"
            ));
        }
        if let Some(nick) = left.nick.as_ref().filter(|_| taken.nick.is_none()) {
            lost.push(format!("the nick `{nick}`, which is no nick"));
        }
        if let Some(address) = left.address.filter(|_| taken.number.is_none()) {
            lost.push(format!(
                "the address {address}, which is out of the range or somebody else's: they get another"
            ));
        }
        Ok(Some(lost))
    }

    /// Somebody's password for an account on a network is kept, sealed with this bridge's key.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn password(
        &self,
        network: &str,
        user: &UserId,
        login: (&str, &Secret),
    ) -> Result<Adopted, ImportError> {
        let accounts = self.accounts(network);
        if accounts.of(user).await?.password.is_some() {
            return Ok(Adopted::Known);
        }
        accounts.store_password(user, login).await?;
        Ok(Adopted::New)
    }

    /// The same for a certificate with its key (PEM).
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn certificate(
        &self,
        network: &str,
        user: &UserId,
        pem: &Secret,
    ) -> Result<Adopted, ImportError> {
        let accounts = self.accounts(network);
        if accounts.of(user).await?.certificate.is_some() {
            return Ok(Adopted::Known);
        }
        accounts.store_certificate(user, pem).await?;
        Ok(Adopted::New)
    }

    /// The same for a channel's key.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn channel_key(
        &self,
        network: &str,
        channel: &str,
        key: &Secret,
    ) -> Result<Adopted, ImportError> {
        let accounts = self.accounts(network);
        let channel = CaseMapping::Ascii.fold(channel);
        if accounts.keys().await?.contains_key(&channel) {
            return Ok(Adopted::Known);
        }
        accounts.store_key(&channel, key).await?;
        Ok(Adopted::New)
    }

    fn accounts(&self, network: &str) -> Accounts {
        Accounts::new(self.still.store().clone(), network, self.seal.clone())
    }

    /// Closes the database: now the bridge may be started.
    pub async fn close(self) {
        self.still.close().await;
    }
}
