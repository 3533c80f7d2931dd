//! What a room is told of what is held, and of what is not shown.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    Content, Error,
    bridge::{
        Network, RemoteId, calls, ghosts,
        live::Live,
        management,
        network::{Doing, Task, Undone, perform::Done},
        portal::Portal,
    },
    core::Core,
    format::{Rich, content::Kind, one_line},
    id::UserId,
    state::Membership,
    store::NewTask,
};

/// For how long lines that are not shown are gathered before the room is told of them.
const GATHERED: Duration = Duration::from_secs(60);

/// Lines that are told of in one go.
const MOST_TOLD: usize = 1000;

/// Speakers that are named in one notice.
const NAMED: usize = 10;

/// What the names of lanes begin with that have what is not shown.
const UNSHOWN: &str = "unshown/";

/// Whether it is such a lane.
pub(crate) fn is_unshown(lane: &str) -> bool {
    lane.starts_with(UNSHOWN)
}

/// The room whose lane it is, as the text of its id.
pub(crate) fn unshown_of(lane: &str) -> Option<&str> {
    lane.strip_prefix(UNSHOWN)
}

/// The task of telling a room of one line.
pub(super) fn unshown<N: Network>(room: &N::Room, user: &str) -> NewTask {
    let task = Task::Unshown {
        user: user.to_owned(),
    };
    task.row(format!("{UNSHOWN}{}", room.to_text()), None)
}

/// The task of telling a room what somebody lacks to speak there.
pub(super) async fn missing<N: Network>(
    live: &Live<N>,
    core: &Core,
    (room, user): (&N::Room, &str),
    (ghost, error): (&UserId, &Error),
) -> Option<Task> {
    let portal = live.portal(room).await.ok().flatten()?;
    let view = core.rooms.view(&portal.matrix).await.ok()?;
    let is_in = view.membership(ghost) == Some(Membership::Join);
    let who = name::<N>(core, user, Some(ghost)).await;
    let agent = portal.agent(core);
    let (cannot, cure) = match is_in {
        true => (
            "may not speak here",
            format!("Give {ghost} the power to, or {agent} the power to give it."),
        ),
        false => (
            "cannot come into this room",
            format!("Invite {ghost}, or give {agent} the power to invite."),
        ),
    };
    let text = format!(
        "{who} speaks on {}, and {cannot}: {}. It is kept for up to {}, and shown as soon as they may. {cure}",
        N::TITLE,
        one_line(&error.to_string()),
        words_of(core.limits.give_up_after),
    );
    Some(Task::Missing { text })
}

fn words_of(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60);
    match minutes {
        0..=120 => format!("{minutes} minutes"),
        _ => format!("{} hours", minutes / 60),
    }
}

/// What comes from the network, or from a homeserver, is no Markdown.
fn notice(text: &str) -> Content {
    Content::message(Kind::Notice, &Rich::plain(text))
}

/// Who somebody is, in words.
async fn name<N: Network>(core: &Core, user: &str, ghost: Option<&UserId>) -> String {
    let known = match N::User::from_text(user) {
        Some(user) => ghosts::name_of::<N>(core, &user).await,
        None => None,
    };
    let ghost = ghost.map(ToString::to_string);
    known
        .map(|name| one_line(&name))
        .or(ghost)
        .unwrap_or_else(|| one_line(user))
}

/// Says something in a room by the bridge; where it may not, tells who had it linked.
pub(super) async fn tell<N: Network>(
    doing: &Doing<'_, N>,
    portal: &Portal<N>,
    text: &str,
    effect: &str,
) -> Result<(), Error> {
    let (core, agent) = (doing.core, portal.agent(doing.core));
    let content = notice(text);
    let outgoing = management::notice(&portal.matrix, &agent, doing.key(effect), content);
    let refused = match calls::send(core, &outgoing).await {
        Err(error) if !error.may_pass() && !matches!(error, Error::Stopping | Error::Store(_)) => {
            error
        }
        sent => return sent.map(drop),
    };
    tracing::warn!(network = N::NAME, room.id = %portal.matrix, error = %refused, text, "the room cannot be told");
    if let Some(creator) = &portal.data.creator {
        let text = format!("In {}: {text}", portal.matrix);
        let key = doing.key(&format!("{effect}/creator"));
        let content = notice(&text);
        if let Err(error) = management::send(core, creator, content, key).await {
            if error.may_pass() {
                return Err(error);
            }
            tracing::warn!(%error, "whoever had it linked cannot be told either");
        }
    }
    Ok(())
}

/// Tells a room of all lines of which it was not told yet.
pub(super) async fn tell_unshown<N: Network>(doing: &Doing<'_, N>, portal: &Portal<N>) -> Done {
    let (row, now_ms) = (doing.row, doing.core.now_ms());
    let age = Duration::from_millis(u64::try_from(now_ms - row.created_ms).unwrap_or(0));
    if let Some(left) = GATHERED.checked_sub(age).filter(|left| !left.is_zero()) {
        return Err(Undone::After(left));
    }
    let (lane, before) = (row.task.lane.clone(), row.id - 1);
    let rows = doing
        .core
        .store
        .read(move |unit| unit.task_lane(N::NAME, &lane, before, MOST_TOLD))
        .await?;
    // It was told of with another.
    if rows.first().is_none_or(|first| first.id != row.id) {
        return Ok(None);
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in &rows {
        if let Ok(Task::Unshown { user }) = serde_json::from_str(&row.task.body) {
            *counts.entry(user).or_default() += 1;
        }
    }
    let text = told::<N>(doing.core, &counts).await;
    tell(doing, portal, &text, &format!("{}", rows.len())).await?;
    let told: Vec<i64> = rows.iter().map(|row| row.id).collect();
    Ok(Some(Box::new(move |unit| {
        told.iter().try_for_each(|id| unit.delete_task(*id))
    })))
}

/// `3 lines of Ann and 1 line of Bob on IRC are not shown here: …`.
async fn told<N: Network>(core: &Core, counts: &BTreeMap<String, usize>) -> String {
    let mut parts = Vec::new();
    for (user, lines) in counts.iter().take(NAMED) {
        let lines = match lines {
            1 => "1 line".to_owned(),
            lines => format!("{lines} lines"),
        };
        parts.push(format!("{lines} of {}", name::<N>(core, user, None).await));
    }
    let rest: usize = counts.values().skip(NAMED).sum();
    if rest > 0 {
        parts.push(format!("{rest} of others"));
    }
    format!(
        "Not shown here, though said on {}: {}. They could not be brought into this room for too long, there were too \
         many, or the homeserver has refused them; the bridge's log says which.",
        N::TITLE,
        parts.join(", "),
    )
}
