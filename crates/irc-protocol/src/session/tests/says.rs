//! What is said, and how it ends.

use super::*;

const LABELS: &str = "batch echo-message labeled-response message-tags";

#[test]
fn the_echo_under_a_label_is_the_proof() {
    let mut play = Play::ready(LABELS);
    play.say(1, "#c", &["one", "two"]);
    play.act(
        "> @label=b1 PRIVMSG #c :one
         > @label=b2 PRIVMSG #c :two
         ! begun 1
         ! written 1
         < @label=b1;msgid=m1;time=T1 :anna!a@h PRIVMSG #c :one
         < @label=b2;msgid=m2;time=T2 :anna!a@h PRIVMSG #c :two
         ! said 1 echo m1,m2 at T1",
    );
    assert_eq!(play.session.source().to_string(), "anna!a@h");
}

#[test]
fn a_label_is_answered_in_other_ways() {
    let mut play = Play::ready(LABELS);
    play.say(1, "NickServ", &["one"]);
    play.say(2, "bob", &["two"]);
    play.say(3, "#d", &["three"]);
    play.say(4, "#e", &["four", "five"]);
    play.act(
        "> @label=b1 PRIVMSG NickServ :one
         > @label=b2 PRIVMSG bob :two
         > @label=b3 PRIVMSG #d :three
         > @label=b4 PRIVMSG #e :four
         > @label=b5 PRIVMSG #e :five
         ! written 1
         ! written 2
         ! written 3
         ! begun 4
         ! written 4
         < @label=b1 :srv ACK
         ! said 1 barrier
         < @label=b2 :srv BATCH +x labeled-response
         < @batch=x :srv 301 anna bob :away
         < @batch=x;msgid=m2 :anna!a@h PRIVMSG bob :two
         < :srv BATCH -x
         ! said 2 echo m2
         < @label=b3 :srv FAIL PRIVMSG NO_PRIVILEGES #d :You may not
         ! refused 3 NO_PRIVILEGES: You may not
         < @label=b4 :srv 404 anna #e :Cannot send to channel
         ! refused 4 404: Cannot send to channel
         < @label=b5 :srv 404 anna #e :Cannot send to channel",
    );
}

#[test]
fn an_acknowledged_label_is_no_echo() {
    let mut play = Play::ready(LABELS);
    play.say(1, "#c", &["one"]);
    play.say(2, "#c", &["two"]);
    play.act(
        "> @label=b1 PRIVMSG #c :one
         > @label=b2 PRIVMSG #c :two
         ! written 1
         ! written 2
         < @label=b1 :srv ACK
         < @label=b2 :srv ACK
         + 5
         < @msgid=m2 :anna!a@h PRIVMSG #c :two
         ! said 2 echo m2
         + 24.9
         + 0.1
         ! refused 1: the server has dropped it without a word",
    );
    let mut play = Play::ready("batch labeled-response");
    play.say(1, "#c", &["one"]);
    play.act(
        "> @label=b1 PRIVMSG #c :one
         ! written 1
         < @label=b1 :srv ACK
         ! said 1 barrier",
    );
}

#[test]
fn an_echo_without_a_label_is_matched_and_a_lost_one_noticed() {
    let mut play = Play::ready("echo-message message-tags");
    play.say(1, "#c", &["one"]);
    play.say(2, "#c", &["two"]);
    play.say(3, "#C", &["three"]);
    play.act(
        "> PRIVMSG #c :one
         > PING barrier-1
         > PRIVMSG #c :two
         > PRIVMSG #C :three
         ! written 1
         ! written 2
         ! written 3
         < @msgid=m1 :anna!a@h PRIVMSG #c :one
         ! said 1 echo m1
         < :srv PONG srv :barrier-1
         > PING barrier-2
         < @msgid=m3 :anna!a@h PRIVMSG #c :three
         ! said 3 echo m3
         < :srv PONG srv :barrier-2
         + 29.9
         + 0.1
         ! refused 2: the server has dropped it without a word",
    );
}

