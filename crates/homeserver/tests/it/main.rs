//! The server over real HTTP, in the test's process. Modules mirror the API's chapters.

mod aliases;
mod append;
mod context;
mod create_room;
mod directory;
mod knock;
mod members;
mod messages;
mod relations;
mod support;
mod thirdparty;
mod upgrade;
