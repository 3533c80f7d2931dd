//! One connection: a socket's bytes through a [`Session`], orders in, what has happened out.
//!
//! ```text
//! network's loop ──orders──▶ link ──bytes──▶ server
//!                ◀──told────      ◀─────────
//! ```
//!
//! It decides nothing: what is to be said, by whom and when a connection is made again is the network's loop's affair.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::Arc,
    time::Instant,
};

use bridgehead_irc_protocol::session::{Event, SendError, Session, Settings};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::timeout,
};

pub use super::orders::{Done, Facts, LineId, LinkId, Order, Resumed, Told};
pub(crate) use super::own::is_entry;
use crate::{clock::now, ident::Vouched};

use super::{
    claims::{Claim, Claims, Sent},
    dial::Dial,
    ends::{Ends, Pen, Read, Reading},
    note::Notes,
    own::concerns,
};

/// Orders that may wait; more means that the link is stuck.
const MAX_ORDERS: usize = 2048;
/// Why a connection ends for which too much waits.
const TOO_MUCH: &str = "Too much waits";
/// What is read before it is looked at, in reads.
const MAX_READS: usize = 64;
/// How long the server may take with what is written.
const WRITE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);
/// How long its last words are waited for where nothing can be written any more.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(1);

/// A connection, as the network's loop holds it. It ends when this is dropped.
#[derive(Debug)]
pub struct Link {
    orders: mpsc::Sender<Order>,
    facts: Arc<Mutex<Facts>>,
    /// It takes no orders: one of them would be lost.
    stuck: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a link begins with.
pub struct Beginning {
    /// How it is made.
    pub dial: Dial,
    /// How it introduces itself.
    pub session: Settings,
    /// Whether what is said in channels is told.
    pub observes: bool,
    /// Where claims are stored.
    pub claims: Claims,
}

impl Link {
    /// Begins to connect. What happens is told by `tell`.
    #[must_use]
    pub fn begin(beginning: Beginning, id: LinkId, tell: mpsc::Sender<(LinkId, Told)>) -> Self {
        let (orders, inbox) = mpsc::channel(MAX_ORDERS);
        let facts = Arc::new(Mutex::new(Facts::default()));
        let known = facts.clone();
        let own = orders.downgrade();
        let stuck = Arc::new(Notify::new());
        let is_stuck = stuck.clone();
        let task = tokio::spawn(async move {
            let closed = match Ends::find(&beginning.dial).await {
                Err(error) => Some(error.to_string()),
                Ok(ends) => {
                    let drive = Drive::new(beginning, ends, (id, tell.clone()), (known, own));
                    let (drive, reading, vouched) = drive;
                    let ended = tokio::select! {
                        ended = drive.run(reading, inbox) => ended,
                        () = is_stuck.notified() => Err(io::Error::other(TOO_MUCH)),
                    };
                    drop(vouched);
                    ended.err().map(|error| error.to_string())
                }
            };
            // Nobody may listen any more.
            tell.send((id, Told::Closed(closed))).await.ok();
        });
        Self {
            orders,
            facts,
            stuck,
            task,
        }
    }

    /// Gives an order. `false`: the link is stuck, or gone. One that is stuck ends: the next has the order as well.
    #[must_use]
    pub fn order(&self, order: Order) -> bool {
        let is_taken = self.orders.try_send(order).is_ok();
        if !is_taken {
            self.stuck.notify_one();
        }
        is_taken
    }

