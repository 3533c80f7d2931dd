//! User names and real names: what bans and `WHOIS` see beside the nick.

use bridgehead_appservice::id::UserId;

use super::ascii;

/// What servers keep of a user name at least (RFC 2812 leaves it to them: `USERLEN` is 9 or 10 nearly everywhere).
pub const MAX_IDENT_BYTES: usize = 10;

/// How many user names are tried for one person.
const MAX_TRIES: u32 = 10_000;

/// The user name of a person: the same letters as in their id as far as they are legal, and a number where somebody else has
/// it already. At most `max_bytes` long, of which at least 5 are used. `None` if all that may be tried are taken.
///
/// It begins with a letter and has nothing but small letters, digits, `-`, `_` and `.`, which no server refuses.
pub fn ident(
    user_id: &UserId,
    max_bytes: usize,
    is_taken: &dyn Fn(&str) -> bool,
) -> Option<String> {
    let max_bytes = max_bytes.max(5);
    let base = legal(user_id.localpart());
    let numbered = |number: u32| match number {
        1 => cut(&base, max_bytes).to_owned(),
        _ => {
            let number = number.to_string();
            format!("{}{number}", cut(&base, max_bytes - number.len()))
        }
    };
    (1..MAX_TRIES).map(numbered).find(|name| !is_taken(name))
}

fn legal(localpart: &str) -> String {
    let mut legal = String::new();
    ascii::each(localpart, &mut |c| {
        let c = c.to_ascii_lowercase();
        let fits = match legal.is_empty() {
            true => c.is_ascii_alphabetic(),
            false => c.is_ascii_alphanumeric() || "-_.".contains(c),
        };
        if fits {
            legal.push(c);
        }
    });
    if legal.is_empty() {
        legal.push_str("matrix");
    }
    legal
}

fn cut(ascii: &str, max_bytes: usize) -> &str {
    &ascii[..ascii.len().min(max_bytes)]
}

/// The real name of a person: their id, so that everybody can see who it is, cut to what the server takes.
#[must_use]
pub fn real_name(user_id: &UserId, max_bytes: usize) -> String {
    let mut name: String = user_id
        .as_str()
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    name.truncate(name.floor_char_boundary(max_bytes));
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    #[test]
    fn user_names_are_legal_and_ones_own() {
        let check = |id: &str, taken: &[&str], expected: &str| {
            let name = ident(&user(id), MAX_IDENT_BYTES, &|name| taken.contains(&name));
            assert_eq!(name.as_deref(), Some(expected), "{id}");
        };
        check("@alice:x.org", &[], "alice");
        check("@alice:x.org", &["alice", "alice2"], "alice3");
        check("@Jo.hn/Doe=3:x.org", &[], "jo.hndoe3");
        check("@averyverylongname:x.org", &[], "averyveryl");
        check("@averyverylongname:x.org", &["averyveryl"], "averyvery2");
        check("@1234:x.org", &[], "matrix");
        check("@_42a:x.org", &[], "a");
        check("@müller:x.org", &[], "mueller");
    }

    #[test]
    fn there_is_an_end_to_trying() {
        assert_eq!(ident(&user("@a:x"), 10, &|_| true), None);
    }

    #[test]
    fn real_names_are_cut_between_characters() {
        assert_eq!(
            real_name(&user("@alice:example.org"), 48),
            "@alice:example.org"
        );
        assert_eq!(real_name(&user("@üü:x"), 4), "@ü");
    }

    proptest! {
        #[test]
        fn any_id_has_a_legal_user_name(localpart in "\\PC{0,20}", max in 0usize..20, taken in 0usize..30) {
            let Ok(user) = UserId::parse(&format!("@{localpart}:x.org")) else { return Ok(()) };
            let asked = std::cell::Cell::new(0);
            let is_taken = |_: &str| { asked.set(asked.get() + 1); asked.get() <= taken };
            let name = ident(&user, max, &is_taken).expect("one is free");
            prop_assert!(!name.is_empty() && name.len() <= max.max(5));
            prop_assert!(name.starts_with(|c: char| c.is_ascii_lowercase()));
            prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b)));
        }
    }
}
