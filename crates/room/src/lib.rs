//! The pure room engine: build, authorise, sign, redact.
//!
//! A [`RoomView`] is what is known of a room at one moment; [`build()`] turns a wish ([`NewEvent`]) into a
//! signed [`Event`], or names the rule that refused it ([`Rejection`]); [`RoomView::apply`] gives the view
//! after it. Room versions differ through ruma's named rules alone, never by comparing version numbers.
//!
//! Nothing here does I/O, reads a clock or draws random numbers: the caller brings time, identifiers and keys.

mod auth;
mod build;
mod error;
mod event;
#[cfg(test)]
mod fixture;
mod key;
mod membership;
mod power_levels;
mod redact;
mod view;

pub use crate::{
    auth::authorise,
    build::{NewEvent, build, build_create},
    error::{CorruptEvent, InvalidKey, Rejection, UnsupportedVersion},
    event::{Event, EventGraph},
    key::SigningKey,
    membership::{Membership, UnknownMembership},
    redact::{may_redact, redact_content},
    view::{RoomView, is_supported},
};
