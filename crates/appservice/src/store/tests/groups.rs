//! What one unit of work can do to the others of its commit.

use super::*;

#[tokio::test]
async fn a_foreign_key_that_fails_at_the_commit_fails_alone() {
    const PARENTS: Migration = Migration {
        name: "parents",
        sql: "CREATE TABLE parents (id INTEGER PRIMARY KEY);
              CREATE TABLE children (parent INTEGER REFERENCES parents (id) deferrable initially deferred);",
    };
    let folder = TempDir::new().expect("a folder");
    let store = Store::open(&place(&folder), false, &[TABLE, PARENTS]).expect("a store");
    let held = hold(&store).await;
    let orphan = {
        let store = store.clone();
        let sql = "INSERT INTO children VALUES (7)";
        tokio::spawn(async move { store.execute(sql, []).await })
    };
    tokio::task::yield_now().await;
    let bystander = {
        let store = store.clone();
        tokio::spawn(async move { store.write(|unit| note(unit, "bystander")).await })
    };
    tokio::task::yield_now().await;
    drop(held);
    assert!(orphan.await.expect("no panic").is_err());
    assert_eq!(bystander.await.expect("no panic"), Ok(()));
    assert_eq!(notes(&store).await, ["bystander"]);
}

#[tokio::test]
async fn what_is_not_committed_is_told_to_what_changed_memory_for_it() {
    for (_folder, store) in both() {
        let undone = Arc::new(AtomicUsize::new(0));
        let write = |fails: bool| {
            let (store, undone) = (store.clone(), undone.clone());
            async move {
                let work = move |unit: &Unit<'_>| {
                    unit.if_undone(move || {
                        undone.fetch_add(1, Ordering::SeqCst);
                    });
                    match fails {
                        true => Err(StoreError::Statement("no".to_owned())),
                        false => Ok(()),
                    }
                };
                store.write(work).await
            }
        };
        assert!(write(false).await.is_ok());
        assert_eq!(undone.load(Ordering::SeqCst), 0);
        assert!(write(true).await.is_err());
        assert_eq!(undone.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn authors_statements_cannot_undo_others_work() {
    for (_folder, store) in both() {
        for sql in [
            "INSERT OR ROLLBACK INTO notes (text) VALUES ('x')",
            "ROLLBACK",
        ] {
            let error = store.execute(sql, []).await.expect_err(sql).to_string();
            assert!(error.contains("what others write"), "{error}");
        }
        let sql = "PRAGMA defer_foreign_keys = ON";
        assert!(store.query(sql, []).await.is_err());
    }
    let folder = TempDir::new().expect("a folder");
    let rolls_back = Migration {
        name: "rolls_back",
        sql: "CREATE TABLE once (x UNIQUE ON CONFLICT ROLLBACK)",
    };
    let opened = Store::open(&place(&folder), true, &[rolls_back]);
    let error = opened.err().expect("it is refused").to_string();
    assert!(
        error.contains("migration `rolls_back`: not done"),
        "{error}"
    );
}
