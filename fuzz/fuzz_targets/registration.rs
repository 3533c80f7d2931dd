//! Registrations: any bytes are one or refused with words, a written one is read again as the same, and tokens that are
//! hidden are not shown.

#![no_main]

use std::path::Path;

use bridgehead_registration::{HIDDEN, masked, parse, with_tokens};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let file = Path::new("as.yaml");
    let registration = match parse(file, bytes) {
        Ok((registration, _)) => registration,
        Err(errors) => {
            assert!(!errors.is_empty());
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
            for error in errors {
                assert!(
                    !error.reason.is_empty() && !error.remedy.is_empty(),
                    "{error}"
                );
                // A lone return ends a line too.
                let returns = bytes.iter().filter(|byte| **byte == b'\r').count() as u64;
                assert!(
                    error
                        .line
                        .is_none_or(|line| line >= 1 && line <= lines + returns + 2),
                    "{error}"
                );
            }
            return;
        }
    };
    let again = registration.to_yaml();
    let (again, _) = parse(file, again.expose().as_bytes()).expect("what was written is read");
    assert_eq!(again.id, registration.id);
    assert_eq!(again.url, registration.url);
    assert_eq!(again.as_token_hash, registration.as_token_hash);
    assert_eq!(again.sender_localpart, registration.sender_localpart);
    for (left, right) in [
        (&again.users, &registration.users),
        (&again.aliases, &registration.aliases),
        (&again.rooms, &registration.rooms),
    ] {
        assert_eq!(left, right);
    }
    assert_eq!(again.protocols, registration.protocols);
    assert_eq!(again.features, registration.features);
    assert_eq!(again.rate_limited, registration.rate_limited);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let tokens = [
        registration.as_token.expose(),
        registration.hs_token.expose(),
    ];
    let shown = masked(text, tokens);
    if shown.contains(HIDDEN) {
        // A token that is a part of the words around it cannot be told from them.
        assert!(
            tokens
                .iter()
                .all(|token| *token == HIDDEN || token.is_empty() || !shown.contains(token)),
            "{shown}"
        );
    }
    if let Some(changed) = with_tokens(text, "first", "second") {
        let (changed, _) = parse(file, changed.as_bytes()).expect("nothing else has changed");
        assert_eq!(changed.as_token.expose(), "first");
        assert_eq!(changed.hs_token.expose(), "second");
        assert_eq!(changed.sender_localpart, registration.sender_localpart);
    }
});
