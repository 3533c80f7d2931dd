//! A room, as handlers hold it.

use std::{fmt, sync::Arc};

use crate::{core::Core, handler::Scope, id::RoomId};

/// A room.
#[derive(Clone)]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    pub(crate) core: Arc<Core>,
    pub(crate) scope: Option<Scope>,
}

impl Room {
    pub(crate) fn new(core: Arc<Core>, id: RoomId, scope: Option<Scope>) -> Self {
        Self { id, core, scope }
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.id, f)
    }
}

impl AsRef<RoomId> for Room {
    fn as_ref(&self) -> &RoomId {
        &self.id
    }
}

impl AsRef<RoomId> for RoomId {
    fn as_ref(&self) -> &RoomId {
        self
    }
}
