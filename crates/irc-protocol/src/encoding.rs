//! Encodings: most of IRC speaks UTF-8, some channels something else, and nothing on the wire says which.
//!
//! What comes is read as UTF-8 where it can be, and else in the encoding that was agreed on for the channel; text of another
//! encoding is hardly ever right UTF-8 by chance. What goes out to such a channel is written in its encoding.

use std::borrow::Cow;

use encoding_rs::{
    Encoder, EncoderResult, Encoding, ISO_2022_JP, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE,
};

/// How a text was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heard {
    /// As UTF-8.
    Utf8,
    /// In the encoding that was agreed on.
    Fallback,
    /// Not wholly: what could not be read is U+FFFD, or was cut off its end.
    Lossy,
}

/// Why an encoding cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// No encoding has that name.
    #[error("no encoding is called {name:?}; {}", meant(.suggestion.as_deref()))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The encoding that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// Its texts hold bytes that end a line.
    #[error("{0} cannot be used on IRC, for its texts hold bytes that end a line")]
    Unfit(&'static str),
}

fn meant(suggestion: Option<&str>) -> String {
    match suggestion {
        Some(name) => format!("{name:?} may be meant"),
        None => "names are such as \"windows-1252\", \"iso-8859-15\", \"koi8-r\" or \"shift_jis\""
            .to_owned(),
    }
}

/// The encodings that are in use on IRC, by the names that the WHATWG's Encoding Standard gives them.
const NAMES: [&str; 34] = [
    "UTF-8",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "windows-1256",
    "windows-1257",
    "windows-1258",
    "windows-874",
    "ISO-8859-2",
    "ISO-8859-3",
    "ISO-8859-4",
    "ISO-8859-5",
    "ISO-8859-6",
    "ISO-8859-7",
    "ISO-8859-8",
    "ISO-8859-10",
    "ISO-8859-13",
    "ISO-8859-14",
    "ISO-8859-15",
    "ISO-8859-16",
    "KOI8-R",
    "KOI8-U",
    "IBM866",
    "macintosh",
    "EUC-JP",
    "ISO-2022-JP",
    "Shift_JIS",
    "EUC-KR",
    "Big5",
    "GBK",
    "gb18030",
];

/// The encoding of a name: any that the WHATWG's Encoding Standard knows, in any case.
///
/// # Errors
/// [`EncodingError`], which says what may be meant.
pub fn named(name: &str) -> Result<&'static Encoding, EncodingError> {
    let found = Encoding::for_label(name.as_bytes()).ok_or_else(|| EncodingError::Unknown {
        name: name.to_owned(),
        suggestion: similar(name),
    })?;
    if [UTF_16BE, UTF_16LE, REPLACEMENT].contains(&found) {
        return Err(EncodingError::Unfit(found.name()));
    }
    Ok(found)
}

/// The name that has the same letters and digits, or else ends in the same number.
fn similar(name: &str) -> Option<&'static str> {
    let bare = |name: &str| -> String {
        let kept = name.chars().filter(char::is_ascii_alphanumeric);
        kept.map(|c| c.to_ascii_lowercase()).collect()
    };
    let number = |bare: &str| -> String {
        bare.trim_start_matches(|c: char| !c.is_ascii_digit())
            .to_owned()
    };
    let wanted = bare(name);
    let mut all = NAMES.into_iter();
    let same = all.clone().find(|known| bare(known) == wanted);
    same.or_else(|| {
        let digits = number(&wanted);
        let ends = |known: &&str| digits.len() >= 2 && number(&bare(known)).ends_with(&digits);
        all.find(ends)
    })
}

/// Reads a text: as UTF-8, or else in `fallback`.
///
/// A text that breaks off within a character, as servers cut long lines, stays UTF-8 and loses what is left of that
/// character; but only where it holds another that shows that it is UTF-8.
#[must_use]
pub fn decode<'a>(bytes: &'a [u8], fallback: Option<&'static Encoding>) -> (Cow<'a, str>, Heard) {
    let fallback = fallback.filter(|encoding| *encoding != UTF_8);
    if fallback == Some(ISO_2022_JP) && bytes.contains(&0x1b) {
        // Its bytes are those of ASCII: as UTF-8 it would be right, and mean nothing.
        return decode_as(ISO_2022_JP, bytes);
    }
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return (Cow::Borrowed(text), Heard::Utf8),
        Err(error) => error,
    };
    let (valid, _) = bytes.split_at(error.valid_up_to());
    if error.error_len().is_none() && !valid.is_ascii() {
        return (String::from_utf8_lossy(valid), Heard::Lossy);
    }
    match fallback {
        Some(encoding) => decode_as(encoding, bytes),
        None => (String::from_utf8_lossy(bytes), Heard::Lossy),
    }
}

fn decode_as<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> (Cow<'a, str>, Heard) {
    let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
    let heard = if had_errors {
        Heard::Lossy
    } else {
        Heard::Fallback
    };
    (text, heard)
}

/// Writes a text in an encoding: what cannot be said in it becomes `?`. Gives whether all could be said.
#[must_use]
pub fn encode<'a>(text: &'a str, encoding: &'static Encoding) -> (Cow<'a, [u8]>, bool) {
    let encoding = encoding.output_encoding();
    if encoding == UTF_8 || (text.is_ascii() && encoding.is_ascii_compatible()) {
        return (Cow::Borrowed(text.as_bytes()), true);
    }
    let mut encoder = encoding.new_encoder();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut is_whole = true;
    loop {
        let (taken, unsaid) = encode_some(&mut encoder, rest, true, &mut bytes);
        rest = &rest[taken..];
        if !unsaid {
            return (Cow::Owned(bytes), is_whole);
        }
        is_whole = false;
        encode_some(&mut encoder, "?", false, &mut bytes);
    }
}

