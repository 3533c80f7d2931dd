//! What channels and people are like: topics, modes, lists, names, accounts.

use super::*;

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
