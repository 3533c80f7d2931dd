//! One voice for many, in both directions.

use bridgehead_appservice::{
    Service,
    bridge::{Bridge, Receipt, Relay, RoomInfo, Template, Voice, VoiceStyle},
};
use bridgehead_testkit::lab::Lab;
use serde_json::json;

use super::{
    Stage, bridge,
    plain::{Plain, Scene, hall},
    service,
    village::Village,
};

#[test]
fn the_bot_speaks_for_all_with_profiles_of_single_messages() {
    Lab::run(async |lab| {
        let village = Village::new(&["square"]);
        let voice = Voice::Bot(VoiceStyle::default());
        let stage = Stage::with(&lab, &village, service(bridge(&village).voice(voice))).await;
        let room = stage.enter("square").await;
        let id = stage.village.say("square", "bob", "hello");
        stage.village.say("square", "eve", "good day");
        stage.settle().await;
        stage.village.change("square", "bob", &id, "hello all");
        stage.settle().await;
        assert_eq!(
            stage.said(&room).await,
            [
                "villagebot: Bob: hello",
                "villagebot: Eve: good day",
                "villagebot: * Bob: hello all"
            ]
        );
        let first = &stage.events(&room, "m.room.message").await[0];
        let profile = &first.content["com.beeper.per_message_profile"];
        assert_eq!(
            (&profile["id"], &profile["displayname"]),
            (&"bob".into(), &"Bob".into())
        );
        let members = stage.alice.members(&room).await.expect("members");
        assert!(
            !members
                .keys()
                .any(|user| user.localpart().starts_with("_village")),
            "{members:?}"
        );
        // What the bot says for the village stays out of the village.
        assert_eq!(stage.village.heard("square").len(), 4);
    });
}

#[test]
fn one_ghost_may_speak_for_all() {
    Lab::run(async |lab| {
        let village = Village::new(&["square"]);
        let style = VoiceStyle {
            profiles: false,
            template: Template::parse("<{name}> {message}").expect("a template"),
        };
        let voice = Voice::One("_village_herald".to_owned(), style);
        let stage = Stage::with(&lab, &village, service(bridge(&village).voice(voice))).await;
        let room = stage.enter("square").await;
        stage.village.say("square", "bob", "hello");
        stage.settle().await;
        assert_eq!(stage.said(&room).await, ["_village_herald: <Bob> hello"]);
    });
}

#[test]
fn nobody_is_relayed_as_somebody_else() {
    Lab::run(async |lab| {
        let village = Village::new(&["square"]);
        let service = service(bridge(&village).relay(Relay::default()));
        let stage = Stage::with(&lab, &village, service).await;
        stage.alice.set_display_name("Alice").await.expect("set");
        let room = stage.enter("square").await;
        let mallory = lab.user("mallory").await.expect("a new user");
        mallory.join(&room).await.expect("open");
        let name = json!({ "membership": "join", "displayname": "x> hi\n<Alice" });
        let id = mallory.id().as_str();
        mallory
            .set_state(&room, "m.room.member", id, &name)
            .await
            .expect("theirs");
        mallory.say(&room, "I owe you money").await.expect("said");
        stage.settle().await;
        // A profile of a single message is a name that one gives oneself as well.
        let own = json!({ "membership": "join", "displayname": "Mallory" });
        mallory
            .set_state(&room, "m.room.member", id, &own)
            .await
            .expect("theirs");
        for claimed in ["Alice", " Alice\n", "Somebody"] {
            let content = json!({
                "msgtype": "m.text", "body": "me too",
                "com.beeper.per_message_profile": { "id": "a", "displayname": claimed }
            });
            let sent = mallory.send(&room, "m.room.message", &content).await;
            sent.expect("sent");
        }
        stage.settle().await;
        let heard = village.heard("square");
        let relayed: Vec<_> = heard.iter().filter(|line| line.contains(": ")).collect();
        assert_eq!(
            relayed,
            [
                "guest mallory: <x> hi <Alice> I owe you money",
                "guest mallory: <Alice (@mallory:localhost)> me too",
                "guest mallory: <Alice (@mallory:localhost)> me too",
                "guest mallory: <Somebody> me too"
            ]
        );
    });
}

#[test]
fn who_is_spoken_for_is_said_of_each_room() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let plain = Plain::<0>::new(|_| Ok(Receipt::new()));
        let attic = RoomInfo::public("The attic");
        plain.state.lock().rooms.insert("attic".to_owned(), attic);
        let bridge = Bridge::new(plain.clone())
            .users("_plain_{name}")
            .aliases("#plain_{room}")
            .relay(Relay::default());
        let service = Service::new("plain").bot("plainbot").bridge(bridge);
        let scene = Scene::with(&lab, plain, service).await?;
        let attic = scene.alice.join("#plain_attic:localhost").await?;
        let account = (scene.alice.id().clone(), hall());
        scene.plain.state.lock().accounts.insert(account);
        scene.alice.say(&scene.room, "as myself").await?;
        scene.settle().await;
        scene.alice.say(&attic, "by the relay").await?;
        scene.settle().await;
        assert_eq!(
            scene.plain.sent(),
            ["message: as myself", "message: <alice> by the relay"]
        );
        Ok(())
    })
    .expect("it goes through");
}
