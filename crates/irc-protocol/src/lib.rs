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

pub mod casemap;
pub mod channels;
pub mod isupport;
pub mod line;
pub mod modes;
pub mod source;

pub use self::{
    casemap::CaseMapping,
    channels::{Channels, Happening},
    isupport::Isupport,
    line::{Line, LineBuffer, Tags},
    modes::ModeChange,
    source::Source,
};
