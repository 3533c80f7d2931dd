//! Takes bridges in: each connection to the socket is one of IRC.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::Permissions,
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncWriteExt as _, BufWriter},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use crate::{
    dial::{Dial, Dialled},
    ident::{Ident, IdentServer, Pair, Vouched},
    kept::{Kept, News},
    tls::connector,
    wire::{Bound, Hello, KEEP_LINES, Kind, Message, Open, VERSION, Wants},
};

/// How long a bridge may take with what has to come at once.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections to the socket at the same time.
const MAX_BRIDGES: usize = 20_000;
/// How often it is looked at who is alone.
const SWEEP: Duration = Duration::from_secs(1);
/// What is said for a bridge that does not come back.
const LAST_WORDS: &str = "The bridge has not come back";

/// Why there is no keeper.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// One is there already.
    #[error("a keeper listens at {0} already: stop it first, or name another path")]
    Running(PathBuf),
    /// Nobody can listen there.
    #[error(
        "{path} cannot be listened at: {reason}; name a path in a folder that is this user's alone"
    )]
    Path {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
}

/// Keeps connections, until it is dropped.
pub struct Keeper {
    listener: UnixListener,
    path: PathBuf,
    house: Arc<House>,
    /// Answers servers for as long as this lives.
    ident: Option<IdentServer>,
}

struct House {
    ident: Ident,
    kept: Mutex<BTreeMap<String, Arc<Kept>>>,
    patience: Duration,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

impl Keeper {
    /// Listens at this path, for this user alone. Connections without a bridge are kept for this long.
    ///
    /// # Errors
    /// When a keeper is there already, or the path cannot be used.
    pub async fn listen(path: &Path, patience: Duration) -> Result<Self, KeeperError> {
        if UnixStream::connect(path).await.is_ok() {
            return Err(KeeperError::Running(path.to_owned()));
        }
        let listener = bind(path).map_err(|reason| KeeperError::Path {
            path: path.to_owned(),
            reason,
        })?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            ident: None,
            house: Arc::new(House {
                ident: Ident::new(),
                kept: Mutex::default(),
                patience,
            }),
        })
    }

    /// Answers servers that ask there whose a connection is, whether a bridge is there or not. Gives back where that is.
    ///
    /// # Errors
    /// When nobody can listen there.
    pub async fn answer_ident(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        let server = self.house.ident.serve(address).await?;
        let address = server.address();
        self.ident = Some(server);
        Ok(address)
    }

    /// Serves for as long as it is polled.
    pub async fn run(&self) {
        let mut tasks = JoinSet::new();
        let places = Arc::new(Semaphore::new(MAX_BRIDGES));
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let Ok(place) = places.clone().try_acquire_owned() else {
                            continue;
                        };
                        let house = self.house.clone();
                        tasks.spawn(async move {
                            if let Err(error) = house.receive(stream).await {
                                tracing::debug!(%error, "a bridge has gone");
                            }
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::error!(%error, "nobody can be taken in");
                        tokio::time::sleep(SWEEP).await;
                    }
                },
                _ = sweep.tick() => self.house.sweep(Instant::now()),
                Some(_) = tasks.join_next() => {}
            }
        }
    }

    /// Says goodbye on all connections, and waits until the servers have heard it.
    pub async fn quit(&self, reason: &str) {
        let all: Vec<_> = self.house.kept.lock().values().cloned().collect();
        let now = Instant::now();
        for kept in &all {
            kept.quit(reason, now);
        }
        while !all.iter().all(|kept| kept.is_finished(Instant::now())) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Nobody else may speak by these connections: the path is there once that is so.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let mut begun = path.as_os_str().to_owned();
    begun.push(".new");
    let begun = PathBuf::from(begun);
    if begun.exists() {
        std::fs::remove_file(&begun)?;
    }
    let listener = UnixListener::bind(&begun)?;
    std::fs::set_permissions(&begun, Permissions::from_mode(0o600))?;
    std::fs::rename(&begun, path)?;
    Ok(listener)
}

