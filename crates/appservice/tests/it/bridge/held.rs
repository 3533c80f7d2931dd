//! What may not be said in Matrix yet: held, said in order as soon as it may, and never lost without a word.

use std::time::Duration;

use bridgehead_appservice::{
    Service,
    bridge::{Receipt, RemoteMessage},
    id::{RoomId, UserId},
};
use bridgehead_testkit::lab::{Fault, Lab, LabService, LabUser};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::plain::{MEMBERSHIP, Plain, ghost, hall, service};

/// Alice's own room, which is the hall's portal: closed, and the bridge has no power in it.
struct Closed<const F: u32> {
    lab: Lab,
    plain: Plain<F>,
    service: LabService,
    alice: LabUser,
    room: RoomId,
}

fn bot() -> UserId {
    UserId::new("plainbot", "localhost").expect("an id")
}

impl<const F: u32> Closed<F> {
    async fn new(lab: &Lab) -> anyhow::Result<Self> {
        Self::with(lab, |service| service).await
    }

    async fn with(lab: &Lab, declare: impl FnOnce(Service) -> Service) -> anyhow::Result<Self> {
        let plain = Plain::<F>::new(|_| Ok(Receipt::new()));
        let service = lab.mount(declare(service(&plain))).await?;
        let alice = lab.user("alice").await?;
        let body = json!({ "name": "closed", "preset": "private_chat" });
        let room = alice.create_room_with(&body).await?;
        alice.invite(&room, &bot()).await?;
        lab.settle().await;
        let scene = Self {
            lab: lab.clone(),
            plain,
            service,
            alice,
            room,
        };
        let portals = scene.service.running().portals::<Plain<F>>();
        let portals = portals.expect("the service is a bridge to it");
        let linked = portals.link(None, &scene.room, &hall()).await;
        linked.expect("nobody has to be asked");
        scene.rules(&json!({ "invite": 50 })).await?;
        Ok(scene)
    }

    /// Changes the room's power levels.
    async fn rules(&self, changes: &Value) -> anyhow::Result<()> {
        let mut content = self.alice.power_levels(&self.room).await?;
        for (key, value) in changes.as_object().expect("an object") {
            content[key] = value.clone();
        }
        let kind = "m.room.power_levels";
        self.alice.set_state(&self.room, kind, "", &content).await?;
        self.lab.settle().await;
        Ok(())
    }

    async fn says(&self, who: &str, id: &str, text: &str) -> anyhow::Result<()> {
        let portals = self.service.running().portals::<Plain<F>>();
        let remote = portals.expect("the service is a bridge to it").remote();
        remote
            .message(RemoteMessage::new(id, hall(), who.to_owned(), text))
            .await?;
        Ok(())
    }

    async fn hear(&self, who: &str, id: &str, text: &str) -> anyhow::Result<()> {
        self.says(who, id, text).await?;
        self.lab.settle().await;
        Ok(())
    }

    fn remote(&self) -> bridgehead_appservice::bridge::Remote<Plain<F>> {
        let portals = self.service.running().portals::<Plain<F>>();
        portals.expect("the service is a bridge to it").remote()
    }

    /// What ghosts have said in the room.
    async fn said(&self) -> anyhow::Result<Vec<String>> {
        self.lines(|sender| *sender != bot()).await
    }

    /// What the bridge has said there since it was linked.
    async fn told(&self) -> anyhow::Result<Vec<String>> {
        let told = self.lines(|sender| *sender == bot()).await?;
        let is_of_this = |text: &String| text.contains("speaks on") || text.contains("Not shown");
        Ok(told.into_iter().filter(is_of_this).collect())
    }

    async fn lines(&self, is_meant: impl Fn(&UserId) -> bool) -> anyhow::Result<Vec<String>> {
        let events = self.alice.timeline(&self.room).await?;
        let messages = events.iter().filter(|event| event.kind == "m.room.message");
        let messages = messages.filter(|event| is_meant(&event.sender));
        Ok(messages
            .filter_map(|event| Some(event.text("body")?.to_owned()))
            .collect())
    }

