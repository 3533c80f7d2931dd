//! After a service made a room for somebody who wanted to join it.

use std::sync::Arc;

use bridgehead_room::Membership;
use bridgehead_store::AliasRow;
use ruma::{CanonicalJsonObject, OwnedUserId, UserId, room::JoinRuleKind};

use super::{MemberChange, change_membership};
use crate::{
    app::App,
    http::{auth::Requester, error::ApiError},
};

/// A service that made an invite-only room for this very join meant to let the joiner in: the
/// guide's own service makes such a room. The room's maker invites them, where it has the power.
pub(crate) async fn invite_after_lazy_creation(
    app: &Arc<App>,
    requester: &Requester,
    alias: &AliasRow,
) -> Result<(), ApiError> {
    let Some(view) = app.store.room_view(&alias.room_id).await? else {
        return Ok(());
    };
    let Ok(creator) = OwnedUserId::try_from(alias.creator.as_str()) else {
        return Ok(());
    };
    let invited = matches!(
        view.membership(&requester.user_id),
        Some(Membership::Join | Membership::Invite | Membership::Ban)
    );
    let wanted = !invited
        && view.join_rule() == JoinRuleKind::Invite
        && view.can_invite(&creator)
        && enabled(app, alias, &creator);
    if !wanted {
        return Ok(());
    }
    let change = MemberChange {
        room_id: view.room_id.clone(),
        sender: creator,
        target: requester.user_id.clone(),
        membership: Membership::Invite,
        reason: None,
        extra: CanonicalJsonObject::new(),
        ts: crate::http::time::now(app),
    };
    change_membership(app, change).await?;
    Ok(())
}

/// The server's setting, unless the registration of the service that made the alias has its own.
fn enabled(app: &App, alias: &AliasRow, creator: &UserId) -> bool {
    let registry = app.registry();
    registry
        .services_of_alias(&alias.alias)
        .iter()
        .filter(|service| registry.owns_user(service, creator))
        .find_map(|service| service.registration.bridgehead.lazy_alias_auto_invite)
        .unwrap_or(app.config.appservices.lazy_alias_auto_invite)
}
