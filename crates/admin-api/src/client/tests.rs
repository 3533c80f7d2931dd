//! The client against a socket that answers as it is told.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use url::Url;

use super::{AuditQuery, Client, ClientError, StreamItem, Token};
use crate::{EventKind, Purge, SkipRequest};

const SOON: Duration = Duration::from_secs(30);

/// Answers one request with these bytes; gives back what was asked.
async fn once(answer: String) -> (Client, JoinHandle<String>) {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !is_whole(&asked) {
            let read = stream.read_buf(&mut asked).await.unwrap();
            assert!(read > 0, "the request ended early");
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.ok();
        String::from_utf8(asked).unwrap()
    });
    let server = Url::parse(&format!("http://{address}/prefix/?x#y")).unwrap();
    let token = Token::parse("hunter2").unwrap();
    (Client::new(&server, token).unwrap(), asked)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| length.parse() == Ok(body.len()))
}

fn answer(status: &str, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn json(status: &str, body: &str) -> String {
    answer(status, "application/json", body)
}

#[tokio::test]
async fn a_call_is_addressed_named_and_authorised() {
    let (client, asked) = once(json("200 OK", r#"{"entries":[],"next":4,"more":1}"#)).await;
    let query = AuditQuery {
        limit: Some(2),
        before: None,
        service_id: Some("a b&c".to_owned()),
    };
    let page = client.list_audit(&query).await.unwrap();
    assert_eq!((page.entries.len(), page.next), (0, Some(4)));
    let asked = asked.await.unwrap();
    let line = "GET /prefix/_bridgehead/v1/audit?limit=2&service_id=a+b%26c HTTP/1.1\r\n";
    assert!(asked.starts_with(line), "{asked}");
    assert!(
        asked.contains("authorization: Bearer hunter2\r\n"),
        "{asked}"
    );
    assert!(!format!("{client:?}").contains("hunter2"));
}

#[tokio::test]
async fn ids_stay_one_segment_of_the_path() {
    let report = r#"{"id":"a/../b","dry_run":true,"finished":true,"ghosts":0,"memberships":0,"aliases":0,
        "directory_entries":0,"queued":0,"examples":[]}"#;
    let (client, asked) = once(json("200 OK", report)).await;
    let purge = Purge {
        purge: true,
        dry_run: true,
        reason: None,
    };
    client.remove_service("a/../b", &purge).await.unwrap();
    let asked = asked.await.unwrap();
    let line =
        "DELETE /prefix/_bridgehead/v1/appservices/a%2F..%2Fb?purge=true&dry_run=true HTTP/1.1\r\n";
    assert!(asked.starts_with(line), "{asked}");
    for id in ["", ".", ".."] {
        let refused = client.get_service(id).await;
        assert!(
            matches!(refused, Err(ClientError::Unexpected { .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_refusal_keeps_the_servers_words() {
    let body = r#"{"errcode":"M_CONFLICT","error":"another transaction is in flight"}"#;
    let (client, asked) = once(json("409 Conflict", body)).await;
    let request = SkipRequest {
        transaction_id: "1".to_owned(),
        reason: None,
    };
    let refused = client.skip("irc", &request).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "another transaction is in flight (M_CONFLICT)"
    );
    assert!(!refused.is_not_allowed() && !refused.is_not_found());
    let asked = asked.await.unwrap();
    assert!(asked.ends_with(r#"{"transaction_id":"1"}"#), "{asked}");

    let body = r#"{"errcode":"M_FORBIDDEN","error":"you may only read"}"#;
    let (client, _asked) = once(json("403 Forbidden", body)).await;
    assert!(client.list_operators().await.unwrap_err().is_not_allowed());
}

#[tokio::test]
async fn whatever_else_answers_is_not_understood() {
    let elsewhere = "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://else.where/\r\n\
        Content-Length: 0\r\n\r\n";
    let unrecognized = r#"{"errcode":"M_UNRECOGNIZED","error":"Unrecognized request"}"#;
    let cases = [
        (elsewhere.to_owned(), "it sends on to https://else.where/"),
        (
            answer("502 Bad Gateway", "text/html", "<h1>nginx</h1>"),
            "it answered 502",
        ),
        (
            json("404 Not Found", unrecognized),
            "it is no Bridgehead server",
        ),
        (json("200 OK", "{}"), "the answer cannot be read"),
    ];
    for (answer, wanted) in cases {
        let (client, _asked) = once(answer).await;
        let error = client.list_services().await.unwrap_err();
        assert!(matches!(error, ClientError::Unexpected { .. }), "{error:?}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[tokio::test]
async fn nobody_there_is_told_with_what_to_do() {
    let (client, asked) = once(String::new()).await;
    asked.abort();
    asked.await.ok();
    let error = client.list_services().await.unwrap_err();
    assert!(
        matches!(error, ClientError::Unreachable { .. }),
        "{error:?}"
    );
    let told = error.to_string();
    assert!(told.contains("Connection refused"), "{told}");
    assert!(told.contains("bridgehead serve"), "{told}");
}

#[tokio::test]
async fn events_are_read_until_the_server_ends_the_stream() {
    let body = concat!(
        ": welcome\n\n",
        "event: appservice.invented_later\ndata: {\"at_ms\":1}\n\n",
        "event: appservice.delivery_failed\n",
        "data: {\"at_ms\":5,\"event\":\"appservice.delivery_failed\",\"service_id\":\"irc\",",
        "\"transaction_id\":\"7\",\"retry_count\":2}\n\n",
        "event: lagged\ndata: {\"missed\":12}\n\n",
    );
    let (client, asked) = once(answer("200 OK", "text/event-stream", body)).await;
    let mut stream = client.events(Some("irc")).await.unwrap();
    let mut next = async || tokio::time::timeout(SOON, stream.next()).await.unwrap();
    let event = match next().await.unwrap().unwrap() {
        StreamItem::Event(event) => event,
        other => panic!("{other:?}"),
    };
    assert_eq!(event.at_ms, 5);
    assert!(
        matches!(event.kind, EventKind::DeliveryFailed { retry_count: 2, .. }),
        "{event:?}"
    );
    assert_eq!(next().await.unwrap(), Some(StreamItem::Missed(12)));
    assert!(next().await.unwrap().is_none());
    let asked = asked.await.unwrap();
    assert!(asked.contains("events?service_id=irc "), "{asked}");
    assert!(asked.contains("accept: text/event-stream"), "{asked}");
}

#[tokio::test]
async fn an_event_that_lacks_its_fields_is_an_error() {
    let body = "event: appservice.events_delivered\ndata: {\"at_ms\":1}\n\n";
    let (client, _asked) = once(answer("200 OK", "text/event-stream", body)).await;
    let mut stream = client.events(None).await.unwrap();
    let error = stream.next().await.unwrap_err();
    assert!(
        error.to_string().contains("an event cannot be read"),
        "{error}"
    );
    let (client, _asked) = once(json("200 OK", "{}")).await;
    let error = client.events(None).await.unwrap_err();
    assert!(error.to_string().contains("no event stream"), "{error}");
}
