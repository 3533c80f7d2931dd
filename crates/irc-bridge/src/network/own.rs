//! What people ask a network for that is about themselves: their nick, their user name, their login, whom they ignore.

use bridgehead_appservice::{Secret, format::Rich, id::UserId};
use bridgehead_irc_protocol::Line;

use super::{
    Hub, Owner,
    client::Asked,
    command::{Command, Reply, Report},
    deeds::Deed,
};
use crate::{clock::now, ids::is_nick, link::certificate};

impl Hub {
    /// Does what concerns nobody else, and says what was done.
    pub(super) async fn about_oneself(&mut self, owner: &Owner, command: Command) -> Report {
        let Owner::Person(person) = owner.clone() else {
            return Err("that is for people".to_owned());
        };
        match command {
            Command::Username(name) => self.username(&person, &name).await,
            Command::StoreLogin { account, password } => {
                self.store_login(&person, (&account, &password)).await
            }
            Command::RemoveLogin => self.remove_login(&person).await,
            Command::MakeCertificate => self.make_certificate(&person).await,
            Command::Ignore(mask) => {
                let ignored = self.ignoring.ignore(&person, &mask).await;
                let ignored = ignored.map_err(|error| error.to_string())?;
                Ok(format!(
                    "You hear nothing more of `{ignored}` alone. What they say in channels your client can hide: ignore \
                     their user of Matrix there."
                ))
            }
            Command::Unignore(mask) => {
                let unignored = self.ignoring.unignore(&person, &mask).await;
                match unignored.map_err(|error| error.to_string())? {
                    true => Ok("You hear of them again.".to_owned()),
                    false => Err(format!("You do not ignore `{mask}`: `ignores` lists whom.")),
                }
            }
            Command::Ignored => Ok(self.ignored(&person)),
            Command::Key { channel, key } => {
                self.operator_gives_key(&channel, key);
                Ok("The key is kept.".to_owned())
            }
            _ => Err("that is nothing about yourself".to_owned()),
        }
    }

    fn ignored(&self, person: &UserId) -> String {
        let masks = self.ignoring.of(person).map(|mask| format!("- `{mask}`"));
        let masks: Vec<String> = masks.collect();
        match masks.is_empty() {
            true => "You ignore nobody. `ignore <nick or mask>` changes that.".to_owned(),
            false => masks.join("\n"),
        }
    }

    /// Somebody wants another nick. It is theirs once the server has given it; who is not connected is told so.
    pub(super) async fn nick_for(&mut self, owner: &Owner, nick: &str, reply: Reply) {
        let Some(person) = owner.person().cloned() else {
            return;
        };
        if let Err(words) = self.may_be_called(owner, nick) {
            reply.send(Err(words)).ok();
            return;
        }
        let people = self.people.clone();
        let nick = nick.to_owned();
        let is_ready = self.live_facts(owner).is_some();
        let client = self.client(owner);
        client.spoke_at = now();
        let Some(live) = client.live.as_mut().filter(|_| is_ready) else {
            let chosen = people.choose_nick(&person, &nick).await;
            let report = chosen.map_err(|error| error.to_string());
            let words = format!("You are called {nick} as soon as you connect, if nobody else is.");
            reply.send(report.map(|()| words)).ok();
            return;
        };
        let (told, answer) = tokio::sync::oneshot::channel();
        let line = Line::new("NICK", [nick.as_str()]);
        live.ask(
            line,
            bridgehead_irc_protocol::session::Priority::Urgent,
            Asked::Answer(told),
        );
        tokio::spawn(async move {
            let report = match answer.await {
                Ok(Ok(_)) => match people.choose_nick(&person, &nick).await {
                    Ok(()) => Ok(format!("You are called {nick} now.")),
                    Err(error) => Err(error.to_string()),
                },
                Ok(Err(words)) => Err(words),
                Err(_) => Err("The connection has ended meanwhile.".to_owned()),
            };
            reply.send(report).ok();
        });
    }

