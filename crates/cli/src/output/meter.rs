//! How far long work has come: a bar on a terminal, a line now and then elsewhere. On standard
//! error, so that standard output stays what the command is about.

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{clean, count};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows one piece of work.
pub(crate) struct Meter {
    label: String,
    bar: Option<ProgressBar>,
    /// What the last line said, and when.
    last: Option<(Instant, String)>,
}

impl Meter {
    pub(crate) fn new(label: &str) -> Self {
        let label = clean(label);
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len}  {wide_msg}")
                .expect("the template is well formed");
            bar.set_style(style.progress_chars("██░"));
            bar.set_prefix(label.clone());
            bar
        });
        Self {
            label,
            bar,
            last: None,
        }
    }

    /// Shows that so much is done, and what else there is to say.
    pub(crate) fn show(&mut self, done: u64, total: u64, note: &str) {
        let note = clean(note);
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(note);
            return;
        }
        let separator = if note.is_empty() { "" } else { ", " };
        let line = format!(
            "{}: {} of {}{separator}{note}",
            self.label,
            count(done),
            count(total)
        );
        let is_due = self
            .last
            .as_ref()
            .is_none_or(|(at, last)| at.elapsed() >= LINE_EVERY && *last != line);
        if is_due {
            eprintln!("{line}");
            self.last = Some((Instant::now(), line));
        }
    }

    /// Takes the bar away: whatever comes next says how it ended.
    pub(crate) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
