//! The kit against real homeservers.

mod backfill;
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
mod provisioning;
mod puppets;
mod rig;
mod suite;
mod traps;
mod wire;
