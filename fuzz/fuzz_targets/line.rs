//! Lines: any bytes are a line or none, what was read is written so that it is read again as the same, what somebody puts
//! together is one line or refused, and pieces do not matter.

#![no_main]

use bridgehead_fuzz::read_line;
use bridgehead_irc_protocol::{Line, LineBuffer, Source};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    tags: Vec<(&'a str, &'a str)>,
    source: Option<(&'a str, Option<&'a str>, Option<&'a str>)>,
    command: &'a str,
    params: Vec<&'a [u8]>,
    cuts: Vec<u8>,
    bytes: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    any_bytes(input.bytes);
    in_pieces(input.bytes, &input.cuts);
    made(&input);
});

fn any_bytes(bytes: &[u8]) {
    let Ok(line) = Line::parse(bytes) else { return };
    if let Ok(written) = line.to_bytes() {
        assert_eq!(read_line(&written), line);
    }
}

/// Whatever is put together: nobody else's line comes out.
fn made(input: &Input<'_>) {
    // More than these are no line of anybody's; the reader takes the rest for one text.
    if input.params.len() > 15 || input.tags.len() > 100 {
        return;
    }
    let mut line = Line::new(input.command, &input.params);
    for (key, value) in &input.tags {
        line.tags.set(key, value);
    }
    line.source = input.source.map(|(name, user, host)| Source {
        name: name.to_owned(),
        user: user.map(str::to_owned),
        host: host.map(str::to_owned),
    });
    let Ok(written) = line.to_bytes() else { return };
    let again = read_line(&written);
    assert_eq!(again.command, line.command);
    assert_eq!(again.params, line.params);
    assert_eq!(again.tags, line.tags);
    let shown = |line: &Line| line.source.as_ref().map(ToString::to_string);
    assert_eq!(shown(&again), shown(&line));
    assert_eq!(again.to_bytes().as_ref(), Ok(&written));
}

fn in_pieces(bytes: &[u8], cuts: &[u8]) {
    let lines_of = |cuts: &mut dyn Iterator<Item = usize>| {
        let mut buffer = LineBuffer::new();
        let mut lines = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let cut = cuts.next().unwrap_or(rest.len()).clamp(1, rest.len());
            let (piece, after) = rest.split_at(cut);
            buffer.push(piece);
            while let Some(line) = buffer.next_line() {
                lines.push(line.to_vec());
            }
            rest = after;
        }
        lines
    };
    let whole = lines_of(&mut std::iter::empty());
    assert!(whole.iter().all(|line| !line.contains(&b'\n')));
    assert_eq!(
        lines_of(&mut cuts.iter().map(|cut| usize::from(*cut))),
        whole
    );
}
