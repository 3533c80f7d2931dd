//! Where the examples are. What they do: `programs`, `suite::examples`.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};

/// An example as it was built with this test.
pub(crate) fn example(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let target = test
        .ancestors()
        .nth(2)
        .context("tests lie in target/…/deps")?;
    let path = target.join("examples").join(name);
    ensure!(path.is_file(), "{} was not built", path.display());
    Ok(path)
}
