//! `bridgehead serve`: runs the homeserver until SIGINT or SIGTERM.

use std::{path::PathBuf, process::ExitCode};

use bridgehead_homeserver::{
    Server,
    config::{Config, Overrides},
    secret::Secret,
};
use clap::Args;

use super::{asked_to_end, load_config, start_log};

/// Where the configuration comes from, for every command that needs one.
#[derive(Args, Default)]
pub(crate) struct Arguments {
    /// The configuration file (TOML).
    #[arg(long, env = "BRIDGEHEAD_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder for the database, the media and the signing key.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The server's name, the part after the colon in `@user:server`.
    #[arg(long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
    /// An address to listen on; may be repeated.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Vec<String>,
    /// A registration file of an application service, or a folder of them; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) registration: Vec<PathBuf>,
    /// Let anybody create an account.
    #[arg(long)]
    pub(crate) open_registration: bool,
    /// Whether users are rate-limited.
    #[arg(long, value_name = "on|off", value_parser = parse_on_off)]
    pub(crate) rate_limits: Option<bool>,
    /// Secret for Synapse's `/_synapse/admin/v1/register`.
    #[arg(long, value_name = "SECRET")]
    pub(crate) registration_shared_secret: Option<String>,
}

impl Arguments {
    /// The configuration that file, environment and flags give together.
    pub(crate) fn load(self) -> anyhow::Result<Config> {
        let overrides = Overrides {
            data_dir: self.data_dir,
            server_name: self.server_name,
            listen: self.listen,
            registrations: self.registration,
            open_registration: self.open_registration,
            rate_limits: self.rate_limits,
            registration_shared_secret: self.registration_shared_secret.map(Secret::new),
        };
        load_config(self.config.as_deref(), overrides)
    }
}

fn parse_on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" | "yes" => Ok(true),
        "off" | "false" | "no" => Ok(false),
        _ => Err("write `on` or `off`".to_owned()),
    }
}

/// Runs the server.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.load()?;
    start_log(&config)?;
    let scheme = if config.tls.files().is_some() {
        "https"
    } else {
        "http"
    };
    let data_dir = config.data_dir.clone();
    let server_name = config.server_name.clone();
    let server = Server::start(config).await?;
    for address in server.addresses() {
        eprintln!("bridgehead: serving {server_name} at {scheme}://{address}");
    }
    eprintln!(
        "bridgehead: database, media and signing key are in {}",
        std::path::absolute(&data_dir).unwrap_or(data_dir).display()
    );
    asked_to_end().await?;
    eprintln!("bridgehead: ending; requests in flight are answered first");
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}
