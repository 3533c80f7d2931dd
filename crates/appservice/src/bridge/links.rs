//! Links: which remote thing is which Matrix thing, with the author's data.

use std::{fmt, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use super::RemoteId;
use crate::{
    core::Core,
    handler::{Context, FromContext, Rejection},
    id::{EventId, RoomId, UserId},
    store::{LinkRow, Result, Store, StoreError, Tx, Unit},
    surroundings::Surroundings,
};

/// Links of one Matrix id that are read at most.
const MAX_OF_ONE: usize = 100;

/// Links on a page at most.
const MAX_PAGE: usize = 1000;

mod sealed {
    pub trait Sealed {}
}

/// An id on the Matrix side of a link: a room, a user or an event.
pub trait MatrixId:
    Clone + fmt::Debug + PartialEq + Send + Sync + 'static + sealed::Sealed
{
    /// Its text.
    fn as_text(&self) -> &str;
    /// The id with this text.
    fn from_text(text: &str) -> Option<Self>;
}

macro_rules! matrix_id {
    ($($name:ident),*) => {$(
        impl sealed::Sealed for $name {}

        impl MatrixId for $name {
            fn as_text(&self) -> &str {
                self.as_str()
            }

            fn from_text(text: &str) -> Option<Self> {
                Self::parse(text).ok()
            }
        }
    )*};
}

matrix_id!(RoomId, UserId, EventId);

/// A kind of link: what is linked to what.
///
/// ```
/// use bridgehead_appservice::{bridge::LinkKind, id::RoomId};
///
/// /// Which channel is which room, and who asked for it.
/// struct Channels;
///
/// impl LinkKind for Channels {
///     const KIND: &'static str = "channel";
///     type Remote = (String, String);
///     type Matrix = RoomId;
///     type Data = Option<String>;
/// }
/// ```
pub trait LinkKind: Send + Sync + 'static {
    /// Its name in the database; unique in the service, and never changed. Those with `bridge/` in front are the kit's.
    const KIND: &'static str;
    /// The remote side.
    type Remote: RemoteId;
    /// The Matrix side.
    type Matrix: MatrixId;
    /// What is kept with each link, as JSON.
    type Data: Serialize + DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static;

    /// The name in the database where one type stands for several kinds.
    #[must_use]
    fn kind() -> String {
        Self::KIND.to_owned()
    }
}

/// A remote thing and its Matrix side.
///
/// As a handler's argument, for kinds whose Matrix side is a room: what the event's room is linked to; where that is
/// nothing, the handler is not called. Of several links of one room the oldest is given.
pub struct Link<L: LinkKind> {
    /// The remote side.
    pub remote: L::Remote,
    /// The Matrix side.
    pub matrix: L::Matrix,
    /// What is kept with it.
    pub data: L::Data,
    /// When it was linked, ms since the Unix epoch.
    pub linked_ms: i64,
}

impl<L: LinkKind> Clone for Link<L> {
    fn clone(&self) -> Self {
        Self {
            remote: self.remote.clone(),
            matrix: self.matrix.clone(),
            data: self.data.clone(),
            linked_ms: self.linked_ms,
        }
    }
}

impl<L: LinkKind> fmt::Debug for Link<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("remote", &self.remote)
            .field("matrix", &self.matrix)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

/// All links of a kind; a handler's argument. Cheap to clone.
///
/// A remote thing is linked to one Matrix id; a Matrix id may have several remote things. What is changed here is on
/// disk when the call returns. What is changed `_with` a [`Tx`] is stored with the event's consumption, or not at
/// all; until then it is not seen here.
pub struct Links<L: LinkKind> {
    store: Store,
    surroundings: Surroundings,
    kind: PhantomData<fn() -> L>,
}

impl<L: LinkKind> Clone for Links<L> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            surroundings: self.surroundings.clone(),
            kind: PhantomData,
        }
    }
}

impl<L: LinkKind> fmt::Debug for Links<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Links").field(&L::kind()).finish()
    }
}

impl<L: LinkKind> Links<L> {
    pub(crate) fn of(core: &Core) -> Self {
        Self::new(core.store.clone(), core.surroundings.clone())
    }

    pub(crate) fn new(store: Store, surroundings: Surroundings) -> Self {
        Self {
            store,
            surroundings,
            kind: PhantomData,
        }
    }

