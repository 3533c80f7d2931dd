//! Keys and sections that a file gives twice: what they are called, and where they stand first. The parser's error says
//! neither.

/// What is given twice at the byte `offset`, with its section, and the line where it stands before, counted from 1.
///
/// Lines are looked at one by one, without what texts of several lines would mean: for an error text that is enough.
pub(super) fn twice(text: &str, offset: usize) -> Option<(String, usize)> {
    let before = text.get(..offset).unwrap_or(text);
    let own_line = before.rsplit('\n').next().unwrap_or_default();
    if own_line.contains(['=', '{']) {
        // It is a key within a value, which has no line of its own.
        return None;
    }
    let at = before.matches('\n').count();
    let named = names(text);
    let name = named.get(at).cloned().flatten()?;
    let earlier = &named[..at];
    let is_header = |line: &Option<Name>| line.as_ref().is_some_and(|name| name.is_header);
    // A key counts in its own section, of which there may be several in a list.
    let own = match name.is_header {
        true => 0,
        false => earlier.iter().rposition(is_header).unwrap_or(0),
    };
    let is_same = |line: &Option<Name>| line.as_ref().is_some_and(|other| other.path == name.path);
    let inside = format!("{}.", name.path);
    let is_inside = |line: &Option<Name>| {
        line.as_ref()
            .is_some_and(|other| other.path.starts_with(&inside))
    };
    let found = earlier[own..].iter().position(is_same).map(|at| own + at);
    let found = found.or_else(|| earlier.iter().position(is_same));
    let found = found.or_else(|| earlier.iter().position(is_inside));
    found.map(|line| (name.path, line + 1))
}

/// What a line gives.
#[derive(Clone)]
struct Name {
    path: String,
    is_header: bool,
}

/// The section or the key of each line; `None` where there is none.
fn names(text: &str) -> Vec<Option<Name>> {
    let mut section = String::new();
    let lines = text.split('\n').map(|line| {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let (header, _) = header.split_once(']')?;
            section = plain(header.trim_start_matches('['));
            return Some(Name {
                path: section.clone(),
                is_header: true,
            });
        }
        let (key, _) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        Some(Name {
            path: super::shape::join(&section, &plain(key)),
            is_header: false,
        })
    });
    lines.collect()
}

/// A key as paths have it, without quotes and spaces.
fn plain(key: &str) -> String {
    let parts = key.split('.');
    let parts = parts.map(|part| part.trim().trim_matches(['"', '\'']));
    parts.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_twice_is_found_where_it_stands_first() {
        for (text, name, line) in [
            ("[a]\nx = 1\n[b]\n[ \"a\" ] # again\n", "a", 1),
            ("[a.b]\n[a]\nx = 1\n[a.c]\n[a]\n", "a", 2),
            ("x = 1\ny = 2\n'x' = 3\n", "x", 1),
            ("x = 1\n[a]\nx = 1\ny = 1\nx = 2\n", "a.x", 3),
            ("[[a]]\nx = 1\n[[a]]\nx = 1\nx = 2\n", "a.x", 4),
            ("[a]\nb.c = 1\n[a.b]\n", "a.b", 2),
            ("a = 1\n[a]\n", "a", 1),
        ] {
            let (_, errors) = toml::de::DeTable::parse_recoverable(text);
            let span = errors.first().and_then(toml::de::Error::span);
            let offset = span.unwrap_or_else(|| panic!("{text} is right")).start;
            assert_eq!(twice(text, offset), Some((name.to_owned(), line)), "{text}");
        }
    }

    #[test]
    fn within_a_value_no_line_is_named() {
        for text in [
            "a = { x = 1, x = 2 }\n",
            "a = [\n  { x = 1 },\n  { x = 1, y = 2, y = 3 },\n]\n",
        ] {
            let (_, errors) = toml::de::DeTable::parse_recoverable(text);
            let span = errors.first().and_then(toml::de::Error::span);
            let offset = span.unwrap_or_else(|| panic!("{text} is right")).start;
            assert_eq!(twice(text, offset), None, "{text}");
        }
    }
}
