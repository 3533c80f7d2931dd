//! Types and client of the operator API, which lives below [`BASE`].
//!
//! The server answers with these types, the command line and the tests read them; the dashboard
//! reads the same JSON. Times are milliseconds since the Unix epoch (`_at_ms`) or durations
//! (`_ms`). A field that does not apply is absent. Keys that a reader does not know are to be
//! ignored: the API only ever gains some.
//!
//! [`Client`] has one method for each route that a program may call with a token. The routes of
//! browser sessions (`POST` and `DELETE session`) are the dashboard's alone.

mod client;
mod types;

pub use client::{AuditQuery, Client, ClientError, EventStream, StreamItem, Token};
pub use types::*;

/// Where the operator API is mounted.
pub const BASE: &str = "/_bridgehead/v1";
