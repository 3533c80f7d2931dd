//! The figures, and whether they are good.

use std::{fmt::Write as _, time::Duration};

use anyhow::ensure;

use super::{
    Load,
    ledger::{Faults, Way},
    stage::Stage,
};

/// One direction, for some time.
pub(crate) struct Stretch {
    pub(crate) name: String,
    pub(crate) way: Way,
    pub(crate) took: Duration,
    /// Sorted.
    pub(crate) latencies: Vec<Duration>,
}

/// All that was found.
pub(crate) struct Outcome {
    head: String,
    memories: Vec<(usize, u64)>,
    pub(crate) connected_within: Duration,
    pub(crate) stretches: Vec<Stretch>,
    /// From the bridge's end until it works again.
    pub(crate) away: Duration,
    /// From the bridge's end until everybody is connected again.
    pub(crate) back_within: Duration,
    pub(crate) faults: Faults,
}

impl Outcome {
    pub(crate) fn new(load: &Load, stage: &Stage) -> Self {
        Self {
            head: format!(
                "{} people of Matrix, {} channels, {} messages each way in each stretch; {}",
                load.users,
                load.channels,
                load.messages,
                stage.irc.name()
            ),
            memories: Vec::new(),
            connected_within: Duration::ZERO,
            stretches: Vec::new(),
            away: Duration::ZERO,
            back_within: Duration::ZERO,
            faults: Faults::default(),
        }
    }

    /// The bridge has so many people's connections, and takes so many bytes.
    pub(crate) fn memory(&mut self, people: usize, bytes: u64) {
        self.memories.push((people, bytes));
    }

    /// The figures as a table.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{}\n\n", self.head);
        let mut line = |words: String| {
            // A `String` takes everything.
            let _ = writeln!(text, "{words}");
        };
        line("| way | stretch | messages | a second | p50 | p95 | max |".to_owned());
        line("|---|---|---|---|---|---|---|".to_owned());
        for stretch in &self.stretches {
            line(stretch.row());
        }
        line(String::new());
        for (people, bytes) in &self.memories {
            line(format!(
                "{people:>5} people connected: {} MiB resident",
                bytes >> 20
            ));
        }
        line(format!(
            "All connected and in their channels within {:.1?}.",
            self.connected_within
        ));
        line(format!(
            "Restart in the middle: {:.1?} until the bridge worked again, {:.1?} until everybody was back.",
            self.away, self.back_within
        ));
        let Faults {
            lost,
            twice,
            out_of_order,
        } = self.faults;
        line(format!(
            "Lost: {lost}. Twice: {twice}. Out of their channel's order: {out_of_order}."
        ));
        text
    }

    /// Fails where anything was lost, said twice or reordered.
    pub(crate) fn is_good(&self) -> anyhow::Result<()> {
        ensure!(self.faults == Faults::default(), "{:?}", self.faults);
        Ok(())
    }
}

impl Stretch {
    fn row(&self) -> String {
        let at = |percent: usize| {
            let last = self.latencies.len().saturating_sub(1);
            let latency = self.latencies.get(last * percent / 100);
            format!("{:.0?}", latency.copied().unwrap_or_default())
        };
        let count = u32::try_from(self.latencies.len()).unwrap_or(u32::MAX);
        let a_second = f64::from(count) / self.took.as_secs_f64();
        format!(
            "| {} | {} | {count} | {a_second:.0} | {} | {} | {} |",
            self.way.name(),
            self.name,
            at(50),
            at(95),
            at(100)
        )
    }
}