impl House {
    async fn receive(&self, stream: UnixStream) -> io::Result<()> {
        let (mut reader, writer) = stream.into_split();
        let mut writer = BufWriter::new(writer);
        let hello = timeout(PATIENCE, Message::read(&mut reader)).await??;
        let Some(hello) = hello.filter(|message| message.kind == Kind::Hello) else {
            return Err(io::Error::other("it does not say what it wants"));
        };
        // What else a later version has in it is its affair.
        let version: Version = hello.read_json()?;
        if version.version != VERSION {
            let words = format!(
                "the keeper speaks version {VERSION}, and the bridge {}: restart the keeper with the bridge's program",
                version.version
            );
            return say(&mut writer, Message::new(Kind::Failed, words)).await;
        }
        match hello.read_json::<Hello>()?.wants {
            Wants::List(begin) => {
                let ids = self.list(&begin);
                say(&mut writer, Message::json(Kind::List, &ids)?).await
            }
            Wants::Open(open) => self.open(&open, reader, writer).await,
        }
    }

    fn list(&self, begin: &str) -> Vec<String> {
        let kept = self.kept.lock();
        let ids = kept.keys().filter(|id| id.starts_with(begin));
        ids.cloned().collect()
    }

    async fn open(
        &self,
        open: &Open,
        mut reader: OwnedReadHalf,
        mut writer: BufWriter<OwnedWriteHalf>,
    ) -> io::Result<()> {
        let found = self.kept.lock().get(&open.id).cloned();
        if let Some(kept) = found {
            return self.serve(&open.id, (&kept, false), reader, writer).await;
        }
        let made = self.make(open, &mut reader, &mut writer).await;
        let (dialled, vouched) = match made {
            Ok(made) => made,
            Err(error) => {
                return say(&mut writer, Message::new(Kind::Failed, error.to_string())).await;
            }
        };
        let pair = Pair {
            from: open.from,
            port: dialled.port,
            to: Some(open.server.port),
        };
        if has_gone(&reader) {
            // Nobody has said anything by the connection yet.
            return Err(io::Error::other("it has not waited for its connection"));
        }
        let (kept, running) = Kept::new(dialled, (pair, vouched));
        if let Some(other) = self.keep(&open.id, &kept) {
            // It was made while this one was: what came by it counts, and this one is closed.
            if other.has_bridge() {
                let words =
                    "another bridge has taken this connection up: run one bridge with a keeper";
                return say(&mut writer, Message::new(Kind::Failed, words)).await;
            }
            return self.serve(&open.id, (&other, false), reader, writer).await;
        }
        // The connection outlives whoever has asked for it.
        tokio::spawn(running);
        tracing::info!(kept = self.kept.lock().len(), "one connection more");
        self.serve(&open.id, (&kept, true), reader, writer).await
    }

    /// Makes a connection. It is vouched for from before it is made.
    async fn make(
        &self,
        open: &Open,
        reader: &mut OwnedReadHalf,
        writer: &mut BufWriter<OwnedWriteHalf>,
    ) -> io::Result<(Dialled, Option<Vouched>)> {
        let tls = open.tls.as_ref().map(connector).transpose();
        let dial = Dial {
            server: open.server.clone(),
            tls: tls.map_err(io::Error::other)?,
            from: open.from,
        };
        let bridge = &tokio::sync::Mutex::new((reader, writer));
        let vouched = &Mutex::new(None);
        let dialled = dial.dial(|port| {
            let (from, to) = (open.from, Some(open.server.port));
            let user = open.user.as_deref();
            let name = user.map(|user| self.ident.vouch(Pair { from, port, to }, user));
            *vouched.lock() = name;
            async move {
                let bound = Message::json(Kind::Bound, &Bound { port })?;
                let mut bridge = bridge.lock().await;
                let (reader, writer) = &mut *bridge;
                say(writer, bound).await?;
                let answer = timeout(PATIENCE, Message::read(*reader)).await??;
                match answer.map(|message| message.kind) {
                    Some(Kind::Go) => Ok(()),
                    _ => Err(io::Error::other("the bridge has gone")),
                }
            }
        });
        Ok((dialled.await?, vouched.lock().take()))
    }

