//! Test helpers, used as a dev-dependency only.
//!
//! - [`lab`] is where application services are tested: the homeserver inside the test without
//!   sockets, time that stands still, and faults in between.
//! - [`Process`] runs any program and lets a test wait for what it prints; [`ServerProcess`] runs our own server
//!   that way, and can kill and restart it.
//! - [`Synapse`] is a homeserver of others, for what has to hold against any.
//! - [`TestServer`] is the homeserver inside the test's process, over real HTTP.
//! - [`Client`] speaks as much of the client-server API as tests need; [`Watcher`] keeps all that `/sync` told.
//! - [`RecordingAppservice`] is an application service that writes down each transaction and answers as it is
//!   told; [`judge`] says whether what it wrote down keeps the server's promises.
//!
//! Every wait here ends: with what was waited for, or with an error that shows what was seen instead.

mod appservice;
mod client;
mod in_process;
mod judge;
pub mod lab;
mod process;
mod rows;
mod server;
mod synapse;
mod watcher;

pub use appservice::{
    Answer, AppserviceOptions, Lookup, NamespaceOptions, Query, RecordingAppservice,
};
pub use client::Client;
pub use in_process::TestServer;
pub use judge::{Fault, Record, Verdict, judge};
pub use process::{Memory, Process, free_port};
pub use rows::table_rows;
pub use server::{REGISTRATION_SHARED_SECRET, SERVER_NAME, ServerOptions, ServerProcess};
pub use synapse::{SYNAPSE_VAR, Synapse, SynapseOptions};
pub use watcher::{Seen, SeenEvent, Watcher};