    /// What is known of the connection at the moment.
    #[must_use]
    pub fn facts(&self) -> Facts {
        self.facts.lock().clone()
    }
}

struct Drive {
    id: LinkId,
    pen: Pen,
    session: Session,
    observes: bool,
    /// It has come into a channel, and nobody has said yet whether others hear that: what is said is told.
    listens: bool,
    /// How often it has come into a channel.
    entries: u64,
    claims: Claims,
    /// What is stored when a say goes out.
    claimed: BTreeMap<u64, Claim>,
    /// What was stored, until it is known what has become of it.
    stored: BTreeMap<u64, Claim>,
    /// Orders that wait until the session has room.
    held: VecDeque<Order>,
    /// What has happened and is not told yet, and by which line.
    events: VecDeque<(Event, Option<LineId>)>,
    tell: mpsc::Sender<(LinkId, Told)>,
    facts: Arc<Mutex<Facts>>,
    /// For what is told when lines are dealt with.
    orders: mpsc::WeakSender<Order>,
    notes: Notes,
    /// Up to which line all is dealt with, where the keeper does not know it yet.
    done: Option<u64>,
    /// It was noted how the session stands, at least once.
    has_begun: bool,
    /// Something has come that others are to be told.
    is_news: bool,
    is_over: bool,
    /// What came while nobody was there is not taken yet.
    is_behind: bool,
    /// It takes nothing of that for now.
    waits: bool,
}

impl Drive {
    fn new(
        beginning: Beginning,
        ends: Ends,
        (id, tell): (LinkId, mpsc::Sender<(LinkId, Told)>),
        (facts, orders): (Arc<Mutex<Facts>>, mpsc::WeakSender<Order>),
    ) -> (Self, Reading, Option<Vouched>) {
        let epoch = ends.pen.epoch();
        let written = ends.resumed.as_ref().map_or(0, |resumed| resumed.written);
        let mut notes = Notes::default();
        let is_resumed = ends.resumed.is_some();
        let session = match ends.resumed {
            None => Session::new(beginning.session, now()),
            Some(resumed) => {
                let snapshot = resumed.note.snapshot();
                facts.lock().resumed = Some(Resumed {
                    channels: resumed.note.channels.iter().cloned().collect(),
                    closed_ms: resumed.closed_ms,
                });
                notes = Notes::after(resumed.note, resumed.heard);
                Session::restore(beginning.session, snapshot, written, now())
            }
        };
        facts.lock().kept = epoch.map(|epoch| (epoch, written));
        let drive = Self {
            id,
            pen: ends.pen,
            session,
            // What came is heard by one that was not expected to hear it, where whoever was is there no more.
            observes: beginning.observes || is_resumed,
            listens: false,
            entries: 0,
            claims: beginning.claims,
            claimed: BTreeMap::new(),
            stored: BTreeMap::new(),
            held: VecDeque::new(),
            events: VecDeque::new(),
            tell,
            facts,
            orders,
            notes,
            done: None,
            has_begun: is_resumed,
            is_news: false,
            is_over: false,
            is_behind: is_resumed,
            waits: is_resumed,
        };
        (drive, ends.reading, ends.vouched)
    }

    async fn run(self, reading: Reading, orders: mpsc::Receiver<Order>) -> io::Result<()> {
        let (found, reads) = mpsc::channel(MAX_READS);
        // Whatever else takes its time: with something unread in a socket, its end may cost the server what was written
        // last.
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(reading.read(found));
        self.turn(reads, orders).await
    }

    async fn turn(
        mut self,
        mut reads: mpsc::Receiver<io::Result<Read>>,
        mut orders: mpsc::Receiver<Order>,
    ) -> io::Result<()> {
        loop {
            self.hand_in();
            if let Err(error) = self.write().await {
                // What was written, or partly so, is told all the same: it may have arrived.
                self.tell_all().await;
                self.hear_out(&mut reads).await;
                self.part(orders);
                return Err(error);
            }
            if self.tell_all().await {
                self.part(orders);
                return Ok(());
            }
            self.acknowledge().await?;
            let wake = self.session.wake_at();
            tokio::select! {
                read = reads.recv(), if !self.waits => match read {
                    Some(read) => self.take(read?),
                    None => self.session.closed(),
                },
                order = orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => return Ok(()),
                },
                () = sleep_until(wake) => self.take_time(&mut reads)?,
            }
        }
    }

