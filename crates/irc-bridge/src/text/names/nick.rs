//! Nicks: made by a template of what is known of somebody.

use bridgehead_appservice::id::UserId;

use super::ascii;

/// What stands before a name whose first character cannot begin a nick.
const FIRST: char = 'M';

/// How many nicks are tried for one person.
const MAX_STEPS: u32 = 99;

/// Somebody of Matrix who is to get a nick.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// Their id.
    pub user_id: &'a UserId,
    /// Their name for people, if they have one.
    pub display_name: Option<&'a str>,
}

/// How nicks are made: a text with `{display}`, `{localpart}` and `{server}`, such as `{display}[m]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NickTemplate {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Display,
    Localpart,
    Server,
}

/// Why a text is no template. Displays as a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// A field that there is not.
    #[error("`{{{0}}}` is no field of a nick: there are `display`, `localpart` and `server`")]
    NoField(String),
    /// Everybody would have the same nick.
    #[error("`{0}` needs `{{display}}` or `{{localpart}}`, or everybody would have the same nick")]
    NoName(String),
    /// A character that no nick has.
    #[error("`{0}` cannot stand in a nick: letters, digits and []\\`_^{{|}}- can")]
    Illegal(char),
}

impl Default for NickTemplate {
    /// `{display}[m]`: what people on many networks know as somebody of Matrix.
    fn default() -> Self {
        Self {
            pieces: vec![Piece::Display, Piece::Text("[m]".to_owned())],
        }
    }
}

impl NickTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// When it has unknown fields or illegal characters, or says nothing of the person.
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, field, after)) = next_field(rest) {
            pieces.extend(literal(before)?);
            pieces.push(match field {
                "display" => Piece::Display,
                "localpart" => Piece::Localpart,
                "server" => Piece::Server,
                other => return Err(BadTemplate::NoField(other.to_owned())),
            });
            rest = after;
        }
        pieces.extend(literal(rest)?);
        let names = |piece: &Piece| matches!(piece, Piece::Display | Piece::Localpart);
        if !pieces.iter().any(names) {
            return Err(BadTemplate::NoName(text.to_owned()));
        }
        Ok(Self { pieces })
    }

    /// The nick of a person, legal and of at most `max_bytes` (`NICKLEN`). Where it is too long the names in it are cut, and
    /// not what the template puts around them.
    #[must_use]
    pub fn nick(&self, person: &Person<'_>, max_bytes: usize) -> String {
        let mut parts: Vec<(String, bool)> = self
            .pieces
            .iter()
            .map(|piece| part(piece, person))
            .collect();
        if parts
            .iter()
            .all(|(text, is_name)| !is_name || text.is_empty())
        {
            let name = parts.iter_mut().find(|(_, is_name)| *is_name);
            name.into_iter()
                .for_each(|(text, _)| text.push_str("guest"));
        }
        shorten(&mut parts, max_bytes);
        let mut nick: String = parts.into_iter().map(|(text, _)| text).collect();
        if !nick.starts_with(is_first) {
            nick.insert(0, FIRST);
        }
        nick.truncate(max_bytes.max(1));
        nick
    }
}

/// The nick that a person has in a message that one client relays for them (draft/relaymsg): their name, a separator that the
/// server allows there and nowhere else, and a tag that says where they are, such as `alice/m`.
#[must_use]
pub fn relayed_nick(person: &Person<'_>, separator: char, tag: &str, max_bytes: usize) -> String {
    let tag: String = tag.chars().filter(|c| is_nick(*c)).collect();
    let end = format!("{separator}{tag}");
    let template = NickTemplate {
        pieces: vec![Piece::Display],
    };
    let room = max_bytes.saturating_sub(end.len());
    format!("{}{end}", template.nick(person, room))
}

/// The next field in braces. Braces are legal in nicks, and so those without an end or around illegal things are text.
fn next_field(text: &str) -> Option<(&str, &str, &str)> {
    let begin = text.find('{')?;
    let (field, after) = text[begin + 1..].split_once('}')?;
    Some((&text[..begin], field, after))
}

fn literal(text: &str) -> Result<Option<Piece>, BadTemplate> {
    match text.chars().find(|c| !is_nick(*c)) {
        Some(illegal) => Err(BadTemplate::Illegal(illegal)),
        None => Ok((!text.is_empty()).then(|| Piece::Text(text.to_owned()))),
    }
}

/// The text of a piece, and whether it is a name.
fn part(piece: &Piece, person: &Person<'_>) -> (String, bool) {
    let localpart = || legal(person.user_id.localpart());
    match piece {
        Piece::Text(text) => (text.clone(), false),
        Piece::Localpart => (localpart(), true),
        Piece::Server => (legal(person.user_id.server()), true),
        Piece::Display => {
            let name = legal(person.display_name.unwrap_or_default());
            let has_letters = name.contains(|c: char| c.is_ascii_alphanumeric());
            (if has_letters { name } else { localpart() }, true)
        }
    }
}

fn shorten(parts: &mut [(String, bool)], max_bytes: usize) {
    let length: usize = parts.iter().map(|(text, _)| text.len()).sum();
    let first = parts.iter().find(|(text, _)| !text.is_empty());
    let needs_first = !first.is_some_and(|(text, _)| text.starts_with(is_first));
    let mut over = (length + usize::from(needs_first)).saturating_sub(max_bytes);
    for (text, is_name) in parts.iter_mut().rev() {
        if *is_name {
            // One character of the name is kept, so that there is somebody.
            let cut = over.min(text.len().saturating_sub(1));
            text.truncate(text.len() - cut);
            over -= cut;
        }
    }
}

