//! Keys of end-to-end encryption.

use bridgehead_store::{InsertedKey, StreamPosition};

use crate::{ALICE, BOB, Fixture};

#[tokio::test]
async fn identity_keys_change_only_when_they_differ() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            tx.upsert_device(ALICE, "PHONE", Some("phone"), 1)?;
            assert!(tx.set_device_keys(ALICE, "PHONE", r#"{"a":1}"#)?);
            assert!(!tx.set_device_keys(ALICE, "PHONE", r#"{"a":1}"#)?);
            assert!(tx.set_device_keys(ALICE, "PHONE", r#"{"a":2}"#)?);
            tx.set_device_keys(ALICE, "ALONE", "{}")?;
            assert!(tx.set_user_key(ALICE, "master", "{}")?);
            assert!(!tx.set_user_key(ALICE, "master", "{}")?);
            Ok(())
        })
        .await;
    let all = fixture
        .read(|snapshot| snapshot.device_keys(ALICE, None))
        .await;
    let all: Vec<_> = all
        .iter()
        .map(|row| {
            (
                row.device_id.as_str(),
                row.keys.as_str(),
                row.display_name.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        all,
        [
            ("ALONE", "{}", None),
            ("PHONE", r#"{"a":2}"#, Some("phone"))
        ]
    );
    let one = fixture
        .read(|snapshot| snapshot.device_keys(ALICE, Some("PHONE")))
        .await;
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].keys, r#"{"a":2}"#);
    assert!(
        fixture
            .read(|snapshot| snapshot.device_keys(BOB, None))
            .await
            .is_empty()
    );
    let user_keys = fixture.read(|snapshot| snapshot.user_keys(ALICE)).await;
    assert_eq!(user_keys, [("master".to_owned(), "{}".to_owned())]);
}

#[tokio::test]
async fn a_one_time_key_is_given_once_and_then_the_fallback() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            let mut insert = |id: &str, key: &str, now| {
                tx.insert_one_time_key(ALICE, "PHONE", "signed", id, key, now)
            };
            assert_eq!(insert("B", "1", 10)?, InsertedKey::New);
            assert_eq!(insert("A", "2", 20)?, InsertedKey::New);
            assert_eq!(insert("A", "2", 30)?, InsertedKey::Same);
            assert_eq!(insert("A", "3", 30)?, InsertedKey::Different);
            tx.set_fallback_key(ALICE, "PHONE", "signed", "F", "4")?;
            assert_eq!(
                tx.one_time_key_counts(ALICE, "PHONE")?,
                [("signed".to_owned(), 2)]
            );
            assert_eq!(tx.unused_fallback_types(ALICE, "PHONE")?, ["signed"]);

            let mut claimed = Vec::new();
            for _ in 0..4 {
                let key = tx.claim_one_time_key(ALICE, "PHONE", "signed")?.unwrap();
                claimed.push((key.key_id, key.key, key.is_fallback));
            }
            let expected = [
                ("B", "1", false),
                ("A", "2", false),
                ("F", "4", true),
                ("F", "4", true),
            ]
            .map(|(id, key, fallback)| (id.to_owned(), key.to_owned(), fallback));
            assert_eq!(claimed, expected);
            assert!(tx.one_time_key_counts(ALICE, "PHONE")?.is_empty());
            assert!(tx.unused_fallback_types(ALICE, "PHONE")?.is_empty());
            assert_eq!(tx.claim_one_time_key(ALICE, "PHONE", "other")?, None);

            // The same key again stays used; a new one does not.
            tx.set_fallback_key(ALICE, "PHONE", "signed", "F", "4")?;
            assert!(tx.unused_fallback_types(ALICE, "PHONE")?.is_empty());
            tx.set_fallback_key(ALICE, "PHONE", "signed", "G", "5")?;
            assert_eq!(tx.unused_fallback_types(ALICE, "PHONE")?, ["signed"]);
            Ok(())
        })
        .await;
}

#[tokio::test]
async fn device_list_changes_name_each_user_once() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            for user_id in [BOB, ALICE, BOB] {
                tx.device_list_changed(user_id, &[])?;
            }
            Ok(())
        })
        .await;
    for (after, upto, expected) in [
        (0, 3, &[ALICE, BOB][..]),
        (1, 2, &[ALICE]),
        (2, 3, &[BOB]),
        (3, 3, &[]),
    ] {
        let users = fixture
            .read(move |snapshot| {
                snapshot.device_list_changes(StreamPosition(after), StreamPosition(upto))
            })
            .await;
        assert_eq!(users, expected, "{after}..{upto}");
    }
}
