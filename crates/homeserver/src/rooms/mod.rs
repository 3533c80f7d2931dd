//! Rooms: making them, appending to them, reading them.

mod access;
mod admin;
mod aliases;
mod append;
mod create;
pub(crate) mod directory;
pub(crate) mod filter;
pub(crate) mod format;
pub(crate) mod hierarchy;
mod lazy;
mod membership;
pub(crate) mod read;
mod receipts;
pub(crate) mod stripped;
pub(crate) mod summary;
pub(crate) mod upgrade;

#[cfg(test)]
pub(crate) use self::append::insert as insert_event;
pub(crate) use self::{
    access::{Visible, may_read_state, may_see, membership_of},
    admin::{join_by_admin, make_room_admin},
    aliases::{AliasChange, check_canonical_alias, resolve, resolve_or_ask, resolve_room},
    append::{AppendContext, AppendError, AppendRequest, append, append_in},
    create::{CreateRoom, create_room},
    lazy::invite_after_lazy_creation,
    membership::{MemberChange, change_membership, change_membership_in, join, member_content},
    receipts::{NewReceipt, ReceiptKind, set_receipts},
};
