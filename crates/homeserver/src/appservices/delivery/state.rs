//! The delivery states of a service and the only legal moves between them.
//!
//! ```text
//! idle ──batch ready──▶ delivering ──2xx──▶ idle
//!  ▲  ▲                    │  ▲
//!  │  │      error/timeout ▼  │ backoff over, or a sign of life
//!  │  └──withdrawn────── retrying
//!  │                        │ a person says so
//!  └──a person says so── failed
//! ```
//!
//! *Withdrawn*: the transaction that was retried is gone: split into smaller ones, or skipped (by
//! a person, or by a policy that a person has set). Being paused is not a state but a flag beside
//! it: nothing moves while it is up.

use bridgehead_admin_api::State;

/// What may move a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum DeliveryMove {
    /// A transaction was frozen.
    BatchReady,
    /// The service acknowledged.
    Acknowledged,
    /// The attempt failed.
    AttemptFailed,
    /// The wait is over, or the service gave a sign of life.
    TryAgain,
    /// The transaction was split or skipped.
    Withdrawn,
    /// A person gives the service up.
    GiveUp,
    /// A person brings the service back.
    Recover,
}

/// The state after `step`, or `None` when that is not a legal move.
pub(crate) fn after(state: State, step: DeliveryMove) -> Option<State> {
    use DeliveryMove::{
        Acknowledged, AttemptFailed, BatchReady, GiveUp, Recover, TryAgain, Withdrawn,
    };
    match (state, step) {
        (State::Idle, BatchReady) | (State::Retrying, TryAgain) => Some(State::Delivering),
        (State::Delivering, Acknowledged)
        | (State::Retrying, Withdrawn)
        | (State::Failed, Recover) => Some(State::Idle),
        (State::Delivering, AttemptFailed) => Some(State::Retrying),
        (State::Retrying, GiveUp) => Some(State::Failed),
        (State::Idle, Acknowledged | AttemptFailed | TryAgain | Withdrawn | GiveUp | Recover)
        | (State::Delivering, BatchReady | TryAgain | Withdrawn | GiveUp | Recover)
        | (State::Retrying, BatchReady | Acknowledged | AttemptFailed | Recover)
        | (
            State::Failed,
            BatchReady | Acknowledged | AttemptFailed | TryAgain | Withdrawn | GiveUp,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{DeliveryMove as Move, State, after};

    #[test]
    fn every_pair_is_decided() {
        let states = [
            State::Idle,
            State::Delivering,
            State::Retrying,
            State::Failed,
        ];
        let moves = [
            Move::BatchReady,
            Move::Acknowledged,
            Move::AttemptFailed,
            Move::TryAgain,
            Move::Withdrawn,
            Move::GiveUp,
            Move::Recover,
        ];
        let legal: Vec<_> = states
            .iter()
            .flat_map(|from| moves.iter().map(move |step| (*from, *step)))
            .filter_map(|(from, step)| after(from, step).map(|to| (from, step, to)))
            .collect();
        assert_eq!(
            legal,
            [
                (State::Idle, Move::BatchReady, State::Delivering),
                (State::Delivering, Move::Acknowledged, State::Idle),
                (State::Delivering, Move::AttemptFailed, State::Retrying),
                (State::Retrying, Move::TryAgain, State::Delivering),
                (State::Retrying, Move::Withdrawn, State::Idle),
                (State::Retrying, Move::GiveUp, State::Failed),
                (State::Failed, Move::Recover, State::Idle),
            ]
        );
    }
}
