//! A PostgreSQL of a test's own: in a folder that is gone afterwards, reached by a socket in it.

use std::{
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio_postgres::{Client, NoTls};

/// Where `postgres` is; `initdb` is beside it.
const VARIABLE: &str = "BRIDGEHEAD_TEST_POSTGRES";
/// PostgreSQL does not run as root: then as nobody.
const NOBODY: u32 = 65534;
const SOON: Duration = Duration::from_secs(60);

/// A server that listens.
pub(super) struct Postgres {
    folder: TempDir,
    // Killed when it is dropped.
    _server: Child,
}

impl Postgres {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let program = std::env::var_os(VARIABLE)
            .map(PathBuf::from)
            .with_context(|| {
                format!(
                    "{VARIABLE} does not say where postgres is; `cargo xtask test` sees to that"
                )
            })?;
        let folder = TempDir::with_prefix("bridgehead-postgres-")?;
        let is_root = std::fs::metadata("/proc/self")?.uid() == 0;
        if is_root {
            chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let data = folder.path().join("data");
        let mut made = as_nobody(is_root, &program.with_file_name("initdb"));
        made.args([
            "--auth=trust",
            "--username=owner",
            "--no-sync",
            "--encoding=UTF8",
        ]);
        made.args(["--locale=C", "--pgdata"]).arg(&data);
        let output = made.current_dir(folder.path()).output().await?;
        ensure!(
            output.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut server = as_nobody(is_root, &program);
        server.arg("-D").arg(&data).arg("-k").arg(folder.path());
        server.args(["-c", "listen_addresses=", "-c", "fsync=off"]);
        let server = server
            .current_dir(folder.path())
            .kill_on_drop(true)
            .spawn()?;
        let postgres = Self {
            folder,
            _server: server,
        };
        postgres.connect("owner").await?;
        Ok(postgres)
    }

    /// The address for somebody.
    pub(super) fn address(&self, user: &str) -> String {
        let folder = self.folder.path().display();
        format!("host={folder} user={user} dbname=postgres")
    }

    /// A connection, as soon as there can be one.
    pub(super) async fn connect(&self, user: &str) -> anyhow::Result<Client> {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            match tokio_postgres::connect(&self.address(user), NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    return Ok(client);
                }
                Err(error) => ensure!(tokio::time::Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn as_nobody(is_root: bool, program: &Path) -> Command {
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]);
    command.arg(program);
    command
}
