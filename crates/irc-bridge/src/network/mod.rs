//! A network: one loop that owns all that is known of it, and decides.
//!
//! ```text
//! Matrix ──Input::Say────▶┌──────┐──orders──▶ links ──▶ servers
//! people ──Input::Command▶│ loop │◀──told────
//!                         └──────┘──deeds───▶ Matrix
//! ```
//!
//! In each channel one connection observes: what is said there is taken from it alone. The others say what their people
//! say, and hear what is said to them alone. The loop waits for nobody: orders and deeds go by bounded queues, and who asks it
//! something is answered later.
//!
//! - `handle` the way in, for those who have something for the loop
//! - `client`, `speech` a client, and what it has to say; `say` what becomes of it
//! - `doubt` what became of a line when the bridge was killed; `before` the same where a keeper knows it
//! - `connect` connections: when, and of what; `sts` where they have to be encrypted; `ended` what becomes of them
//! - `answers` what a connection tells of what it was asked for
//! - `access` who gets where: channels that are bridged and others, invitations, keys; `rest` who asks no operators for now
//! - `observe` who hears channels for all; `overlap` what two hear is told once
//! - `hear` what the lines of IRC mean in Matrix; `speaking` what is said; `history` what was said while nobody
//!   listened, and `memory` how far that is; `standing` who may do what in both, and `expected` what is on its way of that
//! - `taken` nicks that were ours, and are somebody else's
//! - `missed` what was said to people alone while they were not connected
//! - `lists` bans; `rules` who may come; `moderate` what people of Matrix do to others; `picture` what a channel is like
//! - `upkeep` what Matrix changes on IRC
//! - `command`, `own` what people ask for; `why` how they stand; `consent` what operators of channels are asked; `words`
//!   what servers answer
//! - `withdraw` what was to be said and is something else by now
//! - `private` what is said to one person alone, or to the bridge; `statusmsg` what is said to operators alone;
//!   `monitor`, `presences` who is there
//! - `typing` who is writing; `threads` the threads that IRC knows; `offers` what the network takes beside lines
//! - `refold` names that were written down before it was known how the network folds them
//! - `changes` other settings while the network runs, and its end
//! - `keeping` connections that go on though the bridge was restarted; `letting_go` up to where the keeper need not keep
//!   them; `unwanted` those that are not to
//! - `deeds` the way to Matrix; `aside` what does not hold it up; `directory` who is who; `pace` how fast
//! - `figures` what is counted; `look` how everything stands, for those who watch

mod access;
mod answers;
mod aside;
mod before;
mod changes;
mod client;
mod command;
mod connect;
mod consent;
mod deeds;
mod directory;
mod doing;
mod doubt;
mod ended;
mod expected;
mod figures;
mod handle;
mod hear;
mod history;
mod keeping;
mod letting_go;
mod lists;
mod look;
mod memory;
mod missed;
mod moderate;
mod monitor;
mod observe;
mod offers;
mod overlap;
mod own;
mod pace;
mod picture;
mod presences;
mod private;
mod quiets;
mod refold;
mod renamed;
mod rest;
mod rules;
mod say;
mod speaking;
mod speech;
pub(crate) mod standing;
mod statusmsg;
mod sts;
mod taken;
mod threads;
mod typing;
mod unwanted;
mod upkeep;
mod why;
mod withdraw;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bridgehead_appservice::{HandlerError, bridge::Remote, id::UserId, store::Store};
use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::MissedTickBehavior,
};

