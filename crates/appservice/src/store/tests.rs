//! The database alone: units of work in groups, what a bad one costs, versions, plans of queries.

mod groups;

use std::sync::{
    Arc, Barrier,
    atomic::{AtomicUsize, Ordering},
    mpsc,
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const TABLE: Migration = Migration {
    name: "notes",
    sql: "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT UNIQUE); CREATE INDEX by_text ON notes (text);",
};

fn place(folder: &TempDir) -> Location {
    Location::File(folder.path().join("service.db"))
}

fn open(folder: &TempDir, inline: bool) -> Result<Store> {
    Store::open(&place(folder), inline, &[TABLE])
}

fn both() -> Vec<(TempDir, Store)> {
    [false, true]
        .map(|inline| {
            let folder = TempDir::new().expect("a folder");
            let store = open(&folder, inline).expect("a store");
            (folder, store)
        })
        .into()
}

async fn notes(store: &Store) -> Vec<String> {
    let rows = store.query("SELECT text FROM notes ORDER BY id", []).await;
    let rows = rows.expect("rows");
    let text = |row: &Row| row.text(0).expect("a text").to_owned();
    rows.iter().map(text).collect()
}

fn note(unit: &Unit<'_>, text: &str) -> Result<()> {
    let mut statement = unit
        .connection
        .prepare_cached("INSERT INTO notes (text) VALUES (?1)")?;
    statement.execute([text])?;
    Ok(())
}

/// Keeps the writer busy until it is dropped, so that what is handed in meanwhile becomes one group.
async fn hold(store: &Store) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let at_work = Arc::new(Barrier::new(2));
    let there = at_work.clone();
    store
        .write_later(move |_| {
            there.wait();
            held.recv().ok();
            Ok(())
        })
        .await;
    tokio::task::spawn_blocking(move || at_work.wait())
        .await
        .expect("the writer is at work");
    release
}

#[tokio::test]
async fn a_unit_that_fails_takes_nothing_of_its_group_with_it() {
    let folder = TempDir::new().expect("a folder");
    let store = open(&folder, false).expect("a store");
    let held = hold(&store).await;
    let write = |text: &'static str, bad: bool| {
        let store = store.clone();
        tokio::spawn(async move {
            let work = move |unit: &Unit<'_>| {
                note(unit, text)?;
                if bad {
                    return Err(StoreError::Statement("no".to_owned()));
                }
                Ok(unit.connection.last_insert_rowid())
            };
            store.write(work).await
        })
    };
    let writes = [write("a", false), write("b", true), write("c", false)];
    tokio::task::yield_now().await;
    drop(held);
    let mut answers = Vec::new();
    for write in writes {
        answers.push(write.await.expect("no panic").ok());
    }
    assert_eq!(answers, [Some(1), None, Some(2)]);
    assert_eq!(notes(&store).await, ["a", "c"]);
}

#[tokio::test]
async fn a_unit_that_panics_fails_alone() {
    for (_folder, store) in both() {
        for _ in 0..3 {
            let written: Result<()> = store
                .write(|unit| {
                    note(unit, "half")?;
                    panic!("as the test wants it")
                })
                .await;
            let error = written.expect_err("it panicked").to_string();
            assert!(error.contains("panicked"), "{error}");
            let read: Result<()> = store.read(|_| panic!("as the test wants it")).await;
            assert!(read.is_err());
        }
        store
            .write(|unit| note(unit, "whole"))
            .await
            .expect("it lives");
        assert_eq!(notes(&store).await, ["whole"]);
    }
}

#[tokio::test]
async fn what_undoes_the_whole_group_is_told_to_all_of_it() {
    let folder = TempDir::new().expect("a folder");
    let store = open(&folder, false).expect("a store");
    let held = hold(&store).await;
    let write = |text: &'static str| {
        let store = store.clone();
        tokio::spawn(async move { store.write(move |unit| note(unit, text)).await })
    };
    let before = write("before");
    tokio::task::yield_now().await;
    let rolls_back = {
        let store = store.clone();
        tokio::spawn(async move {
            // What SQLite does by itself when the disk is full.
            let work = |unit: &Unit<'_>| -> Result<()> {
                unit.connection.execute_batch("ROLLBACK")?;
                Err(StoreError::Unavailable("the disk is full".to_owned()))
            };
            store.write(work).await
        })
    };
    tokio::task::yield_now().await;
    let after = write("after");
    tokio::task::yield_now().await;
    drop(held);
    for write in [before, rolls_back, after] {
        assert!(write.await.expect("no panic").is_err());
    }
    assert!(notes(&store).await.is_empty());
    store
        .write(|unit| note(unit, "next"))
        .await
        .expect("it goes on");
    assert_eq!(notes(&store).await, ["next"]);
}

