//! The bridge between real parts.

mod kept_out;
mod login;
mod once;
mod own_stages;
mod peers;
mod scenarios;
mod stage;
mod within;
