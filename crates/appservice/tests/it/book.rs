//! The code in the book and in the README is the examples' code. `UPDATE_GENERATED=1` writes it anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

/// What a line before a block of code begins with that is cut from a file: `<!-- from FILE#ANCHOR -->`.
const FROM: &str = "<!-- from ";
const BEGIN: &str = "// ANCHOR: ";
const END: &str = "// ANCHOR_END: ";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn pages() -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root().join("docs/book"))?;
    let paths: Result<Vec<_>, _> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    let mut paths = paths?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.push(root().join("README.md"));
    paths.sort();
    Ok(paths)
}

/// The lines between an anchor's two marks, without other marks, and moved to the left as far as all of them can be.
fn cut(source: &str) -> anyhow::Result<String> {
    let (file, anchor) = source.split_once('#').unwrap_or((source, ""));
    let text = fs::read_to_string(root().join(file)).with_context(|| file.to_owned())?;
    let is_mark = |line: &str, mark: &str| line.trim().strip_prefix(mark) == Some(anchor);
    let mut lines: Vec<&str> = text.lines().collect();
    if !anchor.is_empty() {
        let begin = lines.iter().position(|line| is_mark(line, BEGIN));
        let end = lines.iter().position(|line| is_mark(line, END));
        let (begin, end) = begin
            .zip(end)
            .with_context(|| format!("{source} is not there"))?;
        lines = lines[begin + 1..end].to_vec();
    }
    lines.retain(|line| !line.trim().starts_with(BEGIN) && !line.trim().starts_with(END));
    let filled = lines.iter().filter(|line| !line.trim().is_empty());
    let indents = filled.map(|line| line.len() - line.trim_start().len());
    let indent = indents.min().unwrap_or(0);
    let lines = lines
        .iter()
        .map(|line| line.get(indent..).unwrap_or_default());
    Ok(lines
        .collect::<Vec<_>>()
        .join("\n")
        .trim_matches('\n')
        .to_owned())
}

/// The page with its code cut anew.
fn renewed(page: &str) -> anyhow::Result<String> {
    let mut out = Vec::new();
    let mut lines = page.lines().peekable();
    let mut is_cut = false;
    while let Some(line) = lines.next() {
        out.push(line.to_owned());
        if let Some(source) = line.strip_prefix(FROM) {
            let source = source
                .strip_suffix(" -->")
                .context("a mark ends with -->")?;
            ensure!(lines.next() == Some("```rust"), "code follows {source}");
            let rest = lines.by_ref().take_while(|line| *line != "```");
            rest.for_each(drop);
            out.extend(["```rust".to_owned(), cut(source)?, "```".to_owned()]);
            is_cut = true;
        } else {
            ensure!(
                line != "```rust",
                "code that is cut from no file follows {}",
                out.len()
            );
        }
    }
    ensure!(is_cut || !page.contains("```rust"));
    Ok(out.join("\n") + "\n")
}

#[test]
fn code_in_the_book_is_code_that_runs() -> anyhow::Result<()> {
    let write = std::env::var_os("UPDATE_GENERATED").is_some();
    let mut pieces = 0;
    for path in pages()? {
        let page = fs::read_to_string(&path)?;
        let renewed = renewed(&page).with_context(|| path.display().to_string())?;
        pieces += renewed.matches(FROM).count();
        if write {
            fs::write(&path, &renewed)?;
        }
        ensure!(
            write || renewed == page,
            "{} is not what the examples say: run this test with UPDATE_GENERATED=1",
            path.display()
        );
    }
    ensure!(pieces > 10, "only {pieces} pieces of code were found");
    Ok(())
}

/// Who follows only the book has the whole bridge in the end.
#[test]
fn the_book_shows_every_line_of_the_bridge() -> anyhow::Result<()> {
    let page = fs::read_to_string(root().join("docs/book/bridge-in-an-hour.md"))?;
    let mut shown: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in page.lines() {
        let Some(source) = line.strip_prefix(FROM) else {
            continue;
        };
        let source = source.trim_end_matches(" -->");
        let file = source.split('#').next().unwrap_or_default();
        let lines = cut(source)?;
        let lines = lines.lines().map(|line| line.trim().to_owned());
        shown.entry(file).or_default().extend(lines);
    }
    for name in ["bridge.rs", "link.rs", "main.rs"] {
        let file = format!("crates/appservice/examples/pond/{name}");
        let shown = shown
            .get(&*file)
            .with_context(|| format!("{file} is not shown"))?;
        for line in fs::read_to_string(root().join(&file))?.lines() {
            let line = line.trim();
            let is_code = !line.is_empty() && !line.starts_with("//");
            ensure!(
                !is_code || shown.contains(line),
                "{file}: the book does not show: {line}"
            );
        }
    }
    Ok(())
}

#[test]
fn links_in_the_book_lead_somewhere() -> anyhow::Result<()> {
    let mut links = 0;
    for path in pages()? {
        let page = fs::read_to_string(&path)?;
        for link in page.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let folder = path.parent().context("a page is in a folder")?;
            ensure!(folder.join(target).exists(), "{}: {target}", path.display());
            links += 1;
        }
    }
    ensure!(links > 5, "only {links} links were found");
    Ok(())
}

/// The list of figures, for operators.
#[test]
fn the_books_list_of_figures_is_the_catalogues() -> anyhow::Result<()> {
    let path = root().join("docs/book/metrics.md");
    let text = format!(
        "# Figures of a service\n\n\
         What `/metrics` shows of a service, and what a statsd server is sent ([Deploying](deploying.md) says how). \
         `service` is the\nname of the service. Bridgehead's own figures are in [its list](../metrics.md).\n\n{}",
        bridgehead_appservice::metrics::Metrics::reference()
    );
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, &text)?;
    }
    ensure!(
        fs::read_to_string(&path).is_ok_and(|page| page == text),
        "docs/book/metrics.md is not what the catalogue says: run this test with UPDATE_GENERATED=1"
    );
    Ok(())
}
