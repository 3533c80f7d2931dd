//! The pages of the documentation that are made from the program. `UPDATE_GENERATED=1` writes them anew.

use std::{fs, path::Path};

use anyhow::ensure;

use crate::program::{command, run, said};

fn is_current(page: &str, text: &str) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(page);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, text)?;
    }
    ensure!(
        fs::read_to_string(&path).is_ok_and(|page| page == text),
        "docs/{page} is not what the program says: run this test with UPDATE_GENERATED=1"
    );
    Ok(())
}

#[tokio::test]
async fn the_list_of_keys_is_the_programs() -> anyhow::Result<()> {
    let told = said(run(command(&["config", "reference"])).await?)?;
    ensure!(told.contains("networks") && told.contains("IRC_HOMESERVER_SERVER_NAME"));
    is_current("irc-config.md", &told)
}

#[test]
fn the_list_of_figures_is_the_bridges() -> anyhow::Result<()> {
    let text = format!(
        "# Figures of the IRC bridge\n\n\
         What the bridge's `/metrics` shows, and statsd is sent, beside [what every service shows](metrics.md). Each has the \
         label\n`service` too. [Watching](irc-bridge.md#watching) says how to get at them.\n\n{}",
        bridgehead_irc::figures_reference()
    );
    is_current("book/irc-metrics.md", &text)
}
