//! The same scenarios against three homeservers: ours in the test's process by function call, ours over HTTP, and
//! Synapse over HTTP.

mod people;
mod scenarios;

use std::path::PathBuf;

use bridgehead_appservice::Service;
use bridgehead_testkit::{
    SERVER_NAME, Synapse, TestServer, free_port,
    lab::{Lab, LabOptions, registration_for},
};
use futures_util::future::LocalBoxFuture;
use tempfile::TempDir;

/// One scenario: the service that it needs, and what happens.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) service: fn() -> Service,
    pub(crate) play: fn(Lab, Service) -> LocalBoxFuture<'static, anyhow::Result<()>>,
}

fn all() -> impl Iterator<Item = &'static Scenario> {
    scenarios::ALL.iter().chain(people::ALL)
}

/// Registrations that a homeserver of its own is started with.
struct Registered {
    _folder: TempDir,
    texts: Vec<String>,
    files: Vec<PathBuf>,
}

fn register_all() -> anyhow::Result<Registered> {
    let folder = TempDir::new()?;
    let mut texts = Vec::new();
    let mut files = Vec::new();
    for (index, scenario) in all().enumerate() {
        let url = format!("http://127.0.0.1:{}", free_port()?);
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
    })
}

fn play_all(base_url: &str, registered: &Registered) {
    let mut failed = Vec::new();
    for (scenario, text) in all().zip(&registered.texts) {
        let options = LabOptions::default()
            .against(base_url, SERVER_NAME)
            .registration(text);
        let outcome = options.run(async |lab| (scenario.play)(lab, (scenario.service)()).await);
        if let Err(error) = outcome {
            failed.push(format!("{}: {error:?}", scenario.name));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn on_our_homeserver_in_process() {
    let mut failed = Vec::new();
    for scenario in all() {
        let outcome = Lab::run(async |lab| (scenario.play)(lab, (scenario.service)()).await);
        if let Err(error) = outcome {
            failed.push(format!("{}: {error:?}", scenario.name));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn on_our_homeserver_over_http() -> anyhow::Result<()> {
    let registered = register_all()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let host = runtime.block_on(TestServer::start_with(&registered.files, &[]))?;
    play_all(&host.base_url(), &registered);
    runtime.block_on(host.stop());
    Ok(())
}

#[test]
fn on_synapse() -> anyhow::Result<()> {
    let registered = register_all()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let synapse = runtime.block_on(Synapse::start(&registered.files))?;
    play_all(&synapse.base_url(), &registered);
    Ok(())
}
