//! Telling people that the service cannot act for them any more.

use std::sync::Weak;

use tokio::sync::mpsc;

use crate::{
    Content, Error, Urgency,
    core::Core,
    format::content::Kind,
    handler::RoomPlan,
    id::{RoomId, UserId},
    outbox::{Outgoing, What},
};

/// Where the rooms are kept in which the service tells a person something.
const DIRECT: &str = "direct";

/// Looks after lost tokens, one after another, until the service ends.
pub(super) async fn watch(core: Weak<Core>, mut losses: mpsc::Receiver<UserId>) {
    while let Some(user) = losses.recv().await {
        let Some(core) = core.upgrade() else { return };
        let told = tokio::select! {
            told = tell(&core, &user) => told,
            () = core.stopping() => return,
        };
        if let Err(error) = told {
            tracing::warn!(%user, %error, "a person could not be told that their token is lost");
        }
    }
}

async fn tell(core: &Core, user: &UserId) -> Result<(), Error> {
    let (id, now_ms) = (user.to_string(), core.now_ms());
    let is_news = core
        .store
        .write(move |unit| unit.lose_puppet(&id, now_ms))
        .await?;
    if !is_news {
        return Ok(());
    }
    tracing::info!(%user, "a puppet's token is no longer good");
    let text = format!(
        "{} cannot act for you any more: the access token that you had given is no longer good. What you say on the other \
         network comes from a ghost of yours until you give another one.",
        core.name
    );
    core.tell_person(user, &text).await
}

impl Core {
    /// Says something to a person alone, as the service's own user, in a room that is made for it once.
    async fn tell_person(&self, user: &UserId, text: &str) -> Result<(), Error> {
        let key = user.to_string();
        let known = self.store.read(move |unit| unit.kv(DIRECT, &key)).await?;
        if let Some(room) = known.and_then(|room| RoomId::parse(&room).ok()) {
            match self.say(&room, text).await {
                // The room is no more for the service's own user.
                Err(error) if matches!(error.status(), Some(403 | 404)) => {}
                said => return said,
            }
        }
        let name = format!("{} (messages of the service)", self.name);
        let room = self
            .create_room(RoomPlan::direct().name(&name).invite([user]))
            .await?;
        let (key, value) = (user.to_string(), room.to_string());
        self.store
            .write(move |unit| unit.put_kv(DIRECT, &key, &value))
            .await?;
        self.say(&room, text).await
    }

    async fn say(&self, room: &RoomId, text: &str) -> Result<(), Error> {
        let outgoing = Outgoing {
            key: self.effect_key(None),
            room_id: room.clone(),
            user: self.bot.clone(),
            what: What::Event("m.room.message".to_owned()),
            content: Content::plain(Kind::Notice, text).into_json(),
            ts_ms: None,
            urgency: Urgency::Message,
        };
        self.send(&outgoing).await.map(drop)
    }
}
