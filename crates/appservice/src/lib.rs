//! Write Matrix application services.

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
