//! A recording application service behind Synapse.

use crate::{Recorded, SOON};
use anyhow::ensure;
use bridgehead_testkit::{Client, Query, Record};
use reqwest::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn messages_to_a_ghosts_room_arrive_once_in_order_and_whole() {
    messages_arrive(&Recorded::start().await.unwrap())
        .await
        .unwrap();
}

async fn messages_arrive(recorded: &Recorded) -> anyhow::Result<()> {
    let Recorded {
        synapse, service, ..
    } = recorded;
    let alice = synapse.user("alice").await?;
    let room_id = room_with_ghost(recorded, &alice).await?;

    let bodies = (0..40)
        .map(|n| format!("message {n} ✓"))
        .collect::<Vec<_>>();
    let mut sent = Vec::new();
    for (n, body) in bodies.iter().enumerate() {
        sent.push(alice.send_text(&room_id, &format!("txn-{n}"), body).await?);
    }
    wait_for_all(recorded, &sent).await?;

    let verdict = service.judge(&sent)?;
    ensure!(verdict.repeats == 0, "a service that answers is asked once");
    let messages = of_type(&verdict.events, "m.room.message");
    let received = messages
        .iter()
        .map(|event| event["content"]["body"].clone())
        .collect::<Vec<_>>();
    ensure!(received == bodies, "other texts arrived: {received:?}");
    for event in messages {
        ensure!(event["room_id"] == room_id, "in another room: {event}");
        ensure!(event["sender"] == alice.user_id(), "of another: {event}");
    }
    ensure!(service.refused_tokens() == 0, "a request had a wrong token");
    Ok(())
}

#[tokio::test]
async fn an_alias_that_somebody_joins_is_created_on_demand() {
    alias_on_demand(&Recorded::start().await.unwrap())
        .await
        .unwrap();
}

async fn alias_on_demand(recorded: &Recorded) -> anyhow::Result<()> {
    let Recorded {
        synapse, service, ..
    } = recorded;
    let bot = synapse.client().with_token(&service.as_token());
    service.answer_queries_with(move |query| {
        let bot = bot.clone();
        async move {
            match query {
                Query::Alias(alias) if alias == "#rec_wanted:localhost" => {
                    let body = json!({ "room_alias_name": "rec_wanted", "preset": "public_chat" });
                    match bot.create_room(&body).await {
                        Ok(_) => StatusCode::OK,
                        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
                    }
                }
                Query::Alias(_) | Query::User(_) => StatusCode::NOT_FOUND,
            }
        }
    });

    let alice = synapse.user("alice").await?;
    let room_id = alice.join("#rec_wanted:localhost").await?;
    let greeting = alice.send_text(&room_id, "1", "is anybody here?").await?;
    wait_for_all(recorded, &[greeting]).await?;
    let unknown = alice.join("#rec_unknown:localhost").await;
    ensure!(unknown.is_err(), "an alias that the service does not know");
    let asked = ["#rec_wanted:localhost", "#rec_unknown:localhost"];
    ensure!(
        service.queries() == asked.map(|alias| Query::Alias(alias.to_owned())),
        "asked were {:?}",
        service.queries()
    );
    Ok(())
}

#[tokio::test]
async fn after_a_kill_it_has_its_users_and_rooms_and_goes_on_delivering() {
    goes_on_after_a_kill(&mut Recorded::start().await.unwrap())
        .await
        .unwrap();
}

async fn goes_on_after_a_kill(recorded: &mut Recorded) -> anyhow::Result<()> {
    let alice = recorded.synapse.user("alice").await?;
    let room_id = room_with_ghost(recorded, &alice).await?;
    let before = alice.send_text(&room_id, "1", "before").await?;
    wait_for_all(recorded, std::slice::from_ref(&before)).await?;

    recorded.synapse.kill9().await?;
    ensure!(
        alice.get("/_matrix/client/versions").await.is_err(),
        "a killed server answers nobody"
    );
    recorded.synapse.restart().await?;
    let after = alice.send_text(&room_id, "2", "after").await?;
    wait_for_all(recorded, &[before, after]).await
}

/// A public room of this user that a ghost of the service has joined.
async fn room_with_ghost(recorded: &Recorded, owner: &Client) -> anyhow::Result<String> {
    let as_token = recorded.service.as_token();
    let appservice = recorded.synapse.client().with_token(&as_token);
    let ghost = appservice.register_ghost("rec_ghost").await?;
    let room_id = owner
        .create_room(&json!({ "preset": "public_chat" }))
        .await?;
    ghost.join(&room_id).await?;
    Ok(room_id)
}

async fn wait_for_all(recorded: &Recorded, event_ids: &[String]) -> anyhow::Result<()> {
    let has = |records: &[Record], event_id: &String| {
        let mut events = records.iter().flat_map(Record::events);
        events.any(|event| event["event_id"] == *event_id)
    };
    recorded
        .service
        .wait_for("the messages", SOON, |records| {
            event_ids.iter().all(|event_id| has(records, event_id))
        })
        .await
}

fn of_type<'a>(events: &'a [Value], event_type: &str) -> Vec<&'a Value> {
    let of_type = events.iter().filter(|event| event["type"] == event_type);
    of_type.collect()
}
