//! The connection to the network: made again when it ends; several networks; what goes by.

use std::time::Duration;

use bridgehead_appservice::bridge::{Bridge, Receipt, RemotePresence};
use bridgehead_testkit::lab::{Fault, Lab};

use super::{
    Stage, bridge,
    gate::GateOf,
    ghost,
    plain::{Plain, Scene},
    service,
    village::Village,
};

#[test]
fn a_connection_that_ends_is_made_again_after_growing_waits() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.cut_off(true);
        lab.pass(Duration::from_secs(60)).await;
        let attempts = stage.village.connections();
        assert!((5..=10).contains(&attempts), "{attempts} in a minute");
        stage.village.cut_off(false);
        stage.village.say("square", "bob", "the road is dry");
        stage.settle().await;
        assert_eq!(stage.said(&room).await, ["_village_bob: the road is dry"]);
        // The waits begin anew.
        let before = stage.village.connections();
        stage.village.cut_off(true);
        lab.pass(Duration::from_secs(3)).await;
        assert!(stage.village.connections() > before);
        let figures = stage.service.running().figures().await.expect("read");
        let up = r#"appservice_remote_up{service="village",remote="village"} 0"#;
        assert!(figures.contains(up), "{figures}");
        stage.village.cut_off(false);
    });
}

#[test]
fn two_networks_meet_in_one_room_and_nothing_goes_round() {
    Lab::run(async |lab| {
        let (village, city) = (Village::new(&["square"]), Village::new(&["hall"]));
        let gate = GateOf::<1> {
            village: city.clone(),
        };
        let to_city = Bridge::new(gate)
            .users("_city_{name}")
            .aliases("#city_{place}");
        let service = service(bridge(&village)).bridge(to_city);
        let stage = Stage::with(&lab, &village, service).await;
        let room = stage.enter("square").await;
        let running = stage.service.running();
        let halls = running.portals::<GateOf<1>>().expect("declared");
        halls
            .link(None, &room, &"hall".to_owned())
            .await
            .expect("linked");
        stage.village.say("square", "bob", "hello, city");
        stage.settle().await;
        city.say("hall", "zoe", "hello, village");
        stage.settle().await;
        stage.alice.say(&room, "hello, both").await.expect("said");
        stage.settle().await;
        assert_eq!(
            stage.said(&room).await,
            [
                "_village_bob: hello, city",
                "_city_zoe: hello, village",
                "alice: hello, both"
            ]
        );
        assert_eq!(
            stage.village.heard("square")[1..],
            [
                "bob: hello, city",
                "guest _city_zoe: hello, village",
                "guest alice: hello, both"
            ]
        );
        assert_eq!(
            city.heard("hall"),
            [
                "guest _village_bob: hello, city",
                "zoe: hello, village",
                "guest alice: hello, both"
            ]
        );
    });
}

#[test]
fn nothing_is_lost_while_the_homeserver_does_not_know_the_token() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        let unknown = serde_json::json!({ "errcode": "M_UNKNOWN_TOKEN", "error": "who?" });
        let mut answer = http::Response::new(bytes::Bytes::from(unknown.to_string()));
        *answer.status_mut() = http::StatusCode::UNAUTHORIZED;
        let fault = Fault::of_calls().answer(answer);
        lab.faults()
            .plan(fault.clone().on(http::Method::POST, "/register").times(2));
        lab.faults()
            .plan(fault.on(http::Method::POST, "/join/").times(2));
        stage.village.say("square", "zoe", "am I known?");
        stage.settle().await;
        assert!(
            lab.faults().unused().is_empty(),
            "{:?}",
            lab.faults().unused()
        );
        assert_eq!(stage.village.lost(), [] as [String; 0]);
        assert_eq!(
            stage.said(&room).await.last().map(String::as_str),
            Some("_village_zoe: am I known?")
        );
    });
}

#[test]
fn what_goes_by_is_told_in_both_directions() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        let id = stage.village.say("square", "bob", "hello");
        stage.settle().await;
        let heard = stage.alice.hears(&room, "hello").await.expect("heard");
        let while_typing = Duration::from_secs(5);
        stage
            .alice
            .typing(&room, while_typing)
            .await
            .expect("typing");
        stage.alice.read(&room, &heard.id).await.expect("read");
        stage.settle().await;
        let signs = stage.village.signs();
        assert!(
            signs.contains(&"alice writing in square".to_owned()),
            "{signs:?}"
        );
        let read = format!("alice has read {id} in square");
        assert!(signs.contains(&read), "{signs:?}");

        let said = stage.alice.say(&room, "good day").await.expect("said");
        stage.settle().await;
        let place = "square".to_owned();
        let remote = stage.portals().remote();
        remote.typing(&place, &"bob".to_owned(), true).await;
        let answered = stage.village.id_of("good day");
        remote.read(&place, &"bob".to_owned(), &answered).await;
        let seen = stage.alice.sync(None, Duration::ZERO).await.expect("seen");
        let ephemeral = seen["rooms"]["join"][room.as_str()]["ephemeral"]["events"].to_string();
        let bob = ghost("bob");
        assert!(
            ephemeral.contains(&format!("\"user_ids\":[\"{bob}\"")),
            "{ephemeral}"
        );
        assert!(ephemeral.contains(said.as_str()), "{ephemeral}");
    });
}

