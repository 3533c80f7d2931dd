//! Somebody on IRC, who says numbers and hears numbers.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use bridgehead_irc_protocol::{Line, LineBuffer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex, watch},
    task::JoinHandle,
};

use super::{
    ledger::{Ledger, Way},
    talk::{number_in, text_of},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A connected client in one channel.
pub(crate) struct Listener {
    writer: Arc<Mutex<OwnedWriteHalf>>,
    channel: String,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Connects, and enters the channel of this number.
    pub(crate) async fn enter(
        port: u16,
        number: usize,
        ledger: Arc<Ledger>,
    ) -> anyhow::Result<Self> {
        let (reader, writer) = TcpStream::connect(("127.0.0.1", port)).await?.into_split();
        let writer = Arc::new(Mutex::new(writer));
        let (is_in, mut entered) = watch::channel(false);
        let ears = Ears {
            reader,
            writer: writer.clone(),
            number,
            is_in,
            ledger,
        };
        let task = tokio::spawn(async move {
            if let Err(error) = ears.listen().await {
                eprintln!("somebody on IRC hears nothing any more: {error}");
            }
        });
        let listener = Self {
            writer,
            channel: format!("#load{number}"),
            task,
        };
        let nick = format!("irc{number}");
        listener
            .send(&format!("NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\n"))
            .await?;
        let entered = tokio::time::timeout(PATIENCE, entered.wait_for(|is_in| *is_in)).await;
        entered.context("somebody on IRC does not get in")??;
        Ok(listener)
    }

    /// Says this number.
    pub(crate) async fn say(&self, number: usize) -> anyhow::Result<()> {
        let text = text_of(Way::ToMatrix, number);
        self.send(&format!("PRIVMSG {} :{text}\r\n", self.channel))
            .await
    }

    async fn send(&self, text: &str) -> anyhow::Result<()> {
        Ok(self.writer.lock().await.write_all(text.as_bytes()).await?)
    }
}

struct Ears {
    reader: OwnedReadHalf,
    writer: Arc<Mutex<OwnedWriteHalf>>,
    number: usize,
    is_in: watch::Sender<bool>,
    ledger: Arc<Ledger>,
}

impl Ears {
    async fn listen(mut self) -> anyhow::Result<()> {
        let mut buffer = LineBuffer::new();
        let mut bytes = vec![0; 16_384];
        loop {
            let count = self.reader.read(&mut bytes).await?;
            anyhow::ensure!(count > 0, "the server has closed the connection");
            buffer.push(&bytes[..count]);
            while let Some(bytes) = buffer.next_line() {
                if let Ok(line) = Line::parse(bytes) {
                    self.take(&line).await?;
                }
            }
        }
    }

    async fn take(&self, line: &Line) -> anyhow::Result<()> {
        match line.command.as_str() {
            "PING" => {
                let pong = Line::new("PONG", &line.params).to_bytes()?;
                self.writer.lock().await.write_all(&pong).await?;
            }
            "376" | "422" => {
                let join = format!("JOIN #load{}\r\n", self.number);
                self.writer.lock().await.write_all(join.as_bytes()).await?;
            }
            "366" => {
                self.is_in.send_replace(true);
            }
            "PRIVMSG" => {
                if let Some(said) = number_in(Way::ToIrc, &line.text(1)) {
                    self.ledger.hear(Way::ToIrc, self.number, said);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
