//! A server that wants encryption gets it, and a password only then.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use bridgehead_appservice::{Secret, config::FilePath};
use bridgehead_irc::{
    Settings,
    link::dial::{Stream, Way},
    service_by,
};
use bridgehead_irc_server::{Dialect, Server};
use bridgehead_testkit::lab::Lab;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_rustls::TlsAcceptor;

use super::until;
use crate::{
    peers::certificate::Authority,
    stage::{NETWORK, alias, control::Control, settings},
};

const HOST: &str = "irc.test";
const PLAIN: u16 = 6667;
const TLS: u16 = 6697;
const PASSWORD: &str = "for friends alone";

/// The ways to a server that wants encryption: what came over the plain one is written down.
struct Ways {
    irc: Server,
    tls: Arc<ServerConfig>,
    plain_connections: AtomicUsize,
    tls_connections: AtomicUsize,
    in_the_clear: Mutex<Vec<u8>>,
}

impl Ways {
    async fn open(certificate: Arc<ServerConfig>, sts: &str) -> anyhow::Result<Arc<Self>> {
        let mut dialect = Dialect::modern().with(sts);
        dialect.password = Some(PASSWORD.to_owned());
        Ok(Arc::new(Self {
            irc: Server::start(dialect).await?,
            tls: certificate,
            plain_connections: AtomicUsize::new(0),
            tls_connections: AtomicUsize::new(0),
            in_the_clear: Mutex::default(),
        }))
    }

    fn way(self: &Arc<Self>) -> Way {
        let ways = self.clone();
        Way::Within(Arc::new(move |server| {
            assert_eq!(server.host, HOST);
            let (own, other) = tokio::io::duplex(64 << 10);
            match server.port {
                PLAIN => {
                    ways.plain_connections.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(listen_in(ways.clone(), other));
                }
                TLS => {
                    ways.tls_connections.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(decrypt(ways.clone(), other));
                }
                port => panic!("nobody listens at {port}"),
            }
            Ok(Box::new(own) as Box<dyn Stream>)
        }))
    }

    fn plain_connections(&self) -> usize {
        self.plain_connections.load(Ordering::Relaxed)
    }

    fn tls_connections(&self) -> usize {
        self.tls_connections.load(Ordering::Relaxed)
    }
}

async fn listen_in(ways: Arc<Ways>, client: DuplexStream) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = tokio::io::split(ways.irc.wire());
    let heard = async {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            ways.in_the_clear.lock().extend(&buffer[..count]);
            if to_server.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = heard => {}
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
    }
}

async fn decrypt(ways: Arc<Ways>, client: DuplexStream) {
    // A client that does not believe the certificate hangs up here.
    if let Ok(mut client) = TlsAcceptor::from(ways.tls.clone()).accept(client).await {
        let mut server = ways.irc.wire();
        tokio::io::copy_bidirectional(&mut client, &mut server)
            .await
            .ok();
    }
}

/// A bridge that knows of no encryption, and of this authority.
fn without_tls(authority: &Path) -> anyhow::Result<Settings> {
    let mut settings = settings(PLAIN)?;
    let network = settings.networks.get_mut(NETWORK).context("the network")?;
    network.servers = vec![format!("{HOST}:{PLAIN}").parse()?];
    network.password = Secret::new(PASSWORD.to_owned()).into();
    network.tls_ca = Some(FilePath::new(authority));
    Ok(settings)
}

#[test]
fn a_server_that_wants_encryption_gets_it_and_is_remembered() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let folder = TempDir::new()?;
        let authority = Authority::new(folder.path(), "authority")?;
        let shown = authority
            .vouch(folder.path(), HOST, (2020, 2060))?
            .shown()?;
        let ways = Ways::open(shown, &format!("sts=port={TLS},duration=86400")).await?;
        let service = service_by(&without_tls(&authority.file)?, &ways.way());
        let service = lab.mount(service).await?;
        let bob = ways.irc.person("bob").await?;
        bob.join("#sts").await?;
        let alice = lab.user("alice").await?;
        let room = alice.join(&alias("#sts")).await?;
        alice.say(&room, "by a safe way").await?;
        until(&lab, "her line", async || {
            Ok(bob
                .heard()
                .iter()
                .any(|line| line.text(1) == "by a safe way"))
        })
        .await?;
        let clear = String::from_utf8(ways.in_the_clear.lock().clone())?;
        ensure!(clear.lines().all(|line| line == "CAP LS :302"), "{clear}");
        let before = ways.plain_connections();
        ensure!((1..=2).contains(&before), "{before} plain connections");
        // A new run knows it from the beginning.
        service.crash();
        service.start().await?;
        alice.say(&room, "and again").await?;
        until(&lab, "her next line", async || {
            Ok(bob.heard().iter().any(|line| line.text(1) == "and again"))
        })
        .await?;
        assert_eq!(ways.plain_connections(), before);
        Ok(())
    })
}

#[test]
fn a_wrong_certificate_is_not_passed_over_and_nobody_goes_back() -> anyhow::Result<()> {
    Lab::run(async |lab| {
        let folder = TempDir::new()?;
        let authority = Authority::new(folder.path(), "authority")?;
        let stranger = Authority::new(folder.path(), "stranger")?;
        let shown = stranger.vouch(folder.path(), HOST, (2020, 2060))?.shown()?;
        let ways = Ways::open(shown, &format!("sts=port={TLS},duration=86400")).await?;
        let mut settings = without_tls(&authority.file)?;
        let network = settings.networks.get_mut(NETWORK).context("the network")?;
        // What is configured for other connections does not count for one that the server has asked for.
        network.tls_verify = bridgehead_irc::settings::Verify::None;
        lab.mount(service_by(&settings, &ways.way())).await?;
        let alice = lab.user("alice").await?;
        let control = Control::open(&alice).await?;
        alice.join(&alias("#sts")).await?;
        until(&lab, "some attempts", async || {
            Ok(ways.tls_connections() > 4)
        })
        .await?;
        lab.pass(Duration::from_secs(60)).await;
        control.expect("status", "tls_ca").await?;
        let clear = String::from_utf8(ways.in_the_clear.lock().clone())?;
        ensure!(clear.lines().all(|line| line == "CAP LS :302"), "{clear}");
        let plain = ways.plain_connections();
        ensure!((1..=2).contains(&plain), "{plain} plain connections");
        Ok(())
    })
}
