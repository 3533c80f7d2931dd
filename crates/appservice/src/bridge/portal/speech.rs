//! Who may speak in a portal, where the network's room lets only some speak (*moderated*).
//!
//! ```text
//! the room's own level is noted ──the network: from N──▶ it takes N, unless it takes more already
//!        ▲                                                          │
//!        └── the own level again, where people have not lowered it ─┘ the network: all
//! ```
//!
//! It is brought about whenever the network says how it is there, not when that changes: so what was missed meanwhile is
//! made good. What people of Matrix make of the level themselves is theirs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Portal, Rooms};
use crate::{
    Error,
    bridge::{Network, calls, links::Links, network::Doing},
    state::power,
};

const POWER_LEVELS: &str = "m.room.power_levels";

/// What it takes to speak in a portal that the bridge has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speech {
    /// The level that the room asks for by itself.
    own: i64,
    /// The level that the network asks for at least; 0: none.
    #[serde(default)]
    asked: i64,
}

impl Speech {
    /// What is to be remembered, and the level that is to be set, if it is another than the room has now.
    fn next(before: Option<Self>, now: i64, asked: i64) -> (Self, Option<i64>) {
        let known = before.unwrap_or(Self { own: now, asked: 0 });
        let is_raised = known.asked > 0;
        if asked > 0 {
            // What is less than that has been so by itself, unless it was raised before.
            let own = match is_raised || now >= asked {
                true => known.own,
                false => now,
            };
            return (Self { own, asked }, (now < asked).then_some(asked));
        }
        match is_raised && known.own < known.asked && now >= known.asked {
            true => (Self { asked, ..known }, Some(known.own)),
            // Nobody has raised it, or people have changed it since.
            false => (Self { own: now, asked }, None),
        }
    }
}

/// Lets those speak in a portal who have at least this level, or with 0 those whom the room lets speak by itself. Where
/// the bridge has not the power for it, all stays as it is, and is tried again the next time.
pub(super) async fn let_speak<N: Network>(
    doing: &Doing<'_, N>,
    portal: &mut Portal<N>,
    asked: i64,
) -> Result<(), Error> {
    let (core, room, agent) = (doing.core, &portal.matrix, portal.agent(doing.core));
    let heard = calls::heard_state(core, room, POWER_LEVELS, "").await?;
    let next =
        |content: Option<&Value>| Speech::next(portal.data.speech, power::to_speak(content), asked);
    let (speech, level) = next(heard.as_ref());
    if level.is_none() && portal.data.speech == Some(speech) {
        return Ok(());
    }
    // What was heard may be older than what the room has now.
    let current = match calls::state(core, &agent, room, (POWER_LEVELS, "")).await {
        Err(error) if calls::is_refused(&error) => return Ok(()),
        current => current?,
    };
    let (speech, level) = next(current.as_ref());
    if asked > 0 {
        // Known before it is raised, so that a crash in between does not take the raised level for the room's own.
        keep(doing, portal, speech).await?;
    }
    if let Some(level) = level {
        match doing.core.let_speak(&agent, &portal.matrix, level).await {
            Err(error) if calls::is_refused(&error) => {
                tracing::debug!(user = %agent, room.id = %portal.matrix, %error, "may not say who may speak in the room");
                return Ok(());
            }
            done => done?,
        }
    }
    keep(doing, portal, speech).await
}

async fn keep<N: Network>(
    doing: &Doing<'_, N>,
    portal: &mut Portal<N>,
    speech: Speech,
) -> Result<(), Error> {
    if portal.data.speech == Some(speech) {
        return Ok(());
    }
    portal.data.speech = Some(speech);
    let links = Links::<Rooms<N>>::of(doing.core);
    let kept = links.link(&portal.remote, &portal.matrix, &portal.data);
    Ok(kept.await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a room when people and the network change it one after another: `>5` are people, `+1` and `+0`
    /// the network.
    fn check(begin: i64, steps: &str, wanted: i64) {
        let (mut speech, mut now) = (None, begin);
        for step in steps.split(' ') {
            let (who, level) = step.split_at(1);
            let level: i64 = level.parse().expect("a level");
            if who == ">" {
                now = level;
                continue;
            }
            let (next, set) = Speech::next(speech, now, level);
            speech = Some(next);
            assert_ne!(set, Some(now), "{begin}: {steps}: it is so already");
            now = set.unwrap_or(now);
        }
        assert_eq!(now, wanted, "{begin}: {steps}");
    }

    #[test]
    fn a_room_that_is_moderated_no_more_is_as_it_was() {
        check(0, "+1", 1);
        check(0, "+1 +0", 0);
        check(0, "+0 +1 +1 +0 +0", 0);
        check(-5, "+1 +0", -5);
        check(10, "+1", 10);
        check(10, "+1 +0", 10);
    }

    #[test]
    fn what_people_make_of_it_is_theirs() {
        // Nobody is moderated on the network: it is their own.
        check(0, "+0 >10 +0", 10);
        check(0, "+0 >10 +0 +1 +0", 10);
        // They have raised it, and the network has followed: it is the network that lowers it.
        check(0, "+0 >50 +1 +0", 0);
        // They have lowered it while the network has not followed, and then it has.
        check(0, "+1 >0 +1", 1);
        check(0, "+1 >0 +1 +0", 0);
        check(0, "+1 >-1 +0", -1);
        check(10, "+1 >50 +0", 50);
    }
}
