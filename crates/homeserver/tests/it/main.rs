//! The server over real HTTP, in the test's process. Modules mirror the API's chapters.

mod append;
mod calls;
mod context;
mod delivery;
mod devices;
mod dialect;
mod ephemeral;
mod interest;
mod members;
mod messages;
mod peer;
mod presence;
mod queries;
mod receipts;
mod relations;
mod session;
mod support;
mod to_device;
mod typing;
