//! A seeded simulation: the real engine and the real store, scripted services, a server that is
//! cut off between any two steps.
//!
//! - `plan`: what happens, from a seed; `world`: it happens; `services`: how they answer;
//! - `judge`: what must be true after every step; `shrink`: the shortest history that fails;
//! - `regressions`: histories that did fail once.
//!
//! Time, chances and the network come from outside the engine, so a seed repeats its run exactly.
//! `BRIDGEHEAD_SIM_SEEDS` says how many seeds are run, `BRIDGEHEAD_SIM_SEED` runs one.

mod judge;
mod plan;
mod regressions;
mod services;
mod shrink;
mod world;

use self::{
    plan::generate,
    world::{Figures, run_plan},
};

/// Seeds that are run where nobody says otherwise.
const SEEDS: u64 = 2_000;
/// Tests they are split into, so that all cores have some.
const PARTS: u64 = 8;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

fn run_part(part: u64) {
    let seeds: Box<dyn Iterator<Item = u64>> = match setting("BRIDGEHEAD_SIM_SEED") {
        Some(seed) if seed % PARTS == part => Box::new(std::iter::once(seed)),
        Some(_) => Box::new(std::iter::empty()),
        None => {
            let count = setting("BRIDGEHEAD_SIM_SEEDS").unwrap_or(SEEDS);
            Box::new((part..count).step_by(usize::try_from(PARTS).expect("a few")))
        }
    };
    let mut figures = Figures::default();
    for seed in seeds {
        figures.add(check(seed));
    }
    let Figures {
        runs,
        steps,
        crashes,
        failures,
    } = figures;
    println!("simulation: seeds={runs} steps={steps} crashes={crashes} failed_attempts={failures}");
}

/// Runs one seed; tells the shortest history that fails, if it does.
fn check(seed: u64) -> Figures {
    let plan = generate(seed);
    let outcome = run_plan(&plan);
    let figures = outcome.figures;
    if let Some(violation) = outcome.violation.clone() {
        let failure = shrink::shrink(plan, violation, outcome);
        let (violation, plan) = (&failure.violation, &failure.plan);
        let steps: Vec<_> = plan
            .steps
            .iter()
            .map(|step| format!("  {step:?}"))
            .collect();
        panic!(
            "seed {seed} breaks `{}`{}{}: {}\n\
             the shortest history found ({} steps, database {}):\n{}\nand what happened:\n{}\n\
             run it again with `cargo xtask sim --seed {seed}`",
            violation.rule,
            if violation.service.is_empty() {
                ""
            } else {
                " at "
            },
            violation.service,
            violation.what,
            plan.steps.len(),
            if plan.on_disk { "on disk" } else { "in memory" },
            steps.join("\n"),
            failure.outcome.tail(),
        );
    }
    figures
}

macro_rules! parts {
    ($($name:ident = $part:literal),+ $(,)?) => {
        $(#[test]
        fn $name() {
            run_part($part);
        })+
    };
}

parts!(
    seeds_part_0 = 0,
    seeds_part_1 = 1,
    seeds_part_2 = 2,
    seeds_part_3 = 3,
    seeds_part_4 = 4,
    seeds_part_5 = 5,
    seeds_part_6 = 6,
    seeds_part_7 = 7,
);

#[test]
fn a_seed_repeats_its_run() {
    for seed in [16, 17, 18, 19] {
        let (first, second) = (run_plan(&generate(seed)), run_plan(&generate(seed)));
        assert_eq!(first.trace, second.trace);
        assert!(first.trace.len() > 20, "{:?}", first.trace);
    }
}
