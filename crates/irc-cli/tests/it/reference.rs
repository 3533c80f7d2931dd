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

/// The page says yes only to what a test shows: each that it names is there.
#[test]
fn the_tests_that_the_list_of_features_names_are_there() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/irc-features.md"))?;
    let mut sources = String::new();
    let crates = [
        "appservice",
        "irc-bridge",
        "irc-cli",
        "irc-import",
        "irc-keeper",
        "irc-protocol",
    ];
    for name in crates {
        read_all(&root.join("crates").join(name), &mut sources)?;
    }
    let ours = page.lines().filter_map(|line| line.rsplit(" | ").next());
    let names = ours.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let is_test = |name: &&str| {
        name.contains('_')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let names: Vec<&str> = names.filter(is_test).collect();
    ensure!(names.len() > 30, "only {} tests were found", names.len());
    for name in names {
        let is_there = sources.contains(&format!("fn {name}("));
        ensure!(
            is_there,
            "docs/irc-features.md names {name}, and there is no such test"
        );
    }
    Ok(())
}

fn read_all(folder: &Path, into: &mut String) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_all(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path)?);
        }
    }
    Ok(())
}