    /// How many lines of the network had this outcome, since the service was started.
    async fn outcomes(&self, outcome: &str) -> anyhow::Result<usize> {
        let page = self.service.running().figures().await?;
        let line = page.lines().find(|line| {
            line.starts_with("appservice_bridge_tasks_total")
                && line.contains(&format!("\"{outcome}\""))
        });
        let value = line.and_then(|line| line.rsplit(' ').next());
        Ok(value.map_or(Ok(0), str::parse)?)
    }
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

#[test]
fn what_may_not_be_said_yet_is_said_when_the_ghost_is_invited() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = Closed::<0>::new(&lab).await?;
        scene.hear("bob", "1", "let me in").await?;
        let heard_ms = lab.now_ms();
        scene.hear("bob", "2", "please").await?;
        assert_eq!(scene.said().await?, [] as [String; 0]);
        // The room is told once what is missing, and how it is cured.
        let told = scene.told().await?;
        assert_eq!(told.len(), 1, "{told:?}");
        let cure = format!(
            "Invite {}, or give {} the power to invite.",
            ghost("bob"),
            bot()
        );
        assert!(told[0].contains(&cure), "{told:?}");
        // Nothing of that is lost with the service.
        lab.pass(hours(1)).await;
        lab.restart(&scene.service).await?;
        lab.settle().await;
        assert_eq!(scene.said().await?, [] as [String; 0]);

        scene.alice.invite(&scene.room, &ghost("bob")).await?;
        lab.settle().await;
        assert_eq!(scene.said().await?, ["let me in", "please"]);
        assert_eq!(scene.told().await?, told);
        let events = scene.alice.timeline(&scene.room).await?;
        let first = events
            .iter()
            .find(|event| event.text("body") == Some("let me in"));
        let sent_ms = first.expect("it is there").sent_at_ms;
        assert!(
            (heard_ms - 60_000..=heard_ms).contains(&sent_ms),
            "{sent_ms}, heard at {heard_ms}"
        );
        // From now on nothing is held.
        scene.hear("bob", "3", "thanks").await?;
        assert_eq!(scene.said().await?, ["let me in", "please", "thanks"]);
        assert_eq!(scene.outcomes("dropped").await?, 0);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn nobody_else_waits_and_what_belongs_together_stays_in_order() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = Closed::<0>::new(&lab).await?;
        scene.hear("ann", "a1", "hello").await?;
        scene.hear("bob", "b1", "one").await?;
        scene.alice.invite(&scene.room, &ghost("ann")).await?;
        lab.settle().await;
        scene.hear("ann", "a2", "who is there?").await?;
        assert_eq!(scene.said().await?, ["hello", "who is there?"]);
        // What is done to what is held waits for it, whoever does it.
        let remote = scene.remote();
        let edit = RemoteMessage::new("e1", hall(), "bob".to_owned(), "one, mended");
        remote.edit("b1", edit).await?;
        remote.react(&hall(), "b1", &"ann".to_owned(), "👍").await?;
        scene.says("bob", "b2", "two").await?;
        remote.redact(&hall(), "b2", None, None).await?;
        remote.part(&hall(), &"bob".to_owned(), Some("bye")).await?;
        lab.settle().await;
        assert_eq!(scene.said().await?, ["hello", "who is there?"]);

