//! The kit against real homeservers.

mod actors;
mod backfill;
mod banned;
mod book;
mod bridge;
mod crash;
mod examples;
mod figures;
mod first_steps;
mod harness;
mod media;
mod nonsense;
mod outside;
mod pace;
mod pond;
mod program;
mod programs;
mod provisioning;
mod puppets;
mod rig;
mod suite;
mod traps;
mod upkeep;
mod wire;
