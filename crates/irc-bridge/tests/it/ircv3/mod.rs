//! What the newer parts of IRC are for, with homeserver, bridge and IRC server in one process.

mod alone;
mod lines;
mod login;
mod monitor;
mod renames;
mod sts;

use std::time::Duration;

use bridgehead_testkit::lab::Lab;

/// Waits until this is so, by a clock that stands still meanwhile.
async fn until(
    lab: &Lab,
    what: &str,
    mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    for _ in 0..600 {
        if is_so().await? {
            return Ok(());
        }
        lab.pass(Duration::from_secs(1)).await;
    }
    anyhow::bail!("waited in vain for {what}")
}
