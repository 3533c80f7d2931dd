//! What the bridge says itself because of what happens on the network.

use bridgehead_appservice::{
    bridge::{Receipt, RemoteMessage},
    format::Rich,
};
use bridgehead_testkit::lab::{Fault, Lab};
use http::Method;

use super::plain::{Plain, Scene, hall};

async fn scene(lab: &Lab) -> anyhow::Result<Scene<0>> {
    Scene::new(lab, Plain::new(|_| Ok(Receipt::new()))).await
}

fn said_by_ann(id: &str, text: &str) -> RemoteMessage<Plain<0>> {
    RemoteMessage::new(id, hall(), "ann".to_owned(), text)
}

#[test]
fn a_notice_has_its_place_among_what_is_said_and_is_not_bridged() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let remote = scene.remote();
        remote.message(said_by_ann("1", "before")).await?;
        remote
            .notice(&hall(), &Rich::plain("the topic is *locked*"))
            .await?;
        remote.message(said_by_ann("2", "after")).await?;
        scene.settle().await;
        assert_eq!(
            scene.alice.texts(&scene.room).await?,
            ["before", "the topic is *locked*", "after"]
        );
        let notice = &scene.events("m.room.message").await?[1];
        assert_eq!(
            (notice.sender.localpart(), notice.text("msgtype")),
            ("plainbot", Some("m.notice"))
        );
        assert_eq!(scene.plain.sent(), [] as [String; 0]);
        // Where nobody has a portal, nobody has to be told.
        remote
            .notice(&"cellar".to_owned(), &Rich::plain("?"))
            .await?;
        scene.settle().await;
        assert!(remote.portal(&"cellar".to_owned()).await?.is_none());
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn what_one_person_is_told_reaches_them_alone_in_order_and_once() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let remote = scene.remote();
        // The answer to the first is lost.
        let lost = Fault::of_calls().on(Method::PUT, "/send/").lose_answer();
        lab.faults().plan(lost);
        for text in ["your nick is taken", "your nick is alice_ now"] {
            remote.tell(scene.alice.id(), &Rich::plain(text)).await?;
        }
        scene.restart().await?;
        let invited = scene.alice.invitations().await?;
        assert_eq!(invited.len(), 1, "{invited:?}");
        let own = scene.alice.join(&invited[0]).await?;
        assert_eq!(
            scene.alice.texts(&own).await?,
            ["your nick is taken", "your nick is alice_ now"]
        );
        assert_eq!(scene.alice.texts(&scene.room).await?, [] as [String; 0]);
        let ghost = super::plain::ghost("ann");
        assert!(remote.tell(&ghost, &Rich::plain("psst")).await.is_err());
        Ok(())
    })
    .expect("it goes through");
}
