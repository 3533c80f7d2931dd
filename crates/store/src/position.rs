//! The one order of the server: positions in the log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in the server's order: gap-free, in commit order, starting at 1. Zero is "before
/// everything". Sync tokens, application-service cursors and wake-ups are all this number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct StreamPosition(pub u64);

impl StreamPosition {
    /// Before everything.
    pub const ZERO: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub(crate) fn to_sql(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    pub(crate) fn from_sql(value: i64) -> Self {
        Self(u64::try_from(value).unwrap_or(0))
    }
}

impl fmt::Display for StreamPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The database's number of an application service. Ids are strings chosen by people; rows and
/// sets carry this instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppserviceNid(pub i64);

/// The number of an interned set of application services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct InterestSetId(pub i64);

impl InterestSetId {
    /// Nobody is interested.
    pub const EMPTY: Self = Self(0);
}
