//! Masks: who is meant by `nick!user@host` with `*` and `?`, and what else stands in a channel's lists.
//!
//! Lists of bans, quiets, exceptions and invitations hold masks and, on most servers, *extended bans*: an account, a real
//! name, or a mask with another effect. [`ListEntry`] tells them apart.

mod entry;
mod glob;

use std::{fmt, net::IpAddr};

pub use self::{
    entry::{Extban, ListEntry, Person, Target},
    glob::is_match,
};
use crate::{CaseMapping, Source};

/// Who is meant: each part with `*` for anything and `?` for one byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mask {
    /// The nick.
    pub nick: String,
    /// The user name.
    pub user: String,
    /// The host, or an address range such as `192.0.2.0/24`.
    pub host: String,
}

impl Mask {
    /// Reads a mask as people type it, and completes it: `nick`, `nick!user`, `user@host`, `*.example`, `192.0.2.0/24`.
    ///
    /// What is left empty means anything, and `**` is the same as `*`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let (before, host) = match text.rsplit_once('@') {
            Some((before, host)) => (before, Some(host)),
            None => (text, None),
        };
        let (nick, user, host) = match (before.split_once('!'), host) {
            (Some((nick, user)), host) => (nick, user, host.unwrap_or_default()),
            (None, Some(host)) => ("", before, host),
            // Neither dots nor colons nor slashes are in a nick.
            (None, None) if before.contains(['.', ':', '/']) => ("", "", before),
            (None, None) => (before, "", ""),
        };
        Self {
            nick: completed(nick),
            user: completed(user),
            host: completed(host),
        }
    }

    /// Whether somebody is meant. Of a source's part that is not known only `*` is sure, so nothing else matches it.
    ///
    /// Takes as long as the mask's length times the source's at worst, however many stars there are.
    #[must_use]
    pub fn matches(&self, source: &Source, mapping: CaseMapping) -> bool {
        let part = |mask: &str, part: Option<&str>| match part {
            Some(part) => is_match(mask, part, mapping),
            None => mask == "*",
        };
        let user = source.user.as_deref();
        let host = source.host.as_deref();
        part(&self.nick, Some(&source.name))
            && part(&self.user, user)
            && (part(&self.host, host) || host.is_some_and(|host| is_in_range(&self.host, host)))
    }

    /// Whether everybody is meant.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        [&self.nick, &self.user, &self.host].map(String::as_str) == ["*"; 3]
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}!{}@{}", self.nick, self.user, self.host)
    }
}

/// A part of a mask: `*` where it is empty, and one star for several.
fn completed(part: &str) -> String {
    let mut complete = String::with_capacity(part.len().max(1));
    for c in part.chars() {
        if c != '*' || !complete.ends_with('*') {
            complete.push(c);
        }
    }
    if complete.is_empty() {
        complete.push('*');
    }
    complete
}

/// Whether an address is in a range: `192.0.2.0/24`, `2001:db8::/32`.
fn is_in_range(range: &str, host: &str) -> bool {
    let parsed = || {
        let (base, bits) = range.split_once('/')?;
        let base: IpAddr = base.parse().ok()?;
        let bits: u32 = bits.parse().ok()?;
        let host: IpAddr = host.parse().ok()?;
        let (base, host, width) = match (base, host) {
            (IpAddr::V4(base), IpAddr::V4(host)) => {
                (u128::from(base.to_bits()), u128::from(host.to_bits()), 32)
            }
            (IpAddr::V6(base), IpAddr::V6(host)) => (base.to_bits(), host.to_bits(), 128),
            _ => return None,
        };
        let rest = u32::checked_sub(width, bits)?;
        let network = |address: u128| address.checked_shr(rest).unwrap_or(0);
        Some(network(base) == network(host))
    };
    parsed() == Some(true)
}

#[cfg(test)]
mod tests;
