//! What was said in the village before somebody from Matrix came.

use bridgehead_appservice::{
    Error,
    bridge::backfill::{BackfillState, HistoryMessage, HistoryPage},
};
use bridgehead_testkit::lab::Lab;

use super::Stage;

#[test]
fn the_history_of_a_portal_is_part_of_it() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        let live = stage.village.say("square", "eve", "is anybody here?");
        stage.settle().await;
        let portal = stage.portal("square").await.expect("a portal");
        let running = stage.service.running();
        let bob = stage.portals().voice_of(&"bob".to_owned()).await;
        let bob = bob.map_err(|error| anyhow::anyhow!("{error}"))?;
        let history = running.backfills().of_portal(&portal, "book");
        let old = |id: &str, text: &str| HistoryMessage::new(id, &bob, 1_000_000_000_000, text);
        let page = HistoryPage {
            messages: vec![
                old("h1", "long ago"),
                old("h2", "and then?").in_reply_to("h1"),
                old(&live, "is anybody here?"),
                old("h3", "never mind").in_reply_to("nothing"),
            ],
            next: None,
        };
        let status = history
            .run(|_| std::future::ready(Ok::<_, Error>(page.clone())))
            .await?;
        assert_eq!((status.state, status.sent), (BackfillState::Done, 4));
        assert_eq!(
            stage.said(&room).await,
            [
                "_village_eve: is anybody here?",
                "_village_bob: long ago",
                "_village_bob: and then?",
                "_village_bob: never mind"
            ],
            "what is there already is not brought again"
        );
        stage
            .village
            .answer("square", "eve", "an answer", Some("h1"));
        stage
            .village
            .change("square", "bob", "h2", "and after that?");
        stage.settle().await;
        let said = stage.events(&room, "m.room.message").await;
        let of = |text: &str| {
            said.iter()
                .find(|event| event.text("body") == Some(text))
                .expect("said")
        };
        let answered =
            |text: &str| of(text).content["m.relates_to"]["m.in_reply_to"]["event_id"].clone();
        assert_eq!(answered("and then?"), of("long ago").id.as_str());
        assert_eq!(answered("an answer"), of("long ago").id.as_str());
        assert!(answered("never mind").is_null());
        assert_eq!(
            of("* and after that?").content["m.relates_to"]["event_id"],
            of("and then?").id.as_str()
        );
        let profile = stage.alice.profile(&bob).await?;
        assert_eq!(profile["displayname"], "Bob");
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn what_comes_as_news_and_as_history_at_once_is_there_once() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let stage = Stage::new(&lab, &["square"]).await;
        let room = stage.enter("square").await;
        let portal = stage.portal("square").await.expect("a portal");
        let running = stage.service.running();
        let history = running.backfills().of_portal(&portal, "book");
        let old = HistoryMessage::new("m1", &super::ghost("bob"), 1_000_000_000_000, "hello");
        let page = HistoryPage {
            messages: vec![old],
            next: None,
        };
        // He is not in the room yet: both let him in, and neither knows of the other.
        let brought = history.run(|_| std::future::ready(Ok::<_, Error>(page.clone())));
        assert_eq!(stage.village.say("square", "bob", "hello"), "m1");
        let status = brought.await?;
        stage.settle().await;
        assert_eq!((status.state, status.sent), (BackfillState::Done, 1));
        assert_eq!(stage.said(&room).await, ["_village_bob: hello"]);
        Ok(())
    })
    .expect("it goes through");
}
