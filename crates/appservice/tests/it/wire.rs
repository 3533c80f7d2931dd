//! What the homeserver, or somebody who pretends to be it, may send.

mod bodies;
mod listening;
mod look_ups;
mod pings;
mod repeats;
mod routes;
mod tokens;
mod websocket;
