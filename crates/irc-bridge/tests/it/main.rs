//! The bridge between real parts.

mod once;
mod peers;
mod scenarios;
mod stage;
mod within;
