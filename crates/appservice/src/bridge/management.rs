//! People's own rooms with the service's user: where commands need no prefix, and where they are told things.
//!
//! Somebody invites the service's user to talk alone; it comes, if they may ([`Level::User`](super::Level::User)), and
//! remembers the room. When somebody is to be told something and there is no such room, it makes one.

use std::sync::Arc;

use super::{Level, LinkKind, Links};
use crate::{
    Content, Error, Event, HandlerError, Urgency,
    bridge::calls,
    core::Core,
    format::{Rich, content::Kind},
    handler::{Context, FromContext, Input, Rejection, RoomPlan, Scope, Verdict},
    id::{RoomId, UserId},
    outbox::{Outgoing, What},
    state::Membership,
};

/// Which room is whose with the service's user.
pub(super) struct OwnRooms;

impl LinkKind for OwnRooms {
    const KIND: &'static str = "bridge/management";
    type Remote = String;
    type Matrix = RoomId;
    type Data = ();
}

/// Telling people things in their own rooms with the service's user; a handler's argument.
#[derive(Clone)]
pub struct Management {
    core: Arc<Core>,
    scope: Option<Scope>,
}

impl Management {
    pub(crate) fn outside(core: Arc<Core>) -> Self {
        Self { core, scope: None }
    }

    /// Tells somebody something, in Markdown; makes the room, where there is none.
    ///
    /// # Errors
    /// The homeserver's no.
    pub async fn notify(&self, user: &UserId, text: &str) -> Result<(), Error> {
        let key = self.core.effect_key(self.scope.as_ref());
        notify(&self.core, user, text, key).await
    }

    /// Somebody's own room with the service's user, if there is one.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn room_of(&self, user: &UserId) -> Result<Option<RoomId>, Error> {
        room_of(&self.core, user).await
    }
}

impl FromContext for Management {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        Ok(Self {
            core: context.core.clone(),
            scope: Some(context.scope.clone()),
        })
    }
}

async fn room_of(core: &Core, user: &UserId) -> Result<Option<RoomId>, Error> {
    let link = Links::<OwnRooms>::of(core)
        .by_remote(&user.to_string())
        .await?;
    Ok(link.map(|link| link.matrix))
}

/// Whose own room it is, if it is somebody's.
pub(crate) async fn owner(core: &Core, room: &RoomId) -> Result<Option<UserId>, Error> {
    let link = Links::<OwnRooms>::of(core).by_matrix(room).await?;
    Ok(link.and_then(|link| UserId::parse(&link.remote).ok()))
}

/// A message into a room by one of the service's users.
pub(crate) fn notice(
    room: &RoomId,
    by: &UserId,
    key: String,
    content: impl Into<Notice>,
) -> Outgoing {
    let content = content.into().0;
    Outgoing {
        key,
        room_id: room.clone(),
        user: by.clone(),
        what: What::Event(content.event_type().to_owned()),
        content: content.into_json(),
        ts_ms: None,
        urgency: Urgency::Message,
    }
}

/// What a notice says: a content, or a text in Markdown.
pub(crate) struct Notice(Content);

impl From<Content> for Notice {
    fn from(content: Content) -> Self {
        Self(content)
    }
}

impl From<&str> for Notice {
    fn from(text: &str) -> Self {
        Self(Content::message(Kind::Notice, &Rich::from_markdown(text)))
    }
}

