//! What a network's own code finds around it.

use bridgehead_appservice::{
    Error,
    bridge::{Level, Outgoing, Receipt, RemoteMessage},
    id::{RoomAlias, UserId},
};
use bridgehead_testkit::lab::Lab;

use super::plain::{Plain, Scene, ghost, hall};

#[test]
fn a_network_finds_ghosts_people_and_portals_and_keeps_nothing_alive() {
    Lab::run(async |lab| -> anyhow::Result<()> {
        let plain = Plain::<0>::new(|outgoing: &Outgoing<Plain<0>>| {
            let ann = outgoing.remote().ghost_id(&"ann".to_owned())?;
            Ok(Receipt::id(format!("heard by {}", ann.localpart())))
        });
        let scene = Scene::new(&lab, plain).await?;
        let (alice, room) = (&scene.alice, &scene.room);
        let said = alice.say(room, "hello").await?;
        let ann = "ann".to_owned();
        let hello = RemoteMessage::new("1", hall(), ann.clone(), "hi");
        scene.remote().message(hello).await?;
        scene.settle().await;

        let kept = scene.plain.state.lock().sent[0].remote().clone();
        assert_eq!(kept.user_of(&ghost("ann")), Some(ann));
        assert_eq!(kept.user_of(alice.id()), None);
        let portal = kept.portal(&hall()).await?.expect("there is one");
        assert_eq!(portal.matrix, *room);
        let at = kept.portal_at(room).await?.expect("the same");
        assert_eq!(at.remote, hall());
        let people = kept.people(&hall()).await?;
        let people: Vec<_> = people
            .iter()
            .map(|member| member.user_id.localpart())
            .collect();
        assert_eq!(people, ["alice"], "neither ghosts nor the service's user");
        assert!(kept.people(&"nowhere".to_owned()).await?.is_empty());
        let message = kept.message_at(&said).await?.expect("known");
        assert_eq!(message.ids, ["heard by _plain_ann"]);
        let other = kept.message_of(&hall(), "1").await?.expect("known");
        assert_eq!(other.sender, ghost("ann"));
        for message in [&message, &other] {
            let now_ms = scene.lab.now_ms();
            let age_ms = now_ms - message.said_at_ms.expect("noted");
            assert!((0..60_000).contains(&age_ms), "{age_ms}");
        }
        let handle = kept.handle()?;
        assert_eq!(handle.portals::<Plain<0>>()?.list(None, 10).await?.len(), 1);
        assert!(matches!(
            handle.portals::<Plain<1>>(),
            Err(Error::Unsupported(text)) if text.contains("no bridge to plain")
        ));
        let portals = kept.portals()?;
        assert_eq!(portals.list(None, 10).await?.len(), 1);
        let alias = portals.alias_of(&hall()).expect("a template");
        assert_eq!(portals.room_of_alias(&alias), Some(hall()));
        assert_eq!(portals.room_of_alias(&RoomAlias::parse("#x:x")?), None);
        assert_eq!(kept.level(alice.id())?, Level::User);
        let stranger = UserId::parse("@eve:elsewhere.test")?;
        assert_eq!(kept.level(&stranger)?, Level::Relay);
        drop(portals);

        // All of that is kept by the network, and the service ends and starts again beside it.
        scene.restart().await?;
        assert!(matches!(kept.ghost_id(&hall()), Err(Error::Stopping)));
        assert!(matches!(kept.portal(&hall()).await, Err(Error::Stopping)));
        assert!(matches!(handle.portals::<Plain<0>>(), Err(Error::Stopping)));
        alice.say(room, "again").await?;
        scene.settle().await;
        assert_eq!(scene.plain.sent().len(), 2);
        Ok(())
    })
    .expect("it goes through");
}
