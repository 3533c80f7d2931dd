//! The server over real HTTP, in the test's process. Modules mirror the API's chapters.

mod admin;
mod append;
mod calls;
mod context;
mod devices;
mod ephemeral;
mod identity;
mod keys;
mod login;
mod members;
mod messages;
mod ping;
mod presence;
mod receipts;
mod registration;
mod relations;
mod session;
mod support;
mod to_device;
mod typing;
