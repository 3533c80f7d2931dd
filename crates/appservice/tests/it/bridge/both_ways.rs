//! What is said on either side is heard on the other: once, in order, and with all that may be done to it.

use std::time::Duration;

use bridgehead_appservice::{Event, Service, bridge::Bridge};
use bridgehead_testkit::lab::{Fault, Lab};
use serde_json::json;

use super::{Stage, gate::GateOf, village::Village};

#[test]
fn what_the_network_tells_again_is_not_said_again() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        for n in 0..5 {
            stage.village.say("square", "bob", &format!("line {n}"));
        }
        stage.settle().await;
        stage.village.forget_how_far();
        stage.restart().await;
        stage.village.forget_how_far();
        stage.settle().await;
        let said = stage.said(&room).await;
        assert_eq!(said.len(), 5, "{said:#?}");
        assert_eq!(stage.village.connections(), 2);
    });
}

#[test]
fn lost_answers_and_crashes_lose_and_double_nothing() {
    Lab::run_seeds(1..5, async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        let put = || Fault::of_calls().put("/send/m.room.message");
        lab.faults().plan(put().lose_answer().times(2));
        lab.faults().plan(put().lose_request());
        for n in 0..4 {
            stage.village.say("square", "bob", &format!("before {n}"));
            stage
                .village
                .say("square", "eve", &format!("also before {n}"));
        }
        // Somewhere on the way.
        lab.pass(Duration::from_millis(lab.seed() * 37)).await;
        stage.lab.restart(&stage.service).await.expect("it starts");
        stage.village.say("square", "bob", "after");
        stage.settle().await;
        let mut expected: Vec<String> = (0..4)
            .flat_map(|n| {
                [
                    format!("_village_bob: before {n}"),
                    format!("_village_eve: also before {n}"),
                ]
            })
            .collect();
        expected.push("_village_bob: after".to_owned());
        assert_eq!(stage.said(&room).await, expected, "seed {}", lab.seed());
    });
}

#[test]
fn topics_go_both_ways_and_come_to_rest() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        let portal = stage.portal("square").await.expect("made");
        stage
            .service
            .running()
            .bot()
            .set_state(
                &portal.matrix,
                "m.room.power_levels",
                "",
                json!({ "users": { "@villagebot:localhost": 100, "@alice:localhost": 50 } }),
            )
            .await
            .expect("the bot may");
        stage.village.put_up("square", "bob", "market day");
        stage.settle().await;
        let topic = async || {
            let content = stage.alice.state(&room, "m.room.topic", "").await;
            content.expect("a topic")["topic"].clone()
        };
        assert_eq!(topic().await, "market day");
        stage
            .alice
            .set_state(&room, "m.room.topic", "", &json!({ "topic": "dancing" }))
            .await
            .expect("she may");
        stage.settle().await;
        assert_eq!(topic().await, "dancing");
        let signs: Vec<_> = stage
            .village
            .heard("square")
            .into_iter()
            .filter(|line| line.contains("puts up"))
            .collect();
        assert_eq!(
            signs,
            [
                "[bob puts up: market day]",
                "[guest alice puts up: dancing]"
            ]
        );
        let topics = stage.events(&room, "m.room.topic").await;
        let setters: Vec<_> = topics
            .iter()
            .map(|event| event.sender.localpart())
            .collect();
        assert_eq!(setters, ["villagebot", "villagebot", "alice"]);
    });
}

#[test]
fn people_come_and_go_and_change_their_names() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.come("square", "bob");
        stage.village.come("square", "eve");
        stage.settle().await;
        let joined = async || {
            let members = stage.alice.members(&room).await.expect("members");
            let joined = members.into_iter().filter(|(_, is)| is == "join");
            let names: Vec<_> = joined
                .map(|(user, _)| user.localpart().to_owned())
                .collect();
            names
        };
        assert_eq!(
            joined().await,
            ["_village_bob", "_village_eve", "alice", "villagebot"]
        );
        stage.village.rename("bob", "robert");
        stage.village.go("square", "eve");
        stage.settle().await;
        assert_eq!(joined().await, ["_village_robert", "alice", "villagebot"]);
    });
}