    /// Time has passed. What has come before is looked at first: after the bridge was held up it may be a sign of life.
    fn take_time(&mut self, reads: &mut mpsc::Receiver<io::Result<Read>>) -> io::Result<()> {
        if self.is_behind {
            // It may have to wait behind each line.
            self.session.tick(now());
            return Ok(());
        }
        for _ in 0..MAX_READS {
            match reads.try_recv() {
                Ok(read) => self.take(read?),
                Err(_) => {
                    self.session.tick(now());
                    break;
                }
            }
        }
        Ok(())
    }

    /// The server takes nothing any more: what it has said before, such as why, is told all the same.
    async fn hear_out(&mut self, reads: &mut mpsc::Receiver<io::Result<Read>>) {
        let until = tokio::time::Instant::now() + LAST_WORDS;
        while let Ok(Some(Ok(read))) = tokio::time::timeout_at(until, reads.recv()).await {
            self.take(read);
            if self.tell_all().await {
                return;
            }
        }
    }

    /// Lets the connection go, where it is over.
    fn part(self, orders: mpsc::Receiver<Order>) {
        if self.is_over {
            self.pen.part(orders, self.notes.taken);
        }
    }

    /// Takes what was read.
    fn take(&mut self, read: Read) {
        match read {
            Read::Bytes(bytes) => self.session.receive(&bytes, now()),
            Read::Line(number, mut line) => {
                // What happened before it is not its doing.
                self.gather(None);
                line.extend_from_slice(b"\r\n");
                self.session.receive(&line, now());
                let epoch = self.pen.epoch();
                self.notes.taken = number;
                self.gather(epoch.map(|epoch| LineId { epoch, number }));
            }
            Read::Closed(why) if why.is_empty() => self.session.closed(),
            Read::Closed(why) => {
                self.session
                    .receive(format!("ERROR :{why}\r\n").as_bytes(), now());
            }
        }
    }

    /// Takes from the session what has happened.
    fn gather(&mut self, by: Option<LineId>) {
        while let Some(event) = self.session.poll_event() {
            self.events.push_back((event, by));
        }
    }

    /// Tells the keeper what need not be kept any more, and the others up to where all was told.
    async fn acknowledge(&mut self) -> io::Result<()> {
        if self.pen.epoch().is_none() {
            return Ok(());
        }
        if let Some(number) = self.notes.look(&self.session) {
            if !std::mem::replace(&mut self.has_begun, true) && !self.is_news {
                // Whoever goes on without a note has to begin anew, and loses what has come by then. A greeting alone
                // waits for nobody.
                self.done = Some(number);
            }
            self.tell_up_to(number).await;
        }
        if let Some(number) = self.done.take() {
            let note = self.notes.note_for(number);
            self.pen.acknowledge(number, &note).await?;
        }
        Ok(())
    }

    /// Tells that all up to a line was told; whoever has dealt with it says so.
    async fn tell_up_to(&mut self, number: u64) {
        if let Some(epoch) = self.pen.epoch()
            && let Some(orders) = self.orders.upgrade()
        {
            let line = LineId { epoch, number };
            let told = Told::UpTo(Done { orders, line });
            // Nobody may listen any more.
            self.tell.send((self.id, told)).await.ok();
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Say(..) | Order::Ask(..) | Order::Sound(_) | Order::Send(..) => {
                self.held.push_back(order);
                if self.held.len() > MAX_ORDERS {
                    // So much waits that the server takes nothing any more: begun again, it is tried again.
                    self.session.quit(TOO_MUCH, now());
                }
            }
            Order::Cancel(id) => {
                self.cancel(id);
            }
            Order::Withdraw(ids, told) => {
                let is_first_unwritten = ids.first().is_some_and(|id| self.cancel(*id));
                if is_first_unwritten {
                    // What goes behind the first was not written either.
                    for id in ids.iter().skip(1) {
                        self.cancel(*id);
                    }
                }
                told.send(is_first_unwritten).ok();
            }
            Order::Observe => self.observes = true,
            Order::Overlook(entries) if entries == self.entries => {
                (self.observes, self.listens) = (false, false);
            }
            // Who has said so did not know of the last.
            Order::Overlook(_) => {}
            Order::GoOn => self.waits = false,
            Order::Present => (self.is_behind, self.waits) = (false, false),
            Order::Quit(reason) => {
                self.waits = false;
                self.session.quit(&reason, now());
            }
            Order::Done(number) => self.done = Some(number),
        }
    }

