//! How many calls to the homeserver are under way at once, and who goes next when there are too many.
//!
//! ```text
//! Message    ▸▸▸▸ ┐
//! Membership ▸▸   ├─▶ at most N in flight
//! Profile    ▸    │
//! Backfill   ▸▸▸▸ ┘
//! ```
//!
//! The most urgent go first, and among equals those who came first. A lane that was passed over often enough gets its
//! turn all the same, so nothing waits for ever. Whoever gives up waiting leaves no gap.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Urgency;

/// So many calls of others may pass a lane that waits; the next free place is then its own.
const PATIENCE: u32 = 16;

/// One for each urgency.
const LANES: usize = Urgency::Backfill as usize + 1;

/// Lets in a bounded number of calls at a time. Cloning gives another handle to the same gate.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    in_flight: usize,
    next_ticket: u64,
    lanes: [Lane; LANES],
}

#[derive(Debug, Default)]
struct Lane {
    /// In the order of their tickets.
    waiting: VecDeque<Waiter>,
    /// How often a place went to another lane while somebody waited here.
    passed_over: u32,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    admit: oneshot::Sender<Permit>,
}

impl Gate {
    /// A gate for `limit` calls at once; zero counts as one.
    #[must_use]
    pub(crate) fn new(limit: usize) -> Self {
        let state = State {
            limit: limit.max(1),
            in_flight: 0,
            next_ticket: 0,
            lanes: Default::default(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Waits for a place. It is given back when the permit is dropped.
    ///
    /// Dropping the future gives up waiting, or gives the place back if it had been granted in the meantime.
    pub(crate) async fn enter(&self, urgency: Urgency) -> Permit {
        loop {
            match self.try_enter(urgency) {
                Ok(permit) => return permit,
                Err((admitted, _place)) => {
                    // Nobody but the waiter itself takes it out of the queue unadmitted, so this is one turn.
                    if let Ok(permit) = admitted.await {
                        return permit;
                    }
                }
            }
        }
    }

    /// A place if one is free, else a place in the queue.
    fn try_enter(&self, urgency: Urgency) -> Result<Permit, (oneshot::Receiver<Permit>, InQueue)> {
        let mut state = self.state.lock();
        if state.in_flight < state.limit {
            state.in_flight += 1;
            return Ok(self.permit());
        }
        let (admit, admitted) = oneshot::channel();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let waiting = &mut state.lanes[urgency as usize].waiting;
        waiting.push_back(Waiter { ticket, admit });
        let place = InQueue {
            gate: self.clone(),
            lane: urgency as usize,
            ticket,
        };
        Err((admitted, place))
    }

    fn permit(&self) -> Permit {
        Permit {
            gate: Some(self.clone()),
        }
    }

    /// Calls that are under way.
    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> usize {
        self.state.lock().in_flight
    }

    /// Calls of this urgency that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self, urgency: Urgency) -> usize {
        self.state.lock().lanes[urgency as usize].waiting.len()
    }

    /// Hands a place that became free to the next waiter, or keeps it free.
    fn release(&self) {
        loop {
            let next = {
                let mut state = self.state.lock();
                let next = state.next_waiter();
                if next.is_none() {
                    state.in_flight -= 1;
                }
                next
            };
            let Some(waiter) = next else { return };
            match waiter.admit.send(self.permit()) {
                Ok(()) => return,
                // The waiter gave up this moment; its permit must not release the place a second time.
                Err(unused) => unused.disarm(),
            }
        }
    }
}

impl State {
    fn next_waiter(&mut self) -> Option<Waiter> {
        let waits = |lane: &Lane| !lane.waiting.is_empty();
        let impatient = |lane: &Lane| waits(lane) && lane.passed_over >= PATIENCE;
        let chosen = self
            .lanes
            .iter()
            .position(impatient)
            .or_else(|| self.lanes.iter().position(waits))?;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if index == chosen || lane.waiting.is_empty() {
                lane.passed_over = 0;
            } else {
                lane.passed_over += 1;
            }
        }
        self.lanes[chosen].waiting.pop_front()
    }
}

/// A place in flight, given back when dropped.
#[derive(Debug)]
#[must_use = "the place is given back as soon as this is dropped"]
pub(crate) struct Permit {
    /// `None` when there is no place to give back.
    gate: Option<Gate>,
}

impl Permit {
    /// Ends without giving the place back: somebody else gets it.
    fn disarm(mut self) {
        self.gate = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.release();
        }
    }
}

/// A place in the queue, left when dropped.
struct InQueue {
    gate: Gate,
    lane: usize,
    ticket: u64,
}

impl Drop for InQueue {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        let waiting = &mut state.lanes[self.lane].waiting;
        if let Ok(index) = waiting.binary_search_by_key(&self.ticket, |waiter| waiter.ticket) {
            waiting.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::Pin,
        task::{Context, Poll, Waker},
    };

    use proptest::prelude::*;

    use super::*;

    const URGENCIES: [Urgency; LANES] = [
        Urgency::Message,
        Urgency::Membership,
        Urgency::Profile,
        Urgency::Backfill,
    ];

    type Entering = Pin<Box<dyn Future<Output = Permit>>>;

    fn enter(gate: &Gate, urgency: Urgency) -> Entering {
        let gate = gate.clone();
        Box::pin(async move { gate.enter(urgency).await })
    }

