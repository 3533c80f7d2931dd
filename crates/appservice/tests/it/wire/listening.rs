//! Sockets: TCP, TLS, unix; and what a peer without the token can cost.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bridgehead_appservice::{Listen, ListenAddress, ListenError, Listening, prelude::*};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    sync::Semaphore,
};

use crate::{
    harness::{PATIENCE, until},
    rig::{Log, Rig, anywhere, message, recorder, self_signed},
};

fn tcp_of(listening: &Listening) -> SocketAddr {
    match listening.addresses()[0] {
        ListenAddress::Tcp(address) => address,
        ListenAddress::Unix(_) => panic!("no TCP"),
    }
}

/// A transaction as the bytes of HTTP/1.1.
fn request(rig: &Rig, txn_id: &str, event_id: &str) -> String {
    let token = rig.generated.registration.hs_token.expose();
    let body = json!({ "events": [message(event_id)] }).to_string();
    format!(
        "PUT /_matrix/app/v1/transactions/{txn_id} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Writes all of it, and reads until the other side closes.
async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
) -> anyhow::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await??;
    Ok(answer)
}

async fn read_some(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut bytes = vec![0; 4096];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await??;
    Ok(String::from_utf8_lossy(&bytes[..read]).into_owned())
}

#[tokio::test]
async fn all_places_are_served_alike() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let socket = folder.path().join("service.sock");
    let log = Log::default();
    let rig = Rig::start(recorder(&log)).await?;
    let listen = Listen::tcp(anywhere())
        .and(ListenAddress::Tcp(anywhere()))
        .and(ListenAddress::Unix(socket.clone()));
    let listening = rig.running.listen(listen).await?;
    let addresses = listening.addresses().to_vec();
    assert_eq!(addresses.len(), 3);
    for (index, address) in addresses.iter().enumerate() {
        let request = request(&rig, &index.to_string(), &format!("${index}"));
        let answer = match address {
            ListenAddress::Tcp(address) => {
                assert_ne!(address.port(), 0);
                exchange(TcpStream::connect(address).await?, &request).await?
            }
            ListenAddress::Unix(path) => {
                exchange(UnixStream::connect(path).await?, &request).await?
            }
        };
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$0", "$1", "$2"]);
    let mode = std::fs::metadata(&socket)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    listening.stop().await;
    assert!(!socket.exists());
    let ListenAddress::Tcp(first) = addresses[0] else {
        panic!("no TCP")
    };
    assert!(TcpStream::connect(first).await.is_err());
    Ok(())
}

#[tokio::test]
async fn tls_with_the_authors_certificate() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let (certificate, key) = self_signed(folder.path())?;
    let log = Log::default();
    let rig = Rig::start(recorder(&log)).await?;
    let listen = Listen::tcp(anywhere()).tls(&certificate, &key);
    let listening = rig.running.listen(listen).await?;
    let pem = std::fs::read(&certificate)?;
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem)?])
        .build()?;
    let port = tcp_of(&listening).port();
    let token = rig.generated.registration.hs_token.expose();
    let answer = client
        .put(format!(
            "https://localhost:{port}/_matrix/app/v1/transactions/1"
        ))
        .bearer_auth(token)
        .body(json!({ "events": [message("$a")] }).to_string())
        .send()
        .await?;
    assert_eq!(answer.status().as_u16(), 200);
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$a"]);
    let missing = folder.path().join("missing.pem");
    let listen = Listen::tcp(anywhere()).tls(&missing, &key);
    let error = rig
        .running
        .listen(listen)
        .await
        .expect_err("no certificate");
    assert!(matches!(error, ListenError::Tls { .. }));
    assert!(error.to_string().contains("missing.pem"), "{error}");
    Ok(())
}

/// Whether a connection shows the certificate of this file.
async fn shows(listening: &Listening, certificate: &std::path::Path) -> anyhow::Result<bool> {
    let pem = std::fs::read(certificate)?;
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem)?])
        .no_proxy()
        .build()?;
    let port = tcp_of(listening).port();
    let asked = client
        .get(format!("https://localhost:{port}/"))
        .send()
        .await;
    Ok(asked.is_ok())
}

