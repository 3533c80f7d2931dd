//! Who is in a channel, and what they may do.

use super::*;
use crate::ModeChange;

#[test]
fn entering_is_told_with_names_and_topic() {
    let mut onlooker = Onlooker::new("PREFIX=(ov)@+");
    let happenings = onlooker.hear_all(&[
        ":me!u@h JOIN :#Chan",
        ":srv.test 332 me #chan :All about it",
        ":srv.test 333 me #chan ann!a@ann.test 1700000000",
        ":srv.test 353 me @ #chan :@Ann me",
        ":srv.test 353 me @ #chan :+bob!b@bob.test",
        ":srv.test 366 me #chan :End of /NAMES list.",
        ":srv.test 329 me #chan 1600000000",
        ":srv.test 328 me #chan :https://chan.test/",
    ]);
    let channel = || "#Chan".to_owned();
    let expected_topic = Happening::Topic {
        channel: channel(),
        by: Some(who("ann!a@ann.test")),
        topic: b"All about it".to_vec(),
        set_at_s: Some(1_700_000_000),
    };
    assert_eq!(happenings[0], Happening::Entered { channel: channel() });
    assert_eq!(happenings[1], expected_topic);
    let Happening::Names { members, .. } = &happenings[2] else {
        panic!("{happenings:?}");
    };
    assert_eq!(members[0].source, who("Ann"));
    assert_eq!(members[0].modes, ['o']);
    assert_eq!(members[1].source, who("bob!b@bob.test"));
    assert_eq!(members[2].source, who("me!u@h"));
    assert_eq!(happenings.len(), 5);
    let known = onlooker.channels.channel("#CHAN").expect("a channel");
    assert_eq!(known.name(), "#Chan");
    assert!(known.is_named());
    assert_eq!(known.created_at_s(), Some(1_600_000_000));
    assert_eq!(known.url(), Some("https://chan.test/"));
    let topic = known.topic().expect("a topic");
    assert_eq!(
        (&*topic.text, topic.set_at_s),
        (&b"All about it"[..], Some(1_700_000_000))
    );
    let joined: Vec<&str> = onlooker.channels.joined().map(Channel::name).collect();
    assert_eq!(joined, ["#Chan"]);
}

#[test]
fn people_come_and_go() {
    let mut onlooker = Onlooker::in_channel();
    assert_eq!(onlooker.members("#a"), "@Ann +bob @+cy me");
    let joined = onlooker.hear(":Dan[1]!d@dan.test JOIN #A dan_account :Dan the Man");
    let expected = Happening::Joined {
        channel: "#a".into(),
        who: who("Dan[1]!d@dan.test"),
        account: Some("dan_account".into()),
        realname: Some("Dan the Man".into()),
        is_netjoin: false,
    };
    assert_eq!(joined, [expected]);
    assert_eq!(onlooker.channels.whereabouts("dan{1}"), ["#a"]);
    assert_eq!(
        onlooker.hear(":dan{1}!d@dan.test PART #a :bye"),
        [Happening::Parted {
            channel: "#a".into(),
            who: who("dan{1}!d@dan.test"),
            reason: Some(b"bye".to_vec()),
        }]
    );
    assert_eq!(
        onlooker.hear(":Ann KICK #a BOB :out"),
        [Happening::Kicked {
            channel: "#a".into(),
            who: "bob".into(),
            by: who("Ann!a@ann.test"),
            reason: Some(b"out".to_vec()),
        }]
    );
    assert_eq!(
        onlooker.hear(":cy!c@cy.test QUIT :Quit: a.example b.example"),
        [Happening::Quit {
            who: who("cy!c@cy.test"),
            channels: vec!["#a".into()],
            reason: b"Quit: a.example b.example".to_vec(),
            split: None,
        }]
    );
    assert_eq!(onlooker.members("#a"), "@Ann me");
    assert_eq!(onlooker.channels.whereabouts("cy"), [""; 0]);
}

#[test]
fn splits_are_told_from_people_who_quit() {
    let mut onlooker = Onlooker::in_channel();
    let split = |happenings: Vec<Happening>| match happenings.as_slice() {
        [Happening::Quit { split, .. }] => split.clone(),
        other => panic!("{other:?}"),
    };
    let servers = |left: &str, right: &str| Some((left.to_owned(), right.to_owned()));
    let quit = onlooker.hear(":Ann!a@ann.test QUIT :insp.test.invalid two.test.invalid");
    assert_eq!(
        split(quit),
        servers("insp.test.invalid", "two.test.invalid")
    );
    let quit = onlooker.hear_in(":bob!b@b QUIT :*.net *.split", Some("netsplit"));
    assert_eq!(split(quit), servers("*.net", "*.split"));
    let quit = onlooker.hear_in(":cy!b@b QUIT :net split", Some("netsplit"));
    assert_eq!(split(quit), servers("", ""));
    let back = onlooker.hear_in(":cy!b@b JOIN #a", Some("netjoin"));
    assert!(matches!(
        &back[..],
        [Happening::Joined {
            is_netjoin: true,
            ..
        }]
    ));
}

