//! What people say of themselves: `AWAY`, `ACCOUNT`, `CHGHOST`, `SETNAME`; and who asks whom in.

use super::{Channels, Happening, Incoming, bounds::cut, people::Person};
use crate::Source;

impl Channels {
    fn person(&mut self, nick: &str) -> Option<&mut Person> {
        let name = self.fold(nick);
        self.people.get_mut(&name)
    }

    /// Somebody says which account they have, if any, and what they call themselves.
    pub(super) fn introduce(
        &mut self,
        who: &Source,
        account: Option<&str>,
        realname: Option<&str>,
    ) {
        if let Some(person) = self.person(&who.name) {
            person.account = account.map(cut);
            if let Some(realname) = realname {
                person.realname = Some(cut(realname));
            }
        }
    }

    pub(super) fn take_away(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let who = self.who(incoming)?;
        let reason = incoming.reason(0);
        if let Some(person) = self.person(&who.name) {
            person.is_away = Some(reason.is_some());
        }
        Some(Happening::Away { who, reason })
    }

    pub(super) fn take_account(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let who = self.who(incoming)?;
        let account = incoming.text(0);
        let account = (!matches!(&*account, "" | "*")).then(|| account.into_owned());
        if let Some(person) = self.person(&who.name) {
            person.account = account.as_deref().map(cut);
        }
        Some(Happening::Account { who, account })
    }

    pub(super) fn take_host(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let who = self.who(incoming)?;
        let user = incoming.text(0).into_owned();
        let host = incoming.text(1).into_owned();
        if user.is_empty() || host.is_empty() {
            return None;
        }
        let now = Source {
            name: who.name.clone(),
            user: Some(user.clone()),
            host: Some(host.clone()),
        };
        let name = self.fold(&who.name);
        self.people.learn(&name, &now, None);
        Some(Happening::Host { who, user, host })
    }

    pub(super) fn take_realname(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let who = self.who(incoming)?;
        let realname = incoming.text(0).into_owned();
        if let Some(person) = self.person(&who.name) {
            person.realname = Some(cut(&realname));
        }
        Some(Happening::Realname { who, realname })
    }

    pub(super) fn take_invite(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let by = self.who(incoming)?;
        let (whom, channel) = (incoming.text(0), incoming.text(1));
        let is_invite = !whom.is_empty() && incoming.isupport.is_channel(&channel);
        is_invite.then(|| Happening::Invited {
            channel: self.shown(&channel),
            by,
            whom: whom.into_owned(),
        })
    }

    /// `710 #chan #chan nick!user@host :has asked for an invite`; some servers put the nick that hears it first.
    pub(super) fn take_knock(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let (channel, who) = (incoming.text(1), incoming.text(2));
        let is_knock = incoming.isupport.is_channel(&channel) && !who.is_empty();
        is_knock.then(|| Happening::Knocked {
            channel: self.shown(&channel),
            who: self.whole(Source::parse(&who)),
        })
    }
}
