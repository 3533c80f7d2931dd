//! A bridge between Matrix and IRC, written with `bridgehead-appservice` and with nothing but its public parts.
//!
//! ```text
//! Matrix ◀──▶ kit (inbox, outbox, portals, ghosts) ◀──▶ Irc ──▶ a loop for each network ──▶ a link for each client ──▶ IRC
//! ```
//!
//! - [`irc`] IRC as the kit sees it
//! - `network` the loop of a network: who is where, who speaks, what is heard
//! - [`link`] a connection: made, encrypted, driven
//! - `render` what each message becomes, with what is known around it; [`text`] how messages look on the other side
//! - `kept` what is remembered of channels and people; `drift` what differs between both sides
//! - `people` nicks, user names and addresses of people of Matrix; [`ident`] who vouches for them; `accounts` what they log
//!   in with, and `seal` how that is kept
//! - `ignoring`, `talks` whom people hear alone, and where; `away` who is not there
//! - `folding` what waits a little before it is said; `votes`, `polls` votes in polls, from both sides
//! - `commands` what people tell the bridge to do; `mappings` what the configuration maps; `lookup` how
//!   networks are browsed
//! - [`import`] what another bridge has left, put into this one's database
//! - `removed` what is left of networks that are taken out
//! - `page` how it all stands, for those who watch; [`examine`] what may be wrong with the way to a network
//! - [`settings`] the configuration, [`mod@reload`] another one; `networks` those that there are; [`ids`] the names of
//!   people and places
//! - [`mod@service`] all of it as a service

mod accounts;
mod away;
mod clock;
mod commands;
mod drift;
pub mod examine;
mod folding;
pub mod ids;
mod ignoring;
pub mod import;
pub mod irc;
mod kept;
pub mod link;
mod lookup;
mod mappings;
mod network;
mod networks;
mod page;
mod people;
mod polls;
pub mod reload;
mod removed;
mod render;
mod seal;
pub mod service;
pub mod settings;
mod talks;
pub mod text;
mod votes;

pub use bridgehead_irc_keeper::ident;

pub use self::{
    irc::Irc,
    reload::reload,
    service::{service, service_by},
    settings::Settings,
};

/// The bridge's own figures as a Markdown table, for documentation.
#[must_use]
pub fn figures_reference() -> String {
    network::figures_reference()
}