    /// Links a remote thing; what it was linked to before is forgotten.
    ///
    /// # Errors
    /// When the data is no JSON, or the database cannot be used.
    pub async fn link(&self, remote: &L::Remote, matrix: &L::Matrix, data: &L::Data) -> Result<()> {
        let change = self.linking(remote, matrix, data)?;
        self.store.write(change).await
    }

    /// The same with an event's consumption.
    ///
    /// # Errors
    /// When the data is no JSON.
    pub fn link_with(
        &self,
        tx: &Tx,
        remote: &L::Remote,
        matrix: &L::Matrix,
        data: &L::Data,
    ) -> Result<()> {
        tx.push(self.linking(remote, matrix, data)?);
        Ok(())
    }

    /// Links, as a part of a unit of work.
    pub(super) fn linking(
        &self,
        remote: &L::Remote,
        matrix: &L::Matrix,
        data: &L::Data,
    ) -> Result<impl FnOnce(&Unit<'_>) -> Result<()> + Send + 'static> {
        let row = LinkRow {
            remote_id: remote.to_text(),
            matrix_id: matrix.as_text().to_owned(),
            data: serde_json::to_string(data)
                .map_err(|error| StoreError::Statement(error.to_string()))?,
            linked_ms: self.surroundings.clock.now_ms(),
        };
        Ok(move |unit: &Unit<'_>| unit.put_link(&L::kind(), &row))
    }

    /// Forgets the link of a remote thing; whether there was one.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn unlink(&self, remote: &L::Remote) -> Result<bool> {
        let remote = remote.to_text();
        self.store
            .write(move |unit| unit.delete_link(&L::kind(), &remote))
            .await
    }

    /// The same with an event's consumption.
    pub fn unlink_with(&self, tx: &Tx, remote: &L::Remote) {
        let remote = remote.to_text();
        tx.push(move |unit| unit.delete_link(&L::kind(), &remote).map(drop));
    }

    /// What a remote thing is linked to.
    ///
    /// # Errors
    /// When the database cannot be used, or the data is of another type.
    pub async fn by_remote(&self, remote: &L::Remote) -> Result<Option<Link<L>>> {
        let remote = remote.to_text();
        let row = self
            .store
            .read(move |unit| unit.link_by_remote(&L::kind(), &remote))
            .await?;
        row.map(|row| read(&row)).transpose()
    }

    /// What a Matrix id is linked to; the oldest of several.
    ///
    /// # Errors
    /// When the database cannot be used, or the data is of another type.
    pub async fn by_matrix(&self, matrix: &L::Matrix) -> Result<Option<Link<L>>> {
        Ok(self.some_by_matrix(matrix, 1).await?.pop())
    }

    /// All that a Matrix id is linked to, oldest first; at most 100.
    ///
    /// # Errors
    /// When the database cannot be used, or the data is of another type.
    pub async fn all_by_matrix(&self, matrix: &L::Matrix) -> Result<Vec<Link<L>>> {
        self.some_by_matrix(matrix, MAX_OF_ONE).await
    }

    async fn some_by_matrix(&self, matrix: &L::Matrix, limit: usize) -> Result<Vec<Link<L>>> {
        let matrix = matrix.as_text().to_owned();
        let rows = self
            .store
            .read(move |unit| unit.links_by_matrix(&L::kind(), &matrix, limit))
            .await?;
        rows.iter().map(read).collect()
    }

    /// Links in the order of their remote ids' texts, behind `after` where it is given; at most `limit`, and 1000.
    ///
    /// # Errors
    /// When the database cannot be used, or data is of another type.
    pub async fn list(&self, after: Option<&L::Remote>, limit: usize) -> Result<Vec<Link<L>>> {
        let after = after.map(RemoteId::to_text).unwrap_or_default();
        let limit = limit.min(MAX_PAGE);
        let rows = self
            .store
            .read(move |unit| unit.links_page(&L::kind(), &after, limit))
            .await?;
        rows.iter().map(read).collect()
    }
}

fn read<L: LinkKind>(row: &LinkRow) -> Result<Link<L>> {
    let wrong = |what: &str| {
        StoreError::Statement(format!(
            "the {} link of `{}` has {what} of another type: was the type changed without moving what is stored?",
            L::kind(),
            row.remote_id
        ))
    };
    Ok(Link {
        remote: L::Remote::from_text(&row.remote_id).ok_or_else(|| wrong("a remote id"))?,
        matrix: L::Matrix::from_text(&row.matrix_id).ok_or_else(|| wrong("a Matrix id"))?,
        data: serde_json::from_str(&row.data).map_err(|_| wrong("data"))?,
        linked_ms: row.linked_ms,
    })
}

impl<L: LinkKind> FromContext for Links<L> {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(Self::of(&context.core))
    }
}

