//! Users and the user directory.

use bridgehead_store::{PusherRow, UserRow};

use crate::{ALICE, BOB, Fixture, user};

#[tokio::test]
async fn an_id_is_given_out_once() {
    let fixture = Fixture::new();
    let guest = UserRow {
        is_guest: true,
        appservice: Some("irc".to_owned()),
        created_at: 77,
        ..user(ALICE)
    };
    let first = guest.clone();
    assert!(fixture.write(move |tx| tx.insert_user(&first)).await);
    assert!(!fixture.write(|tx| tx.insert_user(&user(ALICE))).await);
    let stored = fixture.read(|snapshot| snapshot.user(ALICE)).await;
    assert!(stored.is_some_and(|stored| stored == guest));
    let exist = fixture
        .read(|snapshot| snapshot.user_exists(&[BOB, ALICE]))
        .await;
    assert_eq!(exist, [false, true]);
}

#[tokio::test]
async fn changes_to_nobody_are_noticed() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            assert!(!tx.set_admin(BOB, true)?);
            assert!(!tx.set_password_hash(BOB, Some("hash"))?);
            assert!(!tx.set_profile(BOB, "{}")?);
            assert!(!tx.deactivate_user(BOB)?);
            tx.insert_user(&user(BOB))?;
            assert!(tx.set_admin(BOB, true)?);
            assert!(tx.set_password_hash(BOB, Some("hash"))?);
            assert!(tx.set_profile(BOB, r#"{"displayname":"Bob"}"#)?);
            Ok(())
        })
        .await;
    let bob = fixture.read(|snapshot| snapshot.user(BOB)).await.unwrap();
    assert!(bob.is_admin);
    assert_eq!(bob.password_hash.as_deref(), Some("hash"));
    let profile = fixture.read(|snapshot| snapshot.profile(BOB)).await;
    assert_eq!(profile.as_deref(), Some(r#"{"displayname":"Bob"}"#));
}

#[tokio::test]
async fn deactivation_ends_every_way_in() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            tx.insert_user(&UserRow {
                password_hash: Some("hash".to_owned()),
                ..user(ALICE)
            })?;
            tx.upsert_device(ALICE, "PHONE", None, 1)?;
            tx.insert_access_token(b"access", ALICE, "PHONE", None)?;
            tx.insert_access_token(b"no device row", ALICE, "NONE", None)?;
            tx.insert_refresh_token(b"refresh", ALICE, "PHONE")?;
            tx.insert_openid_token(b"openid", ALICE, 9)?;
            assert_eq!(tx.user_count()?, 1);
            assert!(tx.deactivate_user(ALICE)?);
            assert_eq!(tx.user_count()?, 0);
            assert!(tx.token_owner(b"access")?.is_none());
            assert!(tx.token_owner(b"no device row")?.is_none());
            assert!(tx.refresh_token(b"refresh")?.is_none());
            assert!(tx.openid_token(b"openid")?.is_none());
            assert!(tx.devices(ALICE)?.is_empty());
            Ok(())
        })
        .await;
    let alice = fixture.read(|snapshot| snapshot.user(ALICE)).await.unwrap();
    assert!(alice.deactivated);
    assert!(alice.password_hash.is_none());
}

#[tokio::test]
async fn the_directory_finds_ids_and_names() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            tx.insert_user(&UserRow {
                profile: r#"{"displayname":"Jürgen \"Jay\" Östlund"}"#.to_owned(),
                ..user(ALICE)
            })?;
            tx.insert_user(&user(BOB))?;
            tx.insert_user(&user("@carol:example.org"))?;
            tx.deactivate_user("@carol:example.org")?;
            Ok(())
        })
        .await;
    for (term, limit, expected) in [
        ("ALI", 10, &[ALICE][..]),
        ("östlund", 10, &[ALICE]),
        ("\"jay\"", 10, &[ALICE]),
        ("displayname", 10, &[]),
        ("example.org", 10, &[ALICE, BOB]),
        ("example.org", 1, &[ALICE]),
        ("carol", 10, &[]),
    ] {
        let found = fixture
            .read(move |snapshot| snapshot.users_search(term, limit))
            .await;
        let ids: Vec<_> = found.iter().map(|user| user.user_id.as_str()).collect();
        assert_eq!(ids, expected, "{term}");
    }
}

#[tokio::test]
async fn a_pusher_is_replaced_by_key_and_moves_with_its_device() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            let row = |user_id: &str, pusher: &str| PusherRow {
                user_id: user_id.to_owned(),
                app_id: "app".to_owned(),
                pushkey: "key".to_owned(),
                pusher: pusher.to_owned(),
            };
            tx.upsert_pusher(&row(ALICE, "{}"))?;
            tx.upsert_pusher(&row(ALICE, "{\"lang\":\"en\"}"))?;
            assert_eq!(tx.pushers(ALICE)?, ["{\"lang\":\"en\"}"]);
            tx.delete_pushers_of_others(&row(BOB, ""))?;
            assert_eq!(tx.pushers(ALICE)?, Vec::<String>::new());
            tx.upsert_pusher(&row(BOB, "{}"))?;
            tx.delete_pushers_of_others(&row(BOB, ""))?;
            assert_eq!(tx.pushers(BOB)?, ["{}"]);
            tx.delete_pusher(&row(BOB, ""))?;
            assert_eq!(tx.pushers(BOB)?, Vec::<String>::new());
            Ok(())
        })
        .await;
}
