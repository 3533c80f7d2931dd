//! An operator of another IRC bridge switches to this one: what the other keeps is read, and a configuration, a
//! registration and a database for this bridge are made of it. The other bridge's things are never written to, so that
//! the way back stays open.
//!
//! - `mai` reads matrix-appservice-irc: its configuration and its PostgreSQL database
//! - `heisenbridge` reads heisenbridge: the account data of its user
//! - `draft` the configuration that is made; `keys` the other's, key by key, so that nothing is passed over in silence
//! - `site` the files that are made; `report` what is told
//!
//! A crate of its own, so that the bridge itself knows neither PostgreSQL nor RSA. What is in the bridge's database is the
//! bridge's business ([`bridgehead_irc::import`]).

mod command;
mod draft;
mod heisenbridge;
mod keys;
mod mai;
mod report;
mod site;

pub use self::{
    command::{Arguments, Heisenbridge, MatrixAppserviceIrc, Source, run},
    report::Report,
};

/// Why nothing, or not all, was taken over. Displays as what the operator is to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl Failure {
    fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }

    fn at(place: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self(format!("{place}: {error}"))
    }
}

impl From<bridgehead_irc::import::ImportError> for Failure {
    fn from(error: bridgehead_irc::import::ImportError) -> Self {
        Self::new(error)
    }
}

type Result<T, E = Failure> = std::result::Result<T, E>;
