//! The kit against real homeservers.

mod bridge;
mod book;
mod crash;
mod examples;
mod first_steps;
mod harness;
mod pond;
mod media;
mod nonsense;
mod outside;
mod program;
mod puppets;
mod rig;
mod suite;
mod traps;
mod wire;
