//! Membership: join, invite, knock, leave, kick, ban, unban.
//!
//! Whether a change is allowed is the room engine's to say; here are the steps around it: asking
//! services about unknown ghosts, profiles in member events, restricted joins.

use std::sync::Arc;

use bridgehead_room::{Membership, NewEvent, RoomView};
use bridgehead_store::Tx;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId,
    OwnedUserId, room::JoinRuleKind,
};

use super::{AppendContext, AppendError, AppendRequest, append_in};
use crate::{
    app::App,
    appservices::Existence,
    http::{auth::Requester, error::ApiError},
};

/// A change of somebody's membership.
#[derive(Clone)]
pub(crate) struct MemberChange {
    /// The room.
    pub(crate) room_id: OwnedRoomId,
    /// Who makes the change.
    pub(crate) sender: OwnedUserId,
    /// Whose membership it is.
    pub(crate) target: OwnedUserId,
    /// The membership wanted.
    pub(crate) membership: Membership,
    /// Why, for people.
    pub(crate) reason: Option<String>,
    /// Further keys of the content (`is_direct`, a profile given by the sender).
    pub(crate) extra: CanonicalJsonObject,
    /// `origin_server_ts`.
    pub(crate) ts: MilliSecondsSinceUnixEpoch,
}

/// Makes the change in its own unit of work. An invite of an unknown ghost asks its service first.
pub(crate) async fn change_membership(
    app: &Arc<App>,
    change: MemberChange,
) -> Result<OwnedEventId, ApiError> {
    if change.membership == Membership::Invite {
        ensure_invitable(app, &change.target).await?;
    }
    let context = app.append_context();
    Ok(app
        .store
        .write(move |tx| change_membership_in(tx, &context, change))
        .await?)
}

/// Asks the services of an unknown local user whether it exists; an exclusive namespace's *no*
/// refuses the invite.
pub(crate) async fn ensure_invitable(app: &Arc<App>, target: &OwnedUserId) -> Result<(), ApiError> {
    if !app.is_local(target) {
        return Err(ApiError::forbidden(format!(
            "{target} belongs to another server, and this one does not federate"
        )));
    }
    let exclusive = app.registry().is_user_exclusive(target.as_str());
    match app.queries.user(app, target).await? {
        Existence::Existed | Existence::Created => Ok(()),
        Existence::No
            if exclusive
                && app.config.appservices.refuse_unknown_ghost_invite
                && !relaxed(app, target) =>
        {
            Err(ApiError::not_found(format!(
                "There is no user {target}: its application service says so"
            )))
        }
        Existence::Unavailable if exclusive => Err(ApiError::timeout(
            "The application service that owns this user did not answer; try again later",
        )),
        Existence::No | Existence::Unavailable | Existence::Unowned => Ok(()),
    }
}

/// `relax_user_query` in the registration: the service wants invites of unknown ghosts.
fn relaxed(app: &App, target: &OwnedUserId) -> bool {
    app.registry()
        .services_of_user(target.as_str())
        .iter()
        .any(|service| service.registration.bridgehead.relax_user_query == Some(true))
}

/// Makes the change inside a unit of work.
pub(crate) fn change_membership_in(
    tx: &mut Tx<'_>,
    context: &AppendContext,
    change: MemberChange,
) -> Result<OwnedEventId, AppendError> {
    let view = tx
        .room_view(change.room_id.as_str())?
        .ok_or(AppendError::RoomNotFound)?;
    let current = view.membership(&change.target);
    if let Some(answer) = already_so(&view, &change, current) {
        return answer;
    }
    if change.membership == Membership::Leave {
        check_leave(&change, current)?;
    }
    let mut content = change.extra;
    let own = change.sender == change.target;
    if matches!(
        change.membership,
        Membership::Join | Membership::Invite | Membership::Knock
    ) {
        fill_profile(tx, &mut content, &change.target)?;
    }
    if change.membership == Membership::Join && own {
        check_guest(tx, &view, &change.target)?;
        authorise_restricted(tx, context, &view, &change.target, &mut content)?;
    }
    insert(&mut content, "membership", change.membership.as_str());
    if let Some(reason) = change.reason {
        insert(&mut content, "reason", &reason);
    }
    let event = NewEvent {
        sender: change.sender,
        event_type: "m.room.member".to_owned(),
        state_key: Some(change.target.to_string()),
        content,
        redacts: None,
        origin_server_ts: change.ts,
    };
    append_in(
        tx,
        context,
        AppendRequest {
            room_id: change.room_id,
            event,
            txn: None,
            device_id: None,
        },
    )
}