#[tokio::test]
async fn a_renewed_certificate_is_used_by_request_and_by_itself() -> anyhow::Result<()> {
    let (folder, next) = (TempDir::new()?, TempDir::new()?);
    let (certificate, key) = self_signed(folder.path())?;
    let rig = Rig::start(recorder(&Log::default())).await?;
    let asked = Listen::tcp(anywhere()).tls(&certificate, &key);
    let mut alone = asked.clone();
    alone.renew_every = Duration::from_millis(20);
    let asked = rig.running.listen(asked).await?;
    assert!(shows(&asked, &certificate).await?);
    assert!(!asked.renew_certificate().await?, "it is as before");
    let (new_certificate, new_key) = self_signed(next.path())?;
    std::fs::copy(&new_certificate, &certificate)?;
    // Half renewed: a certificate and another one's key.
    let error = asked
        .renew_certificate()
        .await
        .expect_err("they do not belong together");
    assert!(matches!(error, ListenError::Tls { .. }), "{error}");
    assert!(
        !shows(&asked, &new_certificate).await?,
        "the one from before is used on"
    );
    std::fs::copy(&new_key, &key)?;
    assert!(asked.renew_certificate().await?);
    assert!(shows(&asked, &new_certificate).await?);
    let alone = rig.running.listen(alone).await?;
    assert!(shows(&alone, &new_certificate).await?);
    let (third, third_key) = self_signed(next.path())?;
    std::fs::copy(&third_key, &key)?;
    std::fs::copy(&third, &certificate)?;
    until("the third is shown", || async {
        shows(&alone, &third).await.unwrap_or(false)
    })
    .await?;
    assert!(
        !shows(&asked, &third).await?,
        "nobody has asked for it there"
    );
    Ok(())
}

#[tokio::test]
async fn a_sockets_file_of_before_is_replaced_and_nothing_else() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let rig = Rig::start(recorder(&Log::default())).await?;
    let stale = folder.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale)?);
    assert!(stale.exists());
    let listening = rig.running.listen(Listen::unix(&stale)).await?;
    UnixStream::connect(&stale).await?;
    // The second process is told, and does not take the socket away from the first.
    let error = rig
        .running
        .listen(Listen::unix(&stale))
        .await
        .expect_err("in use");
    assert!(
        error.to_string().contains("another process listens there"),
        "{error}"
    );
    UnixStream::connect(&stale).await?;
    drop(listening);
    until("the file is gone", || async { !stale.exists() }).await?;
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "important")?;
    let error = rig
        .running
        .listen(Listen::unix(&file))
        .await
        .expect_err("a file");
    assert!(
        error.to_string().contains("file of another kind"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&file)?, "important");
    Ok(())
}

#[tokio::test]
async fn one_bad_address_and_nothing_listens() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let socket = folder.path().join("service.sock");
    let rig = Rig::start(recorder(&Log::default())).await?;
    let taken = std::net::TcpListener::bind(anywhere())?;
    let address = taken.local_addr()?;
    let listen = Listen::unix(&socket).and(ListenAddress::Tcp(address));
    let error = rig.running.listen(listen).await.expect_err("taken");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(!socket.exists());
    let nowhere = rig.running.listen(Listen::default()).await;
    assert!(matches!(nowhere, Err(ListenError::Nowhere)));
    Ok(())
}

#[test]
fn addresses_are_read_as_they_are_shown() {
    for text in ["127.0.0.1:9000", "[::1]:0", "unix:/run/service.sock"] {
        let address: ListenAddress = text.parse().expect(text);
        assert_eq!(address.to_string(), text);
    }
    for text in ["", "9000", "localhost", "unix:", "http://localhost:1"] {
        let error = text.parse::<ListenAddress>().expect_err(text);
        assert!(
            error.to_string().contains("unix:/path/to/socket"),
            "{text}: {error}"
        );
    }
}

