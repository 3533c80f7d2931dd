//! Redaction keeps what the rules keep, the id and the signatures.

use std::collections::BTreeMap;

use ruma::{
    RoomVersionId,
    serde::Base64,
    signatures::{Verified, reference_hash, verify_event},
};
use serde_json::{Value, json};

use super::*;
use crate::fixture::{TestRoom, alice, bob, carol, key, new_event, versions};

#[test]
fn redaction_keeps_id_and_signatures() {
    let public = Base64::parse(key().public_key_base64()).unwrap();
    let keys = BTreeMap::from([(
        key().server_name().to_string(),
        BTreeMap::from([(key().key_id(), public)]),
    )]);
    for version in versions() {
        let mut room = TestRoom::public(&version);
        room.member(bob(), bob(), "join").unwrap();
        let message = room.message(bob()).unwrap();
        let mut redaction = new_event(bob(), "m.room.redaction", json!({ "reason": "typo" }));
        redaction.redacts = Some(message.event_id.clone());
        room.send(redaction).unwrap();

        let rules = &room.view.rules;
        for event in &room.events {
            let redacted = event.redacted(rules).unwrap();
            let pdu = redacted.to_pdu(rules).unwrap();
            let hash = reference_hash(&pdu, rules).unwrap();
            assert_eq!(redacted.event_id.as_str(), format!("${hash}"), "{version}");
            let verified = verify_event(&keys, &pdu, rules).unwrap();
            let unchanged =
                redacted.content.get() == event.content.get() && redacted.redacts == event.redacts;
            let expected = if unchanged {
                Verified::All
            } else {
                Verified::Signatures
            };
            assert_eq!(verified, expected, "{version} {}", event.event_type);
        }
        assert_eq!(message.redacted(rules).unwrap().content.get(), "{}");
    }
}

#[test]
fn content_is_redacted_by_the_versions_rules() {
    let check = |version: RoomVersionId, event_type: &str, content: Value, expected: Value| {
        let content = serde_json::value::to_raw_value(&content).unwrap();
        let redacted = redact_content(&version.rules().unwrap(), event_type, &content).unwrap();
        assert_eq!(
            redacted.get(),
            expected.to_string(),
            "{version} {event_type}"
        );
    };
    let member = json!({ "membership": "join", "displayname": "Bob" });
    check(
        RoomVersionId::V6,
        "m.room.member",
        member,
        json!({ "membership": "join" }),
    );
    let levels = json!({ "ban": 50, "invite": 0, "notifications": {} });
    check(
        RoomVersionId::V10,
        "m.room.power_levels",
        levels.clone(),
        json!({ "ban": 50 }),
    );
    let kept = json!({ "ban": 50, "invite": 0 });
    check(RoomVersionId::V11, "m.room.power_levels", levels, kept);
}

#[test]
fn ones_own_event_or_the_power_to_redact() {
    let mut room = TestRoom::public(&RoomVersionId::V11);
    for user in [bob(), carol()] {
        room.member(user, user, "join").unwrap();
    }
    assert!(may_redact(&room.view, carol(), carol()));
    assert!(!may_redact(&room.view, carol(), alice()));
    assert!(
        may_redact(&room.view, bob(), alice()),
        "Bob has 50, as much as is needed"
    );
    assert!(may_redact(&room.view, alice(), bob()));
}
