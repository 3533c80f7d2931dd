//! A network, for those who have something for its loop.

use std::{path::Path, sync::Arc};

use bridgehead_appservice::{bridge::SendError, id::UserId};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};

use super::{
    command::{Asking, Command, Report},
    directory::Directory,
    look::Look,
    picture::Picture,
    speech::{Outcome, Speech},
    threads::Threads,
    upkeep::Upkeep,
    withdraw::Withdrawing,
};
use crate::{
    ident::Ident,
    ids::Place,
    link::{claims::Claims, dial::Way},
    settings::NetworkSettings,
};

/// What may wait for the loop; who brings more waits.
const MAX_INPUTS: usize = 1024;

/// Something for the loop.
pub(crate) enum Input {
    /// Something is to be said.
    Say(Box<Speech>, oneshot::Sender<Outcome>),
    /// What is to be said under this key is something else by now.
    Withdraw(Withdrawing),
    /// Matrix has changed.
    Upkeep(Upkeep),
    /// Somebody asks for something.
    Command(Asking),
    /// The bridge ends.
    Leave(oneshot::Sender<()>),
    /// The settings are these now; and whether somebody may do more or less.
    Settings(Arc<NetworkSettings>, bool),
    /// The network ends: the configuration has it no more.
    End(oneshot::Sender<()>),
    /// Who of Matrix is writing somewhere; nobody else is.
    Typing(Place, Vec<UserId>),
    /// Somebody wants to know how the network stands.
    Look(oneshot::Sender<Look>),
    /// Somebody wants to know what a channel is like.
    Picture(String, oneshot::Sender<Option<Picture>>),
}

/// A network, for those who have something for its loop.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) name: Arc<str>,
    pub(crate) settings: Arc<NetworkSettings>,
    pub(crate) directory: Arc<RwLock<Directory>>,
    pub(crate) threads: Arc<Mutex<Threads>>,
    /// Whether media and pages can be linked to.
    pub(crate) has_links: bool,
    claims: OpenClaims,
    pub(super) inputs: mpsc::Sender<Input>,
}

/// The claims, while the network's loop runs.
type OpenClaims = Arc<watch::Sender<Option<Claims>>>;

/// Lends the claims to those who have something for the loop, for as long as it runs.
pub(super) struct Open<'a>(&'a OpenClaims);

impl<'a> Open<'a> {
    pub(super) fn new(to: &'a OpenClaims, claims: Claims) -> Self {
        to.send_replace(Some(claims));
        Self(to)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

/// Under this name it is remembered which threads IRC knows.
pub(super) fn threads_key(network: &str) -> String {
    format!("threads/{network}")
}

impl Handle {
    /// Under this name it is remembered which threads the network knows.
    pub(crate) fn threads_key(&self) -> String {
        threads_key(&self.name)
    }

    /// Tells who is writing; where too much waits it is not told.
    pub(crate) fn typing(&self, place: Place, people: Vec<UserId>) {
        self.inputs.try_send(Input::Typing(place, people)).ok();
    }

    /// Says something. Returns when the network has it, or has said no.
    pub(crate) async fn say(&self, mut speech: Speech) -> Outcome {
        self.look_up(&mut speech).await?;
        let (reply, outcome) = oneshot::channel();
        let gone = || SendError::retry("the bridge is about to end");
        self.inputs
            .send(Input::Say(Box::new(speech), reply))
            .await
            .map_err(|_| gone())?;
        outcome.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Finds out what was said of it before.
    async fn look_up(&self, speech: &mut Speech) -> Result<(), SendError> {
        let mut open = self.claims.subscribe();
        let open = open.wait_for(Option::is_some).await;
        let claims = open.ok().and_then(|claims| claims.clone());
        let Some(claims) = claims else {
            return Err(SendError::retry("the bridge is about to end"));
        };
        for claimed in claims.of(&speech.key).await? {
            // What a keeper was given may have been refused since.
            match claimed.is_written && claimed.frame.is_none() {
                true => speech.claimed.push(claimed.part),
                false => speech.doubted.push(claimed),
            }
        }
        Ok(())
    }

    /// Matrix has changed.
    pub(crate) async fn upkeep(&self, upkeep: Upkeep) {
        // A loop that has ended sees to it when it begins again.
        self.inputs.send(Input::Upkeep(upkeep)).await.ok();
    }

    /// Ends all connections in order. Returns when there are none.
    pub(crate) async fn leave(&self) {
        let (reply, left) = oneshot::channel();
        if self.inputs.send(Input::Leave(reply)).await.is_ok() {
            left.await.ok();
        }
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

    /// Whether a channel has a key that is known here.
    pub(crate) fn is_keyed(&self, channel: &str) -> bool {
        self.settings.key_of(channel).is_some() || self.directory.read().is_keyed(channel)
    }

    /// How the network stands; `None` when its loop has ended.
    pub(crate) async fn look(&self) -> Option<Look> {
        let (reply, look) = oneshot::channel();
        self.inputs.send(Input::Look(reply)).await.ok()?;
        look.await.ok()
    }

    /// What a channel is like, as the observer sees it; `None` where it does not.
    pub(crate) async fn picture(&self, channel: &str) -> Option<Picture> {
        let (reply, picture) = oneshot::channel();
        let input = Input::Picture(channel.to_owned(), reply);
        self.inputs.send(input).await.ok()?;
        picture.await.ok().flatten()
    }
}

/// What a network's loop is made of.
#[derive(Clone)]
pub(crate) struct Beginning {
    pub(crate) name: String,
    pub(crate) settings: Arc<NetworkSettings>,
    pub(crate) ident: Ident,
    pub(crate) has_links: bool,
    pub(crate) way: Way,
    /// The keeper's socket, where there is one.
    pub(crate) keeper: Option<Arc<Path>>,
}

/// A network that is about to run, and to run again where that has failed.
#[derive(Clone)]
pub(crate) struct Waiting {
    pub(crate) beginning: Beginning,
    pub(super) directory: Arc<RwLock<Directory>>,
    pub(super) threads: Arc<Mutex<Threads>>,
    pub(super) claims: OpenClaims,
    /// Held by the loop that runs.
    pub(super) inputs: Arc<AsyncMutex<mpsc::Receiver<Input>>>,
}

/// A network: for those who have something for it, and to be run.
pub(crate) fn network(beginning: Beginning) -> (Handle, Waiting) {
    let (sender, inputs) = mpsc::channel(MAX_INPUTS);
    let directory = Arc::new(RwLock::default());
    let threads = Arc::new(Mutex::default());
    let claims = Arc::new(watch::Sender::new(None));
    let handle = Handle {
        name: beginning.name.as_str().into(),
        settings: beginning.settings.clone(),
        directory: directory.clone(),
        threads: threads.clone(),
        has_links: beginning.has_links,
        claims: claims.clone(),
        inputs: sender,
    };
    let waiting = Waiting {
        beginning,
        directory,
        threads,
        claims,
        inputs: Arc::new(AsyncMutex::new(inputs)),
    };
    (handle, waiting)
}
