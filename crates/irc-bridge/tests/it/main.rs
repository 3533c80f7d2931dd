//! The bridge between real parts.

mod folded;
mod login;
mod once;
mod own_stages;
mod peers;
mod polls;
mod scenarios;
mod stage;
mod within;
