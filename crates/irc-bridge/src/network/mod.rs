//! A network: one loop that owns all that is known of it, and decides.
//!
//! ```text
//! Matrix ──Input::Say────▶┌──────┐──orders──▶ links ──▶ servers
//! people ──Input::Command▶│ loop │◀──told────
//!                         └──────┘──deeds───▶ Matrix
//! ```
//!
//! One connection observes: what is said in channels is taken from it alone. The others say what their people say, and
//! hear what is said to them alone. The loop waits for nobody: orders and deeds go by bounded queues, and who asks it
//! something is answered later.
//!
//! - `client`, `speech` a client, and what it has to say
//! - `connect` connections: when, and what becomes of them
//! - `answers` what a connection tells of what it was asked for
//! - `hear` what the lines of IRC mean in Matrix; `standing` who may do what in both
//! - `upkeep` what Matrix changes on IRC
//! - `command`, `own` what people ask for; `consent` what operators of channels are asked; `words` what servers answer
//! - `private` what is said to one person alone, or to the bridge
//! - `deeds` the way to Matrix; `directory` who is who; `pace` how fast

mod answers;
mod client;
mod command;
mod connect;
mod consent;
mod deeds;
mod directory;
mod hear;
mod own;
mod pace;
mod private;
mod speech;
mod standing;
mod upkeep;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use bridgehead_appservice::{
    HandlerError,
    bridge::{Cause, Level, Rejected, Remote, SendError},
    id::UserId,
};
use parking_lot::RwLock;
use tokio::{sync::mpsc, sync::oneshot, task::JoinSet, time::MissedTickBehavior};

pub(crate) use self::directory::{Directory, Owner};
use self::{
    client::Client, consent::Consent, deeds::Deed, pace::Bucket, private::Answers, speech::Pending,
};
pub(crate) use self::{
    command::{Asking, Command, Report},
    consent::{PATIENCE as CONSENT_PATIENCE, Question},
    speech::{Outcome, Speech},
    upkeep::Upkeep,
};
use crate::{
    Irc,
    accounts::Accounts,
    clock::now,
    ident::Ident,
    ids::Place,
    ignoring::Ignoring,
    link::{
        claims::Claims,
        drive::{LinkId, Told},
    },
    people::People,
    seal::Seal,
    settings::{Mode, NetworkSettings},
    talks::Talks,
};

/// What may wait for the loop; who brings more waits.
const MAX_INPUTS: usize = 1024;
/// What links may have to tell.
const MAX_TOLD: usize = 4096;
/// How often the loop looks at what time alone changes.
const TICK: Duration = Duration::from_millis(200);

/// Something for the loop.
pub(crate) enum Input {
    /// Something is to be said.
    Say(Box<Speech>, oneshot::Sender<Outcome>),
    /// Matrix has changed.
    Upkeep(Upkeep),
    /// Somebody asks for something.
    Command(Asking),
}

/// A network, for those who have something for its loop.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) name: Arc<str>,
    pub(crate) settings: Arc<NetworkSettings>,
    pub(crate) directory: Arc<RwLock<Directory>>,
    inputs: mpsc::Sender<Input>,
}

impl Handle {
    /// Says something. Returns when the network has it, or has said no.
    pub(crate) async fn say(&self, speech: Speech) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let gone = || SendError::retry("the bridge is about to end");
        self.inputs
            .send(Input::Say(Box::new(speech), reply))
            .await
            .map_err(|_| gone())?;
        outcome.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Matrix has changed.
    pub(crate) async fn upkeep(&self, upkeep: Upkeep) {
        // A loop that has ended sees to it when it begins again.
        self.inputs.send(Input::Upkeep(upkeep)).await.ok();
    }

    /// Asks for something; gives back what people are told.
    pub(crate) async fn command(&self, who: &UserId, command: Command) -> Report {
        let (reply, report) = oneshot::channel();
        let asking = Asking {
            who: who.clone(),
            command,
            reply,
        };
        let gone = || Err("the bridge is about to end".to_owned());
        if self.inputs.send(Input::Command(asking)).await.is_err() {
            return gone();
        }
        report.await.unwrap_or_else(|_| gone())
    }
}

/// What a network's loop is made of.
pub(crate) struct Beginning {
    pub(crate) name: String,
    pub(crate) settings: Arc<NetworkSettings>,
    pub(crate) ident: Ident,
}

