//! The bridge while its configuration changes, and after it has crashed: homeserver, bridge and two IRC servers in one
//! process, by a clock that stands still until nothing is left to do.

mod kept;
mod reloads;
mod removed;
mod rooms;

use std::{io, sync::Arc, time::Duration};

use anyhow::ensure;
use bridgehead_appservice::{
    Handle,
    id::{RoomId, UserId},
};
use bridgehead_irc::{
    Settings,
    link::dial::{Server as At, Stream, Way},
    reload, service_by,
};
use bridgehead_irc_server::{Dialect, Person, Server};
use bridgehead_testkit::{
    SERVER_NAME,
    lab::{Lab, LabService, LabUser},
};
use parking_lot::Mutex;

use crate::stage::{alias, control::bot, log, server_at, settings};

/// Where the first IRC server is, and where the second.
const FIRST: u16 = 6667;
const SECOND: u16 = 6668;
/// The network of the second server.
const OTHER: &str = "other";
/// What Alice is called on IRC.
const ALICE: &str = "alice[m]";

/// Everybody is there.
struct Scene {
    lab: Lab,
    /// The servers of the first and the second network.
    irc: [Arc<Server>; 2],
    way: Way,
    service: LabService,
    /// The bridge of this life.
    inside: Arc<Mutex<Option<Handle>>>,
    alice: LabUser,
    bob: Person,
}

/// One network, at the first server.
fn one() -> anyhow::Result<Settings> {
    settings(FIRST)
}

/// The same and another one, at the second server.
fn two() -> anyhow::Result<Settings> {
    let mut settings = one()?;
    let mut other = settings.networks["net"].clone();
    other.servers = vec![server_at(SECOND)?];
    settings.networks.insert(OTHER.to_owned(), other);
    Ok(settings)
}

/// The alias of a channel of the other network.
fn other_alias(channel: &str) -> String {
    format!("#irc_{OTHER}_{channel}:{SERVER_NAME}")
}

impl Scene {
    async fn new(lab: Lab, settings: &Settings) -> anyhow::Result<Self> {
        log();
        let first = Arc::new(Server::start(Dialect::modern()).await?);
        let second = Arc::new(Server::start(Dialect::modern()).await?);
        let irc = [first, second];
        let servers = irc.clone();
        let way = Way::Within(Arc::new(move |at: &At| match at.port {
            FIRST => Ok(Box::new(servers[0].wire()) as Box<dyn Stream>),
            SECOND => Ok(Box::new(servers[1].wire()) as Box<dyn Stream>),
            port => Err(io::Error::other(format!("nobody listens at {port}"))),
        }));
        let inside = Arc::new(Mutex::new(None));
        let service = lab.mount(declared(settings, &way, &inside)).await?;
        Ok(Self {
            alice: lab.user("alice").await?,
            bob: irc[0].person("bob").await?,
            irc,
            way,
            service,
            inside,
            lab,
        })
    }

    /// The bridge from inside.
    fn handle(&self) -> anyhow::Result<Handle> {
        let inside = self.inside.lock().clone();
        inside.ok_or_else(|| anyhow::anyhow!("the bridge has not started"))
    }

    /// The configuration is read again, and is this now.
    async fn reload(&self, settings: &Settings) -> anyhow::Result<String> {
        self.lab.settle().await;
        let told = reload(&self.handle()?, settings).await;
        let told = told.map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(told.join("\n"))
    }

    /// The bridge ends, and is started again with this configuration.
    async fn restart_with(&self, settings: &Settings) -> anyhow::Result<()> {
        self.service.crash();
        self.service
            .declare(declared(settings, &self.way, &self.inside));
        self.service.start().await?;
        self.lab.settle().await;
        Ok(())
    }

    /// Waits until this is so.
    async fn until(
        &self,
        what: &str,
        mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        for _ in 0..600 {
            if is_so().await? {
                return Ok(());
            }
            self.lab.pass(Duration::from_secs(1)).await;
        }
        anyhow::bail!("waited in vain: {what}")
    }

    /// Waits until these, in order, are in a channel of a server.
    async fn members(&self, server: usize, channel: &str, wanted: &[&str]) -> anyhow::Result<()> {
        let mut seen = Vec::new();
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        let came = self
            .until("members", async || {
                let view = self.irc[server].channel(channel).await;
                seen = view.map_or(Vec::new(), |view| {
                    view.nicks().into_iter().map(str::to_owned).collect()
                });
                seen.sort_unstable();
                Ok(seen == wanted)
            })
            .await;
        came.map_err(|error| anyhow::anyhow!("{error}: {seen:?} in {channel}, wanted {wanted:?}"))
    }

