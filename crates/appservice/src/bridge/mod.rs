//! What bridges need on top of a service.

pub mod signed;
pub(crate) mod status;
