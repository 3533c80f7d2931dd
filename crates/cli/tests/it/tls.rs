//! An application service behind HTTPS: the server talks to it exactly when the machine knows its root.
//!
//! The roots are those of the whole process, so each case is a process of its own.

use crate::BRIDGEHEAD;
use anyhow::Context as _;
use bridgehead_testkit::{Client, Process, TestServer};
use rcgen::generate_simple_self_signed;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_service_with_an_unknown_root_is_refused_and_the_reason_told() {
    let service = Service::start().await.unwrap();
    let (status, body) = service.ping(None).await.unwrap();
    assert_eq!(
        (status, body["errcode"].as_str()),
        (StatusCode::BAD_GATEWAY, Some("M_CONNECTION_FAILED"))
    );
    let text = body["error"].as_str().unwrap();
    assert!(text.contains("certificate"), "{text}");
}

#[tokio::test]
async fn a_service_with_a_root_of_the_operators_is_reached() {
    let service = Service::start().await.unwrap();
    let root = service.file("cert.pem");
    let (status, body) = service.ping(Some(&root)).await.unwrap();
    // It is no application service, but it has answered.
    assert_eq!(
        (status, &body["errcode"], &body["status"]),
        (StatusCode::BAD_GATEWAY, &json!("M_BAD_STATUS"), &json!(404))
    );
}

/// Something that answers HTTPS, and a registration that names it.
struct Service {
    folder: TempDir,
    _server: TestServer,
}

impl Service {
    async fn start() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("bridgehead-tls-")?;
        let certified = generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = folder.path().join("cert.pem");
        let key = folder.path().join("key.pem");
        write_private(&certificate, &certified.cert.pem())?;
        write_private(&key, &certified.signing_key.serialize_pem())?;
        let settings = [
            (
                "BRIDGEHEAD_TLS_CERTIFICATE",
                certificate.to_str().context("path")?,
            ),
            ("BRIDGEHEAD_TLS_KEY", key.to_str().context("path")?),
        ];
        let server = TestServer::start_with(&[], &settings).await?;
        let registration = json!({
            "id": "secure",
            "url": format!("https://localhost:{}", server.server().addresses()[0].port()),
            "as_token": "as-token",
            "hs_token": "hs-token",
            "sender_localpart": "secure-bot",
            "namespaces": {},
        });
        write_private(
            &folder.path().join("secure.yaml"),
            &registration.to_string(),
        )?;
        Ok(Self {
            folder,
            _server: server,
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a server, with these roots or the machine's own, and lets it ping the service.
    async fn ping(&self, roots: Option<&Path>) -> anyhow::Result<(StatusCode, Value)> {
        let mut command = Command::new(BRIDGEHEAD);
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(self.file("data"))
            .args(["--server-name", "localhost", "--listen", "127.0.0.1:0"])
            .arg("--registration")
            .arg(self.file("secure.yaml"));
        if let Some(roots) = roots {
            command.env("SSL_CERT_FILE", roots);
        }
        let server = Process::spawn("bridgehead", command)?;
        let mut url = None;
        server
            .wait_for_output("its address", SOON, |lines| {
                url = lines
                    .iter()
                    .find_map(|line| line.split_once(" at http://"))
                    .map(|(_, address)| format!("http://{address}"));
                url.is_some()
            })
            .await?;
        let bot = Client::new(&url.context("the address was printed")?).with_token("as-token");
        let path = "/_matrix/client/v1/appservice/secure/ping";
        Ok(bot
            .request(Method::POST, path, &[], Some(&json!({})))
            .await?)
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}