#[test]
fn leaving_forgets_the_channel() {
    let mut onlooker = Onlooker::in_channel();
    onlooker.hear_all(&[
        ":me!u@h JOIN #b",
        ":bob!b@b JOIN #b",
        ":srv.test 368 me #b :End",
    ]);
    assert_eq!(
        onlooker.hear(":ann!a@ann.test KICK #a Me :enough"),
        [Happening::Expelled {
            channel: "#a".into(),
            by: Some(who("ann!a@ann.test")),
            reason: Some(b"enough".to_vec()),
            is_kick: true,
        }]
    );
    assert!(onlooker.channels.channel("#a").is_none());
    assert_eq!(onlooker.channels.whereabouts("Ann"), [""; 0]);
    assert_eq!(onlooker.channels.whereabouts("bob"), ["#b"]);
    assert_eq!(
        onlooker.hear(":me!u@h PART #B"),
        [Happening::Expelled {
            channel: "#b".into(),
            by: None,
            reason: None,
            is_kick: false,
        }]
    );
    assert_eq!(onlooker.channels.joined().count(), 0);
    onlooker.hear(":me!u@h JOIN #a");
    onlooker.channels.clear();
    assert_eq!(onlooker.channels.joined().count(), 0);
}

#[test]
fn entering_once_more_begins_anew() {
    let mut onlooker = Onlooker::in_channel();
    onlooker.hear_all(&[
        ":srv.test 332 me #a :t",
        ":srv.test 368 me #a :End",
        ":me!u@h JOIN #a",
    ]);
    let channel = onlooker.channels.channel("#a").expect("a channel");
    assert_eq!((channel.member_count(), channel.is_named()), (1, false));
    assert_eq!((channel.topic(), channel.list('b')), (None, None));
}

#[test]
fn somebody_with_another_nick_is_the_same() {
    let mut onlooker = Onlooker::in_channel();
    onlooker.hear_all(&[":me!u@h JOIN #b", ":Ann!a@ann.test JOIN #b"]);
    assert_eq!(
        onlooker.hear(":ann!a@ann.test NICK :Eve"),
        [Happening::Nick {
            from: who("ann!a@ann.test"),
            to: "Eve".into(),
            channels: vec!["#a".into(), "#b".into()],
        }]
    );
    assert_eq!(onlooker.members("#a"), "+bob @+cy @Eve me");
    onlooker.hear(":Eve!a@ann.test NICK EVE");
    assert_eq!(onlooker.members("#b"), "EVE me");
    let eve = onlooker
        .channels
        .channel("#a")
        .and_then(|a| a.member("eve"));
    assert_eq!(eve.map(|eve| eve.source), Some(who("EVE!a@ann.test")));
    // Whoever had the nick must have gone unseen.
    onlooker.hear(":EVE NICK bob");
    assert_eq!(onlooker.members("#a"), "@bob @+cy me");
    assert_eq!(onlooker.channels.standing("#a", "BOB"), Some('o'));
}

#[test]
fn standings_follow_modes() {
    let mut onlooker = Onlooker::in_channel();
    let modes = onlooker.hear(":Ann!a@ann.test MODE #A +v-o+qk me CY bob sesame");
    let changes = vec![
        ModeChange::set('v', Some("me")),
        ModeChange::unset('o', Some("CY")),
        ModeChange::set('q', Some("bob")),
        ModeChange::set('k', Some("sesame")),
    ];
    assert_eq!(
        modes,
        [Happening::Modes {
            channel: "#a".into(),
            by: Some(who("Ann!a@ann.test")),
            changes,
        }]
    );
    assert_eq!(onlooker.members("#a"), "@Ann ~+bob +cy +me");
    assert_eq!(onlooker.channels.standing("#a", "Cy"), Some('v'));
    assert_eq!(onlooker.channels.needs_names(), [""; 0]);
    assert_eq!(onlooker.hear(":me MODE me +i"), []);
    assert_eq!(onlooker.hear(":srv.test MODE #a +b"), []);
}

#[test]
fn names_that_show_the_highest_alone_are_asked_for_again() {
    let mut onlooker = Onlooker::new("CASEMAPPING=ascii PREFIX=(qaohv)~&@%+");
    onlooker.hear_all(&[
        ":me!u@h JOIN #a",
        ":srv.test 353 me = #a :me @ann @bob",
        ":srv.test 366 me #a :End",
        ":ann MODE #a +v bob",
        ":ann MODE #a -o ann",
    ]);
    assert_eq!(onlooker.channels.standing("#a", "ann"), None);
    assert_eq!(onlooker.channels.needs_names(), ["#a"]);
    onlooker.hear_all(&[":ann NICK eve", ":eve NICK ann"]);
    assert_eq!(onlooker.channels.needs_names(), ["#a"]);
    onlooker.hear_all(&[
        ":srv.test 353 me = #a :me +ann @bob",
        ":srv.test 366 me #a :End",
    ]);
    assert_eq!(onlooker.channels.needs_names(), [""; 0]);
    // That bob has a voice was seen when he got it, and the names hide it.
    assert_eq!(onlooker.members("#a"), "+ann @+bob me");
    onlooker.hear_all(&[":ann MODE #a -o bob"]);
    assert_eq!(
        onlooker.channels.needs_names(),
        ["#a"],
        "he may be a half operator"
    );
    onlooker.hear(":bob!b@b PART #a");
    assert_eq!(onlooker.channels.needs_names(), [""; 0]);
}

