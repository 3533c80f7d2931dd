//! What an operator types before the bridge runs.

use bridgehead_testkit::TestServer;
use tempfile::TempDir;

use crate::program::{Program, command, run, said};

#[tokio::test]
async fn help_names_the_kits_commands_and_those_beside_them() -> anyhow::Result<()> {
    let told = said(run(command(&["--help"])).await?)?;
    assert!(
        told.starts_with("A bridge between Matrix and IRC"),
        "{told}"
    );
    for word in ["register", "doctor", "config", "demo", "import"] {
        assert!(told.contains(word), "no {word}: {told}");
    }
    Ok(())
}

/// The book's first steps.
#[tokio::test]
async fn the_first_start_writes_a_configuration_and_says_what_it_lacks() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let mut first = command(&[
        "--server-name",
        "example.org",
        "--homeserver",
        "http://localhost:8008",
    ]);
    first.current_dir(folder.path());
    let output = run(first).await?;
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        complaint.contains("there is no network to bridge to"),
        "{complaint}"
    );
    let written = std::fs::read_to_string(folder.path().join("irc.toml"))?;
    assert!(
        written.contains("server_name = \"example.org\""),
        "{written}"
    );
    // What the book says to write.
    let own = "\n[networks.libera]\nservers = [\"irc.libera.chat:6697\"]\n\
               [networks.libera.bot]\nnick = \"examplebridge\"\n";
    std::fs::write(folder.path().join("irc.toml"), written + own)?;
    let mut check = command(&["config", "check"]);
    check.current_dir(folder.path());
    assert!(said(run(check).await?)?.contains("good"));
    Ok(())
}

#[tokio::test]
async fn mistakes_in_the_configuration_are_told_by_key() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let program = Program::beside(&host, "[networks.Net]\nserver = [\"x:1\"]\n")?;
    let output = program.ask(&["config", "check"]).await?;
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8_lossy(&output.stderr);
    for part in ["networks.Net", "irc.toml"] {
        assert!(complaint.contains(part), "{complaint}");
    }
    Ok(())
}