    fn poll(entering: &mut Entering) -> Option<Permit> {
        match entering
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    /// Who waits, in the order in which they came, by name.
    struct Crowd {
        gate: Gate,
        waiting: Vec<(String, Entering)>,
    }

    impl Crowd {
        /// In front of a gate for one call, which is taken.
        fn new() -> (Self, Permit) {
            let gate = Gate::new(1);
            let first = poll(&mut enter(&gate, Urgency::Message)).expect("the gate is empty");
            let waiting = Vec::new();
            (Self { gate, waiting }, first)
        }

        fn join(&mut self, name: impl Into<String>, urgency: Urgency) {
            let mut entering = enter(&self.gate, urgency);
            assert!(poll(&mut entering).is_none(), "the gate should be full");
            self.waiting.push((name.into(), entering));
        }

        /// Whoever was admitted.
        fn admitted(&mut self) -> Option<(String, Permit)> {
            for index in 0..self.waiting.len() {
                if let Some(permit) = poll(&mut self.waiting[index].1) {
                    return Some((self.waiting.remove(index).0, permit));
                }
            }
            None
        }

        /// The order in which all of them get in after `permit`.
        fn order(mut self, permit: Permit) -> Vec<String> {
            drop(permit);
            let mut order = Vec::new();
            while let Some((name, permit)) = self.admitted() {
                assert_eq!(self.gate.in_flight(), 1);
                order.push(name);
                drop(permit);
            }
            assert!(self.waiting.is_empty(), "everybody gets in");
            assert_eq!(self.gate.in_flight(), 0);
            order
        }
    }

    #[test]
    fn the_urgent_go_first_and_equals_in_turn() {
        let (mut crowd, permit) = Crowd::new();
        for (name, urgency) in [
            ("history", Urgency::Backfill),
            ("name", Urgency::Profile),
            ("hello", Urgency::Message),
            ("join", Urgency::Membership),
            ("world", Urgency::Message),
        ] {
            crowd.join(name, urgency);
        }
        assert_eq!(crowd.gate.waiting(Urgency::Message), 2);
        let order = crowd.order(permit);
        assert_eq!(order, ["hello", "world", "join", "name", "history"]);
    }

    #[test]
    fn nobody_starves() {
        let (mut crowd, permit) = Crowd::new();
        crowd.join("history", Urgency::Backfill);
        crowd.join("name", Urgency::Profile);
        for index in 0..100 {
            crowd.join(index.to_string(), Urgency::Message);
        }
        let order = crowd.order(permit);
        let place = |name| order.iter().position(|n| n == name).expect("it got in");
        assert_eq!(place("name"), 16);
        assert_eq!(place("history"), 17);
    }

    #[test]
    fn who_gives_up_leaves_no_gap() {
        let (mut crowd, permit) = Crowd::new();
        crowd.join("first", Urgency::Message);
        crowd.join("second", Urgency::Message);
        drop(crowd.waiting.remove(0));
        assert_eq!(crowd.gate.waiting(Urgency::Message), 1);
        assert_eq!(crowd.order(permit), ["second"]);
    }

    #[test]
    fn a_place_granted_to_somebody_who_left_goes_on() {
        let (mut crowd, permit) = Crowd::new();
        crowd.join("gone", Urgency::Message);
        crowd.join("here", Urgency::Backfill);
        drop(permit);
        // Granted, but never looked at.
        drop(crowd.waiting.remove(0));
        let (name, permit) = crowd.admitted().expect("the place is handed on");
        assert_eq!(name, "here");
        drop(permit);
        assert_eq!(crowd.gate.in_flight(), 0);
    }

    #[tokio::test]
    async fn tasks_are_woken() {
        let gate = Gate::new(2);
        let tasks: Vec<_> = (0..50)
            .map(|index| {
                let gate = gate.clone();
                tokio::spawn(async move {
                    let _permit = gate.enter(URGENCIES[index % 4]).await;
                    assert!(gate.in_flight() <= 2);
                    tokio::task::yield_now().await;
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no task panics");
        }
        assert_eq!(gate.in_flight(), 0);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Enter(Urgency),
        GiveUp(usize),
        Leave(usize),
        Look,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..4_usize).prop_map(|index| Step::Enter(URGENCIES[index])),
            1 => any::<usize>().prop_map(Step::GiveUp),
            3 => any::<usize>().prop_map(Step::Leave),
            2 => Just(Step::Look),
        ]
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_and_all_are_served(
            limit in 0..5_usize, steps in proptest::collection::vec(step(), 0..200),
        ) {
            let gate = Gate::new(limit);
            let (mut waiting, mut inside): (Vec<Entering>, Vec<Permit>) = Default::default();
            let look = |waiting: &mut Vec<Entering>, inside: &mut Vec<Permit>| {
                waiting.retain_mut(|entering| {
                    let admitted = poll(entering);
                    let is_waiting = admitted.is_none();
                    inside.extend(admitted);
                    is_waiting
                });
            };
            for step in steps {
                match step {
                    Step::Enter(urgency) => waiting.push(enter(&gate, urgency)),
                    Step::GiveUp(n) if !waiting.is_empty() => drop(waiting.remove(n % waiting.len())),
                    Step::Leave(n) if !inside.is_empty() => drop(inside.remove(n % inside.len())),
                    Step::GiveUp(_) | Step::Leave(_) => {}
                    Step::Look => look(&mut waiting, &mut inside),
                }
                prop_assert!(inside.len() <= limit.max(1));
                prop_assert!(gate.in_flight() <= limit.max(1));
            }
            // A free place and somebody who waits for it never go together.
            look(&mut waiting, &mut inside);
            prop_assert!(waiting.is_empty() || inside.len() == limit.max(1));
            while !inside.is_empty() {
                inside.clear();
                look(&mut waiting, &mut inside);
            }
            prop_assert!(waiting.is_empty());
            prop_assert_eq!(gate.in_flight(), 0);
        }
    }
}
