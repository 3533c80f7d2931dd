//! Acting on Matrix: the service's own user, its ghosts, puppets, and rooms.
//!
//! What an actor needs for what it is asked to do is seen to on the way and in this order: it is registered, it has
//! joined (invited by the service's own user where that is needed), it has the power.
//!
//! ```text
//! actor ──▶ prepare: registered? joined? permitted? ──▶ outbox ──▶ homeserver
//!              │                                          │ 403
//!              └──────────── join, invite, raise ◀────────┘ repair, once
//! ```
//!
//! Files: `actor` (who acts, and sends), `acts` (what else all can do), `user` and `puppets` (who they are), `room` (the handle), `ensure` (registered,
//! Files: `actor` (what all can do), `user` (who they are), `room` (the handle), `ensure` (registered,
//! ready), `join` (into a room, whatever it takes), `rooms` (making rooms, leaving, inviting, kicking), `aliases`,
//! `preflight` (a room's rules, pure), `grant` (power on demand), `repair` (after a no), `removed` (who was put out), `profiles`, and `membership`
//! (who should be where, brought about in the background).
//! Files: `actor` (who acts, and sends), `acts` (what else all can do), `user` (who they are), `room` (the handle),
//! `ensure` (registered, ready), `join` (into a room, whatever it takes), `make` (rooms, each once), `rooms` (leaving,
//! inviting, kicking), `aliases`, `preflight` (a room's rules, pure), `grant` (power on demand), `repair` (after a no),
//! `profiles`, and `membership` (who should be where, brought about in the background).

mod actor;
mod acts;
mod aliases;
mod ensure;
mod grant;
mod join;
mod make;
pub(crate) mod membership;
pub(crate) mod preflight;
mod profiles;
mod removed;
mod repair;
mod room;
mod rooms;
mod user;

use std::{
    num::NonZeroUsize,
    sync::{Arc, atomic::AtomicBool},
};

use lru::LruCache;
use parking_lot::Mutex;

pub(crate) use self::rooms::Act;
pub use self::{
    actor::{Actor, SendOptions},
    join::JoinOptions,
    membership::MembershipGap,
    profiles::{ProfileChange, Propagation},
    room::Room,
    user::{Bot, Ghost, Ghosts, Puppet},
};
use self::{
    grant::Grants, join::Refusals, membership::Planner, profiles::Profiles, repair::Repairs,
};
use crate::{
    core::Limits,
    flights::Flights,
    id::{RoomId, UserId},
    store::Store,
};

/// Users of whom it is remembered that the homeserver has them.
const MAX_REGISTERED: NonZeroUsize = NonZeroUsize::new(20_000).expect("not zero");

/// What actors share.
pub(crate) struct Actors {
    registered: Mutex<LruCache<UserId, ()>>,
    registering: Flights<UserId>,
    joining: Flights<(RoomId, UserId)>,
    refusals: Refusals,
    repairs: Repairs,
    grants: Grants,
    profiles: Profiles,
    making: Flights<String>,
    /// The homeserver makes rooms without a transaction id only.
    makes_by_post: AtomicBool,
    pub(crate) planner: Arc<Planner>,
}

impl Actors {
    pub(crate) fn new(store: &Store, limits: &Limits) -> Self {
        Self {
            registered: Mutex::new(LruCache::new(MAX_REGISTERED)),
            registering: Flights::default(),
            joining: Flights::default(),
            refusals: Refusals::default(),
            repairs: Repairs::default(),
            grants: Grants::default(),
            profiles: Profiles::default(),
            making: Flights::default(),
            makes_by_post: AtomicBool::new(false),
            planner: Arc::new(Planner::new(store.clone(), limits)),
        }
    }
}