    /// Takes something back; `false` where it was written.
    fn cancel(&mut self, id: u64) -> bool {
        let held = self.held.len();
        self.held.retain(|order| order.id() != Some(id));
        let is_cancelled = self.held.len() < held || self.session.cancel(id);
        if is_cancelled {
            self.claimed.remove(&id);
        }
        is_cancelled
    }

    /// Gives the session what it has room for, in the order in which it came.
    fn hand_in(&mut self) {
        if !self.session.is_open() {
            self.held.clear();
        }
        while let Some(order) = self.held.pop_front() {
            if let Some(order) = self.give(order) {
                self.held.push_front(order);
                return;
            }
        }
    }

    /// Gives the session an order; back comes what it has no room for.
    fn give(&mut self, order: Order) -> Option<Order> {
        let now = now();
        match order {
            Order::Say(say, claim) => {
                let id = say.id;
                if self.session.say(say.clone(), now).is_err() {
                    return Some(Order::Say(say, claim));
                }
                self.expect(id, claim);
            }
            Order::Ask(ask, claim) => {
                let id = ask.id;
                if self.session.ask(ask.clone(), now).is_err() {
                    return Some(Order::Ask(ask, claim));
                }
                self.expect(id, claim);
            }
            Order::Sound(id) => {
                if self.session.sound(id, now).is_err() {
                    return Some(Order::Sound(id));
                }
            }
            Order::Send(line, priority) => match self.session.send(line.clone(), priority) {
                Err(SendError::Full(_)) => return Some(Order::Send(line, priority)),
                Err(SendError::Line(error)) => {
                    tracing::warn!(%error, "a command cannot be sent");
                }
                Ok(()) => {}
            },
            Order::Cancel(_)
            | Order::Withdraw(..)
            | Order::Observe
            | Order::Overlook(_)
            | Order::GoOn
            | Order::Present
            | Order::Quit(_)
            | Order::Done(_) => {}
        }
        None
    }

    /// Notes what is to be claimed when it goes out.
    fn expect(&mut self, id: u64, claim: Option<Claim>) {
        if let Some(claim) = claim {
            self.claimed.insert(id, claim);
        }
    }

    /// Writes what may be written now. Claims are stored before the server has what they are for, and marked behind it.
    async fn write(&mut self) -> io::Result<()> {
        let mut written = Vec::new();
        while let Some(bytes) = self.session.poll_output(now()) {
            self.claim(&mut written).await;
            timeout(WRITE_TIMEOUT, self.pen.write(&bytes))
                .await
                .map_err(|_| io::Error::other("the server takes nothing any more"))??;
        }
        self.pen.flush().await?;
        for claim in written {
            self.claims.written(claim);
        }
        Ok(())
    }

    /// Stores the claims of what is about to be written, and notes those of which nothing is left to write then.
    async fn claim(&mut self, written: &mut Vec<Claim>) {
        while let Some(event) = self.session.poll_event() {
            if let Event::Begun { id } | Event::Written { id } = &event
                && let Some(claim) = self.claimed.remove(id)
            {
                // Of several lines that go out one by one, no single frame says that all are written.
                let is_whole = matches!(event, Event::Written { .. });
                let frame = self.pen.next_frame().filter(|_| is_whole);
                let label = self.session.label_of(*id).filter(|_| is_whole);
                self.claims.store(&claim, Sent { frame, label }).await;
                self.stored.insert(*id, claim);
            }
            if let Event::Written { id } = &event {
                written.extend(self.stored.get(id).cloned());
            }
            self.events.push_back((event, None));
        }
    }

