//! The server over real HTTP, in the test's process. Modules mirror the API's chapters.

mod append;
mod discovery;
mod http_edges;
mod media;
mod tls;
