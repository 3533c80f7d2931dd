//! What is said, and what a server tells.

use super::*;

fn said(onlooker: &mut Onlooker, line: &str) -> Said {
    match onlooker.hear(line).as_slice() {
        [Happening::Said(said)] => (**said).clone(),
        other => panic!("{line}: {other:?}"),
    }
}

fn in_a(status: Option<char>) -> Place {
    let name = "#a".to_owned();
    Place::Channel { name, status }
}

#[test]
fn a_message_is_told_with_its_tags() {
    let mut onlooker = Onlooker::in_channel();
    let said = said(
        &mut onlooker,
        "@time=2026-01-02T03:04:05.678Z;msgid=m1;account=annie;+draft/reply=m0;label=7;draft/relaymsg=relay;bot \
         :ann!a@ann.test PRIVMSG #A :hello  there",
    );
    let expected = Said {
        place: in_a(None),
        who: who("ann!a@ann.test"),
        is_own: false,
        is_server: false,
        kind: Kind::Text,
        text: b"hello  there".to_vec(),
        msgid: Some("m1".into()),
        time_ms: Some(1_767_323_045_678),
        account: Some("annie".into()),
        reply_to: Some("m0".into()),
        label: Some("7".into()),
        relayed_by: Some("relay".into()),
        is_bot: true,
    };
    assert_eq!(said, expected);
}

#[test]
fn what_is_not_said_was_known_before() {
    let mut onlooker = Onlooker::in_channel();
    onlooker.hear(":ann ACCOUNT annie");
    let heard = said(&mut onlooker, ":ann PRIVMSG me :hi");
    assert_eq!(heard.who, who("ann!a@ann.test"));
    assert_eq!(heard.account.as_deref(), Some("annie"));
    assert_eq!(heard.time_ms, None);
}

#[test]
fn places_are_told_apart() {
    let mut onlooker = Onlooker::in_channel();
    let other = |target: &str| Place::Other {
        target: target.to_owned(),
    };
    for (target, place) in [
        ("#A", in_a(None)),
        ("@#a", in_a(Some('@'))),
        ("@+#a", in_a(Some('+'))),
        ("ME", Place::Private),
        ("bob", other("bob")),
        ("$$*", other("$$*")),
        ("@bob", other("@bob")),
        ("~#a", other("~#a")),
    ] {
        let heard = said(&mut onlooker, &format!(":ann PRIVMSG {target} :x"));
        assert_eq!(heard.place, place, "{target}");
    }
    let echo = said(&mut onlooker, ":Me!u@h PRIVMSG bob :x");
    assert!(echo.is_own);
}

#[test]
fn kinds_are_told_apart() {
    let mut onlooker = Onlooker::in_channel();
    let ctcp = |command: &str, args: &str| Kind::Ctcp {
        command: command.to_owned(),
        args: args.into(),
    };
    let reply = |command: &str, args: &str| Kind::CtcpReply {
        command: command.to_owned(),
        args: args.into(),
    };
    for (line, kind, text) in [
        ("PRIVMSG #a :x", Kind::Text, "x"),
        ("NOTICE #a :x", Kind::Notice, "x"),
        ("PRIVMSG #a :\x01ACTION waves\x01", Kind::Action, "waves"),
        ("PRIVMSG #a :\x01action waves on", Kind::Action, "waves on"),
        ("PRIVMSG #a :\x01ACTION\x01", Kind::Action, ""),
        ("PRIVMSG #a :\x01PING 1 2\x01", ctcp("PING", "1 2"), "1 2"),
        ("PRIVMSG #a :\x01version\x01", ctcp("VERSION", ""), ""),
        ("NOTICE #a :\x01PING 1\x01", reply("PING", "1"), "1"),
        ("PRIVMSG #a :\x01\x01", Kind::Text, "\x01\x01"),
        ("PRIVMSG #a :\x01", Kind::Text, "\x01"),
        ("PRIVMSG #a :", Kind::Text, ""),
    ] {
        let heard = said(&mut onlooker, &format!(":ann {line}"));
        assert_eq!(
            (heard.kind, &*heard.text),
            (kind, text.as_bytes()),
            "{line:?}"
        );
    }
}

#[test]
fn texts_stay_bytes() {
    let mut onlooker = Onlooker::in_channel();
    let line = Line::parse(b":ann PRIVMSG #a :caf\xe9").expect("a line");
    let happenings = onlooker.channels.take(&line, ME, &onlooker.isupport);
    assert!(matches!(&happenings[..], [Happening::Said(said)] if said.text == b"caf\xe9"));
}

#[test]
fn servers_give_notice() {
    let mut onlooker = Onlooker::in_channel();
    for (line, from) in [
        (":srv.test NOTICE me :text", "srv.test"),
        (":srv.test NOTICE * :text", "srv.test"),
        ("NOTICE AUTH :text", ""),
        (":srv.test PRIVMSG $$* :text", "srv.test"),
    ] {
        let notice = Happening::ServerNotice {
            from: from.into(),
            text: b"text".to_vec(),
        };
        assert_eq!(onlooker.hear(line), [notice], "{line}");
    }
    let in_channel = said(&mut onlooker, ":srv.test NOTICE #a :text");
    assert!(in_channel.is_server);
    assert_eq!(in_channel.place, in_a(None));
}

