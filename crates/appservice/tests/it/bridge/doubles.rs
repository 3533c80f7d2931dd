//! People who are in the village and on Matrix: what they say there is said by themselves here.

use bridgehead_testkit::lab::Lab;

use super::{Stage, village::Village};
use crate::outside::log_in;

#[test]
fn who_is_on_both_sides_speaks_for_themselves() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let stage = Stage::new(&lab, &["square"]).await;
        let (village, alice) = (&stage.village, &stage.alice);
        village.know("al", alice.id());
        let room = stage.enter("square").await;
        village.say("square", "al", "before");
        stage.settle().await;
        let puppets = stage.service.running().puppets();
        puppets
            .adopt(alice.id(), log_in(&stage.service, alice).await?)
            .await?;

        let first = village.say("square", "al", "hello");
        let answer = village.answer("square", "al", "me again", Some(&first));
        village.nod("square", "al", &answer, true);
        stage.settle().await;
        village.change("square", "al", &first, "hello all");
        stage.settle().await;
        assert_eq!(
            stage.said(&room).await,
            [
                "_village_al: before",
                "alice: hello",
                "alice: me again",
                "alice: * hello all"
            ]
        );
        let nods = stage.events(&room, "m.reaction").await;
        assert_eq!(nods[0].sender, *alice.id());
        assert_eq!(heard(village), [] as [String; 0], "nothing of it goes back");

        alice.say(&room, "typed here").await?;
        village.take_back("square", "al", &answer);
        stage.settle().await;
        assert_eq!(heard(village), ["guest alice: typed here"]);
        assert!(
            !stage
                .said(&room)
                .await
                .contains(&"alice: me again".to_owned())
        );

        assert!(puppets.drop(alice.id()).await?);
        village.say("square", "al", "by the ghost");
        stage.settle().await;
        assert_eq!(
            stage.said(&room).await.last().map(String::as_str),
            Some("_village_al: by the ghost")
        );
        Ok(())
    })
    .expect("it goes through");
}

/// What people of Matrix have said in the village.
fn heard(village: &Village) -> Vec<String> {
    let mut heard = village.heard("square");
    heard.retain(|line| line.starts_with("guest"));
    heard
}

#[test]
fn a_lost_token_leaves_it_to_the_ghost() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let stage = Stage::new(&lab, &["square"]).await;
        let (village, alice) = (&stage.village, &stage.alice);
        village.know("al", alice.id());
        let room = stage.enter("square").await;
        let token = log_in(&stage.service, alice).await?;
        let puppets = stage.service.running().puppets();
        puppets.adopt(alice.id(), token.clone()).await?;
        let nothing = serde_json::json!({});
        crate::outside::call(
            &stage.service,
            "POST",
            "/_matrix/client/v3/logout",
            Some(&token),
            &nothing,
        )
        .await?;
        village.say("square", "al", "one");
        village.say("square", "al", "two");
        stage.settle().await;
        assert!(puppets.of(alice.id()).is_none());
        assert_eq!(
            stage.said(&room).await,
            ["_village_al: one", "_village_al: two"]
        );
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn who_is_barred_from_the_room_is_spoken_for_by_their_ghost() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let stage = Stage::new(&lab, &["square"]).await;
        let (village, alice) = (&stage.village, &stage.alice);
        village.know("al", alice.id());
        let room = stage.enter("square").await;
        let carol = lab.user("carol").await?;
        carol.join(&room).await?;
        let running = stage.service.running();
        let token = log_in(&stage.service, alice).await?;
        running.puppets().adopt(alice.id(), token).await?;
        let first = village.say("square", "al", "by myself");
        stage.settle().await;
        running.bot().ban(&room, alice.id(), None).await?;
        stage.settle().await;
        let id = village.say("square", "al", "by my ghost");
        village.nod("square", "al", &first, true);
        stage.settle().await;
        village.change("square", "al", &id, "by my ghost alone");
        stage.settle().await;
        let texts = carol.texts(&room).await?;
        assert_eq!(texts, ["by myself", "by my ghost", "* by my ghost alone"]);
        assert_eq!(village.lost(), [] as [String; 0]);
        let events = carol.timeline(&room).await?;
        let nod = events.iter().find(|event| event.kind == "m.reaction");
        assert_eq!(nod.map(|nod| &nod.sender), Some(&super::ghost("al")));
        village.take_back("square", "al", &id);
        stage.settle().await;
        let texts = carol.texts(&room).await?;
        assert!(!texts.contains(&"by my ghost".to_owned()), "{texts:?}");
        Ok(())
    })
    .expect("it goes through");
}
