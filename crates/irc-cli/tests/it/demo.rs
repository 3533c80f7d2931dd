//! `bridgehead-irc demo` shows a conversation, and ends.

use std::time::Duration;

use bridgehead_testkit::Process;
use tokio::process::Command;

/// On a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// What both sides have seen, with and without ngIRCd.
async fn shows_both_sides(ngircd: Option<&str>, kind: &str) -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridgehead-irc"));
    command.arg("demo");
    if let Some(path) = ngircd {
        command.env("BRIDGEHEAD_TEST_NGIRCD", path);
    }
    let mut process = Process::spawn("bridgehead-irc", command)?;
    process
        .wait_for_output("its last line", PATIENCE, |lines| {
            lines.iter().any(|line| line.starts_with("All of it took"))
        })
        .await?;
    let output = process.output();
    for wanted in [
        kind,
        "   <alice[m]> Hello IRC!",
        "   <alice[m]> ␂never␂, says ␝everybody",
        "   ← bob has kicked carol[m] (this is a tea room)",
        "   <bob> Hello Matrix. Milk in first?",
        "   @alice:localhost: Hello IRC!",
        "   @irc_demo_bob:localhost: Hello Matrix. Milk in first?",
        "   * @irc_demo_bob:localhost pours the milk",
        "   @alice:localhost: (edited) I will have mine with lemon",
        "has removed @carol:localhost (this is a tea room)",
    ] {
        assert!(
            output.iter().any(|line| line.contains(wanted)),
            "no {wanted:?}"
        );
    }
    let ended = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(status) = process.ended()? {
                return anyhow::Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(ended.await??.success());
    Ok(())
}

#[tokio::test]
async fn with_ngircd() -> anyhow::Result<()> {
    shows_both_sides(None, "ngIRCd at").await
}

#[tokio::test]
async fn with_the_small_server_where_there_is_no_ngircd() -> anyhow::Result<()> {
    shows_both_sides(Some("/nowhere/ngircd"), "a small one in memory").await
}
