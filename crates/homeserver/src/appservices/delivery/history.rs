//! How services' deliveries went in the last hour and the last day, for plots. Kept in memory, a
//! fixed number of samples for each service.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bridgehead_admin_api::{History, Sample, Span};
use bridgehead_store::AppserviceNid;
use parking_lot::Mutex;

use super::{handle::Engine, status::Figures};
use crate::shutdown::Shutdown;

/// Between two samples of the last hour.
const HOUR_STEP: Duration = Duration::from_secs(30);
/// Samples of the last hour.
const HOUR_SAMPLES: usize = 120;
/// Samples of the hour that make one of the day.
const DAY_EVERY: u64 = 20;
/// Samples of the last day.
const DAY_SAMPLES: usize = 144;

/// All services' histories.
#[derive(Default)]
pub(crate) struct Histories {
    rings: Mutex<BTreeMap<AppserviceNid, Rings>>,
}

/// One service's.
#[derive(Default)]
struct Rings {
    hour: VecDeque<Sample>,
    day: VecDeque<Sample>,
    /// Samples of the hour that were taken.
    taken: u64,
    /// What had happened since the server's start when the last sample of each was taken.
    hour_totals: Totals,
    day_totals: Totals,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Totals {
    delivered: u64,
    failed: u64,
}

/// Takes samples until shutdown.
pub(crate) async fn run(engine: Arc<Engine>, histories: Arc<Histories>, shutdown: Shutdown) {
    let mut steps = tokio::time::interval(HOUR_STEP);
    // After a machine's sleep, one sample is enough.
    steps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = steps.tick() => {}
            () = shutdown.requested() => return,
        }
        let now_ms = engine.clock.now_ms();
        let registry = engine.registry.load_full();
        let services = registry.services().iter();
        histories.sample(
            services.map(|service| (service.nid, service.delivery.status.figures())),
            now_ms,
        );
    }
}

impl Histories {
    /// A step's end, for all services that there are; those that are gone are forgotten.
    fn sample(&self, services: impl Iterator<Item = (AppserviceNid, Figures)>, now_ms: i64) {
        let mut rings = self.rings.lock();
        let mut before = std::mem::take(&mut *rings);
        for (nid, figures) in services {
            let mut service = before.remove(&nid).unwrap_or_default();
            service.push(&figures, now_ms);
            rings.insert(nid, service);
        }
    }

    /// A service's samples. The last one is of the step that goes on, so that a plot is current.
    pub(crate) fn of(
        &self,
        nid: AppserviceNid,
        span: Span,
        figures: &Figures,
        now_ms: i64,
    ) -> History {
        let rings = self.rings.lock();
        let (step, ring) = match (span, rings.get(&nid)) {
            (Span::Hour, rings) => (1, rings.map(|r| (&r.hour, r.hour_totals))),
            (Span::Day, rings) => (DAY_EVERY, rings.map(|r| (&r.day, r.day_totals))),
        };
        let mut samples: Vec<Sample> = Vec::new();
        let mut since = Totals::default();
        if let Some((ring, totals)) = ring {
            samples.extend(ring);
            since = totals;
        }
        samples.push(sample(figures, since, now_ms));
        History {
            step_ms: HOUR_STEP.as_millis() as u64 * step,
            samples,
        }
    }
}

impl Rings {
    fn push(&mut self, figures: &Figures, now_ms: i64) {
        push(
            &mut self.hour,
            HOUR_SAMPLES,
            sample(figures, self.hour_totals, now_ms),
        );
        self.hour_totals = Totals::of(figures);
        if self.taken.is_multiple_of(DAY_EVERY) {
            push(
                &mut self.day,
                DAY_SAMPLES,
                sample(figures, self.day_totals, now_ms),
            );
            self.day_totals = self.hour_totals;
        }
        self.taken += 1;
    }
}

impl Totals {
    fn of(figures: &Figures) -> Self {
        Self {
            delivered: figures.delivered,
            failed: figures.failures,
        }
    }
}

fn push(ring: &mut VecDeque<Sample>, most: usize, sample: Sample) {
    while ring.len() >= most {
        ring.pop_front();
    }
    ring.push_back(sample);
}

fn sample(figures: &Figures, since: Totals, now_ms: i64) -> Sample {
    let lag_ms = figures.oldest_at.map(|at| now_ms - at);
    Sample {
        at_ms: now_ms,
        depth: figures.depth,
        lag_ms: lag_ms.and_then(|lag| u64::try_from(lag).ok()).unwrap_or(0),
        // A service that was registered anew counts from zero.
        delivered: figures
            .delivered
            .checked_sub(since.delivered)
            .unwrap_or(figures.delivered),
        failed: figures
            .failures
            .checked_sub(since.failed)
            .unwrap_or(figures.failures),
    }
}

#[cfg(test)]
mod tests {
    use bridgehead_admin_api::Span;
    use bridgehead_store::AppserviceNid;

    use super::{DAY_EVERY, DAY_SAMPLES, HOUR_SAMPLES, Histories};
    use crate::appservices::delivery::status::{Figures, Status};

    const IRC: AppserviceNid = AppserviceNid(1);

    fn figures(delivered: u64) -> Figures {
        Figures {
            delivered,
            failures: delivered / 2,
            depth: 3,
            oldest_at: Some(100),
            ..Status::new().figures()
        }
    }

    #[test]
    fn samples_tell_what_happened_in_their_step() {
        let histories = Histories::default();
        for step in 0..=40_u64 {
            let now_ms = 1_000 + step as i64 * 30_000;
            histories.sample([(IRC, figures(step * 10))].into_iter(), now_ms);
        }
        let now = figures(407);
        let hour = histories.of(IRC, Span::Hour, &now, 1_300_000);
        assert_eq!((hour.step_ms, hour.samples.len()), (30_000, 42));
        assert_eq!(hour.samples[0].delivered, 0);
        assert!(
            hour.samples[1..41]
                .iter()
                .all(|s| (s.delivered, s.failed) == (10, 5))
        );
        let going_on = hour.samples[41];
        assert_eq!((going_on.delivered, going_on.failed), (7, 3));
        assert_eq!((going_on.depth, going_on.lag_ms), (3, 1_299_900));
        let day = histories.of(IRC, Span::Day, &now, 1_300_000);
        assert_eq!(day.step_ms, 600_000);
        let delivered: Vec<_> = day.samples.iter().map(|s| s.delivered).collect();
        assert_eq!(delivered, [0, 200, 200, 7]);
    }

    #[test]
    fn the_number_of_samples_is_bounded_and_who_is_gone_is_forgotten() {
        let histories = Histories::default();
        for step in 0..(DAY_SAMPLES as u64 + 10) * DAY_EVERY {
            histories.sample([(IRC, figures(0))].into_iter(), step as i64);
        }
        let len = |span| histories.of(IRC, span, &figures(0), 0).samples.len();
        assert_eq!(
            (len(Span::Hour), len(Span::Day)),
            (HOUR_SAMPLES + 1, DAY_SAMPLES + 1)
        );
        histories.sample([(AppserviceNid(2), figures(0))].into_iter(), 0);
        assert_eq!(histories.rings.lock().len(), 1);
        assert_eq!(len(Span::Hour), 1);
    }

    #[test]
    fn a_service_that_counts_anew_has_no_negative_steps() {
        let histories = Histories::default();
        histories.sample([(IRC, figures(100))].into_iter(), 0);
        let now = figures(4);
        assert_eq!(
            histories.of(IRC, Span::Hour, &now, 1).samples[1].delivered,
            4
        );
    }
}
