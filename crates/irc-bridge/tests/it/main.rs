//! The bridge between real parts.

mod access;
mod changed;
mod doubt;
mod folded;
mod ircv3;
mod kept_out;
mod login;
mod once;
mod outage;
mod own_stages;
mod peers;
mod polls;
mod scenarios;
mod services;
mod stage;
mod tls;
mod within;
mod within_channels;
mod within_quiets;
mod within_rules;
mod within_seeds;
