//! Write Matrix application services.

pub mod backoff;
pub mod bridge {
    //! What bridges need on top of a service.

    pub mod signed;
}
mod client;
pub mod config;
mod error;
mod event;
pub mod id;
pub mod metrics;
pub mod store;
pub mod surroundings;

pub use self::{
    client::{Urgency, gate, limiter, retry_after},
    error::{Error, HandlerError},
    event::{BadEvent, Event},
};
pub use bridgehead_registration::Secret;
