//! Encodings: any bytes are a text, and no text becomes bytes that end a line or a message.

#![no_main]

use bridgehead_irc_protocol::encoding::{decode, encode, named};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    known: u8,
    name: &'a str,
    bytes: &'a [u8],
    text: &'a str,
}

const NAMES: [&str; 12] = [
    "windows-1252",
    "iso-8859-15",
    "koi8-r",
    "shift_jis",
    "euc-jp",
    "iso-2022-jp",
    "euc-kr",
    "big5",
    "gbk",
    "gb18030",
    "windows-874",
    "x-user-defined",
];

fuzz_target!(|input: Input<'_>| {
    if let Err(error) = named(input.name) {
        assert!(!error.to_string().is_empty());
    }
    let name = NAMES[usize::from(input.known) % NAMES.len()];
    let encoding = named(name).expect("it is known");
    for fallback in [None, Some(encoding)] {
        let (text, _) = decode(input.bytes, fallback);
        if std::str::from_utf8(input.bytes).is_ok_and(|_| !input.bytes.contains(&0x1b)) {
            assert_eq!(text.as_bytes(), input.bytes, "what is UTF-8 stays as it is");
        }
    }
    let (bytes, is_whole) = encode(input.text, encoding);
    for end in [b'\r', b'\n', b'\0'] {
        let is_asked = input.text.as_bytes().contains(&end);
        assert!(
            is_asked || !bytes.contains(&end),
            "{:?} in {name}: {bytes:?}",
            input.text
        );
    }
    // Some ask for a character that looks the same; then that one stays.
    let (once, had_errors) = encoding.decode_without_bom_handling(&bytes);
    assert!(
        !had_errors || !is_whole,
        "{:?} in {name}: {bytes:?}",
        input.text
    );
    if is_whole {
        let (again, _) = encode(&once, encoding);
        let (twice, _) = encoding.decode_without_bom_handling(&again);
        assert_eq!(twice, once, "{name}");
    }
});
