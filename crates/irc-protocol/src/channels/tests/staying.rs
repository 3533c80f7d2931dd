//! What is known of members, topic, modes and lists.

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
fn a_topic_without_setter_is_told_with_the_next_line() {
    let mut onlooker = Onlooker::in_channel();
    assert_eq!(onlooker.hear(":srv.test 332 me #a :t"), []);
    assert!(
        onlooker
            .channels
            .channel("#a")
            .is_some_and(|a| a.topic().is_some())
    );
    let told = topic("t", None);
    assert_eq!(onlooker.hear("PING :x"), [told]);
    assert_eq!(onlooker.hear("PING :x"), []);
    assert_eq!(
        onlooker.hear(":srv.test 331 me #a :No topic is set"),
        [topic("", None)]
    );
    let ann = who("ann!a@ann.test");
    assert_eq!(
        onlooker.hear(":ann!a@ann.test TOPIC #A :"),
        [topic("", Some(ann))]
    );
}

fn topic(text: &str, by: Option<Source>) -> Happening {
    Happening::Topic {
        channel: "#a".into(),
        by,
        topic: text.into(),
        set_at_s: None,
    }
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
fn modes_and_lists_are_kept() {
    let mut onlooker = Onlooker::in_channel();
    onlooker.isupport.take(&Line::new(
        "005",
        ["me", "CHANMODES=beIq,k,l,imnst", "EXCEPTS", "INVEX", "x"],
    ));
    let happenings = onlooker.hear_all(&[
        ":srv.test 324 me #a +ntkl key 5",
        ":srv.test 367 me #a *!*@bad.test ann!a@ann.test 1700000000",
        ":srv.test 367 me #a Bad!*@*",
        ":srv.test 368 me #a :End",
        ":srv.test 349 me #a :End",
        ":srv.test 728 me #a q quiet!*@* ann 1700000001",
        ":srv.test 729 me #a q :End",
        ":srv.test 346 me #a friend!*@*",
    ]);
    let Happening::ListIs {
        mode: 'b', entries, ..
    } = &happenings[1]
    else {
        panic!("{happenings:?}");
    };
    let first = ListEntry {
        mask: "*!*@bad.test".into(),
        by: Some("ann!a@ann.test".into()),
        set_at_s: Some(1_700_000_000),
    };
    assert_eq!(entries[0], first);
    assert_eq!(happenings.len(), 4);
    onlooker.hear(":ann!a@ann.test MODE #a -bmn+bbi bad!*@* *!*@bad.test new!*@*");
    let channel = onlooker.channels.channel("#a").expect("a channel");
    let masks = |mode| {
        let list = channel.list(mode)?;
        Some(
            list.iter()
                .map(|entry| entry.mask.as_str())
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(masks('b'), Some(vec!["*!*@bad.test", "new!*@*"]));
    assert_eq!(masks('e'), Some(vec![]));
    assert_eq!(masks('q'), Some(vec!["quiet!*@*"]));
    assert_eq!(masks('I'), None, "it has not come whole");
    let modes: Vec<_> = channel.modes().collect();
    assert_eq!(
        modes,
        [
            ('i', None),
            ('k', Some("key")),
            ('l', Some("5")),
            ('t', None)
        ]
    );
    assert!(channel.has_mode('t') && !channel.has_mode('n'));
    assert_eq!(channel.mode_param('k'), Some("key"));
}

#[test]
fn what_people_say_of_themselves_is_kept() {
    let mut onlooker = Onlooker::in_channel();
    let happenings = onlooker.hear_all(&[
        ":ann!a@ann.test AWAY :lunch",
        ":ann!a@ann.test ACCOUNT annie",
        ":ann!a@ann.test CHGHOST ann new.test",
        ":ann!ann@new.test SETNAME :Ann Other",
    ]);
    let old = who("ann!a@ann.test");
    let host = Happening::Host {
        who: old.clone(),
        user: "ann".into(),
        host: "new.test".into(),
    };
    let account = Some("annie".to_owned());
    assert_eq!(
        happenings[0],
        Happening::Away {
            who: old.clone(),
            reason: Some(b"lunch".to_vec())
        }
    );
    assert_eq!(
        happenings[1],
        Happening::Account {
            who: old,
            account: account.clone()
        }
    );
    assert_eq!(happenings[2], host);
    let ann = onlooker
        .channels
        .channel("#a")
        .and_then(|a| a.member("Ann"));
    let expected = Member {
        source: who("Ann!ann@new.test"),
        modes: vec!['o'],
        account,
        realname: Some("Ann Other".into()),
        is_away: Some(true),
    };
    assert_eq!(ann, Some(expected));
    onlooker.hear_all(&[":ann AWAY", ":ann ACCOUNT *"]);
    let ann = onlooker
        .channels
        .channel("#a")
        .and_then(|a| a.member("Ann"));
    assert!(ann.is_some_and(|ann| ann.account.is_none() && ann.is_away == Some(false)));
}

#[test]
fn who_tells_users_and_accounts() {
    let mut onlooker = Onlooker::in_channel();
    let happenings = onlooker.hear_all(&[
        ":srv.test 352 me #a b bob.test srv.test bob G+ :0 Bob B",
        ":srv.test 354 me 742 #a c cy.test cy H@ cyrus :Cy C",
        ":srv.test 354 me 742 #a u h me H 0 :Me",
        ":srv.test 354 me other #a",
        ":srv.test 315 me #a :End",
    ]);
    let [Happening::Who { members, .. }] = &happenings[..] else {
        panic!("{happenings:?}");
    };
    let told = |member: &Member| {
        let account = member.account.clone().unwrap_or_default();
        format!("{} {:?} {account}", member.source, member.is_away)
    };
    let told: Vec<String> = members.iter().map(told).collect();
    let expected = [
        "Ann!a@ann.test None ",
        "bob!b@bob.test Some(true) ",
        "cy!c@cy.test Some(false) cyrus",
        "me!u@h Some(false) ",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_channel_with_another_name_keeps_what_it_is() {
    let mut onlooker = Onlooker::in_channel();
    onlooker.hear_all(&[":srv.test 367 me #a x!*@*", ":srv.test 368 me #a :End"]);
    let renamed = onlooker.hear(":ann!a@ann.test RENAME #A #New :better");
    assert_eq!(
        renamed,
        [Happening::Renamed {
            from: "#a".into(),
            to: "#New".into(),
            by: who("ann!a@ann.test"),
            reason: Some(b"better".to_vec()),
        }]
    );
    assert!(onlooker.channels.channel("#a").is_none());
    assert_eq!(onlooker.members("#new"), "@Ann +bob @+cy me");
    assert_eq!(onlooker.channels.whereabouts("cy"), ["#New"]);
    let new = onlooker.channels.channel("#new").expect("a channel");
    assert_eq!(new.list('b').map(<[ListEntry]>::len), Some(1));
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
    let long = format!(":{} JOIN #b", "n".repeat(513));
    assert_eq!(onlooker.hear(&long).len(), 1);
    assert_eq!(onlooker.members("#b"), "me");
}

#[test]
fn a_list_that_is_cut_does_not_pass_for_the_whole() {
    let mut onlooker = Onlooker::in_channel();
    onlooker.channels.bounds.list_entries = 2;
    let happenings = onlooker.hear_all(&[
        ":srv.test 367 me #a a!*@*",
        ":srv.test 367 me #a b!*@*",
        ":srv.test 367 me #a c!*@*",
        ":srv.test 368 me #a :End",
    ]);
    assert!(
        matches!(&happenings[..], [Happening::ListIs { is_cut: true, entries, .. }] if entries.len() == 2)
    );
    let list = |onlooker: &Onlooker| {
        let channel = onlooker.channels.channel("#a").expect("a channel");
        channel.list('b').map(<[ListEntry]>::len)
    };
    assert_eq!(list(&onlooker), None);
    onlooker.hear_all(&[":srv.test 367 me #a a!*@*", ":srv.test 368 me #a :End"]);
    assert_eq!(list(&onlooker), Some(1));
    onlooker.hear(":ann MODE #a +bb b!*@* c!*@*");
    assert_eq!(list(&onlooker), None);
    assert_eq!(onlooker.channels.dropped(), 2);
    onlooker.hear_all(&[":srv.test 368 me #a :End"]);
    assert_eq!(list(&onlooker), Some(0));
    onlooker.channels.bounds.list_entries = 0;
    onlooker.hear_all(&[":srv.test 367 me #a a!*@*", ":srv.test 368 me #a :End"]);
    assert_eq!(list(&onlooker), None);
    onlooker.channels.bounds = Bounds {
        list_entries: 2,
        all_list_entries: 1,
        ..Bounds::default()
    };
    let happenings = onlooker.hear_all(&[
        ":srv.test 367 me #a a!*@*",
        ":srv.test 368 me #a :End",
        ":srv.test 348 me #a a!*@*",
        ":srv.test 349 me #a :End",
        ":ann MODE #a +b b!*@*",
    ]);
    assert!(
        matches!(&happenings[1], Happening::ListIs { is_cut: false, entries, .. } if entries.len() == 1)
    );
    assert_eq!(list(&onlooker), None);
    assert_eq!(onlooker.channels.dropped(), 5);
    for channel in 0..40 {
        onlooker.hear(&format!(":srv.test 367 me #{channel} a!*@*"));
    }
    assert_eq!(onlooker.channels.dropped(), 5 + 24);
}
