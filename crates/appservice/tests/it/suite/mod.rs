//! The same scenarios against three homeservers: ours in the test's process by function call, ours over HTTP, and
//! Synapse over HTTP.

use std::{
    any::Any,
    fmt::Debug,
    net::TcpListener,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use bridgehead_appservice::Service;
use bridgehead_testkit::{
    SERVER_NAME, Synapse, TestServer,
    lab::{Lab, LabOptions, registration_for},
};
use futures_util::future::LocalBoxFuture;
use parking_lot::Mutex;
use tempfile::TempDir;

/// A list of scenarios: the name of the function that plays it, and the service that it needs.
macro_rules! scenarios {
    ($($name:ident: $service:expr;)*) => {
        /// All of them.
        pub(super) const ALL: &[$crate::suite::Scenario] = &[$($crate::suite::Scenario {
            name: stringify!($name),
            service: || $service,
            play: |play| futures_util::FutureExt::boxed_local($name(play)),
        }),*];
    };
}

mod actors;
mod bridges;
mod examples;
mod people;
mod scenarios;
mod wire;

/// One scenario: the service that it needs, and what happens.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) service: fn() -> Service,
    pub(crate) play: fn(Play) -> LocalBoxFuture<'static, anyhow::Result<()>>,
}

/// What a scenario is played with.
pub(crate) struct Play {
    pub(crate) lab: Lab,
    /// As the scenario declares it; one that shares something with the test declares the same again.
    pub(crate) service: Service,
    pub(crate) homeserver: Homeserver,
}

/// The homeserver of a scenario, for the few things that they do each in their own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Homeserver {
    Bridgehead,
    Synapse,
}

/// How many scenarios are played at the same time: most of them wait most of the time.
const AT_ONCE: usize = 6;
/// How long [`comes_to`] waits, and between looks.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

fn all() -> impl Iterator<Item = &'static Scenario> {
    // The examples first: one of them is told of all rooms there are. Then those that take long.
    let lists = [
        examples::ALL,
        bridges::ALL,
        people::ALL,
        scenarios::ALL,
        wire::ALL,
        actors::ALL,
    ];
    lists.into_iter().flatten()
}

/// Waits until this is what is seen: what a homeserver tells, and when, is its own affair.
pub(crate) async fn comes_to<T: PartialEq + Debug>(
    lab: &Lab,
    expected: &T,
    mut look: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = look().await?;
        if found == *expected {
            return Ok(());
        }
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "waited in vain for {expected:#?}\nthere is {found:#?}"
        );
        lab.pass(LOOK).await;
    }
}

/// Registrations that a homeserver of its own is started with.
struct Registered {
    _folder: TempDir,
    texts: Vec<String>,
    files: Vec<PathBuf>,
    /// Keeps the services' ports for them until their scenarios begin.
    ports: Mutex<Vec<Option<TcpListener>>>,
}

fn register_all() -> anyhow::Result<Registered> {
    let folder = TempDir::new()?;
    let mut texts = Vec::new();
    let mut files = Vec::new();
    let mut ports = Vec::new();
    for (index, scenario) in all().enumerate() {
        let port = TcpListener::bind(("127.0.0.1", 0))?;
        let url = format!("http://{}", port.local_addr()?);
        ports.push(Some(port));
        let text = registration_for(&(scenario.service)(), &url, SERVER_NAME, index as u64)?;
        let file = folder.path().join(format!("{index}.yaml"));
        std::fs::write(&file, &text)?;
        texts.push(text);
        files.push(file);
    }
    Ok(Registered {
        _folder: folder,
        texts,
        files,
        ports: Mutex::new(ports),
    })
}

/// Plays all scenarios, some at a time; fails with what every one of them has failed with.
fn play_all(at_once: usize, play: impl Fn(usize, &'static Scenario) -> anyhow::Result<()> + Sync) {
    let scenarios: Vec<_> = all().collect();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(scenario) = scenarios.get(index) else {
                return;
            };
            let begun = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| play(index, scenario)));
            let why = match outcome {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{error:?}")),
                Err(panic) => Some(message(&*panic)),
            };
            eprintln!("{:7.2?} {}", begun.elapsed(), scenario.name);
            failed
                .lock()
                .extend(why.map(|why| format!("{}: {why}", scenario.name)));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// What somebody has panicked with.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "it panicked".to_owned())
}

fn play_against(base_url: &str, homeserver: Homeserver, registered: &Registered) {
    play_all(AT_ONCE, |index, scenario| {
        let options = LabOptions::default()
            .against(base_url, SERVER_NAME)
            .registration(&registered.texts[index]);
        registered.ports.lock()[index].take();
        options.run(async |lab| {
            let service = (scenario.service)();
            (scenario.play)(Play {
                lab,
                service,
                homeserver,
            })
            .await
        })
    });
}

#[test]
fn on_our_homeserver_in_process() {
    play_all(1, |_, scenario| {
        Lab::run(async |lab| {
            let service = (scenario.service)();
            let homeserver = Homeserver::Bridgehead;
            (scenario.play)(Play {
                lab,
                service,
                homeserver,
            })
            .await
        })
    });
}

#[test]
fn on_our_homeserver_over_http() -> anyhow::Result<()> {
    let registered = register_all()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let host = runtime.block_on(TestServer::start_with(&registered.files, &[]))?;
    play_against(&host.base_url(), Homeserver::Bridgehead, &registered);
    runtime.block_on(host.stop());
    Ok(())
}

#[test]
fn on_synapse() -> anyhow::Result<()> {
    let registered = register_all()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let synapse = runtime.block_on(Synapse::start(&registered.files))?;
    play_against(&synapse.base_url(), Homeserver::Synapse, &registered);
    Ok(())
}
