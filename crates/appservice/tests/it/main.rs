//! The kit against real homeservers.

mod book;
mod crash;
mod examples;
mod first_steps;
mod harness;
mod pond;
mod rig;
mod suite;
mod traps;
mod wire;
