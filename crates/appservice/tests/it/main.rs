//! The kit against real homeservers.

mod actors;
mod backfill;
mod book;
mod bridge;
mod crash;
mod examples;
mod figures;
mod first_steps;
mod harness;
mod media;
mod nonsense;
mod once;
mod outside;
mod pond;
mod program;
mod provisioning;
mod puppets;
mod rig;
mod suite;
mod traps;
mod upkeep;
mod wire;
