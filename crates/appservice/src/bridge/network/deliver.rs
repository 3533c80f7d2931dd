//! From Matrix to the network: what an event means there, and that each ends in a verdict.
//!
//! ```text
//! event ─▶ an echo? a command? ─▶ decide ─▶ say: Network::send ─▶ settle: what the sender is told
//! ```

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;

use super::{
    Action, Cause, Fate, Foreign, Network, Outgoing, Receipt, Rejected, Remote, SendError, Signal,
    Speaker, Together, echo,
    fold::{self, Now, Turn},
};
use crate::{
    Content, Event, HandlerError,
    bridge::{
        Level,
        live::{Held, Live, LiveRef},
        messages::{self, MessageRef, ReactionRef},
        portal::{self, Portal},
        status::{self, Known},
        translate, upgrade,
    },
    core::Core,
    format::one_line,
    handler::{Context, FromContext as _, Input, Receipt as ReadReceipt, Typing, Verdict},
    id::UserId,
    state::{RoomMember, RoomView},
};

/// Why nothing goes through a portal whose room is banned.
const LISTED_ROOM: &str = "this room is on a ban list that this bridge follows";

/// How long the network may take with one thing.
const SEND_TIMEOUT: Duration = Duration::from_secs(90);

/// How often something may be changed while it is on its way, before that is told behind it.
const MAX_CHANGES: usize = 16;

/// Looks at whatever has come, for one network.
pub(crate) async fn on_event<N: Network>(
    context: Context,
    Held(live): Held<N>,
) -> Result<Verdict, HandlerError> {
    let core = &context.core;
    match &context.input {
        Input::Ephemeral(_) => {
            signals(&live, &context).await?;
            Ok(Verdict::Done)
        }
        Input::Event(event) => {
            let portal = live.portal_at(&event.room_id).await?;
            if event.kind == "m.room.member" {
                portal::on_member(&live, core, event, portal.as_ref()).await?;
            }
            if event.kind == "m.room.redaction" {
                status::forget_words::<N>(core, event).await?;
            }
            let Some(portal) = portal else {
                return Ok(Verdict::Done);
            };
            if event.kind == "m.room.tombstone" {
                upgrade::begin(&live, event, &portal).await?;
                return Ok(Verdict::Done);
            }
            let carrying = Carrying {
                live: &live,
                context: &context,
                portal: &portal,
                again: None,
            };
            on_portal_event(&carrying, event).await
        }
        _ => Ok(Verdict::Done),
    }
}

async fn on_portal_event<N: Network>(
    carrying: &Carrying<'_, N>,
    event: &Arc<Event>,
) -> Result<Verdict, HandlerError> {
    let core = &carrying.context.core;
    let Some(foreign) = Foreign::<N>::of(core, event).await? else {
        return Ok(Verdict::Done);
    };
    if core.commands.is_prefixed(event) {
        return Ok(Verdict::Done);
    }
    if let Some(failed) = status::asked_again(carrying, event).await? {
        let again = Carrying {
            again: Some(event.id.clone()),
            ..*carrying
        };
        return status::carry_again(&again, &failed).await;
    }
    carry(carrying, foreign).await
}

/// An event on its way to the network.
pub(crate) struct Carrying<'a, N: Network> {
    pub(crate) live: &'a Arc<Live<N>>,
    pub(crate) context: &'a Context,
    pub(crate) portal: &'a Portal<N>,
    /// What has asked for another attempt, where it is one.
    pub(crate) again: Option<crate::id::EventId>,
}

/// Brings an event to the network, and sees to it that its sender knows how it fared.
pub(crate) async fn carry<N: Network>(
    carrying: &Carrying<'_, N>,
    foreign: Foreign<N>,
) -> Result<Verdict, HandlerError> {
    let core = &carrying.context.core;
    let known = status::known::<N>(core, &foreign.event.id).await?;
    // A handler behind this one has failed, and all are called again: this one is through with the event.
    if known
        .as_ref()
        .is_some_and(|known| known.is_decided(carrying.again.is_some()))
    {
        return Ok(Verdict::Done);
    }
    let is_pending = known.as_ref().is_some_and(Known::is_pending);
    // Before it is tried: the network may come back at any time.
    let lane = carrying.context.delivery.lane.clone();
    carrying.live.may_wait(&lane, carrying.portal);
    let told_with = known.as_ref().and_then(Known::told_with);
    let mut changes_left = MAX_CHANGES;
    let verdict = loop {
        let now =
            match fold::turn(carrying, &foreign, (told_with, changes_left < MAX_CHANGES)).await? {
                Turn::Now(now) => now,
                Turn::Over(verdict) => break verdict,
            };
        let decided = tokio::select! {
            biased;
            decided = decide(carrying, &now) => decided?,
            () = fold::overtaken(carrying, &now), if changes_left > 0 => {
                changes_left -= 1;
                continue;
            }
        };
        break match decided {
            Some((fate, is_said)) => {
                let told = (is_said, is_pending);
                status::settle(carrying, &now.event.event, fate, told).await?
            }
            None => Verdict::Done,
        };
    };
    if !matches!(verdict, Verdict::Wait { .. }) {
        carrying.live.waits_no_more(&lane);
    }
    Ok(verdict)
}

