//! Logins, before the welcome and after it.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;

fn plain() -> Sasl {
    Sasl::Plain {
        account: "anna".to_owned(),
        password: "geheim".to_owned(),
    }
}

/// A session whose first lines are sent.
fn plays(settings: Settings, transcript: &str) -> Play {
    let mut play = Play::new(settings);
    play.collect();
    play.sent.clear();
    play.act(transcript);
    play
}

fn with(sasl: Sasl) -> Settings {
    Settings {
        sasl: Some(sasl),
        ..settings()
    }
}

#[test]
fn a_login_before_the_welcome() {
    let said = STANDARD.encode("anna\0anna\0geheim");
    let play = plays(
        with(plain()),
        &format!(
            "< :srv CAP * LS :sasl=EXTERNAL,PLAIN
             > CAP REQ sasl
             < :srv CAP * ACK :sasl
             > AUTHENTICATE PLAIN
             < AUTHENTICATE +
             > AUTHENTICATE {said}
             < :srv 900 * anna!*@* anna :You are now logged in as anna
             ! account anna
             < :srv 903 * :SASL authentication successful
             > CAP END"
        ),
    );
    assert_eq!(play.session.account(), Some("anna"));
    assert!(!format!("{:?}", play.session).contains("geheim"));
}

#[test]
fn a_certificate_says_who_it_is() {
    plays(
        with(Sasl::External { account: None }),
        "< :srv CAP * LS :sasl
         > CAP REQ sasl
         < :srv CAP * ACK :sasl
         > AUTHENTICATE EXTERNAL
         < AUTHENTICATE +
         > AUTHENTICATE +
         < :srv 904 * :SASL authentication failed
         ! login failed: SASL authentication failed
         > CAP END",
    );
}

