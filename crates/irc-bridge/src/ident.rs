//! An ident server (RFC 1413): tells IRC servers which person of Matrix is behind a connection.
//!
//! A connection is vouched for before it is made, so no server can ask too early.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
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
    names: Arc<Mutex<HashMap<u16, String>>>,
}

/// A connection is vouched for as long as this lives.
#[derive(Debug)]
pub struct Vouched {
    ident: Ident,
    port: u16,
}

impl Drop for Vouched {
    fn drop(&mut self) {
        self.ident.names.lock().remove(&self.port);
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

    /// Whoever asks for the connection from this port is told this user name.
    #[must_use]
    pub fn vouch(&self, port: u16, user: &str) -> Vouched {
        self.names.lock().insert(port, user.to_owned());
        Vouched {
            ident: self.clone(),
            port,
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
        let (read, mut write) = stream.split();
        let mut question = Vec::new();
        let mut read = BufReader::new(read.take(MAX_QUESTION_BYTES));
        read.read_until(b'\n', &mut question).await?;
        let answer = self.answer_to(&String::from_utf8_lossy(&question));
        write.write_all(answer.as_bytes()).await?;
        write.shutdown().await
    }

    /// The answer to `local , remote`, the ports as this machine sees them.
    fn answer_to(&self, question: &str) -> String {
        let ports = question.trim().split_once(',').and_then(|(local, remote)| {
            let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
            Some((port(local)?, port(remote)?))
        });
        let Some((local, remote)) = ports else {
            return "0, 0 : ERROR : INVALID-PORT\r\n".to_owned();
        };
        match self.names.lock().get(&local) {
            Some(name) => format!("{local}, {remote} : USERID : UNIX : {name}\r\n"),
            None => format!("{local}, {remote} : ERROR : NO-USER\r\n"),
        }
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

    #[tokio::test]
    async fn who_is_vouched_for_is_named() {
        let ident = Ident::new();
        let server = ident
            .serve(([127, 0, 0, 1], 0).into())
            .await
            .expect("a server");
        let vouched = ident.vouch(40_001, "alice");
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
        let _vouched = ident.vouch(40_001, "alice");
        let asked = ask(server.address(), b"40001,6667\r\n");
        let answer = tokio::time::timeout(DEADLINE / 2, asked).await;
        let answer = answer.expect("an answer in time");
        assert!(answer.ends_with(" : alice\r\n"), "{answer}");
        drop(silent);
    }
}
