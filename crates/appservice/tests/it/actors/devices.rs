//! Devices that the service's users send as.

use serde_json::json;

use super::{
    scripted::{Asked, Homeserver, room, start, start_service},
    *,
};

/// A homeserver that takes services for devices which were made, and forgets that of a ghost once.
fn with_devices() -> Homeserver {
    let (mut made, mut is_removed) = (Vec::new(), false);
    Homeserver::new(move |asked| {
        let bot = "@actorsbot:localhost";
        let who = url::form_urlencoded::parse(asked.query.as_bytes())
            .find(|(key, _)| key == "user_id")
            .map_or_else(|| bot.to_owned(), |(_, user)| user.into_owned());
        if asked.what.starts_with("PUT /_matrix/client/v3/devices/") {
            made.push(who);
            return None;
        }
        let is_device = asked.query.contains("device_id=");
        if is_device && asked.body["body"] == "later" && !std::mem::replace(&mut is_removed, true) {
            made.retain(|user| *user != who);
        }
        if is_device && !made.contains(&who) {
            let unknown = json!({ "errcode": "M_UNKNOWN_DEVICE", "error": "no such device" });
            return Some(Ok((400, unknown)));
        }
        let whoami = json!({ "user_id": bot, "device_id": "BRIDGEHEAD" });
        (is_device && asked.what.ends_with("/whoami")).then_some(Ok((200, whoami)))
    })
}

#[tokio::test(start_paused = true)]
async fn who_sends_has_one_device_where_that_is_offered() -> anyhow::Result<()> {
    let homeserver = with_devices();
    let running = start(&homeserver).await?;
    let ghost = running.ghosts().named("ann")?;
    for text in ["first", "second"] {
        ghost.send(&room()?, text).await?;
    }
    assert_eq!(
        homeserver.asked("/devices/").len(),
        2,
        "the bot's, and ann's"
    );
    // Somebody removes it: it is made again, and the send is the same.
    ghost.send(&room()?, "later").await?;
    assert_eq!(homeserver.asked("/devices/").len(), 3);
    // Synapse takes nobody for a device without a user's name, not even the service's own.
    let probed = homeserver.asked("/whoami");
    let named = probed
        .iter()
        .filter(|asked| asked.query.contains("device_id="));
    assert!(
        named.clone().count() > 0 && named.clone().all(|asked| asked.query.contains("user_id="))
    );
    let sends = homeserver.asked("/send/");
    let as_device = |send: &&Asked| send.query.contains("device_id=BRIDGEHEAD");
    assert_eq!(sends.iter().filter(as_device).count(), 4, "{sends:?}");
    assert_eq!(sends[2].what, sends[3].what);
    let probes = homeserver.asked("/whoami");
    assert_eq!(
        probes.iter().filter(as_device).count(),
        2,
        "asked once, and after the making"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn nobody_has_a_device_where_that_is_not_offered_or_not_wanted() -> anyhow::Result<()> {
    for (homeserver, wanted) in [(Homeserver::new(|_| None), true), (with_devices(), false)] {
        let running = start_service(&homeserver, service().send_by_device(wanted)).await?;
        let ghost = running.ghosts().named("ann")?;
        ghost.send(&room()?, "hello").await?;
        assert!(homeserver.asked("/devices/").is_empty());
        let sends = homeserver.asked("/send/");
        assert!(!sends[0].query.contains("device_id"), "{sends:?}");
    }
    Ok(())
}
