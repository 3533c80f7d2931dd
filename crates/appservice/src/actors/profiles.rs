//! Names and pictures: changes that come quickly one after another are one change, and what is so already is not set.
//!
//! A profile that changes is told to every room that the user is in, so each change counts: of a storm only the last
//! goes out, and where the homeserver offers it, it can be kept from rooms (MSC4466).

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::Ghost;
use crate::{
    Error, Urgency,
    client::{Call, escape},
    core::Core,
    flights::Flights,
    id::{EventId, MxcUri, RoomId, UserId},
};

/// How long further changes of the same profile are waited for.
const GATHER: Duration = Duration::from_millis(50);

/// The parameter of MSC4466, and the homeserver's word that it knows it.
const PROPAGATE_TO: &str = "computer.gingershaped.msc4466.propagate_to";
const MSC4466: &str = "computer.gingershaped.msc4466";

/// Which rooms are told of a changed profile. Homeservers that do not offer a choice (MSC4466) tell all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// All that the user is in.
    #[default]
    AllRooms,
    /// Those where the user has no name or picture of its own for the room.
    Unchanged,
    /// None; a room that is joined later has the new profile.
    NoRooms,
}

/// What is to be changed in a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct ProfileChange {
    name: Option<String>,
    avatar: Option<String>,
    propagation: Propagation,
}

impl ProfileChange {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What people call the user; an empty name removes it.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// The user's picture.
    pub fn avatar(mut self, uri: &MxcUri) -> Self {
        self.avatar = Some(uri.to_string());
        self
    }

    /// Removes the user's picture.
    pub fn no_avatar(mut self) -> Self {
        self.avatar = Some(String::new());
        self
    }

    /// Which rooms are told.
    pub fn tell(mut self, propagation: Propagation) -> Self {
        self.propagation = propagation;
        self
    }

    fn is_empty(&self) -> bool {
        self.name.is_none() && self.avatar.is_none()
    }
}

impl Propagation {
    /// How many rooms are told; what is told to more of them is told to fewer as well.
    fn reach(self) -> i64 {
        match self {
            Self::NoRooms => 0,
            Self::Unchanged => 1,
            Self::AllRooms => 2,
        }
    }

    /// The word for it (MSC4466); `None` is what homeservers do unasked.
    fn word(self) -> Option<&'static str> {
        match self {
            Self::AllRooms => None,
            Self::Unchanged => Some("unchanged"),
            Self::NoRooms => Some("none"),
        }
    }
}

/// What one field becomes, and which rooms are told of that.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldChange {
    value: String,
    propagation: Propagation,
}

impl FieldChange {
    /// This, and what came after it. The same once more tells whoever either of them tells.
    fn then(self, later: Self) -> Self {
        let is_same = self.value == later.value;
        match is_same && self.propagation.reach() > later.propagation.reach() {
            true => self,
            false => later,
        }
    }

    /// Whether this is to be done where the field has this value, of which so many rooms were told.
    fn is_news(&self, known: &(Option<String>, i64)) -> bool {
        known.0.as_ref() != Some(&self.value) || known.1 < self.propagation.reach()
    }
}

/// Changes that were gathered, each field with its own word on who is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Gathered {
    name: Option<FieldChange>,
    avatar: Option<FieldChange>,
}

impl From<ProfileChange> for Gathered {
    fn from(change: ProfileChange) -> Self {
        let propagation = change.propagation;
        let field = |value| FieldChange { value, propagation };
        Self {
            name: change.name.map(field),
            avatar: change.avatar.map(field),
        }
    }
}

impl Gathered {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.avatar.is_none()
    }

    /// This, and what came after it.
    fn then(self, later: Self) -> Self {
        let both = |earlier: Option<FieldChange>, later: Option<FieldChange>| match (earlier, later)
        {
            (Some(earlier), Some(later)) => Some(earlier.then(later)),
            (earlier, later) => later.or(earlier),
        };
        Self {
            name: both(self.name, later.name),
            avatar: both(self.avatar, later.avatar),
        }
    }
}

/// Profiles that are being changed.
#[derive(Default)]
pub(super) struct Profiles {
    wishes: Mutex<HashMap<UserId, Wish>>,
    flights: Flights<UserId>,
}

#[derive(Default)]
struct Wish {
    change: Gathered,
    /// Calls that wait for it.
    askers: usize,
}

/// A call that waits; the wish goes with the last of them.
struct Asker<'a> {
    profiles: &'a Profiles,
    user: &'a UserId,
}

impl Profiles {
    fn ask<'a>(&'a self, user: &'a UserId, change: ProfileChange) -> Asker<'a> {
        let mut wishes = self.wishes.lock();
        let wish = wishes.entry(user.clone()).or_default();
        wish.askers += 1;
        wish.change = std::mem::take(&mut wish.change).then(change.into());
        Asker {
            profiles: self,
            user,
        }
    }
}

