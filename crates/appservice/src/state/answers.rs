//! What authors ask of a room.

use std::sync::Arc;

use serde_json::Value;

use super::{Creation, Fresh, JoinRule, PowerLevels, RoomMember, RoomView, Standing, Tombstone};
use crate::{
    Error,
    actors::Room,
    id::{EventId, RoomAlias, UserId},
};

/// A part of a room's state and how far it can be relied upon, or why the homeserver could not be asked.
type Answer<T> = Result<Fresh<T>, Error>;

/// Questions about the room's state. What is not known yet is read from the homeserver once, if one of the service's
/// users is in the room; afterwards the answers come from memory, and follow the stream of events.
impl Room {
    /// All who are, or were, something to the room: joined, invited, banned.
    ///
    /// # Errors
    /// When the homeserver does not answer, or the database cannot be used; so it is with all questions.
    pub async fn all_members(&self) -> Answer<Vec<RoomMember>> {
        let (view, standing) = self.known().await?;
        Ok(view.whole(standing, view.members().cloned().collect()))
    }

    /// Those who have joined.
    ///
    /// # Errors
    /// As [`all_members`](Self::all_members).
    pub async fn members(&self) -> Answer<Vec<RoomMember>> {
        let (view, standing) = self.known().await?;
        let joined = view.members().filter(|member| member.is_joined());
        Ok(view.whole(standing, joined.cloned().collect()))
    }

    /// What somebody is to the room, and is called there; `None` for whom it has never seen.
    ///
    /// # Errors
    /// As [`all_members`](Self::all_members).
    pub async fn member(&self, user: &UserId) -> Answer<Option<RoomMember>> {
        self.part(|view| view.member(user).cloned()).await
    }

    /// Who may do what.
    ///
    /// # Errors
    /// As [`all_members`](Self::all_members).
    pub async fn power_levels(&self) -> Answer<Arc<PowerLevels>> {
        let (view, standing) = self.known().await?;
        Ok(match view.power_levels() {
            Some(levels) if view.has_power_levels() => present(standing, levels.clone()),
            // The defaults, if it is certain that there is no event.
            Some(levels) => view.whole(standing, levels.clone()),
            None => Fresh::Unknown,
        })
    }

    /// Who may join.
    ///
    /// # Errors
    /// As [`all_members`](Self::all_members).
    pub async fn join_rule(&self) -> Answer<Option<JoinRule>> {
        self.part(RoomView::join_rule).await
    }

    /// The room's name.
    ///
    /// # Errors
    /// As [`all_members`](Self::all_members).
    pub async fn name(&self) -> Answer<Option<String>> {
        self.text("m.room.name", "name").await
    }

    /// The room's topic.
    ///
    /// # Errors
    /// As [`all_members`](Self::all_members).
    pub async fn topic(&self) -> Answer<Option<String>> {
        self.text("m.room.topic", "topic").await
    }

    /// The room's version, such as `12`.
    ///
    /// # Errors
    /// As [`all_members`](Self::all_members).
    pub async fn version(&self) -> Answer<String> {
        Ok(self
            .creation()
            .await?
            .map(|creation| creation.version.clone()))
    }

    /// The room's first event: version, creators, what it replaces.
    ///
    /// # Errors
    /// As [`all_members`](Self::all_members).
    pub async fn creation(&self) -> Answer<Arc<Creation>> {
        let (view, _) = self.known().await?;
        // It never changes, so it is known for ever.
        Ok(view
            .creation()
            .cloned()
            .map_or(Fresh::Unknown, Fresh::Known))
    }

    /// The room's main alias.
    ///
    /// # Errors
    /// As [`all_members`](Self::all_members).
    pub async fn canonical_alias(&self) -> Answer<Option<RoomAlias>> {
        self.part(RoomView::canonical_alias).await
    }

    /// The aliases that the room's state names, the main one first. There may be others that only the homeserver's
    /// directory knows.
    ///
    /// # Errors
    /// As [`all_members`](Self::all_members).
    pub async fn aliases(&self) -> Answer<Vec<RoomAlias>> {
        let (view, standing) = self.known().await?;
        let aliases = view.aliases();
        Ok(match aliases.is_empty() {
            true => view.whole(standing, aliases),
            false => present(standing, aliases),
        })
    }

    /// How messages in the room are encrypted (`m.megolm.v1.aes-sha2`); `None` where they are not.
    ///
    /// # Errors
    /// As [`all_members`](Self::all_members).
    pub async fn encryption(&self) -> Answer<Option<String>> {
        self.text("m.room.encryption", "algorithm").await
    }

    /// What replaces the room, if it was replaced.
    ///
    /// # Errors
    /// As [`all_members`](Self::all_members).
    pub async fn tombstone(&self) -> Answer<Option<Tombstone>> {
        self.part(RoomView::tombstone).await
    }

    /// The events that are pinned.
    ///
    /// # Errors
    /// As [`all_members`](Self::all_members).
    pub async fn pinned(&self) -> Answer<Vec<EventId>> {
        let (view, standing) = self.known().await?;
        let pinned = view.pinned();
        Ok(match view.fact("m.room.pinned_events") {
            None => view.whole(standing, pinned),
            Some(_) => present(standing, pinned),
        })
    }

    /// The content of any state event.
    ///
    /// # Errors
    /// As [`all_members`](Self::all_members).
    pub async fn state(&self, kind: &str, state_key: &str) -> Answer<Option<Value>> {
        let (view, standing) = self.known().await?;
        let (id, kind, key) = (self.id.to_string(), kind.to_owned(), state_key.to_owned());
        let row = self
            .core
            .store
            .read(move |unit| unit.state_row(&id, &kind, &key));
        Ok(view.part(standing, row.await?.map(|row| row.content)))
    }

    /// Reads the room's state from the homeserver, whatever is known of it. Nothing happens when none of the
    /// service's users is in the room.
    ///
    /// # Errors
    /// When the homeserver does not answer, or the database cannot be used.
    pub async fn refresh(&self) -> Result<(), Error> {
        self.core.rooms.may_be_readable(&self.id);
        self.core.read_state(&self.id, true).await.map(drop)
    }

    async fn known(&self) -> Result<(Arc<RoomView>, Standing), Error> {
        let view = self.core.known_view(&self.id).await?;
        let standing = self.core.standing(&view);
        Ok((view, standing))
    }

    async fn part<T>(&self, part: impl FnOnce(&RoomView) -> Option<T> + Send) -> Answer<Option<T>> {
        let (view, standing) = self.known().await?;
        Ok(view.part(standing, part(&view)))
    }

    async fn text(&self, kind: &'static str, field: &'static str) -> Answer<Option<String>> {
        let (view, standing) = self.known().await?;
        let text = view.text(kind, field).filter(|text| !text.is_empty());
        Ok(match view.fact(kind) {
            // What has no such field says that there is none.
            Some(_) => present(standing, text.map(str::to_owned)),
            None => view.part(standing, None),
        })
    }
}

/// What the state says, which is there.
fn present<T>(standing: Standing, value: T) -> Fresh<T> {
    match standing {
        Standing::Known | Standing::Partial => Fresh::Known(value),
        Standing::Stale(since_ms) => Fresh::Stale(value, since_ms),
    }
}