#[cfg(test)]
pub(crate) use self::picture::Seat;
use self::{
    access::Access,
    aside::Aside,
    client::Client,
    consent::Consent,
    deeds::Deed,
    doing::Doing,
    figures::Figures,
    handle::{Open, threads_key},
    history::History,
    keeping::Held,
    memory::Memory,
    missed::Missed,
    monitor::Monitor,
    observe::AllEars,
    pace::{Breaker, Bucket},
    presences::Presences,
    private::Answers,
    quiets::Quiets,
    rest::Rests,
    rules::Doors,
    speaking::Patience,
    sts::Policies,
};
pub(crate) use self::{
    command::{Command, Report, in_one_line},
    connect::{sasl, secret, trust},
    consent::{PATIENCE as CONSENT_PATIENCE, Question},
    ended::{ending, words as why_ended},
    figures::reference as figures_reference,
    handle::{Beginning, Handle, Input, Waiting, network},
    look::{ClientLook, Look, State},
    missed::TALKS_KNOWN,
    offers::Offers,
    speaking::now_ms,
    speech::Speech,
    threads::{InThread, Threads},
    upkeep::Upkeep,
};
pub(crate) use self::{
    directory::{Directory, Owner},
    picture::Picture,
};
use crate::{
    Irc,
    accounts::Accounts,
    away::Away,
    clock::now,
    ident::Ident,
    ids::Place,
    ignoring::Ignoring,
    kept::{Kept, Masks, Seen},
    link::{
        claims::Claims,
        dial::Way,
        drive::{LineId, LinkId, Told},
    },
    people::People,
    seal::Seal,
    settings::NetworkSettings,
    talks::Talks,
    text::to_matrix::MentionRules,
};

/// What links may have to tell.
const MAX_TOLD: usize = 4096;
/// What connections say when the bridge ends.
const LAST_WORDS: &str = "The bridge is being restarted";
/// How often the loop looks at what time alone changes.
const TICK: Duration = Duration::from_millis(200);

/// The loop.
pub(crate) struct Hub {
    name: String,
    settings: Arc<NetworkSettings>,
    ident: Ident,
    way: Way,
    keeper: Option<Arc<Path>>,
    remote: Remote<Irc>,
    directory: Arc<RwLock<Directory>>,
    threads: Arc<Mutex<Threads>>,
    /// What is not taken for a name.
    mention_rules: MentionRules,
    /// Who of Matrix is writing, and when the network was told so last.
    typing: BTreeMap<(Owner, Place), Instant>,
    claims: Claims,
    /// Messages that may be missing on IRC, of which their senders were told.
    told_of_doubts: BTreeSet<String>,
    people: People,
    accounts: Accounts,
    ignoring: Ignoring,
    talks: Talks,
    /// Whether those whom people talk to alone are there.
    monitor: Monitor,
    presences: Presences,
    away: Away,
    /// Keys of channels that people have given, by folded channel.
    keys: BTreeMap<String, String>,
    /// Questions to operators that are open, and those that were answered just now.
    consents: Vec<Consent>,
    over_consents: Vec<(Consent, Report)>,
    /// Who asks the operators of a channel nothing for now.
    rests: Rests,
    /// Who may be where.
    access: Access,
    answers: Answers,
    /// Channels whose rooms are being made, until when that is waited for.
    late: BTreeMap<String, Instant>,
    /// Who was told that their login has failed.
    told_of_logins: BTreeSet<UserId>,
    tell: mpsc::Sender<(LinkId, Told)>,
    deeds: mpsc::Sender<Deed>,
    aside: Aside,
    figures: Figures,
    clients: BTreeMap<Owner, Client>,
    links: HashMap<LinkId, Owner>,
    next_link: LinkId,
    /// Whose turn to connect it is: the server of the network's that is tried next.
    next_server: usize,
    bucket: Bucket,
    breaker: Breaker,
    begun_at: Instant,
    /// Servers that want encryption.
    policies: Policies,
    /// Who hears each channel.
    ears: AllEars,
    /// The bridge ends: nobody connects any more.
    is_leaving: bool,
    /// Who waits until nobody is connected.
    left: Option<oneshot::Sender<()>>,
    /// The network ends for good: who waits for that.
    ending: Option<oneshot::Sender<()>>,
    /// Who went in a netsplit, by folded nick: where they were, and until when they may come back.
    split: BTreeMap<String, (BTreeSet<String>, Instant)>,
    /// What was said while nobody listened.
    history: History,
    /// What was said to people while they were not connected.
    missed: Missed,
    /// Changes of modes that Matrix has asked for.
    expected: Vec<expected::Expected>,
    /// What people of Matrix were given for what they are there.
    given: VecDeque<standing::Given>,
    /// Topics that Matrix has asked for, by folded channel.
    topics: BTreeMap<String, String>,
    /// Channels that do not let the bridge in, folded, and why: those in their rooms know it.
    shut_out: BTreeMap<String, String>,
    /// Bridged channels that go by another name now, folded: nobody asks to be let in there.
    renamed: BTreeSet<String>,
    doors: Doors,
    quiets: Quiets,
    /// Masks by which Matrix keeps somebody out, by folded channel and nick.
    masks: Masks,
    /// Those of them of which it is not known that they are set.
    owed_bans: BTreeSet<(String, String)>,
    /// What others see of people of Matrix.
    seen: BTreeMap<UserId, Seen>,
    /// How many questions of programs are still answered.
    patience: Patience,
    /// Names what is heard and has no id of its own.
    heard: u64,
    run: u64,
    /// The line that is taken at this moment, where the keeper has it.
    line: Option<LineId>,
    /// Whose connections the keeper holds, and nobody has taken up again.
    held: Held,
}

