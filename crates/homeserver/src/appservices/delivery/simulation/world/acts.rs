//! What a step of a plan does to the world: messages, orders, what services do.

use super::*;

impl World {
    pub(super) async fn act(&mut self, step: Step) {
        match step {
            Step::Send { room, count, bytes } => {
                for _ in 0..count {
                    self.send(room, bytes, None).await;
                }
            }
            Step::Poison { room, service } => self.send(room, 4, Some(service)).await,
            Step::Advance { ms } => sleep(Duration::from_millis(ms)).await,
            Step::Behave { service, behaviour } => {
                self.scripts[service].behave(behaviour);
                let now_ms = self.clock.now_ms();
                self.judge_mut().disturbed(service, now_ms);
            }
            Step::SignOfLife { service } => self.live().handle(service).sign_of_life(),
            Step::Crash { .. } => {}
            Step::Member { .. }
            | Step::ToDevice { .. }
            | Step::DeviceList { .. }
            | Step::Receipt { .. }
            | Step::Typing => self.tell(step).await,
            Step::Pause { service, .. }
            | Step::Resume { service, .. }
            | Step::Skip { service }
            | Step::Retry { service }
            | Step::Fail { service }
            | Step::Replay { service, .. }
            | Step::ReplaySkip { service }
            | Step::Drain { service }
            | Step::Policy { service, .. } => self.order(service, step).await,
        }
    }

    pub(super) async fn send(&mut self, room: usize, bytes: usize, poison: Option<usize>) {
        self.sent += 1;
        let mut content = json!({ "n": self.sent, "body": "x".repeat(bytes) });
        if let Some(service) = poison {
            content["poison"] = json!(service);
            let now_ms = self.clock.now_ms();
            self.judge_mut().poisoned(service, now_ms);
        }
        let event = new_event(&self.clock, ALICE, "m.room.message", None, content);
        self.append(room, event).await;
    }

    pub(super) async fn append(&mut self, room: usize, event: NewEvent) {
        let context = self.context();
        let request = AppendRequest {
            room_id: room_id(room),
            event,
            txn: None,
            device_id: None,
        };
        let store = self.store();
        let outcome = store
            .write(move |tx| append_in(tx, &context, request))
            .await;
        match outcome {
            Ok(event_id) => self.judge_mut().promised(event_id.to_string()),
            // Joining twice, leaving a room one is not in.
            Err(AppendError::Rejected(_)) => {}
            Err(error) => panic!("the room machinery fails: {error}"),
        }
    }

    pub(super) fn context(&self) -> AppendContext {
        AppendContext {
            registry: self.live().engine.registry.load_full(),
            key: self.key.clone(),
            random: self.live().engine.random.clone(),
            now_ms: self.clock.now_ms(),
        }
    }