/// How an event fares, and whether its sender is told; `None`: it is nothing for the network.
async fn decide<N: Network>(
    carrying: &Carrying<'_, N>,
    now: &Now<N>,
) -> Result<Option<(Fate, bool)>, HandlerError> {
    let foreign = &now.event;
    let (live, core, portal) = (carrying.live, &carrying.context.core, carrying.portal);
    let event = foreign.event.clone();
    // Who is not heard is not heard through the author's handlers either: the words of those are the author's.
    if !is_barred(core, &event.sender)
        && let Some(fate) = authors_own(carrying, &event).await
    {
        let is_said = !event.is_state() || !is_of_person(live, &event);
        return Ok(Some((fate, is_said)));
    }
    let action = match translate::action(live, core, portal, foreign).await? {
        // What is told by it is told.
        None if now.has_others() => return Ok(Some((Fate::Delivered(Receipt::new()), true))),
        None => return Ok(None),
        Some(Err(rejected)) => return Ok(Some((Fate::Rejected(rejected), true))),
        Some(Ok(action)) => action,
    };
    let is_said = action.is_said();
    let unheard = unheard(core, portal, (&action, &event)).await?;
    // Who only comes or goes has asked for nothing. Where it is the network that does not let the bridge in, it may yet
    // let them in, and has to know who stays and who does not.
    if !is_said && (unheard.is_some() || portal.data.is_put_out) {
        return Ok(None);
    }
    if let Some(rejected) = unheard {
        return Ok(Some((Fate::Rejected(rejected), is_said)));
    }
    let attempt = carrying.context.delivery.attempt;
    let said = (action, attempt, now.together.clone());
    let fate = say(live, core, portal, event, said).await;
    Ok(Some((fate, is_said)))
}

/// Whether nothing of somebody may reach the network.
fn is_barred(core: &Core, who: &UserId) -> bool {
    !core.is_own(who) && core.level(who) < Level::Relay
}

/// Why something does not reach the network, whatever the network makes of it; `None`, where it may.
async fn unheard<N: Network>(
    core: &Core,
    portal: &Portal<N>,
    (action, event): (&Action<N>, &Event),
) -> Result<Option<Rejected>, crate::Error> {
    let who = action.subject(event);
    if is_barred(core, &who) {
        let why = core.listed(&who);
        let why = why.unwrap_or_else(|| "you may not use this bridge".to_owned());
        return Ok(Some(Rejected::new(Cause::Forbidden, why).quiet()));
    }
    let view = core.rooms.view(&portal.matrix).await?;
    if core.policies.bans_room(&view) {
        return Ok(Some(Rejected::new(Cause::Forbidden, LISTED_ROOM)));
    }
    let broken = portal.data.broken.as_ref().filter(|_| action.is_said());
    let why = broken.map(|broken| format!("this room is cut off: {broken}"));
    Ok(why.map(|why| Rejected::new(Cause::Network, why)))
}

/// Whether it is about somebody of Matrix who comes or goes.
fn is_of_person<N: Network>(live: &Live<N>, event: &Event) -> bool {
    let whom = event.state_key.as_deref().map(UserId::parse);
    event.kind == "m.room.member"
        && !matches!(whom, Some(Ok(whom)) if live.user_of(&whom).is_some())
}

