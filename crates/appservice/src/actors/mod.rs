//! Acting on Matrix: the service's own user, its ghosts, and rooms.
//!
//! What an actor needs for what it is asked to do is seen to on the way and in this order: it is registered, it has
//! joined (invited by the service's own user where that is needed), it has the power. `ensure` does that; `room` and
//! `user` are the handles that authors hold.

mod ensure;
mod room;
mod user;

pub(crate) use self::user::Actor;
pub use self::{
    room::Room,
    user::{Bot, Ghost, Ghosts, Puppet},
};
