//! One namespace entry asked by itself, and how a service's bot is registered.
//!
//! Whoever asks about many ids compiles the patterns once; here they are compiled for each question.

use crate::{
    Namespace, NamespaceKind, PatternMatcher, Registration,
    pattern::{anchored, compile},
};

/// What means something to a regular expression, in Python's syntax and in ours.
const META: &str = r"\.+*?()|[]{}^$";

/// How a service's bot is registered. Generators differ, and servers treat both alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BotLayout {
    /// The bot is the `sender_localpart`. It exists from the start, and is who the service is when it names nobody.
    Sender,
    /// The bot is a user in the namespaces, and the sender is somebody else, mostly a random name. It must be
    /// registered like a ghost, and named (`?user_id=`) in each request.
    Namespaced,
}

impl Namespace {
    /// A namespace for this one id, written out whole with its server name, such as `@bot:example.org`.
    #[must_use]
    pub fn exactly(id: &str, exclusive: bool) -> Self {
        Self {
            regex: escaped(id),
            exclusive,
        }
    }

    /// Whether the pattern names this one id and no other, as [`Namespace::exactly`] writes it. `^` and `$` around it
    /// and dots that somebody forgot to escape are let pass.
    #[must_use]
    pub fn is_exactly(&self, id: &str) -> bool {
        let mut pattern = self.regex.strip_prefix('^').unwrap_or(&self.regex);
        pattern = pattern.strip_suffix('$').unwrap_or(pattern);
        let mut literal = String::with_capacity(pattern.len());
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next().filter(char::is_ascii_punctuation) {
                    Some(escaped) => literal.push(escaped),
                    None => return false,
                },
                '.' => literal.push('.'),
                _ if META.contains(c) => return false,
                _ => literal.push(c),
            }
        }
        literal == id
    }

    /// Whether the pattern matches this id, as a server would: from its start, not necessarily to its end. Slow.
    #[must_use]
    pub fn matches(&self, id: &str) -> bool {
        match compile(&self.regex) {
            Ok(PatternMatcher::Plain) => {
                regex::Regex::new(&anchored(&self.regex)).is_ok_and(|regex| regex.is_match(id))
            }
            Ok(PatternMatcher::Backtracking(pattern)) => pattern.matches(id).unwrap_or(false),
            Err(_) => false,
        }
    }
}

impl Registration {
    /// The namespaces of one kind, in the file's order.
    #[must_use]
    pub fn namespaces(&self, kind: NamespaceKind) -> &[Namespace] {
        match kind {
            NamespaceKind::Users => &self.users,
            NamespaceKind::Aliases => &self.aliases,
            NamespaceKind::Rooms => &self.rooms,
        }
    }

    /// How the user with this localpart can be the service's bot; `None` if the service may not act as it.
    #[must_use]
    pub fn bot_layout(&self, localpart: &str, server_name: &str) -> Option<BotLayout> {
        if self.sender_localpart == localpart {
            return Some(BotLayout::Sender);
        }
        let id = format!("@{localpart}:{server_name}");
        self.users
            .iter()
            .any(|namespace| namespace.matches(&id))
            .then_some(BotLayout::Namespaced)
    }
}

/// The pattern that matches just this text. Only what must be escaped is, so that it stays readable.
pub(crate) fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if META.contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(sender: &str, users: &str) -> Registration {
        let text = format!(
            "id: a\nurl: null\nas_token: a\nhs_token: h\nsender_localpart: {sender}\nnamespaces: {{users: [{users}]}}\n"
        );
        crate::parse("as.yaml".as_ref(), text.as_bytes()).unwrap().0
    }

    #[test]
    fn the_bot_may_be_the_sender_or_a_user_of_the_namespaces() {
        let sender = registration("bot", "");
        assert_eq!(sender.bot_layout("bot", "x.org"), Some(BotLayout::Sender));
        assert_eq!(sender.bot_layout("other", "x.org"), None);
        let random = registration(
            "Hq0cXn3VtZ",
            r"{regex: '^@bot:x\.org$', exclusive: true}, {regex: '@g_(?!x).*', exclusive: true}",
        );
        assert_eq!(
            random.bot_layout("bot", "x.org"),
            Some(BotLayout::Namespaced)
        );
        assert_eq!(random.bot_layout("bot", "xyorg"), None);
        assert_eq!(
            random.bot_layout("g_a", "x.org"),
            Some(BotLayout::Namespaced)
        );
        assert_eq!(random.bot_layout("g_x", "x.org"), None);
    }

    #[test]
    fn a_namespace_of_one_id_knows_itself() {
        let id = "@bot+a.b:x.org:8448";
        let own = Namespace::exactly(id, true);
        assert_eq!(own.regex, r"@bot\+a\.b:x\.org:8448");
        assert!(own.is_exactly(id) && own.matches(id));
        assert!(!own.is_exactly("@bot") && !own.matches("@bot+axb:x.org:8448"));
        for (regex, exact) in [
            (r"^@bot:x\.org$", true),
            ("@bot:x.org", true),
            ("@bot.*:x.org", false),
            (r"@bot\w:x.org", false),
            (r"@bot:x.org\", false),
        ] {
            let namespace = Namespace {
                regex: regex.to_owned(),
                exclusive: true,
            };
            assert_eq!(namespace.is_exactly("@bot:x.org"), exact, "{regex}");
        }
    }
}
