//! Whatever a server sends: nothing panics, what is kept hangs together and stays bounded.

use proptest::{prelude::*, sample::select};

use super::*;

const NICKS: &[&str] = &[
    "me", "ME", "ann", "Ann", "ann[]", "ANN{}", "bob", "cy", "", "@", "a.b",
];
const CHANNELS: &[&str] = &[
    "#a", "#A", "#b[", "#B{", "#c", "&d", "@#a", "#a,#b[", "me", "",
];
const MODES: &[&str] = &[
    "+o", "-o", "+v-o", "+b", "-b", "+ntk", "-k", "+l", "+qo", "+", "x",
];
const TAGS: &[&str] = &[
    "",
    "@account=ann ",
    "@+draft/react=x;+reply=1 ",
    "@+typing=active;time=2026-01-02T03:04:05.678Z ",
    "@msgid=1;label=2 ",
];

fn nick() -> impl Strategy<Value = &'static str> {
    select(NICKS)
}

fn channel() -> impl Strategy<Value = &'static str> {
    select(CHANNELS)
}

/// Lines as servers send them, among few people in few channels.
fn plausible() -> impl Strategy<Value = String> {
    let source = (select(TAGS), nick(), any::<bool>()).prop_map(|(tags, nick, is_whole)| {
        let rest = if is_whole { "!u@host" } else { "" };
        format!("{tags}:{nick}{rest}")
    });
    let names = prop::collection::vec((select(&["", "@", "+", "@+", "~&"][..]), nick()), 0..6);
    let what = prop_oneof![
        8 => channel().prop_map(|channel| format!("JOIN {channel}")),
        2 => channel().prop_map(|channel| format!("JOIN {channel} account :Real Name")),
        4 => channel().prop_map(|channel| format!("PART {channel} :bye")),
        4 => (channel(), nick()).prop_map(|(channel, nick)| format!("KICK {channel} {nick} :out")),
        3 => select(&["QUIT :bye", "QUIT", "QUIT :a.test b.test", "AWAY :x", "AWAY", "ACCOUNT x", "CHGHOST u h"][..])
            .prop_map(str::to_owned),
        6 => nick().prop_map(|nick| format!("NICK :{nick}")),
        3 => (channel(), channel()).prop_map(|(one, other)| format!("RENAME {one} {other} :x")),
        6 => (channel(), select(MODES), nick(), nick()).prop_map(|(channel, modes, one, other)| {
            format!("MODE {channel} {modes} {one} {other}")
        }),
        6 => (channel(), names).prop_map(|(channel, names)| {
            let names = names.iter().map(|(prefix, nick)| format!("{prefix}{nick} "));
            format!("353 me = {channel} :{}", names.collect::<String>())
        }),
        9 => (300_u16..380, channel(), nick()).prop_map(|(numeric, channel, last)| {
            format!("{numeric} me {channel} {last} x y z 9 8")
        }),
        6 => (select(&[366_u16, 315, 324, 331, 332, 333, 346, 347, 367, 368, 728, 729, 710, 730][..]), channel(), nick())
            .prop_map(|(numeric, channel, last)| format!("{numeric} me {channel} :{last}")),
        3 => (select(&["PRIVMSG", "NOTICE", "TAGMSG", "TOPIC", "INVITE", "REDACT"][..]), channel(), nick())
            .prop_map(|(command, channel, last)| format!("{command} {channel} :{last}")),
    ];
    (source, what).prop_map(|(source, what)| format!("{source} {what}"))
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        9 => plausible().prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..60),
        1 => "(:[a-z!@]{0,6} )?([A-Z]{3,7}|[0-9]{3})( [#@a-z+,*-]{1,5}){0,8}( :\\PC{0,9})?"
            .prop_map(String::into_bytes),
    ]
}

/// What a server says of itself, which may change.
fn tokens() -> impl Strategy<Value = &'static str> {
    select(
        &[
            "CASEMAPPING=ascii",
            "CASEMAPPING=rfc1459",
            "PREFIX=(qaohv)~&@%+",
            "PREFIX=(ov)@+",
            "STATUSMSG=@+",
            "CHANMODES=beIq,k,l,imnst",
        ][..],
    )
}

const SMALL: Bounds = Bounds {
    channels: 3,
    members: 4,
    memberships: 7,
    list_entries: 2,
    all_list_entries: 3,
};

fn check_bounds(channels: &Channels, bounds: Bounds) {
    assert!(channels.channels.len() <= bounds.channels);
    assert!(channels.memberships <= bounds.memberships);
    let mut entries = 0;
    for channel in channels.joined() {
        assert!(channel.member_count() <= bounds.members);
        assert_eq!(channel.members().count(), channel.member_count());
        for list in ['b', 'e', 'I', 'q'].map(|mode| channel.list(mode).unwrap_or_default()) {
            assert!(list.len() <= bounds.list_entries);
            entries += list.len();
        }
        for member in channel.members() {
            let nick = &member.source.name;
            let seen = channels.whereabouts(nick);
            assert!(seen.contains(&channel.name()));
            assert_eq!(
                channels.standing(channel.name(), nick),
                member.modes.first().copied()
            );
        }
    }
    assert!(entries <= bounds.all_list_entries);
}

proptest! {
    #[test]
    fn any_lines_are_taken(
        lines in prop::collection::vec((line(), select(&[None, None, Some("netsplit"), Some("netjoin"), Some("chathistory")][..])), 0..80),
        said in prop::collection::vec((0_usize..80, tokens()), 0..4),
        is_small in any::<bool>(),
    ) {
        let bounds = if is_small { SMALL } else { Bounds::default() };
        let mut channels = Channels::bounded(bounds);
        let mut isupport = Isupport::default();
        channels.take(&Line::parse(b":me!u@h JOIN #a,#b[,#c").expect("a line"), ME, &isupport);
        for (at, (bytes, batch)) in lines.iter().enumerate() {
            for (_, token) in said.iter().filter(|(then, _)| *then == at) {
                isupport.take(&Line::new("005", ["me", token, "are supported"]));
            }
            if let Ok(line) = Line::parse(bytes) {
                channels.take_in(&line, ME, &isupport, *batch);
                check(&channels);
                check_bounds(&channels, bounds);
            }
        }
    }

    #[test]
    fn how_names_are_written_does_not_matter(lines in prop::collection::vec(plausible(), 0..60), upper in any::<u64>()) {
        let isupport = Isupport::default();
        let (mut one, mut other) = (Channels::new(), Channels::new());
        for (at, text) in lines.iter().enumerate() {
            // Modes and keys are the same in one case alone, and so are commands.
            if text.contains("MODE") || text.contains("324") {
                continue;
            }
            let written = if upper >> (at % 64) & 1 == 1 { text.to_ascii_uppercase() } else { text.clone() };
            let (Ok(plain), Ok(written)) = (Line::parse(text.as_bytes()), Line::parse(written.as_bytes())) else {
                continue;
            };
            let mut written = written;
            written.tags = plain.tags.clone();
            one.take(&plain, ME, &isupport);
            other.take(&written, ME, &isupport);
            let known = |channels: &Channels| -> Vec<String> {
                let folded = channels.joined().map(|channel| {
                    let members = channel.members().map(|member| channels.fold(&member.source.name) + &String::from_iter(member.modes));
                    channels.fold(channel.name()) + " " + &members.collect::<Vec<_>>().join(" ")
                });
                folded.collect()
            };
            prop_assert_eq!(known(&one), known(&other), "after {}", text);
        }
    }
}
