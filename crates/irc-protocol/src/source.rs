//! Who a line is from.

use std::fmt;

/// Who a line is from: a user, `nick!user@host`, or a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Source {
    /// The nick, or the server's name.
    pub name: String,
    /// The user name, which an ident server vouches for where no `~` stands before it.
    pub user: Option<String>,
    /// The host, or what is shown in its place.
    pub host: Option<String>,
}

impl Source {
    /// Somebody of whom no more than the name is known.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// Reads `nick!user@host`, `nick@host` or a name alone.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (rest, host) = match text.split_once('@') {
            Some((rest, host)) => (rest, Some(host.to_owned())),
            None => (text, None),
        };
        let (name, user) = match rest.split_once('!') {
            Some((name, user)) => (name, Some(user.to_owned())),
            None => (rest, None),
        };
        Self {
            name: name.to_owned(),
            user,
            host,
        }
    }

    /// Whether it may be a server: nicks hold no dots, and servers have no user name.
    #[must_use]
    pub fn may_be_server(&self) -> bool {
        self.user.is_none() && self.name.contains('.')
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(user) = &self.user {
            write!(f, "!{user}")?;
        }
        if let Some(host) = &self.host {
            write!(f, "@{host}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn sources_are_read_and_written() {
        for text in [
            "nick!user@host",
            "nick@host",
            "irc.example.org",
            "nick!u@a:b::1",
        ] {
            assert_eq!(Source::parse(text).to_string(), text);
        }
        let source = Source::parse("nick!~u@2001:db8::1");
        assert_eq!(source.name, "nick");
        assert_eq!(source.user.as_deref(), Some("~u"));
        assert_eq!(source.host.as_deref(), Some("2001:db8::1"));
        assert!(Source::parse("irc.example.org").may_be_server());
        assert!(!source.may_be_server());
    }
}
