//! A network that does as a test tells it, and can do what its flags say.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bridgehead_appservice::{
    Event, HandlerError, Service,
    bridge::{Bridge, Network, Outgoing, Portals, Receipt, Remote, RoomInfo, SendError, UserInfo},
    id::{RoomId, UserId},
};
use bridgehead_testkit::lab::{Lab, LabService, LabUser};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

/// Messages can be edited.
pub(crate) const EDITS: u32 = 1;
/// Messages can be taken back.
pub(crate) const REDACTIONS: u32 = 2;
/// Messages can be reacted to.
pub(crate) const REACTIONS: u32 = 4;
/// What is sent is told of as well.
pub(crate) const ECHOES: u32 = 8;
/// It wants to know who has which power.
pub(crate) const POWER: u32 = 16;
/// It wants to know who comes and goes.
pub(crate) const MEMBERSHIP: u32 = 32;
/// It wants to know who may join and speak.
pub(crate) const RULES: u32 = 64;

type Answer<const F: u32> = dyn Fn(&Outgoing<Plain<F>>) -> Result<Receipt, SendError> + Send + Sync;
type Script<const F: u32> =
    dyn Fn(Remote<Plain<F>>) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync;

/// What a network of a test remembers.
pub(crate) struct State<const F: u32> {
    pub(crate) users: BTreeMap<String, UserInfo>,
    pub(crate) rooms: BTreeMap<String, RoomInfo<Plain<F>>>,
    pub(crate) persons: BTreeMap<String, UserId>,
    /// Who has an account of their own, and in which room it speaks.
    pub(crate) accounts: BTreeSet<(UserId, String)>,
    /// What was sent: kept, as a network might.
    pub(crate) sent: Vec<Outgoing<Plain<F>>>,
    /// How long it takes with each thing that is sent.
    pub(crate) delay: Duration,
    /// How often it was told that levels have changed.
    pub(crate) levels_changed: usize,
    /// Whether it was said goodbye to.
    pub(crate) is_left: bool,
}

/// A network; clones are the same one.
pub(crate) struct Plain<const F: u32> {
    pub(crate) state: Arc<Mutex<State<F>>>,
    answer: Arc<Answer<F>>,
    script: Option<Arc<Script<F>>>,
}

impl<const F: u32> Clone for Plain<F> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            answer: self.answer.clone(),
            script: self.script.clone(),
        }
    }
}

impl<const F: u32> Plain<F> {
    /// One that answers like this to what is sent, with a hall.
    pub(crate) fn new(
        answer: impl Fn(&Outgoing<Self>) -> Result<Receipt, SendError> + Send + Sync + 'static,
    ) -> Self {
        let hall = RoomInfo::public("The hall");
        let state = State {
            users: BTreeMap::new(),
            rooms: BTreeMap::from([("hall".to_owned(), hall)]),
            persons: BTreeMap::new(),
            accounts: BTreeSet::new(),
            sent: Vec::new(),
            delay: Duration::ZERO,
            levels_changed: 0,
            is_left: false,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            answer: Arc::new(answer),
            script: None,
        }
    }

    /// The same, saying this whenever it is connected.
    pub(crate) fn saying(
        mut self,
        script: impl Fn(Remote<Self>) -> BoxFuture<'static, Result<(), HandlerError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.script = Some(Arc::new(script));
        self
    }

    /// What was sent, as `name: words`.
    pub(crate) fn sent(&self) -> Vec<String> {
        let state = self.state.lock();
        let line = |outgoing: &Outgoing<Self>| {
            let words = outgoing.describe().unwrap_or_default();
            format!("{}: {words}", outgoing.action.name())
        };
        state.sent.iter().map(line).collect()
    }
}

impl<const F: u32> Network for Plain<F> {
    type Room = String;
    type User = String;
    const NAME: &'static str = "plain";
    const ECHOES: bool = F & ECHOES != 0;
    const EDITS: bool = F & EDITS != 0;
    const REDACTIONS: bool = F & REDACTIONS != 0;
    const REACTIONS: bool = F & REACTIONS != 0;
    const MEMBERSHIP: bool = F & MEMBERSHIP != 0;
    const POWER: bool = F & POWER != 0;
    const RULES: bool = F & RULES != 0;

