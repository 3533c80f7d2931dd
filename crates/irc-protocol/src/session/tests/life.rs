//! Signs of life, the pace, and the end.

use super::*;

#[test]
fn silence_is_noticed() {
    let mut play = Play::ready("");
    play.act(
        "+ 89.9
         + 0.1
         > PING barrier-1
         + 2
         < :srv PONG srv :barrier-1",
    );
    assert_eq!(play.session.lag(), Some(Duration::from_secs(2)));
    play.act(
        "+ 90
         > PING barrier-2
         + 89.9
         + 0.1
         ! ended Timeout(\"a sign of life\")
         < :srv PONG srv :barrier-2",
    );
    assert_eq!(play.session.wake_at(), None);
}

#[test]
fn who_waits_for_ever_waits_for_long() {
    let mut patient = settings();
    patient.keepalive = KeepAlive {
        ping_after: Duration::MAX,
        dead_after: Duration::MAX,
        registration: Duration::MAX,
    };
    let mut play = Play::new(patient);
    play.welcome("", "");
    play.act("+ 1000000");
}

#[test]
fn a_server_that_talks_but_does_not_answer_is_dead_too() {
    let mut play = Play::ready("");
    play.say(1, "#c", &["x"]);
    play.act("> PRIVMSG #c :x\n> PING barrier-1\n! written 1");
    for _ in 0..17 {
        play.act("+ 10\n< :bob!b@h PRIVMSG #c :hello\n< :srv PONG srv :something");
    }
    play.act("+ 10\n! ended Timeout(\"a sign of life\")");
}

#[test]
fn a_ping_is_answered_ahead_of_everything() {
    let mut play = Play::new(Settings {
        pace: Pace {
            burst_lines: 2,
            line_ms: 1_000,
            hundred_bytes_ms: 0,
        },
        ..settings()
    });
    play.welcome("", "");
    play.pass(30.0);
    play.say(1, "#c", &["1", "2", "3", "4"]);
    play.act(
        "> PRIVMSG #c :1
         > PRIVMSG #c :2
         > PING barrier-1
         ! begun 1
         < PING a :b c
         > PONG a :b c
         < :srv PONG srv :barrier-1
         + 2.9
         + 0.1
         > PRIVMSG #c :3
         > PING barrier-2
         + 2
         > PRIVMSG #c :4
         ! written 1
         < :srv PONG srv :barrier-2
         > PING barrier-3
         < :srv PONG srv :barrier-3
         ! said 1 barrier",
    );
}

#[test]
fn what_moderates_overtakes_what_is_said() {
    let mut play = Play::new(settings());
    play.collect();
    play.sent.clear();
    play.session
        .say(say(1, "#c", &["hello"]), play.now)
        .expect("room");
    play.session
        .send(Line::new("JOIN", ["#d"]), Priority::Membership)
        .expect("room");
    play.session
        .send(Line::new("KICK", ["#c", "bob"]), Priority::Moderation)
        .expect("room");
    play.act(
        "< :srv 001 anna :Welcome
         < :srv 376 anna :End
         ! ready
         ! written 1
         > USERHOST anna
         > KICK #c :bob
         > PRIVMSG #c :hello
         > JOIN #d
         > PING barrier-1",
    );
}

#[test]
fn no_more_is_unproven_than_can_be_remembered() {
    let mut play = Play::ready("");
    for id in 0..100 {
        play.session
            .say(say(id, "#c", &["x"]), play.now)
            .expect("room");
    }
    play.collect();
    let said = |play: &Play| {
        play.sent
            .iter()
            .filter(|line| line.starts_with("PRIVMSG"))
            .count()
    };
    let pings = |play: &Play| {
        play.sent
            .iter()
            .filter(|line| line.starts_with("PING"))
            .count()
    };
    assert_eq!((said(&play), pings(&play)), (64, 1));
    for ping in 1..=5 {
        play.hear(&format!(":srv PONG srv :barrier-{ping}"));
    }
    assert_eq!(said(&play), 100);
    assert!(pings(&play) <= 5, "{}", pings(&play));
    let proven = play
        .told
        .iter()
        .filter(|told| told.starts_with("said"))
        .count();
    assert_eq!(proven, 100);
}

#[test]
fn a_goodbye_ends_in_any_case() {
    let mut play = Play::ready("");
    play.say(1, "#c", &["x"]);
    play.sent.clear();
    play.told.clear();
    play.session.quit("bye", play.now);
    play.act("> QUIT bye\n< ERROR :Closing link\n! ended Quit");
    let mut play = Play::ready("");
    play.session.quit("", play.now);
    play.act("> QUIT :\n+ 4.9\n+ 0.1\n! ended Quit");
    assert_eq!(play.session.say(say(1, "#c", &["x"]), play.now), Err(Full));
    let mut play = Play::ready("");
    play.session.closed();
    play.act("! ended Error(\"the connection was closed\")");
}

#[test]
fn the_wanted_nick_is_tried_again_but_not_for_ever() {
    let mut play = Play::ready("");
    play.act("< :anna!a@h NICK Guest1\n! nick anna Guest1");
    for at in 0..3 {
        for ping in 1..=3 {
            play.act(&format!(
                "+ 90\n> PING barrier-{0}\n< :srv PONG srv barrier-{0}",
                at * 3 + ping
            ));
        }
        if at < 2 {
            play.act(
                "+ 30
                 > NICK anna
                 < :Guest1!a@h NICK anna
                 ! nick Guest1 anna
                 < :anna!a@h NICK Guest1
                 ! nick anna Guest1",
            );
        }
    }
    play.act("+ 60");
}

#[test]
fn an_unwanted_flood_of_pings_takes_no_endless_memory() {
    let mut play = Play::ready("");
    let flood = "PING :x\r\n".repeat(10_000);
    play.session.receive(flood.as_bytes(), play.now);
    play.collect();
    assert!(play.sent.len() <= 256);
}
