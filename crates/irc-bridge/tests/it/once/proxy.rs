//! A connection that is cut in the middle of a message.
//!
//! A proxy stands before the server. It lets so many bytes of a client pass after a mark, and cuts then: the server has
//! the message, or has not, or has half of it.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::lines;
use crate::{
    peers::{
        inspircd::{Inspircd, InspircdOptions},
        judge::Judge,
    },
    stage::{Server, alias, nick, on_ours, settings},
};

/// Where a connection is cut: when a client says this, after so many bytes from its first on.
#[derive(Clone)]
pub(super) struct Cut {
    mark: String,
    after: usize,
}

/// Stands before a server.
#[derive(Clone, Default)]
pub(super) struct Proxy(Arc<Mutex<Vec<Cut>>>, Arc<AtomicUsize>);

impl Proxy {
    /// How many connections were made.
    pub(super) fn connections(&self) -> usize {
        self.1.load(Ordering::Relaxed)
    }

    pub(super) async fn listen(&self, server: u16) -> anyhow::Result<u16> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let proxy = self.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let proxy = proxy.clone();
                proxy.1.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    if let Ok(upstream) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await {
                        proxy.carry(client, upstream).await;
                    }
                });
            }
        });
        Ok(port)
    }

    /// How many bytes of what a client says still pass, if it is to be cut.
    fn cut(&self, said: &[u8]) -> Option<usize> {
        let mut cuts = self.0.lock().ok()?;
        let found = cuts.iter().enumerate().find_map(|(number, cut)| {
            let mark = cut.mark.as_bytes();
            let at = said.windows(mark.len()).position(|window| window == mark)?;
            Some((number, at + cut.after))
        });
        let (number, bytes) = found?;
        cuts.remove(number);
        Some(bytes.min(said.len()))
    }

    async fn carry(&self, client: TcpStream, upstream: TcpStream) {
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = upstream.into_split();
        let down = async {
            tokio::io::copy(&mut from_server, &mut to_client).await.ok();
        };
        let up = async {
            let mut buffer = vec![0; 4096];
            while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
                let said = &buffer[..count];
                let cut = self.cut(said);
                let passes = &said[..cut.unwrap_or(count)];
                if to_server.write_all(passes).await.is_err() || cut.is_some() {
                    to_server.flush().await.ok();
                    return;
                }
            }
        };
        tokio::select! {
            () = down => {}
            () = up => {}
        }
    }
}

#[test]
fn a_message_is_there_once_wherever_its_connection_is_cut() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let irc = runtime.block_on(Inspircd::start(InspircdOptions::default()))?;
    let proxy = Proxy::default();
    let port = runtime.block_on(proxy.listen(irc.port))?;
    let cuts = proxy.0.clone();
    on_ours(
        &settings(port)?,
        (irc.port, Server::Inspircd),
        async |stage| {
            let mut judge = Judge::listen(stage.port, "judge", "#cut").await?;
            let alice = stage.lab.user("alice").await?;
            let room = alice.join(&alias("#cut")).await?;
            let said = lines("line", 24);
            for (number, line) in said.iter().enumerate() {
                // Of every third line the server gets nothing, half, or all, and the bridge hears nothing any more.
                let after = [0, 3, line.len() + 2].get(number % 9 / 3).copied();
                if let (0, Some(after), Ok(mut cuts)) = (number % 3, after, cuts.lock()) {
                    let mark = format!(":{line}\r");
                    let after = match after {
                        0 => 0,
                        3 => 3,
                        all => all + 1,
                    };
                    cuts.push(Cut { mark, after });
                }
                alice.say(&room, line).await?;
            }
            let nick = nick(&alice);
            let heard = judge.said_until(&nick, &said[said.len() - 1]).await?;
            let texts: Vec<String> = heard.into_iter().map(|(_, text)| text).collect();
            assert_eq!(texts, said);
            assert!(
                cuts.lock().is_ok_and(|cuts| cuts.is_empty()),
                "all of them were made"
            );
            // Nothing of it is news in Matrix: no ghost of hers has said it.
            let own = alice.timeline(&room).await?;
            let repeated = own.iter().filter(|event| {
                event.kind == "m.room.message"
                    && event.sender != *alice.id()
                    && event.content["body"]
                        .as_str()
                        .is_some_and(|body| body.starts_with("line"))
            });
            assert_eq!(repeated.count(), 0);
            Ok(())
        },
    )
}
