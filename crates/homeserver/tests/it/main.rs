//! The server over real HTTP, in the test's process. Modules mirror the API's chapters.

mod append;
mod calls;
mod devices;
mod keys;
mod session;
mod to_device;
