//! The kit against real homeservers.

mod first_steps;
mod harness;