#[test]
fn the_server_may_alter_what_it_brings_back() {
    let mut play = Play::ready("echo-message message-tags");
    play.say(1, "#c", &["\u{2}bold\u{2}"]);
    play.act(
        "> PRIVMSG #c :\u{2}bold\u{2}
         > PING barrier-1
         ! written 1
         < @msgid=m1 :anna!a@h PRIVMSG #c :bold
         ! said 1 echo m1
         < :srv PONG srv barrier-1",
    );
    // Another client of the same person may say something else.
    let mut play = Play::ready("echo-message message-tags znc.in/self-message").strict();
    play.say(1, "#c", &["mine"]);
    play.act(
        "> PRIVMSG #c :mine
         > PING barrier-1
         ! written 1
         < :anna!a@h PRIVMSG #c :not mine
         ! line own :anna!a@h PRIVMSG #c :not mine
         < :anna!a@h PRIVMSG #c :mine
         ! said 1 echo \n",
    );
}

#[test]
fn a_barrier_is_shared_and_what_was_refused_before_it_is_refused() {
    let mut play = Play::ready("");
    let mut first = String::new();
    for id in 1..=8 {
        play.session
            .say(
                say(id, if id == 3 { "#muted" } else { "#c" }, &["x"]),
                play.now,
            )
            .expect("room");
    }
    for id in 1..=8 {
        let target = if id == 3 { "#muted" } else { "#c" };
        first += &format!("> PRIVMSG {target} :x\n");
    }
    first += "> PING barrier-1\n";
    for id in 1..=8 {
        first += &format!("! written {id}\n");
    }
    play.act(&first);
    play.act(
        "< :srv 404 anna #muted :Cannot send to channel (+m)
         ! refused 3 404: Cannot send to channel (+m)
         < :srv PONG srv :barrier-1
         ! said 1 barrier
         ! said 2 barrier
         ! said 4 barrier
         ! said 5 barrier
         ! said 6 barrier
         ! said 7 barrier
         ! said 8 barrier",
    );
    assert_eq!(play.session.lag(), Some(Duration::ZERO));
}

#[test]
fn each_refusal_finds_its_text() {
    for (target, line, told) in [
        ("bob", "401 anna bob :No such nick", "401: No such nick"),
        ("bob", "716 anna bob :is in +g mode", "716: is in +g mode"),
        (
            "bob",
            "531 anna BOB :You cannot send",
            "531: You cannot send",
        ),
        ("#c", "489 anna #c :Secure only", "489: Secure only"),
        (
            "@#c",
            "482 anna #c :Not an operator",
            "482: Not an operator",
        ),
        ("#c", "412 anna :No text to send", "412: No text to send"),
        ("a b", "", ": no target that a line can name"),
        ("a,b", "", ": no target that a line can name"),
        ("", "", ": no target that a line can name"),
        ("#c\r\nQUIT", "", ": no target that a line can name"),
    ] {
        let mut play = Play::ready("");
        play.session
            .say(say(1, target, &["x"]), play.now)
            .expect("room");
        let written = match line {
            "" => String::new(),
            line => {
                format!("> PRIVMSG {target} :x\n> PING barrier-1\n! written 1\n< :srv {line}\n")
            }
        };
        let barrier = if line.is_empty() {
            ""
        } else {
            "< :srv PONG srv :barrier-1"
        };
        play.act(&format!(
            "{written}! refused 1{}{told}\n{barrier}",
            if line.is_empty() { "" } else { " " }
        ));
    }
    let mut play = Play::ready("");
    play.say(1, "#c", &["x"]);
    play.act(
        "> PRIVMSG #c :x
         > PING barrier-1
         ! written 1
         < :srv 404 anna #other :Cannot send
         < :srv 401 anna bob :No such nick
         < :srv PONG srv :barrier-1
         ! said 1 barrier",
    );
}