impl Asker<'_> {
    fn is_wanted(&self) -> bool {
        let wishes = self.profiles.wishes.lock();
        wishes
            .get(self.user)
            .is_some_and(|wish| !wish.change.is_empty())
    }

    fn take(&self) -> Gathered {
        let mut wishes = self.profiles.wishes.lock();
        let wish = wishes.get_mut(self.user);
        wish.map(|wish| std::mem::take(&mut wish.change))
            .unwrap_or_default()
    }

    /// It has failed: others who wait for it, too, try for themselves.
    fn put_back(&self, change: Gathered) {
        if let Some(wish) = self.profiles.wishes.lock().get_mut(self.user) {
            wish.change = change.then(std::mem::take(&mut wish.change));
        }
    }
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        let mut wishes = self.profiles.wishes.lock();
        if let Some(wish) = wishes.get_mut(self.user) {
            wish.askers -= 1;
            if wish.askers == 0 {
                wishes.remove(self.user);
            }
        }
    }
}

impl Core {
    /// Changes a profile; returns when the homeserver has it, or a later change in its place.
    pub(crate) async fn change_profile(
        &self,
        user: &UserId,
        change: ProfileChange,
    ) -> Result<(), Error> {
        if change.is_empty() {
            return Ok(());
        }
        let profiles = &self.actors.profiles;
        let asker = profiles.ask(user, change);
        let _flight = profiles.flights.enter(user).await;
        if !asker.is_wanted() {
            return Ok(());
        }
        tokio::time::sleep(GATHER).await;
        let change = asker.take();
        let applied = self.apply_profile(user, &change).await;
        if applied.is_err() {
            asker.put_back(change);
        }
        applied
    }

    async fn apply_profile(&self, user: &UserId, change: &Gathered) -> Result<(), Error> {
        self.ensure_registered(user).await?;
        let id = user.to_string();
        let known = self.store.read(move |unit| unit.ghost_profile(&id)).await?;
        if let Some(new) = change.name.as_ref().filter(|new| new.is_news(&known.name)) {
            let told = self.put_profile(user, "displayname", new).await?;
            let (id, value) = (user.to_string(), new.value.clone());
            self.store
                .write(move |unit| unit.set_ghost_name(&id, &value, told.reach()))
                .await?;
        }
        if let Some(new) = change
            .avatar
            .as_ref()
            .filter(|new| new.is_news(&known.avatar))
        {
            let told = self.put_profile(user, "avatar_url", new).await?;
            let (id, value) = (user.to_string(), new.value.clone());
            self.store
                .write(move |unit| unit.set_ghost_avatar(&id, &value, told.reach()))
                .await?;
        }
        Ok(())
    }

    /// Sets a field; gives back which rooms are told of it.
    async fn put_profile(
        &self,
        user: &UserId,
        field: &str,
        new: &FieldChange,
    ) -> Result<Propagation, Error> {
        let tell = match new.propagation.word() {
            Some(word) if self.offers(MSC4466).await => Some(word),
            _ => None,
        };
        let path = format!(
            "/_matrix/client/v3/profile/{}/{field}",
            escape(user.as_str())
        );
        let mut call = Call::put(path, &json!({ field: &new.value }))
            .by(Some(user))
            .urgency(Urgency::Profile);
        if let Some(tell) = tell {
            call = call.query(PROPAGATE_TO, tell);
        }
        self.client.ask::<Value>(&call).await?;
        Ok(match tell {
            Some(_) => new.propagation,
            None => Propagation::AllRooms,
        })
    }

    /// Whether the homeserver offers a feature that is not in the specification yet.
    pub(crate) async fn offers(&self, feature: &str) -> bool {
        match self.capabilities().await {
            Ok(capabilities) => capabilities.has(feature),
            Err(error) => {
                tracing::debug!(%error, "what the homeserver offers is not known");
                false
            }
        }
    }
}

impl Ghost {
    /// Sets name and picture; `None` leaves as it is, an empty name removes it. Returns when the homeserver has it;
    /// of several changes at about the same time only the last is made, and none where all is so already.
    ///
    /// # Errors
    /// The homeserver's no.
    pub async fn set_profile(
        &self,
        name: Option<&str>,
        avatar: Option<&MxcUri>,
    ) -> Result<(), Error> {
        let mut change = ProfileChange::new();
        if let Some(name) = name {
            change = change.name(name);
        }
        if let Some(avatar) = avatar {
            change = change.avatar(avatar);
        }
        self.change_profile(change).await
    }

    /// Changes the profile, with a say in which rooms are told.
    ///
    /// # Errors
    /// As [`set_profile`](Self::set_profile).
    pub async fn change_profile(&self, change: ProfileChange) -> Result<(), Error> {
        self.core.change_profile(self.id(), change).await
    }

    /// Sets name and picture for one room only; `None` leaves as it is there. A later change of the profile with
    /// [`Propagation::AllRooms`] may undo it.
    ///
    /// # Errors
    /// As [`Actor::send`](super::Actor::send).
    pub async fn set_room_profile(
        &self,
        room: impl AsRef<RoomId> + Send,
        name: Option<&str>,
        avatar: Option<&MxcUri>,
    ) -> Result<EventId, Error> {
        let room = room.as_ref();
        self.join(room).await?;
        let known = self.core.known_view(room).await?;
        let known = known.member(self.id());
        let mut content = json!({ "membership": "join" });
        let name = name.or_else(|| known?.displayname.as_deref());
        let avatar = avatar.or_else(|| known?.avatar_url.as_ref());
        if let Some(name) = name {
            content["displayname"] = json!(name);
        }
        if let Some(avatar) = avatar {
            content["avatar_url"] = json!(avatar);
        }
        self.set_state(room, "m.room.member", self.id().as_str(), content)
            .await
    }
}
