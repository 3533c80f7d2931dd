//! `bridgehead serve`: runs the homeserver until SIGINT or SIGTERM.

use std::{path::PathBuf, process::ExitCode};

use bridgehead_homeserver::{
    Server,
    config::{Config, LogFormat, Overrides, log_format},
    secret::Secret,
};
use clap::Args;

use super::{EndRequest, Place, ReloadRequest};
use crate::log;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// An address to listen on; may be repeated.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<String>,
    /// A registration file of an application service, or a folder of them; may be repeated.
    #[arg(long, value_name = "FILE")]
    registration: Vec<PathBuf>,
    /// Let anybody create an account.
    #[arg(long)]
    open_registration: bool,
    /// Whether users are rate-limited.
    #[arg(long, value_name = "on|off", value_parser = parse_on_off)]
    rate_limits: Option<bool>,
    /// Secret for Synapse's `/_synapse/admin/v1/register`.
    #[arg(long, value_name = "SECRET")]
    registration_shared_secret: Option<String>,
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
    let mut end = EndRequest::new()?;
    let mut reload = ReloadRequest::new()?;
    let overrides = Overrides {
        data_dir: arguments.place.data_dir,
        server_name: arguments.place.server_name,
        listen: arguments.listen,
        registrations: arguments.registration,
        open_registration: arguments.open_registration,
        rate_limits: arguments.rate_limits,
        registration_shared_secret: arguments.registration_shared_secret.map(Secret::new),
    };
    let file = arguments.place.config.as_deref();
    let loaded = match Config::load(file, std::env::vars(), overrides.clone()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            let format = log_format(file, std::env::vars(), overrides);
            Notices(format).fail(&format!("the configuration has mistakes:\n{errors}"));
            return Ok(ExitCode::FAILURE);
        }
    };
    let config = loaded.config;
    log::start(&config.log)?;
    let notices = Notices(config.log.format);
    for warning in &loaded.warnings {
        notices.warn(&warning.to_string());
    }
    let server = match Server::start(config.clone()).await {
        Ok(server) => server,
        Err(error) => {
            notices.fail(&format!("{:#}", anyhow::Error::new(error)));
            return Ok(ExitCode::FAILURE);
        }
    };
    tell_where_everything_is(&config, &server, &notices);
    loop {
        tokio::select! {
            () = end.asked() => break,
            () = reload.asked() => {
                if let Err(error) = server.reload_registrations().await {
                    notices.warn(&format!("registrations could not be read again: {error}"));
                }
            }
        }
    }
    notices.tell("ending; requests in flight are answered first");
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn tell_where_everything_is(config: &Config, server: &Server, notices: &Notices) {
    let scheme = if config.tls.files().is_some() {
        "https"
    } else {
        "http"
    };
    for address in server.addresses() {
        let name = &config.server_name;
        notices.tell(&format!("serving {name} at {scheme}://{address}"));
    }
    let data_dir = &config.data_dir;
    let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.clone());
    notices.tell(&format!(
        "database, media and signing key are in {}",
        data_dir.display()
    ));
    let services = server.service_ids();
    notices.tell(&if services.is_empty() {
        "no application services; `bridgehead serve --registration FILE` names one".to_owned()
    } else {
        format!("application services: {}", services.join(", "))
    });
}

/// What the operator is told besides the log: as sentences, or in the log when a machine reads it.
struct Notices(LogFormat);

impl Notices {
    fn tell(&self, text: &str) {
        match self.0 {
            LogFormat::Text => eprintln!("bridgehead: {text}"),
            LogFormat::Json => tracing::info!("{text}"),
        }
    }

    fn warn(&self, text: &str) {
        match self.0 {
            LogFormat::Text => eprintln!("bridgehead: warning: {text}"),
            LogFormat::Json => tracing::warn!("{text}"),
        }
    }

    /// Why the server does not start. Whatever the log's filter says, this is not left out.
    fn fail(&self, text: &str) {
        match self.0 {
            LogFormat::Text => eprintln!("bridgehead: {text}"),
            LogFormat::Json => {
                let log = tracing_subscriber::fmt()
                    .json()
                    .with_ansi(false)
                    .with_writer(std::io::stderr)
                    .finish();
                tracing::subscriber::with_default(log, || tracing::error!("{text}"));
            }
        }
    }
}
