//! Connections: when they are made, and what becomes of them.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use bridgehead_appservice::bridge::SendError;
use bridgehead_irc_protocol::{
    Channels,
    ending::Ending,
    session::{Ended, KeepAlive, NickServ, Pace, Sasl, Settings, WebIrc},
};

use super::{
    Hub, Owner,
    client::{Live, Standing},
    pace,
};
use crate::{
    accounts::Account,
    clock::now,
    link::{
        dial::{Dial, Server},
        drive::{self, Link, LinkId},
        tls::{self, Own, Trust},
    },
    people::Person,
    settings::LoginSettings,
};

/// A connection that stood for so long was no failure.
const STABLE: Duration = Duration::from_secs(120);
/// How long a banned client is left alone.
const BANNED_FOR: Duration = Duration::from_secs(3600);
/// How long a network is left alone that says it has enough connections, or is throttling.
const THROTTLED_FOR: Duration = Duration::from_secs(30);

impl Hub {
    /// Begins a connection, if the network bears one more now.
    pub(super) async fn connect(&mut self, owner: &Owner) {
        let now = now();
        if !self.has_place(owner) {
            return;
        }
        if let Err(at) = self.bucket.take(now) {
            // The observer goes first; what is short of one token only waits a tick.
            self.client(owner).retry_at = Some(at);
            return;
        }
        let id = self.next_link;
        self.next_link += 1;
        match self.beginning(owner).await {
            Err(why) => self.failed(owner, &why, now),
            Ok(beginning) => {
                let link = Link::begin(beginning, id, self.tell.clone());
                self.links.insert(id, owner.clone());
                self.client(owner).live = Some(Live {
                    link,
                    begun_at: now,
                    is_ready: false,
                    view: Channels::new(),
                    standings: Default::default(),
                    asks: Default::default(),
                    next_id: 0,
                });
            }
        }
    }

    /// Whether there may be one more connection; where there are too many, who has been silent for longest gives theirs
    /// up for somebody who speaks.
    fn has_place(&mut self, owner: &Owner) -> bool {
        if *owner == Owner::Bot {
            return true;
        }
        let others = self.clients.values();
        let connected = others.filter(|client| client.live.is_some() && client.owner != Owner::Bot);
        let connected: Vec<(Instant, Owner)> = connected
            .map(|client| (client.spoke_at, client.owner.clone()))
            .collect();
        if connected.len() < self.settings.people.max_connections {
            return true;
        }
        let speaks = !self.client(owner).pendings.is_empty();
        let silent = connected.into_iter().min();
        if let Some((_, silent)) = silent.filter(|_| speaks) {
            self.park(&silent, "Somebody else needs the connection");
        }
        false
    }

    async fn beginning(&mut self, owner: &Owner) -> Result<drive::Beginning, String> {
        let servers = self.settings.servers.iter();
        let servers: Vec<Server> = servers
            .filter_map(|at| Server::parse(at.as_str()))
            .collect();
        let server = servers
            .get(self.next_server % servers.len().max(1))
            .cloned()
            .ok_or("the configuration names no server")?;
        let person = match owner {
            Owner::Bot => None,
            Owner::Person(user) => {
                let name = self.client(owner).name.clone();
                let nicks = (&*self.settings, name.as_deref());
                Some(
                    self.people
                        .person(user, nicks)
                        .await
                        .map_err(|error| error.to_string())?,
                )
            }
        };
        let account = match owner {
            Owner::Bot => Account::default(),
            Owner::Person(user) => self
                .accounts
                .of(user)
                .await
                .map_err(|error| error.to_string())?,
        };
        let login = person.is_none().then(|| &self.settings.bot.login);
        let certificate = login.and_then(|login| login.certificate.as_ref());
        let certificate = certificate.map(|path| Own::File(path.as_ref()));
        let own = account.certificate.as_ref();
        let trust = Trust {
            verify: self.settings.tls_verify,
            authorities: self
                .settings
                .tls_ca
                .as_ref()
                .map(|path| -> &Path { path.as_ref() }),
            certificate: certificate.or(own.map(|own| Own::Pem(own.expose()))),
        };
        let tls = match self.settings.tls {
            true => Some(tls::connector(&trust).map_err(|error| error.to_string())?),
            false => None,
        };
        let session = Settings {
            nickserv: nickserv(&account),
            ..self.session(owner, person.as_ref())
        };
        let session = match owner {
            Owner::Bot => session,
            Owner::Person(_) => {
                let sasl = sasl_of(&account, self.settings.tls);
                Settings {
                    sasl_required: self.settings.people.login_required && sasl.is_some(),
                    sasl,
                    ..session
                }
            }
        };
        Ok(drive::Beginning {
            dial: Dial {
                way: self.way.clone(),
                server,
                tls,
                // Where the servers are told whose it is, it comes from where they trust it.
                from: match self.settings.webirc {
                    Some(_) => self.settings.people.address,
                    None => person.as_ref().and_then(|person| person.address),
                },
                user: session.user.clone(),
                ident: self.ident.clone(),
            },
            session,
            observes: *owner == Owner::Bot,
            claims: self.claims.clone(),
        })
    }

