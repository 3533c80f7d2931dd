//! The kit against real homeservers.

mod crash;
mod figures;
mod first_steps;
mod harness;
mod program;
mod rig;
mod suite;
mod traps;
mod wire;
