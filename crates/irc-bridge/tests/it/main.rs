//! The bridge between real parts.

mod access;
mod changed;
mod doubt;
mod drifted;
mod folded;
mod ircv3;
mod kept_out;
mod login;
mod odd;
mod once;
mod outage;
mod own_stages;
mod peers;
mod polls;
mod relations;
mod relayed;
mod scenarios;
mod services;
mod stage;
mod tls;
mod within;
mod within_channels;
mod within_nicks;
mod within_seeds;
mod within_talks;