impl Waiting {
    /// Runs the network for as long as it is polled, or until it is to end.
    pub(crate) async fn run(
        self,
        remote: Remote<Irc>,
        seal: Arc<Seal>,
    ) -> Result<(), HandlerError> {
        let store = remote.store()?;
        let mut inputs = self.inputs.lock().await;
        *self.directory.write() = Directory::default();
        let claims = Claims::new(store.clone());
        let _open = Open::new(&self.claims, claims.clone());
        let (tell, mut told) = mpsc::channel(MAX_TOLD);
        let (deeds, to_do) = mpsc::channel(deeds::MAX_DEEDS);
        let mut tasks = JoinSet::new();
        let name = self.beginning.name.clone();
        let kept = Kept::load(&store, &name).await?;
        let heard = memory::load(&store, &self.beginning.name).await?;
        let memory = Memory::new(store.clone(), &self.beginning.name, heard.clone());
        let accounts = Accounts::new(store.clone(), &name, seal);
        let doing = Doing::new(remote.clone(), name, accounts.clone());
        tasks.spawn(deeds::carry_out(doing, to_do, memory));
        // These end with the loop, and nobody waits for them.
        let mut helpers = JoinSet::new();
        let marks = claims.clone();
        helpers.spawn(async move { marks.keep().await });
        let aside = Aside::start(&remote, &mut helpers);
        let now = now();
        let limits = &self.beginning.settings.limits;
        let mut hub = Hub {
            bucket: Bucket::new(limits.connects_per_minute, limits.connects_at_once, now),
            breaker: Breaker::default(),
            begun_at: now,
            policies: Policies::load(&store, &self.beginning.name).await?,
            ears: AllEars::new(),
            is_leaving: false,
            left: None,
            ending: None,
            name: self.beginning.name.clone(),
            settings: self.beginning.settings.clone(),
            ident: self.beginning.ident.clone(),
            way: self.beginning.way.clone(),
            keeper: self.beginning.keeper.clone(),
            directory: self.directory.clone(),
            threads: self.threads.clone(),
            mention_rules: self.beginning.settings.messages.mention_rules(),
            typing: BTreeMap::new(),
            claims: claims.clone(),
            told_of_doubts: BTreeSet::new(),
            people: People::load(store.clone(), &self.beginning.name).await?,
            ignoring: Ignoring::load(store.clone(), &self.beginning.name).await?,
            talks: Talks::load(&store, &self.beginning.name).await?,
            monitor: Monitor::default(),
            presences: Presences::default(),
            away: Away::load(store.clone(), &self.beginning.name).await?,
            keys: accounts.keys().await?,
            accounts,
            consents: Vec::new(),
            over_consents: Vec::new(),
            rests: Rests::load(&store, &self.beginning.name).await?,
            access: Access::default(),
            answers: Answers::default(),
            late: BTreeMap::new(),
            told_of_logins: BTreeSet::new(),
            figures: Figures::new(remote.metrics()?, &self.beginning.name),
            remote,
            tell,
            deeds,
            aside,
            clients: BTreeMap::new(),
            links: HashMap::new(),
            next_link: 0,
            next_server: 0,
            split: BTreeMap::new(),
            history: History::new(heard),
            missed: Missed::load(&store, &self.beginning.name).await?,
            expected: Vec::new(),
            given: VecDeque::new(),
            topics: BTreeMap::new(),
            shut_out: BTreeMap::new(),
            renamed: BTreeSet::new(),
            doors: Doors::default(),
            quiets: Quiets::default(),
            masks: kept.masks,
            owed_bans: BTreeSet::new(),
            seen: kept.seen,
            patience: Patience::new(now),
            heard: 0,
            run: rand::random(),
            line: None,
            held: Held::default(),
        };
        let threads = store.get(&threads_key(&hub.name)).await?;
        hub.threads.lock().restore(threads.unwrap_or_default());
        hub.begin(&store).await?;
        hub.turn(&mut inputs, &mut told).await;
        hub.conclude(tasks).await;
        Ok(())
    }
}