    /// Something other than a message.
    pub(super) async fn tell(&mut self, step: Step) {
        match step {
            Step::Member {
                room,
                service,
                joins,
            } => {
                let guest = format!("@{}_2:{SERVER}", NAMES[service]);
                let membership = if joins { "join" } else { "leave" };
                let content = json!({ "membership": membership });
                let state_key = Some(guest.as_str());
                let event = new_event(&self.clock, &guest, "m.room.member", state_key, content);
                self.append(room, event).await;
            }
            Step::ToDevice { service } => {
                self.sent += 1;
                let number = self.sent;
                self.committed.lock().to_device = number;
                let user_id = ghost(service);
                let registry = self.live().engine.registry.load_full();
                let interest = registry.nids_of_devices(&user_id, None);
                self.write(move |tx| {
                    let content = json!({ "n": number }).to_string();
                    let kind = "org.example.key";
                    tx.insert_to_device(&user_id, "DEVICE", ALICE, kind, &content, &interest)
                })
                .await;
            }
            Step::DeviceList { service } => {
                let nid = self.nids[service];
                let user_id = format!("@u{}:{SERVER}", self.sent);
                self.sent += 1;
                self.write(move |tx| tx.device_list_changed(&user_id, &[nid]))
                    .await;
            }
            Step::Receipt { room } => {
                let now_ms = self.clock.now_ms();
                let interest = [self.nids[EPHEMERAL]];
                self.write(move |tx| {
                    let room_id = room_id(room);
                    tx.set_receipt(
                        room_id.as_str(),
                        ALICE,
                        "m.read",
                        "",
                        "$e",
                        now_ms,
                        &interest,
                    )
                })
                .await;
            }
            Step::Typing => {
                let now_ms = self.clock.now_ms();
                let handle = self.live().handle(EPHEMERAL);
                handle
                    .lane
                    .typing("!r", json!({ "type": "m.typing" }).to_string(), now_ms);
                handle.wake();
            }
            _ => {}
        }
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> T {
        let outcome = self.store().write(work).await;
        outcome.expect("a sound database")
    }

    /// A person orders something, as the operator API does, or the service itself.
    pub(super) async fn order(&mut self, service: usize, step: Step) {
        let (nid, now_ms) = (self.nids[service], self.clock.now_ms());
        let handle = self.live().handle(service).clone();
        self.judge_mut().disturbed(service, now_ms);
        match step {
            Step::Pause { by, for_ms, .. } => {
                let until = for_ms.map(|ms| now_ms + i64::try_from(ms).expect("short"));
                let pause = PauseRow {
                    by: by.name().to_owned(),
                    since: now_ms,
                    until,
                    reason: None,
                };
                self.write(move |tx| tx.pause_delivery(nid, &pause)).await;
            }
            Step::Resume { by, .. } => {
                self.scripts[service].hold(None);
                self.write(move |tx| tx.resume_delivery(nid, by.name()))
                    .await;
            }
            Step::Skip { .. } => self.skip(service).await,
            Step::Retry { .. } => {
                self.scripts[service].hold(None);
                self.write(move |tx| tx.recover_delivery(nid)).await;
                handle.sign_of_life();
            }
            Step::Fail { .. } if handle.status.state() == bridgehead_admin_api::State::Retrying => {
                self.write(move |tx| tx.fail_delivery(nid, now_ms)).await;
            }
            Step::Replay { back, .. } => {
                let replay = self
                    .replay(move |tx| {
                        let cursor = tx.orders(nid)?.cursor;
                        let after = StreamPosition(cursor.0.saturating_sub(back));
                        tx.replay(nid, after, cursor, "operator", now_ms)
                    })
                    .await;
                self.judge_mut().replayed(service, replay, now_ms);
            }
            Step::ReplaySkip { .. } => {
                let replay = self
                    .replay(move |tx| {
                        let skips = tx.skips(nid, 1_000)?;
                        let Some(skip) = skips.iter().find(|skip| skip.replayed_at.is_none())
                        else {
                            return Ok(None);
                        };
                        tx.set_replayed(nid, skip.skip_id, now_ms)?;
                        tx.replay(nid, skip.from, skip.upto, "operator", now_ms)
                    })
                    .await;
                self.judge_mut().replayed(service, replay, now_ms);
            }
            Step::Drain { .. } => {
                self.write(move |tx| tx.drain_delivery(nid, "operator"))
                    .await;
            }
            Step::Policy { after, .. } => {
                self.judge_mut().policy(service, after.is_some());
                self.write(move |tx| tx.set_policy(nid, after)).await;
            }
            _ => {}
        }
        handle.control_changed();
        self.look_at_holds(service).await;
    }

    pub(super) async fn skip(&mut self, service: usize) {
        let (nid, now_ms) = (self.nids[service], self.clock.now_ms());
        self.judge_mut().skipping(service);
        self.write(move |tx| {
            let Some(frozen) = tx.frozen_transaction(nid)? else {
                return Ok(None);
            };
            tx.skip_transaction(nid, frozen.txn_id, "operator", now_ms, None)
        })
        .await;
    }

    pub(super) async fn replay(
        &self,
        order: impl FnOnce(&mut Tx<'_>) -> Result<Option<bridgehead_store::ReplayRow>, Error>
        + Send
        + 'static,
    ) -> Option<(u64, u64)> {
        match self.store().write(order).await {
            Ok(replay) => replay.map(|replay| (replay.from.0, replay.upto.0)),
            // Too many wait already.
            Err(Error::Conflict { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }
}
