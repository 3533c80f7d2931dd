//! A refusal in words: what to say about which number.

use std::fmt;

use super::{refusals, sending};
use crate::{Line, formatting::strip};

/// A refusal in words, for somebody who may not know IRC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What was refused, and why: a sentence.
    pub what: String,
    /// What can be done about it: a sentence; `None` where nothing can be.
    pub cure: Option<String>,
}

impl Explanation {
    pub(super) fn new(what: impl Into<String>, cure: impl Into<String>) -> Self {
        let cure = cure.into();
        Self {
            what: what.into(),
            cure: Some(cure).filter(|cure| !cure.is_empty()),
        }
    }

    /// What a server itself says, where nothing better is known.
    pub(super) fn quoting(text: &str, otherwise: &str) -> Self {
        let text = plain(text);
        let said = if text.is_empty() { otherwise } else { &text };
        Self::new(format!("The IRC server refused it: “{said}”."), "")
    }

    /// What a line refuses: a numeric or a `FAIL`; `None` where it refuses nothing.
    #[must_use]
    pub fn of_line(line: &Line) -> Option<Self> {
        let texts: Vec<_> = (0..line.params.len()).map(|at| line.text(at)).collect();
        let params: Vec<&str> = texts.iter().map(|text| &**text).collect();
        match line.numeric() {
            Some(numeric) => explain(numeric, &params),
            None if line.command == "FAIL" => {
                let param = |at: usize| params.get(at).copied().unwrap_or_default();
                let text = params.get(2..).and_then(<[&str]>::last);
                Some(super::explain_fail(param(0), param(1), text.unwrap_or(&"")))
            }
            None => None,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.cure {
            Some(cure) => write!(f, " {cure}"),
            None => Ok(()),
        }
    }
}

/// What a numeric refuses, in words: its parameters as in the line, one's own nick first. `None` where it refuses nothing.
///
/// What is not known of 400–599 is told in the server's own words.
#[must_use]
pub fn explain(numeric: u16, params: &[&str]) -> Option<Explanation> {
    let refusal = Refusal::new(params);
    sending::explain(numeric, &refusal)
        .or_else(|| refusals::explain(numeric, &refusal))
        .or_else(|| {
            let is_refusal = (400..600).contains(&numeric);
            is_refusal.then(|| Explanation::quoting(refusal.text, &format!("{numeric:03}")))
        })
}

/// A numeric's parameters by what they mean.
pub(super) struct Refusal<'a> {
    /// What it is about: a channel, a nick, a command. Empty where it is not said.
    pub(super) subject: &'a str,
    /// What else it is about.
    pub(super) second: &'a str,
    /// The server's words.
    pub(super) text: &'a str,
}

impl<'a> Refusal<'a> {
    fn new(params: &[&'a str]) -> Self {
        let between = params.len().saturating_sub(1);
        let at = |at: usize| if at < between { params[at] } else { "" };
        Self {
            subject: at(1),
            second: at(2),
            text: if params.len() > 1 {
                params[between]
            } else {
                ""
            },
        }
    }

    /// Whether the server's words hold one of these, in lower case.
    pub(super) fn says(&self, words: &[&str]) -> bool {
        let text = self.text.to_lowercase();
        words.iter().any(|word| text.contains(word))
    }

    /// Puts names into a sentence: `{channel}`, `{nick}` and `{name}` are its subject, `{other}` what else it is about,
    /// `{text}` the server's words.
    fn fill(&self, sentence: &str) -> String {
        let mut filled = String::with_capacity(sentence.len());
        let mut rest = sentence;
        // In one pass: a name may hold braces itself.
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            let (said, otherwise) = match name {
                "channel" => (self.subject, "the channel"),
                "nick" => (self.subject, "that nick"),
                "other" => (self.second, "it"),
                "text" => (self.text, "no reason was given"),
                _ => (self.subject, "it"),
            };
            let said = plain(said);
            filled.push_str(before);
            // A sentence may begin with what stands for a name.
            match otherwise.split_at_checked(1) {
                _ if !said.is_empty() => filled.push_str(&said),
                Some((first, others)) if filled.is_empty() => {
                    filled.push_str(&first.to_ascii_uppercase());
                    filled.push_str(others);
                }
                _ => filled.push_str(otherwise),
            }
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    pub(super) fn explained(&self, what: &str, cure: &str) -> Explanation {
        Explanation::new(self.fill(what), self.fill(cure))
    }
}

/// A server's word without formatting, and without what would end the sentence; empty where it stands for nothing.
fn plain(text: &str) -> String {
    let text = strip(text);
    let text = text.trim().trim_end_matches('.');
    if text == "*" {
        String::new()
    } else {
        text.to_owned()
    }
}