/// What the author's own handlers make of an event: the first that takes it decides.
async fn authors_own<N: Network>(carrying: &Carrying<'_, N>, event: &Arc<Event>) -> Option<Fate> {
    for handler in &carrying.live.plan.handlers {
        let context = Context {
            input: Input::Event(event.clone()),
            ..carrying.context.clone()
        };
        match AssertUnwindSafe(handler.call(context)).catch_unwind().await {
            Ok(None) => {}
            Ok(Some(Ok(fate))) => return Some(fate),
            Ok(Some(Err(error))) => {
                return Some(Fate::Retrying {
                    after: None,
                    reason: error.to_string(),
                });
            }
            Err(_) => {
                let reason = "something in the bridge is broken";
                return Some(Fate::Rejected(Rejected::new(Cause::Internal, reason)));
            }
        }
    }
    None
}

/// Says what an author's handler has made of an event, if its sender is heard.
pub(crate) async fn say_authors<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    portal: &Portal<N>,
    event: Arc<Event>,
    (action, attempt): (Action<N>, u32),
) -> Fate {
    match unheard(core, portal, (&action, &event)).await {
        Ok(None) => say(live, core, portal, event, (action, attempt, Vec::new())).await,
        Ok(Some(rejected)) => Fate::Rejected(rejected),
        Err(error) => SendError::from(error).into_fate(),
    }
}

/// Says something on the network, once, and remembers what it is called there.
async fn say<N: Network>(
    live: &Arc<Live<N>>,
    core: &Arc<Core>,
    portal: &Portal<N>,
    event: Arc<Event>,
    (action, attempt, together): (Action<N>, u32, Vec<Together>),
) -> Fate {
    match echo::is_there::<N>(core, &event.id).await {
        Ok(false) => {}
        // The network has it: the service was ended before that was noted.
        Ok(true) => return Fate::Delivered(Receipt::new()),
        Err(error) => return SendError::from(error).into_fate(),
    }
    let who = action.subject(&event);
    let speaker = speaker(live, core, portal, (&event, who)).await;
    let action = relayed(live, action, &speaker);
    let outgoing = Outgoing {
        key: event.id.to_string(),
        room: portal.remote.clone(),
        room_id: portal.matrix.clone(),
        speaker,
        action: action.clone(),
        together,
        sent_at_ms: event.sent_at_ms,
        attempt,
        event: event.clone(),
        remote: Remote::new(LiveRef::new(live)),
    };
    let room = crate::bridge::RemoteId::to_text(&portal.remote);
    let _on_its_way = match N::ECHOES {
        true => Some(live.sending.enter(&room).await),
        false => None,
    };
    let sending = AssertUnwindSafe(live.network().send(outgoing)).catch_unwind();
    let sent = match tokio::time::timeout(SEND_TIMEOUT, sending).await {
        Err(_) => Err(SendError::retry(format!("{} does not answer", N::TITLE))),
        Ok(Err(_)) => Err(SendError::Reject(Rejected::new(
            Cause::Internal,
            "something in the bridge is broken",
        ))),
        Ok(Ok(sent)) => sent,
    };
    match sent {
        Ok(receipt) => match remember(core, portal, &event, (&action, &receipt)).await {
            Ok(()) => Fate::Delivered(receipt),
            // It is there; that it cannot be found again later is the lesser evil.
            Err(error) => {
                tracing::error!(network = N::NAME, %error, "a message's id on the network is lost");
                Fate::Delivered(receipt)
            }
        },
        Err(error) => error.into_fate(),
    }
}

impl SendError {
    fn into_fate(self) -> Fate {
        Err(self).into()
    }
}

