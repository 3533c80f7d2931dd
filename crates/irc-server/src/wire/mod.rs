//! Sockets: what comes is cut into lines and handed to the one who owns the state, what goes is written in its order.
//!
//! Nothing in here knows what a line means.
//!
//! - `accept` listens, and serves each connection
//! - `outlet` what waits to be written
//! - `cut` lines that are too long
//! - `ident` asks who opened a connection (RFC 1413)

mod accept;
pub(crate) mod cut;
mod ident;
mod outlet;

pub(crate) use self::{
    accept::{Acceptor, Traffic},
    outlet::Outlet,
};