impl Hub {
    /// Takes what comes, until the network is to end and nobody is connected.
    async fn turn(
        &mut self,
        inputs: &mut mpsc::Receiver<Input>,
        told: &mut mpsc::Receiver<(LinkId, Told)>,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_over() {
            // While Matrix does not keep up, servers are read no further: what they say waits with them.
            let keeps_up = self.deeds.capacity() >= deeds::RESERVE;
            tokio::select! {
                Some((id, told)) = told.recv(), if keeps_up => self.take_told(id, told).await,
                Some(input) = inputs.recv() => self.take_input(input).await,
                _ = tick.tick() => self.tick().await,
            }
        }
    }

    /// Finds out where everybody is to be.
    async fn begin(&mut self, store: &Store) -> Result<(), HandlerError> {
        if self.settings.bot.enabled {
            let bot = Client::new(Owner::Bot, now());
            self.clients.insert(Owner::Bot, bot);
        }
        self.note_former(&self.settings.bot.nick.clone());
        for nick in self.people.nicks().await? {
            self.note_former(&nick);
        }
        let mut linked = Vec::new();
        for channel in self.keys.keys() {
            self.directory.write().set_keyed(channel, true);
        }
        for place in self.remote.rooms().await? {
            if place.network == self.name {
                self.watch(&place).await;
                linked.extend(place.as_channel().map(str::to_owned));
            }
        }
        self.forget_unlinked(&linked).await;
        self.find_held(store).await?;
        Ok(())
    }

    async fn take_input(&mut self, input: Input) {
        match input {
            Input::Say(speech, reply) => self.take_speech(*speech, reply).await,
            Input::Withdraw(withdrawing) => self.withdraw(withdrawing),
            Input::Upkeep(upkeep) => self.take_upkeep(upkeep).await,
            Input::Command(asking) => self.take_command(asking).await,
            Input::Leave(reply) if self.is_kept() => {
                self.let_be();
                reply.send(()).ok();
            }
            Input::Leave(reply) => {
                self.note_end();
                let owners: Vec<Owner> = self.clients.keys().cloned().collect();
                for owner in owners {
                    self.drop_link(&owner, LAST_WORDS);
                }
                (self.is_leaving, self.left) = (true, Some(reply));
            }
            Input::Settings(settings, who_may) => self.take_settings(settings, who_may).await,
            Input::End(reply) => self.begin_to_end(reply),
            Input::Picture(channel, reply) => {
                reply.send(self.picture(&channel)).ok();
            }
            Input::Typing(place, people) => self.take_typing(&place, &people),
            Input::Look(reply) => {
                reply.send(self.look()).ok();
            }
        }
    }

