//! What is to go wrong: each is in force when its call returns.

use std::time::Duration;

use bridgehead_irc_protocol::Line;
use tokio::time::Instant;

use crate::{
    LongLines, Server, commands,
    state::{
        State,
        client::ClientId,
        knobs::{CutOff, Knobs},
    },
};

/// What becomes of the line after which a connection is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastLine {
    /// It is obeyed, others hear it; its sender never learns.
    Delivered,
    /// It is lost.
    Lost,
}

/// What is to go wrong with a server.
#[derive(Clone, Copy, Debug)]
pub struct Faults<'a> {
    pub(crate) server: &'a Server,
}

impl Faults<'_> {
    /// Never grants a capability: a request that holds it is refused as a whole.
    pub async fn nak(&self, cap: &str) {
        let cap = cap.to_owned();
        self.turn(move |knobs| {
            knobs.naks.insert(cap);
        })
        .await;
    }

    /// Offers a capability that is never granted, to catch those who ask for all that there is.
    pub async fn poison(&self, cap: &str) {
        let cap = cap.to_owned();
        self.with(move |state| {
            state.dialect.add_cap(&cap);
            state.knobs.naks.insert(cap);
        })
        .await;
    }

    /// Knows no `CAP` (421).
    pub async fn refuse_cap(&self) {
        self.turn(|knobs| knobs.has_no_cap = true).await;
    }

    /// Reads nothing and says nothing for a time. Connections stay, and new ones are accepted.
    pub async fn silent(&self, duration: Duration) {
        self.turn(move |knobs| knobs.silent_until = Some(Instant::now() + duration))
            .await;
    }

    /// Tells sockets everything later by this.
    pub async fn lag(&self, lag: Duration) {
        self.turn(move |knobs| knobs.lag = lag).await;
    }

    /// Whether lines that are too long are cut inside a character.
    pub async fn cut_utf8(&self, is_on: bool) {
        let long_lines = if is_on {
            LongLines::Cut
        } else {
            LongLines::CutAtCharacter
        };
        self.with(move |state| state.dialect.long_lines = long_lines)
            .await;
    }

    /// Cuts a connection off without a word; others see it quit with this reason. `false` where nobody has the nick.
    pub async fn drop_connection(&self, nick: &str, reason: &str) -> bool {
        let reason = reason.to_owned();
        self.on(nick, move |state, id| state.drop_client(id, &reason, true))
            .await
    }

    /// Cuts a connection off at the n-th line that comes over it from now on; of `command` alone, if one is named. Who
    /// has no nick yet is `*`.
    pub async fn drop_connection_after(
        &self,
        nick: &str,
        command: Option<&str>,
        lines: usize,
        last: LastLine,
    ) {
        let (nick, command) = (nick.to_owned(), command.map(str::to_ascii_uppercase));
        self.with(move |state| {
            let cut_off = CutOff {
                nick: state.fold(&nick),
                command,
                lines: lines.max(1),
                is_obeyed: last == LastLine::Delivered,
            };
            state.knobs.cut_offs.push(cut_off);
        })
        .await;
    }

    /// Closes new connections with this `ERROR`; `None` lets them in again.
    pub async fn refuse_connects(&self, text: Option<&str>) {
        let text = text.map(str::to_owned);
        self.turn(move |knobs| knobs.refuses = text).await;
    }

    /// Closes a connection with `ERROR`, as a ban does. `false` where nobody has the nick.
    pub async fn close(&self, nick: &str, reason: &str) -> bool {
        let reason = reason.to_owned();
        self.on(nick, move |state, id| state.close(id, &reason, &reason))
            .await
    }

    /// Closes all sockets with `ERROR`. People in memory stay.
    pub async fn close_all(&self, reason: &str) {
        let reason = reason.to_owned();
        self.with(move |state| {
            for id in sockets(state) {
                state.close(id, &reason, &reason);
            }
        })
        .await;
    }

    /// Cuts all sockets off without a word, as a crash does. People in memory stay.
    pub async fn crash(&self) {
        self.with(|state| {
            for id in sockets(state) {
                state.drop_client(id, "Connection reset by peer", true);
            }
        })
        .await;
    }

    /// Kills somebody. `false` where nobody has the nick.
    pub async fn kill(&self, nick: &str, reason: &str) -> bool {
        let reason = reason.to_owned();
        self.on(nick, move |state, id| {
            commands::kill_client(state, None, id, &reason);
        })
        .await
    }

    /// What is said to a channel or nick goes nowhere, and nobody is told.
    pub async fn swallow(&self, target: &str) {
        let target = target.to_owned();
        self.with(move |state| {
            let target = state.fold(&target);
            state.knobs.swallowed.insert(target);
        })
        .await;
    }

    /// Gives somebody another nick, as services do. `false` where nobody has it, or the new one is taken.
    pub async fn force_nick(&self, nick: &str, wanted: &str) -> bool {
        let (nick, wanted) = (nick.to_owned(), wanted.to_owned());
        self.with(
            move |state| match (state.holder(&nick), state.holder(&wanted)) {
                (Some(id), None) => {
                    commands::change_nick(state, id, &wanted);
                    true
                }
                _ => false,
            },
        )
        .await
    }

    /// Answers no `PING`.
    pub async fn ignore_pings(&self) {
        self.ignore("PING").await;
    }

    /// Answers a command, whoever gives it, with a numeric instead of obeying it: `answer("JOIN", "477 #tea :No")`. Does
    /// nothing when the answer is no line.
    pub async fn answer(&self, command: &str, reply: &str) {
        let command = command.to_ascii_uppercase();
        let Ok(line) = Line::parse(reply.as_bytes()) else {
            return;
        };
        self.turn(move |knobs| knobs.answers.push((command, line)))
            .await;
    }

    /// Neither obeys nor answers a command, whoever gives it.
    pub async fn ignore(&self, command: &str) {
        let command = command.to_ascii_uppercase();
        self.turn(move |knobs| {
            knobs.ignored.insert(command);
        })
        .await;
    }

    /// Breaks the network: these people are on the far side. Each side sees the other quit.
    pub async fn netsplit(&self, nicks: &[&str]) {
        let nicks: Vec<String> = nicks.iter().map(|nick| (*nick).to_owned()).collect();
        self.with(move |state| {
            let nicks: Vec<&str> = nicks.iter().map(String::as_str).collect();
            state.split(&nicks);
        })
        .await;
    }

    /// Mends the network: each side sees the other join.
    pub async fn netjoin(&self) {
        self.with(State::rejoin).await;
    }

    /// Sends somebody any bytes, as they are. `false` where nobody has the nick.
    pub async fn send_raw(&self, nick: &str, bytes: impl AsRef<[u8]>) -> bool {
        let bytes = bytes.as_ref().to_vec();
        self.on(nick, move |state, id| state.write_raw(id, bytes))
            .await
    }

    /// All is well again. What was offered to catch others stays on offer, and a split stays.
    pub async fn clear(&self) {
        self.turn(|knobs| *knobs = Knobs::default()).await;
    }

    async fn turn(&self, turn: impl FnOnce(&mut Knobs) + Send + 'static) {
        self.with(move |state| turn(&mut state.knobs)).await;
    }

    async fn with<R: Send + 'static>(
        &self,
        call: impl FnOnce(&mut State) -> R + Send + 'static,
    ) -> R {
        self.server.with(call).await
    }

    async fn on(
        &self,
        nick: &str,
        call: impl FnOnce(&mut State, ClientId) + Send + 'static,
    ) -> bool {
        let nick = nick.to_owned();
        self.with(move |state| {
            let holder = state.holder(&nick);
            if let Some(id) = holder {
                call(state, id);
            }
            holder.is_some()
        })
        .await
    }
}

fn sockets(state: &State) -> Vec<ClientId> {
    let sockets = state
        .clients
        .iter()
        .filter(|(_, client)| client.is_socket());
    sockets.map(|(id, _)| *id).collect()
}