impl<L: LinkKind<Matrix = RoomId>> FromContext for Link<L> {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let room_id = context.room_id().ok_or(Rejection::NotForThis)?;
        let links = Links::<L>::of(&context.core);
        links
            .by_matrix(&room_id)
            .await?
            .ok_or(Rejection::NotForThis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Location;

    struct Channels;

    impl LinkKind for Channels {
        const KIND: &'static str = "channel";
        type Remote = (String, String);
        type Matrix = RoomId;
        type Data = u32;
    }

    struct Renamed;

    impl LinkKind for Renamed {
        const KIND: &'static str = "channel";
        type Remote = String;
        type Matrix = RoomId;
        type Data = u32;
    }

    fn links<L: LinkKind>() -> Links<L> {
        let store = Store::open(&Location::Memory, true, &[]).expect("a database in memory");
        Links::new(store, Surroundings::default())
    }

    fn channel(name: &str) -> (String, String) {
        ("net".to_owned(), name.to_owned())
    }

    fn room(name: &str) -> RoomId {
        RoomId::parse(&format!("!{name}:x")).expect("an id")
    }

    #[tokio::test]
    async fn a_remote_thing_has_one_room_and_a_room_may_have_several_things() {
        let links = links::<Channels>();
        links
            .link(&channel("#a"), &room("one"), &1)
            .await
            .expect("linked");
        links
            .link(&channel("#b"), &room("one"), &2)
            .await
            .expect("linked");
        links
            .link(&channel("#a"), &room("two"), &3)
            .await
            .expect("moved");
        let found = links
            .by_remote(&channel("#a"))
            .await
            .expect("read")
            .expect("one");
        assert_eq!((found.matrix, found.data), (room("two"), 3));
        let of_one = links.all_by_matrix(&room("one")).await.expect("read");
        assert_eq!(of_one.iter().map(|link| link.data).collect::<Vec<_>>(), [2]);
        assert!(links.unlink(&channel("#b")).await.expect("written"));
        assert!(!links.unlink(&channel("#b")).await.expect("written"));
        assert!(links.by_matrix(&room("one")).await.expect("read").is_none());
    }

    #[tokio::test]
    async fn pages_go_on_where_they_ended() {
        let links = links::<Channels>();
        for name in ["c", "a", "b"] {
            links
                .link(&channel(name), &room(name), &0)
                .await
                .expect("linked");
        }
        let first = links.list(None, 2).await.expect("read");
        let rest = links
            .list(first.last().map(|link| &link.remote), 2)
            .await
            .expect("read");
        let names: Vec<_> = first
            .iter()
            .chain(&rest)
            .map(|link| link.remote.1.clone())
            .collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn what_is_gathered_is_seen_once_it_is_committed() {
        let links = links::<Channels>();
        let tx = Tx::new(links.store.clone());
        links
            .link_with(&tx, &channel("#a"), &room("one"), &1)
            .expect("JSON");
        assert!(
            links
                .by_remote(&channel("#a"))
                .await
                .expect("read")
                .is_none()
        );
        for change in tx.take() {
            links.store.write(change).await.expect("written");
        }
        assert!(
            links
                .by_remote(&channel("#a"))
                .await
                .expect("read")
                .is_some()
        );
        links.unlink_with(&tx, &channel("#a"));
        for change in tx.take() {
            links.store.write(change).await.expect("written");
        }
        assert!(
            links
                .by_remote(&channel("#a"))
                .await
                .expect("read")
                .is_none()
        );
    }

    #[tokio::test]
    async fn what_another_type_has_stored_is_an_error_that_says_so() {
        let links = links::<Channels>();
        links
            .link(&channel("#a"), &room("one"), &1)
            .await
            .expect("linked");
        let other = Links::<Renamed>::new(links.store.clone(), links.surroundings.clone());
        let error = other.list(None, 10).await.expect_err("another type");
        assert!(
            error.to_string().contains("a remote id of another type"),
            "{error}"
        );
    }
}