/// Joining where one is joined, leaving where one has left: nothing happens, and the answer is
/// yes. Inviting a member is refused in the words that bridges look for.
fn already_so(
    view: &RoomView,
    change: &MemberChange,
    current: Option<Membership>,
) -> Option<Result<OwnedEventId, AppendError>> {
    let standing = || {
        view.state_event("m.room.member", change.target.as_str())
            .map(|event| Ok(event.event_id.clone()))
    };
    match (change.membership, current) {
        (Membership::Join, Some(Membership::Join))
            if change.extra.is_empty() && change.sender == change.target =>
        {
            standing()
        }
        (Membership::Leave, Some(Membership::Leave)) if change.sender == change.target => {
            standing()
        }
        // The room's rules answer strangers, who must not learn from it who is in the room.
        _ if view.membership(&change.sender) != Some(Membership::Join) => None,
        (Membership::Ban, Some(Membership::Ban)) => standing(),
        (Membership::Invite, Some(Membership::Join)) => Some(Err(AppendError::NotAllowed(
            format!("{} is already in the room", change.target),
        ))),
        _ => None,
    }
}

/// Guests join only where the room lets them (client-server API, "Guest access").
fn check_guest(tx: &Tx<'_>, view: &RoomView, user_id: &OwnedUserId) -> Result<(), AppendError> {
    if view.guest_access().as_deref() == Some("can_join")
        || tx.user(user_id.as_str())?.is_none_or(|user| !user.is_guest)
    {
        return Ok(());
    }
    Err(ApiError::guest_access_forbidden("This room takes no guests").into())
}

fn check_leave(change: &MemberChange, current: Option<Membership>) -> Result<(), AppendError> {
    match current {
        Some(_) => Ok(()),
        None => Err(AppendError::NotAllowed(format!(
            "{} is not in the room",
            change.target
        ))),
    }
}

/// The target's profile, where the sender gave none.
fn fill_profile(
    tx: &Tx<'_>,
    content: &mut CanonicalJsonObject,
    target: &OwnedUserId,
) -> Result<(), AppendError> {
    for (key, value) in member_content(tx, target)? {
        content.entry(key).or_insert(value);
    }
    Ok(())
}

/// `displayname` and `avatar_url` of a local user, as far as they are set.
pub(crate) fn member_content(
    snapshot: &bridgehead_store::Snapshot<'_>,
    user_id: &OwnedUserId,
) -> bridgehead_store::Result<CanonicalJsonObject> {
    #[derive(serde::Deserialize)]
    struct Profile {
        displayname: Option<String>,
        avatar_url: Option<String>,
    }
    let mut content = CanonicalJsonObject::new();
    let Some(profile) = snapshot.profile(user_id.as_str())? else {
        return Ok(content);
    };
    if let Ok(profile) = serde_json::from_str::<Profile>(&profile) {
        if let Some(name) = profile.displayname {
            insert(&mut content, "displayname", &name);
        }
        if let Some(url) = profile.avatar_url {
            insert(&mut content, "avatar_url", &url);
        }
    }
    Ok(content)
}

/// A restricted room lets members of certain other rooms in; a resident user with the power to
/// invite vouches for them (room version 8, "restricted").
fn authorise_restricted(
    tx: &mut Tx<'_>,
    context: &AppendContext,
    view: &RoomView,
    user_id: &OwnedUserId,
    content: &mut CanonicalJsonObject,
) -> Result<(), AppendError> {
    // Only this server says who vouches.
    content.remove("join_authorised_via_users_server");
    let restricted = matches!(
        view.join_rule(),
        JoinRuleKind::Restricted | JoinRuleKind::KnockRestricted
    );
    let inside = matches!(
        view.membership(user_id),
        Some(Membership::Join | Membership::Invite)
    );
    if !restricted || inside {
        return Ok(());
    }
    let mut allowed = false;
    for room_id in view.allowed_rooms() {
        allowed |= tx
            .room_view(room_id.as_str())?
            .is_some_and(|other| other.membership(user_id) == Some(Membership::Join));
    }
    if !allowed {
        return Err(AppendError::NotAllowed(
            "You are in none of the rooms whose members may join this room".to_owned(),
        ));
    }
    if let Some(voucher) = view.restricted_join_authoriser(context.key.server_name()) {
        insert(
            content,
            "join_authorised_via_users_server",
            voucher.as_str(),
        );
    }
    Ok(())
}

fn insert(content: &mut CanonicalJsonObject, key: &str, value: &str) {
    content.insert(key.into(), CanonicalJsonValue::String(value.to_owned()));
}

/// A user joins by itself.
pub(crate) async fn join(
    app: &Arc<App>,
    requester: &Requester,
    room_id: OwnedRoomId,
    reason: Option<String>,
    extra: CanonicalJsonObject,
    ts: MilliSecondsSinceUnixEpoch,
) -> Result<OwnedEventId, ApiError> {
    let change = MemberChange {
        room_id,
        sender: requester.user_id.clone(),
        target: requester.user_id.clone(),
        membership: Membership::Join,
        reason,
        extra,
        ts,
    };
    change_membership(app, change).await
}
