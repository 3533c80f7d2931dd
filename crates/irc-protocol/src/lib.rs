//! The IRC protocol without I/O.
//!
//! Nothing in here opens a socket, reads a clock or knows Matrix: bytes and instants come in, lines and events go out.
//!
//! ```text
//! bytes ──▶ LineBuffer ──▶ Line ──▶ Session ──▶ what it means for one client
//!                            └────▶ Channels ─▶ what it means for those who look on
//! ```
//!
//! - [`mod@line`] one line: tags, source, command, parameters; read and written
//! - [`source`] who a line is from: `nick!user@host`, or a server
//! - [`casemap`] which names are the same
//! - [`isupport`] what the server says of itself (005)
//! - [`modes`] changes of modes, cut into single ones by the server's own rules
//! - [`channels`] what an onlooker knows of channels and people
//! - [`formatting`] bold, colors and the like within a text
//! - [`split`] long texts, cut into lines that fit
//! - [`encoding`] text that is not UTF-8
//! - [`mask`] who is meant by masks, and what else stands in a channel's lists
//! - [`ctcp`] what clients say to each other within a message
//! - [`history`] where something was said that a server keeps
//! - [`netsplit`] when two servers lose each other
//! - [`numerics`] what a server answers, and what its refusals mean for a person
//! - [`ending`] why a server ended a connection
//! - [`session`] a client's session: registration, login, what was said and what became of it

pub mod casemap;
pub mod channels;
pub mod ctcp;
pub mod encoding;
pub mod ending;
pub mod formatting;
pub mod history;
pub mod isupport;
pub mod line;
pub mod mask;
pub mod modes;
pub mod netsplit;
pub mod numerics;
pub mod session;
pub mod source;
pub mod split;

pub use self::{
    casemap::CaseMapping,
    channels::{Channels, Happening},
    isupport::Isupport,
    line::{Line, LineBuffer, Tags},
    modes::ModeChange,
    session::Session,
    source::Source,
};
