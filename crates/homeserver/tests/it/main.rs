//! The server over real HTTP, in the test's process. Modules mirror the API's chapters.

mod append;
mod ephemeral;
mod presence;
mod receipts;
mod typing;
mod context;
mod members;
mod messages;
mod relations;
mod support;
mod calls;
mod devices;
mod session;
mod to_device;
