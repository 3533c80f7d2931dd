//! A session that goes on behaves as the one that it was taken from.

use std::time::Instant;

use proptest::prelude::*;

use crate::session::{Event, Pace, Say, SayCommand, Session, Settings};

const WELCOME: &str = ":srv CAP * LS :batch cap-notify echo-message labeled-response message-tags multi-prefix server-time\r\n\
    :srv CAP * ACK :batch cap-notify echo-message labeled-response message-tags multi-prefix server-time\r\n\
    :srv 001 anna :Welcome\r\n\
    :srv 005 anna CASEMAPPING=ascii NICKLEN=20 PREFIX=(qo)~@ NETWORK=a\\x20b :are supported\r\n\
    :srv 396 anna some.host :is your host\r\n\
    :srv 376 anna :End\r\n";

fn settings() -> Settings {
    Settings {
        nicks: vec!["anna".to_owned()],
        user: "anna".to_owned(),
        // How fast it may go on is another matter.
        pace: Pace {
            line_ms: 0,
            ..Pace::default()
        },
        ..Settings::default()
    }
}

/// All that a session tells and writes.
fn all_of(session: &mut Session, now: Instant) -> (Vec<Event>, Vec<Vec<u8>>) {
    let mut written = Vec::new();
    while let Some(bytes) = session.poll_output(now) {
        written.push(bytes);
    }
    let events = std::iter::from_fn(|| session.poll_event()).collect();
    (events, written)
}

fn ready(now: Instant) -> Session {
    let mut session = Session::new(settings(), now);
    all_of(&mut session, now);
    session.receive(WELCOME.as_bytes(), now);
    all_of(&mut session, now);
    assert!(session.is_at_rest());
    session
}

/// What servers say, of which a session takes something for itself.
fn line() -> impl Strategy<Value = String> {
    let nick = prop_oneof!["anna", "Bob", "carl"];
    (nick, 0..15_usize, "[a-z]{1,5}").prop_map(|(nick, kind, word)| match kind {
        0 => format!(":{nick}!u@h NICK {word}"),
        1 => format!(":{nick}!u@h PRIVMSG anna :{word}"),
        2 => format!(":{nick}!v@{word} JOIN #{word}"),
        3 => format!("PING :{word}"),
        4 => format!(":srv CAP anna NEW :{word} away-notify"),
        5 => format!(":srv CAP anna ACK :{word} away-notify"),
        6 => format!(":srv CAP anna DEL :{word} echo-message"),
        7 => format!(":srv 005 anna AWAYLEN=7 {word} :are supported"),
        8 => format!(":srv 005 anna -NICKLEN {word}=x :are supported"),
        9 => format!(":srv 900 anna anna!u@h {word} :You are"),
        10 => format!(":{nick}!u@h CHGHOST {word} new.host"),
        11 => format!(":srv BATCH +{word} netsplit a b"),
        12 => format!(":srv BATCH -{word}"),
        13 => format!("@batch={word} :{nick}!u@h QUIT :a b"),
        _ => format!(":srv 433 anna {word} :in use"),
    })
}

proptest! {
    #[test]
    fn it_goes_on_as_the_other_would_have(
        before in prop::collection::vec(line(), 0..12),
        after in prop::collection::vec(line(), 0..12),
    ) {
        let now = Instant::now();
        let mut session = ready(now);
        for line in &before {
            session.receive(format!("{line}\r\n").as_bytes(), now);
        }
        all_of(&mut session, now);
        let Some(snapshot) = session.snapshot() else {
            prop_assert!(!session.is_at_rest(), "it is at rest and nobody can go on");
            return Ok(());
        };
        let mut other = Session::restore(settings(), snapshot.clone(), 0, now);
        prop_assert_eq!(all_of(&mut other, now), (vec![Event::Ready], Vec::new()));
        prop_assert_eq!(other.snapshot(), Some(snapshot));
        for line in &after {
            let bytes = format!("{line}\r\n");
            session.receive(bytes.as_bytes(), now);
            other.receive(bytes.as_bytes(), now);
            let (expected, found) = (all_of(&mut session, now), all_of(&mut other, now));
            prop_assert_eq!(found, expected, "at {}", line);
            prop_assert_eq!(other.source(), session.source());
            prop_assert_eq!(other.isupport(), session.isupport());
            prop_assert_eq!(other.account(), session.account());
        }
    }
}