    /// How a client introduces itself.
    fn session(&self, owner: &Owner, person: Option<&Person>) -> Settings {
        let (bot, people, limits) = (
            &self.settings.bot,
            &self.settings.people,
            &self.settings.limits,
        );
        let (nicks, user, realname, modes) = match (owner, person) {
            (Owner::Person(id), Some(person)) => (
                person.nicks.clone(),
                person.username.clone(),
                people.realname.replace("{user}", id.as_str()),
                people.modes.clone(),
            ),
            _ => (
                vec![bot.nick.clone()],
                bot.username.clone(),
                bot.realname.clone(),
                bot.modes.clone(),
            ),
        };
        let webirc = self
            .settings
            .webirc
            .as_ref()
            .zip(person)
            .map(|(webirc, person)| {
                let address = person
                    .address
                    .map_or("127.0.0.1".to_owned(), |at| at.to_string());
                WebIrc {
                    password: secret(webirc.password.get()).unwrap_or_default(),
                    gateway: webirc.gateway.clone(),
                    hostname: address.clone(),
                    ip: address,
                }
            });
        Settings {
            nicks,
            user,
            realname,
            user_modes: modes,
            password: secret(self.settings.password.get()),
            webirc,
            sasl: person.is_none().then(|| sasl(&bot.login)).flatten(),
            sasl_required: person.is_none() && bot.login.required,
            is_tls: self.settings.tls,
            pace: Pace {
                burst_lines: limits.lines_at_once,
                line_ms: u32::try_from(limits.line_every.get().as_millis()).unwrap_or(u32::MAX),
                ..Pace::default()
            },
            keepalive: KeepAlive::default(),
            seed: rand::random(),
            ..Settings::default()
        }
    }

    /// An attempt has failed, or a connection has ended before its time.
    pub(super) fn failed(&mut self, owner: &Owner, why: &str, begun_at: Instant) {
        let now = now();
        self.next_server = self.next_server.wrapping_add(1);
        let client = self.client(owner);
        if now.duration_since(begun_at) >= STABLE {
            client.failures = 0;
        }
        client.failures += 1;
        client.retry_at = Some(now + pace::wait(client.failures, rand::random()));
        client.last_error = Some(why.to_owned());
    }

    /// A connection is over: what it had not brought to an end is begun again by the next.
    pub(super) async fn closed(&mut self, id: LinkId, ended: &Ended) {
        let Some(owner) = self.links.remove(&id) else {
            return;
        };
        self.directory.write().unnamed(&owner);
        let client = self.client(&owner);
        let Some(live) = client.live.take() else {
            return;
        };
        let why = words(ended);
        self.figures.ended(kind(ended));
        tracing::info!(network = self.name, owner = ?owner, why, "a connection has ended");
        let void = self.client(&owner).unhand();
        for claim in void {
            self.claims.release(&claim).await;
        }
        if *ended == Ended::Quit {
            return;
        }
        self.failed(&owner, &why, live.begun_at);
        if let Ended::LoginRequired(text) = ended {
            self.tell_of_login(&owner, text, true);
        }
        self.heed(&owner, ended);
        if owner == Owner::Bot {
            let heard = live.standings.iter();
            let heard = heard.filter(|(_, standing)| **standing == Standing::In);
            self.is_deaf(heard.map(|(channel, _)| channel.clone()));
            self.directory.write().forget_all();
        }
    }

