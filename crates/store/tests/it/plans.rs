//! No query reads a whole table, but for those named here.
//!
//! The statements are taken from the sources, so that none is forgotten and none is a copy that
//! has drifted.

use std::path::Path;

use rusqlite::Connection;

use crate::Fixture;

/// Tables that stay small, or that are read whole on purpose: a part of the statement, and why.
const FULL_SCANS: &[(&str, &str)] = &[
    (
        "SELECT set_id, members FROM interest_sets",
        "once, at start",
    ),
    (
        "FROM users WHERE deactivated = 0 ORDER BY user_id",
        "user directory: no index for contains",
    ),
    (
        "SELECT COUNT(*) FROM users WHERE deactivated = 0",
        "statistics",
    ),
    ("FROM appservices", "a handful of rows"),
    ("FROM operators ORDER BY name", "a handful of rows"),
    (
        "DISTINCT room_id FROM room_directory",
        "the whole directory is asked for",
    ),
    (
        "room_id FROM rooms ORDER BY room_id",
        "all rooms are asked for, for checks and dumps",
    ),
    ("FROM sqlite_schema", "once, at start"),
    (
        "SELECT user_id, appservice FROM users WHERE deactivated = 0",
        "the linter looks at all users",
    ),
    (
        "SELECT a.alias, a.creator, u.appservice FROM aliases",
        "the linter looks at all aliases",
    ),
    ("FROM registrations ORDER BY id", "a row for each service"),
    (
        "FROM purges WHERE finished_at IS NULL",
        "a row for each service removed",
    ),
];

/// The string literals of Rust source that are SQL which searches.
fn statements(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for verb in ["SELECT ", "UPDATE ", "DELETE ", "WITH "] {
        for (start, _) in source.match_indices(&format!("\"{verb}")) {
            let text = &source[start + 1..];
            if source[..start].ends_with('\\') {
                continue; // A quotation mark inside a literal.
            }
            let length = literal_length(text).expect("sources compile, so literals end");
            found.push(unescape(&text[..length]));
        }
    }
    found
}

/// How far the literal goes whose opening quote was passed.
fn literal_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(index, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(index)
    })
}

/// Joins lines that end in a backslash.
fn unescape(literal: &str) -> String {
    let mut lines = literal.split("\\\n");
    let mut text = lines.next().unwrap_or_default().to_owned();
    lines.for_each(|line| text.push_str(line.trim_start()));
    text
}

fn plan(file: &Connection, sql: &str) -> Vec<String> {
    let mut statement = file
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap_or_else(|error| panic!("{error}: {sql}"));
    // Unbound parameters will do: the plan does not depend on their values.
    statement
        .raw_query()
        .mapped(|row| row.get(3))
        .map(Result::unwrap)
        .collect()
}

#[tokio::test]
async fn every_query_uses_an_index() {
    let fixture = Fixture::new();
    let file = Connection::open(fixture.file()).unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut checked = 0;
    for entry in std::fs::read_dir(sources).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for sql in statements(&source) {
            // Composed at run time: not a statement yet.
            if sql.contains('{') {
                continue;
            }
            checked += 1;
            let plan = plan(&file, &sql);
            let scans = plan.iter().any(|step| is_full_scan(step));
            let named = FULL_SCANS.iter().any(|(part, _)| sql.contains(part));
            assert!(!scans || named, "reads a whole table: {sql}\n{plan:#?}");
        }
    }
    assert!(
        checked > 50,
        "found only {checked} statements; were they moved?"
    );
}

fn is_full_scan(step: &str) -> bool {
    step.starts_with("SCAN ") && step != "SCAN CONSTANT ROW"
}

#[tokio::test]
async fn the_hot_queries_use_the_index_made_for_them() {
    let fixture = Fixture::new();
    let file = Connection::open(fixture.file()).unwrap();
    for (sql, expected) in [
        (
            "SELECT 1 FROM access_tokens AS t JOIN users AS u ON u.user_id = t.user_id \
             WHERE t.token_hash = $1",
            "PRIMARY KEY",
        ),
        (
            "SELECT 1 FROM to_device WHERE user_id = $1 AND device_id = $2 AND pos > $3 \
             ORDER BY pos",
            "INDEX to_device_by_device",
        ),
        (
            "SELECT 1 FROM log WHERE pos > $1 ORDER BY pos LIMIT $2",
            "INTEGER PRIMARY KEY",
        ),
        (
            "SELECT 1 FROM receipts WHERE room_id = $1 AND pos > $2",
            "INDEX receipts_by_pos",
        ),
        (
            "SELECT 1 FROM events WHERE room_id = $1 AND pos < $2 ORDER BY pos DESC LIMIT $3",
            "INDEX events_by_room",
        ),
        (
            "SELECT room_id FROM memberships WHERE user_id = $1 AND membership = $2",
            "INDEX memberships_by_user",
        ),
    ] {
        let plan = plan(&file, sql);
        assert!(
            plan.iter().all(|step| step.starts_with("SEARCH ")),
            "{sql}: {plan:?}"
        );
        assert!(plan[0].contains(expected), "{sql}: {plan:?}");
    }
}

#[test]
fn a_full_scan_is_noticed() {
    let file = Connection::open_in_memory().unwrap();
    file.execute_batch("CREATE TABLE t (a, b); CREATE INDEX t_a ON t (a)")
        .unwrap();
    let full = |sql| plan(&file, sql).iter().any(|step| is_full_scan(step));
    assert!(full("SELECT a FROM t WHERE b = 1"));
    assert!(full("SELECT a FROM t WHERE a + 1 = 2"));
    assert!(!full("SELECT b FROM t WHERE a = 1"));
    let source = "f(\"SELECT a \\\n        FROM t\"); \"no\\\"SELECT 1\"; \"DELETE FROM t\"";
    assert_eq!(statements(source), ["SELECT a FROM t", "DELETE FROM t"]);
}