#[test]
fn the_rest_of_what_was_refused_is_not_said() {
    let mut play = Play::new(Settings {
        pace: Pace {
            burst_lines: 1,
            line_ms: 1_000,
            hundred_bytes_ms: 0,
        },
        ..settings()
    });
    play.welcome("", "");
    play.pass(30.0);
    play.say(1, "#c", &["one", "two", "three"]);
    play.say(2, "#d", &["four"]);
    play.act(
        "> PRIVMSG #c :one
         > PING barrier-1
         ! begun 1
         < :srv 404 anna #c :Cannot send
         ! refused 1 404: Cannot send
         < :srv PONG srv :barrier-1
         + 2
         > PRIVMSG #d :four
         > PING barrier-2
         ! written 2
         < :srv PONG srv :barrier-2
         ! said 2 barrier",
    );
    assert_eq!(play.session.queued(), 0);
}

#[test]
fn what_waits_can_be_taken_back() {
    let mut play = Play::new(settings());
    play.collect();
    play.sent.clear();
    play.session
        .say(say(1, "#c", &["one"]), play.now)
        .expect("room");
    play.session
        .say(say(2, "#c", &["two"]), play.now)
        .expect("room");
    assert_eq!(play.session.queued(), 2);
    assert!(play.session.cancel(1));
    assert!(!play.session.cancel(1));
    play.welcome("", "");
    assert!(!play.session.cancel(2));
    play.act("< :srv PONG srv barrier-1\n! said 2 barrier");
}

#[test]
fn several_lines_are_one_message() {
    let mut play = Play::new(settings());
    play.hear(":srv CAP * LS :batch echo-message labeled-response message-tags draft/multiline=max-bytes=1000,max-lines=5");
    play.hear(":srv CAP * ACK :batch echo-message labeled-response message-tags draft/multiline");
    play.hear(":srv 001 anna :Welcome");
    play.hear(":srv 376 anna :End");
    play.sent.clear();
    play.told.clear();
    let long = "ä".repeat(300);
    let (head, tail) = long.split_at(play.session.payload_bytes("PRIVMSG", "#c") & !1);
    let mut text = say(1, "#c", &["one", "", &long]);
    text.as_multiline = true;
    text.tags = vec![
        ("+draft/reply".to_owned(), "m0".to_owned()),
        ("evil".to_owned(), String::new()),
    ];
    play.say_as(text);
    play.act(&format!(
        "> @+draft/reply=m0;label=b1 BATCH +t1 draft/multiline :#c
         > @batch=t1 PRIVMSG #c :one
         > @batch=t1 PRIVMSG #c :
         > @batch=t1 PRIVMSG #c :{head}
         > @batch=t1;draft/multiline-concat PRIVMSG #c :{tail}
         > BATCH -t1
         ! written 1
         < @label=b1;msgid=m1 :anna!a@h BATCH +9 draft/multiline #c
         < @batch=9 :anna!a@h PRIVMSG #c :one
         < @batch=9 :anna!a@h PRIVMSG #c :{head}
         < :srv BATCH -9
         ! said 1 echo m1"
    ));
    // Too many lines for one go one by one.
    let mut text = say(2, "#c", &["1", "2", "3", "4", "5", "6"]);
    text.as_multiline = true;
    play.say_as(text);
    assert_eq!(play.sent.len(), 6);
    assert_eq!(play.sent[5], "@label=b7 PRIVMSG #c :6");
    play.sent.clear();
    play.told.clear();
    let mut text = say(3, "#c", &["a", "b"]);
    text.as_multiline = true;
    play.say_as(text);
    play.sent.clear();
    play.act(
        "! written 3
         < @label=b8 :srv FAIL BATCH MULTILINE_INVALID :No
         ! refused 3 MULTILINE_INVALID: No",
    );
}

#[test]
fn tags_go_only_to_servers_that_know_them() {
    let tagmsg = Say {
        command: SayCommand::Tagmsg,
        lines: Vec::new(),
        tags: vec![("+typing".to_owned(), "active".to_owned())],
        ..say(1, "#c", &[])
    };
    let mut play = Play::ready("message-tags");
    play.say_as(tagmsg.clone());
    play.act("> @+typing=active TAGMSG #c\n> PING barrier-1\n! written 1");
    let mut play = Play::ready("");
    play.say_as(tagmsg);
    play.act("! refused 1: the server takes no tags");
    let mut reply = say(2, "#c", &["x"]);
    reply.tags = vec![("+draft/reply".to_owned(), "m".to_owned())];
    play.say_as(reply);
    play.act("> PRIVMSG #c :x\n> PING barrier-1\n! written 2");
}

