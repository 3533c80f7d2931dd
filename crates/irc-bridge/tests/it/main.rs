//! The bridge between real parts.

mod changed;
mod doubt;
mod ircv3;
mod login;
mod once;
mod own_stages;
mod peers;
mod scenarios;
mod services;
mod stage;
mod tls;
mod within;
mod within_channels;
