//! `cargo xtask book`: does what a reader of *Write a bridge in an hour* does. Begins with an empty folder, writes into
//! it what the chapter shows and nothing else, and runs the tests there.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};

use crate::tasks::{cargo, run};

const CHAPTER: &str = "docs/book/bridge-in-an-hour.md";
/// What a line before a block of code begins with that is cut from a file: `<!-- from FILE#ANCHOR -->`.
const FROM: &str = "<!-- from ";
/// Where the kit's sources are in the chapter's manifest.
const SOURCES: &str = "../bridgehead/";
/// Which file of the reader's each file of ours is.
const FILES: [(&str, &str); 4] = [
    ("crates/appservice/examples/pond/main.rs", "src/main.rs"),
    ("crates/appservice/examples/pond/bridge.rs", "src/bridge.rs"),
    ("crates/appservice/examples/pond/link.rs", "src/link.rs"),
    ("crates/appservice/tests/it/pond.rs", "tests/pond.rs"),
];
/// The network itself, which the reader copies whole, and its place.
const COPIED: (&str, &str) = (
    "crates/appservice/examples/pond_server.rs",
    "examples/pond_server.rs",
);
/// What the reader writes in other words: where the bridge's files are, seen from its tests.
const PATHS: [(&str, &str); 2] = [
    ("../../examples/pond/", "../src/"),
    (
        "../../examples/pond_server.rs",
        "../examples/pond_server.rs",
    ),
];

/// Puts the chapter's folder together and runs its tests.
pub(crate) fn book(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("target/book/pond-bridge");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let chapter = fs::read_to_string(root.join(CHAPTER)).context(CHAPTER)?;
    let manifest = block(&chapter, "```toml")
        .find(|text| text.contains("[package]"))
        .context("the chapter has no manifest")?;
    let sources = format!("{}/", root.display());
    // The folder lies inside our workspace, the reader's does not.
    let manifest = manifest.replace(SOURCES, &sources) + "\n[workspace]\n";
    write(&folder, "Cargo.toml", &manifest)?;
    for (ours, theirs) in FILES {
        let text = shown(&chapter, ours);
        ensure!(!text.is_empty(), "the chapter shows nothing of {ours}");
        let text = PATHS
            .iter()
            .fold(text, |text, (from, to)| text.replace(from, to));
        write(&folder, theirs, &text)?;
    }
    let copied = fs::read_to_string(root.join(COPIED.0)).context(COPIED.0)?;
    write(&folder, COPIED.1, &copied)?;
    // The same versions as here: most are at hand, and what fails is not somebody else's new release.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    run(cargo(&folder)
        .arg("test")
        .env("CARGO_TARGET_DIR", root.join("target/book/target")))
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
    fs::write(&path, text).with_context(|| path.display().to_string())
}

/// The blocks that begin with this line.
fn block<'a>(page: &'a str, fence: &'a str) -> impl Iterator<Item = String> + 'a {
    let mut lines = page.lines();
    std::iter::from_fn(move || {
        lines.by_ref().find(|line| *line == fence)?;
        let block = lines.by_ref().take_while(|line| *line != "```");
        Some(block.collect::<Vec<_>>().join("\n"))
    })
}

/// All that a page shows of a file, in the page's order.
fn shown(page: &str, file: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once(FROM) {
        rest = after;
        if after.starts_with(file)
            && let Some(code) = block(after, "```rust").next()
        {
            text.push_str(&code);
            text.push_str("\n\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_shows_of_a_file_is_all_of_its_blocks() {
        let page = "<!-- from a.rs#x -->\n```rust\none\n```\n\n<!-- from b.rs#x -->\n```rust\ntwo\n```\n\
                    ```toml\nthree\n```\n<!-- from a.rs#y -->\n```rust\nfour\n```\n";
        assert_eq!(shown(page, "a.rs"), "one\n\nfour\n\n");
        assert_eq!(shown(page, "c.rs"), "");
        assert_eq!(block(page, "```toml").collect::<Vec<_>>(), ["three"]);
    }
}