    /// What the server says at the end may mean more than this one connection.
    fn heed(&mut self, owner: &Owner, ended: &Ended) {
        let now = now();
        let ending = match ended {
            Ended::Error(text) => Ending::of_error(text),
            Ended::Registration(numeric, text) => match Ending::of_numeric(*numeric, text) {
                Some(ending) => ending,
                None => return,
            },
            _ => return,
        };
        match ending {
            Ending::Throttled { retry_after } => {
                self.bucket.close(now, retry_after.unwrap_or(THROTTLED_FOR));
            }
            Ending::ConnectionLimit | Ending::Overload => self.bucket.close(now, THROTTLED_FOR),
            Ending::Banned { reason, .. } => {
                let reason = format!("the network has banned you: {reason}");
                let client = self.client(owner);
                client.retry_at = Some(now + BANNED_FOR);
                for pending in client.take_pendings(|_| true) {
                    pending.end(Err(SendError::forbidden(reason.clone())));
                }
            }
            _ => {}
        }
    }

    /// Ends somebody's connection; it is made again when it is wanted.
    pub(super) fn drop_link(&mut self, owner: &Owner, reason: &str) {
        if let Some(live) = &self.client(owner).live {
            // One that takes no orders ends by itself.
            let _ = live.link.order(drive::Order::Quit(reason.to_owned()));
        }
    }

    /// Ends somebody's connection until they speak again.
    pub(super) fn park(&mut self, owner: &Owner, reason: &str) {
        self.client(owner).is_parked = true;
        self.drop_link(owner, reason);
    }

    /// Who has been silent for too long gives up their connection.
    pub(super) fn part_with_idle(&mut self, now: Instant) {
        let idle = self.settings.people.idle.get();
        if idle.is_zero() {
            return;
        }
        let silent = self.clients.values().filter(|client| {
            client.owner != Owner::Bot
                && client.live.is_some()
                && !client.is_parked
                && now.duration_since(client.spoke_at) >= idle
        });
        let silent: Vec<Owner> = silent.map(|client| client.owner.clone()).collect();
        for owner in silent {
            self.park(&owner, "Idle");
        }
    }
}

pub(crate) fn secret(secret: Option<&bridgehead_appservice::Secret>) -> Option<String> {
    secret.map(|secret| secret.expose().to_owned())
}

/// How a configured login is done.
pub(crate) fn sasl(login: &LoginSettings) -> Option<Sasl> {
    let password = secret(login.password.get());
    match (&login.account, password, &login.certificate) {
        (Some(account), Some(password), _) => Some(Sasl::Plain {
            account: account.clone(),
            password,
        }),
        (account, None, Some(_)) => Some(Sasl::External {
            account: account.clone(),
        }),
        _ => None,
    }
}

/// How a person logs in: by password, or by the certificate that their connection shows.
fn sasl_of(account: &Account, is_tls: bool) -> Option<Sasl> {
    match (&account.password, &account.certificate) {
        (Some((name, password)), _) => Some(Sasl::Plain {
            account: name.clone(),
            password: password.expose().to_owned(),
        }),
        (None, Some(_)) if is_tls => Some(Sasl::External { account: None }),
        _ => None,
    }
}

/// How a person logs in where the server has no SASL.
fn nickserv(account: &Account) -> Option<NickServ> {
    let (name, password) = account.password.as_ref()?;
    Some(NickServ::new(name, password.expose()))
}

/// Why a session is over, as figures have it.
fn kind(ended: &Ended) -> &'static str {
    match ended {
        Ended::Error(_) => "error",
        Ended::Timeout(_) => "timeout",
        Ended::Registration(..) => "refused",
        Ended::LoginRequired(_) => "login",
        Ended::Quit => "quit",
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
        Ended::NicksTaken => "no nick that was tried is free".to_owned(),
    }
}
