//! The server over real HTTP, in the test's process. Modules mirror the API's chapters.

mod append;
mod calls;
mod context;
mod devices;
mod ephemeral;
mod keys;
mod members;
mod messages;
mod presence;
mod receipts;
mod relations;
mod session;
mod support;
mod to_device;
mod typing;
