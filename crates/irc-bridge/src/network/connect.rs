//! Connections: when they are made, and of what.

use std::time::Instant;

use bridgehead_appservice::{Secret, config::FilePath};
use bridgehead_irc_keeper::tls::{self, Pem, TlsError, Trust};
use bridgehead_irc_protocol::{
    Channels,
    session::{KeepAlive, NickServ, Pace, Sasl, Settings, WebIrc},
};

use super::{
    Hub, Owner,
    client::{Client, Live},
};
use crate::{
    accounts::Account,
    clock::now,
    link::{
        dial::{Dial, Server},
        drive::{self, Link},
    },
    people::Person,
    settings::{LoginSettings, NetworkSettings, Verify},
};

impl Hub {
    /// Begins a connection, if the network bears one more now.
    pub(super) async fn connect(&mut self, owner: &Owner) {
        let now = now();
        if !self.has_place(owner) {
            return;
        }
        if self.bucket.take(now).is_err() {
            // It asks again at the next tick: the observer first, then who speaks.
            return;
        }
        self.begin_link(owner).await;
    }

    /// Begins it, or takes it up again, whatever the network bears.
    pub(super) async fn begin_link(&mut self, owner: &Owner) {
        let now = now();
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
                    server: self.next_server,
                    observes: *owner == Owner::Bot,
                    entries: (0, 0),
                    is_gone: false,
                    view: Channels::new(),
                    standings: Default::default(),
                    leaving: Default::default(),
                    asks: Default::default(),
                    next_id: 0,
                    naming: Default::default(),
                    questions: Default::default(),
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
        let most = self.settings.people.max_connections;
        let most = self.breaker.limit(most, now());
        let people = self.clients.values();
        let people = people.filter(|client| client.owner != Owner::Bot);
        if people.filter(|client| client.live.is_some()).count() < most {
            return true;
        }
        if self.clients.get(owner).is_some_and(Client::has_to_speak) {
            self.park_most_silent();
        }
        false
    }

    /// Who has been silent for longest gives their connection up; who hears a channel for all others does so last.
    pub(super) fn park_most_silent(&mut self) {
        let people = self.clients.values();
        let quiet = people.filter(|client| {
            client.owner != Owner::Bot && client.live.is_some() && !client.has_to_speak()
        });
        let quiet = quiet.map(|client| (self.is_needed(&client.owner), client));
        let silent = quiet.min_by_key(|(is_needed, client)| (*is_needed, client.spoke_at));
        if let Some(silent) = silent.map(|(_, client)| client.owner.clone()) {
            self.park(&silent, "Somebody else needs the connection");
        }
    }

    async fn beginning(&mut self, owner: &Owner) -> Result<drive::Beginning, String> {
        let servers = self.settings.servers.iter();
        let servers: Vec<Server> = servers
            .filter_map(|at| Server::parse(at.as_str()))
            .collect();
        let mut server = servers
            .get(self.next_server % servers.len().max(1))
            .cloned()
            .ok_or("the configuration names no server")?;
        let policy = self.policy_for(&server);
        server.port = policy.unwrap_or(server.port);
        let is_encrypted = self.settings.tls || policy.is_some();
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
        let tls = match is_encrypted {
            true => {
                let trust = trust(&self.settings, login, account.certificate.as_ref());
                let mut trust = trust.map_err(|error| error.to_string())?;
                if policy.is_some() {
                    // A server that says by itself that it wants encryption has to prove who it is (IRCv3 sts).
                    trust.verify = tls::Verify::Full;
                }
                Some(trust)
            }
            false => None,
        };
        let mut session = self.session(owner, person.as_ref());
        session.is_tls = is_encrypted;
        if let Owner::Person(_) = owner {
            session.nickserv = nickserv(&account);
            session.sasl = sasl_of(&account, is_encrypted);
            session.sasl_required = self.settings.people.login_required && session.sasl.is_some();
        }
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
                keeper: self.kept(owner),
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
                && !self.is_needed(&client.owner)
                && now.duration_since(client.spoke_at) >= idle
        });
        let silent: Vec<Owner> = silent.map(|client| client.owner.clone()).collect();
        for owner in silent {
            self.park(&owner, "Idle");
        }
    }
}

/// What a connection is encrypted with: the certificate is the configuration's, or who connects has one of their own.
pub(crate) fn trust(
    settings: &NetworkSettings,
    login: Option<&LoginSettings>,
    own: Option<&Secret>,
) -> Result<Trust, TlsError> {
    let read = |path: &FilePath| Pem::read(path.as_ref());
    let configured = login.and_then(|login| login.certificate.as_ref());
    let configured = configured.map(read).transpose()?;
    Ok(Trust {
        verify: match settings.tls_verify {
            Verify::Full => tls::Verify::Full,
            Verify::None => tls::Verify::None,
        },
        authorities: settings.tls_ca.as_ref().map(read).transpose()?,
        certificate: configured.or(own.map(|own| Pem::stored(own.expose()))),
    })
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
