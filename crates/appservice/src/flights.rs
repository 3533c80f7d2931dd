//! One at a time for each key: whoever comes second waits, and then finds what the first has done.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

type Places<K> = Arc<Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>>;

/// Keys that somebody is busy with.
pub(crate) struct Flights<K>(Places<K>);

impl<K> Default for Flights<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Clone + Eq + Hash> Flights<K> {
    /// Waits until nobody else is busy with this key; until what is given back is dropped, nobody else will be.
    pub(crate) async fn enter(&self, key: &K) -> Flight<K> {
        let place = self.0.lock().entry(key.clone()).or_default().clone();
        // Made before waiting: who gives up waiting clears up behind them as well.
        let mut flight = Flight {
            places: self.0.clone(),
            key: key.clone(),
            guard: None,
        };
        flight.guard = Some(place.lock_owned().await);
        flight
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// A place that is taken.
pub(crate) struct Flight<K: Eq + Hash> {
    places: Places<K>,
    key: K,
    guard: Option<OwnedMutexGuard<()>>,
}

impl<K: Eq + Hash> Drop for Flight<K> {
    fn drop(&mut self) {
        let mut places = self.places.lock();
        self.guard.take();
        // Whoever waits holds the place, too.
        let is_free = places
            .get(&self.key)
            .is_some_and(|place| Arc::strong_count(place) == 1);
        if is_free {
            places.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, future::join_all};

    use super::*;

    #[tokio::test]
    async fn one_after_another_and_nothing_is_left() {
        let flights = Flights::default();
        let busy = Mutex::new(0_u32);
        let one = |key: u8| {
            let (flights, busy) = (&flights, &busy);
            async move {
                let _flight = flights.enter(&key).await;
                *busy.lock() += 1;
                assert_eq!(*busy.lock(), 1, "two at a time");
                tokio::task::yield_now().await;
                *busy.lock() -= 1;
            }
        };
        join_all((0..20).map(|_| one(7))).await;
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_holds_up_nobody() {
        let flights = Flights::default();
        let first = flights.enter(&1).await;
        assert!(flights.enter(&1).now_or_never().is_none());
        assert!(flights.enter(&2).now_or_never().is_some());
        drop(first);
        assert!(flights.enter(&1).now_or_never().is_some());
        assert_eq!(flights.len(), 0);
    }
}
