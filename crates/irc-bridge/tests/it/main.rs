//! The bridge between real parts.

mod peers;
mod scenarios;
mod stage;
mod within;
