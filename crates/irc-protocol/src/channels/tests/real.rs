//! What real servers sent to somebody in a channel, and what it comes to.
//!
//! In a transcript, `<` is a line that came, and `=` below it what it means and who is in the channel after it; `?` says that
//! names have to be asked for again.

use super::*;

/// What a line means, in a word each, and who is in the channel now.
fn outcome(onlooker: &mut Onlooker, line: &str) -> String {
    let happenings = onlooker.hear(line);
    let words = happenings.iter().map(|happening| {
        let told = format!("{happening:?}");
        told.split([' ', '(']).next().unwrap_or_default().to_owned()
    });
    let words = words.collect::<Vec<_>>().join(" ");
    let is_in = onlooker.channels.channel("#chan").is_some();
    let members = if is_in {
        onlooker.members("#chan")
    } else {
        "out".to_owned()
    };
    let doubt = if onlooker.channels.needs_names().is_empty() {
        ""
    } else {
        " ?"
    };
    format!("= {words}: {members}{doubt}")
}

fn check_transcript(tokens: &str, transcript: &str) {
    let mut onlooker = Onlooker::new(tokens);
    let mut outcomes = String::new();
    for line in transcript
        .lines()
        .filter_map(|line| line.strip_prefix("< "))
    {
        let outcome = outcome(&mut onlooker, line);
        outcomes.push_str(&format!("< {line}\n{outcome}\n"));
    }
    for (at, (is, told)) in outcomes.lines().zip(transcript.lines()).enumerate() {
        assert_eq!(is, told, "line {}; all of it:\n{outcomes}", at + 1);
    }
    assert_eq!(outcomes.lines().count(), transcript.lines().count());
}

#[test]
fn ngircd_without_capabilities() {
    let tokens =
        "CASEMAPPING=ascii CHANMODES=beI,k,l,imMnOPQRstVz CHANTYPES=#&+ PREFIX=(qaohv)~&@%+";
    check_transcript(tokens, include_str!("ngircd.txt"));
}

#[test]
fn inspircd_with_capabilities() {
    let tokens = "CASEMAPPING=rfc1459 CHANMODES=Ibe,k,l,imnpst CHANTYPES=# PREFIX=(ohv)@%+ STATUSMSG=@%+ EXCEPTS=e INVEX=I";
    check_transcript(tokens, include_str!("inspircd.txt"));
}
