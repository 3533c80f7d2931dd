//! Rooms: making them, appending to them, reading them.

mod access;
mod aliases;
mod append;
mod create;
pub(crate) mod format;
mod membership;
pub(crate) mod stripped;
pub(crate) mod upgrade;

pub(crate) use self::{
    access::{Visible, may_read_state},
    aliases::{AliasChange, resolve, resolve_or_ask},
    append::{AppendContext, AppendError, AppendRequest, append, append_in},
    create::{CreateRoom, create_room},
    membership::{MemberChange, change_membership, change_membership_in, join, member_content},
};
