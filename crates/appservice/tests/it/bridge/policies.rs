//! Ban lists: whom they name is not heard, on either side, for as long as they name them.

use std::time::Duration;

use bridgehead_appservice::{
    Content, Context, FromContext, Rejection,
    bridge::{Action, Fate, Foreign, Level, Portal, Portals, Receipt, RemoteMessage},
    id::{RoomId, UserId},
};
use bridgehead_testkit::lab::{Lab, LabUser};
use serde_json::{Value, json};

use super::plain::{Plain, Scene, bridge, ghost, hall, service_of};

const WAVE: &str = "org.example.wave";

/// What the author of the bridge has words of their own for.
struct Wave;

impl FromContext for Wave {
    async fn from_context(context: &Context) -> Result<Self, Rejection> {
        let is_wave = context.event().is_some_and(|event| event.kind == WAVE);
        is_wave.then_some(Self).ok_or(Rejection::NotForThis)
    }
}

async fn wave(
    _: Wave,
    event: Foreign<Plain<0>>,
    portal: Portal<Plain<0>>,
    portals: Portals<Plain<0>>,
) -> Fate {
    let said = Action::message(Content::from("waves"));
    portals.deliver(&portal, event, said).await
}

/// A bridge that follows a list, somebody who writes it, and Eve, who is in the hall's portal.
struct Listed {
    scene: Scene<0>,
    warden: LabUser,
    list: RoomId,
    eve: LabUser,
}

fn ban(entity: &str) -> Value {
    json!({ "entity": entity, "recommendation": "m.ban", "reason": "spam" })
}

impl Listed {
    async fn new(lab: &Lab) -> anyhow::Result<Self> {
        Self::with(lab, &json!({ "preset": "public_chat" })).await
    }

    async fn with(lab: &Lab, list: &Value) -> anyhow::Result<Self> {
        let warden = lab.user("warden").await?;
        let list = warden.create_room_with(list).await?;
        let plain = Plain::new(|_| Ok(Receipt::new()));
        let service = service_of(bridge(&plain).on(wave)).policy_rooms([list.as_str()]);
        let scene = Scene::with(lab, plain, service).await?;
        let eve = lab.user("eve").await?;
        eve.join(&scene.room).await?;
        lab.settle().await;
        Ok(Self {
            scene,
            warden,
            list,
            eve,
        })
    }

    async fn rule(&self, kind: &str, key: &str, content: &Value) -> anyhow::Result<()> {
        self.warden
            .set_state(&self.list, kind, key, content)
            .await?;
        self.scene.settle().await;
        Ok(())
    }

    /// Eve says something; all that has reached the network.
    async fn eve_says(&self, text: &str) -> anyhow::Result<Vec<String>> {
        self.eve.say(&self.scene.room, text).await?;
        self.scene.settle().await;
        Ok(self.scene.plain.sent())
    }

    fn level(&self, user: &UserId) -> Level {
        self.scene.remote().level(user).expect("the service runs")
    }

    /// The value of a figure.
    async fn figure(&self, line: &str) -> anyhow::Result<usize> {
        let page = self.scene.service.running().figures().await?;
        let found = page.lines().find(|found| {
            found.starts_with(line.split(' ').next().unwrap_or_default())
                && line.split(' ').skip(1).all(|label| found.contains(label))
        });
        let value = found.and_then(|found| found.rsplit(' ').next());
        Ok(value.map_or(Ok(0), str::parse)?)
    }
}

