//! Pools of read connections. Deliveries have one of their own, so that clients who read a lot
//! keep no application service waiting.

use std::{path::Path, sync::Arc};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::{Error, Location, Result, Snapshot, closed, dropped, open_connection};

/// Connections that only read, lent one at a time; who finds none waits.
pub(crate) struct Readers {
    connections: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Readers {
    pub(crate) fn open(file: &Path, number: usize) -> Result<Arc<Self>> {
        let connections = (0..number)
            .map(|_| {
                let connection = open_connection(Location::File(file))?;
                connection.pragma_update(None, "query_only", true)?;
                Ok(connection)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Self {
            connections: Mutex::new(connections),
            permits: Semaphore::new(number),
        }))
    }

    /// Runs `work` on one consistent snapshot, on a blocking thread.
    pub(crate) async fn read<T, E>(
        self: &Arc<Self>,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| E::from(closed()))?;
        permit.forget();
        let readers = self.clone();
        tokio::task::spawn_blocking(move || {
            let lease = Lease::take(&readers)?;
            snapshot(lease.connection(), work)
        })
        .await
        .map_err(|_| E::from(dropped()))?
    }

    /// Lends no more connections.
    pub(crate) fn refuse(&self) {
        self.permits.close();
    }

    /// Closes the connections that are not lent.
    pub(crate) fn close(&self) {
        self.connections.lock().clear();
    }
}

/// A read connection on loan; goes back on drop, also when the reader panics.
struct Lease<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl<'a> Lease<'a> {
    fn take(readers: &'a Readers) -> Result<Self> {
        let connection = readers.connections.lock().pop();
        if connection.is_none() {
            readers.permits.add_permits(1);
            return Err(closed());
        }
        Ok(Self {
            readers,
            connection,
        })
    }

    fn connection(&self) -> &Connection {
        self.connection
            .as_ref()
            .expect("the lease holds its connection until drop")
    }
}

/// Runs `work` on one consistent snapshot of what `conn` sees.
pub(crate) fn snapshot<T, E: From<Error>>(
    conn: &Connection,
    work: impl FnOnce(&Snapshot<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = conn.unchecked_transaction().map_err(Error::from)?;
    let result = work(&Snapshot { conn });
    transaction.finish().map_err(Error::from)?;
    result
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.readers.connections.lock().push(connection);
            self.readers.permits.add_permits(1);
        }
    }
}
