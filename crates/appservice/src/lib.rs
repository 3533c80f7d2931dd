//! Write Matrix application services.

pub mod backoff;
pub mod bridge {
    //! What bridges need on top of a service.

    pub mod signed;
}
pub mod client {
    //! Calls from the service to the homeserver.

    pub mod gate;
    pub mod limiter;
    pub mod retry_after;
}
mod client;
mod error;
mod event;
pub mod id;
pub mod store;
pub mod surroundings;

pub use self::{
    client::Urgency,
    error::{Error, HandlerError},
    event::{BadEvent, Event},
};
pub use bridgehead_registration::Secret;
