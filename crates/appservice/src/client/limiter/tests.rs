//! The limiter against rules that must always hold, and against a homeserver that counts as Synapse does.

use proptest::prelude::*;

use super::*;

const MAX: Duration = Duration::from_secs(600);
const ALICE: Target<'_> = target("@alice:example.org");

const fn target(account: &str) -> Target<'_> {
    Target {
        account,
        class: Class::Message,
    }
}

fn limiter() -> Limiter {
    Limiter::new(NonZeroUsize::new(100).expect("not zero"), MAX)
}

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A refusal that arrives at once.
fn refuse(limiter: &mut Limiter, now: Instant, target: Target<'_>, named: Option<Duration>) {
    limiter.observe(now, target, now, Outcome::Limited(named));
}

#[test]
fn nobody_waits_before_a_refusal() {
    let (mut limiter, now) = (limiter(), Instant::now());
    for _ in 0..1000 {
        assert_eq!(limiter.take(now, ALICE), Duration::ZERO);
        limiter.observe(now, ALICE, now, Outcome::Admitted);
        limiter.observe(now, ALICE, now, Outcome::Unknown);
    }
    assert_eq!(limiter.forecast(now, ALICE, 1_000_000), Duration::ZERO);
    assert_eq!(limiter.accounts.len(), 0, "nothing is remembered either");
}

#[test]
fn a_named_wait_is_kept_and_ends() {
    let (mut limiter, now) = (limiter(), Instant::now());
    refuse(&mut limiter, now, ALICE, Some(secs(2.5)));
    assert_eq!(limiter.delay(now, ALICE), secs(2.5));
    assert_eq!(limiter.delay(now + secs(1.0), ALICE), secs(1.5));
    assert_eq!(limiter.delay(now + secs(2.5), ALICE), Duration::ZERO);
    let later = now + secs(2.5);
    assert_eq!(limiter.take(later, ALICE), Duration::ZERO);
    assert_eq!(
        limiter.take(later, ALICE),
        secs(2.5),
        "the next one is paced"
    );
}

#[test]
fn accounts_and_classes_are_apart() {
    let (mut limiter, now) = (limiter(), Instant::now());
    refuse(&mut limiter, now, ALICE, Some(secs(9.0)));
    let joins = Target {
        class: Class::Join,
        ..ALICE
    };
    for other in [joins, target("@bob:example.org")] {
        assert_eq!(limiter.delay(now, other), Duration::ZERO);
    }
    refuse(&mut limiter, now, joins, Some(secs(1.0)));
    assert_eq!(limiter.delay(now, joins), secs(1.0));
    assert_eq!(limiter.delay(now, ALICE), secs(9.0));
}

#[test]
fn without_a_named_wait_the_guess_grows_until_a_success() {
    let (mut limiter, mut now) = (limiter(), Instant::now());
    for expected in [1.0, 2.0, 4.0, 8.0] {
        refuse(&mut limiter, now, ALICE, None);
        assert_eq!(limiter.delay(now, ALICE), secs(expected));
        now += secs(expected);
        assert_eq!(limiter.take(now, ALICE), Duration::ZERO);
    }
    limiter.observe(now, ALICE, now, Outcome::Admitted);
    now += secs(60.0);
    refuse(&mut limiter, now, ALICE, None);
    let wait = limiter.delay(now, ALICE);
    assert!(wait < secs(4.0), "{wait:?} begins small again");
}

#[test]
fn refusals_of_one_volley_count_once() {
    let (mut one, mut many, now) = (limiter(), limiter(), Instant::now());
    let arrives = now + secs(0.1);
    for limiter in [&mut one, &mut many] {
        limiter.observe(arrives, ALICE, now, Outcome::Limited(Some(secs(1.0))));
    }
    for _ in 0..50 {
        many.observe(arrives, ALICE, now, Outcome::Limited(Some(secs(1.0))));
        many.observe(arrives, ALICE, now, Outcome::Limited(None));
    }
    assert_eq!(many.delay(arrives, ALICE), one.delay(arrives, ALICE));
    assert_eq!(
        many.forecast(arrives, ALICE, 99),
        one.forecast(arrives, ALICE, 99)
    );
}

#[test]
fn what_is_over_is_forgotten() {
    let (mut limiter, mut now) = (limiter(), Instant::now());
    refuse(&mut limiter, now, ALICE, Some(secs(0.5)));
    let mut calls = 0;
    while !limiter.accounts.is_empty() {
        now += limiter.delay(now, ALICE);
        assert_eq!(limiter.take(now, ALICE), Duration::ZERO);
        limiter.observe(now, ALICE, now, Outcome::Admitted);
        calls += 1;
        assert!(calls < 1000, "a limit that was lifted holds for ever");
    }
}

#[test]
fn the_accounts_that_are_remembered_are_bounded() {
    let (mut limiter, now) = (limiter(), Instant::now());
    for index in 0..1000 {
        let account = format!("@ghost_{index}:example.org");
        refuse(&mut limiter, now, target(&account), Some(secs(5.0)));
    }
    assert_eq!(limiter.accounts.len(), 100);
    assert_eq!(
        limiter.delay(now, target("@ghost_999:example.org")),
        secs(5.0)
    );
    assert_eq!(
        limiter.delay(now, target("@ghost_0:example.org")),
        Duration::ZERO
    );
}

