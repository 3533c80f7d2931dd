//! What matrix-appservice-irc calls people and channels of IRC in Matrix. It puts nicks into ids as they are, with capitals
//! and signs that the specification does not want in new ids.

/// A template of ids or aliases, with the server put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OldTemplate {
    /// What stands before the field, without the sigil.
    head: String,
    tail: String,
}

impl OldTemplate {
    /// Reads a template with this field, such as `$NICK`; `None` where it has none, or several.
    pub(crate) fn parse(text: &str, sigil: char, (field, domain): (&str, &str)) -> Option<Self> {
        let text = text.strip_prefix(sigil)?.replace("$SERVER", domain);
        let (head, tail) = text.split_once(field)?;
        (!tail.contains('$') && !head.contains('$')).then(|| Self {
            head: head.to_owned(),
            tail: tail.to_owned(),
        })
    }

    /// The same as a template of this bridge's.
    pub(crate) fn translated(&self, field: &str) -> String {
        format!("{}{{{field}}}{}", self.head, self.tail)
    }

    /// The value in a localpart.
    pub(crate) fn value<'a>(&self, localpart: &'a str) -> Option<&'a str> {
        let value = localpart
            .strip_prefix(&self.head)?
            .strip_suffix(&self.tail)?;
        (!value.is_empty()).then_some(value)
    }

    /// The localpart with a value.
    pub(crate) fn localpart(&self, value: &str) -> String {
        format!("{}{value}{}", self.head, self.tail)
    }

    /// How much of an id it fixes: of two that fit, the longer one is meant.
    pub(crate) fn weight(&self) -> usize {
        self.head.len() + self.tail.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(text: &str) -> Option<OldTemplate> {
        OldTemplate::parse(text, '@', ("$NICK", "irc.example.com"))
    }

    #[test]
    fn nicks_are_found_in_ids_as_they_are() {
        for (text, localpart, nick, translated) in [
            (
                "@$SERVER_$NICK",
                "irc.example.com_Ann[m]",
                "Ann[m]",
                "irc.example.com_{nick}",
            ),
            ("@irc_$NICK", "irc_a_b", "a_b", "irc_{nick}"),
            ("@_$NICK_", "_Ann_", "Ann", "_{nick}_"),
        ] {
            let template = users(text).expect("a template");
            assert_eq!(template.value(localpart), Some(nick));
            assert_eq!(template.localpart(nick), localpart);
            assert_eq!(template.translated("nick"), translated);
            assert_eq!(template.value("alice"), None);
        }
    }

    #[test]
    fn what_is_no_template_is_none() {
        for text in ["irc_$NICK", "@irc_", "@$NICK_$NICK", "@$WHAT_$NICK"] {
            assert_eq!(users(text), None, "{text}");
        }
    }
}
