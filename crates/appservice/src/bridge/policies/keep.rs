//! Joining and reading the rooms of ban lists, and telling bridges when the rules have changed.

use std::{sync::Arc, time::Duration};

use super::{Policies, Reading, Source, rules::KINDS};
use crate::{
    Error,
    actors::JoinOptions,
    backoff::Growth,
    core::Core,
    id::RoomId,
    metrics::catalogue::{POLICY_ROOMS, POLICY_RULES},
    state::{Membership, Standing},
};

/// Waits between attempts at a room that cannot be read.
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1800);

/// How often rooms are looked at that have been read: a net for what was not heard of.
const LOOK: Duration = Duration::from_secs(1800);

/// The scope of the notes of which room an alias was.
const ALIASES: &str = "policy";

impl Core {
    /// The rules as they were known when the service was last here. Before anybody is listened to.
    pub(crate) async fn recall_policies(&self) -> Result<(), Error> {
        for source in &self.policies.sources {
            let room = match source {
                Source::Room(room) => Some(room.clone()),
                Source::Alias(alias) => {
                    let key = alias.to_string();
                    let known = self.store.read(move |unit| unit.kv(ALIASES, &key)).await?;
                    known.and_then(|room| RoomId::parse(&room).ok())
                }
            };
            if let Some(room) = room {
                self.policies
                    .note(source, |reading| reading.room = Some(room.clone()));
                self.load_policies(&room).await?;
            }
        }
        Ok(())
    }

    /// Takes the rules of a room out of what is known of its state.
    async fn load_policies(&self, room: &RoomId) -> Result<bool, Error> {
        let id = room.to_string();
        let rows = self
            .store
            .read(move |unit| unit.state_rows(&id, &KINDS))
            .await?;
        let rows = rows
            .iter()
            .map(|row| (row.kind.as_str(), row.state_key.as_str(), &row.content));
        let is_changed = self.policies.rules.write().replace(room, rows);
        Ok(is_changed)
    }

    /// Joins and reads a list's room.
    async fn read_policies(&self, source: &Source) -> Result<bool, Error> {
        let (room, options) = match source {
            Source::Room(room) => (room.clone(), JoinOptions::new()),
            Source::Alias(alias) => {
                let Some((room, servers)) = self.resolve_alias(alias).await? else {
                    return Err(Error::Forbidden(format!("no room has the alias {alias}")));
                };
                let options = servers
                    .iter()
                    .fold(JoinOptions::new(), |options, server| options.via(server));
                let (key, value) = (alias.to_string(), room.to_string());
                self.store
                    .write(move |unit| unit.put_kv(ALIASES, &key, &value))
                    .await?;
                (room, options)
            }
        };
        // An alias may name another room by now.
        let before = self
            .policies
            .note(source, |reading| reading.room.replace(room.clone()));
        let mut is_changed = false;
        if let Some(before) = before.filter(|before| *before != room) {
            is_changed |= self
                .policies
                .rules
                .write()
                .replace(&before, std::iter::empty());
        }
        self.ensure_joined_with(&self.bot, &room, &options).await?;
        let view = self.known_view(&room).await?;
        if self.standing(&view) != Standing::Known
            || view.membership(&self.bot) != Some(Membership::Join)
        {
            let why = format!("the state of {room} could not be read");
            return Err(Error::Forbidden(why));
        }
        is_changed |= self.load_policies(&room).await?;
        Ok(is_changed)
    }

    /// Reads all rooms; gives back whether one could not be read.
    async fn read_all_policies(&self) -> bool {
        let mut has_failed = false;
        for source in &self.policies.sources {
            let outcome = self.read_policies(source).await;
            let problem = match outcome {
                Ok(is_changed) => {
                    if is_changed {
                        self.policies.changed.notify_one();
                    }
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            has_failed |= problem.is_some();
            let before = self.policies.note(source, |reading| {
                reading.is_read |= problem.is_none();
                std::mem::replace(&mut reading.problem, problem.clone())
            });
            match (&before, &problem) {
                (before, Some(problem)) if before.as_ref() != Some(problem) => {
                    tracing::warn!(
                        room = source.as_str(),
                        problem,
                        "a ban list cannot be read: what is known of it counts; invite the service's user, or take the room out of the configuration"
                    );
                }
                (Some(_), None) => {
                    tracing::info!(room = source.as_str(), "a ban list is read again");
                }
                _ => {}
            }
        }
        self.show_policies();
        has_failed
    }

    fn show_policies(&self) {
        let report = self.policies.report();
        let unread = report
            .rooms
            .iter()
            .filter(|room| room.problem.is_some())
            .count();
        self.metrics.set(&POLICY_RULES, &[], count(report.rules));
        for (state, number) in [("read", report.rooms.len() - unread), ("unread", unread)] {
            self.metrics.set(&POLICY_ROOMS, &[state], count(number));
        }
    }

    /// Follows the lists for as long as the service runs.
    pub(crate) fn begin_policies(self: &Arc<Self>) {
        if self.policies.is_empty() {
            return;
        }
        tokio::spawn(follow(self.clone()));
    }
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

async fn follow(core: Arc<Core>) {
    let (weak, mut stop) = (Arc::downgrade(&core), core.stop.subscribe());
    drop(core);
    let mut failures = 0;
    let mut is_due = true;
    while let Some(core) = weak.upgrade() {
        if is_due {
            failures = match core.read_all_policies().await {
                true => failures + 1,
                false => 0,
            };
        }
        let wait = match failures {
            0 => LOOK,
            failures => {
                let random = core.surroundings.randomness.below(u64::MAX);
                Growth::new(FIRST_WAIT, LONGEST_WAIT).wait(failures, random)
            }
        };
        let policies = core.policies.clone();
        // The lists must not keep the service alive.
        drop(core);
        is_due = tokio::select! {
            () = tokio::time::sleep(wait) => true,
            () = policies.doubted.notified() => true,
            () = policies.changed.notified() => false,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        if !is_due && let Some(core) = weak.upgrade() {
            core.show_policies();
            tracing::info!(
                rules = core.policies.report().rules,
                "the ban lists have changed"
            );
            core.bridges.levels_changed().await;
        }
    }
}

impl Policies {
    fn note<T>(&self, source: &Source, change: impl FnOnce(&mut Reading) -> T) -> T {
        let mut readings = self.readings.lock();
        change(readings.entry(source.as_str().to_owned()).or_default())
    }
}
