//! The bridge between real parts.

mod access;
mod login;
mod once;
mod own_stages;
mod peers;
mod scenarios;
mod stage;
mod within;