/// Writes a text up to a character that cannot be said, that one taken with it. Gives how much was taken, and whether there
/// was such a character.
fn encode_some(
    encoder: &mut Encoder,
    text: &str,
    is_last: bool,
    bytes: &mut Vec<u8>,
) -> (usize, bool) {
    let mut taken = 0;
    loop {
        // Room for a few bytes even where the text is short, so that each turn gets on.
        bytes.reserve((text.len() - taken).max(16));
        let (result, read) =
            encoder.encode_from_utf8_to_vec_without_replacement(&text[taken..], bytes, is_last);
        taken += read;
        match result {
            EncoderResult::InputEmpty => return (taken, false),
            EncoderResult::Unmappable(_) => return (taken, true),
            EncoderResult::OutputFull => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::{EUC_JP, GBK, KOI8_R, SHIFT_JIS, WINDOWS_1252};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_heard() {
        let cases: [(&[u8], Option<&'static Encoding>, &str, Heard); 11] = [
            (b"plain", None, "plain", Heard::Utf8),
            (
                "caf\u{e9}".as_bytes(),
                Some(WINDOWS_1252),
                "café",
                Heard::Utf8,
            ),
            (b"caf\xe9", Some(WINDOWS_1252), "café", Heard::Fallback),
            (b"caf\xe9", None, "caf\u{fffd}", Heard::Lossy),
            (b"caf\xe9", Some(UTF_8), "caf\u{fffd}", Heard::Lossy),
            (
                b"\xd0\xd2\xc9\xd7\xc5\xd4",
                Some(KOI8_R),
                "привет",
                Heard::Fallback,
            ),
            (b"\x93\xfa\x96", Some(SHIFT_JIS), "日\u{fffd}", Heard::Lossy),
            // A server cut the line within its last character.
            (
                "h\u{e9}llo \u{1f44d}".as_bytes().split_at(9).0,
                Some(WINDOWS_1252),
                "héllo ",
                Heard::Lossy,
            ),
            // Here nothing shows that it was UTF-8.
            (
                b"hello \xf0\x9f",
                Some(WINDOWS_1252),
                "hello ðŸ",
                Heard::Fallback,
            ),
            (b"\x1b$B$3\x1b(B", Some(ISO_2022_JP), "こ", Heard::Fallback),
            (b"", Some(KOI8_R), "", Heard::Utf8),
        ];
        for (bytes, fallback, text, heard) in cases {
            assert_eq!(decode(bytes, fallback), (text.into(), heard), "{bytes:?}");
        }
    }

    #[test]
    fn what_cannot_be_said_becomes_a_question_mark() {
        let cases: [(&str, &'static Encoding, &[u8], bool); 7] = [
            ("caf\u{e9}", WINDOWS_1252, b"caf\xe9", true),
            ("café 👍!", WINDOWS_1252, b"caf\xe9 ?!", false),
            ("👍👍", KOI8_R, b"??", false),
            ("👍", UTF_8, "👍".as_bytes(), true),
            ("plain", GBK, b"plain", true),
            (
                "こ👍こ",
                ISO_2022_JP,
                b"\x1b$B$3\x1b(B?\x1b$B$3\x1b(B",
                false,
            ),
            ("", EUC_JP, b"", true),
        ];
        for (text, encoding, bytes, is_whole) in cases {
            assert_eq!(encode(text, encoding), (bytes.into(), is_whole), "{text}");
        }
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(named("windows-1252"), Ok(WINDOWS_1252));
        assert_eq!(named("Latin1"), Ok(WINDOWS_1252));
        assert_eq!(named("CP1252"), Ok(WINDOWS_1252));
        for (name, message) in [
            (
                "win-1252",
                "no encoding is called \"win-1252\"; \"windows-1252\" may be meant",
            ),
            (
                "shiftjis",
                "no encoding is called \"shiftjis\"; \"Shift_JIS\" may be meant",
            ),
            (
                "latin-15",
                "no encoding is called \"latin-15\"; \"ISO-8859-15\" may be meant",
            ),
            (
                "german",
                "no encoding is called \"german\"; names are such as \"windows-1252\", \"iso-8859-15\", \"koi8-r\" or \
                 \"shift_jis\"",
            ),
            (
                "utf-16",
                "UTF-16LE cannot be used on IRC, for its texts hold bytes that end a line",
            ),
        ] {
            let error = named(name).map(Encoding::name).expect_err(name);
            assert_eq!(error.to_string(), message);
        }
        for name in NAMES {
            assert_eq!(named(name).map(Encoding::name), Ok(name));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_heard(text in "[a-zäöüéß€]{0,30}") {
            let (bytes, is_whole) = encode(&text, WINDOWS_1252);
            prop_assert!(is_whole);
            let (heard, how) = decode(&bytes, Some(WINDOWS_1252));
            // A text that happens to be right UTF-8 as well cannot be told.
            if how == Heard::Fallback {
                prop_assert_eq!(&*heard, &*text);
            } else {
                prop_assert!(how == Heard::Lossy || std::str::from_utf8(&bytes).is_ok());
            }
        }

        #[test]
        fn no_line_ends_within_a_text(text in "[^\r\n\0]{0,40}", at in 0..NAMES.len()) {
            let encoding = named(NAMES[at]).expect("a name");
            let (bytes, _) = encode(&text, encoding);
            prop_assert!(!bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        }

        #[test]
        fn any_bytes_are_a_text(bytes in prop::collection::vec(any::<u8>(), 0..60), at in 0..NAMES.len()) {
            let (text, how) = decode(&bytes, named(NAMES[at]).ok());
            if how == Heard::Utf8 {
                prop_assert_eq!(text.as_bytes(), &bytes[..]);
            }
        }
    }
}