#[tokio::test]
async fn units_take_effect_in_the_order_of_handing_in() {
    for (_folder, store) in both() {
        for number in 0..500 {
            store
                .write_later(move |unit| note(unit, &format!("{number}")))
                .await;
        }
        let count = "SELECT count(*) FROM notes";
        let behind = store.read_behind(move |unit| {
            let count: i64 = unit.connection.query_row(count, [], |row| row.get(0))?;
            Ok(count)
        });
        assert_eq!(behind.await, Ok(500));
        store
            .write(|unit| note(unit, "last"))
            .await
            .expect("written");
        let written = notes(&store).await;
        let numbers = (0..500).map(|number| number.to_string());
        assert_eq!(
            written,
            numbers.chain(["last".to_owned()]).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn readers_survive_callers_that_go() {
    let folder = TempDir::new().expect("a folder");
    let store = open(&folder, false).expect("a store");
    let begun = Arc::new(AtomicUsize::new(0));
    let mut releases = Vec::new();
    let mut readings = Vec::new();
    for _ in 0..READERS {
        let (release, held) = mpsc::channel::<()>();
        let (begun, store) = (begun.clone(), store.clone());
        releases.push(release);
        readings.push(tokio::spawn(async move {
            let read = move |_: &Unit<'_>| {
                begun.fetch_add(1, Ordering::SeqCst);
                held.recv().ok();
                Ok(())
            };
            store.read(read).await
        }));
    }
    while begun.load(Ordering::SeqCst) < READERS {
        tokio::task::yield_now().await;
    }
    for reading in readings {
        reading.abort();
        assert!(reading.await.is_err(), "the caller has gone");
    }
    let another = tokio::spawn({
        let store = store.clone();
        async move { store.read(|_| Ok(7)).await }
    });
    tokio::task::yield_now().await;
    drop(releases);
    assert_eq!(another.await.expect("no panic"), Ok(7));
}

#[tokio::test]
async fn what_is_handed_in_is_done_before_it_closes() {
    for (folder, store) in both() {
        for number in 0..50 {
            store
                .write_later(move |unit| note(unit, &format!("{number}")))
                .await;
        }
        store.close().await;
        assert!(store.write(|_| Ok(())).await.is_err());
        assert!(store.read(|_| Ok(())).await.is_err());
        let again = open(&folder, true).expect("the file is free");
        assert_eq!(notes(&again).await.len(), 50);
    }
}

#[tokio::test]
async fn whoever_may_still_write_keeps_others_out() {
    for (folder, store) in both() {
        let second = open(&folder, true).err().expect("it is in use");
        assert!(matches!(second, StoreError::InUse(_)), "{second}");
        store.shut();
        let again = loop {
            match open(&folder, true) {
                Err(StoreError::InUse(_)) => tokio::task::yield_now().await,
                other => break other,
            }
        };
        assert!(again.is_ok());
    }
}

#[tokio::test]
async fn readers_cannot_write() {
    let folder = TempDir::new().expect("a folder");
    let store = open(&folder, false).expect("a store");
    let sql = "INSERT INTO notes (text) VALUES ('x') RETURNING id";
    assert!(store.query(sql, []).await.is_err());
    assert!(notes(&store).await.is_empty());
}

#[test]
fn databases_of_others_and_of_the_future_are_left_alone() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("service.db");
    let foreign = Connection::open(&file).expect("a database");
    foreign
        .execute_batch("CREATE TABLE theirs (x); PRAGMA user_version = 77;")
        .expect("a table");
    drop(foreign);
    let before = std::fs::read(&file).expect("the file");
    let error = open(&folder, true).err().expect("it is another's");
    assert!(error.to_string().contains("another program"), "{error}");
    assert_eq!(std::fs::read(&file).expect("the file"), before);

    std::fs::write(
        &file,
        "no database at all, and longer than a header. ".repeat(99),
    )
    .expect("written");
    let error = open(&folder, true).err().expect("it is none");
    assert!(error.to_string().contains("not a database"), "{error}");

    std::fs::remove_file(&file).expect("removed");
    drop(open(&folder, true).expect("a new one"));
    let ours = Connection::open(&file).expect("a database");
    ours.pragma_update(None, "user_version", 9999).expect("set");
    drop(ours);
    let error = open(&folder, true).err().expect("it is newer");
    assert!(
        matches!(error, StoreError::TooNew { found: 9999, .. }),
        "{error}"
    );
}

#[test]
fn authors_steps_are_run_once_and_must_not_change() {
    let folder = TempDir::new().expect("a folder");
    let open = |steps: &[Migration]| Store::open(&place(&folder), true, steps).map(drop);
    let second = Migration {
        name: "more",
        sql: "ALTER TABLE notes ADD COLUMN more TEXT",
    };
    let broken = Migration {
        name: "broken",
        sql: "CREATE TABLE half (x); CREATE TABLE notes (x);",
    };
    open(&[TABLE]).expect("the first step");
    open(&[TABLE, second.clone()]).expect("the second step");
    open(&[TABLE, second.clone()]).expect("nothing to do");
    let error = open(&[TABLE, second, broken]).expect_err("there is such a table");
    assert!(error.to_string().contains("migration `broken`"), "{error}");
    let changed = Migration {
        sql: "CREATE TABLE notes (x)",
        ..TABLE
    };
    let error = open(&[changed]).expect_err("it was run in another form");
    assert!(error.to_string().contains("`notes` was changed"), "{error}");
    let connection = Connection::open(folder.path().join("service.db")).expect("a database");
    let half: i64 = connection
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name = 'half'",
            [],
            |row| row.get(0),
        )
        .expect("counted");
    assert_eq!(half, 0, "a step that fails leaves nothing");
}

