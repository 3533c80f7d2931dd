//! Who may not be heard on the other side: not yet, or not at all. Homeserver, bridge and IRC server in one process.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use bridgehead_appservice::{
    bridge::Level,
    id::{RoomId, UserId},
};
use bridgehead_irc::{
    Settings,
    link::dial::{Stream, Way},
    service_by,
};
use bridgehead_irc_protocol::Line;
use bridgehead_irc_server::{Dialect, Person, Server};
use bridgehead_testkit::lab::{Lab, LabService, LabUser};
use serde_json::json;

use crate::stage::{alias, settings};

const CHANNEL: &str = "#within";

/// Bob in the channel, and the bridge; nothing is linked yet.
struct Scene {
    lab: Lab,
    service: LabService,
    alice: LabUser,
    bob: Person,
}

impl Scene {
    async fn new(lab: Lab, set: impl FnOnce(&mut Settings)) -> anyhow::Result<Self> {
        let irc = Arc::new(Server::start(Dialect::modern()).await?);
        let server = irc.clone();
        let way = Way::Within(Arc::new(move |_| {
            Ok(Box::new(server.wire()) as Box<dyn Stream>)
        }));
        let mut settings = settings(6667)?;
        settings.permissions = settings.permissions.allow("@alice:localhost", Level::Admin);
        set(&mut settings);
        let service = lab.mount(service_by(&settings, &way)).await?;
        let bob = irc.person("bob").await?;
        bob.join(CHANNEL).await?;
        let alice = lab.user("alice").await?;
        Ok(Self {
            lab,
            service,
            alice,
            bob,
        })
    }

    /// Waits until this is so.
    async fn until(
        &self,
        what: &str,
        is_so: impl AsyncFn() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        for _ in 0..600 {
            if is_so().await? {
                return Ok(());
            }
            self.lab.pass(Duration::from_secs(1)).await;
        }
        anyhow::bail!(
            "it did not come about: {what}; bob has heard {:?}",
            self.bob.heard()
        )
    }

    /// Waits until somebody has said this in a room.
    async fn is_said(&self, room: &RoomId, text: &str) -> anyhow::Result<()> {
        self.until(text, async || {
            let texts = self.alice.texts(room).await?;
            Ok(texts.iter().any(|said| said.contains(text)))
        })
        .await
    }

    /// How many such lines Bob has heard: with this in them, or in who they are from.
    fn heard(&self, command: &str, text: &str) -> usize {
        let heard = self.bob.heard();
        let of_kind = heard.iter().filter(|line| line.command == command);
        let is_such = |line: &&Line| {
            let mut params = line
                .params
                .iter()
                .map(|param| String::from_utf8_lossy(param));
            line.from_name().contains(text) || params.any(|param| param.contains(text))
        };
        of_kind.filter(is_such).count()
    }

    fn bob_heard(&self, command: &str, text: &str) -> bool {
        self.heard(command, text) > 0
    }

    async fn is_heard_by_bob(&self, command: &str, text: &str) -> anyhow::Result<()> {
        let what = format!("{command} {text}");
        self.until(&what, async || Ok(self.bob_heard(command, text)))
            .await
    }
}

#[test]
fn a_line_of_irc_that_may_not_be_shown_yet_is_shown_when_the_ghost_is_invited() -> anyhow::Result<()>
{
    Lab::run(async |lab| {
        let scene = Scene::new(lab, |_| {}).await?;
        // A closed room in which the bridge may invite nobody.
        let body = json!({
            "preset": "private_chat",
            "power_level_content_override": { "invite": 50 },
        });
        let room = scene.alice.create_room_with(&body).await?;
        scene
            .alice
            .invite(&room, scene.service.running().bot_id())
            .await?;
        scene.is_said(&room, "I am here").await?;
        scene
            .alice
            .say(&room, &format!("!irc link net {CHANNEL}"))
            .await?;
        scene.is_said(&room, "is linked").await?;
        scene.bob.say(CHANNEL, "are you there?").await?;
        scene.bob.say(CHANNEL, "hello?").await?;
        let ghost = UserId::new("irc_net_bob", "localhost")?;
        scene.is_said(&room, &format!("Invite {ghost}")).await?;
        scene.lab.pass(Duration::from_secs(3600)).await;
        let texts = scene.alice.texts(&room).await?;
        ensure!(
            !texts.iter().any(|text| text == "are you there?"),
            "{texts:?}"
        );

        scene.alice.invite(&room, &ghost).await?;
        scene.is_said(&room, "hello?").await?;
        let texts = scene.alice.texts(&room).await?;
        let said: Vec<_> = texts.iter().filter(|text| text.ends_with('?')).collect();
        ensure!(said == ["are you there?", "hello?"], "{texts:?}");
        scene.lab.pass(Duration::from_secs(60)).await;
        ensure!(
            !scene.bob_heard("INVITE", "bob"),
            "he is in the channel already"
        );
        anyhow::Ok(())
    })
}

#[test]
fn who_is_on_a_ban_list_loses_their_connection_and_gets_it_back_when_the_rule_goes()
-> anyhow::Result<()> {
    Lab::run(async |lab| {
        let warden = lab.user("warden").await?;
        let list = warden.create_room("bans").await?;
        let rooms = vec![list.to_string()];
        let scene = Scene::new(lab, |settings| settings.policy_rooms = rooms).await?;
        let room = scene.alice.join(&alias(CHANNEL)).await?;
        let eve = scene.lab.user("eve").await?;
        eve.join(&room).await?;
        eve.say(&room, "hello").await?;
        scene.is_heard_by_bob("PRIVMSG", "hello").await?;

        let rule = json!({ "entity": "@eve:*", "recommendation": "m.ban", "reason": "spam" });
        warden
            .set_state(&list, "m.policy.rule.user", "eve", &rule)
            .await?;
        scene.is_heard_by_bob("QUIT", "Blocked").await?;
        eve.say(&room, "buy this").await?;
        scene.alice.say(&room, "good day").await?;
        scene.is_heard_by_bob("PRIVMSG", "good day").await?;
        scene.lab.pass(Duration::from_secs(600)).await;
        ensure!(
            !scene.bob_heard("PRIVMSG", "buy this"),
            "{:?}",
            scene.bob.heard()
        );
        ensure!(
            scene.heard("JOIN", "eve") == 1,
            "she has come back: {:?}",
            scene.bob.heard()
        );

        warden
            .set_state(&list, "m.policy.rule.user", "eve", &json!({}))
            .await?;
        // She is in the room, so she is in the channel.
        scene
            .until("eve comes back", async || {
                Ok(scene.heard("JOIN", "eve") == 2)
            })
            .await?;
        eve.say(&room, "I am sorry").await?;
        scene.is_heard_by_bob("PRIVMSG", "I am sorry").await?;
        ensure!(
            !scene.bob_heard("PRIVMSG", "buy this"),
            "{:?}",
            scene.bob.heard()
        );
        anyhow::Ok(())
    })
}
