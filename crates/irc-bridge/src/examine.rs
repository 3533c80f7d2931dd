//! What the program's `doctor` examines of IRC: whether each server can be reached, encrypted with, and logged in to, and
//! whether the ident server and the keeper can answer.
//!
//! It connects under a nick of its own, joins nothing, and leaves at once: what runs is not disturbed.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bridgehead_appservice::program::Finding;
use bridgehead_irc_keeper::{attach::list, tls::connector};
use bridgehead_irc_protocol::{
    ending::Ending,
    session::{Ended, Event, Session, Settings as Introduction},
};
use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    ident::Ident,
    link::dial::{Dial, Server, Stream, Way},
    network::{ending, sasl, secret, trust, why_ended},
    settings::{IdentSettings, KeeperSettings, NetworkSettings, Settings, Verify},
};

/// How long a server may take until it has welcomed a client.
const PATIENCE: Duration = Duration::from_secs(40);
/// How long the ident server may take.
const IDENT_PATIENCE: Duration = Duration::from_secs(5);
/// Servers of one network that are examined.
const MAX_SERVERS: usize = 8;
/// The port at which IRC servers ask (RFC 1413, 2).
const IDENT_PORT: u16 = 113;
/// What the bridge is better with, and why.
const WANTED: [(&str, &str); 4] = [
    (
        "message-tags",
        "replies and reactions lose what they are about",
    ),
    (
        "server-time",
        "what was said while the bridge was away has the wrong time",
    ),
    ("echo-message", "that a line was taken is known later"),
    (
        "account-tag",
        "nobody can be told from who takes their nick",
    ),
];

/// Examines all networks of the configuration.
pub async fn examine(settings: Arc<Settings>) -> Vec<Finding> {
    let networks = settings.networks.iter();
    let networks = networks.map(|(name, network)| examine_network(name, network));
    let mut found: Vec<Finding> = join_all(networks).await.into_iter().flatten().collect();
    found.extend(examine_ident(&settings.ident).await);
    found.extend(examine_keeper(&settings.keeper).await);
    found.extend(examine_links(&settings));
    found
}

/// Whether what IRC cannot show can be linked to.
fn examine_links(settings: &Settings) -> Option<Finding> {
    let text = "there are no links: of pictures and files IRC hears the names alone, and of long messages the first lines; \
                `media.public_url` and `media.secret` give them links";
    (!settings.media.has_links()).then(|| Finding::note("links", text))
}

/// One network, as far as it is examined.
struct Patient<'a> {
    name: &'a str,
    settings: &'a NetworkSettings,
}

async fn examine_network(name: &str, settings: &NetworkSettings) -> Vec<Finding> {
    let patient = Patient { name, settings };
    let servers = settings.servers.iter().take(MAX_SERVERS);
    let mut found = Vec::new();
    // One after another: networks do not like many connections at once.
    for server in servers.filter_map(|server| Server::parse(server.as_str())) {
        found.extend(patient.examine(server).await);
    }
    found
}

/// What a server has said until it welcomed the client.
#[derive(Default)]
struct Welcome {
    network: Option<String>,
    account: Option<String>,
    login_failure: Option<String>,
    caps: Vec<&'static str>,
    missing: Vec<(&'static str, &'static str)>,
}