#[test]
fn who_is_on_a_ban_list_is_not_heard() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let listed = Listed::new(&lab).await?;
        assert_eq!(listed.eve_says("hello").await?, ["message: hello"]);
        listed
            .rule("m.policy.rule.user", "1", &ban("@e*:localhost"))
            .await?;
        assert_eq!(listed.level(listed.eve.id()), Level::Blocked);
        assert_eq!(
            listed.scene.plain.state.lock().levels_changed,
            1,
            "the network is told at once"
        );
        assert_eq!(listed.eve_says("buy this").await?, ["message: hello"]);
        assert_eq!(listed.figure("appservice_policy_rules").await?, 1);
        // A restart does not open a door, not even with a homeserver that does not show the list.
        let unreadable = bridgehead_testkit::lab::Fault::of_calls()
            .answer_status(http::StatusCode::INTERNAL_SERVER_ERROR);
        lab.faults()
            .plan(unreadable.on(http::Method::GET, "/state").times(100));
        lab.restart(&listed.scene.service).await?;
        assert_eq!(listed.eve_says("and this").await?, ["message: hello"]);
        lab.faults().clear();
        // Others are heard as ever.
        listed.scene.alice.say(&listed.scene.room, "good").await?;
        listed.scene.settle().await;
        assert_eq!(
            listed.scene.plain.sent(),
            ["message: hello", "message: good"]
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn a_ban_list_counts_for_what_the_author_has_words_for() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let listed = Listed::new(&lab).await?;
        let scene = &listed.scene;
        let waved = async |by: &LabUser| -> anyhow::Result<usize> {
            by.send(&scene.room, WAVE, &json!({})).await?;
            scene.settle().await;
            Ok(scene.plain.sent().len())
        };
        assert_eq!(waved(&listed.eve).await?, 1);
        listed
            .rule("m.policy.rule.user", "1", &ban("@eve:localhost"))
            .await?;
        assert_eq!(waved(&listed.eve).await?, 1, "she is not heard");
        assert_eq!(waved(&scene.alice).await?, 2);
        let room = ban(scene.room.as_str());
        listed.rule("m.policy.rule.room", "2", &room).await?;
        assert_eq!(waved(&scene.alice).await?, 2, "nobody is heard there");
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn who_was_on_a_ban_list_is_heard_again_when_the_rule_goes() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let listed = Listed::new(&lab).await?;
        let all = [
            "m.policy.rule.user",
            "org.matrix.mjolnir.rule.server",
            "m.room.rule.user",
        ];
        for (kind, entity) in all.iter().zip(["@eve:localhost", "evil.org", "@eve:*"]) {
            listed.rule(kind, "rule", &ban(entity)).await?;
        }
        let stranger = UserId::parse("@stranger:evil.org")?;
        assert_eq!(listed.level(&stranger), Level::Blocked);
        assert_eq!(listed.eve_says("one").await?, [] as [String; 0]);
        // By a redaction, and by an empty content.
        let events = listed.warden.timeline(&listed.list).await?;
        let rule = events
            .iter()
            .find(|event| event.kind == all[0])
            .expect("the rule");
        listed.warden.redact(&listed.list, &rule.id).await?;
        listed.scene.settle().await;
        assert_eq!(
            listed.eve_says("two").await?,
            [] as [String; 0],
            "another rule stands"
        );
        listed.rule(all[2], "rule", &json!({})).await?;
        assert_eq!(listed.eve_says("three").await?, ["message: three"]);
        assert_eq!(
            (listed.level(listed.eve.id()), listed.level(&stranger)),
            (Level::User, Level::Blocked)
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn a_ghost_on_a_ban_list_is_not_shown() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let listed = Listed::new(&lab).await?;
        listed
            .rule("m.policy.rule.user", "1", &ban("@_plain_sp*:localhost"))
            .await?;
        let remote = listed.scene.remote();
        remote.join(&hall(), &"spam".to_owned()).await?;
        for (id, who, text) in [("1", "spam", "buy"), ("2", "bob", "hello")] {
            remote
                .message(RemoteMessage::new(id, hall(), who.to_owned(), text))
                .await?;
        }
        listed.scene.settle().await;
        assert_eq!(
            listed.scene.alice.texts(&listed.scene.room).await?,
            ["hello"]
        );
        let members = listed.scene.alice.members(&listed.scene.room).await?;
        assert!(!members.contains_key(&ghost("spam")), "{members:?}");
        assert_eq!(
            listed
                .figure("appservice_bridge_tasks_total \"banned\"")
                .await?,
            1
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn a_room_on_a_ban_list_is_not_bridged() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let listed = Listed::new(&lab).await?;
        let (scene, room) = (&listed.scene, &listed.scene.room);
        listed
            .rule("m.policy.rule.room", "1", &ban(room.as_str()))
            .await?;
        assert_eq!(listed.eve_says("hello?").await?, [] as [String; 0]);
        let remote = scene.remote();
        remote
            .message(RemoteMessage::new("1", hall(), "bob".to_owned(), "hello?"))
            .await?;
        scene.settle().await;
        let events = scene.events("m.room.message").await?;
        assert!(
            !events.iter().any(|event| event.sender == ghost("bob")),
            "{events:?}"
        );
        // Nor is another that is named there.
        let other = scene.alice.create_room("other").await?;
        listed
            .rule("m.policy.rule.room", "2", &ban(other.as_str()))
            .await?;
        let refused = scene
            .portals()
            .link(None, &other, &"attic".to_owned())
            .await;
        let refused = refused.expect_err("it is on the list").to_string();
        assert!(refused.contains("ban list"), "{refused}");
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn a_list_that_cannot_be_read_is_told_and_read_when_it_can_be() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let listed = Listed::with(&lab, &json!({ "preset": "private_chat" })).await?;
        listed
            .rule("m.policy.rule.user", "1", &ban("@eve:localhost"))
            .await?;
        assert_eq!(
            listed.figure("appservice_policy_rooms \"unread\"").await?,
            1
        );
        assert_eq!(listed.eve_says("hello").await?, ["message: hello"]);
        let bot = listed.scene.service.running().bot_id().clone();
        listed.warden.invite(&listed.list, &bot).await?;
        lab.pass(Duration::from_secs(60)).await;
        listed.scene.settle().await;
        assert_eq!(
            listed.figure("appservice_policy_rooms \"unread\"").await?,
            0
        );
        assert_eq!(listed.figure("appservice_policy_rooms \"read\"").await?, 1);
        assert_eq!(listed.eve_says("still here?").await?, ["message: hello"]);
        Ok(())
    })
    .expect("it goes through");
}