#[test]
fn a_mark_stops_only_what_came_from_there() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.say("square", "bob", "hello");
        stage.settle().await;
        let heard = stage.alice.hears(&room, "hello").await.expect("heard");
        // What the bridge says carries where it came from.
        let mark = &heard.content["io.bridgehead.origin"];
        assert_eq!(mark["network"], "village");
        assert_eq!(mark["room"], "square");
        let say = async |body: &str, mark: &serde_json::Value| {
            let content =
                json!({ "msgtype": "m.text", "body": body, "io.bridgehead.origin": mark });
            let sent = stage.alice.send(&room, "m.room.message", &content).await;
            sent.expect("sent");
        };
        // Another bridge from here to there, which would be answered by this one for ever.
        say("an echo", mark).await;
        // One from somewhere else of the same network, or from another: news there.
        say(
            "from the church",
            &json!({ "network": "village", "room": "church", "id": "1" }),
        )
        .await;
        say(
            "from the city",
            &json!({ "network": "city", "room": "square", "id": "1" }),
        )
        .await;
        say("nonsense", &json!(7)).await;
        stage.settle().await;
        assert_eq!(
            stage.village.heard("square")[1..],
            [
                "bob: hello",
                "guest alice: from the church",
                "guest alice: from the city",
                "guest alice: nonsense"
            ]
        );
    });
}

#[test]
fn what_the_village_cannot_show_is_said_in_words() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        let sticker = json!({ "body": "a cat", "url": "mxc://localhost/cat", "info": {} });
        stage
            .alice
            .send(&room, "m.sticker", &sticker)
            .await
            .expect("sent");
        let poll = json!({
            "m.poll.start": { "question": { "m.text": "Tea?" }, "answers": [{ "id": "1", "m.text": "yes" }] }
        });
        stage
            .alice
            .send(&room, "m.poll.start", &poll)
            .await
            .expect("sent");
        // Clients' business among themselves.
        stage
            .alice
            .send(&room, "m.call.hangup", &json!({ "call_id": "1" }))
            .await
            .expect("sent");
        stage.settle().await;
        assert_eq!(
            stage.village.heard("square")[1..],
            [
                "guest alice: [sticker: a cat]",
                "guest alice: [poll: Tea? 1) yes]"
            ]
        );
        assert!(
            stage
                .events(&room, "com.beeper.message_send_status")
                .await
                .is_empty()
        );
    });
}

#[test]
fn a_network_that_can_do_little_gets_what_it_can_and_the_rest_is_told() {
    Lab::run(async |lab| {
        let city = Village::new(&["hall"]);
        let gate = GateOf::<1> {
            village: city.clone(),
        };
        let service = Service::new("city").bot("citybot").bridge(
            Bridge::new(gate)
                .users("_city_{name}")
                .aliases("#city_{place}"),
        );
        lab.mount(service).await.expect("no mistakes");
        let alice = lab.user("alice").await.expect("a new user");
        let room = alice.join("#city_hall:localhost").await.expect("made");
        let said = alice
            .say(&room, "first line\nsecnd line")
            .await
            .expect("said");
        lab.settle().await;
        alice
            .edit(&room, &said, "first line\nsecond line")
            .await
            .expect("edited");
        // Other words for the same are no news.
        alice
            .edit(&room, &said, "first line\nsecond line")
            .await
            .expect("edited");
        alice.react(&room, &said, "👍").await.expect("sent");
        lab.settle().await;
        alice.redact(&room, &said).await.expect("sent");
        lab.settle().await;
        let heard = city.heard("hall");
        assert_eq!(
            heard[1..],
            [
                "guest alice: first line",
                "guest alice: secnd line",
                "guest alice: * second line"
            ]
        );
        let events = alice.timeline(&room).await.expect("in the room");
        let status = |event: &Event| {
            let reason = event.text("reason")?.to_owned();
            Some((event.text("status")?.to_owned(), reason))
        };
        let told: Vec<_> = events.iter().filter_map(status).collect();
        let unsupported = (
            "FAIL_PERMANENT".to_owned(),
            "com.beeper.unsupported_event".to_owned(),
        );
        assert_eq!(told, [unsupported.clone(), unsupported]);
        // A reaction that goes nowhere is not worth a word in the room.
        let texts = alice.texts(&room).await.expect("in the room");
        let notice = texts.last().expect("a notice");
        assert!(
            notice.contains("cannot be taken back from here"),
            "{texts:?}"
        );
        assert_eq!(
            texts
                .iter()
                .filter(|text| text.contains("did not reach"))
                .count(),
            1
        );

        // An answer to any line is an answer to the message.
        let other = alice.say(&room, "one\ntwo").await.expect("said");
        lab.settle().await;
        let second = city.id_of("two");
        city.answer("hall", "zoe", "three", Some(&second));
        lab.settle().await;
        let answer = alice.hears(&room, "three").await.expect("heard");
        let answered = &answer.content["m.relates_to"]["m.in_reply_to"]["event_id"];
        assert_eq!(*answered, json!(other));
    });
}
