//! HTTPS, with a certificate made for the test.

use std::path::PathBuf;

use bridgehead_testkit::TestServer;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tempfile::TempDir;

/// Certificate and key in files that only their owner may read.
pub(crate) struct Files {
    folder: TempDir,
    certified: CertifiedKey<KeyPair>,
}

impl Files {
    pub(crate) fn new() -> Self {
        let certified = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = TempDir::new().unwrap();
        let files = Self { folder, certified };
        files.write("cert.pem", &files.certified.cert.pem());
        files.write("key.pem", &files.certified.signing_key.serialize_pem());
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(self.path(name), text).unwrap();
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.path(name), mode).unwrap();
    }

    pub(crate) async fn start(&self) -> anyhow::Result<TestServer> {
        let certificate = self.path("cert.pem");
        let key = self.path("key.pem");
        let settings = [
            ("BRIDGEHEAD_TLS_CERTIFICATE", certificate.to_str().unwrap()),
            ("BRIDGEHEAD_TLS_KEY", key.to_str().unwrap()),
        ];
        TestServer::start_with(&[], &settings).await
    }
}

fn client(files: &Files, is_trusting: bool) -> reqwest::Client {
    let certificate = reqwest::Certificate::from_der(files.certified.cert.der()).unwrap();
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only(is_trusting.then_some(certificate))
        .build()
        .unwrap()
}

#[tokio::test]
async fn the_server_speaks_https() {
    let files = Files::new();
    let server = files.start().await.unwrap();
    let port = server.server().addresses()[0].port();
    let url = format!("https://localhost:{port}/_matrix/client/versions");
    let answer = client(&files, true).get(&url).send().await.unwrap();
    assert!(answer.status().is_success());
    client(&files, false).get(&url).send().await.unwrap_err();
    let plain = url.replace("https", "http");
    client(&files, true).get(&plain).send().await.unwrap_err();
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused_at_the_start() {
    let files = Files::new();
    let other = KeyPair::generate().unwrap();
    for (key, reason) in [
        (other.serialize_pem().as_str(), "KeyMismatch"),
        ("nonsense", "key"),
    ] {
        files.write("key.pem", key);
        let error = files
            .start()
            .await
            .err()
            .expect("the server must not start");
        let text = format!("{error:#}");
        assert!(text.contains("cannot use the TLS certificate"), "{text}");
        assert!(text.contains("key.pem") && text.contains(reason), "{text}");
    }
}