    /// Waits until Bob has heard this in a channel.
    async fn bob_hears(&self, text: &str) -> anyhow::Result<()> {
        self.until(text, async || {
            let heard = self.bob.heard();
            Ok(heard.iter().any(|line| line.text(1).contains(text)))
        })
        .await
    }

    /// Waits until Alice has heard this in a room.
    async fn alice_hears(&self, room: &RoomId, text: &str) -> anyhow::Result<()> {
        self.until(text, async || {
            let texts = self.alice.texts(room).await?;
            Ok(texts.iter().any(|said| said.contains(text)))
        })
        .await
    }

    /// How often connections of the bridge have come and gone, as far as Bob has seen.
    fn comings_and_goings(&self) -> usize {
        let heard = self.bob.heard();
        let moves = heard
            .iter()
            .filter(|line| ["JOIN", "PART", "QUIT"].contains(&line.command.as_str()));
        moves.count()
    }

    /// Who is in a room, as Alice sees it.
    async fn joined(&self, room: &RoomId) -> anyhow::Result<Vec<UserId>> {
        let members = self.alice.members(room).await?.into_iter();
        let joined = members.filter(|(_, membership)| membership == "join");
        Ok(joined.map(|(user, _)| user).collect())
    }

    /// A room of Alice's with the bridge in it, which has some power.
    async fn own_room(&self) -> anyhow::Result<RoomId> {
        self.own_room_with("private_chat").await
    }

    /// The same with another preset.
    async fn own_room_with(&self, preset: &str) -> anyhow::Result<RoomId> {
        let body = serde_json::json!({ "preset": preset, "invite": [bot()?] });
        let room = self.alice.create_room_with(&body).await?;
        self.until("the bridge has come", async || {
            Ok(self.joined(&room).await?.contains(&bot()?))
        })
        .await?;
        self.alice.set_power(&room, &bot()?, 100).await?;
        Ok(room)
    }

    /// Alice gets a channel of the first network where Bob is; both have spoken.
    async fn talk_in(&self, channel: &str) -> anyhow::Result<RoomId> {
        self.bob.join(channel).await?;
        let room = self.alice.join(&alias(channel)).await?;
        let text = format!("hello {channel}");
        self.alice.say(&room, &text).await?;
        self.bob_hears(&text).await?;
        let text = format!("welcome to {channel}");
        self.bob.say(channel, &text).await?;
        self.alice_hears(&room, &text).await?;
        Ok(room)
    }

    /// Rows of the bridge's database in which this stands, with their tables.
    async fn stored(&self, needle: &str) -> anyhow::Result<Vec<String>> {
        let store = self.handle()?.store()?;
        let sql =
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let mut found = Vec::new();
        for table in store.query(sql, []).await? {
            let table = table.text(0).unwrap_or_default().to_owned();
            let sql = format!("SELECT * FROM {table}").leak();
            let rows = store.query(sql, []).await?;
            let rows = rows.iter().map(|row| format!("{table}: {row:?}"));
            found.extend(rows.filter(|row| row.contains(needle)));
        }
        Ok(found)
    }

    /// Waits until this stands nowhere in the bridge's database any more, but for what the kit knows repeats by for a
    /// while: sends, messages, how they fared and tasks that are done, when a room was unlinked; and what rooms were like.
    async fn is_forgotten(&self, needle: &str) -> anyhow::Result<()> {
        let mut left = Vec::new();
        let gone = self
            .until("it is forgotten", async || {
                let ages = [
                    "outbox:",
                    "messages:",
                    "tasks:",
                    "fates:",
                    "rooms:",
                    "state:",
                    "kv: Row([Text(\"unlinked\")",
                ];
                left = self.stored(needle).await?;
                left.retain(|row| !ages.iter().any(|kind| row.starts_with(kind)));
                Ok(left.is_empty())
            })
            .await;
        ensure!(gone.is_ok(), "{needle} is still in {left:#?}");
        Ok(())
    }
}

fn declared(
    settings: &Settings,
    way: &Way,
    inside: &Arc<Mutex<Option<Handle>>>,
) -> bridgehead_appservice::Service {
    let inside = inside.clone();
    service_by(settings, way).on_start(move |handle: Handle| {
        *inside.lock() = Some(handle);
        std::future::ready(())
    })
}
