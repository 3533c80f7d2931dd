//! Histories that once broke a rule, as short as they were found, and what was wrong.

use super::{
    plan::{
        Behaviour::{AckLost, Down, Hang, Refuse, TooLarge},
        By, Plan, Step,
    },
    world::run_plan,
};

/// Plays the steps with the chances of `seed`.
fn holds(seed: u64, steps: &[Step]) {
    let plan = Plan {
        seed,
        on_disk: false,
        steps: steps.to_vec(),
    };
    let outcome = run_plan(&plan);
    assert!(
        outcome.violation.is_none(),
        "{:?}\n{}",
        outcome.violation,
        outcome.tail()
    );
}

fn send(room: usize, count: u32, bytes: usize) -> Step {
    Step::Send { room, count, bytes }
}

/// A pause came while the next transaction was being stored, and it was sent all the same.
#[test]
fn nothing_starts_after_a_hold_was_ordered() {
    let behave = |service, behaviour| Step::Behave { service, behaviour };
    let poison = |room, service| Step::Poison { room, service };
    holds(
        42,
        &[
            behave(0, AckLost(2)),
            poison(1, 0),
            send(2, 1, 4),
            behave(2, TooLarge(1)),
            behave(1, Hang(true)),
            send(1, 2, 4),
            send(1, 1, 4),
            Step::Crash { points: 15 },
            send(2, 2, 4),
            Step::Advance { ms: 9_000 },
            poison(2, 1),
            send(2, 1, 300),
            Step::Fail { service: 1 },
            Step::Pause {
                service: 2,
                by: By::Service,
                for_ms: None,
            },
        ],
    );
}

/// A replay without contents was passed before the acknowledgement in hand was stored, and the
/// next transaction named the wrong predecessor.
#[test]
fn an_empty_replay_does_not_break_the_chain() {
    holds(
        11,
        &[
            Step::Behave {
                service: 1,
                behaviour: Down,
            },
            send(0, 1, 4),
            Step::Replay {
                service: 1,
                back: 1,
            },
            Step::DeviceList { service: 1 },
        ],
    );
}

/// What a policy skipped in a life without any order still counted as waiting.
#[test]
fn a_skip_by_policy_after_a_restart_is_counted() {
    holds(
        263,
        &[
            Step::Poison {
                room: 1,
                service: 1,
            },
            Step::Policy {
                service: 1,
                after: Some(4),
            },
            Step::Crash { points: 0 },
            Step::Advance { ms: 21_000 },
        ],
    );
}

/// The end of a pause made the task of a service that was given up run in circles.
#[test]
fn a_pause_of_a_failed_service_ends_quietly() {
    holds(
        574,
        &[
            Step::Behave {
                service: 0,
                behaviour: Refuse(503),
            },
            send(0, 1, 4),
            Step::Advance { ms: 20 },
            Step::Fail { service: 0 },
            Step::Pause {
                service: 0,
                by: By::Operator,
                for_ms: Some(40),
            },
            Step::Advance { ms: 700 },
        ],
    );
}
