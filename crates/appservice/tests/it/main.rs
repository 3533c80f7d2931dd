//! The kit against real homeservers.

mod book;
mod crash;
mod examples;
mod first_steps;
mod harness;
mod pond;
mod suite;
