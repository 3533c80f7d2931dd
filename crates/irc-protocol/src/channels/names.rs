//! Who is in a channel, as the server tells it: `NAMES` (353, 366) and `WHO` (352, 354, 315).
//!
//! Names come in several lines, and what happens meanwhile comes between them. So they are not gathered aside: each line is
//! taken at once, and at the end those who were neither named nor came in meanwhile are gone.

use super::{
    Channels, Happening, Incoming, Member, bounds::cut, people::Person, standing::Standing,
};
use crate::{Isupport, Source};

/// What to ask `WHO` for on servers with `WHOX`, so that accounts are told as well: `WHO #channel %tcuhnfar,742`.
pub const WHOX_FIELDS: &str = "%tcuhnfar,742";
/// The mark by which an answer to [`WHOX_FIELDS`] is known.
const WHOX_MARK: &str = "742";

impl Channels {
    /// `353 me = #chan :@+nick nick2!user@host`
    pub(super) fn take_names(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let count = incoming.line.params.len();
        let channel = self.fold(&incoming.text(count.checked_sub(2)?));
        let record = self.channels.get_mut(channel.as_str())?;
        if !record.is_naming {
            record.is_naming = true;
            for standing in record.members.values_mut() {
                standing.is_awaited = true;
            }
        }
        for named in incoming.text(count - 1).split_ascii_whitespace() {
            let (modes, source) = named_member(incoming.isupport, named);
            self.shows_all_prefixes |= modes.len() > 1;
            self.name(&channel, &modes, &source);
        }
        None
    }

    fn name(&mut self, channel: &str, modes: &[char], source: &Source) {
        let who = self.fold(&source.name);
        let record = self.channels.get(channel);
        let before = record.and_then(|record| record.members.get(who.as_str()));
        let shown = Standing::shown(modes, &self.ranks, self.shows_all_prefixes);
        let standing = match before {
            Some(before) => shown.with_known(*before, &self.ranks),
            None => shown,
        };
        self.place(channel, &source.name, standing, || Person::new(source));
        self.people.learn(&who, source, None);
    }

    /// `366 me #chan :End of /NAMES list.`
    pub(super) fn take_end_of_names(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let channel = self.fold(&incoming.text(1));
        let record = self.channels.get_mut(channel.as_str())?;
        // Without any name before it, it tells that the server shows none, which is not that nobody is there.
        let was_naming = std::mem::take(&mut record.is_naming);
        record.is_named |= was_naming;
        let gone: Vec<_> = match was_naming {
            true => awaited(record.members.iter()).collect(),
            false => Vec::new(),
        };
        for who in gone {
            self.displace(&channel, &who);
        }
        let channel = self.channel(&channel)?;
        Some(Happening::Names {
            channel: channel.name().to_owned(),
            members: channel.members().collect(),
        })
    }

    /// `352 me #chan user host server nick H@ :0 realname`
    pub(super) fn take_who(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let [user, host, _, nick, flags, last] = std::array::from_fn(|at| incoming.text(at + 2));
        let realname = last.split_once(' ').map_or("", |(_, realname)| realname);
        self.know(&nick, &user, &host, &flags, realname);
        None
    }

    /// `354 me 742 #chan user host nick H@ account :realname`
    pub(super) fn take_whox(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        if incoming.text(1) != WHOX_MARK || incoming.line.params.len() != 9 {
            return None;
        }
        let [user, host, nick, flags, account, realname] =
            std::array::from_fn(|at| incoming.text(at + 3));
        let person = self.know(&nick, &user, &host, &flags, &realname)?;
        let is_logged_in = !matches!(&*account, "0" | "*" | "");
        person.account = is_logged_in.then(|| cut(&account));
        None
    }

    fn know(
        &mut self,
        nick: &str,
        user: &str,
        host: &str,
        flags: &str,
        realname: &str,
    ) -> Option<&mut Person> {
        let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let source = Source {
            name: nick.to_owned(),
            user: told(user),
            host: told(host),
        };
        let name = self.fold(nick);
        self.people.learn(&name, &source, None);
        let person = self.people.get_mut(&name)?;
        person.realname = Some(cut(realname));
        match flags.chars().next() {
            Some('H') => person.is_away = Some(false),
            Some('G') => person.is_away = Some(true),
            _ => {}
        }
        Some(person)
    }

    /// `315 me #chan :End of /WHO list.`
    pub(super) fn take_end_of_who(&mut self, incoming: &Incoming<'_>) -> Option<Happening> {
        let channel = self.channel(&incoming.text(1))?;
        let members: Vec<Member> = channel.members().collect();
        Some(Happening::Who {
            channel: channel.name().to_owned(),
            members,
        })
    }
}

/// Those who were not named.
fn awaited<'a>(
    members: impl Iterator<Item = (&'a super::Name, &'a Standing)>,
) -> impl Iterator<Item = super::Name> {
    let awaited = members.filter(|(_, standing)| standing.is_awaited);
    awaited.map(|(name, _)| name.clone())
}

/// Reads `@+nick` or `@nick!user@host`: the modes, and who.
fn named_member(isupport: &Isupport, named: &str) -> (Vec<char>, Source) {
    // A server may show prefixes of which it says nothing; no nick begins with them.
    let is_prefix = |c: char| isupport.mode_of(c).is_some() || "~&@%+!*.".contains(c);
    let nick = named.trim_start_matches(is_prefix);
    let prefixes = &named[..named.len() - nick.len()];
    let modes = prefixes
        .chars()
        .filter_map(|prefix| isupport.mode_of(prefix));
    (modes.collect(), Source::parse(nick))
}
