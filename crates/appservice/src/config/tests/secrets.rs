//! Secrets: as text, from files, and nowhere else.

use std::{fs, path::PathBuf};

use super::*;

/// A folder with a file that holds a secret, readable by everybody or not.
fn secret_file(contents: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    fs::write(&path, contents).expect("a file");
    set_mode(&path, mode);
    (folder, path)
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
}

fn password(loaded: Result<Loaded<Irc>, Mistakes>) -> Result<String, String> {
    let config = loaded.map_err(|mistakes| mistakes.to_string())?.config;
    let password = config.server.password;
    Ok(password
        .get()
        .map_or("", |secret| secret.expose())
        .to_owned())
}

#[test]
fn secrets_come_as_text_or_from_a_file() {
    let (_folder, path) = secret_file("  from file \n", 0o640);
    let file = path.to_str().expect("a path");
    let base = "network = \"x\"\n[server]\n";
    let as_text = format!("{base}password = \"as text\"");
    let as_file = format!("{base}password_file = {file:?}");
    for (text, env, wanted) in [
        (base, &[][..], ""),
        (&as_text, &[], "as text"),
        (&as_file, &[], "from file"),
        (base, &[("IRC_SERVER_PASSWORD", "variable")], "variable"),
        (base, &[("IRC_SERVER_PASSWORD_FILE", file)], "from file"),
        // A variable wins over the file, whichever way either says it.
        (&as_text, &[("IRC_SERVER_PASSWORD_FILE", file)], "from file"),
        (&as_file, &[("IRC_SERVER_PASSWORD", "variable")], "variable"),
    ] {
        assert_eq!(
            password(read(text, env)).as_deref(),
            Ok(wanted),
            "{text} {env:?}"
        );
    }
    // Relative to the configuration's folder.
    let config = path.with_file_name("irc.toml");
    let text = format!("{base}password_file = \"secret\"");
    let loaded = load_from::<Irc>(&config, &text, &[]);
    assert_eq!(password(loaded).as_deref(), Ok("from file"));
}

#[test]
fn files_with_secrets_are_looked_at_closely() {
    let base = "network = \"x\"\n[server]\n";
    for (contents, mode, problem) in [
        (" \n", 0o600, "is empty"),
        (&"x".repeat(70_000), 0o600, "larger than 65536 bytes"),
    ] {
        let (_folder, path) = secret_file(contents, mode);
        let text = format!("{base}password_file = {path:?}");
        let told = bad(&text, &[]);
        assert!(told.contains(problem), "{told}");
        assert!(
            told.starts_with("irc.toml:3:17: server.password_file: "),
            "{told}"
        );
    }
    for (text, problem) in [
        ("password_file = \"/\"", "/ is not a file"),
        (
            "password_file = \"/no/such\"",
            "cannot read /no/such: no such file",
        ),
        (
            "password_file = 5",
            "expected the path of a file, found a number",
        ),
        (
            "password = \" \"",
            "expected a secret text that is not empty, found a text",
        ),
        (
            "password = \"a\"\npassword_file = \"b\"",
            "given beside server.password; keep one",
        ),
        (
            "passwort_file = \"b\"",
            "did you mean server.password_file?",
        ),
    ] {
        let told = bad(&format!("{base}{text}"), &[]);
        assert!(told.contains(problem), "{told}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let text = "network = \"x\"\n[server]\npassword = \"hunter2\"\n";
    let loaded = read(text, &[]).expect("right");
    let shown = format!("{loaded:?} {}", example_with(&loaded.config));
    assert!(!shown.contains("hunter2"), "{shown}");
    let json = serde_json::to_string(&loaded.config).expect("JSON");
    assert!(
        json.contains("(secret ") && !json.contains("hunter2"),
        "{json}"
    );
    // What was serialised for a comparison is not taken back as if it were the secret.
    let told = serde_json::from_str::<Irc>(&json)
        .expect_err("refused")
        .to_string();
    assert!(told.contains("the mark of a secret"), "{told}");
    let marked = text.replace("hunter2", "(secret hunter2)");
    let told = bad(&marked, &[]);
    assert!(
        told.contains("server.password: not accepted") && !told.contains("hunter2"),
        "{told}"
    );
}

#[test]
fn a_file_with_secrets_that_everybody_may_read_is_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("irc.toml");
    fs::write(&path, "network = \"x\"\nserver.password = \"hunter2\"\n").expect("a file");
    let warnings = |mode| {
        set_mode(&path, mode);
        let loaded = load::<Irc>(Some(&path), [], "IRC").expect("right");
        let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        warnings.join("\n")
    };
    assert_eq!(warnings(0o640), "");
    let told = warnings(0o644);
    assert!(
        told.contains("everybody on this machine may read server.password; run: chmod o-rwx"),
        "{told}"
    );
}

/// Containers mount them so, and read-only.
#[test]
fn a_secret_in_a_file_that_everybody_may_read_is_a_warning() {
    for (mode, is_told) in [(0o600, false), (0o440, false), (0o644, true), (0o444, true)] {
        let (_folder, path) = secret_file("hunter2", mode);
        let text = format!("network = \"x\"\n[server]\npassword_file = {path:?}");
        let loaded = read(&text, &[]);
        let warnings: Vec<String> = loaded
            .iter()
            .flat_map(|loaded| loaded.warnings.iter().map(ToString::to_string))
            .collect();
        assert_eq!(password(loaded).as_deref(), Ok("hunter2"), "{mode:o}");
        let told = warnings.join("\n");
        assert_eq!(!told.is_empty(), is_told, "{mode:o}: {told}");
        if is_told {
            assert!(
                told.starts_with("irc.toml:3:17: server.password_file: everybody on this machine may read the secret"),
                "{told}"
            );
            assert!(
                told.contains("chmod o-rwx") && !told.contains("hunter2"),
                "{told}"
            );
        }
    }
}
