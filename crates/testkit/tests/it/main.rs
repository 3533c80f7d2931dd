//! The testkit's own peers, proven against each other: Synapse, and application services behind it.

mod lab;
mod mautrix_logger;
mod synapse;

use bridgehead_testkit::{AppserviceOptions, NamespaceOptions, RecordingAppservice, Synapse};
use std::time::Duration;
use tempfile::TempDir;

/// Synapse tells a service of an event within milliseconds; the rest is for machines that are busy.
const SOON: Duration = Duration::from_secs(30);

/// A service with a namespace of users and one of aliases, behind a Synapse that knows it.
struct Recorded {
    synapse: Synapse,
    service: RecordingAppservice,
    /// Synapse reads the registration again when it is restarted.
    _registrations: TempDir,
}

impl Recorded {
    async fn start() -> anyhow::Result<Self> {
        let mut options = AppserviceOptions::with_users("recorder", "rec_");
        options.aliases = vec![NamespaceOptions {
            regex: "#rec_.*".to_owned(),
            exclusive: true,
        }];
        let service = RecordingAppservice::start(options).await?;
        let registrations = TempDir::new()?;
        let registration = service.write_registration(registrations.path())?;
        let synapse = Synapse::start(&[registration]).await?;
        Ok(Self {
            synapse,
            service,
            _registrations: registrations,
        })
    }
}