/// A network that is about to run.
pub(crate) struct Waiting {
    beginning: Beginning,
    directory: Arc<RwLock<Directory>>,
    inputs: mpsc::Receiver<Input>,
}

/// A network: for those who have something for it, and to be run.
pub(crate) fn network(beginning: Beginning) -> (Handle, Waiting) {
    let (sender, inputs) = mpsc::channel(MAX_INPUTS);
    let directory = Arc::new(RwLock::default());
    let handle = Handle {
        name: beginning.name.as_str().into(),
        settings: beginning.settings.clone(),
        directory: directory.clone(),
        inputs: sender,
    };
    let waiting = Waiting {
        beginning,
        directory,
        inputs,
    };
    (handle, waiting)
}

/// The loop.
pub(crate) struct Hub {
    name: String,
    settings: Arc<NetworkSettings>,
    ident: Ident,
    remote: Remote<Irc>,
    directory: Arc<RwLock<Directory>>,
    claims: Claims,
    people: People,
    accounts: Accounts,
    ignoring: Ignoring,
    talks: Talks,
    /// Keys of channels that people have given, by folded channel.
    keys: BTreeMap<String, String>,
    /// Questions to operators that are open, and those that were answered just now.
    consents: Vec<Consent>,
    over_consents: Vec<(Consent, Report)>,
    answers: Answers,
    /// Channels whose rooms are being made, until when that is waited for.
    late: BTreeMap<String, Instant>,
    /// Who was told that their login has failed.
    told_of_logins: BTreeSet<UserId>,
    tell: mpsc::Sender<(LinkId, Told)>,
    deeds: mpsc::Sender<Deed>,
    clients: BTreeMap<Owner, Client>,
    links: HashMap<LinkId, Owner>,
    next_link: LinkId,
    /// Whose turn to connect it is: the server of the network's that is tried next.
    next_server: usize,
    bucket: Bucket,
    /// Who went in a netsplit, by folded nick: where they were, and until when they may come back.
    split: BTreeMap<String, (Vec<String>, Instant)>,
    /// Names what is heard and has no id of its own.
    heard: u64,
    run: u64,
}

impl Waiting {
    /// Runs the network for as long as it is polled.
    pub(crate) async fn run(
        mut self,
        remote: Remote<Irc>,
        seal: Arc<Seal>,
    ) -> Result<(), HandlerError> {
        let store = remote.store()?;
        let (tell, mut told) = mpsc::channel(MAX_TOLD);
        let (deeds, to_do) = mpsc::channel(deeds::MAX_DEEDS);
        let mut tasks = JoinSet::new();
        tasks.spawn(deeds::carry_out(remote.clone(), to_do));
        let now = now();
        let limits = &self.beginning.settings.limits;
        let mut hub = Hub {
            bucket: Bucket::new(limits.connects_per_minute, limits.connects_at_once, now),
            name: self.beginning.name.clone(),
            settings: self.beginning.settings.clone(),
            ident: self.beginning.ident.clone(),
            directory: self.directory.clone(),
            claims: Claims::new(store.clone()),
            people: People::load(store.clone(), &self.beginning.name).await?,
            ignoring: Ignoring::load(store.clone(), &self.beginning.name).await?,
            talks: Talks::load(&store, &self.beginning.name).await?,
            accounts: Accounts::new(store, &self.beginning.name, seal),
            keys: BTreeMap::new(),
            consents: Vec::new(),
            over_consents: Vec::new(),
            answers: Answers::default(),
            late: BTreeMap::new(),
            told_of_logins: BTreeSet::new(),
            remote,
            tell,
            deeds,
            clients: BTreeMap::new(),
            links: HashMap::new(),
            next_link: 0,
            next_server: 0,
            split: BTreeMap::new(),
            heard: 0,
            run: rand::random(),
        };
        hub.keys = hub.accounts.keys().await?;
        hub.begin().await?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some((id, told)) = told.recv() => hub.take_told(id, told).await,
                Some(input) = self.inputs.recv() => hub.take_input(input).await,
                _ = tick.tick() => hub.tick().await,
            }
        }
    }
}

impl Hub {
    /// Finds out where everybody is to be.
    async fn begin(&mut self) -> Result<(), HandlerError> {
        let now = now();
        self.clients
            .insert(Owner::Bot, Client::new(Owner::Bot, now));
        for place in self.remote.rooms().await? {
            if place.network == self.name {
                self.watch(&place).await;
            }
        }
        Ok(())
    }