/// A name as nicks may have it. Spaces and dots between words are underscores.
fn legal(name: &str) -> String {
    let mut legal = String::new();
    ascii::each(name, &mut |c| {
        let is_gap = c == ' ' || c == '.';
        if is_nick(c) {
            legal.push(c);
        } else if is_gap && !legal.is_empty() && !legal.ends_with('_') {
            legal.push('_');
        }
    });
    legal.truncate(
        legal
            .trim_end_matches('_')
            .len()
            .max(usize::from(legal.starts_with('_'))),
    );
    legal
}

/// RFC 2812, 2.3.1: letters, digits, special characters and `-`.
pub(crate) fn is_nick(c: char) -> bool {
    c.is_ascii_alphanumeric() || "[]\\`_^{|}-".contains(c)
}

fn is_first(c: char) -> bool {
    is_nick(c) && !c.is_ascii_digit() && c != '-'
}

/// The nicks to try one after another where the first is taken: `nick`, `nick_`, `nick2`, `nick3`… up to `nick99`, all of at most
/// `max_bytes` and no two the same.
pub fn ladder(nick: &str, max_bytes: usize) -> impl Iterator<Item = String> {
    let ends = (2..=MAX_STEPS).map(|number| number.to_string());
    let ends = [String::new(), "_".to_owned()].into_iter().chain(ends);
    let mut tried = std::collections::BTreeSet::new();
    ends.filter_map(move |end| {
        let room = max_bytes.saturating_sub(end.len());
        let step = format!("{}{end}", &nick[..nick.floor_char_boundary(room)]);
        let is_nick = step.starts_with(is_first) && step.len() <= max_bytes;
        (is_nick && tried.insert(step.clone())).then_some(step)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nick(template: &str, id: &str, display_name: Option<&str>, max_bytes: usize) -> String {
        let user_id = UserId::parse(id).unwrap();
        let person = Person {
            user_id: &user_id,
            display_name,
        };
        NickTemplate::parse(template)
            .unwrap()
            .nick(&person, max_bytes)
    }

    #[test]
    fn nicks_are_made_by_a_template() {
        let check = |template: &str, name: &str, expected: &str| {
            let made = nick(template, "@al.ice:example.org", Some(name), 16);
            assert_eq!(made, expected, "{template} {name}");
        };
        check("{display}", "Alice", "Alice");
        check("{display}[m]", "Alice", "Alice[m]");
        check("M-{display}", "Alice", "M-Alice");
        check("{localpart}", "Alice", "al_ice");
        check("{localpart}|{server}", "Alice", "al_ice|example_o");
        check("{display}", "Alice  Smith", "Alice_Smith");
        check("{display}", "Jürgen (he/him)", "Juergen_hehim");
        check("{display}", "0xAlice", "M0xAlice");
        check("{display}", "-x", "M-x");
        check("{display}", "日本", "al_ice");
        check("{display}", "🎉", "al_ice");
        check("{display}[m]", "Alexander von Humboldt", "Alexander_von[m]");
        check("{display}", " _ ", "al_ice");
        check("{display}", "evil\r\nQUIT", "evilQUIT");
    }

    #[test]
    fn who_has_no_legal_letter_is_a_guest() {
        assert_eq!(nick("{display}[m]", "@=:x", None, 30), "guest[m]");
        assert_eq!(nick("{localpart}", "@=:x", None, 30), "guest");
    }

    #[test]
    fn relayed_people_have_a_tag() {
        let user_id = UserId::parse("@a:x").unwrap();
        let person = Person {
            user_id: &user_id,
            display_name: Some("Alice Smith"),
        };
        assert_eq!(relayed_nick(&person, '/', "m", 30), "Alice_Smith/m");
        assert_eq!(relayed_nick(&person, '/', "m !x", 9), "Alice_/mx");
    }

    #[test]
    fn templates_are_checked() {
        let check =
            |text: &str, error: BadTemplate| assert_eq!(NickTemplate::parse(text), Err(error));
        check("M-", BadTemplate::NoName("M-".to_owned()));
        check("{server}", BadTemplate::NoName("{server}".to_owned()));
        check("{name}", BadTemplate::NoField("name".to_owned()));
        check("{display} m", BadTemplate::Illegal(' '));
        check("{display}/m", BadTemplate::Illegal('/'));
        let parsed = NickTemplate::parse("{display}[m]").unwrap();
        assert_eq!(parsed, NickTemplate::default());
    }

    #[test]
    fn a_ladder_of_nicks() {
        let steps: Vec<_> = ladder("alice", 30).take(4).collect();
        assert_eq!(steps, ["alice", "alice_", "alice2", "alice3"]);
        let steps: Vec<_> = ladder("alice", 5).take(4).collect();
        assert_eq!(steps, ["alice", "alic_", "alic2", "alic3"]);
        assert_eq!(
            ladder("alic_", 5).take(2).collect::<Vec<_>>(),
            ["alic_", "alic2"]
        );
        assert_eq!(ladder("alice", 30).count(), 100);
    }

    proptest! {
        #[test]
        fn any_name_makes_a_legal_nick(name in "\\PC{0,40}", max in 1usize..40, localpart in "[a-z0-9=/._-]{0,20}") {
            let id = format!("@{localpart}:x.org");
            for template in ["{display}", "{display}[m]", "M-{localpart}", "{localpart}|{server}"] {
                let made = nick(template, &id, Some(&name), max);
                prop_assert!(made.starts_with(is_first), "{}", made);
                prop_assert!(made.chars().all(is_nick), "{}", made);
                prop_assert!(made.len() <= max);
                let steps: Vec<_> = ladder(&made, max).collect();
                prop_assert!(steps.iter().all(|step| step.len() <= max && step.chars().all(is_nick)));
            }
        }
    }
}
