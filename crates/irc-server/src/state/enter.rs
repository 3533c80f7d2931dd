//! How clients come: those with sockets, and people in the server's memory.

use std::sync::Arc;

use bridgehead_irc_protocol::Line;
use tokio::time::Instant;

use super::{
    State,
    client::{Client, ClientId, Peer, Sink},
};
use crate::{commands, ear::Ear, names, wire::Outlet};

/// What people in memory know of what the server offers.
const EAR_CAPS: &[&str] = &["account-tag", "message-tags", "server-time"];

/// What is added to the numbers of people in memory, so that they are none of a connection's.
const PEOPLE: u64 = 1 << 32;

/// Why there can be no such person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPerson {
    /// It is no nick by the server's rules.
    #[error("{0} is no nick on this server")]
    BadNick(String),
    /// Somebody has it.
    #[error("{0} is taken")]
    Taken(String),
    /// The server holds as many as it may.
    #[error("the server is full")]
    Full,
}

impl State {
    /// A connection has come; it may be refused at once.
    pub(crate) fn open(&mut self, id: ClientId, peer: Peer, outlet: Outlet) {
        let now = Instant::now();
        let refused = self.refusal(now);
        let client = Client::new(peer, Sink::Socket(outlet), now, self.now_s());
        self.clients.insert(id, client);
        for greeting in self.dialect.quirks.greetings.clone() {
            let notice = Line::new("NOTICE", ["*", &greeting]);
            self.send(id, self.by_server(notice));
        }
        if let Some(text) = refused {
            self.send(id, Line::new("ERROR", [text]));
            self.drop_client(id, "", false);
        }
    }

    fn refusal(&mut self, now: Instant) -> Option<String> {
        if self.clients.len() >= self.dialect.limits.people {
            return Some("Closing link: (unknown) [No more connections allowed]".to_owned());
        }
        if let Some(text) = &self.knobs.refuses {
            return Some(text.clone());
        }
        let throttle = self.dialect.throttle.as_ref()?;
        let is_old = |at: &&Instant| now.duration_since(**at) > throttle.within;
        let old = self.recent.iter().take_while(is_old).count();
        self.recent.drain(..old);
        if self.recent.len() >= throttle.connections {
            return Some(throttle.text.clone());
        }
        self.recent.push_back(now);
        None
    }

    /// Somebody in the server's memory comes, registered at once.
    pub(crate) fn open_person(&mut self, nick: &str, ear: Arc<Ear>) -> Result<ClientId, NoPerson> {
        if self.clients.len() >= self.dialect.limits.people {
            return Err(NoPerson::Full);
        }
        if !names::is_nick(nick, &self.dialect) {
            return Err(NoPerson::BadNick(nick.to_owned()));
        }
        if self.holder(nick).is_some() {
            return Err(NoPerson::Taken(nick.to_owned()));
        }
        let id = ClientId(PEOPLE + self.next_id());
        let peer = Peer {
            ip: "192.0.2.1".to_owned(),
            is_secure: false,
            fingerprint: None,
            ident: None,
        };
        let mut client = Client::new(peer, Sink::Ear(ear), Instant::now(), self.now_s());
        "person".clone_into(&mut client.user);
        "people.test.invalid".clone_into(&mut client.host);
        client.realname = nick.as_bytes().to_vec();
        let offered = EAR_CAPS.iter().filter(|cap| self.dialect.offers(cap));
        client.caps = offered.map(|cap| (*cap).to_owned()).collect();
        client.progress.has_user = true;
        self.clients.insert(id, client);
        self.name(id, nick);
        commands::welcome(self, id);
        Ok(id)
    }
}
