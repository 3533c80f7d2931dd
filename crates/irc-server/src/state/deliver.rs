//! How a line becomes what one client gets.
//!
//! Lines are made with everything that may be said of them. Here each client is given what it has asked for: tags by its
//! capabilities, a label or a batch where it marked its command (IRCv3 labeled-response), and no more bytes than fit.

use bridgehead_irc_protocol::{Line, Source};

use super::{
    State,
    client::{Client, ClientId, Sink},
    history::Message,
};
use crate::{clock, wire::cut};

/// What is collected for somebody who marked a command with a label.
pub(super) struct Answering {
    to: ClientId,
    label: String,
    lines: Vec<Line>,
}

impl State {
    /// Answers with a numeric: the client's nick is put in front of the parameters.
    pub(crate) fn reply<P: AsRef<[u8]>>(
        &mut self,
        to: ClientId,
        numeric: &str,
        params: impl IntoIterator<Item = P>,
    ) {
        let mut line = Line::new(numeric, params);
        let nick = self.client(to).map_or("*", Client::name);
        line.params.insert(0, nick.as_bytes().to_vec());
        self.send(to, self.by_server(line));
    }

    /// A line of the server itself.
    pub(crate) fn by_server(&self, line: Line) -> Line {
        line.from(Source::named(&self.dialect.server_name))
    }

    /// Says that a command failed (IRCv3 standard-replies).
    pub(crate) fn fail(&mut self, to: ClientId, command: &str, code: &str, rest: &[&str]) {
        let params = [&[command, code], rest].concat();
        let line = self.by_server(Line::new("FAIL", params));
        self.send(to, line);
    }

    /// Gives a line to a client, or keeps it for the labelled answer.
    pub(crate) fn send(&mut self, to: ClientId, line: Line) {
        match &mut self.answering {
            Some(answering) if answering.to == to => answering.lines.push(line),
            _ => self.write(to, &line),
        }
    }

    /// From here on what somebody is told answers the command with this label.
    pub(crate) fn begin_answer(&mut self, to: ClientId, label: &str) {
        self.answering = Some(Answering {
            to,
            label: label.to_owned(),
            lines: Vec::new(),
        });
    }

    /// Takes the label away: the answer comes later, with what ends it.
    pub(crate) fn put_off_answer(&mut self) {
        if let Some(answering) = self.answering.take() {
            for line in answering.lines {
                self.write(answering.to, &line);
            }
        }
    }

    /// Ends the answer to somebody who goes while it is made.
    pub(super) fn end_answer_to(&mut self, to: ClientId) {
        if self
            .answering
            .as_ref()
            .is_some_and(|answering| answering.to == to)
        {
            self.end_answer();
        }
    }

    /// Sends what was collected: an `ACK` for nothing, one line with the label, or a batch.
    pub(crate) fn end_answer(&mut self) {
        let Some(Answering { to, label, lines }) = self.answering.take() else {
            return;
        };
        let knows_batches = self.client(to).is_some_and(|client| client.has("batch"));
        let lines = match lines.len() {
            0 => vec![self.by_server(Line::new("ACK", [""; 0]))],
            1 => lines,
            _ if knows_batches => self.batch("labeled-response", &[], lines),
            _ => lines,
        };
        for (at, mut line) in lines.into_iter().enumerate() {
            if at == 0 {
                line.tags.set("label", &label);
            }
            self.write(to, &line);
        }
    }

    /// Puts lines into a batch; those that are in one already stay there.
    pub(crate) fn batch(&mut self, kind: &str, params: &[&str], lines: Vec<Line>) -> Vec<Line> {
        let reference = match self.dialect.quirks.reuses_references && kind == "labeled-response" {
            true => "1".to_owned(),
            false => format!("b{}", self.next_id()),
        };
        let start = format!("+{reference}");
        let opening = [start.as_str(), kind]
            .into_iter()
            .chain(params.iter().copied());
        let mut batch = vec![self.by_server(Line::new("BATCH", opening))];
        batch.extend(lines.into_iter().map(|mut line| {
            if line.tags.get("batch").is_none() {
                line.tags.set("batch", &reference);
            }
            line
        }));
        batch.push(self.by_server(Line::new("BATCH", [format!("-{reference}")])));
        batch
    }

