//! What was said and heard, by number: each thing said has one of its own.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::ensure;
use tokio::sync::watch;

/// Which way something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToIrc,
    ToMatrix,
}

impl Way {
    pub(crate) const ALL: [Self; 2] = [Self::ToIrc, Self::ToMatrix];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ToIrc => "Matrix → IRC",
            Self::ToMatrix => "IRC → Matrix",
        }
    }
}

/// Where and when something was said.
#[derive(Clone, Copy)]
struct Said {
    way: Way,
    at: Instant,
}

#[derive(Default)]
struct Book {
    said: Vec<Said>,
    /// By number, in the order in which it was heard on the other side.
    heard: HashMap<usize, Vec<Instant>>,
    /// Of each channel and way, in the order of where it was said.
    order_said: HashMap<(usize, bool), Vec<usize>>,
    order_heard: HashMap<(usize, bool), Vec<usize>>,
}

/// What was said and heard.
pub(crate) struct Ledger {
    channels: usize,
    book: watch::Sender<Book>,
}

/// What went wrong; each should be none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) lost: usize,
    pub(crate) twice: usize,
    pub(crate) out_of_order: usize,
}

impl Ledger {
    pub(crate) fn new(channels: usize) -> Self {
        Self {
            channels,
            book: watch::Sender::new(Book::default()),
        }
    }

    /// From here on a new stretch is looked at.
    pub(crate) fn begin(&self) -> usize {
        self.book.borrow().said.len()
    }

    /// Something is about to be said; gives back its number.
    pub(crate) fn say(&self, way: Way) -> usize {
        let mut number = 0;
        self.book.send_modify(|book| {
            number = book.said.len();
            let at = Instant::now();
            book.said.push(Said { way, at });
        });
        number
    }

    /// Where it was said, it is the channel's next.
    pub(crate) fn stands(&self, way: Way, channel: usize, number: usize) {
        self.book.send_modify(|book| {
            let order = book.order_said.entry((channel, way == Way::ToIrc));
            order.or_default().push(number);
        });
    }

    /// It is heard on the other side.
    pub(crate) fn hear(&self, way: Way, channel: usize, number: usize) {
        self.book.send_modify(|book| {
            book.heard.entry(number).or_default().push(Instant::now());
            let order = book.order_heard.entry((channel, way == Way::ToIrc));
            order.or_default().push(number);
        });
    }

    /// Waits until all that was said is heard, and stands where it was said.
    pub(crate) async fn all_is_heard(&self, patience: Duration) -> anyhow::Result<()> {
        let mut book = self.book.subscribe();
        let is_whole = |book: &Book| {
            let standing: usize = book.order_said.values().map(Vec::len).sum();
            book.heard.len() == book.said.len() && standing == book.said.len()
        };
        let waited = tokio::time::timeout(patience, book.wait_for(is_whole)).await;
        let book = self.book.borrow();
        let missing = |way: Way| {
            let said = book.said.iter().enumerate();
            let missing =
                said.filter(|(number, said)| said.way == way && !book.heard.contains_key(number));
            missing.map(|(number, _)| number).collect::<Vec<_>>()
        };
        ensure!(
            waited.is_ok(),
            "of {} messages these were not heard: to IRC {:?}, to Matrix {:?}",
            book.said.len(),
            missing(Way::ToIrc),
            missing(Way::ToMatrix)
        );
        Ok(())
    }

    /// How long it took, of all that was said this way since then; sorted.
    pub(crate) fn latencies(&self, way: Way, from: usize) -> Vec<Duration> {
        let book = self.book.borrow();
        let said = book.said.iter().enumerate().skip(from);
        let meant = said.filter(|(_, said)| said.way == way);
        let mut latencies: Vec<Duration> = meant
            .filter_map(|(number, said)| {
                let heard = book.heard.get(&number)?.first()?;
                Some(heard.saturating_duration_since(said.at))
            })
            .collect();
        latencies.sort();
        latencies
    }

    /// What went wrong, all in all.
    pub(crate) fn faults(&self) -> Faults {
        let book = self.book.borrow();
        let mut faults = Faults {
            lost: book.said.len() - book.heard.len(),
            twice: book.heard.values().map(|heard| heard.len() - 1).sum(),
            out_of_order: 0,
        };
        for channel in 0..self.channels {
            for way in [true, false] {
                let said = book.order_said.get(&(channel, way));
                let heard = book.order_heard.get(&(channel, way));
                let (said, heard) = (said.into_iter().flatten(), heard.into_iter().flatten());
                faults.out_of_order += said
                    .zip(heard)
                    .filter(|(said, heard)| said != heard)
                    .count();
            }
        }
        faults
    }
}
