//! What a room is bridged to, for everybody to see: `m.bridge` and its unstable twin (MSC2346).

use serde_json::{Value, json};

use super::{
    Named, Network, Place, calls,
    live::Live,
    portal::{Portal, PortalData},
};
use crate::{
    Error, Urgency,
    core::Core,
    id::UserId,
    outbox::{Outgoing, What},
};

/// The types of the events, both with the same key and content.
pub(crate) const KINDS: [&str; 2] = ["m.bridge", "uk.half-shot.bridge"];

/// What the state keys of this kit's bridges begin with.
const PREFIX: &str = "io.bridgehead";

/// The key of a room's events: `prefix://protocol/network/channel`, so that each channel has its own.
pub(crate) fn state_key<N: Network>(live: &Live<N>, room: &N::Room) -> String {
    key_of(N::NAME, &live.network().place(room))
}

fn key_of(protocol: &str, place: &Place) -> String {
    let part = |text: &str| text.replace('%', "%25").replace('/', "%2F");
    let mut key = format!("{PREFIX}://{}", part(protocol));
    if let Some(network) = &place.network {
        key.push_str(&format!("/{}", part(&network.id)));
    }
    key.push_str(&format!("/{}", part(&place.channel.id)));
    key
}

fn named(thing: &Named, name: Option<&str>) -> Value {
    let mut fields = json!({ "id": thing.id });
    let name = name.or(thing.name.as_deref());
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        fields["displayname"] = json!(name);
    }
    if let Some(avatar) = &thing.avatar {
        fields["avatar_url"] = json!(avatar);
    }
    if let Some(url) = &thing.url {
        fields["external_url"] = json!(url);
    }
    fields
}

/// Key and content of a portal's events.
pub(crate) fn content<N: Network>(
    live: &Live<N>,
    core: &Core,
    room: &N::Room,
    data: &PortalData,
) -> (String, Value) {
    let place = live.network().place(room);
    let mut channel = place.channel.clone();
    channel.avatar = channel.avatar.or_else(|| data.avatar.clone());
    let protocol = Named {
        name: Some(N::TITLE.to_owned()),
        ..Named::new(N::NAME)
    };
    let mut content = json!({
        "bridgebot": core.bot,
        "protocol": named(&protocol, None),
        "channel": named(&channel, data.name.as_deref()),
    });
    if let Some(network) = &place.network {
        content["network"] = named(network, None);
    }
    if let Some(creator) = &data.creator {
        content["creator"] = json!(creator);
    }
    (key_of(N::NAME, &place), content)
}

/// Sends a portal's events where they are not what they should be.
pub(crate) async fn update<N: Network>(
    live: &Live<N>,
    core: &Core,
    portal: &Portal<N>,
) -> Result<(), Error> {
    let (key, content) = content(live, core, &portal.remote, &portal.data);
    put(core, portal, &key, &content).await
}

/// Says of a portal that it is none any more.
pub(crate) async fn clear<N: Network>(
    live: &Live<N>,
    core: &Core,
    portal: &Portal<N>,
) -> Result<(), Error> {
    put(core, portal, &state_key(live, &portal.remote), &json!({})).await
}

async fn put<N: Network>(
    core: &Core,
    portal: &Portal<N>,
    key: &str,
    content: &Value,
) -> Result<(), Error> {
    let agent = portal.agent(core);
    for kind in KINDS {
        let known = calls::heard_state(core, &portal.matrix, kind, key).await?;
        if known.as_ref() == Some(content) {
            continue;
        }
        put_one(core, portal, &agent, (kind, key, content)).await?;
    }
    Ok(())
}

async fn put_one<N: Network>(
    core: &Core,
    portal: &Portal<N>,
    agent: &UserId,
    (kind, key, content): (&str, &str, &Value),
) -> Result<(), Error> {
    let outgoing = Outgoing {
        key: core.effect_key(None),
        room_id: portal.matrix.clone(),
        user: agent.clone(),
        what: What::State(kind.to_owned(), key.to_owned()),
        content: content.clone(),
        ts_ms: None,
        urgency: Urgency::Profile,
    };
    match calls::send(core, &outgoing).await {
        // In rooms that were there before, the bridge may have no power; the bridge works all the same.
        Err(error) if calls::is_refused(&error) => {
            tracing::debug!(room.id = %portal.matrix, %error, "the room cannot say what it is bridged to");
            Ok(())
        }
        sent => sent.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_one_for_each_channel() {
        let key = |network: Option<&str>, channel: &str| {
            key_of(
                "irc",
                &Place {
                    network: network.map(Named::new),
                    channel: Named::new(channel),
                },
            )
        };
        assert_eq!(
            key(Some("libera"), "#rust"),
            "io.bridgehead://irc/libera/#rust"
        );
        assert_eq!(key(None, "#rust"), "io.bridgehead://irc/#rust");
        assert_ne!(key(Some("a/b"), "c"), key(Some("a"), "b/c"));
    }
}