impl Patient<'_> {
    fn check(&self) -> String {
        format!("network {}", self.name)
    }

    fn key(&self, key: &str) -> String {
        format!("networks.{}.{key}", self.name)
    }

    fn bad(&self, text: String, cure: String) -> Vec<Finding> {
        vec![Finding::bad(self.check(), text, cure)]
    }

    async fn examine(&self, server: Server) -> Vec<Finding> {
        let login = &self.settings.bot.login;
        let trust = self
            .settings
            .tls
            .then(|| {
                let trust = trust(self.settings, Some(login), None)?;
                // What is wrong with the files is told as that.
                connector(&trust).map(|_| trust)
            })
            .transpose();
        let tls = match trust {
            Ok(tls) => tls,
            Err(error) => {
                let (ca, own) = (self.key("tls_ca"), self.key("bot.login.certificate"));
                return self.bad(error.to_string(), format!("{ca}, {own}: name files of PEM"));
            }
        };
        let dial = Dial {
            way: Way::Network,
            server: server.clone(),
            tls,
            from: None,
            user: self.settings.bot.username.clone(),
            ident: Ident::new(),
            keeper: None,
        };
        match dial.dial().await {
            Err(error) => self.unreachable(&server, &error),
            Ok(mut dialled) => match self.register(&mut dialled.stream).await {
                Ok(welcome) => self.told(&server, &welcome),
                Err((text, cure)) => self.bad(format!("{server}: {text}"), cure),
            },
        }
    }

    fn unreachable(&self, server: &Server, error: &io::Error) -> Vec<Finding> {
        let text = format!("{server} cannot be reached: {error}");
        let is_tls = error.kind() == io::ErrorKind::InvalidData;
        let servers = self.key("servers");
        let cure = match (is_tls, self.settings.tls) {
            (true, _) => format!(
                "{servers}: the name has to be the certificate's, and the port one for TLS; {}: an authority of your own",
                self.key("tls_ca")
            ),
            (false, true) => format!("{servers}: look at name and port, such as 6697"),
            (false, false) => format!("{servers}: look at name and port, such as 6667"),
        };
        self.bad(text, cure)
    }

    /// Introduces itself, and leaves when it is welcome.
    async fn register(&self, stream: &mut Box<dyn Stream>) -> Result<Welcome, (String, String)> {
        let introduction = Introduction {
            nicks: vec![format!("check{:04x}", rand::random::<u16>())],
            user: self.settings.bot.username.clone(),
            realname: self.settings.bot.realname.clone(),
            password: secret(self.settings.password.get()),
            sasl: sasl(&self.settings.bot.login),
            is_tls: self.settings.tls,
            seed: rand::random(),
            ..Introduction::default()
        };
        let mut session = Session::new(introduction, Instant::now());
        let welcomed = timeout(PATIENCE, welcome(&mut session, stream)).await;
        let servers = || format!("{}: try another", self.key("servers"));
        match welcomed {
            Ok(Ok(welcome)) => {
                session.quit("Only looking", Instant::now());
                // It is gone either way.
                timeout(IDENT_PATIENCE, write(&mut session, stream))
                    .await
                    .ok();
                Ok(welcome)
            }
            Ok(Err(Failed::Ended(ended))) => Err((why_ended(&ended), self.cure(&ended))),
            Ok(Err(Failed::Broken(error))) => Err((error.to_string(), servers())),
            Err(_) => Err(("it does not welcome a client in time".to_owned(), servers())),
        }
    }

    fn cure(&self, ended: &Ended) -> String {
        if ending(ended) == Some(Ending::PasswordRequired) {
            return format!("{}: the server's password", self.key("password"));
        }
        match ended {
            Ended::LoginRequired(_) => self.login_cure(),
            Ended::TlsWanted(port) => format!(
                "{}: true, and {}: port {port}; the bridge does so by itself, from the second connection on",
                self.key("tls"),
                self.key("servers")
            ),
            _ => format!(
                "ask the network's staff, or try another server: {}",
                self.key("servers")
            ),
        }
    }

    fn login_cure(&self) -> String {
        let key = self.key("bot.login");
        format!("{key}.account, {key}.password, {key}.certificate")
    }

    fn told(&self, server: &Server, welcome: &Welcome) -> Vec<Finding> {
        let check = self.check();
        let title = welcome.network.as_deref().unwrap_or("no name");
        let caps = match welcome.caps.is_empty() {
            true => "none of what helps".to_owned(),
            false => welcome.caps.join(", "),
        };
        let how = match (self.settings.tls, self.settings.tls_verify) {
            (false, _) => ", not encrypted",
            (true, Verify::None) => ", encrypted with whoever is there",
            (true, Verify::Full) => ", encrypted",
        };
        let text = format!("{server} ({title}) welcomes a client{how}; it offers {caps}");
        let mut found = vec![Finding::good(check.clone(), text)];
        let login = &self.settings.bot.login;
        let has_login = sasl(login).is_some();
        match (&welcome.account, &welcome.login_failure) {
            (Some(account), _) => {
                let text = format!("{server}: logged in as {account}");
                found.push(Finding::good(check.clone(), text));
            }
            (None, failure) if has_login => {
                let why = failure
                    .as_deref()
                    .unwrap_or("the server offers no login (SASL)");
                let text = format!("{server}: the login does not work: {why}");
                found.push(Finding::bad(check.clone(), text, self.login_cure()));
            }
            _ => {}
        }
        for (cap, price) in &welcome.missing {
            let text = format!("{server} does not offer {cap}: {price}");
            found.push(Finding::note(check.clone(), text));
        }
        found
    }
}

