//! The server over real HTTP, in the test's process. Modules mirror the API's chapters.

mod append;
mod calls;
mod context;
mod devices;
mod discovery;
mod ephemeral;
mod http_edges;
mod media;
mod members;
mod messages;
mod presence;
mod receipts;
mod relations;
mod session;
mod support;
mod tls;
mod to_device;
mod typing;
