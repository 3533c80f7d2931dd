//! Commands whose outcome is wanted.

use super::*;

#[test]
fn a_label_tells_what_answers_what() {
    let mut play = Play::ready("batch labeled-response").strict();
    play.ask(1, "WHOIS bob");
    play.ask(2, "JOIN #c");
    play.ask(3, "AWAY");
    play.act(
        "> @label=b1 WHOIS bob
         > @label=b2 JOIN #c
         > @label=b3 AWAY
         ! written 1
         ! written 2
         ! written 3
         < @label=b2 :srv BATCH +1 labeled-response
         < @batch=1 :anna!a@h JOIN #c
         ! line own (labeled-response) [2] @batch=1 :anna!a@h JOIN :#c
         < @label=b1 :srv BATCH +2 labeled-response
         < @batch=2 :srv 311 anna bob b h * :Bob
         ! line (labeled-response) [1] @batch=2 :srv 311 anna bob b h * :Bob
         < @batch=1 :srv 366 anna #c :End
         ! line (labeled-response) [2] @batch=1 :srv 366 anna #c :End
         < BATCH -1
         ! answered 2 JOIN 366
         < BATCH -2
         ! answered 1 311
         < @label=b3 :srv ACK
         ! answered 3 
         < @label=b99 :srv 401 anna x :No such nick
         ! line @label=b99 :srv 401 anna x :No such nick",
    );
}

fn asks(ask: &str, transcript: &str) -> Play {
    let mut play = Play::ready("");
    play.ask(1, ask);
    play.act(&format!(
        "> {ask}\n> PING barrier-1\n! written 1\n{transcript}"
    ));
    play
}

#[test]
fn answers_without_labels_are_known_by_their_numerics() {
    for (ask, transcript) in [
        (
            "WHOIS bob",
            "< :srv 311 anna bob b h * :Bob
             < :srv 353 anna = #c :bob
             < :srv PONG srv :barrier-1
             < :srv 318 anna bob :End of WHOIS
             ! answered 1 311 318",
        ),
        (
            "WHOIS bob",
            "< :srv 401 anna bob :No such nick
             < :srv 318 anna bob :End of WHOIS
             ! refused 1 401: No such nick",
        ),
        ("JOIN #c", "< :anna!a@h JOIN #c\n! answered 1 JOIN"),
        (
            "JOIN #c",
            "< :srv 473 anna #c :Cannot join (+i)\n! refused 1 473: Cannot join (+i)",
        ),
        (
            "JOIN #c",
            "< :srv 470 anna #c ##c :Forwarding to another channel
             < :anna!a@h JOIN ##c
             ! answered 1 470 JOIN",
        ),
        // Who is in already is told nothing.
        ("JOIN #c", "< :srv PONG srv :barrier-1\n! answered 1 \n"),
        (
            "JOIN #a,#b",
            "< :anna!a@h JOIN #a
             < :srv 471 anna #b :Cannot join (+l)
             ! answered 1 JOIN 471",
        ),
        (
            "MODE #c b",
            "< :srv 367 anna #c x!*@* op 1
             < :srv 368 anna #c :End of list
             ! answered 1 367 368",
        ),
        (
            "MODE #c +o :bob",
            "< :srv 482 anna #c :Not an operator\n< :srv PONG srv :barrier-1\n! refused 1 482: Not an operator",
        ),
        (
            "KICK #c bob :bye",
            "< :anna!a@h KICK #c bob :bye\n! answered 1 KICK",
        ),
        (
            "KICK #c bob :bye",
            "< :srv 441 anna bob #c :They are not there\n! refused 1 441: They are not there",
        ),
        (
            "TOPIC #c :new",
            "< :srv FAIL TOPIC NOPE #c :No\n! refused 1 NOPE: No",
        ),
        (
            "NICK bella",
            "< :srv 433 anna bella :In use\n! refused 1 433: In use",
        ),
        (
            "NICK bella",
            "< :srv 447 anna :Cannot change nick while on #c (+N)\n! refused 1 447: Cannot change nick while on #c (+N)",
        ),
        (
            "LIST",
            "< :srv 321 anna Channel :Users
             < :srv 322 anna #c 3 :topic
             < :srv PONG srv :barrier-1
             + 29
             < :srv 322 anna #d 3 :topic
             + 29
             < :srv 323 anna :End
             ! answered 1 321 322 322 323",
        ),
        (
            "BOGUS",
            "< :srv 421 anna BOGUS :Unknown command\n! refused 1 421: Unknown command",
        ),
        (
            "VERSION",
            "< :srv 351 anna IRCd-1 srv :x\n< :srv PONG srv :barrier-1\n! answered 1 351",
        ),
    ] {
        asks(ask, transcript);
    }
}

