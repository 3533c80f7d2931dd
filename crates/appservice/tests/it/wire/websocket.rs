//! The websocket of services that nobody can reach.

mod breaks;
mod frames;
mod host;
mod real;
mod relay;
