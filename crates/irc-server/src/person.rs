//! Somebody in the server's memory, not on a socket: they say and do things, and hear what others do.

use std::{sync::Arc, time::Duration};

use bridgehead_irc_protocol::{Line, line::LineError};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::{
    NotHeard, actor::Call, commands, ear::Ear, server::call_actor, state::client::ClientId,
};

/// How long something that is waited for may take.
const WAIT: Duration = Duration::from_secs(10);

/// Why somebody can say nothing.
#[derive(Debug, thiserror::Error)]
pub enum Gone {
    /// They have quit, were killed, or the server has ended.
    #[error("{0} is not there any more")]
    Left(String),
    /// It is no line.
    #[error("that is no line")]
    NoLine(#[from] LineError),
}

/// Somebody in the server's memory. They stay when this is dropped.
#[derive(Debug)]
pub struct Person {
    calls: mpsc::Sender<Call>,
    id: ClientId,
    nick: Mutex<String>,
    ear: Arc<Ear>,
}

impl Person {
    pub(crate) fn new(calls: mpsc::Sender<Call>, id: ClientId, nick: &str, ear: Arc<Ear>) -> Self {
        let nick = Mutex::new(nick.to_owned());
        Self {
            calls,
            id,
            nick,
            ear,
        }
    }

    /// Their nick, as it was when they last did something.
    #[must_use]
    pub fn nick(&self) -> String {
        self.nick.lock().clone()
    }

    /// Sends any line, as a client would: `bob.raw("MODE #tea +m")`.
    ///
    /// # Errors
    /// Where they are not there any more.
    pub async fn raw(&self, line: impl AsRef<[u8]>) -> Result<(), Gone> {
        let (id, line) = (self.id, line.as_ref().to_vec());
        let done = call_actor(&self.calls, move |state| {
            state.client(id)?;
            commands::take(state, id, &line);
            // Who quits is gone, and meant to be.
            Some(state.client(id).map(|client| client.nick.clone()))
        });
        match done.await.flatten() {
            Some(nick) => {
                if let Some(nick) = nick {
                    *self.nick.lock() = nick;
                }
                Ok(())
            }
            None => Err(Gone::Left(self.nick())),
        }
    }

    async fn send<P: AsRef<[u8]>>(
        &self,
        command: &str,
        params: impl IntoIterator<Item = P>,
    ) -> Result<(), Gone> {
        let line = Line::new(command, params).to_bytes()?;
        self.raw(line.trim_ascii_end()).await
    }

    /// Joins a channel; `#tea key` for one with a key.
    ///
    /// # Errors
    /// Where they are not there any more. Whether the channel let them in they [hear](Self::wait_for).
    pub async fn join(&self, channel: &str) -> Result<(), Gone> {
        self.send("JOIN", channel.split(' ')).await
    }

    /// Leaves a channel.
    ///
    /// # Errors
    /// Where they are not there any more.
    pub async fn part(&self, channel: &str, reason: &str) -> Result<(), Gone> {
        self.send("PART", [channel, reason]).await
    }

    /// Says something, to a channel or a nick.
    ///
    /// # Errors
    /// Where they are not there any more, or it is more than one line.
    pub async fn say(&self, target: &str, text: impl AsRef<[u8]>) -> Result<(), Gone> {
        self.send("PRIVMSG", [target.as_bytes(), text.as_ref()])
            .await
    }

    /// Sends a notice.
    ///
    /// # Errors
    /// Where they are not there any more, or it is more than one line.
    pub async fn notice(&self, target: &str, text: impl AsRef<[u8]>) -> Result<(), Gone> {
        self.send("NOTICE", [target.as_bytes(), text.as_ref()])
            .await
    }

    /// Does something: `/me waves`.
    ///
    /// # Errors
    /// Where they are not there any more, or it is more than one line.
    pub async fn action(&self, target: &str, text: &str) -> Result<(), Gone> {
        self.say(target, format!("\x01ACTION {text}\x01")).await
    }

    /// Takes another nick.
    ///
    /// # Errors
    /// Where they are not there any more.
    pub async fn change_nick(&self, nick: &str) -> Result<(), Gone> {
        self.send("NICK", [nick]).await
    }

    /// Sets what a channel is about.
    ///
    /// # Errors
    /// Where they are not there any more.
    pub async fn topic(&self, channel: &str, topic: &str) -> Result<(), Gone> {
        self.send("TOPIC", [channel, topic]).await
    }

    /// Changes modes: `bob.mode("#tea", "+b ann!*@*")`.
    ///
    /// # Errors
    /// Where they are not there any more.
    pub async fn mode(&self, target: &str, modes: &str) -> Result<(), Gone> {
        self.raw(format!("MODE {target} {modes}")).await
    }

    /// Throws somebody out.
    ///
    /// # Errors
    /// Where they are not there any more.
    pub async fn kick(&self, channel: &str, nick: &str, reason: &str) -> Result<(), Gone> {
        self.send("KICK", [channel, nick, reason]).await
    }

    /// Asks somebody in.
    ///
    /// # Errors
    /// Where they are not there any more.
    pub async fn invite(&self, nick: &str, channel: &str) -> Result<(), Gone> {
        self.send("INVITE", [nick, channel]).await
    }

    /// Leaves the server.
    ///
    /// # Errors
    /// Where they are not there any more.
    pub async fn quit(&self, reason: &str) -> Result<(), Gone> {
        self.send("QUIT", [reason]).await
    }

    /// All that they got, in order.
    #[must_use]
    pub fn heard(&self) -> Vec<Line> {
        self.ear.lines()
    }

    /// Passes over all that has come: waits find what comes later alone.
    pub fn pass(&self) {
        self.ear.pass();
    }

    /// Waits for a line, for ten seconds at most. A line that was waited for is passed with all before it.
    ///
    /// # Errors
    /// Where it does not come; the error shows what came.
    pub async fn wait_for(&self, is_wanted: impl Fn(&Line) -> bool) -> Result<Line, NotHeard> {
        self.wait_within(WAIT, is_wanted).await
    }

    /// As [`wait_for`](Self::wait_for), for as long as is said.
    ///
    /// # Errors
    /// Where it does not come; the error shows what came.
    pub async fn wait_within(
        &self,
        within: Duration,
        is_wanted: impl Fn(&Line) -> bool,
    ) -> Result<Line, NotHeard> {
        self.ear.wait_for(&self.nick(), within, is_wanted).await
    }
}