#[test]
fn nothing_is_smuggled_in() {
    let mut play = Play::ready("message-tags");
    let mut text = say(1, "#c", &["one\r\nQUIT :\0x"]);
    text.tags = vec![
        ("+a b".to_owned(), "x".to_owned()),
        ("+ok".to_owned(), "v\r\nQUIT ;".to_owned()),
    ];
    play.say_as(text);
    play.act("> @+ok=v\\r\\nQUIT\\s\\: PRIVMSG #c :one  QUIT : x\n> PING barrier-1\n! written 1");
    let evil = Line::new("MODE", ["#c", "+k\r\nQUIT", "x"]);
    assert!(matches!(
        play.session.send(evil, Priority::Said),
        Err(SendError::Line(_))
    ));
    play.ask(2, "KICK #c bob :bye");
    let ask = Ask {
        id: 3,
        line: Line::new("KICK", ["#c", "bob", "by\ne"]),
        priority: Priority::Moderation,
    };
    play.session.ask(ask, play.now).expect("room");
    play.act(
        "> KICK #c bob :bye
         ! written 2
         ! refused 3: it holds a line break or a NUL",
    );
    play.session.quit("bye\r\nJOIN #x", play.now);
    play.act("> QUIT :bye  JOIN #x");
}

#[test]
fn the_payload_is_what_nobody_gets_cut() {
    let mut play = Play::new(settings());
    // ":anna!" + "~" and a user name of ten + "@" + 63 + " PRIVMSG #c :" + CR LF
    assert_eq!(
        play.session.payload_bytes("PRIVMSG", "#c"),
        512 - 6 - 10 - 1 - 63 - 13 - 2
    );
    play.welcome("", "NICKLEN=30 USERLEN=12 HOSTLEN=64");
    assert_eq!(play.session.source().to_string(), "anna!~a@host.example");
    assert_eq!(
        play.session.payload_bytes("PRIVMSG", "#c"),
        512 - ":anna!~a@host.example PRIVMSG #c :\r\n".len()
    );
    for (line, source) in [
        (
            ":srv 396 anna cloak.example :is now your displayed host",
            "anna!~a@cloak.example",
        ),
        (
            ":anna!~a@x CHGHOST ident new.example",
            "anna!ident@new.example",
        ),
        (":anna!u@joined JOIN #c", "anna!u@joined"),
    ] {
        play.hear(line);
        assert_eq!(play.session.source().to_string(), source);
    }
}

#[test]
fn of_several_texts_the_one_is_refused_that_the_refusal_fits() {
    for (refusal, refused) in [
        ("408 anna #c :You cannot use colors on this channel", 2),
        ("404 anna #c :Cannot send to channel (no colour allowed)", 2),
        ("417 anna :Input line was too long", 3),
        ("404 anna #c :Cannot send CTCPs to this channel", 4),
        ("404 anna #c :Cannot send to channel", 1),
    ] {
        let mut play = Play::ready("batch");
        let texts = [
            "plain",
            "\u{3}4red",
            "the longest of them all",
            "\u{1}ACTION waves\u{1}",
        ];
        for (id, text) in (1..).zip(texts) {
            play.say(id, "#c", &[text]);
        }
        play.collect();
        play.sent.clear();
        play.told.clear();
        play.hear(&format!(":srv {refusal}"));
        let told = play.told.pop_front().unwrap_or_default();
        assert!(
            told.starts_with(&format!("refused {refused} ")),
            "{refusal}: {told}"
        );
        play.told.clear();
        play.hear(":srv PONG srv barrier-1");
        play.hear(":srv PONG srv barrier-2");
        let said = play
            .told
            .iter()
            .filter(|told| told.starts_with("said"))
            .count();
        assert_eq!(said, 3, "{refusal}: {:?}", play.told);
    }
}
