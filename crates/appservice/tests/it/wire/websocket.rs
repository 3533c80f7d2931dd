//! The websocket of services that nobody can reach.

mod frames;
mod real;
mod relay;
