//! Files with secrets that others may read.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use bridgehead_testkit::TestServer;
use tempfile::TempDir;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Why a server does not start in this folder.
async fn refusal(folder: TempDir, settings: &[(&str, &str)]) -> String {
    match TestServer::start_in(folder, Vec::new(), settings).await {
        Ok(_) => panic!("the server started"),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test]
async fn no_start_with_a_key_file_that_others_may_read() {
    for name in ["signing.key", "secrets.key", "operator.token"] {
        for mode in [0o640, 0o604, 0o660] {
            let folder = TestServer::start().await.unwrap().stop().await;
            let file = folder.path().join("data").join(name);
            if !file.exists() {
                fs::write(&file, "x").unwrap();
            }
            set_mode(&file, mode);
            let refused = refusal(folder, &[]).await;
            let remedy = format!("may be read by others; run: chmod 600 {}", file.display());
            assert!(refused.contains(&remedy), "{mode:o}: {refused}");
        }
    }
}

#[tokio::test]
async fn no_start_with_a_configured_secret_that_everybody_may_read() {
    for (key, variable) in [
        ("tls.key", "BRIDGEHEAD_TLS_KEY"),
        (
            "accounts.registration_shared_secret_file",
            "BRIDGEHEAD_ACCOUNTS_REGISTRATION_SHARED_SECRET_FILE",
        ),
        ("metrics.token_file", "BRIDGEHEAD_METRICS_TOKEN_FILE"),
    ] {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, "hunter2").unwrap();
        set_mode(&file, 0o604);
        let path = file.to_str().unwrap().to_owned();
        let refused = refusal(folder, &[(variable, &path)]).await;
        assert!(
            refused.contains(key) && refused.contains(&format!("run: chmod o-rwx {path}")),
            "{refused}"
        );
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}
