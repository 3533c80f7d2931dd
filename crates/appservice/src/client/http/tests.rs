//! Against homeservers that answer nonsense: bytes written by hand on a loopback socket.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::HttpTransport;
use crate::surroundings::{Transport as _, TransportError};

/// What a test gives the homeserver for its answer.
const TIMEOUT: Duration = Duration::from_millis(300);

/// Far more than anything here may take.
const AT_MOST: Duration = Duration::from_secs(20);

const LIMIT: usize = 1 << 20;

/// Asks a homeserver that does this with each connection, once it has read the request.
async fn ask<F: Future<Output = ()> + Send + 'static>(
    answers: impl Fn(TcpStream) -> F + Send + Sync + Copy + 'static,
) -> Result<http::Response<Bytes>, TransportError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut head = [0; 4096];
                if stream.read(&mut head).await.is_ok() {
                    answers(stream).await;
                }
            });
        }
    });
    let transport = HttpTransport::with_timeout(&base, TIMEOUT).expect("an address");
    let request = Request::get("/_matrix/client/versions?access_token=hidden")
        .body(Bytes::new())
        .expect("a request");
    let started = Instant::now();
    let answer = transport.call(request, LIMIT).await;
    assert!(started.elapsed() < AT_MOST, "{:?}", started.elapsed());
    if let Err(error) = &answer {
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
    answer
}

/// Writes this and closes.
async fn says(text: &'static str) -> Result<http::Response<Bytes>, TransportError> {
    ask(move |mut stream| async move {
        stream.write_all(text.as_bytes()).await.ok();
        stream.shutdown().await.ok();
    })
    .await
}

#[tokio::test]
async fn what_is_no_http_is_broken() {
    for text in [
        "",
        "hello\r\n",
        "220 mail.example.org ESMTP\r\n",
        "\u{16}\u{3}\u{1}",
        "HTTP/1.1",
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 OK\r\ncontent-length: 5",
        "HTTP/1.1 two hundred\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
    ] {
        let error = says(text).await.expect_err(text);
        assert!(
            matches!(error, TransportError::Broken(_)),
            "{text}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_cut_is_broken() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"versions\":",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"ver",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"ver\r\n",
    ] {
        let error = says(text).await.expect_err(text);
        assert!(
            matches!(error, TransportError::Broken(_)),
            "{text}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_head_without_end_is_broken() {
    let error = ask(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.ok();
        while stream
            .write_all(b"x-more: and more and more and more\r\n")
            .await
            .is_ok()
        {}
    })
    .await
    .expect_err("no answer");
    assert!(matches!(error, TransportError::Broken(_)), "{error:?}");
}

#[tokio::test]
async fn a_body_without_end_is_too_large() {
    let error = ask(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok();
        while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
    })
    .await
    .expect_err("no answer");
    assert_eq!(error, TransportError::TooLarge(LIMIT));
}

#[tokio::test]
async fn a_drip_takes_no_longer_than_an_answer_may() {
    for head in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
        let error = ask(move |mut stream| async move {
            stream.write_all(head.as_bytes()).await.ok();
            let mut drips = tokio::time::interval(Duration::from_millis(20));
            loop {
                drips.tick().await;
                if stream.write_all(b"x").await.is_err() {
                    return;
                }
            }
        })
        .await
        .expect_err("no answer");
        let timeout = u64::try_from(TIMEOUT.as_millis()).expect("small");
        // A first line without end is no HTTP at some point; what matters is that it ends.
        let is_expected = error == TransportError::Timeout(timeout)
            || (head.is_empty() && matches!(error, TransportError::Broken(_)));
        assert!(is_expected, "{head}: {error:?}");
    }
}

#[tokio::test]
async fn who_does_not_answer_is_timed_out() {
    let error = ask(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await
    .expect_err("no answer");
    assert!(matches!(error, TransportError::Timeout(_)), "{error:?}");
}

#[tokio::test]
async fn nobody_there_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let transport = HttpTransport::with_timeout(&base, TIMEOUT).expect("an address");
    let request = Request::get("/").body(Bytes::new()).expect("a request");
    let error = transport.call(request, LIMIT).await.expect_err("nobody");
    assert!(matches!(error, TransportError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let text = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let answer = says(text).await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 302);
}