/// Why a client was not welcome.
enum Failed {
    Ended(Ended),
    Broken(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

async fn welcome(session: &mut Session, stream: &mut Box<dyn Stream>) -> Result<Welcome, Failed> {
    let mut told = Welcome::default();
    let mut buffer = [0; 4096];
    loop {
        write(session, stream).await?;
        while let Some(event) = session.poll_event() {
            match event {
                Event::Ready => {
                    told.network = session.isupport().network().map(str::to_owned);
                    told.account = session.account().map(str::to_owned);
                    let (caps, missing): (Vec<_>, Vec<_>) = WANTED
                        .into_iter()
                        .partition(|(cap, _)| session.has_cap(cap));
                    told.caps = caps.into_iter().map(|(cap, _)| cap).collect();
                    told.missing = missing;
                    return Ok(told);
                }
                Event::LoginFailed { text } => told.login_failure = Some(text),
                Event::Ended { why } => return Err(Failed::Ended(why)),
                _ => {}
            }
        }
        let wake = session.wake_at();
        let wake = wake.unwrap_or_else(|| Instant::now() + PATIENCE);
        tokio::select! {
            read = stream.read(&mut buffer) => match read? {
                0 => session.closed(),
                count => session.receive(&buffer[..count], Instant::now()),
            },
            () = tokio::time::sleep_until(wake.into()) => session.tick(Instant::now()),
        }
    }
}

async fn write(session: &mut Session, stream: &mut Box<dyn Stream>) -> io::Result<()> {
    while let Some(bytes) = session.poll_output(Instant::now()) {
        stream.write_all(&bytes).await?;
    }
    stream.flush().await
}

/// Whether the keeper answers, where there is to be one.
async fn examine_keeper(settings: &KeeperSettings) -> Option<Finding> {
    const CHECK: &str = "keeper";
    let path = settings.path()?;
    Some(match list(&path, "").await {
        Ok(held) => {
            let text = format!(
                "the keeper at {} answers, and holds {} connections",
                path.display(),
                held.len()
            );
            Finding::good(CHECK, text)
        }
        Err(error) => Finding::bad(
            CHECK,
            error.to_string(),
            "keeper.socket: the path that the keeper was started with, readable for this user",
        ),
    })
}

async fn examine_ident(settings: &IdentSettings) -> Option<Finding> {
    const CHECK: &str = "ident";
    let address = settings.listen?;
    let text = match TcpListener::bind(address).await {
        Ok(_) => format!("nobody uses {address}: the bridge can listen there"),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            match timeout(IDENT_PATIENCE, ask(address)).await {
                Ok(Ok(answer)) if answer.contains("ERROR") => {
                    format!("an ident server answers at {address}")
                }
                _ => {
                    let text = format!("something else than an ident server has {address}");
                    return Some(Finding::bad(
                        CHECK,
                        text,
                        "ident.listen: choose another port",
                    ));
                }
            }
        }
        Err(error) => {
            let text = format!("nobody can listen at {address}: {error}");
            let cure =
                "ident.listen: a port above 1023, and something that leads from port 113 to it";
            return Some(Finding::bad(CHECK, text, cure));
        }
    };
    let hint = match address.port() {
        IDENT_PORT => String::new(),
        port => format!(
            "; servers ask at port {IDENT_PORT}, and something has to lead from there to {port}"
        ),
    };
    Some(Finding::good(CHECK, text + &hint))
}

/// Asks about a connection that nobody has.
async fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"1, 1\r\n").await?;
    let mut answer = String::new();
    stream.take(512).read_to_string(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use bridgehead_appservice::Secret;

    use super::*;

    #[test]
    fn that_there_are_no_links_is_told() {
        let mut settings = Settings::default();
        let found = examine_links(&settings).expect("a finding");
        assert!(format!("{found:?}").contains("media.public_url"));
        settings.media.public_url = Some("https://irc.example.org".to_owned());
        settings.media.secret = Secret::new("sixteen characters and more".to_owned()).into();
        assert!(examine_links(&settings).is_none());
    }
}
