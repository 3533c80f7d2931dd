//! The kit against real homeservers.

mod bridge;
mod crash;
mod first_steps;
mod harness;
mod rig;
mod suite;
mod traps;
mod wire;
