//! A network that is away: what is said to it waits, without being counted, until it says that it is back.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::Duration,
};

use bridgehead_appservice::{
    Service,
    bridge::{Bridge, Outgoing, Receipt, RoomInfo, SendError},
};
use bridgehead_testkit::lab::Lab;
use parking_lot::Mutex;

use super::plain::{Plain, Scene, service};

const HOUR: Duration = Duration::from_secs(3600);

/// What of a network is away.
#[derive(Clone, Default)]
struct Away {
    all: Arc<AtomicBool>,
    /// The connections of these people alone.
    people: Arc<Mutex<BTreeSet<String>>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Away {
    fn set(&self, is_away: bool) {
        self.all.store(is_away, Ordering::Release);
    }

    fn answer(&self, outgoing: &Outgoing<Plain<0>>) -> Result<Receipt, SendError> {
        let name = outgoing.speaker.user_id.localpart();
        if self.all.load(Ordering::Acquire) {
            return Err(SendError::away("the line is down"));
        }
        if self.people.lock().contains(name) {
            let minute = Duration::from_secs(60);
            return Err(SendError::away_at_most("your own line is down", minute));
        }
        let text = outgoing.describe().unwrap_or_default();
        self.heard.lock().push(format!("{name}: {text}"));
        Ok(Receipt::new())
    }

    fn plain(&self) -> Plain<0> {
        let away = self.clone();
        Plain::new(move |outgoing| away.answer(outgoing))
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().clone()
    }
}

async fn told(scene: &Scene<0>) -> anyhow::Result<Vec<String>> {
    let events = scene.events("com.beeper.message_send_status").await?;
    let told = events.iter().filter_map(|event| event.text("status"));
    Ok(told.map(str::to_owned).collect())
}

#[test]
fn what_waits_for_the_network_is_told_once_and_goes_when_it_is_back() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let away = Away::default();
        let scene = Scene::new(&lab, away.plain()).await?;
        away.set(true);
        scene.alice.say(&scene.room, "first").await?;
        scene.alice.say(&scene.room, "second").await?;
        // Far more attempts than count.
        lab.pass(20 * HOUR).await;
        assert!(scene.plain.sent().len() > 20);
        assert_eq!(told(&scene).await?, ["PENDING"]);
        away.set(false);
        scene.remote().connected();
        lab.pass(Duration::from_millis(500)).await;
        assert_eq!(away.heard(), ["alice: first", "alice: second"]);
        assert_eq!(told(&scene).await?, ["PENDING", "SUCCESS"]);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn nobody_waits_for_ever() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let away = Away::default();
        let plain = away.plain();
        let bridge = Bridge::new(plain.clone())
            .users("_plain_{name}")
            .aliases("#plain_{room}")
            .wait_for_network(2 * HOUR);
        let service = Service::new("plain").bot("plainbot").bridge(bridge);
        let scene = Scene::with(&lab, plain, service).await?;
        away.set(true);
        let said = scene.alice.say(&scene.room, "anybody?").await?;
        lab.pass(HOUR).await;
        assert_eq!(told(&scene).await?, ["PENDING"]);
        lab.pass(2 * HOUR).await;
        assert_eq!(told(&scene).await?, ["PENDING", "FAIL_RETRIABLE"]);
        // Whoever asks for it again may have to wait again.
        scene.alice.react(&scene.room, &said, "🔁").await?;
        lab.pass(Duration::from_secs(600)).await;
        assert_eq!(away.heard(), [] as [String; 0]);
        away.set(false);
        scene.remote().connected();
        scene.settle().await;
        assert_eq!(away.heard(), ["alice: anybody?"]);
        assert_eq!(
            told(&scene).await?,
            ["PENDING", "FAIL_RETRIABLE", "PENDING", "SUCCESS"]
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn what_waits_goes_on_waiting_after_a_crash() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let away = Away::default();
        let scene = Scene::new(&lab, away.plain()).await?;
        away.set(true);
        scene.alice.say(&scene.room, "anybody?").await?;
        lab.pass(HOUR).await;
        lab.restart(&scene.service).await?;
        lab.pass(HOUR).await;
        assert_eq!(told(&scene).await?, ["PENDING"]);
        away.set(false);
        scene.settle().await;
        assert_eq!(away.heard(), ["alice: anybody?"]);
        assert_eq!(told(&scene).await?, ["PENDING", "SUCCESS"]);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn one_of_several_networks_is_back() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let away = Away::default();
        let plain = away.plain();
        let attic = RoomInfo::public("The attic");
        plain.state.lock().rooms.insert("attic".to_owned(), attic);
        let scene = Scene::with(&lab, plain.clone(), service(&plain)).await?;
        let attic = scene.alice.join("#plain_attic:localhost").await?;
        scene.settle().await;
        away.set(true);
        scene.alice.say(&scene.room, "in the hall").await?;
        scene.alice.say(&attic, "in the attic").await?;
        lab.pass(HOUR).await;
        away.set(false);
        scene.remote().connected_in(|room| room == "hall");
        scene.remote().part_is_up("downstairs", true);
        lab.pass(Duration::from_millis(500)).await;
        assert_eq!(away.heard(), ["alice: in the hall"]);
        let figures = scene.service.running().figures().await?;
        let up = r#"appservice_remote_up{service="plain",remote="plain/downstairs"} 1"#;
        assert!(figures.contains(up), "{figures}");
        scene.remote().connected_in(|room| room == "attic");
        lab.pass(Duration::from_millis(500)).await;
        assert_eq!(away.heard().len(), 2);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn who_is_away_alone_holds_up_others_for_a_while_only() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let away = Away::default();
        let scene = Scene::new(&lab, away.plain()).await?;
        let carol = lab.user("carol").await?;
        carol.join(&scene.room).await?;
        scene.settle().await;
        away.people.lock().insert("alice".to_owned());
        scene.alice.say(&scene.room, "lost").await?;
        carol.say(&scene.room, "hello").await?;
        lab.pass(Duration::from_secs(20)).await;
        assert_eq!(away.heard(), [] as [String; 0], "in the room's order");
        lab.pass(Duration::from_secs(100)).await;
        assert_eq!(away.heard(), ["carol: hello"]);
        assert_eq!(told(&scene).await?, ["PENDING", "FAIL_RETRIABLE"]);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn what_is_taken_back_while_it_waits_is_never_said() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let away = Away::default();
        let scene = Scene::new(&lab, away.plain()).await?;
        away.set(true);
        let slip = scene.alice.say(&scene.room, "my password").await?;
        scene.alice.say(&scene.room, "m.room.redaction").await?;
        lab.pass(HOUR).await;
        scene.alice.redact(&scene.room, &slip).await?;
        lab.pass(Duration::from_secs(1)).await;
        lab.restart(&scene.service).await?;
        lab.pass(Duration::from_secs(120)).await;
        away.set(false);
        scene.remote().connected();
        scene.settle().await;
        assert_eq!(away.heard(), ["alice: m.room.redaction"]);
        Ok(())
    })
    .expect("it goes through");
}