    /// Lines as a batch for those who know batches, and alone for the others.
    pub(crate) fn send_batch(
        &mut self,
        to: ClientId,
        kind: &str,
        params: &[&str],
        lines: Vec<Line>,
    ) {
        let knows = self.client(to).is_some_and(|client| client.has("batch"));
        let lines = match knows {
            true => self.batch(kind, params, lines),
            false => lines,
        };
        for line in lines {
            self.send(to, line);
        }
    }

    /// A message as the lines that one client gets of it.
    pub(crate) fn render(&mut self, to: ClientId, message: &Message) -> Vec<Line> {
        if message.parts.is_empty() {
            return vec![message.line.clone()];
        }
        let knows = self
            .client(to)
            .is_some_and(|client| client.has("draft/multiline"));
        let target = message.line.text(0).into_owned();
        let parts = message.parts.iter().map(|part| {
            let mut line = Line::new(&message.line.command, [target.as_bytes(), &part.text]);
            line.source.clone_from(&message.line.source);
            if knows && part.is_joined {
                line.tags.set("draft/multiline-concat", "");
            }
            line
        });
        if !knows {
            return unfolded(parts.collect(), message);
        }
        let mut lines = self.batch("draft/multiline", &[&target], parts.collect());
        if let Some(opening) = lines.first_mut() {
            opening.source.clone_from(&message.line.source);
            for (key, value) in message.line.tags.iter() {
                opening.tags.set(key, value);
            }
        }
        lines
    }

    /// Dresses a line for a client and hands it to its writer or its memory.
    fn write(&mut self, to: ClientId, line: &Line) {
        let Some(client) = self.clients.get(&to).filter(|client| !client.is_deaf) else {
            return;
        };
        let dressed = self.dress(client, line);
        let Ok(bytes) = dressed.to_bytes() else {
            tracing::debug!(line = ?dressed, "a line cannot be written");
            return;
        };
        self.write_raw(to, cut::outgoing(&bytes, &self.dialect));
    }

    /// Hands bytes to a client as they are.
    pub(crate) fn write_raw(&mut self, to: ClientId, bytes: Vec<u8>) {
        let silent_until = self.knobs.silent_until;
        let lag = self.knobs.lag;
        let Some(client) = self.clients.get(&to) else {
            return;
        };
        match &client.sink {
            Sink::Ear(ear) => {
                if let Ok(line) = Line::parse(bytes.trim_ascii_end()) {
                    ear.hear(line);
                }
            }
            Sink::Socket(outlet) => {
                let now = tokio::time::Instant::now();
                let at = silent_until.unwrap_or(now).max(now + lag);
                if !outlet.write(bytes, at, self.dialect.limits.send_queue_bytes) {
                    self.close_later(to, "SendQ exceeded");
                }
            }
        }
    }

    fn dress(&self, client: &Client, line: &Line) -> Line {
        let mut dressed = line.clone();
        dressed.tags = bridgehead_irc_protocol::Tags::default();
        for (key, value) in line.tags.iter() {
            if client.has(cap_of(key)) {
                dressed.tags.set(key, value);
            }
        }
        if client.has("server-time") && line.tags.get("time").is_none() {
            let now = clock::write_time(self.dialect.clock.now_ms());
            dressed.tags.set("time", &now);
        }
        dressed
    }
}

/// The lines of a message for those who do not know such messages: the first alone bears its tags, empty ones are left out.
fn unfolded(lines: Vec<Line>, message: &Message) -> Vec<Line> {
    let mut lines: Vec<Line> = lines
        .into_iter()
        .filter(|line| !line.last().is_empty())
        .collect();
    for (at, line) in lines.iter_mut().enumerate() {
        for (key, value) in message.line.tags.iter() {
            if at == 0 || matches!(key, "time" | "account") {
                line.tags.set(key, value);
            }
        }
    }
    lines
}

/// The capability that a client needs to be given a tag.
fn cap_of(tag: &str) -> &str {
    match tag {
        "time" => "server-time",
        "account" => "account-tag",
        "batch" => "batch",
        "label" => "labeled-response",
        "draft/multiline-concat" => "draft/multiline",
        _ => "message-tags",
    }
}
