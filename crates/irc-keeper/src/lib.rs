//! Keeps IRC connections while the program that speaks by them, the bridge, is restarted or dies.
//!
//! ```text
//! bridge ──frames──▶ keeper ──bytes──▶ IRC server
//!        ◀──lines───        ◀─────────
//! ```
//!
//! The keeper knows next to nothing of IRC. What a server says it cuts into lines, numbers them, and keeps each until the
//! bridge has acknowledged it. What the bridge says comes in numbered frames, each of which is written once. While no bridge is
//! there it answers `PING`, and after some time says `QUIT`. It never reads or logs what people say.
//!
//! - [`wire`] what goes between keeper and bridge, over a unix socket: one connection of that for each of IRC
//! - [`serve`](Keeper) takes bridges in; `kept` one connection of IRC
//! - [`attach`] the bridge's side
//! - [`program`] the keeper as a process
//! - [`dial`], [`tls`] how connections to servers are made, with and without a keeper; [`ident`] whose they are

pub mod attach;
pub mod dial;
pub mod ident;
mod kept;
mod lines;
pub mod program;
mod serve;
pub mod tls;
pub mod wire;

pub use self::serve::{Keeper, KeeperError};
