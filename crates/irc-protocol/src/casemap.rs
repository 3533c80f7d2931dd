//! Which names are the same: each network folds case by a rule of its own (`CASEMAPPING` in 005).

/// How a network folds the case of nicks and channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaseMapping {
    /// Only `A`–`Z`.
    Ascii,
    /// These, and `[]\^` are the upper case of `{}|~`. What counts where a server says nothing (RFC 1459, 2.2).
    #[default]
    Rfc1459,
    /// As RFC 1459 says to the letter: without `^` and `~`.
    StrictRfc1459,
}

impl CaseMapping {
    /// The rule of this name; one that is not known is read as ASCII, which makes the fewest names the same.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "rfc1459" => Self::Rfc1459,
            "strict-rfc1459" | "rfc1459-strict" => Self::StrictRfc1459,
            _ => Self::Ascii,
        }
    }

    /// The lower case of a byte.
    #[must_use]
    pub fn fold_byte(self, byte: u8) -> u8 {
        match (self, byte) {
            (Self::Rfc1459 | Self::StrictRfc1459, b'[' | b']' | b'\\') | (Self::Rfc1459, b'^') => {
                byte + 0x20
            }
            _ => byte.to_ascii_lowercase(),
        }
    }

    /// The lower case of a name: the same for all ways to write it.
    #[must_use]
    pub fn fold(self, name: &str) -> String {
        // Only ASCII bytes change, and into ASCII, so the text stays UTF-8.
        name.chars()
            .map(|c| match u8::try_from(c) {
                Ok(byte) if byte.is_ascii() => char::from(self.fold_byte(byte)),
                _ => c,
            })
            .collect()
    }

    /// Whether two names are the same.
    #[must_use]
    pub fn is_same(self, left: &str, right: &str) -> bool {
        left.len() == right.len()
            && left
                .bytes()
                .zip(right.bytes())
                .all(|(left, right)| self.fold_byte(left) == self.fold_byte(right))
    }
}

#[cfg(test)]
mod tests {
    use super::CaseMapping::{self, Ascii, Rfc1459, StrictRfc1459};

    #[test]
    fn each_rule_folds_what_it_says() {
        let name = r"Nick[]\^{}|~É";
        assert_eq!(Ascii.fold(name), r"nick[]\^{}|~É");
        assert_eq!(Rfc1459.fold(name), r"nick{}|~{}|~É");
        assert_eq!(StrictRfc1459.fold(name), r"nick{}|^{}|~É");
        assert!(Rfc1459.is_same("a[b]^", "A{B}~"));
        assert!(!StrictRfc1459.is_same("^", "~"));
        assert!(!Ascii.is_same("[", "{"));
        assert!(!Rfc1459.is_same("a", "ab"));
    }

    #[test]
    fn names_of_rules_are_read() {
        assert_eq!(CaseMapping::named("RFC1459"), Rfc1459);
        assert_eq!(CaseMapping::named("rfc1459-strict"), StrictRfc1459);
        assert_eq!(CaseMapping::named("ascii"), Ascii);
        assert_eq!(CaseMapping::named("rfc7613"), Ascii);
    }
}
