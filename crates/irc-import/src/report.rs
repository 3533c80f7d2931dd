//! What was taken over, in numbers, and what was not, one by one.

use std::{collections::BTreeMap, fmt};

use bridgehead_appservice::bridge::Adopted;

/// Things left out that are named; more are counted.
const MAX_NAMED: usize = 500;

/// What a run has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By kind: how many are new, and how many were there.
    counts: BTreeMap<&'static str, (usize, usize)>,
    /// What was done, in sentences.
    told: Vec<String>,
    left_out: Vec<String>,
    more: usize,
    /// What the operator does next.
    steps: Vec<String>,
}

impl Report {
    /// Counts something that was taken over, or says why it was not.
    pub(crate) fn note(&mut self, kind: &'static str, what: impl fmt::Display, adopted: &Adopted) {
        let counts = self.counts.entry(kind).or_default();
        match adopted {
            Adopted::New => counts.0 += 1,
            Adopted::Known => counts.1 += 1,
            Adopted::Taken(why) => self.left_out(format!("{what}: {why}")),
            _ => self.left_out(format!("{what}: it is not known why")),
        }
    }

    /// What was done.
    pub(crate) fn told(&mut self, what: String) {
        self.told.push(what);
    }

    /// Something was not taken over.
    pub(crate) fn left_out(&mut self, what: String) {
        match self.left_out.len() < MAX_NAMED {
            true => self.left_out.push(what),
            false => self.more += 1,
        }
    }

    /// What the operator does next.
    pub(crate) fn step(&mut self, step: String) {
        self.steps.push(step);
    }

    /// How many things of a kind are new.
    #[must_use]
    pub fn new_of(&self, kind: &str) -> usize {
        self.counts.get(kind).map_or(0, |counts| counts.0)
    }

    /// What was not taken over.
    #[must_use]
    pub fn all_left_out(&self) -> &[String] {
        &self.left_out
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for what in &self.told {
            writeln!(f, "{what}")?;
        }
        for (kind, (new, known)) in &self.counts {
            writeln!(f, "{kind}: {new} taken over, {known} there already")?;
        }
        if !self.left_out.is_empty() {
            writeln!(f, "\nNot taken over:")?;
        }
        for what in &self.left_out {
            writeln!(f, "- {what}")?;
        }
        if self.more > 0 {
            writeln!(f, "- and {} more", self.more)?;
        }
        if !self.steps.is_empty() {
            writeln!(f, "\nWhat is next:")?;
        }
        for (at, step) in self.steps.iter().enumerate() {
            writeln!(f, "{}. {step}", at + 1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_named_up_to_a_bound_and_counted_beyond() {
        let mut report = Report::default();
        report.note("rooms", "!a:x", &Adopted::New);
        report.note("rooms", "!a:x", &Adopted::Known);
        for at in 0..MAX_NAMED + 2 {
            report.note(
                "rooms",
                format!("!{at}:x"),
                &Adopted::Taken("no".to_owned()),
            );
        }
        let text = report.to_string();
        assert!(
            text.contains("rooms: 1 taken over, 1 there already"),
            "{text}"
        );
        assert!(
            text.contains("- !0:x: no\n") && text.contains("- and 2 more"),
            "{text}"
        );
    }
}
