//! What most services need, by one `use`: the service and its handlers' arguments, actors, identifiers, the database.
//!
//! ```
//! use bridgehead_appservice::prelude::*;
//! ```

pub use std::process::ExitCode;

pub use crate::{
    Actor, AliasAsk, Bot, Content, Context, Delivery, Devices, Edit, Error, Event, Fresh, Ghost,
    GhostPlan, Ghosts, Handle, HandlerError, Member, Message, Presence, Raw, Reaction, Receipt,
    Redaction, Room, RoomPlan, Sender, Service, State, StateEvent, StateKind, Text, Timeline,
    ToDevice, Typing, UserAsk, Verdict,
    id::{EventId, MxcUri, RoomAlias, RoomId, UserId},
    store::{Migration, Row, Store, Tx, Value},
};
