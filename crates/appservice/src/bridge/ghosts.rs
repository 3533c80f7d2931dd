//! Ghosts with the names and pictures of those whom they stand for.

use std::sync::Arc;

use super::{
    Network, RemoteId, UserInfo, links::LinkKind, links::Links, live::Live, network::Undone,
};
use crate::{
    Error,
    core::Core,
    handler::GhostPlan,
    id::{MxcUri, UserId},
    media::{MediaError, MediaRepo},
};

/// Which ghost stands for whom, with the profile that it was given.
pub(crate) struct Users<N>(std::marker::PhantomData<fn() -> N>);

/// A profile as it was set last.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Profile {
    name: Option<String>,
    avatar: Option<MxcUri>,
}

impl<N: Network> LinkKind for Users<N> {
    const KIND: &'static str = "bridge/user";
    type Remote = N::User;
    type Matrix = UserId;
    type Data = Profile;

    fn kind() -> String {
        format!("bridge/{}/user", N::NAME)
    }
}

/// The ghost of a user: made, and named, if that was not done yet.
pub(crate) async fn ensure<N: Network>(
    live: &Live<N>,
    core: &Arc<Core>,
    user: &N::User,
) -> Result<UserId, Undone> {
    let links = Links::<Users<N>>::of(core);
    let ghost = live.ghost_id(user)?;
    if let Some(link) = links.by_remote(user).await?
        && link.matrix == ghost
    {
        return Ok(ghost);
    }
    let _alone = live.making.enter(&format!("user/{}", user.to_text())).await;
    let info = live.network().describe_user(user).await;
    let info = info.map_err(|error| Undone::later(&error))?;
    // Who speaks is there, whatever the network knows of them.
    let info = uploaded(core, Some(&ghost), info.unwrap_or_default()).await?;
    give(core, &ghost, &info).await?;
    links.link(user, &ghost, &profile(&info)).await?;
    Ok(ghost)
}

/// What a user is called, as far as it was noted with their ghost.
pub(crate) async fn name_of<N: Network>(core: &Core, user: &N::User) -> Option<String> {
    let link = Links::<Users<N>>::of(core).by_remote(user).await.ok()?;
    link?.data.name
}

/// Whether the ghost of a user was made.
pub(crate) async fn is_made<N: Network>(core: &Core, user: &N::User) -> Result<bool, Error> {
    let link = Links::<Users<N>>::of(core).by_remote(user).await?;
    Ok(link.is_some())
}

/// Gives a ghost another profile; one that is not there yet gets it when it is made.
pub(crate) async fn set_profile<N: Network>(
    live: &Live<N>,
    core: &Arc<Core>,
    user: &N::User,
    info: UserInfo,
) -> Result<(), Error> {
    let links = Links::<Users<N>>::of(core);
    let Some(link) = links.by_remote(user).await? else {
        return Ok(());
    };
    if link.data != profile(&info) {
        let _alone = live.making.enter(&format!("user/{}", user.to_text())).await;
        give(core, &link.matrix, &info).await?;
        links.link(user, &link.matrix, &profile(&info)).await?;
    }
    Ok(())
}

/// The same with its picture at the homeserver, uploaded `by` that ghost or by the service's own user. A picture that
/// the homeserver does not take is left out: nobody is to be silent for that.
pub(crate) async fn uploaded(
    core: &Arc<Core>,
    by: Option<&UserId>,
    mut info: UserInfo,
) -> Result<UserInfo, Error> {
    let Some(mut picture) = info.picture.take() else {
        return Ok(info);
    };
    if let Some(by) = by {
        picture = picture.by(by);
    }
    match MediaRepo::new(core).upload(picture).await {
        Ok(uri) => info.avatar = Some(uri),
        Err(MediaError::Homeserver(error))
            if error.is_transient() || matches!(error, Error::Stopping | Error::Store(_)) =>
        {
            return Err(error);
        }
        Err(error) => tracing::warn!(name = info.name, %error, "a picture is left out"),
    }
    Ok(info)
}

fn profile(info: &UserInfo) -> Profile {
    Profile {
        name: info.name.clone(),
        avatar: info.avatar.clone(),
    }
}

/// What the homeserver is asked for.
pub(crate) fn plan(info: &UserInfo) -> GhostPlan {
    let mut plan = GhostPlan::new();
    if let Some(name) = &info.name {
        plan = plan.name(name);
    }
    if let Some(avatar) = &info.avatar {
        plan = plan.avatar(avatar);
    }
    plan
}

async fn give(core: &Arc<Core>, ghost: &UserId, info: &UserInfo) -> Result<(), Error> {
    core.make_ghost(ghost, &plan(info)).await
}

/// The profile that the bridge knows of a user.
pub(crate) async fn known<N: Network>(
    live: &Live<N>,
    core: &Arc<Core>,
    user: &N::User,
) -> Result<UserInfo, Undone> {
    if let Some(link) = Links::<Users<N>>::of(core).by_remote(user).await? {
        return Ok(UserInfo {
            name: link.data.name,
            avatar: link.data.avatar,
            picture: None,
        });
    }
    let info = live.network().describe_user(user).await;
    let info = info.map_err(|error| Undone::later(&error))?;
    Ok(uploaded(core, None, info.unwrap_or_default()).await?)
}