#[test]
fn who_is_away_is_shown_so_if_their_ghost_is_there() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let stage = Stage::new(&lab, &["square"]).await;
        stage.enter("square").await;
        stage.village.say("square", "bob", "hello");
        stage.settle().await;
        let remote = stage.portals().remote();
        let lunch = RemotePresence::Away(Some("at lunch".to_owned()));
        remote.presence(&"bob".to_owned(), RemotePresence::Online);
        remote.presence(&"bob".to_owned(), lunch);
        remote.presence(&"eve".to_owned(), RemotePresence::Online);
        lab.pass(Duration::from_secs(1)).await;
        let path = |name: &str| format!("/_matrix/client/v3/presence/{}/status", ghost(name));
        let null = serde_json::Value::Null;
        let get = http::Method::GET;
        let bob = stage.alice.call(get.clone(), &path("bob"), &null).await?;
        assert_eq!(
            (&bob["presence"], &bob["status_msg"]),
            (&"unavailable".into(), &"at lunch".into())
        );
        assert_eq!(stage.village.asked_after("eve"), 0, "nobody is made for it");
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn a_ghost_that_is_banned_loses_its_own_words_and_nobody_elses() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.alice.create_room("our room").await.expect("a room");
        stage
            .alice
            .invite(&room, &super::bot())
            .await
            .expect("invited");
        stage.settle().await;
        stage
            .alice
            .say(&room, "!village link square")
            .await
            .expect("said");
        stage.settle().await;
        stage.alice.ban(&room, &ghost("eve")).await.expect("banned");
        stage.settle().await;
        let lost = stage.village.say("square", "eve", "let me in");
        stage.village.say("square", "bob", "what a day");
        stage.settle().await;
        assert_eq!(stage.village.lost(), [format!("{lost} in square")]);
        let said = stage.said(&room).await;
        assert_eq!(
            said.last().map(String::as_str),
            Some("_village_bob: what a day")
        );
        assert!(
            !said.iter().any(|line| line.contains("let me in")),
            "{said:?}"
        );
    });
}

#[test]
fn crashes_on_the_way_out_double_nothing_where_the_network_knows_its_keys() {
    Lab::run_seeds(0..4, async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.shut(true);
        for n in 0..5 {
            stage
                .alice
                .say(&room, &format!("line {n}"))
                .await
                .expect("said");
        }
        lab.pass(Duration::from_millis(300)).await;
        stage.village.shut(false);
        lab.pass(Duration::from_millis(lab.seed() * 250)).await;
        stage.restart().await;
        let expected: Vec<String> = (0..5).map(|n| format!("guest alice: line {n}")).collect();
        let heard = stage.village.heard("square");
        assert_eq!(heard[1..], expected, "seed {}", lab.seed());
    });
}

#[test]
fn a_whole_list_of_members_is_brought_about() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        let place = "square".to_owned();
        let remote = stage.portals().remote();
        let crowd: Vec<String> = (0..40).map(|n| format!("n{n:02}")).collect();
        remote.members(&place, &crowd).await.expect("taken");
        stage.settle().await;
        remote.members(&place, &crowd[..3]).await.expect("taken");
        stage.settle().await;
        let members = stage.alice.members(&room).await.expect("members");
        let count = |wanted: &str| {
            let ghosts = members
                .iter()
                .filter(|(user, is)| user.localpart().starts_with("_village_") && *is == wanted);
            ghosts.count()
        };
        assert_eq!((count("join"), count("leave")), (3, 37));
        // The bot stays.
        assert_eq!(members[&super::bot()], "join");
    });
}

#[test]
fn a_connection_that_panics_is_made_again() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.break_down("run", true);
        lab.pass(Duration::from_secs(60)).await;
        let attempts = stage.village.connections();
        assert!((5..=10).contains(&attempts), "{attempts} in a minute");
        let figures = stage.service.running().figures().await.expect("read");
        let up = r#"appservice_remote_up{service="village",remote="village"} 0"#;
        assert!(figures.contains(up), "{figures}");
        stage.village.break_down("run", false);
        stage.village.say("square", "bob", "all is well");
        stage.settle().await;
        assert_eq!(stage.said(&room).await, ["_village_bob: all is well"]);
    });
}

#[test]
fn an_authors_panic_is_tried_again_after_growing_waits() {
    Lab::run(async |lab| {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        stage.village.break_down("describe_user", true);
        stage.village.say("square", "eve", "who am I?");
        lab.pass(Duration::from_secs(120)).await;
        let asked = stage.village.asked_after("eve");
        assert!((3..=10).contains(&asked), "{asked} in two minutes");
        stage.village.break_down("describe_user", false);
        stage.settle().await;
        assert_eq!(stage.said(&room).await, ["_village_eve: who am I?"]);
    });
}

#[test]
fn a_network_is_left_when_the_service_ends_in_order() {
    Lab::run(async |lab| {
        let plain = Plain::<0>::new(|_| Ok(Receipt::new()));
        let scene = Scene::new(&lab, plain).await.expect("a stage");
        assert!(!scene.plain.state.lock().is_left);
        scene.service.stop().await.expect("stopped");
        assert!(scene.plain.state.lock().is_left);
    });
}
