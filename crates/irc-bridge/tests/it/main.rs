//! The bridge between real parts.

mod login;
mod peers;
mod scenarios;
mod stage;
