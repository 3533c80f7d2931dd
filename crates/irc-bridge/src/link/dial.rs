//! Making a connection to one of a network's servers; [`dial`] does it, here or in the keeper.

use std::{io, net::IpAddr, path::Path, sync::Arc};

pub use bridgehead_irc_keeper::dial::{Server, Stream};
use bridgehead_irc_keeper::{
    dial,
    tls::{TlsError, Trust, connector},
};
use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;

use crate::ident::{Ident, Pair, Vouched};

/// Leads to a server without the network.
pub type Dialler = Arc<dyn Fn(&Server) -> io::Result<Box<dyn Stream>> + Send + Sync>;

/// The way to servers.
#[derive(Clone, Default)]
pub enum Way {
    /// Over the network.
    #[default]
    Network,
    /// To a server in the same process, without a socket: for tests and simulations.
    Within(Dialler),
}

/// How a connection is made.
#[derive(Clone)]
pub struct Dial {
    /// By which way.
    pub way: Way,
    /// Where to.
    pub server: Server,
    /// How it is encrypted, if it is.
    pub tls: Option<Trust>,
    /// From which address.
    pub from: Option<IpAddr>,
    /// The user name that is vouched for.
    pub user: String,
    /// Who answers for it.
    pub ident: Ident,
    /// Who keeps it, if anybody does.
    pub keeper: Option<Kept>,
}

/// A connection that a keeper holds, or is to make.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The keeper's socket.
    pub path: Arc<Path>,
    /// What it calls the connection.
    pub id: String,
    /// Held by who has the connection: the next is not made before all is done about the one before.
    pub turn: Arc<AsyncMutex<()>>,
}

/// A connection that stands.
pub struct Dialled {
    /// The connection.
    pub stream: Box<dyn Stream>,
    /// It is vouched for as long as this lives.
    pub vouched: Option<Vouched>,
}

impl Dial {
    /// Connects to the first of the server's addresses that answers.
    ///
    /// # Errors
    /// The last address's error; that there is none; that none answers in time; that it cannot be encrypted.
    pub async fn dial(&self) -> io::Result<Dialled> {
        let tls = self.tls.as_ref().map(connector).transpose();
        let dial = dial::Dial {
            server: self.server.clone(),
            tls: tls.map_err(|error: TlsError| io::Error::other(error))?,
            from: self.from,
        };
        if let Way::Within(reach) = &self.way {
            return Ok(Dialled {
                stream: dial.encrypt(reach(&self.server)?).await?,
                vouched: None,
            });
        }
        let vouched = Mutex::new(None);
        let dialled = dial
            .dial(|port| {
                let pair = Pair {
                    from: self.from,
                    port,
                    to: Some(self.server.port),
                };
                *vouched.lock() = Some(self.ident.vouch(pair, &self.user));
                std::future::ready(Ok(()))
            })
            .await?;
        Ok(Dialled {
            stream: dialled.stream,
            vouched: vouched.into_inner(),
        })
    }
}
