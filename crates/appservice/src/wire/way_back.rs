//! Whether the homeserver reaches the service, as far as pings and its own requests have shown.
//!
//! A stranger may show a wrong token as well: what they are refused is no proof. So it only has the homeserver asked
//! for a ping, and what that brings counts.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{Error, core::Core};

/// Refused transactions have the homeserver asked no more often than this.
const DOUBT_PAUSE: Duration = Duration::from_secs(60);

/// What is known of the way from the homeserver to the service.
#[derive(Default)]
pub(crate) struct WayBack {
    trouble: Mutex<Option<Trouble>>,
    came: AtomicU64,
    refused: AtomicU64,
    doubted: Notify,
}

/// Why a ping has failed, with what to do.
struct Trouble {
    words: String,
    /// The homeserver has come, and has shown another token.
    is_refusal: bool,
}

impl WayBack {
    /// Why the homeserver is not let in, with what to do.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.words(true)
    }

    /// Why the homeserver does not come, with what to do.
    pub(crate) fn absence(&self) -> Option<String> {
        self.words(false)
    }

    fn words(&self, is_refusal: bool) -> Option<String> {
        let trouble = self.trouble.lock();
        let trouble = trouble.as_ref();
        let meant = trouble.filter(|trouble| trouble.is_refusal == is_refusal);
        meant.map(|trouble| trouble.words.clone())
    }

    /// Whether nothing is known against it.
    pub(super) fn is_clear(&self) -> bool {
        self.trouble.lock().is_none()
    }

    /// Somebody has come with the right token: it is the homeserver.
    pub(super) fn reached(&self) {
        self.came.fetch_add(1, Ordering::Relaxed);
        *self.trouble.lock() = None;
    }

    /// How often somebody has come with the right token.
    pub(super) fn arrivals(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }

    /// Somebody was refused for another token; `brings`: they had a transaction.
    pub(super) fn refused(&self, brings: bool) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if brings {
            self.doubted.notify_one();
        }
    }

    /// How many were refused so far.
    pub(super) fn refusals(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Returns when a refused transaction is a reason to ask again, and the last ping is long enough ago.
    pub(super) async fn doubted_since(&self, pinged_at: Instant) {
        self.doubted.notified().await;
        sleep_until(pinged_at + DOUBT_PAUSE).await;
    }

    /// Notes a ping that has failed; gives back what to do. `was_refused`: meanwhile somebody has shown another token.
    pub(super) fn failed(&self, core: &Core, error: &Error, was_refused: bool) -> &'static str {
        let advice = advice(error, was_refused);
        if tells_of_way(core, error) {
            let file = core.registration.source.file.display();
            let words =
                format!("the homeserver does not reach the service ({file}): {error}; {advice}");
            *self.trouble.lock() = Some(Trouble {
                words,
                is_refusal: was_refused,
            });
        }
        advice
    }
}

/// Whether the error tells of the way to the service, and not of the homeserver being away or without this.
fn tells_of_way(core: &Core, error: &Error) -> bool {
    match error {
        Error::Unsupported(_) => true,
        Error::Refused { errcode, .. } => match errcode.as_str() {
            "M_BAD_STATUS" | "M_CONNECTION_FAILED" | "M_CONNECTION_TIMEOUT" | "M_FORBIDDEN" => true,
            // Who has set up the service without an address has another way.
            "M_URL_NOT_SET" => core.registration.url.is_some(),
            // What stands between may refuse pings alone.
            _ => false,
        },
        _ => false,
    }
}

/// What to do about a ping that has failed.
fn advice(error: &Error, was_refused: bool) -> &'static str {
    match error.errcode().unwrap_or_default() {
        _ if was_refused => {
            "it shows another hs_token: compare `hs_token` in the registration of the service with the copy that the \
             homeserver has, give the homeserver this file and let it read it (`register` tells how)"
        }
        "M_BAD_STATUS" => {
            "another program seems to answer: see `url` in the registration, and what stands between"
        }
        "M_CONNECTION_FAILED" | "M_CONNECTION_TIMEOUT" => {
            "see listen.address and listen.public_address, `url` in the homeserver's copy of the registration, and what \
             stands between"
        }
        "M_URL_NOT_SET" => {
            "the homeserver knows no url of the service: give it the registration and let it read it (`register` tells \
             how)"
        }
        "M_FORBIDDEN" => {
            "compare `id` in the registration with the copy that the homeserver has: it has another one for this as_token"
        }
        "M_UNKNOWN_TOKEN" | "M_MISSING_TOKEN" => {
            "compare `as_token` in the registration with the copy that the homeserver has"
        }
        _ => "`doctor` may tell more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn strangers_have_the_homeserver_asked_once_a_minute_at_most() {
        let way_back = WayBack::default();
        let pinged_at = Instant::now();
        way_back.refused(false);
        let asked = tokio::time::timeout(DOUBT_PAUSE * 2, way_back.doubted_since(pinged_at));
        assert!(asked.await.is_err(), "nobody has brought a transaction");
        let pinged_at = Instant::now();
        for _ in 0..1000 {
            way_back.refused(true);
        }
        way_back.doubted_since(pinged_at).await;
        assert_eq!(pinged_at.elapsed(), DOUBT_PAUSE);
        assert!(way_back.is_clear(), "a refusal alone proves nothing");
    }
}
