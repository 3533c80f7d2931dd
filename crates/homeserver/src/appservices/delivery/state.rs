//! The delivery states of a service and the only legal moves between them.
//!
//! ```text
//! idle ──batch ready──▶ delivering ──2xx──▶ idle
//!                          │  ▲
//!          error/timeout   ▼  │ backoff over, or a sign of life
//!                        retrying
//! ```

/// Where a service's delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum DeliveryState {
    /// Nothing is waiting.
    Idle,
    /// A transaction is on its way.
    Delivering,
    /// The last attempt failed; the next one waits for its time or a sign of life.
    Retrying,
}

/// What may move it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum DeliveryMove {
    /// A transaction was frozen.
    BatchReady,
    /// The service answered 2xx.
    Acknowledged,
    /// The attempt failed.
    AttemptFailed,
    /// The wait is over, or the service gave a sign of life.
    TryAgain,
}

impl DeliveryState {
    /// The state after `step`, or `None` when that is not a legal move.
    pub(crate) fn after(self, step: DeliveryMove) -> Option<Self> {
        use DeliveryMove::{Acknowledged, AttemptFailed, BatchReady, TryAgain};
        match (self, step) {
            (Self::Idle, BatchReady) | (Self::Retrying, TryAgain) => Some(Self::Delivering),
            (Self::Delivering, Acknowledged) => Some(Self::Idle),
            (Self::Delivering, AttemptFailed) => Some(Self::Retrying),
            (Self::Idle, Acknowledged | AttemptFailed | TryAgain)
            | (Self::Delivering, BatchReady | TryAgain)
            | (Self::Retrying, BatchReady | Acknowledged | AttemptFailed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DeliveryMove as Move, DeliveryState as State};

    #[test]
    fn every_pair_is_decided() {
        let states = [State::Idle, State::Delivering, State::Retrying];
        let moves = [
            Move::BatchReady,
            Move::Acknowledged,
            Move::AttemptFailed,
            Move::TryAgain,
        ];
        let legal: Vec<_> = states
            .iter()
            .flat_map(|from| {
                moves
                    .iter()
                    .map(move |step| (*from, *step, from.after(*step)))
            })
            .filter_map(|(from, step, to)| to.map(|to| (from, step, to)))
            .collect();
        assert_eq!(
            legal,
            [
                (State::Idle, Move::BatchReady, State::Delivering),
                (State::Delivering, Move::Acknowledged, State::Idle),
                (State::Delivering, Move::AttemptFailed, State::Retrying),
                (State::Retrying, Move::TryAgain, State::Delivering),
            ]
        );
    }
}
