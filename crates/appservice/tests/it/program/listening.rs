//! Where `main` listens: a unix socket and TLS, by the configuration alone, with the homeserver behind what an operator
//! would put in front of them.

use std::path::PathBuf;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use tokio::{
    net::{TcpListener, UnixStream},
    task::JoinHandle,
};

use super::*;
use crate::rig::self_signed;

/// Takes plain HTTP over TCP, and brings it to where the service listens.
struct Front {
    address: String,
    serving: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Front {
    /// Before a unix socket, byte by byte.
    async fn before_socket(socket: PathBuf) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let serving = tokio::spawn(async move {
            while let Ok((mut outside, _)) = listener.accept().await {
                let socket = socket.clone();
                tokio::spawn(async move {
                    if let Ok(mut inside) = UnixStream::connect(&socket).await {
                        // Either side may break off.
                        tokio::io::copy_bidirectional(&mut outside, &mut inside)
                            .await
                            .ok();
                    }
                });
            }
        });
        Ok(Self { address, serving })
    }

    /// Before a service with TLS whose certificate alone is trusted.
    async fn before_tls(port: u16, certificate: &Path) -> anyhow::Result<Self> {
        let client = trusting(certificate)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(move |request: Request| {
            let client = client.clone();
            async move {
                let passed = pass(client, port, request).await;
                passed.unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into_response())
            }
        });
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.ok();
        });
        Ok(Self { address, serving })
    }
}

fn trusting(certificate: &Path) -> anyhow::Result<reqwest::Client> {
    let pem = reqwest::Certificate::from_pem(&std::fs::read(certificate)?)?;
    let client = reqwest::Client::builder().no_proxy();
    Ok(client.tls_certs_only([pem]).build()?)
}

async fn pass(client: reqwest::Client, port: u16, request: Request) -> anyhow::Result<Response> {
    let (head, body) = request.into_parts();
    let answer = client
        .request(head.method, format!("https://localhost:{port}{}", head.uri))
        .headers(head.headers)
        .body(to_bytes(body, 1 << 20).await?)
        .send()
        .await?;
    let status = answer.status();
    Ok((status, Body::from(answer.bytes().await?)).into_response())
}

/// A message goes in and comes back, through two lives of the service.
async fn works(host: &TestServer, parrot: &mut Parrot) -> anyhow::Result<()> {
    parrot.start()?;
    parrot
        .says("the homeserver does not have this registration")
        .await?;
    parrot.does(&["register", "--apply"]).await?;
    parrot.says("the service works").await?;
    let alice = host.user("alice").await?;
    let room = room_with_parrot(&alice).await?;
    alice.send_text(&room, "1", "hello").await?;
    repeated(&alice, &room, "hello").await?;
    ensure!(parrot.process()?.terminate().await?.code() == Some(0));
    parrot.start()?;
    alice.send_text(&room, "2", "and again").await?;
    repeated(&alice, &room, "and again").await
}

#[tokio::test]
async fn a_unix_socket_of_the_configuration() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    let socket = parrot.file("parrot.sock");
    let front = Front::before_socket(socket.clone()).await?;
    parrot.set("LISTEN_ADDRESS", &format!("unix:{}", socket.display()));
    parrot.set("LISTEN_PUBLIC_ADDRESS", &front.address);
    works(&host, &mut parrot).await?;
    ensure!(socket.exists());
    ensure!(parrot.process()?.terminate().await?.code() == Some(0));
    ensure!(!socket.exists(), "the socket's file is left behind");
    Ok(())
}

#[tokio::test]
async fn tls_of_the_configuration() -> anyhow::Result<()> {
    let host = TestServer::start().await?;
    let mut parrot = Parrot::beside(&host)?;
    let (certificate, key) = self_signed(parrot.folder.path())?;
    let front = Front::before_tls(parrot.port, &certificate).await?;
    parrot.set("LISTEN_CERTIFICATE", &certificate.to_string_lossy());
    parrot.set("LISTEN_KEY", &key.to_string_lossy());
    parrot.set("LISTEN_PUBLIC_ADDRESS", &front.address);
    works(&host, &mut parrot).await?;
    let live = format!("https://localhost:{}/live", parrot.port);
    let answer = trusting(&certificate)?.get(live).send().await?;
    ensure!(answer.status().is_success());
    ensure!(parrot.page("/live", None).await.is_err(), "without TLS");
    Ok(())
}
