//! What an onlooker knows, after any lines: it hangs together, and stays within its bounds.

#![no_main]

use bridgehead_fuzz::Words;
use bridgehead_irc_protocol::{Channels, Isupport, Line, channels::Bounds};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    is_small: bool,
    lines: Vec<(Words<'a>, u8)>,
}

const SMALL: Bounds = Bounds {
    channels: 3,
    members: 4,
    memberships: 7,
    list_entries: 2,
    all_list_entries: 3,
};
const BATCHES: [Option<&str>; 4] = [None, Some("netsplit"), Some("netjoin"), Some("chathistory")];

fuzz_target!(|input: Input<'_>| {
    let bounds = if input.is_small {
        SMALL
    } else {
        Bounds::default()
    };
    let mut channels = Channels::bounded(bounds);
    let mut isupport = Isupport::default();
    let join =
        Line::new("JOIN", ["#c,#d"]).from(bridgehead_irc_protocol::Source::parse("anna!a@h"));
    channels.take(&join, "anna", &isupport);
    for (words, batch) in &input.lines {
        let Ok(line) = Line::parse(&words.line()) else {
            continue;
        };
        if line.command == "005" {
            isupport.take(&line);
        }
        // Mostly in no batch.
        let batch = BATCHES.get(usize::from(*batch)).copied().flatten();
        channels.take_in(&line, "anna", &isupport, batch);
        check(&channels, bounds);
    }
});

fn check(channels: &Channels, bounds: Bounds) {
    assert!(channels.joined().count() <= bounds.channels);
    let (mut members, mut entries) = (0, 0);
    for channel in channels.joined() {
        members += channel.member_count();
        assert!(channel.member_count() <= bounds.members);
        assert_eq!(channel.members().count(), channel.member_count());
        for mode in 'A'..='z' {
            let list = channel.list(mode).unwrap_or_default();
            assert!(list.len() <= bounds.list_entries);
            entries += list.len();
        }
        for member in channel.members() {
            let nick = &member.source.name;
            assert!(
                channels.whereabouts(nick).contains(&channel.name()),
                "{nick:?}"
            );
            assert_eq!(
                channels.standing(channel.name(), nick),
                member.modes.first().copied()
            );
        }
    }
    assert!(members <= bounds.memberships);
    assert!(entries <= bounds.all_list_entries);
}
