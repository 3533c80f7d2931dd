//! What the server says, word for word: what the bridge has to know of it.

use std::net::TcpListener;

use super::*;
use crate::peers::{
    ident, judge,
    raw::{self, RawClient},
};

#[tokio::test]
async fn two_people_talk() {
    let server = Inspircd::start(InspircdOptions::default()).await.unwrap();
    judge::two_people_talk(server.port).await.unwrap();
}

#[tokio::test]
async fn two_servers_split_and_say_their_names() {
    let hub = Inspircd::start(InspircdOptions::default()).await.unwrap();
    let leaf = hub.start_leaf().await.unwrap();
    let mut alice = RawClient::welcomed(hub.port, "alice").await.unwrap();
    alice.join("#split").await.unwrap();
    let mut bob = RawClient::welcomed(leaf.port, "bob").await.unwrap();
    bob.join("#split").await.unwrap();
    alice.hear(":bob!bob@127.0.0.1 JOIN").await.unwrap();
    drop(leaf);
    let quit = alice.hear(" QUIT ").await.unwrap();
    assert_eq!(
        quit,
        ":bob!bob@127.0.0.1 QUIT :hub.test.invalid leaf.test.invalid"
    );
    let leaf = hub.start_leaf().await.unwrap();
    let mut bob = RawClient::welcomed(leaf.port, "bob").await.unwrap();
    bob.join("#split").await.unwrap();
    alice.hear(":bob!bob@127.0.0.1 JOIN").await.unwrap();
}

#[tokio::test]
async fn of_two_who_seem_to_be_the_same_the_first_is_called_by_their_uid() {
    let hub = Inspircd::start(InspircdOptions::default()).await.unwrap();
    let leaf = hub.start_alone().await.unwrap();
    let mut oper = RawClient::welcomed(hub.port, "oper").await.unwrap();
    oper.become_operator().await.unwrap();
    let mut alice = RawClient::welcomed(hub.port, "alice").await.unwrap();
    // Whole seconds are compared.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let _again = RawClient::welcomed(leaf.port, "alice").await.unwrap();
    hub.link(&leaf, &oper).await.unwrap();
    let renamed = alice.hear(" NICK ").await.unwrap();
    assert_eq!(renamed, ":alice!alice@127.0.0.1 NICK :1AAAAAAAB");
    hub.split(&leaf, &oper).await.unwrap();
}

#[tokio::test]
async fn who_cannot_listen_says_so() {
    let hub = Inspircd::start(InspircdOptions::default()).await.unwrap();
    let taken = TcpListener::bind(("127.0.0.1", hub.leaf_ports.plain)).unwrap();
    let error = hub.start_alone().await.err().unwrap().to_string();
    let wanted = format!("{LEAF} cannot listen at port {}", hub.leaf_ports.plain);
    assert!(error.starts_with(&wanted), "{error}");
    drop(taken);
    hub.start_alone().await.unwrap();
}

#[tokio::test]
async fn nicks_that_cannot_be_had_are_refused() {
    let server = Inspircd::start(InspircdOptions::default()).await.unwrap();
    let refused = raw::refused_nicks(server.port).await.unwrap();
    assert_eq!(
        refused,
        [
            "433 * alice :Nickname is already in use.",
            "433 * ALICE :Nickname is already in use.",
            "432 * 1alice :Erroneous Nickname",
            "432 * älice :Erroneous Nickname",
            "432 * aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa :Erroneous Nickname",
            "433 bob Alice :Nickname is already in use.",
        ]
    );
}

#[tokio::test]
async fn it_dies_and_starts_again_where_it_was() {
    let mut server = Inspircd::start(InspircdOptions::default()).await.unwrap();
    let mut alice = RawClient::welcomed(server.port, "alice").await.unwrap();
    server.process.kill9().await.unwrap();
    alice.heard.end().await.unwrap();
    server.start_again().await.unwrap();
    RawClient::welcomed(server.port, "alice").await.unwrap();
}

#[tokio::test]
async fn a_banned_user_is_told_so() {
    let server = Inspircd::start(InspircdOptions::default()).await.unwrap();
    let mut mallory = RawClient::welcomed(server.port, "mallory").await.unwrap();
    let mut oper = RawClient::welcomed(server.port, "oper").await.unwrap();
    oper.become_operator().await.unwrap();
    for (command, word) in [("KLINE", "K-lined"), ("GLINE", "G-lined")] {
        let error = format!("ERROR :Closing link: (mallory@127.0.0.1) [{word}: no spam]");
        oper.say(&format!("{command} mallory@* 1h :no spam")).await;
        banned(&mut mallory, &error).await;
        mallory = RawClient::connect(server.port).await.unwrap();
        mallory.register("mallory").await;
        banned(&mut mallory, &error).await;
        oper.say(&format!("{command} mallory@*")).await;
        oper.ask("PING done", "PONG").await.unwrap();
        mallory = RawClient::welcomed(server.port, "mallory").await.unwrap();
    }
}

