//! What an author's statement must not do: end the transaction in which it is one unit of many, or put off its own
//! failure until all of them are committed.

use super::{Result, StoreError};

/// Refuses a statement that would take other units of work with it.
pub(super) fn check(sql: &str) -> Result<()> {
    let words = words(sql);
    let refused = refused_anywhere(&words).or_else(|| {
        let defers = has(&words, &["DEFERRABLE"]);
        defers.then_some("DEFERRABLE: a table with a deferred foreign key is made in a migration")
    });
    let first = words.first().map(String::as_str);
    let ends = matches!(
        first,
        Some("BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "SAVEPOINT" | "RELEASE")
    );
    match refused {
        Some(what) => Err(refusal(what)),
        None if ends => Err(refusal("statements that begin or end a transaction")),
        None => Ok(()),
    }
}

/// The same for the statements of a migration.
pub(super) fn check_migration(sql: &str) -> Result<()> {
    let words = words(sql);
    // `END` closes triggers as well, and is left to SQLite.
    let ends = ["COMMIT", "ROLLBACK", "BEGIN", "SAVEPOINT", "RELEASE"];
    let first = words.first().into_iter();
    let others = words.windows(2).filter(|pair| pair[0] == ";");
    let mut firsts = first.chain(others.map(|pair| &pair[1]));
    match refused_anywhere(&words) {
        Some(what) => Err(refusal(what)),
        None if firsts.any(|first| ends.contains(&first.as_str())) => {
            Err(refusal("statements that begin or end a transaction"))
        }
        None => Ok(()),
    }
}

fn refused_anywhere(words: &[String]) -> Option<&'static str> {
    if has(words, &["OR", "ROLLBACK"]) || has(words, &["CONFLICT", "ROLLBACK"]) {
        return Some("OR ROLLBACK and ON CONFLICT ROLLBACK: say ABORT");
    }
    if has(words, &["RAISE", "(", "ROLLBACK"]) {
        return Some("RAISE(ROLLBACK, …): say RAISE(ABORT, …)");
    }
    let defers = has(words, &["PRAGMA"]) && has(words, &["DEFER_FOREIGN_KEYS"]);
    defers.then_some("PRAGMA defer_foreign_keys")
}

fn has(words: &[String], sequence: &[&str]) -> bool {
    words
        .windows(sequence.len())
        .any(|window| window.iter().eq(sequence))
}

fn refusal(what: &str) -> StoreError {
    StoreError::Statement(format!(
        "not done, as it would undo what others write at the same time: {what}"
    ))
}

/// The words and signs of SQL, in capitals, without comments; a literal is one word that is none of SQL's.
fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let length = if let Some(comment) = rest.strip_prefix("--") {
            2 + comment.find('\n').unwrap_or(comment.len())
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.find("*/").map_or(rest.len(), |end| end + 4)
        } else if matches!(first, '\'' | '"' | '`' | '[') {
            words.push("''".to_owned());
            literal(rest, first)
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            words.push(rest[..end].to_ascii_uppercase());
            end
        } else {
            if !first.is_whitespace() {
                words.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    words
}

/// How long a literal or a quoted name is. A doubled quote ends one and begins another, which comes to the same.
fn literal(text: &str, open: char) -> usize {
    let close = if open == '[' { ']' } else { open };
    text[1..].find(close).map_or(text.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_undoes_others_work_is_refused_and_said() {
        for (sql, said) in [
            ("INSERT OR ROLLBACK INTO t VALUES (1)", "OR ROLLBACK"),
            ("update or /* so */ rollback t SET x = 1", "OR ROLLBACK"),
            (
                "CREATE TABLE t (x UNIQUE ON CONFLICT ROLLBACK)",
                "ON CONFLICT ROLLBACK",
            ),
            ("SELECT raise ( -- now\n rollback, 'x')", "RAISE(ABORT"),
            ("PRAGMA main.defer_foreign_keys = 1", "defer_foreign_keys"),
        ] {
            for refused in [check(sql), check_migration(sql)] {
                let error = refused.expect_err(sql).to_string();
                assert!(error.contains(said), "{sql}: {error}");
            }
        }
        for sql in [
            "ROLLBACK",
            " -- so\n commit",
            "END",
            "savepoint a",
            "RELEASE a",
            "BEGIN",
        ] {
            let error = check(sql).expect_err(sql).to_string();
            assert!(error.contains("end a transaction"), "{sql}: {error}");
        }
        assert!(check_migration("CREATE TABLE t (x); COMMIT").is_err());
        assert!(check("CREATE TABLE t (x REFERENCES u DEFERRABLE INITIALLY DEFERRED)").is_err());
    }

    #[test]
    fn what_only_looks_like_it_is_not() {
        for sql in [
            "INSERT INTO t VALUES ('a or rollback', \"RAISE(ROLLBACK\", [PRAGMA defer_foreign_keys])",
            "SELECT 'it''s or', 'rollback' -- OR ROLLBACK",
            "SELECT 1 /* ON CONFLICT ROLLBACK",
            "INSERT INTO t (end, rollbacks) VALUES (1, 2) ON CONFLICT (end) DO NOTHING",
            "SELECT 'half",
            "",
        ] {
            assert_eq!(check(sql), Ok(()), "{sql}");
            assert_eq!(check_migration(sql), Ok(()), "{sql}");
        }
        let trigger = "CREATE TABLE t (x); CREATE TRIGGER g AFTER INSERT ON t BEGIN
             SELECT RAISE(ABORT, 'no'); END; CREATE TABLE u (y REFERENCES t DEFERRABLE INITIALLY DEFERRED);";
        assert_eq!(check_migration(trigger), Ok(()));
    }
}