#[tokio::test]
async fn old_transactions_are_forgotten_and_the_last_are_not() {
    let store = Store::open(&Location::Memory, true, &[]).expect("a store");
    let forget = async |before_ms| {
        let forgotten = store.write(move |unit| unit.forget_transactions(before_ms, 10, 3));
        forgotten.await.expect("forgotten")
    };
    let take = async |number: u8| {
        let taken = store.write(move |unit| unit.take_transaction(&[number; 16], number.into()));
        taken.await.expect("taken")
    };
    for number in 0..10 {
        assert!(take(number).await);
    }
    assert_eq!(forget(1000).await, 0, "no more than are kept");
    for number in 10..20 {
        assert!(take(number).await);
    }
    assert_eq!(forget(2).await, 2, "the older ones");
    assert_eq!(forget(1000).await, 3, "a bite");
    while forget(1000).await > 0 {}
    for number in 10..20 {
        assert!(!take(number).await, "{number} is known");
    }
    assert!(take(9).await, "forgotten");
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        prop::num::f64::NORMAL.prop_map(Value::Real),
        ".*".prop_map(Value::Text),
        any::<Vec<u8>>().prop_map(Value::Blob),
    ]
}

proptest! {
    #[test]
    fn values_come_back_as_they_went(values in prop::array::uniform3(value())) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let store = Store::open(&Location::Memory, true, &[]).expect("a store");
        let rows = runtime.block_on(store.query("SELECT ?1, ?2, ?3", values.clone()));
        prop_assert_eq!(rows, Ok(vec![Row::of(values.to_vec())]));
    }
}

/// Statements that look as if they read whole tables.
const FULL_SCANS: &[&str] = &[
    // In the order of the ids, and no further than the first that is not set aside.
    "WHERE parked_ms IS NULL ORDER BY id LIMIT 1",
    // Once, at the start.
    "FROM sqlite_schema",
    // All of them are counted; a row for each person who is acted for.
    "SELECT count(*) FROM puppets",
    // A row for each of the few tables that count.
    "FROM sqlite_sequence",
];

/// The string literals of Rust source that are SQL.
fn statements(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for verb in ["SELECT ", "UPDATE ", "DELETE ", "INSERT "] {
        for (start, _) in source.match_indices(&format!("\"{verb}")) {
            let text = &source[start + 1..];
            let end = text
                .char_indices()
                .find(|(at, c)| *c == '"' && !text[..*at].ends_with('\\'));
            let (end, _) = end.expect("sources compile, so literals end");
            found.push(text[..end].replace("\\\"", "\""));
        }
    }
    found
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("the sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if !path.ends_with("tests.rs") {
            found.push(std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

#[test]
fn every_query_uses_an_index() {
    let folder = TempDir::new().expect("a folder");
    drop(open(&folder, true).expect("a store"));
    let connection = Connection::open(folder.path().join("service.db")).expect("a database");
    let mut texts = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut texts,
    );
    let (mut checked, mut wrong) = (0, Vec::new());
    for sql in texts.iter().flat_map(|text| statements(text)) {
        // The columns of a table's rows are spelt once; any will do here.
        let sql = sql.replace("{COLUMNS}", "id");
        let Ok(mut statement) = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")) else {
            // Of an author's table, in an example of the documentation.
            continue;
        };
        checked += 1;
        let steps = statement.raw_query().mapped(|row| row.get::<_, String>(3));
        for step in steps.map(|step| step.expect("a step")) {
            let scans = step.starts_with("SCAN ")
                && !step.contains("INDEX")
                && step != "SCAN CONSTANT ROW"
                && !step.contains("(subquery");
            let is_named = FULL_SCANS.iter().any(|part| sql.contains(part));
            if scans && !is_named {
                wrong.push(format!("{sql}: {step}"));
            }
        }
    }
    assert!(wrong.is_empty(), "read a whole table: {wrong:#?}");
    assert!(checked >= 25, "found only {checked} statements");
}
