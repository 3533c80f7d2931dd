//! Lines in, happenings out.

mod any;
mod describing;
mod model;
mod real;
mod speaking;
mod staying;

use super::*;

/// Lines as they come, with a network's 005.
struct Onlooker {
    channels: Channels,
    isupport: Isupport,
}

const ME: &str = "me";

impl Onlooker {
    fn new(tokens: &str) -> Self {
        let mut isupport = Isupport::default();
        let line = format!(":srv.test 005 me {tokens} :are supported by this server");
        isupport.take(&Line::parse(line.as_bytes()).expect("a line"));
        Self {
            channels: Channels::new(),
            isupport,
        }
    }

    /// In `#a` with an operator and one who may speak, on a network that tells all.
    fn in_channel() -> Self {
        let mut onlooker = Self::new("CASEMAPPING=rfc1459 PREFIX=(qaohv)~&@%+ STATUSMSG=@+");
        onlooker.channels.set_shows_all_prefixes(true);
        onlooker.hear_all(&[
            ":me!u@h JOIN #a",
            ":srv.test 353 me = #a :me @Ann!a@ann.test +bob @+cy",
            ":srv.test 366 me #a :End",
        ]);
        onlooker
    }

    fn hear(&mut self, line: &str) -> Vec<Happening> {
        self.hear_in(line, None)
    }

    fn hear_in(&mut self, line: &str, batch: Option<&str>) -> Vec<Happening> {
        let line = Line::parse(line.as_bytes()).expect("a line");
        let happenings = self.channels.take_in(&line, ME, &self.isupport, batch);
        check(&self.channels);
        happenings
    }

    fn hear_all(&mut self, lines: &[&str]) -> Vec<Happening> {
        lines.iter().flat_map(|line| self.hear(line)).collect()
    }

    /// `me @+cy`: members in their order, with their prefixes.
    fn members(&self, channel: &str) -> String {
        let channel = self.channels.channel(channel).expect("a channel");
        shown(&self.isupport, channel.members())
    }
}

fn shown(isupport: &Isupport, members: impl Iterator<Item = Member>) -> String {
    let shown = members.map(|member| {
        let prefixes = member
            .modes
            .iter()
            .filter_map(|mode| isupport.prefix_of(*mode));
        prefixes.collect::<String>() + &member.source.name
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn who(source: &str) -> Source {
    Source::parse(source)
}

/// What must be so at any time.
fn check(channels: &Channels) {
    let mut memberships = 0;
    for (name, record) in &channels.channels {
        assert_eq!(**name, channels.fold(&record.name));
        memberships += record.members.len();
        for member in record.members.keys() {
            let person = channels.people.get(member).expect("a member is a person");
            assert_eq!(**member, channels.fold(&person.nick));
            let times = person.channels.iter().filter(|channel| *channel == name);
            assert_eq!(times.count(), 1, "{member} in {name}");
        }
        let mut doubtful = record.doubtful.iter();
        assert!(doubtful.all(|who| record.members.contains_key(who)));
    }
    let of_people = channels.people.iter().map(|(name, person)| {
        assert!(!person.channels.is_empty(), "{name} is nowhere");
        person.channels.len()
    });
    assert_eq!(of_people.sum::<usize>(), memberships);
    assert_eq!(channels.memberships, memberships);
    channels.lists.check();
}
