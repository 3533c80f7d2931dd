//! The bridge: the Pond as the kit's `Network`.

// ANCHOR: head
use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bridgehead_appservice::{
    bridge::{
        Action, Bridge, Network, Outgoing, Portal, Receipt, Remote, RemoteMessage, RoomInfo,
        SendError, UserInfo,
    },
    prelude::*,
};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::link::{Dial, Line, Link};

/// How long making a connection may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);
/// What ids on the Pond begin with that are events of Matrix.
const OURS: &str = "matrix:";
/// Under this name it is remembered how far the Pond was read.
const SINCE: &str = "since";
// ANCHOR_END: head

// ANCHOR: service
/// The bridge, to a Pond that is reached like this.
pub(crate) fn service<D: Dial>(dial: D) -> Service {
    let pond = Pond {
        dial,
        link: Mutex::default(),
    };
    let bridge = Bridge::new(pond)
        .users("_pond_{nick}")
        .aliases("#pond_{channel}")
        .portals_when_asked();
    Service::new("pond").bot("pondbot").bridge(bridge).command(
        "where",
        "says where this room leads to",
        whither::<D>,
    )
}
// ANCHOR_END: service

// ANCHOR: network
/// The Pond, as a bridge sees it.
pub(crate) struct Pond<D> {
    dial: D,
    /// The connection, while there is one.
    link: Mutex<Weak<Link>>,
}

impl<D: Dial> Network for Pond<D> {
    /// The name of a channel.
    type Room = String;
    /// A nick.
    type User = String;

    const NAME: &'static str = "pond";
    const TITLE: &'static str = "the Pond";
    // ANCHOR_END: network

    // ANCHOR: run
    /// Pond → Matrix.
    async fn run(&self, remote: Remote<Self>) -> Result<(), HandlerError> {
        let store = remote.store()?;
        let stream = tokio::time::timeout(DIAL_TIMEOUT, self.dial.dial()).await??;
        let (read, write) = tokio::io::split(stream);
        let link = Arc::new(Link::new(write));
        *self.link.lock() = Arc::downgrade(&link);
        let since: u64 = store.get(SINCE).await?.unwrap_or(0);
        link.send(format!("SINCE {since}"));
        remote.connected();

        let mut lines = BufReader::new(read).lines();
        while let Some(line) = lines.next_line().await? {
            match Line::parse(&line) {
                Some(Line::Said {
                    number,
                    id,
                    channel,
                    nick,
                    text,
                }) => {
                    // What the bridge has said itself is in Matrix already.
                    if !id.starts_with(OURS) {
                        let message = RemoteMessage::new(number.to_string(), channel, nick, text);
                        remote.message(message).await?;
                    }
                    // After the message, not before: what is told again is there once.
                    store.put(SINCE, &number).await?;
                }
                Some(Line::Answer(id, answer)) => link.answered(&id, answer),
                None => {}
            }
        }
        Ok(())
    }
    // ANCHOR_END: run

    // ANCHOR: send
    /// Matrix → Pond.
    async fn send(&self, outgoing: Outgoing<Self>) -> Result<Receipt, SendError> {
        let Action::Message { content, .. } = &outgoing.action else {
            return Err(SendError::unsupported("the Pond knows only messages"));
        };
        // One line about whatever was sent: pictures and polls too.
        let Some(text) = content.describe() else {
            return Err(SendError::unsupported("there are no words for that"));
        };
        let id = format!("{OURS}{}", outgoing.key);
        let nick = outgoing.speaker.name.split_whitespace().collect::<Vec<_>>();
        let rest = format!("{} {} {text}", outgoing.room, nick.join("_"));

        let lost = || SendError::away("there is no connection to the Pond");
        let link = self.link.lock().upgrade();
        let told = link
            .and_then(|link| link.say(&id, &rest))
            .ok_or_else(lost)?;
        match told.await.map_err(|_| lost())? {
            Ok(()) => Ok(Receipt::new()),
            Err(reason) => Err(SendError::reject(reason)),
        }
    }
    // ANCHOR_END: send

    // ANCHOR: describe
    /// Who has a nick is somebody; `*` is the Pond itself.
    async fn describe_user(&self, nick: &String) -> Result<Option<UserInfo>, HandlerError> {
        let name = if nick == "*" { "The Pond" } else { nick };
        Ok(is_word(nick).then(|| UserInfo::named(name)))
    }

    /// Every word is a channel.
    async fn describe_room(
        &self,
        channel: &String,
    ) -> Result<Option<RoomInfo<Self>>, HandlerError> {
        let info = || RoomInfo::public(channel).about("a channel of the Pond");
        Ok(is_word(channel).then(info))
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace)
}
// ANCHOR_END: describe

// ANCHOR: command
/// `!pond where` in a portal; elsewhere the kit answers that it is of no use there.
async fn whither<D: Dial>(portal: Portal<Pond<D>>) -> String {
    format!("This is the channel {} of the Pond.", portal.remote)
}
// ANCHOR_END: command
