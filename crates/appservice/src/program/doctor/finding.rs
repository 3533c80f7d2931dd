//! What the doctor has found, and how it tells.

use std::borrow::Cow;

use serde::Serialize;

use crate::program::{
    Failure, Result,
    terminal::{clean, say},
};

/// Characters of a finding; what homeservers say may be long.
const MOST: usize = 1000;

/// How a check has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Grade {
    Good,
    Note,
    Skipped,
    Bad,
}

/// One check's outcome, of the kit's `doctor` or of the author's own ([`Service::doctor`](crate::Service::doctor)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Finding {
    check: Cow<'static, str>,
    grade: Grade,
    text: String,
    /// What to do about it: which file, which key.
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<String>,
}

impl Finding {
    /// It is as it should be. `check` names what was looked at, such as `network`; long texts are cut.
    pub fn good(check: impl Into<Cow<'static, str>>, text: impl AsRef<str>) -> Self {
        Self::new(check.into(), Grade::Good, text.as_ref(), None)
    }

    /// Good to know, and nothing is wrong.
    pub fn note(check: impl Into<Cow<'static, str>>, text: impl AsRef<str>) -> Self {
        Self::new(check.into(), Grade::Note, text.as_ref(), None)
    }

    /// It could not be looked at, and why.
    pub fn skipped(check: impl Into<Cow<'static, str>>, why: impl AsRef<str>) -> Self {
        Self::new(check.into(), Grade::Skipped, why.as_ref(), None)
    }

    /// It is wrong; `cure` says which key of which file to change, or what else to do. The doctor then ends with 1.
    pub fn bad(
        check: impl Into<Cow<'static, str>>,
        text: impl AsRef<str>,
        cure: impl Into<String>,
    ) -> Self {
        Self::new(check.into(), Grade::Bad, text.as_ref(), Some(cure.into()))
    }

    fn new(check: Cow<'static, str>, grade: Grade, text: &str, cure: Option<String>) -> Self {
        Self {
            check,
            grade,
            text: clean(text, MOST),
            cure,
        }
    }
}

/// All of them, in the order of the checks.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) fn good(&mut self, check: &'static str, text: impl AsRef<str>) {
        self.add(Finding::good(check, text));
    }

    pub(super) fn note(&mut self, check: &'static str, text: impl AsRef<str>) {
        self.add(Finding::note(check, text));
    }

    pub(super) fn skipped(&mut self, check: &'static str, why: impl AsRef<str>) {
        self.add(Finding::skipped(check, why));
    }

    pub(super) fn bad(
        &mut self,
        check: &'static str,
        text: impl AsRef<str>,
        cure: impl Into<String>,
    ) {
        self.add(Finding::bad(check, text, cure));
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// Whether nothing is wrong.
    pub(super) fn is_good(&self) -> bool {
        self.0.iter().all(|finding| finding.grade != Grade::Bad)
    }

    pub(super) fn tell(&self, as_json: bool) -> Result<()> {
        if as_json {
            say(&serde_json::to_string_pretty(&self.0).map_err(Failure::tried)?);
            return Ok(());
        }
        for finding in &self.0 {
            let mark = match finding.grade {
                Grade::Good => "good ",
                Grade::Note => "note ",
                Grade::Skipped => "-    ",
                Grade::Bad => "WRONG",
            };
            say(&format!("{mark}  {}: {}", finding.check, finding.text));
            if let Some(cure) = &finding.cure {
                say(&format!("         → {cure}"));
            }
        }
        let wrong = self
            .0
            .iter()
            .filter(|finding| finding.grade == Grade::Bad)
            .count();
        say(&match wrong {
            0 => "\nAll is well.".to_owned(),
            1 => "\nOne thing is wrong.".to_owned(),
            wrong => format!("\n{wrong} things are wrong."),
        });
        Ok(())
    }
}