impl From<&String> for Notice {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

/// Tells somebody something; once for each key.
pub(crate) async fn notify(
    core: &Arc<Core>,
    user: &UserId,
    text: &str,
    key: String,
) -> Result<(), Error> {
    send(core, user, Notice::from(text).0, key).await
}

/// Sends somebody a message in their own room, which is made where there is none.
pub(crate) async fn send(
    core: &Arc<Core>,
    user: &UserId,
    content: Content,
    key: String,
) -> Result<(), Error> {
    if let Some(room) = room_of(core, user).await? {
        let outgoing = notice(&room, &core.bot, key.clone(), content.clone());
        let sent = match is_there(core, user, &room).await? {
            true => calls::send(core, &outgoing).await.map(drop),
            false => Err(Error::Forbidden("they have left".to_owned())),
        };
        match sent {
            Err(error) if calls::is_refused(&error) => {
                tracing::debug!(%user, room.id = %room, %error, "another room is made");
            }
            sent => return sent,
        }
    }
    let room = make(core, user).await?;
    let outgoing = notice(&room, &core.bot, format!("{key}/{room}"), content);
    calls::send(core, &outgoing).await.map(drop)
}

/// Whether somebody is in a room, or is invited, as far as it is known.
async fn is_there(core: &Core, user: &UserId, room: &RoomId) -> Result<bool, Error> {
    let view = core.rooms.view(room).await?;
    Ok(!matches!(
        view.membership(user),
        Some(Membership::Leave | Membership::Ban)
    ))
}

/// A room is somebody's own no more.
pub(crate) async fn forget(core: &Core, room: &RoomId) -> Result<(), Error> {
    if let Some(owner) = owner(core, room).await? {
        Links::<OwnRooms>::of(core)
            .unlink(&owner.to_string())
            .await?;
    }
    Ok(())
}

async fn make(core: &Arc<Core>, user: &UserId) -> Result<RoomId, Error> {
    let plan = RoomPlan::direct().invite([user]).name(&core.name);
    let making = format!("management/{user}");
    let room = core.make_named(&core.bot, plan, &making).await?;
    let link = Links::<OwnRooms>::of(core).linking(&user.to_string(), &room, &())?;
    core.store
        .write(move |unit| {
            link(unit)?;
            unit.end_making(&making)
        })
        .await?;
    Ok(room)
}

/// Looks after invitations of the service's user, and who is in people's own rooms.
pub(crate) async fn on_event(context: Context) -> Result<Verdict, HandlerError> {
    let Input::Event(event) = &context.input else {
        return Ok(Verdict::Done);
    };
    let core = &context.core;
    if event.kind != "m.room.member" || !core.answers_invitations() {
        return Ok(Verdict::Done);
    }
    let whom = event.state_key.as_deref().map(UserId::parse);
    let (Some(Ok(whom)), Some(membership)) = (whom, event.text("membership")) else {
        return Ok(Verdict::Done);
    };
    match membership {
        "invite" if whom == core.bot && !core.is_own(&event.sender) => invited(core, event).await?,
        "join" if !core.is_own(&whom) => joined(core, event, &whom).await?,
        "leave" | "ban" => left(core, event, &whom).await?,
        _ => {}
    }
    Ok(Verdict::Done)
}

async fn invited(core: &Arc<Core>, event: &Event) -> Result<(), Error> {
    let room = &event.room_id;
    // The room of a ban list: whoever invites, it is wanted there, and has nothing to say.
    if core.policies.is_list(room) {
        return joined_list(core, room).await;
    }
    if core.level(&event.sender) < Level::User {
        let reason = "you may not use this service: ask who runs it";
        return core.leave(&core.bot, room, Some(reason)).await;
    }
    let view = core.rooms.view(room).await?;
    if core.policies.bans_room(&view) {
        let reason = "this room is on a ban list that this service follows";
        return core.leave(&core.bot, room, Some(reason)).await;
    }
    match core.ensure_joined(&core.bot, room).await {
        // The invitation was taken back meanwhile.
        Err(error) if calls::is_refused(&error) || error.status() == Some(404) => return Ok(()),
        joined => joined?,
    }
    if core.bridges.awaits(room) {
        return Ok(());
    }
    let is_direct = event
        .content
        .get("is_direct")
        .and_then(serde_json::Value::as_bool);
    let text = match is_direct.unwrap_or(false) {
        true => {
            Links::<OwnRooms>::of(core)
                .link(&event.sender.to_string(), room, &())
                .await?;
            "Here you can talk to me alone: every message is a command. `help` lists them."
                .to_owned()
        }
        false => format!(
            "I am here. `{} help` says what I can do.",
            core.commands.prefix()
        ),
    };
    let outgoing = notice(room, &core.bot, format!("{}/welcome", event.id), &text);
    calls::send(core, &outgoing).await.map(drop)
}

async fn joined_list(core: &Arc<Core>, room: &RoomId) -> Result<(), Error> {
    match core.ensure_joined(&core.bot, room).await {
        Err(error) if calls::is_refused(&error) || error.status() == Some(404) => Ok(()),
        joined => joined,
    }
}

/// Somebody else comes into a person's own room: it is their own no more.
async fn joined(core: &Arc<Core>, event: &Event, whom: &UserId) -> Result<(), Error> {
    let Some(owner) = owner(core, &event.room_id).await? else {
        return Ok(());
    };
    if owner == *whom {
        return Ok(());
    }
    Links::<OwnRooms>::of(core)
        .unlink(&owner.to_string())
        .await?;
    let text = format!(
        "We are not alone here any more: from now on, commands begin with `{}`.",
        core.commands.prefix()
    );
    let key = format!("{}/not-alone", event.id);
    let outgoing = notice(&event.room_id, &core.bot, key, &text);
    calls::send(core, &outgoing).await.map(drop)
}

/// The owner, or the service's user, has left.
async fn left(core: &Arc<Core>, event: &Event, whom: &UserId) -> Result<(), Error> {
    let Some(owner) = owner(core, &event.room_id).await? else {
        return Ok(());
    };
    if *whom != owner && *whom != core.bot {
        return Ok(());
    }
    if *whom == owner {
        core.leave(&core.bot, &event.room_id, None).await?;
    }
    Links::<OwnRooms>::of(core)
        .unlink(&owner.to_string())
        .await?;
    Ok(())
}
