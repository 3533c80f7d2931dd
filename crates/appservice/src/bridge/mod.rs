//! What bridges need on top of a service.

pub mod backfill;
pub mod provisioning;
pub mod puppets;
pub mod signed;
pub(crate) mod status;