/// Stores what an event is called on the network.
pub(super) async fn remember<N: Network>(
    core: &Core,
    portal: &Portal<N>,
    event: &Event,
    (action, receipt): (&Action<N>, &Receipt),
) -> Result<(), crate::Error> {
    let mut message = MessageRef::new(
        &portal.matrix,
        &event.id,
        &event.sender,
        receipt.ids.clone(),
    );
    message.said_at_ms = Some(event.sent_at_ms);
    match action {
        Action::Message { content, .. } => {
            message.map = receipt.map.clone();
            message.content = Some(match N::EDITS {
                true => content.clone(),
                // An edit is said in words, of what the sender has said and not the relay.
                false => Content::new(&event.kind, event.content.clone()),
            });
        }
        Action::React { target, key } => {
            // As the network's own would be, so that its echo is known.
            if let Some((by, target)) = receipt.by.as_ref().zip(target.ids.first()) {
                message.ids.push(messages::reaction_id(target, by, key));
            }
            message.reaction = Some(ReactionRef {
                target: target.ids.clone(),
                key: key.clone(),
            });
        }
        Action::Edit { target, content } => {
            message = target.clone();
            message.content = Some(content.clone());
            if !receipt.ids.is_empty() {
                message.ids = receipt.ids.clone();
                message.map = receipt.map.clone();
            }
        }
        Action::Unreact { reaction } => {
            return Ok(messages::forget::<N>(core, reaction).await?);
        }
        _ => return Ok(()),
    }
    let (room, now_ms) = (
        crate::bridge::RemoteId::to_text(&portal.remote),
        core.now_ms(),
    );
    let old = message.events.first().map(ToString::to_string);
    // Said in words, an edit is a message; what it is an edit of is that now, for the next one.
    let said = Content::new(&event.kind, event.content.clone());
    let edited = said.is_edit_of().zip(said.new_content());
    core.store
        .write(move |unit| {
            // An edit may have changed the number of parts.
            if let Some(old) = old {
                unit.delete_messages_of(N::NAME, &old)?;
            }
            unit.link_message::<N>(&room, &message, now_ms)?;
            let Some((target, content)) = edited else {
                return Ok(());
            };
            match unit.message_in::<N>(&room, target.as_str())? {
                Some(mut original) if !N::EDITS => {
                    original.content = Some(content);
                    unit.link_message::<N>(&room, &original, now_ms)
                }
                _ => Ok(()),
            }
        })
        .await?;
    Ok(())
}

/// Who speaks.
pub(super) async fn speaker<N: Network>(
    live: &Live<N>,
    core: &Core,
    portal: &Portal<N>,
    (event, who): (&Event, UserId),
) -> Speaker {
    let view = core.rooms.view(&portal.matrix).await.ok();
    let view = view.as_deref();
    let member = view.and_then(|view| view.member(&who));
    let name = member.and_then(|member| member.displayname.as_deref());
    let name = name.map(one_line).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| who.localpart().to_owned());
    let content = Content::new(&event.kind, event.content.clone());
    let mut profile = content.profile();
    if let Some(name) = profile.as_mut().and_then(|profile| profile.name.as_mut()) {
        *name = told_apart(view, &who, one_line(name));
    }
    Speaker {
        name: told_apart(view, &who, name),
        avatar: member.and_then(|member| member.avatar_url.clone()),
        has_account: live.network().has_account(&who, &portal.remote).await,
        profile,
        user_id: who,
    }
}

/// The name that somebody goes by, with their id where others in the room go by it.
fn told_apart(view: Option<&RoomView>, who: &UserId, name: String) -> String {
    let is_namesake = |other: &RoomMember| {
        let others = other.displayname.as_deref().map(one_line);
        other.is_joined() && other.user_id != *who && others.as_deref() == Some(name.as_str())
    };
    match view.is_some_and(|view| view.members().any(is_namesake)) {
        true => format!("{name} ({who})"),
        false => name,
    }
}

/// What is said, in the relay's words for those without an account.
pub(super) fn relayed<N: Network>(
    live: &Live<N>,
    action: Action<N>,
    speaker: &Speaker,
) -> Action<N> {
    let Some(relay) = live.plan.relay.as_ref().filter(|_| !speaker.has_account) else {
        return action;
    };
    match action {
        Action::Message { content, reply_to } => Action::Message {
            content: relay.relayed(&content, speaker),
            reply_to,
        },
        Action::Edit { target, content } => Action::Edit {
            content: relay.relayed(&content, speaker),
            target,
        },
        other => other,
    }
}

/// Typing and receipts, for networks that want them.
async fn signals<N: Network>(live: &Live<N>, context: &Context) -> Result<(), HandlerError> {
    if N::TYPING
        && let Ok(typing) = Typing::from_context(context).await
        && let Some(portal) = live.portal_at(&typing.room_id).await?
    {
        let people = typing.users;
        let room = portal.remote;
        live.network().signal(Signal::Typing { room, people }).await;
    }
    if N::RECEIPTS
        && let Ok(receipt) = ReadReceipt::from_context(context).await
        && let Some(portal) = live.portal_at(&receipt.room_id).await?
    {
        for (person, event, kind) in receipt.reads {
            let message = match kind.as_str() {
                "m.read" => messages::in_room::<N>(&context.core, &portal.remote, &event).await?,
                _ => None,
            };
            if let Some(message) = message {
                let room = portal.remote.clone();
                live.network()
                    .signal(Signal::Read {
                        room,
                        person,
                        message: Box::new(message),
                    })
                    .await;
            }
        }
    }
    Ok(())
}
