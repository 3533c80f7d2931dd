//! Whom the service acts for, in memory: looked at for each request and each event.

use std::collections::{HashMap, HashSet};

use bridgehead_registration::Secret;
use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::id::UserId;

/// Marks what a service has sent as a person; the value is the service's name. Other bridges know it too.
const MARK: &str = "fi.mau.double_puppet_source";

/// Lost tokens whose persons have not been told yet.
const LOST_WAITING: usize = 1024;

/// A person's place in the table.
struct Entry {
    /// Their own token; `None`: the registration allows it.
    token: Option<Secret>,
}

/// Whom the service acts for.
pub(crate) struct PuppetTable {
    /// The service's name.
    name: String,
    entries: RwLock<HashMap<UserId, Entry>>,
    /// Those who were in it: what was sent as them may still come back.
    former: RwLock<HashSet<UserId>>,
    lost: mpsc::Sender<UserId>,
}

impl PuppetTable {
    /// An empty table, and where the users come out whose tokens were lost.
    pub(crate) fn new(name: &str) -> (Self, mpsc::Receiver<UserId>) {
        let (lost, losses) = mpsc::channel(LOST_WAITING);
        let table = Self {
            name: name.to_owned(),
            entries: RwLock::default(),
            former: RwLock::default(),
            lost,
        };
        (table, losses)
    }

    pub(super) fn insert(&self, user: UserId, token: Option<Secret>) {
        self.entries.write().insert(user, Entry { token });
    }

    pub(super) fn remove(&self, user: &UserId) {
        if self.entries.write().remove(user).is_some() {
            self.former.write().insert(user.clone());
        }
    }

    /// Whether the service acts for this person.
    pub(crate) fn has(&self, user: &UserId) -> bool {
        self.entries.read().contains_key(user)
    }

    /// The person's own token.
    pub(crate) fn token(&self, user: &UserId) -> Option<Secret> {
        self.entries.read().get(user)?.token.clone()
    }

    /// The homeserver does not know this token any more. Nothing changes if the person has given another one meanwhile.
    pub(crate) fn lose(&self, user: &UserId, token: &Secret) {
        let mut entries = self.entries.write();
        let is_current = entries
            .get(user)
            .is_some_and(|entry| entry.token.as_ref() == Some(token));
        if !is_current {
            return;
        }
        entries.remove(user);
        self.former.write().insert(user.clone());
        self.report(user);
    }

    /// Has this person told that their token is no longer good.
    fn report(&self, user: &UserId) {
        if self.lost.try_send(user.clone()).is_err() {
            // Found out again at the next start, by the first request that is refused.
            tracing::warn!(%user, "a puppet's token was lost, and too many others too to tell them");
        }
    }

    /// Marks what is sent as a person, so that its echo is known.
    pub(crate) fn mark(&self, user: &UserId, content: &mut Value) {
        if let Value::Object(fields) = content
            && self.has(user)
        {
            fields.insert(MARK.to_owned(), Value::String(self.name.clone()));
        }
    }

    /// Whether an event's content says that this service has sent it as this person. Anybody can write that, so it counts
    /// for those alone whom the service acts for, or has.
    pub(crate) fn is_marked(&self, sender: &UserId, content: &Value) -> bool {
        content.get(MARK).and_then(Value::as_str) == Some(&self.name)
            && (self.has(sender) || self.former.read().contains(sender))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn alice() -> UserId {
        UserId::parse("@alice:example.org").expect("a user")
    }

    #[test]
    fn what_is_sent_as_a_person_is_known_again_by_the_same_service() {
        let (table, _losses) = PuppetTable::new("irc");
        let mut content = json!({ "body": "hi" });
        table.mark(&alice(), &mut content);
        assert_eq!(
            content,
            json!({ "body": "hi" }),
            "a ghost's message needs no mark"
        );
        table.insert(alice(), None);
        table.mark(&alice(), &mut content);
        assert_eq!(
            content,
            json!({ "body": "hi", "fi.mau.double_puppet_source": "irc" })
        );
        assert!(table.is_marked(&alice(), &content));
        let mallory = UserId::parse("@mallory:example.org").expect("a user");
        assert!(
            !table.is_marked(&mallory, &content),
            "anybody can write a mark"
        );
        table.remove(&alice());
        assert!(
            table.is_marked(&alice(), &content),
            "what was under way still comes back"
        );
        let (other, _losses) = PuppetTable::new("xmpp");
        other.insert(alice(), None);
        assert!(
            !other.is_marked(&alice(), &content),
            "another bridge's message is bridged"
        );
        assert!(!table.is_marked(&alice(), &json!({ "fi.mau.double_puppet_source": 1 })));
    }

    #[tokio::test]
    async fn a_lost_token_is_told_once_and_a_newer_one_stays() {
        let (table, mut losses) = PuppetTable::new("irc");
        let token = |text: &str| Secret::new(text.to_owned());
        table.insert(alice(), Some(token("new")));
        table.lose(&alice(), &token("old"));
        assert_eq!(table.token(&alice()), Some(token("new")));
        table.lose(&alice(), &token("new"));
        table.lose(&alice(), &token("new"));
        assert!(!table.has(&alice()));
        assert_eq!(losses.recv().await, Some(alice()));
        assert!(losses.try_recv().is_err());
    }
}
