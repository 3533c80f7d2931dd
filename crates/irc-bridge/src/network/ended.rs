//! Connections that are over: when the next attempt is made, and what their end means for others.

use std::time::{Duration, Instant};

use bridgehead_appservice::{bridge::SendError, config::HostPort, format::Rich};
use bridgehead_irc_protocol::{
    ending::{Ending, Scope},
    session::Ended,
};

use super::{Hub, Owner, client::Live, deeds::Deed, pace};
use crate::{clock::now, link::drive::LinkId};

/// A connection that stood for so long was no failure.
const STABLE: Duration = Duration::from_secs(120);
/// How long a banned client is left alone.
const BANNED_FOR: Duration = Duration::from_secs(3600);
/// How long a client is left alone that the network would let in if something about it were changed.
const BARRED_FOR: Duration = Duration::from_secs(600);

/// How a connection is over.
#[derive(Clone, Copy)]
pub(super) enum Over<'a> {
    /// Its session has ended.
    Session(&'a Ended),
    /// It was not made, or broke: the error. No server has said anything.
    Broken(&'a str),
}

impl Over<'_> {
    /// What the end means, where it means anything beside that it is over.
    fn ending(self) -> Option<Ending> {
        match self {
            Self::Session(ended) => ending(ended),
            Self::Broken(_) => Some(Ending::Lost),
        }
    }

    /// As figures have it.
    fn kind(self) -> &'static str {
        match self {
            Self::Session(ended) => kind(ended),
            Self::Broken(_) => "error",
        }
    }
}

impl Hub {
    /// An attempt has failed, or a connection has ended before its time.
    pub(super) fn failed(&mut self, owner: &Owner, why: &str, begun_at: Instant) {
        let now = now();
        let client = self.client(owner);
        if now.duration_since(begun_at) >= STABLE {
            client.failures = 0;
        }
        client.failures += 1;
        client.retry_at = Some(now + pace::wait(client.failures, rand::random()));
        client.last_error = Some(why.to_owned());
    }

    /// The network was away, and is there again: whoever has failed meanwhile has failed for that. They try again in
    /// their turn, and what waits for their connections has all its time from now on.
    pub(super) fn try_again(&mut self) {
        let now = now();
        let deadline = now + self.settings.limits.patience.get();
        for client in self.clients.values_mut() {
            for pending in &mut client.pendings {
                pending.deadline = pending.deadline.max(deadline);
            }
            let barred = client.barred.as_ref();
            let is_barred = barred.is_some_and(|(until, _)| *until > now);
            if client.live.is_none() && !is_barred {
                client.retry_at = None;
                client.failures = 0;
            }
        }
    }

    /// A connection is over: what it had not brought to an end is begun again by the next.
    pub(super) async fn closed(&mut self, id: LinkId, over: Over<'_>) {
        let Some(owner) = self.links.remove(&id) else {
            return;
        };
        let now = now();
        self.directory.write().unnamed(&owner, now);
        let Some(live) = self.client(&owner).live.take() else {
            return;
        };
        let why = self.why_over(over, &live);
        self.figures.ended(over.kind());
        tracing::info!(network = self.name, owner = ?owner, why, "a connection has ended");
        // By then nobody has listened any more, whenever this run has learned of it.
        let resumed = live.link.facts().resumed;
        self.history.over_ms = resumed.and_then(|resumed| resumed.closed_ms);
        self.note_over(&owner);
        self.elect_without(&owner);
        for channel in live.standings.keys() {
            // One that was behind may have kept another from standing by.
            self.elect(channel);
        }
        self.history.over_ms = None;
        self.misses_again(&owner);
        let overheard = self.overheard_without(&owner);
        let deadline = now + self.settings.limits.patience.get();
        let is_kept = self.directory.read().offers().history.is_some();
        let client = self.client(&owner);
        if let Some(before) = &mut client.before {
            before.is_over();
        }
        if !live.is_gone {
            client.doubt(now, |channel| overheard.contains(channel));
        }
        let lost = client.unhand(deadline, is_kept);
        self.lose(lost).await;
        if let Over::Session(Ended::Quit | Ended::TlsWanted(_)) = over {
            return;
        }
        self.failed(&owner, &why, live.begun_at);
        if let Over::Session(Ended::LoginRequired(text)) = over {
            self.tell_of_login(&owner, text, true);
        }
        if let Some(ending) = over.ending() {
            self.heed(&owner, (&ending, live.is_ready), live.server);
        }
    }

    /// Why a connection is over, in words for people, with what is to be done where that is known.
    fn why_over(&self, over: Over<'_>, live: &Live) -> String {
        let ended = match over {
            Over::Session(ended) => ended,
            Over::Broken(error) if live.is_ready => {
                return format!("the connection broke: {error}");
            }
            Over::Broken(error) => {
                let servers = &self.settings.servers;
                let server = servers.get(live.server % servers.len().max(1));
                let server = server.map_or(self.name.as_str(), HostPort::as_str);
                return format!("no connection to {server}: {error}");
            }
        };
        match ending(ended) {
            Some(Ending::PasswordRequired) => {
                format!("{} ({})", words(ended), self.password_cure())
            }
            _ => words(ended),
        }
    }

    /// What is to be done where the server wants another password.
    fn password_cure(&self) -> String {
        format!(
            "who runs the bridge writes the server's password to `networks.{}.password` in the configuration",
            self.name
        )
    }

    /// What the server says at the end may mean more than this one connection.
    fn heed(&mut self, owner: &Owner, (ending, was_ready): (&Ending, bool), server: usize) {
        let is_of_server = match ending {
            Ending::Overload | Ending::ShutDown | Ending::TlsRequired | Ending::NotAuthorized => {
                true
            }
            Ending::Lost | Ending::RegistrationFailed | Ending::Other(_) => !was_ready,
            _ => false,
        };
        // Many that fail at the same server go on to the same next one.
        if is_of_server && server == self.next_server {
            self.next_server = self.next_server.wrapping_add(1);
        }
        self.heed_ending(owner, ending);
    }

