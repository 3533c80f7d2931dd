//! How a lab is made, and what runs in it.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::Lab;

/// Repeats the run of one seed; see [`Lab::run`].
pub const SEED_VARIABLE: &str = "BRIDGEHEAD_LAB_SEED";

/// The seed of a run that asks for none: a test does the same each time.
const DEFAULT_SEED: u64 = 1;

/// How a lab is made.
#[derive(Clone, Debug, Default)]
pub struct LabOptions {
    seed: Option<u64>,
    settings: Vec<(String, String)>,
    rate_limits: bool,
    registrations: Vec<String>,
    against: Option<Against>,
}

/// A homeserver of somebody else's.
#[derive(Clone, Debug)]
pub(super) struct Against {
    pub(super) base_url: String,
    pub(super) server_name: String,
}

impl LabOptions {
    /// Repeats ids, tokens, and every chance taken by host and services. The variable
    /// [`SEED_VARIABLE`] goes before it.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self {
            seed: Some(seed),
            ..self
        }
    }

    /// A setting of the homeserver in the process, as its environment variable: `BRIDGEHEAD_…`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Limits how fast users may go, as the homeserver in the process does by default. A lab's
    /// users are not limited otherwise.
    #[must_use]
    pub fn rate_limits(self) -> Self {
        Self {
            rate_limits: true,
            ..self
        }
    }

    /// Runs against another homeserver over HTTP, by the machine's clock. It must let people sign
    /// up by `m.login.dummy`, and know the registrations of the services that are mounted; a service
    /// is served at its registration's `url`, which must be on this machine.
    #[must_use]
    pub fn against(self, base_url: &str, server_name: &str) -> Self {
        Self {
            against: Some(Against {
                base_url: base_url.trim_end_matches('/').to_owned(),
                server_name: server_name.to_owned(),
            }),
            ..self
        }
    }

    /// The registration (YAML or JSON) of a service that is to be mounted, in place of one that is
    /// made for it. Against another homeserver each service needs one, the same that the
    /// homeserver was started with; [`super::registration_for`] makes it.
    #[must_use]
    pub fn registration(mut self, registration: &str) -> Self {
        self.registrations.push(registration.to_owned());
        self
    }

    /// Makes the lab, runs the test in it, and ends it. Whoever fails is told the seed.
    ///
    /// # Panics
    /// When the test does, or when the homeserver does not start.
    pub fn run<T>(self, test: impl AsyncFnOnce(Lab) -> T) -> T {
        let seed = seed_of_environment().or(self.seed).unwrap_or(DEFAULT_SEED);
        // Tests that fail do so in many ways; what is printed is shown for those alone.
        eprintln!("the lab's seed is {seed}: {SEED_VARIABLE}={seed} repeats this run");
        let runtime = runtime(self.against.is_none());
        runtime.block_on(async {
            let lab = Lab::open(&self, seed)
                .await
                .unwrap_or_else(|error| panic!("the lab's homeserver did not start: {error:#}"));
            let outcome = test(lab.clone()).await;
            lab.end().await;
            outcome
        })
    }

    pub(super) fn of_host(&self) -> Option<&Against> {
        self.against.as_ref()
    }

    pub(super) fn settings(&self) -> impl Iterator<Item = (String, String)> {
        self.settings.clone().into_iter()
    }

    pub(super) fn registrations(&self) -> &[String] {
        &self.registrations
    }

    pub(super) fn has_rate_limits(&self) -> bool {
        self.rate_limits
    }

    /// How long a wait may take before it has failed: long where time costs nothing.
    pub(super) fn patience(&self) -> Duration {
        match self.against {
            Some(_) => Duration::from_secs(60),
            None => Duration::from_secs(24 * 3600),
        }
    }
}

fn seed_of_environment() -> Option<u64> {
    let text = std::env::var(SEED_VARIABLE).ok()?;
    let seed = text.trim().parse();
    Some(seed.unwrap_or_else(|_| panic!("{SEED_VARIABLE} is no number: {text}")))
}

fn runtime(paused: bool) -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(paused)
        .build()
        .expect("a runtime of one thread needs nothing that can be missing")
}
