//! How far an answer can be relied upon.

/// An answer about a room, and how far it can be relied upon.
///
/// A service knows a room's state as long as it is told of its changes: while one of its users is in the room, or the
/// room is one of its namespace. So an answer says which it is, and a memory of yesterday cannot be taken for today.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Fresh<T> {
    /// So it is, as far as the homeserver has told.
    Known(T),
    /// So it was at this time, ms since the Unix epoch; the service may have missed changes since.
    Stale(T, i64),
    /// The service has never been told.
    Unknown,
}

impl<T> Fresh<T> {
    /// The value, however old.
    #[must_use]
    pub fn value(self) -> Option<T> {
        match self {
            Self::Known(value) | Self::Stale(value, _) => Some(value),
            Self::Unknown => None,
        }
    }

    /// The value, if it can be relied upon.
    #[must_use]
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Stale(..) | Self::Unknown => None,
        }
    }

    /// Whether it can be relied upon.
    #[must_use]
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// Another value of the same freshness.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Fresh<U> {
        match self {
            Self::Known(value) => Fresh::Known(change(value)),
            Self::Stale(value, since_ms) => Fresh::Stale(change(value), since_ms),
            Self::Unknown => Fresh::Unknown,
        }
    }

    /// The same by reference.
    pub fn as_ref(&self) -> Fresh<&T> {
        match self {
            Self::Known(value) => Fresh::Known(value),
            Self::Stale(value, since_ms) => Fresh::Stale(value, *since_ms),
            Self::Unknown => Fresh::Unknown,
        }
    }
}
