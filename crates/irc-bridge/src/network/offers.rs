//! What a network takes beside plain lines: what its observer has agreed with the server, for those who write texts.

use crate::link::drive::Facts;

/// What a network takes beside plain lines. Of all clients the same is assumed as of the observer; a client that has
/// agreed to less says it in lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offers {
    has_tags: bool,
    /// Tags that are taken away (`CLIENTTAGDENY`): `*` for all, and `-` before those that are not.
    denied: String,
    /// Messages can be taken back.
    pub(crate) redacts: bool,
    /// One of these characters has to stand in the names of those who are spoken for; nobody can be spoken for, where
    /// there are none.
    pub(crate) relays: Option<String>,
    /// Bytes and lines of one message.
    pub(crate) multiline: Option<(usize, usize)>,
    /// What was said before can be asked for: so many messages at once.
    pub(crate) history: Option<usize>,
}

/// Messages that are asked for at once where the server sets no limit.
const PAGE: usize = 100;

impl Offers {
    pub(super) fn of(facts: &Facts) -> Self {
        let isupport = &facts.isupport;
        let page = isupport
            .get("CHATHISTORY")
            .and_then(|page| page.parse().ok());
        // 0 says that there is no limit.
        let page = page.filter(|page| *page > 0).unwrap_or(PAGE);
        Self {
            has_tags: facts.has_ids,
            denied: isupport.get("CLIENTTAGDENY").unwrap_or_default().to_owned(),
            redacts: facts.redacts,
            relays: facts.relays.clone(),
            multiline: facts.multiline,
            history: facts.has_history.then(|| page.min(PAGE)),
        }
    }

    /// Whether a client's tag, named without its `+`, comes to others (message-tags).
    pub(crate) fn takes_tag(&self, name: &str) -> bool {
        let denied: Vec<&str> = self.denied.split(',').collect();
        let is_denied = match denied.contains(&"*") {
            true => !denied.iter().any(|tag| tag.strip_prefix('-') == Some(name)),
            false => denied.contains(&name),
        };
        self.has_tags && !is_denied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_the_server_takes_away_are_not_taken() {
        let takes = |denied: &str, name: &str| {
            let offers = Offers {
                has_tags: true,
                denied: denied.to_owned(),
                ..Offers::default()
            };
            offers.takes_tag(name)
        };
        assert!(takes("", "typing"));
        assert!(!takes("draft/react,typing", "typing"));
        assert!(!takes("*,-draft/react", "typing"));
        assert!(takes("*,-draft/react,-typing", "typing"));
        assert!(!Offers::default().takes_tag("typing"));
    }
}
