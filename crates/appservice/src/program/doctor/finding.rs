//! What the doctor has found, and how it tells.

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

/// One check's outcome.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    grade: Grade,
    text: String,
    /// What to do about it: which file, which key.
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<String>,
}

/// All of them, in the order of the checks.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) fn good(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, Grade::Good, text.into(), None);
    }

    pub(super) fn note(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, Grade::Note, text.into(), None);
    }

    pub(super) fn skipped(&mut self, check: &'static str, why: impl Into<String>) {
        self.add(check, Grade::Skipped, why.into(), None);
    }

    pub(super) fn bad(
        &mut self,
        check: &'static str,
        text: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.add(check, Grade::Bad, text.into(), Some(cure.into()));
    }

    fn add(&mut self, check: &'static str, grade: Grade, text: String, cure: Option<String>) {
        self.0.push(Finding {
            check,
            grade,
            text: clean(&text, MOST),
            cure,
        });
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