#[test]
fn tags_alone_are_reactions_and_writing() {
    let mut onlooker = Onlooker::in_channel();
    let ann = || who("Ann!a@ann.test");
    let reacted = |is_undone| Happening::Reacted {
        place: in_a(None),
        who: ann(),
        to: "m1".into(),
        reaction: "👍".into(),
        is_undone,
    };
    let typing = |state| Happening::Typing {
        place: in_a(None),
        who: ann(),
        state,
    };
    for (tags, expected) in [
        ("+draft/react=👍;+draft/reply=m1", vec![reacted(false)]),
        ("+reply=m1;+draft/unreact=👍", vec![reacted(true)]),
        ("+draft/react=👍", vec![]),
        ("+draft/react;+reply=m1", vec![]),
        ("+typing=active", vec![typing(Typing::Active)]),
        (
            "+typing=done;+draft/react=👍;+reply=m1",
            vec![typing(Typing::Done), reacted(false)],
        ),
        ("+draft/typing=paused", vec![typing(Typing::Paused)]),
        ("+typing=sleeping", vec![]),
    ] {
        let line = format!("@{tags} :Ann TAGMSG #a");
        assert_eq!(onlooker.hear(&line), expected, "{tags}");
    }
    assert_eq!(
        onlooker.hear(":Ann REDACT #a m1 :oops"),
        [Happening::Redacted {
            place: in_a(None),
            who: ann(),
            target: "m1".into(),
            reason: Some(b"oops".to_vec()),
        }]
    );
}

#[test]
fn history_is_told_and_changes_nothing() {
    let mut onlooker = Onlooker::in_channel();
    let before = onlooker.members("#a");
    for line in [
        ":dan JOIN #a",
        ":ann PART #a",
        ":me KICK #a bob",
        ":bob NICK eve",
        ":me!u@h PART #a",
        ":ann MODE #a +o bob",
        ":ann TOPIC #a :old",
    ] {
        assert_eq!(onlooker.hear_in(line, Some("chathistory")), [], "{line}");
    }
    assert_eq!(onlooker.members("#a"), before);
    let heard = onlooker.hear_in(":ann PRIVMSG #a :before", Some("chathistory"));
    assert!(
        matches!(&heard[..], [Happening::Said(said)] if said.who == who("ann")),
        "her host may have been another: {heard:?}"
    );
}

#[test]
fn invites_and_knocks_are_told() {
    let mut onlooker = Onlooker::in_channel();
    let invited = |channel: &str, whom: &str| Happening::Invited {
        channel: channel.to_owned(),
        by: who("Ann!a@ann.test"),
        whom: whom.to_owned(),
    };
    assert_eq!(onlooker.hear(":Ann INVITE me :#x"), [invited("#x", "me")]);
    assert_eq!(onlooker.hear(":Ann INVITE dan #A"), [invited("#a", "dan")]);
    assert_eq!(onlooker.hear(":Ann INVITE dan"), []);
    let knock = Happening::Knocked {
        channel: "#a".into(),
        who: who("dan!d@d"),
    };
    let line = ":srv.test 710 #a #a dan!d@d :has asked for an invite.";
    assert_eq!(onlooker.hear(line), [knock]);
}

#[test]
fn what_a_server_tells_is_passed_on() {
    let mut onlooker = Onlooker::in_channel();
    let numeric = |numeric, params: &[&str], text: &str| Happening::Numeric {
        numeric,
        params: params.iter().map(|param| (*param).to_owned()).collect(),
        text: text.into(),
    };
    for (line, expected) in [
        (
            ":s.t 301 me ann :lunch",
            vec![numeric(301, &["ann"], "lunch")],
        ),
        (
            ":s.t 401 me ann :No such nick",
            vec![numeric(401, &["ann"], "No such nick")],
        ),
        (
            ":s.t 470 me #x #y :Forwarding",
            vec![numeric(470, &["#x", "#y"], "Forwarding")],
        ),
        (":s.t 404", vec![numeric(404, &[], "")]),
        (":s.t 422 me :No MOTD", vec![]),
        (":s.t 372 me :- hello", vec![]),
        (
            ":s.t 730 me :ann!a@a,bob",
            vec![
                Happening::Online {
                    who: who("ann!a@a"),
                },
                Happening::Online { who: who("bob") },
            ],
        ),
        (
            ":s.t 731 me :ann",
            vec![Happening::Offline { nick: "ann".into() }],
        ),
        (
            "FAIL REDACT UNKNOWN_MSGID #a m1 :No such message",
            vec![Happening::Reply {
                kind: ReplyKind::Fail,
                command: "REDACT".into(),
                code: "UNKNOWN_MSGID".into(),
                context: vec!["#a".into(), "m1".into()],
                text: b"No such message".to_vec(),
            }],
        ),
        ("FAIL REDACT", vec![]),
    ] {
        assert_eq!(onlooker.hear(line), expected, "{line}");
    }
}
