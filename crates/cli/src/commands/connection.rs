//! Which server a command speaks to, and with whose token.
//!
//! On the server's own machine nothing has to be said: the address and the data folder are found as
//! `serve` finds them, and the first start has left an operator's token in the data folder.

mod pinned;

use std::{
    fs::File,
    io::Read as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use bridgehead_admin_api::{Client, Token};
use bridgehead_homeserver::{
    appservices::OwnedServerName,
    config::{Config, Overrides},
};
use clap::Args;
use url::{Host, Url};

use crate::exit::{NoToken, Usage};

/// The variable that holds a token.
const TOKEN_VARIABLE: &str = "BRIDGEHEAD_OPERATOR_TOKEN";
/// The file in the data folder that the server writes at its first start.
const TOKEN_FILE: &str = "operator.token";
/// A larger file holds no token.
const MAX_TOKEN_FILE_BYTES: u64 = 64 << 10;

/// Which server, and with whose token: for every command that speaks to a running one.
#[derive(Args, Clone, Debug)]
pub(crate) struct Connection {
    /// The server's address; without it, where the configuration lets it listen on this machine.
    #[arg(
        long,
        global = true,
        env = "BRIDGEHEAD_SERVER",
        value_name = "URL",
        help_heading = "Server"
    )]
    server: Option<String>,
    /// A file with an operator's token. Without it: BRIDGEHEAD_OPERATOR_TOKEN, and for a server on
    /// this machine `operator.token` in its data folder.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Server")]
    token_file: Option<PathBuf>,
    /// The server's configuration file (TOML).
    #[arg(
        long,
        global = true,
        env = "BRIDGEHEAD_CONFIG",
        value_name = "FILE",
        help_heading = "Server"
    )]
    config: Option<PathBuf>,
    /// The server's data folder.
    #[arg(long, global = true, value_name = "DIR", help_heading = "Server")]
    data_dir: Option<PathBuf>,
}

impl Connection {
    /// Whether a server was named, rather than looked for.
    pub(crate) fn is_explicit(&self) -> bool {
        self.server().is_some()
    }

    /// An empty variable counts as not set, as everywhere.
    fn server(&self) -> Option<&str> {
        self.server.as_deref().filter(|server| !server.is_empty())
    }

    /// The configured server's name.
    pub(crate) fn server_name(&self) -> anyhow::Result<OwnedServerName> {
        Ok(self.load_config()?.server_name)
    }

    /// A client of that server.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let given = self.given_token()?;
        let Some(server) = self.server() else {
            let config = self.load_config()?;
            let token = match given {
                Some(token) => token,
                None => read_own_token(&config.data_dir)?,
            };
            return local_client(&config, token);
        };
        let server = parse_server(server)?;
        let token = match given {
            Some(token) => token,
            // A token is for its own server only, which can only be one on this machine.
            None if is_this_machine(&server) => read_own_token(&self.load_config()?.data_dir)?,
            None => {
                return Err(NoToken(format!(
                    "a token of {server} is needed: name its file with --token-file, or set {TOKEN_VARIABLE}"
                ))
                .into());
            }
        };
        if server.scheme() == "http" && !is_this_machine(&server) {
            eprintln!("bridgehead: warning: the token goes to {server} in clear; use https");
        }
        Ok(Client::new(&server, token)?)
    }

    /// The token that was named, by a file or else by the variable.
    fn given_token(&self) -> anyhow::Result<Option<Token>> {
        if let Some(path) = &self.token_file {
            return read_token(path).map(Some);
        }
        let Some(text) = std::env::var_os(TOKEN_VARIABLE).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let token = text.to_str().and_then(Token::parse);
        let wrong = || NoToken(format!("{TOKEN_VARIABLE} holds no token"));
        Ok(Some(token.ok_or_else(wrong)?))
    }

    fn load_config(&self) -> anyhow::Result<Config> {
        let overrides = Overrides {
            data_dir: self.data_dir.clone(),
            ..Overrides::default()
        };
        let loaded = Config::load(self.config.as_deref(), std::env::vars(), overrides);
        let loaded = loaded.map_err(|errors| {
            Usage(format!(
                "the configuration, which says where the server is, has mistakes:\n{errors}\n\
                 mend it, or name the server with --server and --token-file"
            ))
        })?;
        Ok(loaded.config)
    }
}

