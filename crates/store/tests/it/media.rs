//! Media ids.

use bridgehead_store::MediaRow;

use crate::{ALICE, BOB, Fixture};

fn pending(media_id: &str, expires_at: i64) -> MediaRow {
    MediaRow {
        media_id: media_id.to_owned(),
        sha256: None,
        content_type: None,
        filename: None,
        size_bytes: None,
        user_id: ALICE.to_owned(),
        created_at: 1,
        expires_at: Some(expires_at),
    }
}

#[tokio::test]
async fn bytes_come_once() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            assert!(tx.insert_media(&pending("one", 100))?);
            assert!(!tx.insert_media(&pending("one", 200))?);
            assert_eq!(tx.pending_media_count(ALICE)?, 1);
            assert_eq!(tx.pending_media_count(BOB)?, 0);
            assert!(tx.complete_media("one", "cafe", Some("text/plain"), None, 4)?);
            assert!(!tx.complete_media("one", "beef", None, None, 5)?);
            assert!(!tx.complete_media("none", "beef", None, None, 5)?);
            assert_eq!(tx.pending_media_count(ALICE)?, 0);
            Ok(())
        })
        .await;
    let expected = MediaRow {
        sha256: Some("cafe".to_owned()),
        content_type: Some("text/plain".to_owned()),
        size_bytes: Some(4),
        expires_at: None,
        ..pending("one", 0)
    };
    assert_eq!(
        fixture.read(|snapshot| snapshot.media("one")).await,
        Some(expected)
    );
    assert_eq!(fixture.read(|snapshot| snapshot.media("none")).await, None);
}

#[tokio::test]
async fn ids_without_bytes_end() {
    let fixture = Fixture::new();
    fixture
        .write(|tx| {
            for (id, expires_at) in [("a", 10), ("b", 20), ("c", 30), ("done", 10)] {
                tx.insert_media(&pending(id, expires_at))?;
            }
            tx.complete_media("done", "cafe", None, None, 4)?;
            assert_eq!(tx.prune_pending_media(30, 1)?, 1);
            assert_eq!(tx.media("a")?, None);
            assert_eq!(tx.prune_pending_media(30, 10)?, 1);
            assert!(tx.media("c")?.is_some());
            assert!(tx.media("done")?.is_some());
            Ok(())
        })
        .await;
}
