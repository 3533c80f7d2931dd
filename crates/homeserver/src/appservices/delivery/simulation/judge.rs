//! What must be true after every step, whatever has happened.
//!
//! The judge believes the log (as it was committed), what the services have seen, and the rows of
//! the database; it shares no code with the engine.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bridgehead_admin_api::State;
use bridgehead_store::{AppserviceNid, Error, Orders, SkipRow, StreamPosition};

use super::{
    plan::{NEIGHBOUR, SERVICES},
    services::{Body, Push, Seen, TIMEOUT},
    world::{BACKOFF_MAX, Item, Life, Row, World},
};
use crate::clock::Clock as _;

/// The good neighbour waits no longer than this, ms.
const NEIGHBOUR_PATIENCE_MS: i64 = 1_000;
/// Entries in a transaction at most, as the runs are configured.
const MAX_ENTRIES: usize = 5;
/// Skips that are looked at.
const SKIPS: usize = 1_000;

/// A rule that was broken.
#[derive(Debug, Clone)]
pub(super) struct Violation {
    pub(super) rule: &'static str,
    pub(super) service: &'static str,
    pub(super) what: String,
}

/// What a rule comes to: the rule's name and what has happened instead.
type Verdict = Result<(), (&'static str, String)>;

/// All that is known of one run.
pub(super) struct Judge {
    ledgers: Vec<Ledger>,
    /// The log's events by id.
    events: HashMap<String, u64>,
    /// Rows of the log whose event ids are known.
    resolved: usize,
    /// Events that a client was told are sent.
    promised: Vec<String>,
}

/// What is known of one service.
#[derive(Default)]
struct Ledger {
    transactions: BTreeMap<u64, Transaction>,
    /// The newest transaction that was sent.
    newest: u64,
    /// Positions of events and messages that the service has taken in their turn.
    taken: BTreeSet<u64>,
    /// Positions of all that the server was told the service has.
    acknowledged: BTreeSet<u64>,
    /// The same in replays, with the time.
    replayed: BTreeMap<u64, i64>,
    last_event: u64,
    last_to_device: u64,
    skips: BTreeSet<i64>,
    skipped: Vec<(u64, u64)>,
    skipped_in_replay: Vec<(u64, u64)>,
    skips_ordered: usize,
    has_policy: bool,
    replays: Vec<(u64, u64, i64)>,
    cursor: u64,
    poisoned: bool,
    /// Nothing has disturbed it since, ms.
    calm_since: i64,
}

struct Transaction {
    prev: u64,
    last: u64,
    replay: bool,
    acknowledged_in: Option<u32>,
    skipped: bool,
    /// The service has refused it, so it may have been split.
    doubted: bool,
}

impl Judge {
    pub(super) fn new() -> Self {
        Self {
            ledgers: (0..SERVICES).map(|_| Ledger::default()).collect(),
            events: HashMap::new(),
            resolved: 0,
            promised: Vec::new(),
        }
    }

    /// A client was told that the event is sent.
    pub(super) fn promised(&mut self, event_id: String) {
        self.promised.push(event_id);
    }

    /// Something was done to the service.
    pub(super) fn disturbed(&mut self, service: usize, now_ms: i64) {
        self.ledgers[service].calm_since = now_ms;
    }

    /// It has something coming that it cannot take.
    pub(super) fn poisoned(&mut self, service: usize, now_ms: i64) {
        self.ledgers[service].poisoned = true;
        self.disturbed(service, now_ms);
    }

    /// The server was cut off and runs again.
    pub(super) fn restarted(&mut self, now_ms: i64) {
        for ledger in &mut self.ledgers {
            ledger.calm_since = now_ms;
        }
    }

    /// A person is about to skip.
    pub(super) fn skipping(&mut self, service: usize) {
        self.ledgers[service].skips_ordered += 1;
    }

    /// A policy is about to be set.
    pub(super) fn policy(&mut self, service: usize, set: bool) {
        self.ledgers[service].has_policy |= set;
    }

    /// A replay was ordered.
    pub(super) fn replayed(&mut self, service: usize, range: Option<(u64, u64)>, now_ms: i64) {
        if let Some((from, upto)) = range {
            self.ledgers[service].replays.push((from, upto, now_ms));
        }
    }

    /// No illegal move was tried in this life.
    pub(super) fn check_moves(&self, life: &Life) -> Result<(), Violation> {
        for service in 0..SERVICES {
            let moves = life.handle(service).status.figures().illegal_moves;
            if moves > 0 {
                return Err(Violation {
                    rule: "no illegal state",
                    service: "",
                    what: format!("service {service}: {moves} illegal moves"),
                });
            }
        }
        Ok(())
    }

    /// Looks at everything.
    pub(super) async fn look(&mut self, world: &World) -> Result<(), Violation> {
        self.resolve(world).await?;
        self.check_moves(world.life.as_ref().expect("it runs"))?;
        let rows = world.committed.lock().rows.clone();
        for service in 0..SERVICES {
            let nid = world.nids[service];
            let (orders, skips) = read(world, nid).await;
            let seen = world.scripts[service].take_seen();
            let now_ms = world.clock.now_ms();
            let healthy = world.scripts[service].behaviour().is_healthy();
            let Self {
                ledgers, events, ..
            } = self;
            let ledger = &mut ledgers[service];
            let mut case = Case {
                ledger,
                events,
                rows: &rows,
                nid,
            };
            case.skips(skips)
                .and_then(|()| case.all_seen(seen))
                .and_then(|()| case.cursor(&orders))
                .and_then(|()| case.delay(service, &orders, healthy, now_ms))
                .map_err(|(rule, what)| Violation {
                    rule,
                    service: world.scripts[service].name(),
                    what,
                })?;
            world.look_at_holds(service).await;
        }
        Ok(())
    }

    /// The log has what was committed, and what was promised.
    async fn resolve(&mut self, world: &World) -> Result<(), Violation> {
        let (total, new): (usize, Vec<u64>) = {
            let committed = world.committed.lock();
            let new = committed.rows[self.resolved..].iter();
            let new = new.filter(|row| row.item == Item::Event);
            (committed.rows.len(), new.map(|row| row.pos).collect())
        };
        let read: Result<_, Error> = world
            .store()
            .read(move |snapshot| {
                let mut ids = Vec::new();
                for pos in new {
                    let event = snapshot.event_at(StreamPosition(pos))?;
                    ids.push((pos, event.map(|event| event.event_id)));
                }
                Ok((snapshot.last_position()?.0, ids))
            })
            .await;
        let (end, ids) = read.unwrap_or_else(|error| panic!("{error}"));
        let lost = |what: String| Violation {
            rule: "what is committed stays",
            service: "",
            what,
        };
        if end != total as u64 {
            return Err(lost(format!("the log ends at {end}, not at {total}")));
        }
        self.resolved = total;
        for (pos, event_id) in ids {
            let event_id = event_id.ok_or_else(|| lost(format!("position {pos} has no event")))?;
            self.events.insert(event_id, pos);
        }
        match self
            .promised
            .iter()
            .find(|id| !self.events.contains_key(*id))
        {
            Some(id) => Err(lost(format!("{id} was promised and is not in the log"))),
            None => Ok(()),
        }
    }

    /// After all faults have ended: all has arrived.
    pub(super) async fn at_the_end(&self, world: &World) -> Result<(), Violation> {
        let rows = world.committed.lock().rows.clone();
        for service in 0..SERVICES {
            let nid = world.nids[service];
            let (orders, _) = read(world, nid).await;
            let life = world.life.as_ref().expect("it runs");
            let figures = life.handle(service).status.figures();
            let ledger = &self.ledgers[service];
            ledger
                .all_arrived(&rows, nid)
                .and_then(|()| ledger.all_replayed(&rows, nid))
                .and_then(|()| {
                    if orders.frozen.is_some() || orders.replay.is_some() {
                        let what = "the delivery has not come to its end".to_owned();
                        return Err(("drained at the end", what));
                    }
                    if figures.state != State::Idle || figures.depth > 0 || figures.stuck.is_some()
                    {
                        let what = format!(
                            "{:?}, {} wait, {:?}",
                            figures.state, figures.depth, figures.stuck
                        );
                        return Err(("figures are true at the end", what));
                    }
                    Ok(())
                })
                .map_err(|(rule, what)| Violation {
                    rule,
                    service: world.scripts[service].name(),
                    what,
                })?;
        }
        Ok(())
    }
}

async fn read(world: &World, nid: AppserviceNid) -> (Orders, Vec<SkipRow>) {
    let read: Result<_, Error> = world
        .store()
        .read(move |snapshot| Ok((snapshot.orders(nid)?, snapshot.skips(nid, SKIPS)?)))
        .await;
    read.unwrap_or_else(|error| panic!("{error}"))
}

impl Ledger {
    fn was_skipped(&self, pos: u64) -> bool {
        within(&self.skipped, pos)
    }

    fn has(&self, pos: u64) -> bool {
        self.acknowledged.contains(&pos) || self.was_skipped(pos)
    }

    fn all_arrived(&self, rows: &[Row], nid: AppserviceNid) -> Verdict {
        match must_arrive(rows, nid, 0, u64::MAX).find(|row| !self.has(row.pos)) {
            Some(row) => Err(("nothing lost", format!("{row:?} never arrived"))),
            None => Ok(()),
        }
    }

    fn all_replayed(&self, rows: &[Row], nid: AppserviceNid) -> Verdict {
        for (from, upto, at_ms) in &self.replays {
            let missing = must_arrive(rows, nid, *from, *upto)
                .filter(|row| row.item == Item::Event)
                .find(|row| {
                    let again = self.replayed.get(&row.pos);
                    let again = again.is_some_and(|at| at >= at_ms);
                    !again && !within(&self.skipped_in_replay, row.pos)
                });
            if let Some(row) = missing {
                let what = format!("replay of ({from}, {upto}] left out {row:?}");
                return Err(("a replay is whole", what));
            }
        }
        Ok(())
    }
}

fn within(ranges: &[(u64, u64)], pos: u64) -> bool {
    ranges
        .iter()
        .any(|(from, upto)| *from < pos && pos <= *upto)
}

/// Rows for the service after `from`, up to `upto`, that must not get lost.
fn must_arrive(
    rows: &[Row],
    nid: AppserviceNid,
    from: u64,
    upto: u64,
) -> impl Iterator<Item = &Row> {
    let end = rows.len().min(usize::try_from(upto).unwrap_or(usize::MAX));
    let start = end.min(usize::try_from(from).unwrap_or(usize::MAX));
    rows[start..end]
        .iter()
        .filter(move |row| row.item != Item::Other && row.interest.contains(&nid))
}

/// One service, held against the log.
struct Case<'a> {
    ledger: &'a mut Ledger,
    events: &'a HashMap<String, u64>,
    rows: &'a [Row],
    nid: AppserviceNid,
}