        scene.alice.invite(&scene.room, &ghost("bob")).await?;
        lab.settle().await;
        let said = scene.said().await?;
        assert_eq!(said, ["hello", "who is there?", "one", "* one, mended"]);
        let events = scene.alice.timeline(&scene.room).await?;
        let reactions = events.iter().filter(|event| event.kind == "m.reaction");
        let reactions: Vec<&UserId> = reactions.map(|event| &event.sender).collect();
        assert_eq!(reactions, [&ghost("ann")]);
        // And then he goes.
        let members = scene.alice.members(&scene.room).await?;
        assert_eq!(
            members.get(&ghost("bob")).map(String::as_str),
            Some("leave"),
            "{members:?}"
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn the_power_to_invite_releases_what_is_held() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = Closed::<MEMBERSHIP>::new(&lab).await?;
        for who in ["ann", "bob", "eve", "max"] {
            scene.hear(who, who, &format!("I am {who}")).await?;
        }
        assert_eq!(scene.said().await?, [] as [String; 0]);
        // No wall of notices.
        assert_eq!(scene.told().await?.len(), 3);
        scene.rules(&json!({ "invite": 0 })).await?;
        let mut said = scene.said().await?;
        said.sort();
        assert_eq!(said, ["I am ann", "I am bob", "I am eve", "I am max"]);
        assert_eq!(
            scene.plain.sent(),
            [] as [String; 0],
            "the network is not asked to invite"
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn who_is_in_the_room_and_may_not_speak_is_held_too() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = Closed::<0>::new(&lab).await?;
        scene.rules(&json!({ "invite": 0 })).await?;
        scene.hear("bob", "1", "hello").await?;
        scene.rules(&json!({ "events_default": 20 })).await?;
        scene.hear("bob", "2", "hm").await?;
        assert_eq!(scene.said().await?, ["hello"]);
        // The bridge may not speak there itself: nobody can be told but in the log.
        assert_eq!(scene.told().await?, [] as [String; 0]);
        scene.rules(&json!({ "events_default": 0 })).await?;
        assert_eq!(scene.said().await?, ["hello", "hm"]);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn who_is_banned_is_dropped_on_purpose() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = Closed::<0>::new(&lab).await?;
        scene.hear("bob", "1", "held first").await?;
        assert_eq!(scene.outcomes("held").await?, 1);
        scene.alice.ban(&scene.room, &ghost("bob")).await?;
        lab.settle().await;
        scene.hear("bob", "2", "and banned").await?;
        assert_eq!(scene.outcomes("banned").await?, 2);
        scene.alice.unban(&scene.room, &ghost("bob")).await?;
        scene.alice.invite(&scene.room, &ghost("bob")).await?;
        lab.pass(hours(25)).await;
        lab.settle().await;
        assert_eq!(scene.said().await?, [] as [String; 0]);
        assert_eq!(
            scene.told().await?.len(),
            1,
            "nothing is said of what was dropped on purpose"
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn what_is_held_for_too_long_is_told_of() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = Closed::<0>::new(&lab).await?;
        for (id, text) in [("1", "one"), ("2", "two")] {
            scene.hear("bob", id, text).await?;
        }
        scene.hear("eve", "3", "three").await?;
        lab.pass(hours(23)).await;
        lab.settle().await;
        assert_eq!(scene.told().await?.len(), 2);
        lab.pass(hours(2)).await;
        lab.settle().await;
        let told = scene.told().await?;
        let last = told.last().expect("the room is told");
        assert!(last.contains("2 lines of bob, 1 line of eve"), "{told:?}");
        assert_eq!(
            (told.len(), scene.outcomes("unshown").await?),
            (3, 3),
            "{told:?}"
        );
        // They do not come later.
        scene.rules(&json!({ "invite": 0 })).await?;
        scene.hear("bob", "4", "four").await?;
        assert_eq!(scene.said().await?, ["four"]);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn no_more_is_held_than_so_much_and_that_is_told() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = Closed::<0>::new(&lab).await?;
        for n in 0..510 {
            scene
                .says("bob", &n.to_string(), &format!("line {n}"))
                .await?;
        }
        lab.settle().await;
        assert_eq!(
            (
                scene.outcomes("held").await?,
                scene.outcomes("unshown").await?
            ),
            (500, 10)
        );
        let told = scene.told().await?;
        assert!(
            told.last()
                .is_some_and(|last| last.contains("10 lines of bob")),
            "{told:?}"
        );
        scene.alice.invite(&scene.room, &ghost("bob")).await?;
        lab.settle().await;
        let said = scene.said().await?;
        let wanted: Vec<String> = (0..500).map(|n| format!("line {n}")).collect();
        // The end of the timeline is what is looked at.
        assert!(!said.is_empty() && wanted.ends_with(&said), "{said:?}");
        scene.hear("bob", "last", "the last one").await?;
        assert_eq!(
            scene.said().await?.last().map(String::as_str),
            Some("the last one")
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn a_homeserver_that_fails_over_one_ghost_holds_up_nobody_else() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = Closed::<0>::new(&lab).await?;
        scene.rules(&json!({ "invite": 0 })).await?;
        scene.hear("ann", "1", "hello").await?;
        // Every way in is broken for a day but that of who is in already.
        let broken = Fault::of_calls().answer_status(StatusCode::INTERNAL_SERVER_ERROR);
        lab.faults()
            .plan(broken.on(Method::POST, "/join/").times(10_000));
        scene.says("bob", "2", "where am I?").await?;
        scene.says("ann", "3", "is it late?").await?;
        lab.pass(hours(3)).await;
        assert_eq!(scene.said().await?, ["hello", "is it late?"]);
        lab.faults().clear();
        lab.pass(hours(1)).await;
        lab.settle().await;
        assert_eq!(scene.said().await?, ["hello", "is it late?", "where am I?"]);
        Ok(())
    })
    .expect("it goes through");
}