    fn client(&mut self, owner: &Owner) -> &mut Client {
        self.clients
            .entry(owner.clone())
            .or_insert_with(|| Client::new(owner.clone(), now()))
    }

    /// Brings a client as far as it comes now.
    async fn advance(&mut self, owner: &Owner) {
        if self.is_leaving {
            return;
        }
        let now = now();
        self.end_doubts(owner, now).await;
        let settings = self.settings.clone();
        let Some(client) = self.clients.get_mut(owner) else {
            return;
        };
        client.settle();
        if client.live.is_none() {
            let is_due = client.wants_connection() && client.may_try(now);
            if is_due && !self.held.comes_first(now) {
                self.connect(owner).await;
            }
            return;
        }
        let (keys, consents) = (&self.keys, &self.consents);
        let key_of = |channel: &str| {
            let asks = consents.iter().filter(|_| *owner == Owner::Bot);
            let given = asks.filter_map(|consent| consent.key_for(channel)).next();
            let given = given.or_else(|| keys.get(channel)).cloned();
            given.or_else(|| settings.key_of(channel))
        };
        client.join_wanted(key_of, now);
        if let Some(live) = client.live.as_mut().filter(|live| live.is_ready) {
            live.ask_questions();
        }
        self.ask_missed(owner);
        self.look_into_doubts(owner).await;
        let Some(client) = self.clients.get_mut(owner) else {
            return;
        };
        client.hand_over();
        client.settle();
        if client.live.as_ref().is_some_and(|live| live.is_ready) {
            for wait in std::mem::take(&mut client.waits) {
                self.ask_and_read(owner, (wait.line, wait.read), wait.reply);
            }
        }
    }

    async fn tick(&mut self) {
        if self.is_leaving {
            let is_left = self.clients.values().all(|client| client.live.is_none());
            if let Some(reply) = self.left.take_if(|_| is_left) {
                self.conclude_leaving(reply);
            }
            return;
        }
        let now = now();
        self.let_held_go_on(now);
        self.give_up_late(now);
        self.end_splits(now);
        self.end_stays(now);
        self.look_at_consents(now).await;
        self.look_at_late(now).await;
        self.tend_history(now);
        self.tend_missed(now);
        self.tend_lines(now);
        self.note_ears(now);
        self.close_doors(now);
        self.tend_monitor();
        self.tend_policies(now).await;
        self.tell_presences_again(now);
        self.take_over(now);
        self.directory.write().end_former(now);
        self.clients
            .retain(|owner, client| *owner == Owner::Bot || !client.is_over(now));
        // Who has something to say comes first, and the observer before all.
        let mut owners: Vec<Owner> = self.clients.keys().cloned().collect();
        owners.sort_by_key(|owner| {
            let is_silent = !self.clients[owner].has_to_speak();
            (*owner != Owner::Bot, is_silent)
        });
        for owner in owners {
            self.advance(&owner).await;
        }
        self.part_with_idle(now);
        self.clients.retain(|_, client| !client.is_nobody(now));
        self.count_levels();
    }

    /// Whether somebody's connection stands.
    fn is_ready(&self, owner: &Owner) -> bool {
        let live = self
            .clients
            .get(owner)
            .and_then(|client| client.live.as_ref());
        live.is_some_and(|live| live.is_ready)
    }

    /// Something is to be done in Matrix.
    fn deed(&mut self, deed: Deed) {
        if self.deeds.try_send(deed).is_err() {
            self.figures.lost();
            // Reading on would lose more; the observer begins again when Matrix has caught up.
            tracing::error!(
                network = self.name,
                "Matrix does not keep up with IRC: a line is lost"
            );
            self.drop_link(&Owner::Bot, "Matrix does not keep up");
        }
    }
}
