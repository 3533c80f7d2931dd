//! The rooms of ban lists: the service's own user is in them and may read them.

use serde_json::Value;

use super::{Patient, Report};
use crate::{bridge::is_ban, client::escape, config::Config};

impl<C: Config> Patient<'_, C> {
    pub(super) async fn policies(&self, report: &mut Report) {
        for room in &self.service.policy_rooms {
            match self.rules_of(room).await {
                Ok(rules) => report.good("ban list", format!("{room} has {rules} rules")),
                Err(why) => report.bad(
                    "ban list",
                    format!("{room} cannot be read: {why}"),
                    format!(
                        "invite {} into it if it is closed; the service joins when it runs. If there is no such room any \
                         more, take it out of the configuration (`policy_rooms`)",
                        self.bot_id(),
                    ),
                ),
            }
        }
    }

    fn bot_id(&self) -> String {
        format!(
            "@{}:{}",
            self.service.bot_localpart(),
            self.site.server_name()
        )
    }

    /// How many rules count in a room.
    async fn rules_of(&self, room: &str) -> Result<usize, String> {
        let id = match room.starts_with('#') {
            true => {
                let path = format!("/_matrix/client/v3/directory/room/{}", escape(room));
                let answer = self.homeserver.get(&path).await;
                let answer = answer.map_err(|error| error.to_string())?;
                let id = answer.body.get("room_id").and_then(Value::as_str);
                id.ok_or_else(|| answer.told())?.to_owned()
            }
            false => room.to_owned(),
        };
        let path = format!(
            "/_matrix/client/v3/rooms/{}/state?user_id={}",
            escape(&id),
            escape(&self.bot_id())
        );
        let answer = self.homeserver.get(&path).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let events = answer.body.as_array().ok_or_else(|| answer.told())?;
        let is_rule = |event: &&Value| {
            let kind = event.get("type").and_then(Value::as_str);
            kind.zip(event.get("content"))
                .is_some_and(|(kind, content)| is_ban(kind, content))
        };
        Ok(events.iter().filter(is_rule).count())
    }
}
