//! Devices, tokens, filters and idempotency keys.

use bridgehead_store::TokenOwner;
use rusqlite::Connection;

use crate::{ALICE, BOB, Fixture, user};

#[tokio::test]
async fn a_device_is_made_once_and_renamed_on_demand() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            assert!(tx.upsert_device(ALICE, "PHONE", Some("phone"), 5)?);
            assert!(!tx.upsert_device(ALICE, "PHONE", Some("other"), 6)?);
            assert!(!tx.touch_device(BOB, "PHONE", "192.0.2.1", 9)?);
            assert!(tx.touch_device(ALICE, "PHONE", "192.0.2.1", 9)?);
            let device = tx.device(ALICE, "PHONE")?.unwrap();
            assert_eq!(device.display_name.as_deref(), Some("phone"));
            assert_eq!(device.last_seen_ip.as_deref(), Some("192.0.2.1"));
            assert_eq!((device.created_at, device.last_seen_at), (5, Some(9)));
            assert!(tx.rename_device(ALICE, "PHONE", None)?);
            assert!(!tx.rename_device(ALICE, "TABLET", None)?);
            assert_eq!(tx.device(ALICE, "PHONE")?.unwrap().display_name, None);
            Ok(())
        })
        .await;
}

#[tokio::test]
async fn a_token_speaks_for_its_owner() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            tx.insert_user(&user(ALICE))?;
            tx.insert_access_token(b"hash", ALICE, "PHONE", Some(50))?;
            tx.insert_access_token(b"second", ALICE, "PHONE", None)
        })
        .await;
    let owner = TokenOwner {
        user_id: ALICE.to_owned(),
        device_id: "PHONE".to_owned(),
        expires_at: Some(50),
        is_guest: false,
        deactivated: false,
    };
    assert_eq!(
        fixture
            .read(|snapshot| snapshot.token_owner(b"hash"))
            .await
            .as_ref(),
        Some(&owner)
    );
    assert_eq!(
        fixture.write(|tx| tx.delete_access_token(b"hash")).await,
        Some(owner)
    );
    assert_eq!(
        fixture.write(|tx| tx.delete_access_token(b"hash")).await,
        None
    );
    assert_eq!(
        fixture
            .write(|tx| tx.delete_access_tokens_of_device(ALICE, "PHONE"))
            .await,
        1
    );
    assert_eq!(
        fixture
            .read(|snapshot| snapshot.token_owner(b"second"))
            .await,
        None
    );
}

#[tokio::test]
async fn a_refresh_token_is_used_once() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            tx.insert_refresh_token(b"old", ALICE, "PHONE")?;
            tx.insert_refresh_token(b"new", ALICE, "PHONE")?;
            assert!(tx.mark_refresh_token_used(b"old")?);
            assert!(!tx.mark_refresh_token_used(b"old")?);
            assert!(!tx.mark_refresh_token_used(b"unknown")?);
            let (_, _, used) = tx.refresh_token(b"old")?.unwrap();
            assert!(used);
            assert_eq!(tx.delete_used_refresh_tokens(ALICE, "PHONE")?, 1);
            assert_eq!(tx.refresh_token(b"old")?, None);
            let expected = (ALICE.to_owned(), "PHONE".to_owned(), false);
            assert_eq!(tx.refresh_token(b"new")?, Some(expected));
            Ok(())
        })
        .await;
}

#[tokio::test]
async fn ended_openid_tokens_are_pruned() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            for (hash, ends) in [(b"1", 10), (b"2", 20), (b"3", 30)] {
                tx.insert_openid_token(hash, ALICE, ends)?;
            }
            assert_eq!(tx.prune_openid_tokens(30, 1)?, 1);
            assert_eq!(tx.openid_token(b"1")?, None);
            assert_eq!(tx.prune_openid_tokens(30, 10)?, 1);
            assert_eq!(tx.openid_token(b"3")?, Some((ALICE.to_owned(), 30)));
            Ok(())
        })
        .await;
}

#[tokio::test]
async fn the_same_filter_has_the_same_id() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            let first = tx.insert_filter(ALICE, "{}")?;
            let second = tx.insert_filter(ALICE, r#"{"room":{}}"#)?;
            assert_ne!(first, second);
            assert_eq!(tx.insert_filter(ALICE, "{}")?, first);
            assert_eq!(tx.filter(ALICE, second)?.as_deref(), Some(r#"{"room":{}}"#));
            assert_eq!(tx.filter(BOB, second)?, None);
            Ok(())
        })
        .await;
}

#[tokio::test]
async fn a_deleted_device_takes_everything_along() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            tx.insert_user(&user(ALICE))?;
            for device in ["PHONE", "TABLET", "LAPTOP"] {
                tx.upsert_device(ALICE, device, None, 1)?;
                tx.insert_access_token(device.as_bytes(), ALICE, device, None)?;
                tx.insert_refresh_token(device.as_bytes(), ALICE, device)?;
                tx.set_device_keys(ALICE, device, "{}")?;
                tx.insert_one_time_key(ALICE, device, "signed", "A", "{}", 1)?;
                tx.set_fallback_key(ALICE, device, "signed", "F", "{}")?;
                tx.insert_to_device(ALICE, device, BOB, "m.dummy", "{}", &[])?;
            }
            assert!(tx.delete_device(ALICE, "PHONE")?);
            assert!(!tx.delete_device(ALICE, "PHONE")?);
            assert_eq!(tx.delete_all_devices(ALICE, Some("LAPTOP"))?, ["TABLET"]);
            Ok(())
        })
        .await;
    let file = Connection::open(fixture.file()).unwrap();
    for table in [
        "devices",
        "access_tokens",
        "refresh_tokens",
        "device_keys",
        "one_time_keys",
        "fallback_keys",
        "to_device",
    ] {
        let mut statement = file
            .prepare(&format!("SELECT device_id FROM {table}"))
            .unwrap();
        let left: Vec<String> = statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(left, ["LAPTOP"], "{table}");
    }
}

#[tokio::test]
async fn old_client_transaction_ids_are_pruned_oldest_first() {
    let fixture = Fixture::new();
    let file = Connection::open(fixture.file()).unwrap();
    for at in [30, 10, 20, 40] {
        file.execute(
            "INSERT INTO client_txns VALUES ($1, 'PHONE', '!r', 'm.x', $2, '$e', $3)",
            (ALICE, format!("txn{at}"), at),
        )
        .unwrap();
    }
    assert_eq!(fixture.write(|tx| tx.prune_client_txns(40, 2)).await, 2);
    assert_eq!(ages(&file), [30, 40]);
    assert_eq!(fixture.write(|tx| tx.prune_client_txns(40, 2)).await, 1);
    assert_eq!(ages(&file), [40]);
}

fn ages(file: &Connection) -> Vec<i64> {
    let mut statement = file
        .prepare("SELECT at_ms FROM client_txns ORDER BY at_ms")
        .unwrap();
    statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}