    fn heed_ending(&mut self, owner: &Owner, ending: &Ending) {
        match ending {
            Ending::Throttled { retry_after } => {
                self.trip(
                    *retry_after,
                    "the network wants fewer new connections at a time",
                );
            }
            Ending::Overload => self.trip(None, "the server is full"),
            Ending::PasswordRequired => {
                let cure = self.password_cure();
                self.trip(
                    None,
                    &format!("the server's password is missing or wrong: {cure}"),
                );
            }
            Ending::ConnectionLimit => {
                let people = self.clients.values();
                let people = people.filter(|client| client.owner != Owner::Bot);
                let connected: Vec<_> = people.filter_map(|client| client.live.as_ref()).collect();
                let stands = connected.iter().any(|live| live.is_ready);
                let connected = connected.len();
                self.breaker.note_full(connected, now());
                match owner {
                    // It hears for all, and so goes first.
                    Owner::Bot => self.park_most_silent(),
                    // They go on as soon as one of the others' makes room. Where none stands, others than the bridge
                    // have all the places.
                    Owner::Person(_) if stands => self.client(owner).retry_at = None,
                    Owner::Person(_) => {}
                }
            }
            Ending::Banned { scope, reason } => self.banned(owner, *scope, reason),
            Ending::SaslRequired => {
                let words = "the network lets nobody in who is not logged in: store your account's password with \
                             `storepass`";
                self.bar(owner, BARRED_FOR, words);
            }
            _ => {}
        }
    }

    /// The network has had enough of new connections.
    fn trip(&mut self, retry_after: Option<Duration>, why: &str) {
        let now = now();
        // Of those that fail together, the first has said it.
        if self.bucket.why(now).is_none() {
            let wait = self.breaker.trip();
            self.bucket
                .close(now, retry_after.unwrap_or(wait).max(wait), why);
        }
    }

    fn banned(&mut self, owner: &Owner, scope: Scope, reason: &str) {
        // All who have no address of their own come from the same.
        let is_shared = self.settings.people.addresses.is_none() || *owner == Owner::Bot;
        let words = format!("the network has banned you: {reason}");
        if scope == Scope::Address && is_shared {
            let words = format!("the network has banned the bridge's address: {reason}");
            self.trip(None, &words);
            self.client(owner).last_error = Some(words);
            return;
        }
        self.tell_of_ban(owner, &words);
        let cure = "who runs the network can lift that; `reconnect` in your room with the bridge tries again";
        self.bar(owner, BANNED_FOR, &format!("{words} ({cure})"));
    }

    /// A person is told once of a ban that is theirs alone, and what they can do.
    fn tell_of_ban(&mut self, owner: &Owner, words: &str) {
        let now = now();
        let barred = self.client(owner).barred.as_ref();
        let is_known =
            barred.is_some_and(|(until, before)| *until > now && before.starts_with(words));
        let Some(person) = owner.person().filter(|_| !is_known).cloned() else {
            return;
        };
        let text = format!(
            "On {}, {words}. You are not connected there for an hour, unless you ask for it: `reconnect` tries at once. \
             Who runs the network can lift the ban.",
            self.name
        );
        // What servers say is no Markdown.
        self.deed(Deed::Tell(person, Rich::plain(&text)));
    }

    /// Somebody is not let in for some time: whoever of Matrix that is, is told so at once when they speak.
    fn bar(&mut self, owner: &Owner, wait: Duration, words: &str) {
        let until = now() + wait;
        let client = self.client(owner);
        client.retry_at = Some(until);
        client.last_error = Some(words.to_owned());
        client.barred = Some((until, words.to_owned()));
        for pending in client.take_pendings(|pending| !pending.is_in_doubt) {
            pending.end(Err(SendError::forbidden(words)));
        }
    }
}

/// What the end of a session means, where it means anything beside that it is over.
pub(crate) fn ending(ended: &Ended) -> Option<Ending> {
    Some(match ended {
        Ended::Error(text) => Ending::of_error(text),
        Ended::Registration(numeric, text) => {
            let ending = Ending::of_numeric(*numeric, text);
            ending.unwrap_or_else(|| Ending::Other(text.clone()))
        }
        Ended::Timeout(_) => Ending::Lost,
        Ended::LoginRequired(_) | Ended::TlsWanted(_) | Ended::NicksTaken | Ended::Quit => {
            return None;
        }
    })
}

/// Why a session is over, as figures have it.
fn kind(ended: &Ended) -> &'static str {
    match ended {
        Ended::Error(_) => "error",
        Ended::Timeout(_) => "timeout",
        Ended::Registration(..) => "refused",
        Ended::LoginRequired(_) => "login",
        Ended::Quit => "quit",
        Ended::TlsWanted(_) => "tls",
        Ended::NicksTaken => "nicks",
    }
}

/// Why a session is over, in words for people.
pub(crate) fn words(ended: &Ended) -> String {
    match ended {
        Ended::Error(text) => format!("the server closed the connection: {text}"),
        Ended::Timeout(what) => format!("the server did not answer in time ({what})"),
        Ended::Registration(_, text) => format!("the server refused the connection: {text}"),
        Ended::LoginRequired(text) => format!("the login failed: {text}"),
        Ended::Quit => "as was asked for".to_owned(),
        Ended::TlsWanted(port) => format!("the server wants encryption, at port {port}"),
        Ended::NicksTaken => "no nick that was tried is free".to_owned(),
    }
}
