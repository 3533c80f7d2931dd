//! What the server says, word for word: what the bridge has to know of it.

use super::*;
use crate::peers::{
    ident, judge,
    raw::{self, RawClient},
};

#[tokio::test]
async fn two_people_talk() {
    let server = Ngircd::start(NgircdOptions::default()).await.unwrap();
    judge::two_people_talk(server.port).await.unwrap();
}

#[tokio::test]
async fn tls_shows_the_certificate() {
    let server = Ngircd::start(NgircdOptions::default()).await.unwrap();
    let connected = RawClient::connect_tls(server.tls_port, &server.certificate, None).await;
    let mut client = connected.unwrap();
    client.register("alice").await;
    client.welcome().await.unwrap();
}

#[tokio::test]
async fn nicks_that_cannot_be_had_are_refused() {
    let server = Ngircd::start(NgircdOptions::default()).await.unwrap();
    let refused = raw::refused_nicks(server.port).await.unwrap();
    assert_eq!(
        refused,
        [
            "433 * alice :Nickname already in use",
            "433 * ALICE :Nickname already in use",
            "432 * 1alice :Erroneous nickname",
            "432 * älice :Erroneous nickname",
            "432 * aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa :Nickname too long, max. 30 characters",
            "433 bob Alice :Nickname already in use",
        ]
    );
}

#[tokio::test]
async fn it_dies_and_starts_again_where_it_was() {
    let mut server = Ngircd::start(NgircdOptions::default()).await.unwrap();
    let mut alice = RawClient::welcomed(server.port, "alice").await.unwrap();
    server.process.kill9().await.unwrap();
    alice.heard.end().await.unwrap();
    server.start_again().await.unwrap();
    RawClient::welcomed(server.port, "alice").await.unwrap();
}

#[tokio::test]
async fn an_address_with_too_many_connections_is_told_so() {
    let options = NgircdOptions {
        connections_per_address: Some(1),
        ..NgircdOptions::default()
    };
    let server = Ngircd::start(options).await.unwrap();
    let _alice = RawClient::welcomed(server.port, "alice").await.unwrap();
    let mut bob = RawClient::connect(server.port).await.unwrap();
    assert_eq!(
        bob.error().await.unwrap(),
        "ERROR :Connection refused, too many connections from your IP address"
    );
}

#[tokio::test]
async fn a_banned_user_is_told_so() {
    let server = Ngircd::start(NgircdOptions::default()).await.unwrap();
    let mut mallory = RawClient::welcomed(server.port, "mallory").await.unwrap();
    let mut oper = RawClient::welcomed(server.port, "oper").await.unwrap();
    oper.become_operator().await.unwrap();
    oper.say("KLINE mallory!*@* 3600 :no spam").await;
    assert_eq!(
        mallory.error().await.unwrap(),
        "ERROR :K-Line by \"oper\": \"no spam\""
    );
    let mut mallory = RawClient::connect(server.port).await.unwrap();
    mallory.register("mallory").await;
    assert_eq!(
        mallory.error().await.unwrap(),
        "ERROR :Access denied: \"no spam\" (K-Line)"
    );
}

#[tokio::test]
async fn two_servers_that_have_the_same_nick_end_both() {
    let near = Ngircd::start(NgircdOptions::default()).await.unwrap();
    let far = near.start_far().await.unwrap();
    let mut oper = RawClient::welcomed(near.port, "oper").await.unwrap();
    oper.become_operator().await.unwrap();
    let mut alice = RawClient::welcomed(near.port, "alice").await.unwrap();
    let mut other = RawClient::welcomed(far.port, "alice").await.unwrap();
    near.link(&far, &oper).await.unwrap();
    for one in [&mut alice, &mut other] {
        assert_eq!(one.error().await.unwrap(), "ERROR :Nick collision");
    }
    near.split(&far, &oper).await.unwrap();
}

#[tokio::test]
async fn an_answer_of_ident_replaces_the_tilde() {
    let address = ident::own_address();
    let mut answers = ident::IdentAnswers::start(address, "realuser")
        .await
        .unwrap();
    let options = NgircdOptions {
        asks_ident: true,
        ..NgircdOptions::default()
    };
    let server = Ngircd::start(options).await.unwrap();
    let mut alice = RawClient::connect_from(address, server.port).await.unwrap();
    alice.register("alice").await;
    alice.welcome().await.unwrap();
    let whois = alice.ask("WHOIS alice", " 311 ").await.unwrap();
    assert_eq!(
        whois,
        format!(":{NAME} 311 alice alice realuser {address} * :alice")
    );
    let port = server.port.to_string();
    answers
        .questions
        .next("a question", |line| line.ends_with(&port))
        .await
        .unwrap();
}
