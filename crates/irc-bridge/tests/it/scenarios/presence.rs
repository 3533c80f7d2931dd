//! Who of IRC is there is seen in Matrix.

use anyhow::Context as _;
use bridgehead_appservice::id::UserId;
use serde_json::{Value, json};

use super::talk::ghost;
use crate::{
    peers::raw::RawClient,
    stage::{Server, Stage, comes_to},
};

scenarios![who_is_talked_to_comes_and_goes];

async fn who_is_talked_to_comes_and_goes(stage: Stage) -> anyhow::Result<()> {
    // ngIRCd watches nobody.
    if stage.server == Server::Ngircd {
        return Ok(());
    }
    let mut bob = RawClient::welcomed(stage.port, "bob-seen").await?;
    let alice = stage.lab.user("alice-sees").await?;
    let ghost_id = UserId::parse(&ghost("bob-seen"))?;
    let body = json!({ "preset": "trusted_private_chat", "is_direct": true, "invite": [ghost_id] });
    let room = alice.create_room_with(&body).await?;
    comes_to(&Some("join".to_owned()), async || {
        Ok(alice.members(&room).await?.remove(&ghost_id))
    })
    .await?;
    alice.say(&room, "are you there?").await?;
    bob.hear("are you there?").await?;
    let presence = async || {
        let path = format!("/_matrix/client/v3/presence/{ghost_id}/status");
        let told = alice.call(http::Method::GET, &path, &Value::Null).await?;
        Ok(told["presence"].clone())
    };
    for _ in 0..2 {
        bob.say("QUIT :gone").await;
        comes_to(&json!("offline"), presence).await?;
        bob = RawClient::welcomed(stage.port, "bob-seen").await?;
        // A homeserver takes whoever nobody is logged in as for gone after some seconds: it is seen when it is told.
        comes_to(&json!("online"), presence)
            .await
            .context("he is back")?;
    }
    Ok(())
}
