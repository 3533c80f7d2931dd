//! What was redacted is said nowhere any more.

use bridgehead_testkit::lab::Lab;

use super::{Stage, gate::GateOf, village::Village};

#[test]
fn what_was_refused_and_redacted_is_not_tried_again() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.forbid("dragon");
        let said = stage.alice.say(&room, "a dragon!").await.expect("said");
        let kept = stage.alice.say(&room, "two dragons").await.expect("said");
        stage.settle().await;
        stage.alice.redact(&room, &said).await.expect("her own");
        stage.settle().await;
        stage.village.permit("dragon");
        stage
            .alice
            .say(&room, "!village retry")
            .await
            .expect("said");
        stage.settle().await;
        stage.alice.react(&room, &said, "🔁").await.expect("sent");
        stage.settle().await;
        let heard = stage.village.heard("square");
        let dragons: Vec<_> = heard
            .iter()
            .filter(|line| line.contains("dragon"))
            .collect();
        assert_eq!(dragons, ["guest alice: two dragons"], "{kept} alone");
    });
}

#[test]
fn the_words_of_a_redacted_message_are_not_kept() {
    Lab::run(async |lab| {
        // With redactions, and without.
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        let city = Village::new(&["hall"]);
        let gate = GateOf::<1> {
            village: city.clone(),
        };
        let bridge = bridgehead_appservice::bridge::Bridge::new(gate);
        let bridge = bridge.users("_city_{name}").aliases("#city_{place}");
        let to_city = bridgehead_appservice::Service::new("city").bot("citybot");
        let to_city = lab
            .mount(to_city.bridge(bridge))
            .await
            .expect("no mistakes");
        let hall = stage
            .alice
            .join("#city_hall:localhost")
            .await
            .expect("made");
        lab.settle().await;
        for room in [&room, &hall] {
            let said = stage.alice.say(room, "my password").await.expect("said");
            lab.settle().await;
            let halls = to_city.running().portals::<GateOf<1>>().expect("declared");
            let known = async || {
                let here = stage.portals().message_at(&said).await.expect("read");
                here.or(halls.message_at(&said).await.expect("read"))
            };
            let before = known().await.expect("linked");
            assert_eq!(
                before.content.as_ref().and_then(|said| said.text()),
                Some("my password")
            );
            stage.alice.redact(room, &said).await.expect("her own");
            lab.settle().await;
            let after = known().await.expect("still known");
            assert_eq!((after.content, after.ids), (None, before.ids));
        }
    });
}
