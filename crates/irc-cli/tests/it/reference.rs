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

/// The page says yes only to what a test shows: each that it names is there, and is played.
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
    let mut count = 0;
    for cell in page.lines().filter_map(|line| line.rsplit(" | ").next()) {
        let names: Vec<&str> = named_tests(cell).collect();
        count += names.len();
        let is_shown = !cell.starts_with("*yes*") || !names.is_empty();
        ensure!(is_shown, "docs/irc-features.md names no test for: {cell}");
        for name in names {
            ensure!(
                is_test(&sources, name) || is_scenario(&sources, name),
                "docs/irc-features.md names {name}, which is no test and in no list of scenarios"
            );
        }
    }
    ensure!(count > 30, "only {count} tests were found");
    Ok(())
}

fn named_tests(cell: &str) -> impl Iterator<Item = &str> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(|name| {
        let mut bytes = name.bytes();
        name.contains('_') && bytes.all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    })
}

/// Whether a function of this name has an attribute that makes it a test.
fn is_test(sources: &str, name: &str) -> bool {
    sources
        .match_indices(&format!("fn {name}("))
        .any(|(at, _)| {
            let before = sources[..at].trim_end().lines().rev().take_while(|line| {
                let line = line.trim();
                !line.is_empty() && line != "}"
            });
            let mut attributes = before.map(str::trim);
            attributes.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
        })
}

/// Whether it is in a list of what is played in a stage.
fn is_scenario(sources: &str, name: &str) -> bool {
    let lists = sources.split("scenarios![").skip(1);
    let mut listed = lists.filter_map(|list| list.split(']').next());
    listed.any(|list| list.split(',').any(|word| word.trim() == name))
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
