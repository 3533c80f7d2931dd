//! The bridge's configuration: any text is one or refused with words, and one that is right is the same when it is written
//! out and read again.

#![no_main]

use std::{fs, path::PathBuf, sync::LazyLock};

use bridgehead_appservice::config::{Mistakes, Whole, example_with, load};
use bridgehead_irc::Settings;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(|text: &str| {
    // These name files, of which there are some that never end.
    if text.contains("_file") {
        return;
    }
    match read(text) {
        Ok(config) => same_again(&config),
        Err(mistakes) => refused(&mistakes),
    }
});

fn read(text: &str) -> Result<Whole<Settings>, Mistakes> {
    let path: PathBuf = FOLDER.path().join("irc.toml");
    fs::write(&path, text).expect("a file");
    load::<Whole<Settings>>(Some(&path), [], "IRC").map(|loaded| loaded.config)
}

/// Secrets are not written out, so what has some may lack them afterwards, and say so.
fn same_again(config: &Whole<Settings>) {
    let written = example_with(config);
    match read(&written) {
        Ok(again) => assert_eq!(example_with(&again), written),
        Err(mistakes) => refused(&mistakes),
    }
}

/// Each mistake says what is wrong and what to do.
fn refused(mistakes: &Mistakes) {
    assert!(mistakes.iter().next().is_some());
    for mistake in mistakes.iter() {
        let told = mistake.to_string();
        assert!(
            !mistake.problem.is_empty() && !mistake.remedy.is_empty(),
            "{told}"
        );
    }
}