#[test]
fn a_server_that_never_answers_is_not_waited_for() {
    asks(
        "WHOIS bob",
        "< :srv PONG srv :barrier-1
         + 29.9
         + 0.1
         ! refused 1: the server has not answered",
    );
    let mut play = Play::ready("batch labeled-response");
    play.ask(1, "WHOIS bob");
    play.act(
        "> @label=b1 WHOIS bob
         ! written 1
         + 10
         > PING barrier-1
         + 60
         < :srv PONG srv barrier-1
         + 29.9
         + 0.1
         ! refused 1: the server has not answered",
    );
}

#[test]
fn a_refusal_is_the_business_of_the_first_that_it_fits() {
    let mut play = Play::ready("");
    play.session
        .say(say(1, "bob", &["hello"]), play.now)
        .expect("room");
    play.ask(2, "WHOIS bob");
    play.act(
        "> PRIVMSG bob :hello
         > WHOIS bob
         > PING barrier-1
         ! written 1
         ! written 2
         < :srv 401 anna bob :No such nick
         ! refused 1 401: No such nick
         < :srv 401 anna bob :No such nick
         < :srv 318 anna bob :End
         ! refused 2 401: No such nick
         < :srv PONG srv :barrier-1",
    );
}

#[test]
fn a_nick_that_was_asked_for_is_the_wanted_one_from_then_on() {
    let mut play = asks(
        "NICK bella",
        "< :anna!a@h NICK bella\n! nick anna bella\n! answered 1 NICK",
    );
    play.act(
        "< :srv PONG srv :barrier-1
         < :bella!a@h NICK Guest1
         ! nick bella Guest1
         + 89.9
         + 0.1
         > PING barrier-2
         < :srv PONG srv barrier-2
         < :bella!x@y QUIT :gone
         > NICK bella
         < :srv 433 Guest1 bella :In use",
    );
}

#[test]
fn where_something_was_said_is_an_answer() {
    let mut play = Play::ready("batch draft/chathistory message-tags").strict();
    let ask = "CHATHISTORY TARGETS timestamp=2026-01-01T00:00:00.000Z timestamp=2026-01-02T00:00:00.000Z :50";
    play.ask(1, ask);
    play.act(&format!(
        "> {ask}
         > PING barrier-1
         ! written 1
         < :srv BATCH +h draft/chathistory-targets
         < @batch=h :srv CHATHISTORY TARGETS bob 2026-01-01T12:00:00.000Z
         ! line (draft/chathistory-targets) [1] @batch=h :srv CHATHISTORY TARGETS bob :2026-01-01T12:00:00.000Z
         < :srv BATCH -h
         < :srv PONG srv barrier-1
         ! answered 1 CHATHISTORY",
    ));
    play.ask(2, ask);
    play.act(&format!(
        "> {ask}
         > PING barrier-2
         ! written 2
         < :srv FAIL CHATHISTORY INVALID_PARAMS TARGETS :Unknown command
         ! line [2] :srv FAIL CHATHISTORY INVALID_PARAMS TARGETS :Unknown command
         ! refused 2 INVALID_PARAMS: Unknown command",
    ));
}

#[test]
fn histories_are_answers() {
    let mut play = Play::ready("batch draft/chathistory message-tags echo-message").strict();
    play.ask(1, "CHATHISTORY LATEST #c * :10");
    play.say(2, "#c", &["again"]);
    play.act(
        "> CHATHISTORY LATEST #c * :10
         > PING barrier-1
         > PRIVMSG #c :again
         ! written 1
         ! written 2
         < :srv BATCH +h chathistory #c
         < @batch=h;msgid=m1 :anna!old@h PRIVMSG #c :again
         ! line own (chathistory) [1] @batch=h;msgid=m1 :anna!old@h PRIVMSG #c :again
         < :srv BATCH -h
         ! answered 1 PRIVMSG
         < :srv PONG srv barrier-1
         > PING barrier-2
         < @msgid=m2 :anna!a@h PRIVMSG #c :again
         ! said 2 echo m2",
    );
    assert_eq!(play.session.source().to_string(), "anna!a@h");
}

