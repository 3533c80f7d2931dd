//! An author's own links, without any bridge: committed with the event, and found by the room.

use bridgehead_appservice::{
    bridge::{CommandAsk, CommandError, Link, LinkKind, Links},
    prelude::*,
};
use bridgehead_testkit::lab::Lab;
use serde_json::json;

/// Which ticket is which room, and how often it was talked of.
struct Tickets;

impl LinkKind for Tickets {
    const KIND: &'static str = "ticket";
    type Remote = (String, String);
    type Matrix = RoomId;
    type Data = u32;
}

#[test]
fn links_commit_with_the_event_and_rooms_without_one_are_passed_over() {
    Lab::run(async |lab| {
        let service = Service::new("tickets")
            .bot("tickets")
            .command(
                "open",
                "<project> <number>: says what this room is about",
                |ask: CommandAsk, links: Links<Tickets>, tx: Tx| async move {
                    let ticket = (ask.arg(0, "project")?, ask.arg(1, "number")?);
                    links.link_with(&tx, &ticket, &ask.room_id, &0)?;
                    if ask.has("fail") {
                        let error = CommandError::Other("changed my mind".to_owned());
                        return Err(HandlerError::from(error));
                    }
                    Ok("opened".to_owned())
                },
            )
            .on(
                |text: Text, ticket: Link<Tickets>, links: Links<Tickets>, tx: Tx| async move {
                    if !text.is_notice {
                        let talked = ticket.data + 1;
                        links.link_with(&tx, &ticket.remote, &ticket.matrix, &talked)?;
                    }
                    Ok::<_, HandlerError>(())
                },
            );
        let service = lab.mount(service).await.expect("no mistakes");
        let alice = lab.user("alice").await.expect("a new user");
        let invite = json!({ "invite": ["@tickets:localhost"] });
        let room = alice.create_room_with(&invite).await.expect("a room");
        let other = alice.create_room_with(&invite).await.expect("a room");
        lab.settle().await;
        for line in [
            "before",
            "!tickets open web 7 --fail",
            "still before",
            "!tickets open web 7",
            "one",
            "two",
        ] {
            alice.say(&room, line).await.expect("said");
            alice.say(&other, "elsewhere").await.expect("said");
        }
        lab.settle().await;
        lab.restart(&service).await.expect("it starts");
        alice.say(&room, "!tickets help").await.expect("said");
        lab.settle().await;
        let store = service.running().store().clone();
        let rows = store
            .query(
                "SELECT remote_id, matrix_id, data FROM links WHERE kind = 'ticket'",
                [],
            )
            .await
            .expect("read");
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].text(0), rows[0].text(1), rows[0].text(2)),
            (Some("web/7"), Some(room.as_str()), Some("3"))
        );
        let said = alice.texts(&room).await.expect("said");
        assert!(
            said.contains(&"That was not done: changed my mind.".to_owned()),
            "{said:?}"
        );
    });
}