impl Case<'_> {
    /// The server skips nothing by itself; what was skipped is recorded.
    fn skips(&mut self, skips: Vec<SkipRow>) -> Verdict {
        let by_person = skips.iter().filter(|skip| skip.by == "operator").count();
        let by_policy = skips.iter().filter(|skip| skip.by == "policy").count();
        let unasked = by_person > self.ledger.skips_ordered
            || (by_policy > 0 && !self.ledger.has_policy)
            || by_person + by_policy != skips.len();
        if unasked {
            let what = format!("{by_person} by a person, {by_policy} by policy");
            return Err(("no skip by itself", what));
        }
        for skip in skips {
            if !self.ledger.skips.insert(skip.skip_id) {
                continue;
            }
            let body = Body::read(&skip.body);
            let range = (skip.from.0, skip.upto.0);
            if body.replay {
                self.ledger.skipped_in_replay.push(range);
            } else {
                self.ledger.skipped.push(range);
            }
            let transaction = Transaction {
                prev: body.prev,
                last: body.last,
                replay: body.replay,
                acknowledged_in: None,
                skipped: true,
                doubted: false,
            };
            let known = self.ledger.transactions.entry(skip.txn_id);
            known.or_insert(transaction).skipped = true;
        }
        Ok(())
    }

    fn all_seen(&mut self, seen: Vec<Seen>) -> Verdict {
        for seen in seen {
            match seen {
                Seen::Wrong { rule, what } => return Err((rule, what)),
                Seen::Started { push } => self.started(&push)?,
                Seen::Processed { push } => self.processed(&push)?,
                Seen::Doubted { push } => {
                    if let Some(known) = self.ledger.transactions.get_mut(&push.txn_id) {
                        known.doubted = true;
                    }
                }
                Seen::Acknowledged { push, at_ms } => self.acknowledged(&push, at_ms),
            }
        }
        Ok(())
    }

    fn started(&mut self, push: &Push) -> Verdict {
        let body = &push.body;
        if let Some(known) = self.ledger.transactions.get(&push.txn_id) {
            if (known.prev, known.last) != (body.prev, body.last) {
                let what = format!("transaction {} was another before", push.txn_id);
                return Err(("same id, same bytes", what));
            }
        }
        if self.ledger.newest == push.txn_id {
            return Ok(());
        }
        if self.ledger.newest > push.txn_id {
            let what = format!("transaction {} after a larger id", push.txn_id);
            return Err(("ids grow", what));
        }
        self.done_with_last(push)?;
        self.ledger.newest = push.txn_id;
        self.complete(body)?;
        if !body.replay {
            self.chained(push)?;
        }
        let transaction = Transaction {
            prev: body.prev,
            last: body.last,
            replay: body.replay,
            acknowledged_in: None,
            skipped: false,
            doubted: false,
        };
        // One that was skipped in the meantime is known already.
        let known = self.ledger.transactions.entry(push.txn_id);
        known.or_insert(transaction);
        Ok(())
    }

    /// Nothing new is sent before the last transaction is done with, whatever came in between: it
    /// is repeated as it was.
    fn done_with_last(&self, push: &Push) -> Verdict {
        // One that was skipped may never have been sent.
        let before = self.ledger.transactions.range(..push.txn_id);
        let Some((newest, last)) = before.last() else {
            return Ok(());
        };
        let forgotten = !last.replay && !push.body.replay && push.body.prev != last.last;
        let acknowledged = match last.acknowledged_in {
            Some(life) => life == push.life || !forgotten,
            None => false,
        };
        let what = format!(
            "{} follows on {newest}, which was not answered",
            push.txn_id
        );
        (last.skipped || last.doubted || acknowledged)
            .then_some(())
            .ok_or(("a retry is the same transaction", what))
    }

    /// The body has all there is for the service between its ends, in the log's order.
    fn complete(&self, body: &Body) -> Verdict {
        let rows: Vec<_> = must_arrive(self.rows, self.nid, body.prev, body.last).collect();
        let events = rows.iter().filter(|row| row.item == Item::Event);
        let events: Vec<u64> = events.map(|row| row.pos).collect();
        let sent: Vec<u64> = body.events.iter().map(|id| self.position(id)).collect();
        if events != sent {
            let range = (body.prev, body.last);
            let what = format!("events {events:?} are due in {range:?}, {sent:?} were sent");
            return Err(("nothing lost, nothing reordered", what));
        }
        let messages: Vec<u64> = rows
            .iter()
            .filter_map(|row| match row.item {
                Item::ToDevice(number) => Some(number),
                Item::Event | Item::DeviceList(_) | Item::Other => None,
            })
            .collect();
        // Those that were acknowledged have left their inbox, so a replay has them no more.
        if !body.replay && messages != body.to_device {
            let sent = &body.to_device;
            let what = format!("to-device {messages:?} are due, {sent:?} were sent");
            return Err(("to-device messages are kept", what));
        }
        let lists: BTreeSet<&str> = rows
            .iter()
            .filter_map(|row| match &row.item {
                Item::DeviceList(user_id) => Some(user_id.as_str()),
                Item::Event | Item::ToDevice(_) | Item::Other => None,
            })
            .collect();
        let sent: BTreeSet<&str> = body.device_lists.iter().map(String::as_str).collect();
        if lists != sent {
            let what = format!("device lists {lists:?} are due, {sent:?} were sent");
            return Err(("device lists are kept", what));
        }
        let entries = body.events.len() + body.to_device.len() + body.device_lists.len();
        if entries > MAX_ENTRIES || body.first > body.last || body.prev > body.last {
            let what = format!(
                "{entries} entries, {} {} {}",
                body.prev, body.first, body.last
            );
            return Err(("a transaction has its bounds", what));
        }
        Ok(())
    }

    fn position(&self, event_id: &str) -> u64 {
        self.events.get(event_id).copied().unwrap_or(0)
    }

    /// `prev` is where the one before it ended.
    fn chained(&self, push: &Push) -> Verdict {
        let before = self
            .ledger
            .transactions
            .range(..push.txn_id)
            .rev()
            .map(|(_, before)| before)
            .find(|before| !before.replay && (before.skipped || before.acknowledged_in.is_some()));
        let prev = push.body.prev;
        let fits = match before {
            None => prev == 0,
            Some(before) if before.skipped || before.acknowledged_in == Some(push.life) => {
                prev == before.last
            }
            // Its acknowledgement may have been lost with the server's former life.
            Some(before) => prev == before.last || prev == before.prev,
        };
        let ended = before.map(|before| before.last);
        let what = format!("prev is {prev}, the one before ended at {ended:?}");
        fits.then_some(()).ok_or(("the sequence is a chain", what))
    }

    fn processed(&mut self, push: &Push) -> Verdict {
        if push.body.replay {
            return Ok(());
        }
        let events = push.body.events.iter().map(|id| self.position(id));
        for pos in events.collect::<Vec<_>>() {
            if self.ledger.taken.insert(pos) && pos < self.ledger.last_event {
                let what = format!("event {pos} after {}", self.ledger.last_event);
                return Err(("the server's order", what));
            }
            self.ledger.last_event = self.ledger.last_event.max(pos);
        }
        for number in &push.body.to_device {
            let Some(row) = self.message(*number) else {
                let what = format!("to-device message {number} was never sent");
                return Err(("nothing made up", what));
            };
            let pos = row.pos;
            if self.ledger.taken.insert(pos) && pos < self.ledger.last_to_device {
                let what = format!("message {pos} after {}", self.ledger.last_to_device);
                return Err(("the server's order", what));
            }
            self.ledger.last_to_device = self.ledger.last_to_device.max(pos);
        }
        Ok(())
    }

    fn message(&self, number: u64) -> Option<&Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.item == Item::ToDevice(number))
    }

    fn acknowledged(&mut self, push: &Push, at_ms: i64) {
        let body = &push.body;
        if let Some(transaction) = self.ledger.transactions.get_mut(&push.txn_id) {
            transaction.acknowledged_in = Some(push.life);
        }
        let mut positions: Vec<u64> = body.events.iter().map(|id| self.position(id)).collect();
        if body.replay {
            let replayed = positions.into_iter().map(|pos| (pos, at_ms));
            self.ledger.replayed.extend(replayed);
            return;
        }
        positions.extend(
            must_arrive(self.rows, self.nid, body.prev, body.last)
                .filter(|row| match &row.item {
                    Item::ToDevice(number) => body.to_device.contains(number),
                    Item::DeviceList(user_id) => body.device_lists.contains(user_id),
                    Item::Event | Item::Other => false,
                })
                .map(|row| row.pos),
        );
        self.ledger.acknowledged.extend(positions);
    }

    /// The cursor has passed nothing that is neither acknowledged nor recorded as skipped, and it
    /// does not go back.
    fn cursor(&mut self, orders: &Orders) -> Verdict {
        let cursor = orders.cursor.0;
        if cursor < self.ledger.cursor {
            let what = format!("from {} to {cursor}", self.ledger.cursor);
            return Err(("the cursor never goes back", what));
        }
        let ahead = must_arrive(self.rows, self.nid, self.ledger.cursor, cursor)
            .find(|row| !self.ledger.has(row.pos));
        if let Some(row) = ahead {
            let what = format!("it is at {cursor}, but {row:?} was not acknowledged");
            return Err(("the cursor is never ahead", what));
        }
        self.ledger.cursor = cursor;
        Ok(())
    }

    /// A service that takes everything and may have it has it soon, whatever the others do.
    fn delay(&mut self, service: usize, orders: &Orders, healthy: bool, now_ms: i64) -> Verdict {
        let patience = if service == NEIGHBOUR {
            NEIGHBOUR_PATIENCE_MS
        } else {
            let longest = TIMEOUT + BACKOFF_MAX;
            i64::try_from(longest.as_millis()).expect("short") + 2_000
        };
        let ledger = &mut *self.ledger;
        for pause in &orders.pauses {
            let until = pause.until.unwrap_or(now_ms);
            ledger.calm_since = ledger.calm_since.max(until);
        }
        if !healthy || ledger.poisoned || orders.failed_at.is_some() {
            ledger.calm_since = ledger.calm_since.max(now_ms);
        }
        let late = must_arrive(self.rows, self.nid, ledger.cursor, u64::MAX)
            .filter(|row| !ledger.has(row.pos))
            .find(|row| now_ms - row.at_ms.max(ledger.calm_since) > patience);
        match late {
            Some(row) => Err(("nobody waits for others", format!("{row:?} is late"))),
            None => Ok(()),
        }
    }
}
