//! One copy of a room's state for all ghosts: the homeserver is asked for it once.

use futures_util::future::try_join_all;
use serde_json::json;

use super::{
    scripted::{Asked, Homeserver, no, room, start},
    *,
};

/// A room in which the service's own user may do all, and ghosts nothing but talk.
struct StrictRoom {
    levels: Value,
    joined: Vec<String>,
}

impl StrictRoom {
    fn new() -> Self {
        Self {
            levels: json!({ "users": { BOT: 100 }, "state_default": 50 }),
            joined: vec![BOT.to_owned()],
        }
    }

    fn state(&self) -> Value {
        let event = |kind: &str, key: &str, content: Value| json!({ "type": kind, "state_key": key, "sender": BOT, "event_id": "$e", "content": content });
        let members = self.joined.iter();
        let members =
            members.map(|user| event("m.room.member", user, json!({ "membership": "join" })));
        let rest = [
            event("m.room.create", "", json!({ "room_version": "11" })),
            event("m.room.join_rules", "", json!({ "join_rule": "public" })),
            event("m.room.power_levels", "", self.levels.clone()),
        ];
        members.chain(rest).collect()
    }

    /// Answers as a homeserver would; `None`: a yes.
    fn answer(&mut self, asked: &Asked) -> Option<super::scripted::Answer> {
        let (method, path) = asked.what.split_once(' ')?;
        let mut query = url::form_urlencoded::parse(asked.query.as_bytes());
        let user = query.find(|(key, _)| key == "user_id");
        let user = user.map_or(BOT.to_owned(), |(_, user)| user.into_owned());
        let is_levels = path.contains("/state/m.room.power_levels");
        match method {
            "GET" if path.ends_with("/state") => Some(Ok((200, self.state()))),
            "GET" if is_levels => Some(Ok((200, self.levels.clone()))),
            "PUT" if is_levels => {
                self.levels = asked.body.clone();
                None
            }
            "PUT" if path.contains("/state/m.room.topic") => {
                (self.levels["users"][user] != 50).then(|| no("M_FORBIDDEN"))
            }
            "POST" if path.contains("/join") => {
                self.joined.push(user);
                None
            }
            _ => None,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fifty_ghosts_that_need_power_read_the_rooms_state_once() -> anyhow::Result<()> {
    const GHOSTS: usize = 50;
    for is_known_before in [true, false] {
        let mut strict = StrictRoom::new();
        let homeserver = Homeserver::new(move |asked| strict.answer(asked));
        let running = start(&homeserver).await?;
        if is_known_before {
            assert!(running.room(&room()?).power_levels().await?.is_known());
        }
        let ghosts = running.ghosts();
        let topics = (0..GHOSTS).map(|n| {
            let ghosts = ghosts.clone();
            async move {
                let ghost = ghosts.named(&format!("g{n}"))?;
                let topic = json!({ "topic": format!("of {n}") });
                ghost.set_state(&room()?, "m.room.topic", "", topic).await?;
                anyhow::Ok(())
            }
        });
        try_join_all(topics).await?;
        let mut reads = homeserver.asked("GET ");
        reads.retain(|asked| asked.what.ends_with("/state"));
        assert_eq!(reads.len(), 1, "known before: {is_known_before}");
        let mut raises = homeserver.asked("PUT ");
        raises.retain(|asked| asked.what.contains("/state/m.room.power_levels"));
        // Where the rules are known before the homeserver is asked, they are raised together.
        let most = if is_known_before { 5 } else { GHOSTS };
        assert!(raises.len() <= most, "{} changes", raises.len());
        // Nobody's power is lost by another's.
        let users = &raises.last().context("raised")?.body["users"];
        assert_eq!(users.as_object().context("users")?.len(), GHOSTS + 1);
    }
    Ok(())
}