    /// Keeps a connection under this id, unless there is one; that is given back then.
    fn keep(&self, id: &str, kept: &Arc<Kept>) -> Option<Arc<Kept>> {
        match self.kept.lock().entry(id.to_owned()) {
            Entry::Occupied(other) => Some(other.get().clone()),
            Entry::Vacant(place) => {
                place.insert(kept.clone());
                None
            }
        }
    }

    /// Carries what is said between a bridge and its connection, until one of them is gone.
    async fn serve(
        &self,
        id: &str,
        (kept, is_new): (&Arc<Kept>, bool),
        mut reader: OwnedReadHalf,
        mut writer: BufWriter<OwnedWriteHalf>,
    ) -> io::Result<()> {
        let (turn, held, note) = kept.attach(is_new);
        let mut after = held.acknowledged;
        let telling = async {
            Message::json(Kind::Held, &held)?.write(&mut writer).await?;
            say(&mut writer, Message::new(Kind::Note, note)).await?;
            loop {
                match kept.news(turn, after).await {
                    News::Line(number, line) => {
                        after = number;
                        say(&mut writer, Message::numbered(Kind::Line, number, line)).await?;
                    }
                    News::Closed(why) => {
                        say(&mut writer, Message::new(Kind::Closed, why)).await?;
                        // What was told before is acknowledged behind it.
                        return std::future::pending::<io::Result<()>>().await;
                    }
                    News::Superseded => {
                        return Err(io::Error::other("another one has taken its place"));
                    }
                }
            }
        };
        let hearing = async {
            while let Some(message) = Message::read(&mut reader).await? {
                match message.kind {
                    Kind::Frame => kept.frame(turn, message.number, message.bytes).await?,
                    Kind::Ack => kept.acknowledge(turn, message.number, message.bytes),
                    Kind::Drop if !kept.is_turn_of(turn) => return Ok(()),
                    Kind::Drop if message.number == KEEP_LINES => {
                        kept.quit("Reconnecting", Instant::now());
                        tokio::spawn(kept.clone().end());
                    }
                    Kind::Drop => {
                        kept.quit("Reconnecting", Instant::now());
                        self.forget(id, kept);
                        return Ok(());
                    }
                    _ => return Err(io::Error::other("a message that is not the bridge's")),
                }
            }
            Ok(())
        };
        let mut hearing = std::pin::pin!(hearing);
        let ended = tokio::select! {
            ended = &mut hearing => ended,
            // What a bridge has said before it was gone counts.
            ended = telling => timeout(PATIENCE, hearing).await.unwrap_or(ended),
        };
        kept.detach(turn, Instant::now());
        if kept.is_spent() {
            self.forget(id, kept);
        }
        ended
    }

    /// Keeps it no more. What it has to say still is said.
    fn forget(&self, id: &str, kept: &Arc<Kept>) {
        let mut all = self.kept.lock();
        if all.get(id).is_some_and(|found| found.epoch == kept.epoch) {
            all.remove(id);
            tracing::info!(kept = all.len(), "one connection less");
            tokio::spawn(kept.clone().end());
        }
    }

    /// Who has waited for a bridge for too long leaves. What came until then is kept for it.
    fn sweep(&self, now: Instant) {
        let all = self.kept.lock().clone();
        for (id, kept) in all {
            if kept.is_finished(now) {
                kept.end_now();
                if kept.is_spent() || kept.is_stale(SystemTime::now()) {
                    self.forget(&id, &kept);
                }
            } else if kept.is_alone_for(self.patience, now) {
                kept.quit(LAST_WORDS, now);
            }
        }
    }
}

/// Whether a bridge that waits, and has nothing to say meanwhile, is there no more.
fn has_gone(reader: &OwnedReadHalf) -> bool {
    let read = reader.try_read(&mut [0]);
    !read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// The part of a hello that all versions share.
#[derive(serde::Deserialize)]
struct Version {
    version: u32,
}

async fn say(writer: &mut BufWriter<OwnedWriteHalf>, message: Message) -> io::Result<()> {
    let written = async {
        message.write(writer).await?;
        writer.flush().await
    };
    // A bridge that does not read is stuck.
    timeout(Duration::from_secs(60), written).await?
}
