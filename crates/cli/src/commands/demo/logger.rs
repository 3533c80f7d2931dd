//! The demo's application service, written with the kit: prints what it is told, makes rooms that somebody asks for.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::Context as _;
use bridgehead_appservice::{
    Database, Listen, Listening, Running, Setup,
    prelude::*,
    registration::{Generated, Registration},
    surroundings::Surroundings,
};
use tokio::sync::watch;

use super::{SERVER_NAME, tell};

/// The logger before it knows its homeserver: it has its port.
pub(super) struct Bound {
    held: TcpListener,
    address: SocketAddr,
}

/// The logger, running.
pub(super) struct Logger {
    seen: watch::Receiver<Vec<String>>,
    running: Running,
    listening: Listening,
}

impl Logger {
    /// Takes a free port.
    pub(super) fn bind() -> anyhow::Result<Bound> {
        let held = TcpListener::bind("127.0.0.1:0")?;
        let address = held.local_addr()?;
        Ok(Bound { held, address })
    }

    /// How many events it was told of.
    pub(super) fn count(&self) -> usize {
        self.seen.borrow().len()
    }

    /// Waits until it was told of an event.
    pub(super) async fn until(&mut self, event_id: &str, patience: Duration) -> anyhow::Result<()> {
        let told = self
            .seen
            .wait_for(|seen| seen.iter().any(|id| id == event_id));
        tokio::time::timeout(patience, told)
            .await
            .with_context(|| format!("the logger was not told of {event_id} in time"))?
            .context("the logger has ended")?;
        Ok(())
    }

    /// Ends it.
    pub(super) async fn stop(self) {
        self.listening.stop().await;
        self.running.stop().await;
    }
}

impl Bound {
    /// Where the homeserver reaches it.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its registration, with fresh tokens. Others may make rooms with its aliases too.
    pub(super) fn registration(&self) -> anyhow::Result<Generated> {
        let (sender, _) = watch::channel(Vec::new());
        let mut draft = logger(sender).registration(Some(&self.url()), SERVER_NAME)?;
        for namespace in &mut draft.aliases {
            namespace.exclusive = false;
        }
        draft
            .generate(|bytes| rand::Rng::fill_bytes(&mut rand::rng(), bytes))
            .map_err(|errors| anyhow::anyhow!("the registration is refused: {errors:?}"))
    }

    /// Starts it beside this homeserver.
    pub(super) async fn run(
        self,
        homeserver: &str,
        registration: Registration,
    ) -> anyhow::Result<Logger> {
        let (sender, seen) = watch::channel(Vec::new());
        let setup = Setup {
            registration,
            server_name: SERVER_NAME.to_owned(),
            homeserver: homeserver.to_owned(),
            database: Database::Memory,
            surroundings: Surroundings::default(),
        };
        let running = logger(sender).start(setup).await?;
        drop(self.held);
        let listening = running.listen(Listen::tcp(self.address)).await?;
        Ok(Logger {
            seen,
            running,
            listening,
        })
    }
}

/// What the logger does.
fn logger(seen: watch::Sender<Vec<String>>) -> Service {
    Service::new("logger")
        .bot("logging")
        .aliases("#logged_{topic}")
        .on(move |event: Timeline, delivery: Delivery| {
            let seen = seen.clone();
            async move {
                let told = describe(&event);
                tell(&format!(
                    "   [logger] transaction {}: {told}",
                    delivery.txn_id
                ));
                seen.send_modify(|seen| seen.push(event.id.to_string()));
            }
        })
        .on_alias(|ask: AliasAsk| async move {
            tell(&format!(
                "   [logger] asked for {}: making the room",
                ask.alias
            ));
            RoomPlan::public()
        })
}

fn describe(event: &Event) -> String {
    let content = &event.content;
    let detail = match (content["body"].as_str(), content["membership"].as_str()) {
        (Some(words), _) => format!(": {words}"),
        (None, Some(membership)) => {
            let member = event.state_key.as_deref().unwrap_or("?");
            format!(": {membership} {member}")
        }
        (None, None) => String::new(),
    };
    format!("{} from {}{detail}", event.kind, event.sender)
}
