//! The server as its owner has it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    ChannelView, Clock, Dialect, Faults, Logged, NoPerson, Person, PersonView,
    actor::{self, Call, MAX_CALLS, MAX_TRAFFIC},
    commands,
    ear::Ear,
    sasl::Account,
    state::State,
    wire::{Acceptor, Traffic},
};

/// How long connections may take to read that the server stops.
const STOP: Duration = Duration::from_secs(2);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, or there is none left.
    #[error("127.0.0.1:{port} cannot be listened on")]
    Listen {
        /// The port.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
}

/// A server that runs. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    calls: mpsc::Sender<Call>,
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    clock: Clock,
    is_stopping: watch::Sender<bool>,
    acceptors: Vec<JoinHandle<()>>,
    actor: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in self.acceptors.iter().chain([&self.actor]) {
            task.abort();
        }
    }
}

impl Server {
    /// Starts a server on 127.0.0.1.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub async fn start(dialect: Dialect) -> Result<Self, StartError> {
        let (calls, called) = mpsc::channel(MAX_CALLS);
        let (traffic, came) = mpsc::channel(MAX_TRAFFIC);
        let (is_stopping, stops) = watch::channel(false);
        let last_id = Arc::new(AtomicU64::new(0));
        let acceptor = |listener, tls| Acceptor {
            listener,
            tls,
            ident_port: dialect.ident_port,
            last_id: last_id.clone(),
            traffic: mpsc::Sender::<Traffic>::clone(&traffic),
            is_stopping: stops.clone(),
        };
        let listener = listen(dialect.port).await?;
        let address = local(&listener, dialect.port)?;
        let mut acceptors = vec![acceptor(listener, None)];
        let mut tls_address = None;
        if let Some(config) = dialect.tls.clone() {
            let listener = listen(0).await?;
            tls_address = Some(local(&listener, 0)?);
            acceptors.push(acceptor(listener, Some(TlsAcceptor::from(config))));
        }
        let acceptors = acceptors
            .into_iter()
            .map(|acceptor| tokio::spawn(acceptor.run()));
        Ok(Self {
            calls,
            address,
            tls_address,
            clock: dialect.clock.clone(),
            is_stopping,
            acceptors: acceptors.collect(),
            actor: tokio::spawn(actor::run(State::new(dialect), called, came)),
        })
    }

    /// Where it listens without TLS.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens with TLS, if the dialect has it.
    #[must_use]
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// What the time is for the server.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What is to go wrong.
    #[must_use]
    pub fn faults(&self) -> Faults<'_> {
        Faults { server: self }
    }

    /// Adds an account that a password opens (SASL PLAIN, SCRAM-SHA-256).
    pub async fn account(&self, name: &str, password: &str) {
        self.add_account(name, Some(password), None).await;
    }

    /// Adds a certificate, SHA-256 in hex, to an account, which is made where it is not there (SASL EXTERNAL).
    pub async fn certificate(&self, name: &str, fingerprint: &str) {
        self.add_account(name, None, Some(fingerprint)).await;
    }

    async fn add_account(&self, name: &str, password: Option<&str>, fingerprint: Option<&str>) {
        let (name, password) = (name.to_owned(), password.map(str::to_owned));
        let fingerprint = fingerprint.map(str::to_ascii_lowercase);
        self.with(move |state| {
            let key = state.fold(&name);
            let account = state.accounts.entry(key).or_insert_with(|| Account {
                name,
                password: None,
                fingerprints: Vec::new(),
            });
            account.password = password.or(account.password.take());
            account.fingerprints.extend(fingerprint);
        })
        .await;
    }

    /// Somebody in the server's memory, registered at once.
    ///
    /// # Errors
    /// Where the nick is none, or taken, or the server full.
    pub async fn person(&self, nick: &str) -> Result<Person, NoPerson> {
        let ear = Arc::new(Ear::default());
        let (wanted, hearing) = (nick.to_owned(), ear.clone());
        let opened = self.with(move |state| state.open_person(&wanted, hearing));
        let id = opened.await?;
        Ok(Person::new(self.calls.clone(), id, nick, ear))
    }

    /// A channel as it is now.
    pub async fn channel(&self, name: &str) -> Option<ChannelView> {
        let name = name.to_owned();
        self.with(move |state| ChannelView::of(state, &name)).await
    }

    /// The names of all channels, in order.
    pub async fn channels(&self) -> Vec<String> {
        self.with(|state| {
            state
                .channels
                .values()
                .map(|channel| channel.name.clone())
                .collect()
        })
        .await
    }

    /// Somebody who is registered, as they are now.
    pub async fn whois(&self, nick: &str) -> Option<PersonView> {
        let nick = nick.to_owned();
        self.with(move |state| PersonView::of(state, state.holder(&nick)?))
            .await
    }

    /// The nicks of all who are registered, in order.
    pub async fn nicks(&self) -> Vec<String> {
        self.with(|state| {
            let clients = state
                .clients
                .values()
                .filter(|client| client.is_registered());
            let mut nicks: Vec<String> = clients.map(|client| client.nick.clone()).collect();
            nicks.sort();
            nicks
        })
        .await
    }

    /// Everything that each connection and each person sent, in order.
    pub async fn log(&self) -> Vec<Logged> {
        self.with(|state| state.log.iter().cloned().collect()).await
    }

    /// Forgets what the log holds.
    pub async fn clear_log(&self) {
        self.with(|state| state.log.clear()).await;
    }

    /// Sets modes of a channel as the server does, whoever may or may not: `set_modes("#tea", "+o bob")`.
    pub async fn set_modes(&self, channel: &str, modes: &str) {
        let channel = channel.to_owned();
        let mut words = modes.split_ascii_whitespace().map(str::to_owned);
        let modes = words.next().unwrap_or_default();
        let params: Vec<String> = words.collect();
        self.with(move |state| commands::set_as_server(state, &channel, &modes, &params))
            .await;
    }

    /// Logs somebody in, or out, as services do.
    pub async fn log_in(&self, nick: &str, account: Option<&str>) {
        let (nick, account) = (nick.to_owned(), account.map(str::to_owned));
        self.with(move |state| {
            if let Some(id) = state.holder(&nick) {
                commands::log_in(state, id, account.as_deref());
            }
        })
        .await;
    }

    /// Gives somebody another user name and host (IRCv3 chghost).
    pub async fn change_host(&self, nick: &str, user: &str, host: &str) {
        let [nick, user, host] = [nick, user, host].map(str::to_owned);
        self.with(move |state| {
            if let Some(id) = state.holder(&nick) {
                commands::change_host(state, id, &user, &host);
            }
        })
        .await;
    }

    /// Offers a capability from now on, `sasl=PLAIN` say, and tells those who want to know (`CAP NEW`).
    pub async fn add_cap(&self, cap: &str) {
        let cap = cap.to_owned();
        self.with(move |state| {
            state.dialect.add_cap(&cap);
            commands::announce_cap(state, "NEW", &cap);
        })
        .await;
    }

    /// Takes a capability back from everybody (`CAP DEL`).
    pub async fn remove_cap(&self, cap: &str) {
        let cap = cap.to_owned();
        self.with(move |state| {
            state.dialect.caps.retain(|(known, _)| *known != cap);
            commands::announce_cap(state, "DEL", &cap);
        })
        .await;
    }

    /// Ends the server: everybody is told, and gets a moment to read it.
    pub async fn stop(mut self) {
        self.with(|state| {
            let text = "Closing link: (unknown) [Server shutdown]";
            state.knobs.refuses = Some(text.to_owned());
            let ids: Vec<_> = state.clients.keys().copied().collect();
            for id in ids {
                state.close(id, "Server shutdown", "Server shutdown");
            }
        })
        .await;
        self.is_stopping.send_replace(true);
        for acceptor in &mut self.acceptors {
            // Who has not read it by then is cut off when this is dropped.
            tokio::time::timeout(STOP, acceptor).await.ok();
        }
    }

    /// Has something done by the one who owns the state, and waits until it is.
    pub(crate) async fn with<R: Send + 'static>(
        &self,
        call: impl FnOnce(&mut State) -> R + Send + 'static,
    ) -> R {
        let done = call_actor(&self.calls, call).await;
        done.expect("the state's owner runs as long as the server")
    }
}

/// Has something done; `None` where the server has ended.
pub(crate) async fn call_actor<R: Send + 'static>(
    calls: &mpsc::Sender<Call>,
    call: impl FnOnce(&mut State) -> R + Send + 'static,
) -> Option<R> {
    let (done, is_done) = oneshot::channel();
    let call: Call = Box::new(move |state| {
        // Nobody waits for it any more where this fails.
        done.send(call(state)).ok();
    });
    calls.send(call).await.ok()?;
    is_done.await.ok()
}

async fn listen(port: u16) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    listener.map_err(|source| StartError::Listen { port, source })
}

fn local(listener: &TcpListener, port: u16) -> Result<SocketAddr, StartError> {
    let address = listener.local_addr();
    address.map_err(|source| StartError::Listen { port, source })
}