    async fn take_input(&mut self, input: Input) {
        match input {
            Input::Say(speech, reply) => self.take_speech(*speech, reply).await,
            Input::Upkeep(upkeep) => self.take_upkeep(upkeep).await,
            Input::Command(asking) => self.take_command(asking).await,
        }
    }

    async fn take_speech(&mut self, mut speech: Speech, reply: oneshot::Sender<Outcome>) {
        let now = now();
        speech.place = self.meant(speech.place);
        let owner = match self.owner_for(&speech.place, &speech.speaker) {
            Ok(owner) => owner,
            Err(no) => {
                reply.send(Err(no)).ok();
                return;
            }
        };
        let deadline = now + self.settings.limits.patience.get();
        let client = self.client(&owner);
        client.spoke_at = now;
        client.is_parked = false;
        if owner != Owner::Bot {
            client.name = Some(speech.name.clone());
        }
        client.pendings.push_back(Pending {
            speech,
            reply,
            deadline,
            parts: Vec::new(),
        });
        self.advance(&owner).await;
    }

    /// Whose connection speaks for a person there: their own, or the bridge's where they may have none.
    fn owner_for(&self, place: &Place, person: &UserId) -> Result<Owner, SendError> {
        let level = self.remote.level(person).map_err(SendError::from)?;
        match place.as_channel() {
            Some(channel) if self.settings.mode_for(channel, level) == Mode::Relay => {
                Ok(Owner::Bot)
            }
            None if level < Level::User => Err(SendError::forbidden(
                "you may not talk to people alone by this bridge",
            )),
            _ => Ok(Owner::Person(person.clone())),
        }
    }

    fn client(&mut self, owner: &Owner) -> &mut Client {
        self.clients
            .entry(owner.clone())
            .or_insert_with(|| Client::new(owner.clone(), now()))
    }

    /// Brings a client as far as it comes now.
    async fn advance(&mut self, owner: &Owner) {
        let now = now();
        let (settings, keys) = (self.settings.clone(), &self.keys);
        let Some(client) = self.clients.get_mut(owner) else {
            return;
        };
        if client.live.is_none() {
            if client.wants_connection() && client.may_try(now) {
                self.connect(owner).await;
            }
            return;
        }
        let key_of = |channel: &str| {
            let given = keys.get(channel).cloned();
            settings.key_of(channel).or(given)
        };
        client.join_wanted(key_of, now);
        client.hand_over();
        client.settle();
        if client.live.as_ref().is_some_and(|live| live.is_ready) {
            for wait in std::mem::take(&mut client.waits) {
                self.ask_and_read(owner, (wait.line, wait.read), wait.reply);
            }
        }
    }

    async fn tick(&mut self) {
        let now = now();
        self.give_up_late(now);
        self.end_splits(now);
        self.look_at_consents(now).await;
        self.catch_up(now).await;
        // Who has something to say comes first, and the observer before all.
        let mut owners: Vec<Owner> = self.clients.keys().cloned().collect();
        owners.sort_by_key(|owner| {
            let is_silent = self.clients[owner].pendings.is_empty();
            (*owner != Owner::Bot, is_silent)
        });
        for owner in owners {
            self.advance(&owner).await;
        }
        self.part_with_idle(now);
    }

    /// What has waited for its connection for too long is given back.
    fn give_up_late(&mut self, now: Instant) {
        // Without the bridge's own connection it is the network that is away, and not one person's place in it.
        let bot = self
            .clients
            .get(&Owner::Bot)
            .and_then(|bot| bot.live.as_ref());
        let is_away = !bot.is_some_and(|live| live.is_ready);
        for client in self.clients.values_mut() {
            client.give_waits_up(now);
            let is_late = |pending: &Pending| pending.deadline <= now && !pending.is_handed();
            let why = client.last_error.clone();
            for pending in client.take_pendings(is_late) {
                let why = why.as_deref().unwrap_or("the connection takes too long");
                pending.end(Err(match is_away {
                    true => SendError::away(why),
                    false => SendError::Reject(Rejected::new(Cause::Network, why)),
                }));
            }
        }
    }

    /// Something is to be done in Matrix.
    fn deed(&mut self, deed: Deed) {
        if self.deeds.try_send(deed).is_err() {
            // Reading on would lose more; the observer begins again when Matrix has caught up.
            tracing::error!(
                network = self.name,
                "Matrix does not keep up with IRC: a line is lost"
            );
            self.drop_link(&Owner::Bot, "Matrix does not keep up");
        }
    }
}