#[test]
fn a_text_of_several_lines_is_one_of_a_history() {
    for (caps, label) in [("", ""), ("labeled-response ", "@label=b1 ")] {
        let caps = format!("{caps}batch draft/chathistory draft/multiline message-tags");
        let mut play = Play::ready(&caps);
        play.ask(1, "CHATHISTORY LATEST #c * :10");
        for line in [
            &*format!("{label}:srv BATCH +h chathistory #c"),
            "@batch=h;msgid=m1 :bob!b@h PRIVMSG #c :before",
            "@batch=h;msgid=m2;time=T :bob!b@h BATCH +m draft/multiline #c",
            "@batch=m :bob!b@h PRIVMSG #c :one",
            "@batch=m;draft/multiline-concat :bob!b@h PRIVMSG #c : more",
            "@batch=m :bob!b@h PRIVMSG #c :two",
            "BATCH -m",
            "@batch=h;msgid=m3 :bob!b@h PRIVMSG #c :after",
            ":srv BATCH -h",
        ] {
            let bytes = format!("{line}\r\n");
            play.session.receive(bytes.as_bytes(), play.now);
        }
        let mut events = std::iter::from_fn(|| play.session.poll_event());
        let answered = events.find_map(|event| match event {
            Event::Answered { id: 1, lines } => Some(lines),
            _ => None,
        });
        let lines = answered.expect("the history ends");
        let texts: Vec<&[u8]> = lines.iter().map(Line::last).collect();
        assert_eq!(texts, [&b"before"[..], b"one more\ntwo", b"after"]);
        assert_eq!(lines[1].tags.get("msgid"), Some("m2"));
        assert_eq!(lines[1].tags.get("time"), Some("T"));
    }
}

#[test]
fn batches_are_told_with_their_lines() {
    let mut play = Play::ready("batch draft/multiline message-tags").strict();
    play.act(
        "< :srv BATCH +s netsplit a.example b.example
         < @batch=s :bob!b@h QUIT :a.example b.example
         ! line (netsplit) @batch=s :bob!b@h QUIT :a.example b.example
         < :srv BATCH -s
         < @msgid=m;time=T :bob!b@h BATCH +m draft/multiline #c
         < @batch=m :bob!b@h PRIVMSG #c :one
         < @batch=m;draft/multiline-concat :bob!b@h PRIVMSG #c : more
         < @batch=m :bob!b@h PRIVMSG #c :two
         < :bob!b@h PRIVMSG #c :between
         ! line :bob!b@h PRIVMSG #c :between
         < :srv BATCH -m
         ! multiline @msgid=m;time=T :bob!b@h PRIVMSG #c :one |one+ more|two
         < @batch=gone :bob!b@h PRIVMSG #c :stray
         ! line @batch=gone :bob!b@h PRIVMSG #c :stray
         < :bob!b@h BATCH +e draft/multiline #c
         < @batch=e :bob!b@h PRIVMSG #c :never ends
         + 60
         ! multiline :bob!b@h PRIVMSG #c :never ends |never ends",
    );
}

#[test]
fn asks_have_a_bound() {
    let mut play = Play::new(settings());
    for id in 0..4096 {
        play.ask(id, "WHOIS bob");
    }
    let one_more = Ask {
        id: 4096,
        line: Line::new("WHOIS", ["bob"]),
        priority: Priority::Urgent,
    };
    assert_eq!(play.session.ask(one_more, play.now), Err(Full));
}

/// What is told when the server says this.
fn outcomes(mut play: Play, lines: &str) -> Vec<String> {
    play.pass(5.0);
    for line in lines.lines() {
        play.hear(line.trim_start());
    }
    let told = play.told.into_iter();
    told.filter(|told| !told.starts_with("written")).collect()
}

#[test]
fn a_refused_command_is_not_taken_for_a_refused_text() {
    let mut play = Play::ready("");
    play.say(1, "#c", &["hi"]);
    play.ask(2, "KICK #c bob x");
    let told = outcomes(
        play,
        ":srv 482 anna #c :You are no operator
         :srv PONG srv :barrier-1
         :srv PONG srv :barrier-2",
    );
    assert!(
        told.iter().any(|told| told.starts_with("refused 2")),
        "{told:?}"
    );
    assert!(
        told.iter().any(|told| told.starts_with("said 1")),
        "{told:?}"
    );
}

#[test]
fn a_refused_text_is_not_taken_for_a_refused_command() {
    let mut play = Play::ready("");
    play.ask(1, "KICK #c bob x");
    play.say(2, "#c", &["hi"]);
    let told = outcomes(
        play,
        ":anna!a@h KICK #c bob :x
         :srv 404 anna #c :Cannot send to channel
         :srv PONG srv :barrier-1
         :srv PONG srv :barrier-2",
    );
    assert!(
        told.iter().any(|told| told.starts_with("answered 1")),
        "{told:?}"
    );
    assert!(
        told.iter().any(|told| told.starts_with("refused 2")),
        "{told:?}"
    );
}

#[test]
fn hundreds_of_commands_may_wait() {
    let mut play = Play::ready("");
    for id in 0..1500 {
        play.ask(id, &format!("JOIN #c{id}"));
    }
}

#[test]
fn texts_of_commands_fit_into_lines() {
    let mut play = Play::ready("");
    play.ask(1, &format!("TOPIC #c :{}", "é".repeat(600)));
    let topic = play.sent.iter().find(|line| line.starts_with("TOPIC"));
    let topic = topic.expect("a topic");
    assert!(
        topic.len() <= 510 && topic.ends_with('é'),
        "{}",
        topic.len()
    );
}
