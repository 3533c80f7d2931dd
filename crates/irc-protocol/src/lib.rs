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
//! - [`session`] a client's session: registration, login, what was said and what became of it

pub mod casemap;
pub mod isupport;
pub mod line;
pub mod modes;
pub mod session;
pub mod source;

pub use self::{
    casemap::CaseMapping,
    isupport::Isupport,
    line::{Line, LineBuffer, Tags},
    modes::ModeChange,
    session::Session,
    source::Source,
};
