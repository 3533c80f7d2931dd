//! Users of the network who go, by themselves or not, and whole lists of bans.

use bridgehead_appservice::{
    bridge::{Member, Receipt, RemoteMessage},
    id::UserId,
};
use bridgehead_testkit::lab::Lab;
use serde_json::{Value, json};

use super::plain::{MEMBERSHIP, Plain, Scene, ghost, hall};

type Network = Plain<MEMBERSHIP>;

async fn scene(lab: &Lab) -> anyhow::Result<Scene<MEMBERSHIP>> {
    Scene::new(lab, Plain::new(|_| Ok(Receipt::new()))).await
}

fn user(name: &str) -> Member<Network> {
    Member::User(name.to_owned())
}

/// What somebody is in the portal, who has made them that, and why.
async fn standing(scene: &Scene<MEMBERSHIP>, who: &UserId) -> anyhow::Result<[Value; 3]> {
    let events = scene.events("m.room.member").await?;
    let last = events
        .iter()
        .rfind(|event| event.state_key.as_deref() == Some(who.as_str()));
    Ok(
        last.map_or([Value::Null, Value::Null, Value::Null], |event| {
            let text = |name: &str| json!(event.text(name));
            [
                text("membership"),
                json!(event.sender.localpart()),
                text("reason"),
            ]
        }),
    )
}

#[test]
fn ghosts_are_put_out_by_who_did_it_if_they_have_the_power() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let remote = scene.remote();
        for name in ["ann", "bob", "eve"] {
            let hello = RemoteMessage::new(name, hall(), name.to_owned(), "hello");
            remote.message(hello).await?;
        }
        let ann = "ann".to_owned();
        remote
            .kick(&hall(), user("bob"), Some(&ann), Some("too loud"))
            .await?;
        scene.settle().await;
        assert_eq!(
            standing(&scene, &ghost("bob")).await?,
            [json!("leave"), json!("plainbot"), json!("too loud")]
        );
        remote.power(&hall(), &[(ann.clone(), 60)]).await?;
        remote.ban(&hall(), user("eve"), Some(&ann), None).await?;
        scene.settle().await;
        assert_eq!(
            standing(&scene, &ghost("eve")).await?,
            [json!("ban"), json!("_plain_ann"), json!(null)]
        );
        // Who is banned says nothing, and who is let in again does.
        remote.unban(&hall(), user("eve"), Some(&ann)).await?;
        let back = RemoteMessage::new("back", hall(), "eve".to_owned(), "back");
        remote.message(back).await?;
        scene.settle().await;
        let texts = scene.alice.texts(&scene.room).await?;
        assert_eq!(texts.last().map(String::as_str), Some("back"));
        // By their ghost's id as well; and nobody else has the power over her.
        remote.power(&hall(), &[("eve".to_owned(), 100)]).await?;
        remote
            .kick(&hall(), &ghost("eve"), None, Some("by vote"))
            .await?;
        scene.settle().await;
        assert_eq!(
            standing(&scene, &ghost("eve")).await?,
            [json!("leave"), json!("_plain_eve"), json!("by vote")]
        );
        assert_eq!(scene.plain.sent(), [] as [String; 0]);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn who_was_put_out_before_they_came_does_not_come() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let remote = scene.remote();
        remote.join(&hall(), &"bob".to_owned()).await?;
        remote.kick(&hall(), user("bob"), None, None).await?;
        // Not known at all.
        remote.kick(&hall(), user("zoe"), None, None).await?;
        scene.settle().await;
        let [membership, ..] = standing(&scene, &ghost("bob")).await?;
        assert_ne!(membership, json!("join"));
        let [membership, ..] = standing(&scene, &ghost("zoe")).await?;
        assert_eq!(membership, Value::Null);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn a_whole_list_of_bans_is_brought_about() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let (room, remote) = (&scene.room, scene.remote());
        let carol = lab.user("carol").await?;
        carol.join(room).await?;
        remote
            .power_of_people(&hall(), &[(scene.alice.id().clone(), 60)])
            .await?;
        for name in ["bob", "eve", "max"] {
            remote.join(&hall(), &name.to_owned()).await?;
        }
        scene.settle().await;
        // That is alice's own.
        scene.alice.ban(room, &ghost("max")).await?;
        let first = [user("bob"), user("eve"), Member::from(carol.id())];
        remote.bans(&hall(), &first).await?;
        scene.settle().await;
        let who = [ghost("bob"), ghost("eve"), ghost("max"), carol.id().clone()];
        let bans = async || -> anyhow::Result<Vec<bool>> {
            let mut bans = Vec::new();
            for who in &who {
                let [membership, ..] = standing(&scene, who).await?;
                bans.push(membership == "ban");
            }
            Ok(bans)
        };
        assert_eq!(bans().await?, [true, true, true, true]);
        remote.bans(&hall(), &[user("eve")]).await?;
        scene.settle().await;
        assert_eq!(bans().await?, [false, true, true, false]);
        let before = scene.events("m.room.member").await?.len();
        remote.bans(&hall(), &[user("eve")]).await?;
        scene.settle().await;
        assert_eq!(scene.events("m.room.member").await?.len(), before);
        Ok(())
    })
    .expect("it goes through");
}

#[test]
fn who_goes_says_why_and_who_comes_and_is_renamed_at_once_is_the_other() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let scene = scene(&lab).await?;
        let remote = scene.remote();
        for name in ["ann", "bob"] {
            remote.join(&hall(), &name.to_owned()).await?;
        }
        scene.settle().await;
        for name in ["ann", "bob"] {
            let split = Some("irc.one irc.two");
            remote.part(&hall(), &name.to_owned(), split).await?;
        }
        let (zoe, zed) = ("zoe".to_owned(), "zed".to_owned());
        remote.join(&hall(), &zoe).await?;
        remote.renamed_in(&[hall()], &zoe, &zed).await?;
        scene.settle().await;
        for name in ["ann", "bob"] {
            let [membership, _, reason] = standing(&scene, &ghost(name)).await?;
            assert_eq!(
                [membership, reason],
                [json!("leave"), json!("irc.one irc.two")]
            );
        }
        let [membership, ..] = standing(&scene, &ghost("zoe")).await?;
        assert_ne!(membership, json!("join"));
        let [membership, ..] = standing(&scene, &ghost("zed")).await?;
        assert_eq!(membership, json!("join"));
        Ok(())
    })
    .expect("it goes through");
}
