//! What stands in a channel's lists: masks and extended bans.
//!
//! Servers write the latter in three ways, and use the same letters for different things:
//!
//! | | Solanum, Charybdis | UnrealIRCd | InspIRCd |
//! |---|---|---|---|
//! | account | `$a:name`, `$a` for any | `~account:name`, `~a:name` | `R:name`, `account:name` |
//! | real name | `$r:text` | `~realname:text`, `~r:text` | `r:text`, `realname:text` |
//! | who is in a channel | `$c:#chan` | `~channel:#chan`, `~c:#chan` | `j:#chan`, `channel:#chan` |
//! | quiet | list `q` | `~quiet:mask`, `~q:mask` | `m:mask`, `mute:mask` |
//! | turned round | `$~a:name` | – | `!R:name` |
//! | for a time | – | `~time:minutes:…`, `~t:minutes:…` | – |
//! | sent elsewhere | `mask$#chan` | `~forward:#chan:…`, `~f:#chan:…` | `mask#chan` |

use std::fmt;

use super::{Mask, glob::is_match};
use crate::{CaseMapping, Source};

/// How deep an extended ban may stand in another; servers allow one or two.
const MAX_DEPTH: usize = 4;

/// What stands in a channel's lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListEntry {
    /// A mask; and where it sends people to another channel, that as it is written: `$#chan` or `#chan`.
    Mask(Mask, Option<String>),
    /// An extended ban.
    Extban(Extban),
}

/// An extended ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extban {
    /// As it is written, which is how it is taken away again.
    pub written: String,
    /// Whether it means those who are *not* meant by its target.
    pub is_negated: bool,
    /// Who is meant, or what happens to whom.
    pub target: Target,
}

/// Who an extended ban means, or what happens to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Who is logged in to an account that matches this; `None` for any account.
    Account(Option<String>),
    /// Whose real name matches this.
    RealName(String),
    /// Who is in this channel.
    Channel(String),
    /// Who is on a server that matches this.
    Server(String),
    /// Those meant may stay and not speak.
    Quiet(Box<ListEntry>),
    /// It is taken away after so many minutes.
    Timed(u64, Box<ListEntry>),
    /// Those meant are sent to this channel.
    Forward(String, Box<ListEntry>),
    /// Anything else: its name and what follows.
    Other(String, String),
}

/// What is known of somebody whom an entry may mean.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// Nick, user and host.
    pub source: &'a Source,
    /// Their account; `Some(None)` where they are known to have none.
    pub account: Option<Option<&'a str>>,
    /// Their real name.
    pub real_name: Option<&'a str>,
}

impl ListEntry {
    /// Reads an entry as a server lists it or a person types it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::read(text.trim(), MAX_DEPTH)
    }

    fn read(text: &str, depth: usize) -> Self {
        let read = match text.chars().next() {
            _ if depth == 0 => None,
            Some('$') => solanum(text),
            Some('~') => unreal(text, depth),
            _ => inspircd(text, depth),
        };
        match read {
            Some((is_negated, target)) => Self::Extban(Extban {
                written: text.to_owned(),
                is_negated,
                target,
            }),
            None => {
                let (mask, forward) = forwarded(text);
                Self::Mask(Mask::parse(mask), forward.map(str::to_owned))
            }
        }
    }

    /// Whether somebody is meant; `None` where too little is known of them, or of what is written.
    #[must_use]
    pub fn matches(&self, person: &Person<'_>, mapping: CaseMapping) -> Option<bool> {
        match self {
            Self::Mask(mask, _) => Some(mask.matches(person.source, mapping)),
            Self::Extban(extban) => {
                let is_meant = extban.target.matches(person, mapping)?;
                Some(is_meant != extban.is_negated)
            }
        }
    }

    /// Whether those who are meant may stay, and not speak.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        match self {
            Self::Mask(..) => false,
            Self::Extban(extban) => match &extban.target {
                Target::Quiet(_) => true,
                Target::Timed(_, entry) | Target::Forward(_, entry) => entry.is_quiet(),
                _ => false,
            },
        }
    }

    /// The mask that it comes down to, where it does.
    #[must_use]
    pub fn mask(&self) -> Option<&Mask> {
        match self {
            Self::Mask(mask, _) => Some(mask),
            Self::Extban(extban) => match &extban.target {
                Target::Quiet(entry) | Target::Timed(_, entry) | Target::Forward(_, entry) => {
                    entry.mask().filter(|_| !extban.is_negated)
                }
                _ => None,
            },
        }
    }
}

impl fmt::Display for ListEntry {
    /// As it is sent to a server.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mask(mask, None) => write!(f, "{mask}"),
            Self::Mask(mask, Some(channel)) => write!(f, "{mask}{channel}"),
            Self::Extban(extban) => f.write_str(&extban.written),
        }
    }
}

