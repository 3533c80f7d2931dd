//! Those who talk and listen, on both sides.

use std::{sync::Arc, time::Duration};

use bridgehead_testkit::Client;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    Load,
    irc::Listener,
    ledger::{Ledger, Way},
    stage::Stage,
};

/// Requests at the same time, of all people together.
const AT_ONCE: usize = 16;
const SYNC: Duration = Duration::from_secs(20);

/// What a number is as a text.
pub(crate) fn text_of(way: Way, number: usize) -> String {
    match way {
        Way::ToIrc => format!("from Matrix: {number}"),
        Way::ToMatrix => format!("from IRC: {number}"),
    }
}

/// The number in a text.
pub(crate) fn number_in(way: Way, text: &str) -> Option<usize> {
    let begin = match way {
        Way::ToIrc => "from Matrix: ",
        Way::ToMatrix => "from IRC: ",
    };
    text.strip_prefix(begin)?.parse().ok()
}

/// One of Matrix.
struct Person {
    client: Client,
    channel: usize,
    room: Option<String>,
}

/// All of them.
pub(crate) struct People {
    matrix: Vec<Person>,
    irc: Vec<Listener>,
    /// Ended when this is dropped.
    listening: JoinSet<()>,
    ledger: Arc<Ledger>,
}

impl People {
    /// Signs everybody up, and has one of IRC enter each channel.
    pub(crate) async fn register(
        load: &Load,
        stage: &Stage,
        ledger: &Arc<Ledger>,
    ) -> anyhow::Result<Self> {
        let matrix = stream::iter(0..load.users).map(|number| async move {
            let client = stage.host.user(&format!("user{number}")).await?;
            anyhow::Ok(Person {
                client,
                channel: number % load.channels,
                room: None,
            })
        });
        let mut irc = Vec::new();
        for channel in 0..load.channels {
            irc.push(Listener::enter(stage.irc.port(), channel, ledger.clone()).await?);
        }
        Ok(Self {
            matrix: matrix.buffered(AT_ONCE).try_collect().await?,
            irc,
            listening: JoinSet::new(),
            ledger: ledger.clone(),
        })
    }

    /// Has the first so many join their channels.
    pub(crate) async fn join(&mut self, upto: usize) -> anyhow::Result<()> {
        let missing = self.matrix.iter_mut().take(upto);
        let missing = missing.filter(|person| person.room.is_none());
        stream::iter(missing)
            .map(|person| async move {
                let alias = format!("#irc_net_#load{}:localhost", person.channel);
                person.room = Some(person.client.join(&alias).await?);
                anyhow::Ok(())
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await
    }

    /// In each channel one listens from now on.
    pub(crate) async fn listen(&mut self) -> anyhow::Result<()> {
        for channel in 0..self.irc.len() {
            let person = self.matrix.iter().find(|person| person.channel == channel);
            let Some(client) = person.map(|person| person.client.clone()) else {
                continue;
            };
            let now = client.sync(None, Duration::ZERO).await?;
            let ledger = self.ledger.clone();
            self.listening.spawn(async move {
                if let Err(error) = watch(&client, channel, &ledger, now).await {
                    eprintln!("somebody on Matrix hears nothing any more: {error:#}");
                }
            });
        }
        Ok(())
    }

    /// So many messages of Matrix, everybody in turn.
    pub(crate) async fn say_on_matrix(
        &self,
        messages: usize,
        rate: Option<usize>,
    ) -> anyhow::Result<()> {
        stream::iter(turns(messages, rate))
            .map(|(turn, due)| async move {
                due.await;
                let person = &self.matrix[turn % self.matrix.len()];
                let number = self.ledger.say(Way::ToIrc);
                let room = person.room.as_deref().unwrap_or_default();
                let text = text_of(Way::ToIrc, number);
                person
                    .client
                    .send_text(room, &number.to_string(), &text)
                    .await?;
                anyhow::Ok(())
            })
            .buffered(AT_ONCE)
            .try_collect::<()>()
            .await
    }

    /// So many lines of IRC, channel by channel.
    pub(crate) async fn say_on_irc(
        &self,
        messages: usize,
        rate: Option<usize>,
    ) -> anyhow::Result<()> {
        for (turn, due) in turns(messages, rate) {
            due.await;
            let channel = turn % self.irc.len();
            let number = self.ledger.say(Way::ToMatrix);
            self.ledger.stands(Way::ToMatrix, channel, number);
            self.irc[channel].say(number).await?;
        }
        Ok(())
    }
}

/// So many turns, each with the time when it is due.
fn turns(
    messages: usize,
    rate: Option<usize>,
) -> impl Iterator<Item = (usize, impl Future<Output = ()>)> {
    let began = tokio::time::Instant::now();
    (0..messages).map(move |turn| {
        let after = rate.map(|rate| {
            Duration::from_secs(1) * u32::try_from(turn).unwrap_or(0)
                / u32::try_from(rate.max(1)).unwrap_or(1)
        });
        (turn, async move {
            if let Some(after) = after {
                tokio::time::sleep_until(began + after).await;
            }
        })
    })
}

/// Notes what is said in a room, on either side, for ever.
async fn watch(client: &Client, channel: usize, ledger: &Ledger, now: Value) -> anyhow::Result<()> {
    let mut since = now["next_batch"].as_str().unwrap_or_default().to_owned();
    loop {
        let news = client.sync(Some(&since), SYNC).await?;
        news["next_batch"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut since);
        let rooms = news["rooms"]["join"].as_object();
        for room in rooms.into_iter().flat_map(|rooms| rooms.values()) {
            let events = room["timeline"]["events"].as_array();
            for event in events.into_iter().flatten() {
                let text = event["content"]["body"].as_str().unwrap_or_default();
                if let Some(number) = number_in(Way::ToIrc, text) {
                    ledger.stands(Way::ToIrc, channel, number);
                } else if let Some(number) = number_in(Way::ToMatrix, text) {
                    ledger.hear(Way::ToMatrix, channel, number);
                }
            }
        }
    }
}