    fn next_event(&mut self) -> Option<(Event, Option<LineId>)> {
        self.events
            .pop_front()
            .or_else(|| Some((self.session.poll_event()?, None)))
    }

    /// Tells what has happened; gives back whether the connection is over, or nobody listens.
    async fn tell_all(&mut self) -> bool {
        while let Some((event, by)) = self.next_event() {
            if matches!(event, Event::Ended { .. }) {
                self.is_over = true;
                // Of what comes behind it nobody is told.
                self.tell_up_to(self.notes.taken).await;
            }
            self.notes.take(&event);
            if matches!(event, Event::Line(_)) && !self.is_wanted(&event) {
                continue;
            }
            if is_entry(&event) {
                (self.listens, self.entries) = (true, self.entries + 1);
                // First it is found out who hears the channel.
                self.waits = self.is_behind;
            }
            self.is_news |= is_said(&event);
            self.note(&event);
            self.settle_claim(&event, by).await;
            let told = Told::Event(Box::new(event), by);
            if self.tell.send((self.id, told)).await.is_err() {
                return true;
            }
        }
        self.is_over
    }

    /// What the server has refused was not said: asked for again, it is tried again.
    async fn settle_claim(&mut self, event: &Event, by: Option<LineId>) {
        match event {
            Event::Said { id, .. } | Event::Answered { id, .. } => {
                self.stored.remove(id);
            }
            Event::Refused { id, .. } => {
                // It may have been refused before it was written.
                self.claimed.remove(id);
                if let Some(claim) = self.stored.remove(id) {
                    match by {
                        Some(by) => self.claims.refused(&claim, by).await,
                        None => self.claims.release(&claim).await,
                    }
                }
            }
            _ => {}
        }
    }

    /// Keeps what others ask of the connection up to date.
    fn note(&self, event: &Event) {
        let is_news = !matches!(event, Event::Line(_) | Event::Multiline { .. });
        // How others see it, lines tell: its own entry into a channel, or a new host.
        if !is_news && self.facts.lock().source == *self.session.source() {
            return;
        }
        let session = &self.session;
        let mut facts = self.facts.lock();
        facts.source = session.source().clone();
        session.wanted().clone_into(&mut facts.wanted);
        facts.account = session.account().map(str::to_owned);
        facts.lag_ms = session
            .lag()
            .map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX));
        facts.has_ids = session.has_cap("message-tags");
        facts.shows_all_prefixes = session.has_cap("multi-prefix");
        facts.redacts = session.has_cap("draft/message-redaction");
        facts.has_history = session.has_cap("draft/chathistory");
        let relays = ["draft/relaymsg", "overdrivenetworks.com/relaymsg"];
        let relays = relays.into_iter().find(|cap| session.has_cap(cap));
        facts.relays = relays.map(|cap| session.cap_value(cap).unwrap_or("/").to_owned());
        facts.multiline = session
            .multiline()
            .map(|multiline| (multiline.max_bytes, multiline.max_lines));
        if *facts.isupport != *session.isupport() {
            facts.isupport = Arc::new(session.isupport().clone());
        }
    }

    /// Of what is said in channels, one connection tells for all.
    fn is_wanted(&self, event: &Event) -> bool {
        let Event::Line(heard) = event else {
            return true;
        };
        self.observes
            || (self.listens && is_said(event))
            || concerns(heard, self.session.isupport())
    }
}

/// Whether somebody has said something, or asks somebody in.
fn is_said(event: &Event) -> bool {
    match event {
        Event::Line(heard) => {
            let is_of_server = heard
                .line
                .source
                .as_ref()
                .is_none_or(|source| source.user.is_none());
            match heard.line.command.as_str() {
                "NOTICE" => !is_of_server,
                "PRIVMSG" | "TAGMSG" | "INVITE" => true,
                _ => false,
            }
        }
        Event::Multiline { .. } => true,
        _ => false,
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
