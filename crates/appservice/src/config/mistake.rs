//! What is wrong with a configuration: where, which key, what, and what to write instead.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nowhere.
    Default,
    /// The configuration file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// Line and column, counted from 1; `None` when the file as a whole is meant.
        place: Option<(usize, usize)>,
    },
    /// An environment variable, by its name.
    Variable(String),
}

impl Origin {
    /// The file as a whole.
    pub(super) fn whole_file(path: &Path) -> Self {
        Self::File {
            path: path.to_owned(),
            place: None,
        }
    }

    /// The byte `offset` of the file's `text`.
    pub(super) fn at(path: &Path, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Self::File {
            path: path.to_owned(),
            place: Some((line, column)),
        }
    }

    /// A relative path in the file counts from the file's folder, any other from the working directory.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        match self {
            Self::File { path: file, .. } => file.parent().unwrap_or(Path::new("")).join(path),
            Self::Default | Self::Variable(_) => path.to_owned(),
        }
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("configuration"),
            Self::File { path, place: None } => write!(f, "{}", path.display()),
            Self::File {
                path,
                place: Some((line, column)),
            } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// One mistake. Displays as `file:line:column: key: what is wrong; what to write instead`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where it was written.
    pub origin: Origin,
    /// The key with its section, such as `listen.address`; empty when the text could not be understood as keys.
    pub key: String,
    /// What is wrong. Never holds the text of a secret.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

/// Every mistake of one configuration, in the order of the file, then of the environment. Never empty. Displays one a
/// line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Sorts them; `None` when there are none.
    pub(super) fn collect(mut mistakes: Vec<Mistake>) -> Option<Self> {
        mistakes.sort();
        mistakes.dedup();
        (!mistakes.is_empty()).then_some(Self(mistakes))
    }

    /// The mistakes one by one.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

/// Something that does not stop the service but that the operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What it is about.
    pub origin: Origin,
    /// What is odd and what to do about it.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)
    }
}

/// The candidate that was probably meant: at most one slip in three letters, and at most three slips.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(200).collect();
    let slips_allowed = (word.len() / 3).clamp(1, 3);
    let rated = candidates.map(|candidate| {
        let letters: Vec<char> = candidate.chars().collect();
        (slips(&word, &letters), candidate)
    });
    let best = rated.min_by_key(|(slips, _)| *slips)?;
    (best.0 <= slips_allowed).then_some(best.1)
}

/// How many letters are missing, too many, wrong, or swapped with their neighbour.
fn slips(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let wrong = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = wrong.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = last;
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let names = ["address", "server_name", "high_water", "key"];
        for (word, meant) in [
            ("adress", Some("address")),
            ("addresss", Some("address")),
            ("adderss", Some("address")),
            ("servername", Some("server_name")),
            ("hihg_watre", Some("high_water")),
            ("kye", Some("key")),
            ("k", None),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names.into_iter()), meant, "{word}");
        }
    }

    #[test]
    fn places_count_from_one() {
        let text = "a = 1\nbö = 2\n";
        let at = |offset| Origin::at(Path::new("x.toml"), text, offset).to_string();
        assert_eq!(
            (at(0), at(11)),
            ("x.toml:1:1".to_owned(), "x.toml:2:5".to_owned())
        );
    }
}
