//! A plain model of who is where agrees with what is kept.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, sample::select};

use super::*;

const NICKS: &[&str] = &["me", "ann", "bob", "cy", "dan"];
const CHANNELS: &[&str] = &["#a", "#b", "#c"];

/// What somebody does.
#[derive(Clone, Debug)]
enum Deed {
    Join(usize, &'static str),
    Part(usize, &'static str),
    Kick(usize, &'static str),
    Quit(usize),
    Nick(usize, usize, bool),
    Mode(usize, &'static str, char, bool),
    Names(&'static str),
}

/// People by number, each with a nick, and the channels with those who are in and what they may do.
struct Model {
    nicks: Vec<Option<String>>,
    channels: BTreeMap<&'static str, BTreeMap<usize, BTreeSet<char>>>,
    nicks_given: usize,
}

impl Model {
    fn new() -> Self {
        Self {
            nicks: NICKS.iter().map(|nick| Some((*nick).to_owned())).collect(),
            channels: CHANNELS
                .iter()
                .map(|name| (*name, BTreeMap::new()))
                .collect(),
            nicks_given: 0,
        }
    }

    fn is_in(&self, who: usize, channel: &str) -> bool {
        self.channels[channel].contains_key(&who)
    }

    fn nick(&self, who: usize) -> String {
        self.nicks[who].clone().unwrap_or_default()
    }

    /// Does it if it can be done, and gives the lines that those in the channels where `me` is get to see.
    fn does(&mut self, deed: &Deed, me: &mut String) -> Vec<String> {
        match *deed {
            Deed::Join(who, channel) if !self.is_in(who, channel) => self.join(who, channel),
            Deed::Part(who, channel) if self.is_in(who, channel) => {
                let line = format!(":{}!u@h PART {channel}", self.nick(who));
                self.leave(who, channel, line)
            }
            Deed::Kick(who, channel) if self.is_in(who, channel) => {
                let line = format!(":srv.test KICK {channel} {} :x", self.nick(who));
                self.leave(who, channel, line)
            }
            // Whoever has quit comes back as another: the nick is free again at once.
            Deed::Quit(who) if who != 0 => {
                let is_seen = self.is_seen(who);
                for members in self.channels.values_mut() {
                    members.remove(&who);
                }
                seen(is_seen, format!(":{}!u@h QUIT :bye", self.nick(who)))
            }
            Deed::Nick(who, other, is_case_alone) => self.renick(who, other, is_case_alone, me),
            Deed::Mode(who, channel, mode, is_set) if self.is_in(who, channel) => {
                let modes = self
                    .channels
                    .get_mut(channel)
                    .and_then(|members| members.get_mut(&who));
                let modes = modes.expect("a member");
                if is_set {
                    modes.insert(mode)
                } else {
                    modes.remove(&mode)
                };
                let sign = if is_set { '+' } else { '-' };
                let line = format!(":srv.test MODE {channel} {sign}{mode} {}", self.nick(who));
                seen(self.is_in(0, channel), line)
            }
            Deed::Names(channel) if self.is_in(0, channel) => self.names(channel),
            _ => Vec::new(),
        }
    }

    fn is_seen(&self, who: usize) -> bool {
        let mut channels = self.channels.values();
        channels.any(|members| members.contains_key(&who) && members.contains_key(&0))
    }

    fn join(&mut self, who: usize, channel: &'static str) -> Vec<String> {
        self.channels
            .entry(channel)
            .or_default()
            .insert(who, BTreeSet::new());
        let mut lines = seen(
            self.is_in(0, channel),
            format!(":{}!u@h JOIN {channel}", self.nick(who)),
        );
        if who == 0 {
            lines.extend(self.names(channel));
        }
        lines
    }

    fn leave(&mut self, who: usize, channel: &'static str, line: String) -> Vec<String> {
        let is_seen = self.is_in(0, channel);
        self.channels.entry(channel).or_default().remove(&who);
        seen(is_seen, line)
    }

    fn renick(
        &mut self,
        who: usize,
        other: usize,
        is_case_alone: bool,
        me: &mut String,
    ) -> Vec<String> {
        let from = self.nick(who);
        let to = if is_case_alone {
            let is_upper = from.chars().all(|c| !c.is_ascii_lowercase());
            if is_upper {
                from.to_ascii_lowercase()
            } else {
                from.to_ascii_uppercase()
            }
        } else {
            self.nicks_given += 1;
            format!("{}{}", NICKS[other], self.nicks_given)
        };
        self.nicks[who] = Some(to.clone());
        if who == 0 {
            me.clone_from(&to);
        }
        seen(
            self.is_seen(who) || who == 0,
            format!(":{from}!u@h NICK :{to}"),
        )
    }

    fn names(&self, channel: &str) -> Vec<String> {
        let names = self.channels[channel].iter().map(|(who, modes)| {
            let shown = |mode, prefix| if modes.contains(&mode) { prefix } else { "" };
            format!("{}{}{}", shown('o', "@"), shown('v', "+"), self.nick(*who))
        });
        let names = names.collect::<Vec<_>>().join(" ");
        vec![
            format!(":srv.test 353 me = {channel} :{names}"),
            format!(":srv.test 366 me {channel} :End"),
        ]
    }

    /// What `me` is to know: channels, and in them nicks with their prefixes.
    fn known(&self) -> BTreeMap<String, BTreeSet<String>> {
        let seen = self
            .channels
            .iter()
            .filter(|(_, members)| members.contains_key(&0));
        let known = seen.map(|(channel, members)| {
            let members = members
                .iter()
                .map(|(who, modes)| format!("{:?} {}", modes, self.nick(*who)));
            ((*channel).to_owned(), members.collect())
        });
        known.collect()
    }
}

fn seen(is_seen: bool, line: String) -> Vec<String> {
    Vec::from_iter(is_seen.then_some(line))
}

fn deed() -> impl Strategy<Value = Deed> {
    let who = || 0..NICKS.len();
    let channel = || select(CHANNELS);
    prop_oneof![
        4 => (who(), channel()).prop_map(|(who, channel)| Deed::Join(who, channel)),
        4 => channel().prop_map(|channel| Deed::Join(0, channel)),
        2 => (who(), channel()).prop_map(|(who, channel)| Deed::Part(who, channel)),
        1 => (who(), channel()).prop_map(|(who, channel)| Deed::Kick(who, channel)),
        1 => who().prop_map(Deed::Quit),
        3 => (who(), who(), any::<bool>()).prop_map(|(who, other, case)| Deed::Nick(who, other, case)),
        3 => (who(), channel(), select(vec!['o', 'v']), any::<bool>())
            .prop_map(|(who, channel, mode, is_set)| Deed::Mode(who, channel, mode, is_set)),
        1 => channel().prop_map(Deed::Names),
    ]
}

/// What is kept, in the model's terms.
fn kept(channels: &Channels) -> BTreeMap<String, BTreeSet<String>> {
    let kept = channels.joined().map(|channel| {
        let members = channel.members().map(|member| {
            let modes = BTreeSet::from_iter(member.modes);
            format!("{modes:?} {}", member.source.name)
        });
        (channel.name().to_owned(), members.collect())
    });
    kept.collect()
}

proptest! {
    #[test]
    fn who_is_where_agrees_with_a_model(deeds in prop::collection::vec(deed(), 0..120)) {
        let mut model = Model::new();
        let mut onlooker = Onlooker::new("PREFIX=(ov)@+");
        onlooker.channels.set_shows_all_prefixes(true);
        let mut me = NICKS[0].to_owned();
        for deed in &deeds {
            let before = me.clone();
            for text in model.does(deed, &mut me) {
                let line = Line::parse(text.as_bytes()).expect("a line");
                onlooker.channels.take(&line, &before, &onlooker.isupport);
                check(&onlooker.channels);
            }
            prop_assert_eq!(kept(&onlooker.channels), model.known(), "after {:?}", deed);
        }
    }
}