#[test]
fn what_answers_the_session_before_is_not_taken_for_an_answer() {
    let now = Instant::now();
    let mut session = ready(now);
    let say = |id| Say {
        id,
        target: "#tea".to_owned(),
        command: SayCommand::Privmsg,
        lines: vec![b"one".to_vec()],
        tags: Vec::new(),
        as_multiline: false,
    };
    session.say(say(1), now).expect("room");
    let (_, written) = all_of(&mut session, now);
    assert_eq!(written.len(), 1);
    let snapshot = session.snapshot().expect("at rest");
    let mut other = Session::restore(settings(), snapshot, 20, now);
    all_of(&mut other, now);
    other.say(say(1), now).expect("room");
    let (_, written) = all_of(&mut other, now);
    assert_eq!(written, [b"@label=b21 PRIVMSG #tea :one\r\n"]);
    other.receive(b"@label=b1;msgid=x :anna!u@h PRIVMSG #tea one\r\n", now);
    let (events, _) = all_of(&mut other, now);
    let is_said = |event: &Event| matches!(event, Event::Said { .. });
    assert!(!events.iter().any(is_said), "{events:?}");
    other.receive(b"@label=b21;msgid=y :anna!u@h PRIVMSG #tea one\r\n", now);
    let (events, _) = all_of(&mut other, now);
    assert!(events.iter().any(is_said), "{events:?}");
}

#[test]
fn within_a_batch_nobody_can_go_on() {
    let now = Instant::now();
    let mut session = ready(now);
    session.receive(b":srv BATCH +x netsplit a b\r\n", now);
    assert_eq!(session.snapshot(), None);
    session.receive(b":srv BATCH -x\r\n", now);
    assert!(session.snapshot().is_some());
    assert_eq!(Session::new(settings(), now).snapshot(), None);
}

#[test]
fn what_the_server_says_of_the_session_before_comes_before_the_sounding_ends() {
    let now = Instant::now();
    let snapshot = ready(now).snapshot().expect("at rest");
    let mut other = Session::restore(settings(), snapshot, 20, now);
    all_of(&mut other, now);
    other.sound(7, now).expect("room");
    let (events, written) = all_of(&mut other, now);
    assert_eq!(
        (events, written),
        (Vec::new(), vec![b"PING barrier-21\r\n".to_vec()])
    );
    // It is no answer to the sounding, however it looks.
    for line in [
        ":srv 481 anna :No",
        ":srv 353 anna = #tea :a",
        ":srv 404 anna #tea :No",
    ] {
        other.receive(format!("{line}\r\n").as_bytes(), now);
        let (events, _) = all_of(&mut other, now);
        assert!(
            matches!(&events[..], [Event::Line(heard)] if heard.answers.is_none()),
            "{events:?}"
        );
    }
    other.receive(b":srv PONG srv :barrier-21\r\n", now);
    let (events, written) = all_of(&mut other, now);
    let lines = Vec::new();
    assert_eq!(
        (events, written),
        (vec![Event::Answered { id: 7, lines }], Vec::new())
    );
}

#[test]
fn it_does_not_introduce_itself_again() {
    let begin = Instant::now();
    let snapshot = ready(begin).snapshot().expect("it is at rest");
    let settings = Settings {
        password: Some("secret".to_owned()),
        is_tls: false,
        ..settings()
    };
    let mut session = Session::restore(settings, snapshot, 7, begin);
    let later = begin + std::time::Duration::from_secs(21);
    session.tick(later);
    assert_eq!(all_of(&mut session, later).1, [b""; 0]);
}