#[test]
fn two_prefixes_show_that_all_are_shown() {
    let mut onlooker = Onlooker::new("PREFIX=(ov)@+");
    onlooker.hear_all(&[
        ":me!u@h JOIN #a",
        ":srv.test 353 me = #a :me @+ann @bob !~eve",
        ":srv.test 366 me #a :End",
        ":ann MODE #a -o bob",
    ]);
    assert_eq!(onlooker.channels.needs_names(), [""; 0]);
    assert_eq!(onlooker.members("#a"), "@+ann bob eve me");
}

#[test]
fn names_replace_who_was_there_but_not_who_came_meanwhile() {
    let mut onlooker = Onlooker::in_channel();
    onlooker.hear_all(&[
        ":srv.test 353 me = #a :@me +ann",
        ":dan!d@d JOIN #a",
        ":ann!a@ann.test NICK eve",
        ":srv.test 353 me = #a :@fay",
        ":fay!f@f PART #a",
        ":srv.test 366 me #a :End",
    ]);
    assert_eq!(onlooker.members("#a"), "dan +eve @me");
    // A server that shows no names does not say that nobody is there.
    onlooker.hear(":srv.test 366 me #a :End");
    assert_eq!(onlooker.members("#a"), "dan +eve @me");
    assert_eq!(onlooker.hear(":srv.test 353 me = #elsewhere :x"), []);
    assert_eq!(onlooker.hear(":srv.test 366 me #elsewhere :End"), []);
}

#[test]
fn names_follow_a_server_that_folds_differently_later() {
    let mut onlooker = Onlooker::new("CASEMAPPING=ascii PREFIX=(ov)@+");
    onlooker.hear_all(&[
        ":me!u@h JOIN #[a]",
        ":ann[] JOIN #[a]",
        ":ann[] ACCOUNT annie",
    ]);
    assert!(onlooker.channels.channel("#{A}").is_none());
    onlooker
        .isupport
        .take(&Line::new("005", ["me", "CASEMAPPING=rfc1459", "x"]));
    onlooker.hear(":srv.test MODE #{a} +o ANN{}");
    assert_eq!(onlooker.members("#{A}"), "@ann[] me");
    let ann = onlooker
        .channels
        .channel("#[a]")
        .and_then(|a| a.member("ann{}"));
    assert_eq!(ann.and_then(|ann| ann.account).as_deref(), Some("annie"));
}

#[test]
fn names_that_become_the_same_are_one() {
    let mut onlooker = Onlooker::new("CASEMAPPING=ascii PREFIX=(ov)@+");
    onlooker.hear_all(&[
        ":me!u@h JOIN #[a],#{a}",
        ":ann[] JOIN #[a]",
        ":ann{} JOIN #[a]",
        ":bob JOIN #{a}",
    ]);
    onlooker
        .isupport
        .take(&Line::new("005", ["me", "CASEMAPPING=rfc1459", "x"]));
    onlooker.hear("PING :x");
    assert_eq!(onlooker.channels.joined().count(), 1);
    assert_eq!(onlooker.members("#[a]"), "ann[] bob me");
}

#[test]
fn what_is_beyond_the_bounds_is_told_and_not_kept() {
    let mut onlooker = Onlooker::new("PREFIX=(ov)@+");
    onlooker.channels = Channels::bounded(Bounds {
        channels: 2,
        members: 3,
        memberships: 4,
        list_entries: 2,
        all_list_entries: 3,
    });
    let happenings = onlooker.hear_all(&[
        ":me!u@h JOIN #a,#b,#c",
        ":ann JOIN #a",
        ":bob JOIN #a",
        ":cy JOIN #a",
        ":ann JOIN #b",
    ]);
    assert_eq!(happenings.len(), 7);
    assert_eq!(onlooker.channels.dropped(), 3);
    assert!(onlooker.channels.channel("#c").is_none());
    assert_eq!(onlooker.members("#a"), "ann bob me");
    assert_eq!(onlooker.members("#b"), "me");
    onlooker.hear(&format!(":{} TOPIC #b :x", "n".repeat(513)));
    let topic = onlooker.channels.channel("#b").and_then(Channel::topic);
    assert_eq!(topic.map(|topic| topic.by.clone()), Some(None));
    onlooker.hear(&format!(":ann TOPIC #b :{}", "x".repeat(5000)));
    let topic = onlooker.channels.channel("#b").and_then(Channel::topic);
    assert_eq!(topic.map(|topic| topic.text.len()), Some(4096));
    let long = format!(":{} JOIN #b", "n".repeat(513));
    assert_eq!(onlooker.hear(&long).len(), 1);
    assert_eq!(onlooker.members("#b"), "me");
}
