//! An ident server (RFC 1413): tells IRC servers which person of Matrix is behind a connection.
//!
//! A connection is vouched for before it is made, so no server can ask too early.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};

/// Bytes of a question at most; two ports and a comma are shorter.
const MAX_QUESTION_BYTES: u64 = 64;
/// How long a server may take with its question, and with taking the answer.
const DEADLINE: Duration = Duration::from_secs(3);
/// Servers that ask at the same time; others wait.
const MAX_ASKERS: usize = 256;
/// Questions of one address at the same time; more are closed, so that nobody keeps the others waiting.
const MAX_OF_ONE: usize = 64;

/// Whose connection begins at which port of this machine. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Ident {
    names: Arc<Mutex<HashMap<u16, Vec<Name>>>>,
    next: Arc<AtomicU64>,
}

/// Where a connection begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The address of this machine; any, where none was chosen.
    pub from: Option<IpAddr>,
    /// The port of this machine. Connections from several addresses may have the same one.
    pub port: u16,
    /// The server's port; any, where it is not known.
    pub to: Option<u16>,
}

impl Pair {
    /// Whether a server means this one that asks an address of this machine for two ports.
    fn is(&self, address: IpAddr, to: u16) -> bool {
        self.from.is_none_or(|from| from == address) && self.to.is_none_or(|own| own == to)
    }
}

/// Whose a connection is.
#[derive(Debug)]
struct Name {
    id: u64,
    pair: Pair,
    user: String,
}

/// A connection is vouched for as long as this lives.
#[derive(Debug)]
pub struct Vouched {
    ident: Ident,
    port: u16,
    id: u64,
}

impl Drop for Vouched {
    fn drop(&mut self) {
        let mut names = self.ident.names.lock();
        let Some(here) = names.get_mut(&self.port) else {
            return;
        };
        here.retain(|name| name.id != self.id);
        if here.is_empty() {
            names.remove(&self.port);
        }
    }
}

/// The ident server; it ends when this is dropped.
#[derive(Debug)]
pub struct IdentServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for IdentServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl IdentServer {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Ident {
    /// Nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whoever asks for this connection is told this user name.
    #[must_use]
    pub fn vouch(&self, pair: Pair, user: &str) -> Vouched {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut names = self.names.lock();
        names.entry(pair.port).or_default().push(Name {
            id,
            pair,
            user: user.to_owned(),
        });
        Vouched {
            ident: self.clone(),
            port: pair.port,
            id,
        }
    }

    /// Answers questions there.
    ///
    /// # Errors
    /// When nobody can listen there.
    pub async fn serve(&self, address: SocketAddr) -> io::Result<IdentServer> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let ident = self.clone();
        let task = tokio::spawn(async move { ident.accept(listener).await });
        Ok(IdentServer { address, task })
    }

    async fn accept(&self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(MAX_ASKERS));
        let askers = Askers::default();
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, asker)) => {
                    let Some(asking) = askers.take(asker.ip()) else {
                        continue;
                    };
                    let ident = self.clone();
                    tokio::spawn(async move {
                        let answered = tokio::time::timeout(DEADLINE, ident.answer(stream)).await;
                        if !matches!(answered, Ok(Ok(()))) {
                            tracing::debug!(%asker, "an ident question was not answered");
                        }
                        drop((asking, place));
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "no ident question can be taken");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        let asked = stream.local_addr()?.ip().to_canonical();
        let (read, mut write) = stream.split();
        let mut question = Vec::new();
        let mut read = BufReader::new(read.take(MAX_QUESTION_BYTES));
        read.read_until(b'\n', &mut question).await?;
        let answer = self.answer_to(&String::from_utf8_lossy(&question), asked);
        write.write_all(answer.as_bytes()).await?;
        write.shutdown().await
    }

    /// The answer to `local , remote`, the ports as this machine sees them, at this address of this machine.
    fn answer_to(&self, question: &str, asked: IpAddr) -> String {
        let ports = question.trim().split_once(',').and_then(|(local, remote)| {
            let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
            Some((port(local)?, port(remote)?))
        });
        let Some((local, remote)) = ports else {
            return "0, 0 : ERROR : INVALID-PORT\r\n".to_owned();
        };
        match self.user(local, remote, asked) {
            Some(user) => format!("{local}, {remote} : USERID : UNIX : {user}\r\n"),
            None => format!("{local}, {remote} : ERROR : NO-USER\r\n"),
        }
    }

    fn user(&self, local: u16, remote: u16, asked: IpAddr) -> Option<String> {
        let names = self.names.lock();
        let found = match &names.get(&local)?[..] {
            // What lies between may have given the server another port, or this machine another address.
            [one] => Some(one),
            several => several.iter().rfind(|name| name.pair.is(asked, remote)),
        };
        found.map(|name| name.user.clone())
    }
}