    /// Whether a nick can be one here at all: servers cut what is too long, or end the connection for it.
    fn may_be_called(&self, owner: &Owner, nick: &str) -> Result<(), String> {
        if !is_nick(nick) {
            return Err(crate::people::PeopleError::NoNick(nick.to_owned()).to_string());
        }
        let facts = self
            .live_facts(owner)
            .or_else(|| self.live_facts(&Owner::Bot));
        let longest = facts.map_or(crate::people::NICK_BYTES, |facts| {
            facts.isupport.nick_bytes()
        });
        match nick.len() > longest {
            true => Err(format!(
                "`{nick}` is too long: nicks of this network have at most {longest} characters"
            )),
            false => Ok(()),
        }
    }

    /// Whose nick is too long for the network is told once what they are called there.
    pub(super) async fn tell_of_cut_nick(&mut self, owner: &Owner) {
        let (Some(person), Some(facts)) = (owner.person(), self.live_facts(owner)) else {
            return;
        };
        let longest = facts.isupport.nick_bytes();
        let nick = facts.source.name.as_str();
        if facts.wanted.len() <= longest || !self.people.is_news_of_nick(person, nick).await {
            return;
        }
        let words = format!(
            "On {} you are called {nick}: nicks there have at most {longest} characters, and {} is longer. `nick` chooses \
             another one.",
            self.name, facts.wanted
        );
        self.deed(Deed::Tell(person.clone(), Rich::plain(&words)));
    }

    async fn username(&mut self, person: &UserId, name: &str) -> Report {
        let chosen = self.people.choose_username(person, name).await;
        chosen.map_err(|error| error.to_string())?;
        Ok(format!(
            "Your user name is `{name}` from your next connection on. `reconnect` makes one now."
        ))
    }

    async fn store_login(&mut self, person: &UserId, login: (&str, &Secret)) -> Report {
        let stored = self.accounts.store_password(person, login).await;
        stored.map_err(|error| error.to_string())?;
        self.told_of_logins.remove(person);
        Ok(format!(
            "Your password for the account `{}` is kept, encrypted. You are logged in to it from your next connection on; \
             `reconnect` makes one now. Where the network has neither SASL nor NickServ it is not used, and you are told so.",
            login.0
        ))
    }

    async fn remove_login(&mut self, person: &UserId) -> Report {
        let words = |error: bridgehead_appservice::store::StoreError| error.to_string();
        let had_password = self.accounts.forget_password(person).await.map_err(words)?;
        self.told_of_logins.remove(person);
        if had_password {
            return Ok("Your password is forgotten.".to_owned());
        }
        match self
            .accounts
            .forget_certificate(person)
            .await
            .map_err(words)?
        {
            true => Ok("Your certificate is forgotten.".to_owned()),
            false => Err("There is nothing of yours to forget.".to_owned()),
        }
    }

    async fn make_certificate(&mut self, person: &UserId) -> Report {
        if !self.settings.tls {
            return Err(
                "connections to this network are not encrypted, and so have no certificates"
                    .to_owned(),
            );
        }
        let made = certificate::make(person.as_str())?;
        let stored = self.accounts.store_certificate(person, &made.pem).await;
        stored.map_err(|error| error.to_string())?;
        self.told_of_logins.remove(person);
        Ok(format!(
            "You have a certificate now. Log in to your account once more by password, and tell NickServ of it: \
             `msg NickServ CERT ADD {}`. From your next connection on you are logged in by it; then `removepass` forgets \
             your password.",
            made.fingerprint
        ))
    }

    /// Somebody's login has failed: they are told once.
    pub(super) fn tell_of_login(&mut self, owner: &Owner, text: &str, is_over: bool) {
        let Some(person) = owner.person().cloned() else {
            return;
        };
        if !self.told_of_logins.insert(person.clone()) {
            return;
        }
        let so = match is_over {
            true => "You are not connected without it.",
            false => "You are connected without it.",
        };
        let words = format!(
            "Your login on {} has failed: {text}. {so} `storepass` stores another password, `removepass` forgets it.",
            self.name
        );
        self.deed(Deed::Tell(person, Rich::from_markdown(&words)));
    }
}
