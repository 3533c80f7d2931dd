//! How clients go.

use bridgehead_irc_protocol::Line;

use super::{
    State,
    client::{Client, ClientId, Sink},
};

impl State {
    /// Somebody goes: those around are told, the connection gets an `ERROR` and is closed.
    pub(crate) fn close(&mut self, id: ClientId, reason: &str, told: &str) {
        if let Some(client) = self.client(id) {
            let who = match client.user.as_str() {
                "" => client.host.clone(),
                user => format!("{user}@{}", client.host),
            };
            let error = format!("Closing link: ({who}) [{told}]");
            self.send(id, Line::new("ERROR", [error]));
        }
        self.end_answer_to(id);
        self.drop_client(id, reason, false);
    }

    /// Somebody goes without a word to themselves. Where it is abrupt, what waits to be sent to them is lost.
    pub(crate) fn drop_client(&mut self, id: ClientId, reason: &str, is_abrupt: bool) {
        if self.client(id).is_some_and(Client::is_registered) {
            self.tell_quit(id, reason);
        }
        self.remember_gone(id);
        for key in self.channels_of(id) {
            self.remove_member(&key, id);
        }
        for channel in self.channels.values_mut() {
            channel.invited.remove(&id);
        }
        let Some(client) = self.clients.remove(&id) else {
            return;
        };
        match client.sink {
            Sink::Socket(outlet) => outlet.close(is_abrupt),
            Sink::Ear(ear) => ear.close(),
        }
        if self.holder(&client.nick) == Some(id) {
            let folded = self.fold(&client.nick);
            self.nicks.remove(&folded);
            if client.progress.is_registered {
                self.tell_watchers(&client.nick, false);
            }
        }
    }

    fn tell_quit(&mut self, id: ClientId, reason: &str) {
        let line = self.stamp(id, Line::new("QUIT", [reason]));
        for peer in self.peers(id) {
            self.send(peer, line.clone());
        }
        for key in self.channels_of(id) {
            let message = self.message(line.clone(), Vec::new());
            self.keep_message(id, &key, message);
        }
    }

    /// Takes somebody out of a channel; the last one closes it.
    pub(crate) fn remove_member(&mut self, key: &str, id: ClientId) {
        if let Some(channel) = self.channels.get_mut(key) {
            channel.members.remove(&id);
            if channel.members.is_empty() {
                self.channels.remove(key);
            }
        }
    }

    /// Marks somebody to be closed as soon as the command at hand is done.
    pub(crate) fn close_later(&mut self, id: ClientId, reason: &str) {
        if self.doomed.iter().all(|(known, _)| *known != id) {
            self.doomed.push((id, reason.to_owned()));
        }
    }

    /// Closes those who were marked.
    pub(crate) fn close_marked(&mut self) {
        while let Some((id, reason)) = self.doomed.pop() {
            if let Some(client) = self.client_mut(id) {
                client.is_deaf = true;
            }
            self.drop_client(id, &reason, true);
        }
    }
}