/// How many questions each address asks at the same time.
#[derive(Clone, Debug, Default)]
struct Askers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A question that is being asked.
#[derive(Debug)]
struct Asking {
    askers: Askers,
    by: IpAddr,
}

impl Askers {
    /// One more, where it is not too many.
    fn take(&self, by: IpAddr) -> Option<Asking> {
        let mut counts = self.0.lock();
        let count = counts.entry(by).or_default();
        if *count >= MAX_OF_ONE {
            return None;
        }
        *count += 1;
        let askers = self.clone();
        Some(Asking { askers, by })
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut counts = self.askers.0.lock();
        if let Some(count) = counts.get_mut(&self.by) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.by);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(address: SocketAddr, question: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(question).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    fn pair(from: Option<[u8; 4]>, port: u16) -> Pair {
        Pair {
            from: from.map(IpAddr::from),
            port,
            to: Some(6667),
        }
    }

    #[test]
    fn of_several_connections_from_one_port_the_address_tells_whose_it_is() {
        let ident = Ident::new();
        let (here, there) = ([127, 0, 0, 1], [127, 0, 0, 2]);
        let alice = ident.vouch(pair(Some(here), 40_001), "alice");
        let _bob = ident.vouch(pair(Some(there), 40_001), "bob");
        let asked = |at: [u8; 4]| ident.answer_to("40001,6667", at.into());
        assert!(asked(here).ends_with(" : alice\r\n"));
        assert!(asked(there).ends_with(" : bob\r\n"));
        assert!(asked([127, 0, 0, 3]).ends_with(" : NO-USER\r\n"));
        let other = ident.answer_to("40001,6697", here.into());
        assert!(other.ends_with(" : NO-USER\r\n"), "{other}");
        // The one that ends takes nothing from the other, and a new one at its place is its own.
        drop(alice);
        assert!(asked(there).ends_with(" : bob\r\n"));
        let _carol = ident.vouch(pair(Some(here), 40_001), "carol");
        assert!(asked(here).ends_with(" : carol\r\n"));
    }

    #[tokio::test]
    async fn who_is_vouched_for_is_named() {
        let ident = Ident::new();
        let server = ident
            .serve(([127, 0, 0, 1], 0).into())
            .await
            .expect("a server");
        let vouched = ident.vouch(pair(None, 40_001), "alice");
        let asked = async |question: &str| ask(server.address(), question.as_bytes()).await;
        for question in ["40001,6667\r\n", "40001 , 6667\n"] {
            assert_eq!(
                asked(question).await,
                "40001, 6667 : USERID : UNIX : alice\r\n"
            );
        }
        assert_eq!(
            asked("40002,6667\r\n").await,
            "40002, 6667 : ERROR : NO-USER\r\n"
        );
        drop(vouched);
        assert_eq!(
            asked("40001,6667\r\n").await,
            "40001, 6667 : ERROR : NO-USER\r\n"
        );
        for nonsense in ["\r\n", "a,b\r\n", "0,1\r\n", "99999,1\r\n", "1\r\n"] {
            assert_eq!(asked(nonsense).await, "0, 0 : ERROR : INVALID-PORT\r\n");
        }
    }

    #[tokio::test]
    async fn an_endless_question_ends() {
        let ident = Ident::new();
        let server = ident
            .serve(([127, 0, 0, 1], 0).into())
            .await
            .expect("a server");
        let answer = ask(server.address(), &[b'1'; MAX_QUESTION_BYTES as usize]).await;
        assert_eq!(answer, "0, 0 : ERROR : INVALID-PORT\r\n");
    }

    #[tokio::test]
    async fn one_who_asks_without_end_keeps_nobody_waiting() {
        let ident = Ident::new();
        let server = ident
            .serve(([127, 0, 0, 1], 0).into())
            .await
            .expect("a server");
        let mut silent = Vec::new();
        for _ in 0..MAX_ASKERS + MAX_OF_ONE {
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            socket.bind(([127, 0, 0, 2], 0).into()).expect("an address");
            silent.push(socket.connect(server.address()).await.expect("connected"));
        }
        let _vouched = ident.vouch(pair(None, 40_001), "alice");
        let asked = ask(server.address(), b"40001,6667\r\n");
        let answer = tokio::time::timeout(DEADLINE / 2, asked).await;
        let answer = answer.expect("an answer in time");
        assert!(answer.ends_with(" : alice\r\n"), "{answer}");
        drop(silent);
    }
}