#[tokio::test]
async fn a_wrong_token_is_answered_before_the_body_comes() -> anyhow::Result<()> {
    let log = Log::default();
    let rig = Rig::start(recorder(&log)).await?;
    let listening = rig.running.listen(Listen::tcp(anywhere())).await?;
    for (header, status) in [("", "401"), ("authorization: Bearer wrong\r\n", "403")] {
        for length in ["content-length: 60000000", "transfer-encoding: chunked"] {
            let mut stream = TcpStream::connect(tcp_of(&listening)).await?;
            let head = format!(
                "PUT /_matrix/app/v1/transactions/1 HTTP/1.1\r\nhost: x\r\n{header}{length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            // Of the body, nothing has been sent when the answer is here.
            let answer = read_some(&mut stream).await?;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn too_large_is_said_before_the_body_comes() -> anyhow::Result<()> {
    let rig = Rig::start(recorder(&Log::default())).await?;
    let listening = rig.running.listen(Listen::tcp(anywhere())).await?;
    let token = rig.generated.registration.hs_token.expose();
    let mut stream = TcpStream::connect(tcp_of(&listening)).await?;
    let head = format!(
        "PUT /_matrix/app/v1/transactions/1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-length: {}\r\n\r\n",
        (64 << 20) + 1
    );
    stream.write_all(head.as_bytes()).await?;
    let answer = read_some(&mut stream).await?;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_transaction() -> anyhow::Result<()> {
    let log = Log::default();
    let rig = Rig::start(recorder(&log)).await?;
    let listening = rig.running.listen(Listen::tcp(anywhere())).await?;
    let whole = request(&rig, "1", "$a");
    for cut in [whole.len() - 1, whole.len() - 30] {
        let mut stream = TcpStream::connect(tcp_of(&listening)).await?;
        stream.write_all(&whole.as_bytes()[..cut]).await?;
        drop(stream);
    }
    let answer = exchange(TcpStream::connect(tcp_of(&listening)).await?, &whole).await?;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    rig.settled().await?;
    assert_eq!(*log.lock(), ["$a"]);
    Ok(())
}

/// How long a peer is kept that says only this.
async fn kept_for(address: SocketAddr, said: &str) -> anyhow::Result<Duration> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(said.as_bytes()).await?;
    let started = Instant::now();
    let mut rest = Vec::new();
    // A reset is an end, too.
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await?
        .ok();
    Ok(started.elapsed())
}

#[tokio::test]
async fn who_says_nothing_is_not_kept() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let (certificate, key) = self_signed(folder.path())?;
    let rig = Rig::start(recorder(&Log::default())).await?;
    let mut listen = Listen::tcp(anywhere());
    listen.head_timeout = Duration::from_millis(200);
    let plain = rig.running.listen(listen.clone()).await?;
    let tls = rig.running.listen(listen.tls(&certificate, &key)).await?;
    for said in [
        "",
        "PRI * HTTP/2.0\r\n",
        "PUT /",
        "PUT /a HTTP/1.1\r\nhost: a\r\nx: ",
    ] {
        kept_for(tcp_of(&plain), said).await?;
        kept_for(tcp_of(&tls), said).await?;
    }
    Ok(())
}

#[tokio::test]
async fn connections_are_bounded() -> anyhow::Result<()> {
    let rig = Rig::start(recorder(&Log::default())).await?;
    let mut listen = Listen::tcp(anywhere());
    listen.max_connections = 2;
    let listening = rig.running.listen(listen).await?;
    let address = tcp_of(&listening);
    let begun = "GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive\r\n\r\n";
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(begun.as_bytes()).await?;
        assert!(read_some(&mut stream).await?.starts_with("HTTP/1.1 404 "));
        kept.push(stream);
    }
    let mut third = TcpStream::connect(address).await?;
    third.write_all(begun.as_bytes()).await.ok();
    assert_eq!(read_some(&mut third).await.unwrap_or_default(), "");
    kept.pop();
    until("there is room for another", || async {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let request = request(&rig, "1", "$a");
        exchange(stream, &request)
            .await
            .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
    })
    .await
}

#[tokio::test]
async fn requests_under_way_are_answered_when_listening_ends() -> anyhow::Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let entered = Arc::new(AtomicBool::new(false));
    let (waits, enters) = (gate.clone(), entered.clone());
    let service = Service::new("slow")
        .aliases("#slow_{name}")
        .on_alias(move |_: AliasAsk| {
            let (gate, entered) = (waits.clone(), enters.clone());
            async move {
                entered.store(true, Ordering::Relaxed);
                gate.acquire().await.expect("never closed").forget();
                None::<RoomPlan>
            }
        });
    let rig = Rig::start(service).await?;
    let listening = rig.running.listen(Listen::tcp(anywhere())).await?;
    let address = tcp_of(&listening);
    let token = rig.generated.registration.hs_token.expose();
    let head = format!(
        "GET /rooms/%23slow_a%3Alocalhost HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let stream = TcpStream::connect(address).await?;
    let asking = tokio::spawn(async move { exchange(stream, &head).await });
    until("it is asked", || async { entered.load(Ordering::Relaxed) }).await?;
    let stopping = tokio::spawn(async move {
        until("nobody is let in any more", || async {
            TcpStream::connect(address).await.is_err()
        })
        .await
    });
    let ((), closed) = tokio::join!(listening.stop(), async {
        let closed = stopping.await;
        gate.add_permits(1);
        closed
    });
    closed??;
    let answer = asking.await??;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    Ok(())
}
