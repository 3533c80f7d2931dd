//! From the first line to the one that says that all is ready.

use super::*;

#[test]
fn everything_at_once() {
    let mut play = Play::new(Settings {
        password: Some("pass word".to_owned()),
        webirc: Some(WebIrc {
            password: "secret".to_owned(),
            gateway: "the gate".to_owned(),
            hostname: "::1".to_owned(),
            ip: "::1".to_owned(),
        }),
        is_tls: true,
        user_modes: Some("+ix-w".to_owned()),
        ..settings()
    });
    play.act(
        "> WEBIRC secret the_gate 0::1 0::1 :secure
         > CAP LS :302
         > PASS :pass word
         > NICK anna
         > USER a 0 * :Anna A
         < :srv NOTICE * :*** Looking up your hostname
         < PING :cookie-1
         > PONG cookie-1
         < :srv CAP * LS * :multi-prefix inspircd.org/poison
         < :srv CAP * LS :server-time sasl=PLAIN
         > CAP REQ :multi-prefix server-time
         < :srv CAP * ACK :multi-prefix server-time
         > CAP END
         < :srv 001 anna :Welcome to the network
         < :srv 005 anna NICKLEN=30 :are supported
         < :srv 376 anna :End of MOTD
         > MODE anna :+ix-w
         > USERHOST anna
         ! ready
         < :srv 302 anna :anna=+~a@gw.example",
    );
    assert!(play.session.has_cap("server-time"));
    assert_eq!(play.session.cap_value("sasl"), Some("PLAIN"));
    assert_eq!(play.session.source().to_string(), "anna!~a@gw.example");
}

const FIRST: &str = "> CAP LS :302
    > NICK anna
    > USER a 0 * :Anna A
    ";

fn plays(settings: Settings, transcript: &str) -> Play {
    let mut play = Play::new(settings);
    play.act(&format!("{FIRST}{transcript}"));
    play
}

#[test]
fn a_poisoned_capability_costs_nothing_but_itself() {
    plays(
        settings(),
        "< :srv CAP * LS :batch chghost
         > CAP REQ :batch chghost
         < :srv CAP * NAK :batch chghost
         > CAP REQ :batch
         > CAP REQ :chghost
         < :srv CAP * NAK :batch
         < :srv CAP * ACK :chghost
         > CAP END",
    );
}

#[test]
fn servers_without_capabilities_are_served_as_well() {
    let welcome = "< :srv 001 anna :Welcome
         < :srv 422 anna :no MOTD
         > USERHOST anna
         ! ready";
    for answer in [
        "< :srv 421 * CAP :Unknown command",
        "< :srv 451 * CAP :Register first",
        "< :srv 451 CAP :You have not registered",
        "",
    ] {
        plays(settings(), &format!("{answer}\n{welcome}"));
    }
    // One that knows `CAP` but not this form of it may wait for the end.
    plays(
        settings(),
        &format!("< :srv 410 * CAP :Invalid\n> CAP END\n{welcome}"),
    );
    // A server that never ends its welcome, and does not know USERHOST.
    let mut play = plays(
        settings(),
        "< :srv 001 anna :Welcome
         + 9
         + 1
         > USERHOST anna
         ! ready",
    );
    play = play.strict();
    play.act("< :srv 421 anna USERHOST :Unknown command");
}

#[test]
fn a_server_that_welcomes_before_the_end_still_gets_its_requests() {
    plays(
        settings(),
        "< :srv CAP * LS :batch chghost
         > CAP REQ :batch chghost
         < :srv 001 anna :Welcome
         < :srv 376 anna :End
         < :srv CAP anna ACK :batch chghost
         > USERHOST anna
         ! ready",
    );
    // And one that never answers them does not hold the session up for ever.
    plays(
        settings(),
        "< :srv CAP * LS :batch
         > CAP REQ batch
         + 20
         > CAP END
         < :srv 001 anna :Welcome
         < :srv 376 anna :End
         > USERHOST anna
         ! ready",
    );
}

#[test]
fn capabilities_come_and_go() {
    let mut play = Play::ready("batch");
    play.act(
        "< :srv CAP anna NEW :chghost draft/multiline=max-bytes=4096,max-lines=24
         > CAP REQ :chghost draft/multiline
         < :srv CAP anna ACK :chghost draft/multiline
         ! caps
         < :srv CAP anna DEL :batch
         ! caps
         < :srv CAP anna DEL :unknown",
    );
    assert!(play.session.has_cap("chghost"));
    assert_eq!(play.session.multiline(), None);
}

#[test]
fn encryption_is_wanted() {
    plays(
        settings(),
        "< :srv CAP * LS :sts=duration=300,port=6697
         ! sts Some(6697) None
         ! ended TlsWanted(6697)",
    );
    let tls = Settings {
        is_tls: true,
        ..settings()
    };
    plays(
        tls,
        "< :srv CAP * LS :sts=duration=300,port=6697
         ! sts None Some(300)
         > CAP END",
    );
}

