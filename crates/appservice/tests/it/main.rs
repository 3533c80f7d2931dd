//! The kit against real homeservers.

mod actors;
mod crash;
mod first_steps;
mod harness;
mod media;
mod nonsense;
mod outside;
mod program;
mod puppets;
mod rig;
mod suite;
mod traps;
mod wire;
