//! The kit against real homeservers.

mod crash;
mod first_steps;
mod harness;
mod rig;
mod suite;
mod traps;
mod wire;