#[test]
fn a_server_that_wants_encryption_gets_no_password_in_the_clear() {
    let settings = Settings {
        password: Some("secret".to_owned()),
        ..settings()
    };
    let introduced = "> PASS secret
         > NICK anna
         > USER a 0 * :Anna A
         ";
    Play::new(settings.clone()).act(
        "> CAP LS :302
         < :srv CAP * LS * :batch
         < :srv CAP * LS :sts=port=6697
         ! sts Some(6697) None
         ! ended TlsWanted(6697)",
    );
    // One that does not want it gets the password a moment later; so does one that knows no capabilities, or says nothing.
    for (answer, end) in [
        ("< :srv CAP * LS :", "> CAP END"),
        ("< :srv CAP * LS :sts=port=0", "> CAP END"),
        ("< :srv CAP * LS :sts=duration=9", "> CAP END"),
        ("< :srv 421 * CAP :Unknown command", ""),
        ("+ 20", "> CAP END"),
    ] {
        let transcript = format!("> CAP LS :302\n{answer}\n{introduced}\n{end}");
        Play::new(settings.clone()).act(&transcript);
    }
}

#[test]
fn another_nick_is_tried_until_one_is_taken() {
    let mut settings = settings();
    settings.nicks.push("annabella".to_owned());
    let mut play = plays(
        settings,
        "< :srv CAP * LS :
         > CAP END
         < :srv 433 * anna :Nickname is already in use.
         > NICK annabella
         < :srv 432 * annabella :Erroneous Nickname
         > NICK anna_",
    );
    let mut tries = 0;
    while !play.session.is_ended() {
        let nick = play.session.nick().to_owned();
        play.hear(&format!(
            ":srv 437 * {nick} :Nick/channel is temporarily unavailable"
        ));
        play.sent.clear();
        tries += 1;
        assert!(tries < 50);
    }
    play.act("! ended NicksTaken");
}

#[test]
fn the_server_has_the_last_word_on_the_nick() {
    let mut play = plays(
        settings(),
        "< :srv 001 1AAAAAAAB :Welcome
         < :srv 005 1AAAAAAAB NICKLEN=30 MONITOR=100 :are
         < :srv 376 1AAAAAAAB :End
         > USERHOST 1AAAAAAAB
         > MONITOR + :anna
         ! ready",
    );
    assert_eq!(play.session.nick(), "1AAAAAAAB");
    play.act(
        "< :srv 730 1AAAAAAAB :anna!x@y
         < :anna!x@y QUIT :bye
         > NICK anna
         < :srv 731 1AAAAAAAB :anna
         < :1AAAAAAAB!u@h NICK :anna
         > MONITOR - :anna
         ! nick 1AAAAAAAB anna",
    );
    assert_eq!(play.session.source().to_string(), "anna!u@h");
}

#[test]
fn a_refused_registration_ends_the_session() {
    for (line, ended) in [
        (
            ":srv 464 * :Password incorrect\n< ERROR :Closing Link: x (Access denied)",
            "Registration(464, \"Password incorrect\")",
        ),
        (
            ":srv 465 * :You are banned\n< ERROR :Closing Link: x (Go away)",
            "Registration(465, \"You are banned\")",
        ),
        (
            // InspIRCd says so of whoever is throttled, too.
            ":srv 465 * :You're banned!\n< ERROR :Closing link: (x@y) [Z-lined: You connect too fast. Throttled]",
            "Error(\"Closing link: (x@y) [Z-lined: You connect too fast. Throttled]\")",
        ),
        (
            "ERROR :Closing Link: (Throttled)",
            "Error(\"Closing Link: (Throttled)\")",
        ),
    ] {
        plays(
            settings(),
            &format!("< {line}\n! ended {ended}\n< :srv 001 anna :Welcome"),
        );
    }
    plays(
        settings(),
        "+ 59.9\n+ 0.1\n! ended Timeout(\"the registration\")",
    );
}

#[test]
fn nothing_but_the_registration_goes_out_before_the_welcome() {
    let mut play = Play::new(settings());
    play.ask(1, "JOIN #c");
    play.say(2, "#c", &["hello"]);
    play.session
        .send(Line::new("AWAY", ["out"]), Priority::Urgent)
        .expect("room");
    play.act(&format!(
        "{FIRST}< :srv 001 anna :Welcome
         < :srv 376 anna :End
         > USERHOST anna
         > AWAY out
         > PRIVMSG #c :hello
         > JOIN #c
         > PING barrier-1
         ! ready
         ! written 2
         ! written 1"
    ));
}