#[test]
fn a_proof_of_the_password() {
    let mut play = plays(
        with(Sasl::ScramSha256 {
            account: "anna".to_owned(),
            password: "geheim".to_owned(),
        }),
        "< :srv CAP * LS :sasl
         > CAP REQ sasl
         < :srv CAP * ACK :sasl
         > AUTHENTICATE SCRAM-SHA-256",
    );
    play.hear("AUTHENTICATE +");
    let first = play.sent.pop_front().expect("a first message");
    let first = STANDARD
        .decode(first.rsplit(' ').next().expect("a word"))
        .expect("base64");
    let first = String::from_utf8(first).expect("text");
    let nonce = first.rsplit("r=").next().expect("a nonce");
    let server = STANDARD.encode(format!("r={nonce}srv,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
    play.hear(&format!("AUTHENTICATE {server}"));
    assert!(play.sent.pop_front().is_some_and(|line| line.len() > 100));
    // A server that skips its own proof is not the one that knows the password.
    play.act(
        "< :srv 903 * :SASL authentication successful
         ! login failed: the server has not proven that it knows the password
         > CAP END",
    );
}

#[test]
fn without_the_login_that_is_required_there_is_no_session() {
    let required = Settings {
        sasl_required: true,
        ..with(plain())
    };
    for (transcript, why) in [
        (
            "< :srv CAP * LS :batch\n> CAP REQ batch\n< :srv CAP * ACK :batch",
            "the server offers no SASL",
        ),
        ("< :srv CAP * LS :\n", "the server offers no SASL"),
        (
            "< :srv 421 * CAP :Unknown command",
            "the server offers no SASL",
        ),
        (
            "< :srv 001 anna :Welcome\n< :srv 376 anna :End",
            "the server offers no SASL",
        ),
        (
            "< :srv CAP * LS :sasl\n> CAP REQ sasl\n< :srv CAP * ACK :sasl\n> AUTHENTICATE PLAIN\n< :srv 904 * :No",
            "No",
        ),
        (
            "< :srv CAP * LS :sasl\n> CAP REQ sasl\n< :srv CAP * ACK :sasl\n> AUTHENTICATE PLAIN\n+ 20",
            "the server has not answered",
        ),
    ] {
        let transcript = format!("{transcript}\n! ended LoginRequired({why:?})");
        if transcript.contains("904") {
            // The way itself is refused: the other one is tried, which is refused too.
            let other = "904 * :No\n> AUTHENTICATE SCRAM-SHA-256\n< :srv 904 * :No\n";
            plays(required.clone(), &transcript.replace("904 * :No\n", other));
        } else {
            plays(required.clone(), &transcript);
        }
    }
}

#[test]
fn another_way_is_tried_where_the_server_names_it() {
    plays(
        with(plain()),
        "< :srv CAP * LS :sasl
         > CAP REQ sasl
         < :srv CAP * ACK :sasl
         > AUTHENTICATE PLAIN
         < :srv 908 * SCRAM-SHA-256,EXTERNAL :are available SASL mechanisms
         < :srv 904 * :SASL authentication failed
         > AUTHENTICATE SCRAM-SHA-256
         + 20
         ! login failed: the server has not answered
         > CAP END",
    );
}

#[test]
fn a_password_is_proven_rather_than_told() {
    let offered = "< :srv CAP * LS :sasl=PLAIN,SCRAM-SHA-256
         > CAP REQ sasl
         < :srv CAP * ACK :sasl
         > AUTHENTICATE SCRAM-SHA-256
         < AUTHENTICATE +";
    let mut play = Play::new(with(plain()));
    play.collect();
    play.sent.clear();
    let begin = |play: &mut Play| {
        for line in offered.lines() {
            let line = line.trim_start();
            match line.split_once(' ') {
                Some(("<", heard)) => play.hear(heard),
                _ => play.expect_sent(&line[2..]),
            }
        }
        play.sent.pop_front().expect("a first message")
    };
    begin(&mut play);
    // The account has a password of which nothing can be proven.
    play.act(
        "< :srv 904 * :SASL authentication failed
         > AUTHENTICATE PLAIN
         < AUTHENTICATE +
         > AUTHENTICATE YW5uYQBhbm5hAGdlaGVpbQ==
         < :srv 903 * :Welcome
         > CAP END",
    );
    let mut play = Play::new(with(plain()));
    play.collect();
    play.sent.clear();
    let first = begin(&mut play);
    let first = STANDARD.decode(first.rsplit(' ').next().expect("a word"));
    let first = String::from_utf8(first.expect("base64")).expect("text");
    let nonce = first.rsplit("r=").next().expect("a nonce");
    let server = STANDARD.encode(format!("r={nonce}srv,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
    play.hear(&format!("AUTHENTICATE {server}"));
    assert!(play.sent.pop_front().is_some_and(|line| line.len() > 100));
    // A wrong password stays wrong.
    play.act(
        "< :srv 904 * :SASL authentication failed
         ! login failed: SASL authentication failed
         > CAP END",
    );
}

#[test]
fn what_services_may_have_normalized_is_told() {
    let sasl = Sasl::Plain {
        account: "anna".to_owned(),
        password: "gehe\u{fb01}m".to_owned(),
    };
    plays(
        with(sasl),
        "< :srv CAP * LS :sasl=PLAIN,SCRAM-SHA-256
         > CAP REQ sasl
         < :srv CAP * ACK :sasl
         > AUTHENTICATE PLAIN
         + 20
         ! login failed: the server has not answered
         > CAP END",
    );
}

#[test]
fn the_login_appears_when_services_do() {
    let mut play = Play::new(with(plain()));
    play.session.receive(
        b":srv CAP * LS :batch\r\n:srv CAP * ACK :batch\r\n",
        play.now,
    );
    play.collect();
    play.sent.clear();
    play.act(
        "< :srv 001 anna :Welcome
         < :srv 376 anna :End
         > USERHOST anna
         ! login failed: the server offers no SASL
         ! ready
         < :srv CAP anna NEW :sasl=PLAIN
         > CAP REQ sasl
         < :srv CAP anna ACK :sasl
         > AUTHENTICATE PLAIN
         ! caps
         < :srv 904 anna :services are away
         ! login failed: the server takes other ways to log in: PLAIN
         < :srv CAP anna DEL :sasl
         ! caps
         < :srv CAP anna NEW :sasl=PLAIN
         > CAP REQ sasl
         < :srv CAP anna ACK :sasl
         > AUTHENTICATE PLAIN
         ! caps
         < AUTHENTICATE +
         > AUTHENTICATE YW5uYQBhbm5hAGdlaGVpbQ==
         < :srv 903 anna :fine
         < :srv 900 anna anna!a@h anna :You are now logged in
         ! account anna
         < :srv 901 anna anna!a@h :You are now logged out
         ! account -",
    );
}

fn with_service() -> Settings {
    Settings {
        nickserv: Some(NickServ::new("anna", "geheim")),
        ..settings()
    }
}

#[test]
fn a_service_is_told_where_there_is_no_sasl() {
    let welcome = "< :srv 001 anna :Welcome
         < :srv 376 anna :End
         > PRIVMSG NickServ :IDENTIFY anna geheim";
    for (answer, told) in [
        (
            "< :NickServ!s@s NOTICE anna :You are now identified for anna.",
            "",
        ),
        (
            "< :srv 900 anna anna!a@h anna :You are now logged in",
            "! account anna\n",
        ),
        ("< :anna MODE anna :+ir", ""),
        (
            "< :NickServ!s@s NOTICE anna :Invalid password for anna.",
            "! login failed: Invalid password for anna.\n",
        ),
        (
            "< :srv 401 anna NickServ :No such nick",
            "! login failed: the network has no SASL, and nobody called NickServ is there (No such nick)\n",
        ),
        (
            "< :NickServ!s@s NOTICE anna :This nickname is registered.\n+ 10",
            "! login failed: the service has not answered\n",
        ),
    ] {
        let rest = format!("{answer}\n{told}! ready\n> USERHOST anna");
        plays(with_service(), &format!("{welcome}\n{rest}"));
    }
}

#[test]
fn a_password_that_comes_back_is_told_to_nobody() {
    let mut play = Play::new(with_service()).strict();
    play.hear(":srv CAP * LS :echo-message message-tags");
    play.hear(":srv CAP * ACK :echo-message message-tags");
    play.hear(":srv 001 anna :Welcome");
    play.hear(":srv 376 anna :End");
    play.told.clear();
    play.hear(":anna!a@h PRIVMSG NickServ :IDENTIFY anna geheim");
    assert_eq!(play.told, [""; 0]);
    play.hear(":anna!a@h PRIVMSG NickServ :HELP");
    assert_eq!(play.told.len(), 1);
}
