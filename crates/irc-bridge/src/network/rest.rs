//! Operators of channels that have said no, or nothing, are left alone by who has asked for a while: on disk, so that a
//! restart is no way round.

use bridgehead_appservice::{
    id::UserId,
    store::{Store, StoreError},
};
use serde::{Deserialize, Serialize};

/// For so long (ms).
const HOUR_MS: i64 = 3_600_000;
/// Those that are remembered; then the oldest is not any more.
const MAX_RESTS: usize = 1000;

/// Under this name it is remembered.
fn key(network: &str) -> String {
    format!("rests/{network}")
}

/// Who asks about a channel no more, until when (ms since the Unix epoch).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rest {
    channel: String,
    asker: UserId,
    until_ms: i64,
}

/// All of one network, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Rests {
    rests: Vec<Rest>,
    is_changed: bool,
}

impl Rests {
    /// Reads what is remembered.
    pub(super) async fn load(store: &Store, network: &str) -> Result<Self, StoreError> {
        let rests = store.get(&key(network)).await?;
        Ok(Self {
            rests: rests.unwrap_or_default(),
            is_changed: false,
        })
    }

    /// Writes down what has changed.
    pub(super) async fn keep(&mut self, store: &Store, network: &str) -> Result<(), StoreError> {
        if std::mem::take(&mut self.is_changed) {
            store.put(&key(network), &self.rests).await?;
        }
        Ok(())
    }

    /// Whether somebody has to wait before they ask about a channel again.
    pub(super) fn has_to_wait(&self, (channel, asker): (&str, &UserId), now_ms: i64) -> bool {
        let mut rests = self.rests.iter();
        rests.any(|rest| rest.is_of(channel, asker) && rest.until_ms > now_ms)
    }

    /// Somebody asks nothing more about a channel for an hour from then on.
    pub(super) fn begin(&mut self, (channel, asker): (&str, &UserId), from_ms: i64) {
        self.end((channel, asker), from_ms);
        let too_many = (self.rests.len() + 1).saturating_sub(MAX_RESTS);
        self.rests.drain(..too_many);
        self.rests.push(Rest {
            channel: channel.to_owned(),
            asker: asker.clone(),
            until_ms: from_ms.saturating_add(HOUR_MS),
        });
        self.is_changed = true;
    }

    /// They were let in: nothing is in the way of another question.
    pub(super) fn end(&mut self, (channel, asker): (&str, &UserId), now_ms: i64) {
        let before = self.rests.len();
        self.rests
            .retain(|rest| !rest.is_of(channel, asker) && rest.until_ms > now_ms);
        self.is_changed |= self.rests.len() != before;
    }
}

impl Rest {
    fn is_of(&self, channel: &str, asker: &UserId) -> bool {
        self.channel == channel && self.asker == *asker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_told_no_waits_an_hour() {
        let ann = UserId::parse("@ann:x").expect("an id");
        let bea = UserId::parse("@bea:x").expect("an id");
        let mut rests = Rests::default();
        rests.begin(("#a", &ann), 0);
        assert!(rests.has_to_wait(("#a", &ann), HOUR_MS - 1));
        assert!(!rests.has_to_wait(("#a", &ann), HOUR_MS));
        assert!(!rests.has_to_wait(("#b", &ann), 1));
        assert!(!rests.has_to_wait(("#a", &bea), 1));
        rests.end(("#a", &ann), 1);
        assert!(!rests.has_to_wait(("#a", &ann), 1));
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let ann = UserId::parse("@ann:x").expect("an id");
        let mut rests = Rests::default();
        for at in 0..=MAX_RESTS {
            rests.begin((&format!("#{at}"), &ann), 0);
        }
        assert_eq!(rests.rests.len(), MAX_RESTS);
        assert!(!rests.has_to_wait(("#0", &ann), 1));
    }
}
