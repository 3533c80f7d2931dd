//! What an author's own check finds wrong.

use std::collections::BTreeMap;

use super::mistake::{Mistake, Origin};

/// Takes the mistakes that [`Config::check`](super::Config::check) finds.
#[derive(Debug)]
pub struct Refusals<'a> {
    origins: &'a BTreeMap<String, Origin>,
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> Refusals<'a> {
    pub(super) fn new(
        origins: &'a BTreeMap<String, Origin>,
        mistakes: &'a mut Vec<Mistake>,
    ) -> Self {
        Self { origins, mistakes }
    }

    /// The value of `key` (with its section, such as `listen.address`) cannot stay: what is wrong, and what to do about
    /// it. File and line are added. Of a key that was refused already, or of a list one of whose items was, nothing more is said.
    pub fn refuse(&mut self, key: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        let is_known = |mistake: &Mistake| {
            let rest = mistake.key.strip_prefix(key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        };
        if self.mistakes.iter().any(is_known) {
            return;
        }
        self.mistakes.push(Mistake {
            origin: self.origin(key),
            key: key.to_owned(),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    /// Where the key was written, or the section that it would stand in.
    fn origin(&self, key: &str) -> Origin {
        let mut path = key;
        loop {
            if let Some(origin) = self.origins.get(path) {
                return origin.clone();
            }
            match path.rsplit_once('.') {
                Some((section, _)) => path = section,
                None => return Origin::Default,
            }
        }
    }
}
