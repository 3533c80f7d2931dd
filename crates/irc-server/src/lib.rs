//! A small IRC server in memory: as new or as old as wanted, and with faults on request.
//!
//! For demonstrations where no other server is at hand, and for tests of what others do not offer or do not do twice. It
//! listens on 127.0.0.1 alone, keeps nothing on disk, has no services and links to no other server. It is not made to be
//! open to strangers.
//!
//! ```
//! # use bridgehead_irc_server::{Dialect, Server};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! let server = Server::start(Dialect::modern()).await?;
//! let bob = server.person("bob").await?;
//! let ann = server.person("ann").await?;
//! bob.join("#tea").await?;
//! ann.join("#tea").await?;
//! bob.say("#tea", "Hello!").await?;
//! let heard = ann.wait_for(|line| line.command == "PRIVMSG").await?;
//! assert_eq!(heard.text(1), "Hello!");
//! // Others connect to `server.address()`.
//! server.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! ```text
//! sockets ── wire ──Traffic──▶ ┐                            ┌──▶ outlets of sockets
//!                              ├─ actor: State ◀─ commands ─┤
//! Server, Person, Faults ─Call▶ ┘                            └──▶ ears of people in memory
//! ```
//!
//! - [`Dialect`] what the server is like
//! - [`Server`] starts and stops it, and tells what is in it
//! - [`Person`] somebody without a socket
//! - [`Faults`] what is to go wrong
//! - `actor` the one task that owns the state; `state` what it knows; `commands` what clients may ask for
//! - `wire` sockets; `sasl` logging in; `names`, `clock` what their names say
//!
//! Everything is bounded: see [`Limits`].

mod actor;
mod clock;
mod commands;
mod dialect;
mod ear;
mod faults;
mod names;
mod person;
mod sasl;
mod server;
mod state;
mod view;
mod wire;

pub use self::{
    clock::Clock,
    dialect::{Dialect, Flood, Limits, LongLines, Pings, Quirks, Refusals, Throttle},
    ear::NotHeard,
    faults::{Faults, LastLine},
    person::{Gone, Person},
    server::{Server, StartError},
    state::{
        Logged, NoPerson,
        channel::{Entry, Topic},
    },
    view::{ChannelView, MemberView, PersonView},
};
