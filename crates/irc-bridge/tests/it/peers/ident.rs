//! Who answers when an IRC server asks whose a connection is (RFC 1413).
//!
//! Servers ask the port 113 of the address that the connection comes from; neither `InspIRCd` nor ngIRCd can be told another
//! port. So each test has an address of loopback for itself, connects from there and answers there.

use super::{SOON, heard::Heard};
use anyhow::Context as _;
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicU32, Ordering},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// The port that servers ask (RFC 1413, 3).
pub(crate) const IDENT_PORT: u16 = 113;
/// How far apart the addresses of two processes with neighbouring ids begin.
const APART: u32 = 61;

/// An address of loopback that no other test has, whether tests are processes or threads.
pub(crate) fn own_address() -> IpAddr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let given = GIVEN.fetch_add(1, Ordering::Relaxed);
    let chosen = std::process::id().wrapping_mul(APART).wrapping_add(given);
    // From 127.64.0.0 to 127.127.255.255.
    let [_, high, middle, low] = ((chosen & 0x003f_ffff) | 0x0040_0000).to_be_bytes();
    Ipv4Addr::new(127, high, middle, low).into()
}

/// Listens where servers ask, or says what to do about it.
async fn listen(address: IpAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind((address, IDENT_PORT)).await;
    let is_denied = matches!(&bound, Err(error) if error.kind() == io::ErrorKind::PermissionDenied);
    bound.with_context(|| {
        let cure = if is_denied {
            ": IRC servers ask this port and no other. Run the tests as root, or allow the port to everybody (as root \
             `sysctl net.ipv4.ip_unprivileged_port_start=113`), or run them in a network of their own: \
             `unshare --map-current-user --keep-caps --net sh -c 'ip link set lo up && cargo xtask test peers::'`"
        } else {
            ""
        };
        format!("cannot listen on {address}, port {IDENT_PORT}{cure}")
    })
}

/// Answers every question with the same user, until dropped.
pub(crate) struct IdentAnswers {
    /// The questions as they were asked.
    pub(crate) questions: Heard,
    task: tokio::task::JoinHandle<()>,
}

impl IdentAnswers {
    /// Begins to answer on an address.
    pub(crate) async fn start(address: IpAddr, user: &'static str) -> anyhow::Result<Self> {
        let listener = listen(address).await?;
        let (questions, mut asked) = tokio::io::simplex(4096);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let question = tokio::time::timeout(SOON, answer(stream, user)).await;
                if let Ok(Ok(question)) = question {
                    asked.write_all(question.as_bytes()).await.ok();
                }
            }
        });
        let questions = Heard::listen("the ident answerer", questions, |_| ());
        Ok(Self { questions, task })
    }
}

impl Drop for IdentAnswers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(stream: TcpStream, user: &str) -> io::Result<String> {
    let mut stream = BufReader::new(stream);
    let mut question = String::new();
    stream.read_line(&mut question).await?;
    let answer = format!("{} : USERID : UNIX : {user}\r\n", question.trim());
    stream.write_all(answer.as_bytes()).await?;
    Ok(question)
}
