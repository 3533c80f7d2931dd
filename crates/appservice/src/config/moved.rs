//! Keys that have a new name: values under the old one still count, and the operator is told.

use super::{
    given::{self, Entry},
    mistake::{Mistake, Origin, Warning},
};

/// A key, or a section with all that is in it, that is called otherwise now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The old path, such as `bridge.port`.
    pub from: &'static str,
    /// The new path, such as `listen.port`.
    pub to: &'static str,
}

impl Moved {
    pub(super) fn old_parts(self) -> Vec<&'static str> {
        self.from.split('.').collect()
    }

    pub(super) fn new_parts(self) -> Vec<&'static str> {
        self.to.split('.').collect()
    }
}

/// Moves values to their new places.
pub(super) fn apply(
    entries: &mut Vec<Entry>,
    moved: &[Moved],
    mistakes: &mut Vec<Mistake>,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for moved in moved {
        let Some(entry) = given::take(entries, &moved.old_parts()) else {
            continue;
        };
        let origin = entry.origin;
        match given::put(entries, &moved.new_parts(), entry.node) {
            Ok(()) => warnings.push(renamed(origin, moved)),
            Err(_) => mistakes.push(Mistake {
                origin,
                key: moved.from.to_owned(),
                problem: format!(
                    "{} is given too, which is the new name of this key",
                    moved.to
                ),
                remedy: format!("keep {} alone", moved.to),
            }),
        }
    }
    warnings
}

fn renamed(origin: Origin, moved: &Moved) -> Warning {
    Warning {
        origin,
        text: format!(
            "{} is now called {}; the old name still works, but rename it",
            moved.from, moved.to
        ),
    }
}