/// Hears 465 (RFC 2812, 5.2), then the reason.
async fn banned(client: &mut RawClient, error: &str) {
    assert_eq!(client.error().await.unwrap(), error);
    let heard = client.heard.all();
    let wanted = [":hub.test.invalid 465 mallory :You're banned!", error];
    assert!(heard.ends_with(&wanted.map(str::to_owned)), "{heard:#?}");
}

#[tokio::test]
async fn a_banned_address_is_told_so() {
    let server = Inspircd::start(InspircdOptions::default()).await.unwrap();
    let mut oper = RawClient::welcomed(server.port, "oper").await.unwrap();
    oper.become_operator().await.unwrap();
    oper.say("ZLINE 127.0.0.9 1h :no spam").await;
    oper.ask("PING done", "PONG").await.unwrap();
    let mut mallory = RawClient::connect_from("127.0.0.9".parse().unwrap(), server.port)
        .await
        .unwrap();
    assert_eq!(
        mallory.error().await.unwrap(),
        "ERROR :Closing link: (1AAAAAAAB@127.0.0.9) [Z-lined: no spam]"
    );
}

#[tokio::test]
async fn a_killed_user_is_told_so() {
    let server = Inspircd::start(InspircdOptions::default()).await.unwrap();
    let mut alice = RawClient::welcomed(server.port, "alice").await.unwrap();
    let mut oper = RawClient::welcomed(server.port, "oper").await.unwrap();
    oper.become_operator().await.unwrap();
    oper.say("KILL alice :enough").await;
    assert_eq!(
        alice.error().await.unwrap(),
        "ERROR :Closing link: (alice@127.0.0.1) [Killed (oper (enough))]"
    );
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_told_so() {
    let options = InspircdOptions {
        throttled_after: Some(3),
        ..InspircdOptions::default()
    };
    let server = Inspircd::start(options).await.unwrap();
    let mut refused = Vec::new();
    for nick in ["one", "two", "three", "four", "five"] {
        let mut client = RawClient::connect(server.port).await.unwrap();
        client.register(nick).await;
        if client.welcome().await.is_err() {
            refused.push(client.error().await.unwrap());
        }
    }
    let why = "Z-lined: Your IP range has been attempting to connect too many times in too short a duration. Wait a while, \
               and you will be able to connect.";
    let wanted =
        ["C", "D", "E"].map(|id| format!("ERROR :Closing link: (1AAAAAAA{id}@127.0.0.1) [{why}]"));
    // The third too: the limit counts the one that reaches it.
    assert_eq!(refused, wanted);
}

#[tokio::test]
async fn an_address_with_too_many_connections_is_told_so() {
    let options = InspircdOptions {
        connections_per_address: Some(1),
        ..InspircdOptions::default()
    };
    let server = Inspircd::start(options).await.unwrap();
    let _alice = RawClient::welcomed(server.port, "alice").await.unwrap();
    let mut bob = RawClient::connect(server.port).await.unwrap();
    assert_eq!(
        bob.error().await.unwrap(),
        "ERROR :Closing link: (1AAAAAAAB@127.0.0.1) [No more connections allowed from your host via this connect class (local)]"
    );
}

#[tokio::test]
async fn a_gateway_gives_the_host() {
    let server = Inspircd::start(InspircdOptions::default()).await.unwrap();
    let mut alice = RawClient::connect(server.port).await.unwrap();
    alice
        .say(&format!(
            "WEBIRC {WEBIRC_PASSWORD} gateway host.example 2001:db8::7"
        ))
        .await;
    alice.register("alice").await;
    alice.welcome().await.unwrap();
    let whois = alice.ask("WHOIS alice", " 311 ").await.unwrap();
    assert_eq!(
        whois,
        ":hub.test.invalid 311 alice alice alice 2001:db8::7 * :alice"
    );
    let mut mallory = RawClient::connect(server.port).await.unwrap();
    mallory
        .say("WEBIRC guessed gateway host.example 2001:db8::7")
        .await;
    let error = mallory.error().await.unwrap();
    assert!(
        error.ends_with("@127.0.0.1) [WEBIRC: you don't match any configured WebIRC hosts.]"),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_of_ident_replaces_the_tilde() {
    let address = ident::own_address();
    let mut answers = ident::IdentAnswers::start(address, "realuser")
        .await
        .unwrap();
    let options = InspircdOptions {
        asks_ident: true,
        ..InspircdOptions::default()
    };
    let server = Inspircd::start(options).await.unwrap();
    let mut alice = RawClient::connect_from(address, server.port).await.unwrap();
    alice.register("alice").await;
    alice.welcome().await.unwrap();
    let whois = alice.ask("WHOIS alice", " 311 ").await.unwrap();
    assert_eq!(
        whois,
        format!(":{HUB} 311 alice alice realuser {address} * :alice")
    );
    let port = server.port.to_string();
    let question = answers
        .questions
        .next("a question", |line| line.ends_with(&port))
        .await;
    assert_eq!(question.unwrap().split(',').count(), 2);
    // Somewhere else nobody answers.
    let mut bob = RawClient::welcomed(server.port, "bob").await.unwrap();
    let whois = bob.ask("WHOIS bob", " 311 ").await.unwrap();
    assert_eq!(whois, format!(":{HUB} 311 bob bob ~bob 127.0.0.1 * :bob"));
}
