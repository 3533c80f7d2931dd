//! The kit against real homeservers.

mod crash;
mod first_steps;
mod harness;
mod suite;