impl Target {
    fn matches(&self, person: &Person<'_>, mapping: CaseMapping) -> Option<bool> {
        match self {
            Self::Account(wanted) => {
                let account = person.account?;
                Some(account.is_some_and(|account| {
                    let wanted = wanted.as_deref().unwrap_or("*");
                    is_match(wanted, account, mapping)
                }))
            }
            Self::RealName(wanted) => Some(is_match(wanted, person.real_name?, mapping)),
            Self::Quiet(entry) | Self::Timed(_, entry) | Self::Forward(_, entry) => {
                entry.matches(person, mapping)
            }
            Self::Channel(_) | Self::Server(_) | Self::Other(..) => None,
        }
    }
}

/// Cuts off the channel that a mask sends people to. Solanum writes `mask$#chan`, InspIRCd `mask#chan`; the host is last in
/// a mask and holds neither, and a mask that is not whole may be a host alone.
fn forwarded(text: &str) -> (&str, Option<&str>) {
    let host = text.rfind('@').map_or(0, |at| at + 1);
    match text[host..].find(['$', '#']) {
        Some(at) if at > 0 => {
            let (mask, channel) = text.split_at(host + at);
            (mask, Some(channel))
        }
        _ => (text, None),
    }
}

/// `$a:name`, `$~a:name`, `$a`.
fn solanum(text: &str) -> Option<(bool, Target)> {
    let rest = text.strip_prefix('$')?;
    let (is_negated, rest) = negated(rest, '~');
    let (name, arg) = rest.split_once(':').unwrap_or((rest, ""));
    if name.len() != 1 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    // A channel that people are sent to may stand behind it.
    let arg = arg.split_once("$#").map_or(arg, |(arg, _)| arg);
    let arg = arg.to_owned();
    let target = match name {
        "a" => Target::Account(Some(arg).filter(|arg| !arg.is_empty())),
        "r" if !arg.is_empty() => Target::RealName(arg),
        "c" if !arg.is_empty() => Target::Channel(arg),
        "s" if !arg.is_empty() => Target::Server(arg),
        _ => Target::Other(name.to_owned(), arg),
    };
    Some((is_negated, target))
}

/// `~a:name`, `~account:name`, `~time:minutes:mask`.
fn unreal(text: &str, depth: usize) -> Option<(bool, Target)> {
    let (name, arg) = named(text.strip_prefix('~')?)?;
    let within = |arg: &str| Box::new(ListEntry::read(arg, depth - 1));
    let target = match name {
        "a" | "account" if arg == "*" => Target::Account(None),
        "a" | "account" | "R" => Target::Account(Some(arg.to_owned())),
        "r" | "realname" => Target::RealName(arg.to_owned()),
        "c" | "channel" => Target::Channel(arg.to_owned()),
        "q" | "quiet" => Target::Quiet(within(arg)),
        "t" | "time" => {
            let (minutes, arg) = arg.split_once(':')?;
            Target::Timed(minutes.parse().ok()?, within(arg))
        }
        "f" | "forward" => {
            let (channel, arg) = arg.split_once(':')?;
            Target::Forward(channel.to_owned(), within(arg))
        }
        _ => Target::Other(name.to_owned(), arg.to_owned()),
    };
    Some((false, target))
}

/// `m:mask`, `mute:mask`, `!R:name`.
fn inspircd(text: &str, depth: usize) -> Option<(bool, Target)> {
    let (is_negated, rest) = negated(text, '!');
    let (name, arg) = named(rest)?;
    let target = match name {
        "m" | "mute" => Target::Quiet(Box::new(ListEntry::read(arg, depth - 1))),
        "R" | "account" => Target::Account(Some(arg.to_owned())),
        "r" | "realname" => Target::RealName(arg.to_owned()),
        "j" | "channel" => Target::Channel(arg.to_owned()),
        "s" | "server" => Target::Server(arg.to_owned()),
        _ => Target::Other(name.to_owned(), arg.to_owned()),
    };
    Some((is_negated, target))
}

fn negated(text: &str, mark: char) -> (bool, &str) {
    text.strip_prefix(mark)
        .map_or((false, text), |rest| (true, rest))
}

/// A name, a colon and something. A nick holds no colon, and an address with colons begins otherwise or has two at once.
fn named(text: &str) -> Option<(&str, &str)> {
    let (name, arg) = text.split_once(':')?;
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let is_address = text.parse::<std::net::Ipv6Addr>().is_ok() || arg.starts_with(':');
    (is_name && !name.is_empty() && !arg.is_empty() && !is_address).then_some((name, arg))
}
