//! What people of Matrix are called on IRC: nick, user name (ident) and real name.
//!
//! Nothing here knows who is connected: whether a name is taken is asked of the caller, and nothing here promises that a
//! server accepts one. Names are ASCII, as most servers have them.

mod ascii;
mod ident;
mod nick;

pub use self::{
    ident::{MAX_IDENT_BYTES, ident, real_name},
    nick::{BadTemplate, NickTemplate, Person, ladder, relayed_nick},
};