/// A homeserver's limit: so many at once, then so many per second.
struct Homeserver {
    per_second: f64,
    burst: f64,
    used: f64,
    at: Instant,
}

impl Homeserver {
    fn answer(&mut self, now: Instant, is_named: bool) -> Outcome {
        let passed = now.duration_since(self.at).as_secs_f64();
        self.used = (self.used - passed * self.per_second).max(0.0);
        self.at = now;
        if self.used + 1.0 > self.burst + 1e-6 {
            let wait = (self.used + 1.0 - self.burst) / self.per_second;
            return Outcome::Limited(is_named.then(|| secs(wait)));
        }
        self.used += 1.0;
        Outcome::Admitted
    }
}

/// Sends `calls` one after the other; gives back the time it took and how many were refused.
fn send_all(per_second: f64, burst: f64, calls: u32, is_named: bool) -> (Duration, u32) {
    let (mut limiter, start) = (limiter(), Instant::now());
    let mut homeserver = Homeserver {
        per_second,
        burst,
        used: 0.0,
        at: start,
    };
    let (mut now, mut admitted, mut refused) = (start, 0, 0);
    while admitted < calls {
        let wait = limiter.take(now, ALICE);
        if !wait.is_zero() {
            now += wait;
            continue;
        }
        let outcome = homeserver.answer(now, is_named);
        match outcome {
            Outcome::Admitted => admitted += 1,
            Outcome::Limited(_) | Outcome::Unknown => refused += 1,
        }
        limiter.observe(now, ALICE, now, outcome);
    }
    (now.duration_since(start), refused)
}

#[test]
fn a_backlog_goes_out_nearly_as_fast_as_allowed_with_few_refusals() {
    for (per_second, burst, is_named) in [
        (0.2, 10.0, true),
        (0.2, 10.0, false),
        (10.0, 50.0, true),
        (10.0, 50.0, false),
        (1.0, 1.0, true),
        (50.0, 1.0, true),
    ] {
        let calls = 500;
        let best = f64::from(calls) / per_second - burst / per_second;
        let (took, refused) = send_all(per_second, burst, calls, is_named);
        let what = format!("{per_second}/s, {burst} at once, named: {is_named}");
        let share = took.as_secs_f64() / best;
        // Who names no wait is found by trying.
        let bound = if is_named { 1.5 } else { 2.0 };
        assert!(share < bound, "{what}: {share:.2} times the shortest time");
        assert!(
            refused < calls / 8,
            "{what}: {refused} refusals for {calls} calls"
        );
    }
}

#[test]
fn the_forecast_is_about_right() {
    let (mut limiter, now) = (limiter(), Instant::now());
    refuse(&mut limiter, now, ALICE, Some(secs(2.0)));
    assert_eq!(limiter.forecast(now, ALICE, 0), Duration::ZERO);
    assert_eq!(limiter.forecast(now, ALICE, 1), secs(2.0));
    assert_eq!(limiter.forecast(now, ALICE, 10), secs(20.0));
    assert_eq!(limiter.forecast(now + secs(1.0), ALICE, 10), secs(19.0));
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Take,
    Admitted,
    Limited { named_ms: Option<u64>, ago_ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let named_ms = proptest::option::of(prop_oneof![0..100_000_u64, Just(u64::MAX)]);
    prop_oneof![
        (0..100_000_u64).prop_map(Step::Pass),
        Just(Step::Take),
        Just(Step::Admitted),
        (named_ms, 0..10_000_u64).prop_map(|(named_ms, ago_ms)| Step::Limited { named_ms, ago_ms }),
    ]
}

proptest! {
    #[test]
    fn waits_stay_within_bounds_and_shrink_with_success(
        max_ms in 0..1_000_000_u64, steps in proptest::collection::vec(step(), 0..100),
    ) {
        let max_wait = Duration::from_millis(max_ms).max(NO_LIMIT);
        let mut limiter = Limiter::new(NonZeroUsize::MIN, Duration::from_millis(max_ms));
        let mut now = Instant::now() + secs(1000.0);
        for step in steps {
            let before = limiter.delay(now, ALICE);
            match step {
                Step::Pass(ms) => {
                    let passed = Duration::from_millis(ms);
                    now += passed;
                    let left = limiter.delay(now, ALICE);
                    prop_assert!(left <= before, "time makes waits shorter");
                    prop_assert!(left <= before.saturating_sub(passed) + Duration::from_millis(1)
                        || before == max_wait);
                }
                Step::Take => {
                    prop_assert_eq!(limiter.take(now, ALICE), before);
                }
                Step::Admitted => {
                    limiter.observe(now, ALICE, now, Outcome::Admitted);
                    prop_assert!(limiter.delay(now, ALICE) <= before);
                }
                Step::Limited { named_ms, ago_ms } => {
                    let started = now - Duration::from_millis(ago_ms);
                    let named = named_ms.map(Duration::from_millis);
                    limiter.observe(now, ALICE, started, Outcome::Limited(named));
                    let after = limiter.delay(now, ALICE);
                    prop_assert!(after >= named.unwrap_or_default().min(max_wait));
                }
            }
            let delay = limiter.delay(now, ALICE);
            prop_assert!(delay <= max_wait);
            prop_assert!(limiter.forecast(now, ALICE, 5) >= delay);
            // Whoever waits as long as told need not wait again.
            let settled = now + delay + secs(1e-6);
            prop_assert!(delay == max_wait || limiter.delay(settled, ALICE).is_zero());
        }
    }
}
