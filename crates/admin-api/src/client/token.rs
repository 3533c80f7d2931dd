//! An operator's token.

use std::fmt;

use reqwest::header::HeaderValue;

/// Longest token that is taken.
const MAX_LENGTH: usize = 1024;

/// An operator's token. It is sent, and cannot be printed.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl Token {
    /// Takes a token as a file or a variable has it; white space around it is not a part of it.
    /// `None` when it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_token = (1..=MAX_LENGTH).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_token {
            return None;
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {text}")).ok()?;
        header.set_sensitive(true);
        Some(Self(header))
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_prints_itself() {
        let token = Token::parse(" hunter2\n").unwrap();
        assert_eq!(format!("{token:?}"), "***");
        assert!(!format!("{:?}", token.header()).contains("hunter2"));
        assert_eq!(token.header(), "Bearer hunter2");
    }

    #[test]
    fn what_cannot_be_sent_is_none() {
        for text in [
            "",
            " \n",
            "two words",
            "zwei\nZeilen",
            "tökén",
            &"x".repeat(1025),
        ] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }
}
