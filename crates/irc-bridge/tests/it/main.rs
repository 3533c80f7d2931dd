//! The bridge between real parts.

mod login;
mod own_stages;
mod peers;
mod scenarios;
mod stage;
mod within;
