//! A service that does not run: its database, for importers and repairs.

use std::fmt;

use super::{Database, StartError, location};
use crate::{
    bridge::{Adopting, Bridges, LinkKind, Links, Network},
    service::Service,
    store::Store,
    surroundings::Surroundings,
};

/// The database of a service that does not run. Nobody else opens it until this is closed or dropped.
///
/// ```
/// # use bridgehead_appservice::{Database, Service, StartError};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let service = Service::new("echo");
/// let still = service.still("example.org", &Database::Memory)?;
/// still.store().put("greeting", &"hello").await?;
/// still.close().await;
/// # Ok(())
/// # }
/// ```
pub struct Still {
    store: Store,
    bridges: Bridges,
    surroundings: Surroundings,
}

impl fmt::Debug for Still {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Still").finish_non_exhaustive()
    }
}

impl Service {
    /// Opens the database of this service, which is made where there is none, on the homeserver of this name.
    ///
    /// # Errors
    /// What is wrong with the declaration; that the service runs, or that the database cannot be used.
    pub fn still(&self, server_name: &str, database: &Database) -> Result<Still, StartError> {
        let mistakes = self.check();
        if !mistakes.is_empty() {
            return Err(StartError::Declaration(mistakes));
        }
        let bridges = Bridges::build(&self.bridges, server_name, &self.limits);
        Ok(Still {
            bridges: bridges.map_err(StartError::Setup)?,
            store: Store::open(&location(database), true, &self.migrations)?,
            surroundings: Surroundings::default(),
        })
    }
}

impl Database {
    /// Whether no service has the database now.
    ///
    /// # Errors
    /// When one has it, or its place cannot be used.
    pub fn check_free(&self) -> Result<(), StartError> {
        super::lock(self).map(drop)
    }
}

impl Still {
    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The links of a kind.
    #[must_use]
    pub fn links<L: LinkKind>(&self) -> Links<L> {
        Links::new(self.store.clone(), self.surroundings.clone())
    }

    /// Takes over what another bridge to this network has left.
    ///
    /// # Errors
    /// When the service has no such bridge, or the database cannot be used.
    pub async fn adopting<N: Network>(&self) -> Result<Adopting<N>, StartError> {
        let live = self.bridges.get::<N>().ok_or_else(|| {
            StartError::Setup(format!("the service has no bridge to {}", N::TITLE))
        })?;
        Ok(Adopting::begin(live, self).await?)
    }

    /// Closes the database: now the service may be started.
    pub async fn close(self) {
        self.store.close().await;
    }
}