fn parse_server(text: &str) -> Result<Url, Usage> {
    let url = Url::parse(text).ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
        .ok_or_else(|| {
            Usage(format!(
                "`{text}` is no server's address; write it like http://127.0.0.1:8008"
            ))
        })
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A client of the server that this configuration is for, on this machine.
fn local_client(config: &Config, token: Token) -> anyhow::Result<Client> {
    let address = own_address(&config.listen)?;
    let Some((certificate, _)) = config.tls.files() else {
        return Ok(Client::new(
            &Url::parse(&format!("http://{address}"))?,
            token,
        )?);
    };
    // The certificate is for the server's public name, which may lead elsewhere from here: so it is
    // this one certificate that is asked for, and not any for that name.
    let tls = pinned::client_config(certificate)?;
    let http = reqwest::Client::builder().tls_backend_preconfigured(tls);
    let server = Url::parse(&format!("https://{address}"))?;
    Ok(Client::with_http(&server, token, http)?)
}

/// Where a server that listens there is reached from this machine.
fn own_address(listen: &[SocketAddr]) -> Result<SocketAddr, Usage> {
    let usable = listen.iter().find(|address| address.port() != 0);
    let mut address = *usable.ok_or_else(|| {
        Usage(
            "the configuration lets the server choose its port (0), so it cannot be found by it; \
             name the server with --server"
                .to_owned(),
        )
    })?;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(address)
}

/// The token that the server left for the operators of its own machine.
fn read_own_token(data_dir: &Path) -> anyhow::Result<Token> {
    let path = data_dir.join(TOKEN_FILE);
    if path.exists() {
        return read_token(&path);
    }
    Err(NoToken(format!(
        "there is no operator's token in {}, where the server leaves one when it first starts; \
         name the server's configuration or data folder (--config, --data-dir), or a server and a token \
         (--server, --token-file)",
        data_dir.display()
    ))
    .into())
}

fn read_token(path: &Path) -> anyhow::Result<Token> {
    let mut text = String::new();
    let read =
        File::open(path).and_then(|file| file.take(MAX_TOKEN_FILE_BYTES).read_to_string(&mut text));
    read.map_err(|error| {
        anyhow::Error::new(NoToken(format!("{error}")))
            .context(format!("cannot read the token in {}", path.display()))
    })?;
    Token::parse(&text)
        .ok_or_else(|| NoToken("there is no token in it".to_owned()))
        .with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_found_on_this_machine() {
        let find = |addresses: &[&str]| {
            let addresses: Vec<_> = addresses.iter().map(|one| one.parse().unwrap()).collect();
            own_address(&addresses).map(|address| address.to_string())
        };
        assert_eq!(find(&["0.0.0.0:80"]).unwrap(), "127.0.0.1:80");
        assert_eq!(find(&["[::]:80"]).unwrap(), "[::1]:80");
        assert_eq!(
            find(&["127.0.0.1:0", "10.0.0.1:80"]).unwrap(),
            "10.0.0.1:80"
        );
        assert!(find(&["127.0.0.1:0"]).unwrap_err().0.contains("--server"));
    }

    #[test]
    fn an_address_needs_its_scheme() {
        for text in ["localhost:8008", "127.0.0.1", "ftp://x", "unix:/x", ""] {
            assert!(parse_server(text).is_err(), "{text}");
        }
        assert!(parse_server("http://localhost:8008/prefix").is_ok());
    }

    #[test]
    fn only_this_machine_gets_the_local_token() {
        let is_ours = |text: &str| is_this_machine(&Url::parse(text).unwrap());
        assert!(
            is_ours("http://localhost:1")
                && is_ours("https://127.0.0.2")
                && is_ours("http://[::1]")
        );
        assert!(!is_ours("http://localhost.example.org") && !is_ours("http://10.0.0.1"));
    }
}
