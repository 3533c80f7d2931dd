//! From a plan that fails to the shortest one found that fails alike.

use super::{
    judge::Violation,
    plan::Plan,
    world::{Outcome, run_plan},
};

/// Runs that the search may take.
const MAX_RUNS: u32 = 400;

/// A plan that breaks a rule, and how.
pub(super) struct Failure {
    pub(super) plan: Plan,
    pub(super) violation: Violation,
    pub(super) outcome: Outcome,
}

/// Takes steps out, many at first and then one by one, for as long as the same rule is broken.
pub(super) fn shrink(plan: Plan, violation: Violation, outcome: Outcome) -> Failure {
    let mut best = Failure {
        plan,
        violation,
        outcome,
    };
    let mut runs = 0;
    let mut size = best.plan.steps.len().div_ceil(2).max(1);
    loop {
        let before = best.plan.steps.len();
        let mut at = 0;
        while at < best.plan.steps.len() {
            if runs >= MAX_RUNS {
                return best;
            }
            runs += 1;
            match without(&best, at, size) {
                Some(shorter) => best = shorter,
                None => at += size,
            }
        }
        if size == 1 && best.plan.steps.len() == before {
            return best;
        }
        size = (size / 2).max(1);
    }
}

/// The failure without some of its steps, if it still is one.
fn without(failure: &Failure, at: usize, size: usize) -> Option<Failure> {
    let mut plan = failure.plan.clone();
    let end = plan.steps.len().min(at + size);
    plan.steps.drain(at..end);
    let outcome = run_plan(&plan);
    let violation = outcome.violation.clone()?;
    (violation.rule == failure.violation.rule).then_some(Failure {
        plan,
        violation,
        outcome,
    })
}