    async fn run(&self, remote: Remote<Self>) -> Result<(), HandlerError> {
        if let Some(script) = &self.script {
            script(remote).await?;
        }
        std::future::pending().await
    }

    async fn send(&self, outgoing: Outgoing<Self>) -> Result<Receipt, SendError> {
        let answer = (self.answer)(&outgoing);
        let delay = {
            let mut state = self.state.lock();
            state.sent.push(outgoing);
            state.delay
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        answer
    }

    async fn describe_user(&self, user: &String) -> Result<Option<UserInfo>, HandlerError> {
        let known = self.state.lock().users.get(user).cloned();
        Ok(Some(known.unwrap_or_else(|| UserInfo::named(user))))
    }

    async fn describe_room(&self, room: &String) -> Result<Option<RoomInfo<Self>>, HandlerError> {
        Ok(self.state.lock().rooms.get(room).cloned())
    }

    async fn levels_changed(&self) {
        self.state.lock().levels_changed += 1;
    }

    async fn leave(&self) {
        self.state.lock().is_left = true;
    }

    async fn has_account(&self, person: &UserId, room: &String) -> bool {
        let account = (person.clone(), room.clone());
        self.state.lock().accounts.contains(&account)
    }

    async fn person_of(&self, user: &String) -> Option<UserId> {
        self.state.lock().persons.get(user).cloned()
    }
}

/// A service that is a bridge to such a network.
pub(crate) fn service<const F: u32>(plain: &Plain<F>) -> Service {
    service_of(bridge(plain))
}

pub(crate) fn bridge<const F: u32>(plain: &Plain<F>) -> Bridge<Plain<F>> {
    Bridge::new(plain.clone())
        .users("_plain_{name}")
        .aliases("#plain_{room}")
}

pub(crate) fn service_of<const F: u32>(bridge: Bridge<Plain<F>>) -> Service {
    Service::new("plain").bot("plainbot").bridge(bridge)
}

/// A bridge to such a network that runs, and alice in the portal of its hall.
pub(crate) struct Scene<const F: u32> {
    pub(crate) lab: Lab,
    pub(crate) plain: Plain<F>,
    pub(crate) service: LabService,
    pub(crate) alice: LabUser,
    pub(crate) room: RoomId,
}

impl<const F: u32> Scene<F> {
    pub(crate) async fn new(lab: &Lab, plain: Plain<F>) -> anyhow::Result<Self> {
        let service = service(&plain);
        Self::with(lab, plain, service).await
    }

    pub(crate) async fn with(lab: &Lab, plain: Plain<F>, service: Service) -> anyhow::Result<Self> {
        let service = lab.mount(service).await?;
        let alice = lab.user("alice").await?;
        let room = alice.join("#plain_hall:localhost").await?;
        lab.settle().await;
        // Who has come may have been told.
        plain.state.lock().sent.clear();
        Ok(Self {
            lab: lab.clone(),
            plain,
            service,
            alice,
            room,
        })
    }

    pub(crate) fn portals(&self) -> Portals<Plain<F>> {
        let portals = self.service.running().portals::<Plain<F>>();
        portals.expect("the service is a bridge to it")
    }

    pub(crate) fn remote(&self) -> Remote<Plain<F>> {
        self.portals().remote()
    }

    pub(crate) async fn settle(&self) {
        self.lab.settle().await;
    }

    /// Crashes the service and starts it again.
    pub(crate) async fn restart(&self) -> anyhow::Result<()> {
        self.lab.restart(&self.service).await?;
        self.lab.settle().await;
        Ok(())
    }

    /// The events of a type in the portal.
    pub(crate) async fn events(&self, kind: &str) -> anyhow::Result<Vec<Event>> {
        let mut events = self.alice.timeline(&self.room).await?;
        events.retain(|event| event.kind == kind);
        Ok(events)
    }
}

/// The ghost of somebody.
pub(crate) fn ghost(name: &str) -> UserId {
    UserId::new(&format!("_plain_{name}"), "localhost").expect("an id")
}

pub(crate) fn hall() -> String {
    "hall".to_owned()
}
