//! Who is told of something.

use bridgehead_irc_protocol::Line;

use super::{
    State,
    client::{Client, ClientId},
    history::Message,
};
use crate::clock;

impl State {
    /// A line as somebody's, with all tags that the server puts on it.
    pub(crate) fn stamp(&mut self, from: ClientId, line: Line) -> Line {
        let msgid = format!("m{}", self.next_id());
        let now = clock::write_time(self.dialect.clock.now_ms());
        let Some(client) = self.client(from) else {
            return line;
        };
        let has_id = self.dialect.quirks.ids_on_events
            || matches!(&*line.command, "PRIVMSG" | "NOTICE" | "TAGMSG");
        let mut line = line.from(client.source()).tag("time", &now);
        if has_id {
            line.tags.set("msgid", &msgid);
        }
        if let Some(account) = &client.account {
            line.tags.set("account", account);
        }
        if client.modes.contains(&'B') {
            line.tags.set("bot", "");
        }
        line
    }

    /// A stamped line, or several, as a message that can be kept.
    pub(crate) fn message(&self, line: Line, parts: Vec<super::client::Part>) -> Message {
        Message {
            msgid: line.tags.get("msgid").unwrap_or_default().to_owned(),
            at_ms: self.dialect.clock.now_ms(),
            line,
            parts,
        }
    }

    /// Tells everybody in a channel, the doer as well, and keeps it in the channel's history.
    pub(crate) fn announce(&mut self, from: ClientId, channel: &str, line: Line) {
        let line = self.stamp(from, line);
        for member in self.members(from, channel) {
            self.send(member, line.clone());
        }
        self.keep_message(from, channel, self.message(line, Vec::new()));
    }

    /// Tells everybody in a channel something of the server itself.
    pub(crate) fn announce_by_server(&mut self, channel: &str, line: Line) {
        let line = self.by_server(line);
        let members = self.channel(channel).map(|channel| &channel.members);
        let members: Vec<ClientId> = members.into_iter().flatten().map(|(id, _)| *id).collect();
        for member in members {
            self.send(member, line.clone());
        }
    }

    /// Keeps a message in the history of a channel or of a talk.
    pub(crate) fn keep_message(&mut self, from: ClientId, target: &str, message: Message) {
        let name = match self.channel(target) {
            Some(channel) => channel.name.clone(),
            None => target.to_owned(),
        };
        for key in self.history_keys(from, target) {
            self.keep(key, &name, message.clone());
        }
    }

    /// Tells those who share a channel with somebody, or watch them, and have a capability; themselves too if wanted.
    pub(crate) fn tell_peers(&mut self, of: ClientId, cap: &str, line: Line, with_self: bool) {
        let line = self.stamp(of, line);
        let nick = self.client(of).map_or("", Client::name).to_owned();
        let mut told = self.peers(of);
        let watching = self.watchers(&nick).into_iter().filter(|id| {
            let client = self.client(*id);
            client.is_some_and(|client| client.has("extended-monitor"))
        });
        told.extend(watching);
        told.remove(&of);
        if with_self {
            told.insert(of);
        }
        for id in told {
            if cap.is_empty() || self.client(id).is_some_and(|client| client.has(cap)) {
                self.send(id, line.clone());
            }
        }
    }

    /// A join as one client is told of it (IRCv3 extended-join).
    pub(crate) fn extended(&self, viewer: ClientId, who: ClientId, mut join: Line) -> Line {
        let knows = self
            .client(viewer)
            .is_some_and(|viewer| viewer.has("extended-join"));
        if let Some(client) = self.client(who).filter(|_| knows) {
            let account = client.account.as_deref().unwrap_or("*");
            join.params.push(account.as_bytes().to_vec());
            join.params.push(client.realname.clone());
        }
        join
    }

    /// How somebody who does not see a member yet is shown them: a join, and their standing.
    pub(crate) fn member_lines(&mut self, viewer: ClientId, who: ClientId, key: &str) -> Vec<Line> {
        let Some(channel) = self.channels.get(key) else {
            return Vec::new();
        };
        let name = channel.name.clone();
        let standing = channel.members.get(&who).cloned().unwrap_or_default();
        let join = self.stamp(who, Line::new("JOIN", [&name]));
        let mut lines = vec![self.extended(viewer, who, join)];
        if !standing.is_empty() {
            let nick = self.client(who).map_or("*", Client::name).to_owned();
            let modes: String = std::iter::once('+')
                .chain(standing.iter().copied())
                .collect();
            let mut params = vec![name, modes];
            params.extend(standing.iter().map(|_| nick.clone()));
            lines.push(self.by_server(Line::new("MODE", params)));
        }
        lines
    }

    /// Tells those who watch a nick that it came or went (MONITOR).
    pub(crate) fn tell_watchers(&mut self, nick: &str, is_here: bool) {
        let numeric = if is_here { "730" } else { "731" };
        let who = self.holder(nick).and_then(|id| self.client(id));
        let what = match who.filter(|_| is_here) {
            Some(client) if self.dialect.quirks.monitor_shows_masks => client.source().to_string(),
            Some(client) => client.nick.clone(),
            None => nick.to_owned(),
        };
        for watcher in self.watchers(nick) {
            self.reply(watcher, numeric, [&what]);
        }
    }
}
