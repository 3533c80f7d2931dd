//! Masks and list entries: any text is one, says the same when it is written and read again, and means whom a plain search
//! says that it means.

#![no_main]

use bridgehead_irc_protocol::{
    CaseMapping, Source,
    mask::{ListEntry, Mask, Person},
};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    entry: &'a str,
    name: &'a str,
    user: Option<&'a str>,
    host: Option<&'a str>,
    account: Option<Option<&'a str>>,
    real_name: Option<&'a str>,
    mapping: u8,
}

fuzz_target!(|input: Input<'_>| {
    let mapping = [
        CaseMapping::Ascii,
        CaseMapping::Rfc1459,
        CaseMapping::StrictRfc1459,
    ];
    let mapping = mapping[usize::from(input.mapping) % 3];
    let source = Source {
        name: input.name.to_owned(),
        user: input.user.map(str::to_owned),
        host: input.host.map(str::to_owned),
    };
    let person = Person {
        source: &source,
        account: input.account,
        real_name: input.real_name,
    };
    let entry = ListEntry::parse(input.entry);
    let again = ListEntry::parse(&entry.to_string());
    assert_eq!(again.to_string(), entry.to_string());
    assert_eq!(
        again.matches(&person, mapping),
        entry.matches(&person, mapping)
    );
    assert_eq!(again.is_quiet(), entry.is_quiet());
    let mask = Mask::parse(input.entry);
    assert_eq!(Mask::parse(&mask.to_string()), mask);
    matches(&mask, &source, mapping);
});

fn matches(mask: &Mask, source: &Source, mapping: CaseMapping) {
    // A plain search takes long.
    if mask.nick.len() + source.name.len() > 200 {
        return;
    }
    let alone = Mask {
        nick: mask.nick.clone(),
        ..Mask::parse("*")
    };
    let is_meant = search(mask.nick.as_bytes(), source.name.as_bytes(), mapping);
    assert_eq!(alone.matches(source, mapping), is_meant);
    if mask.is_everybody() {
        assert!(mask.matches(source, mapping));
    }
}

/// By the definition: a star is nothing, or a byte and the star again.
fn search(pattern: &[u8], text: &[u8], mapping: CaseMapping) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for wanted in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match wanted {
                b'*' => reached[at] || (at > 0 && next[at - 1]),
                _ if at == 0 => false,
                b'?' => reached[at - 1],
                byte => {
                    reached[at - 1] && mapping.fold_byte(*byte) == mapping.fold_byte(text[at - 1])
                }
            };
        }
        reached = next;
    }
    reached[text.len()]
}
