-- Schema 2. Delivery that can be seen and steered, and registrations that change at run time.

-- When the row was written, by the server's clock; zero in rows from before this schema.
ALTER TABLE log ADD COLUMN at_ms INTEGER NOT NULL DEFAULT 0;

-- `last_upto`: where the last transaction ended that was acknowledged or skipped, so that each can
-- name its predecessor. `failed_at`: a person has given the service up. `drain_*`: deliver up to
-- there, then pause. `skip_after`: attempts after which a stuck event is skipped; NULL: never.
ALTER TABLE appservices ADD COLUMN last_upto   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE appservices ADD COLUMN failed_at   INTEGER;
ALTER TABLE appservices ADD COLUMN drain_from  INTEGER;
ALTER TABLE appservices ADD COLUMN drain_upto  INTEGER;
ALTER TABLE appservices ADD COLUMN drain_by    TEXT;
ALTER TABLE appservices ADD COLUMN skip_after  INTEGER;

-- `by`: 'operator' or 'service'; each resumes only what it has paused.
CREATE TABLE as_pauses (
    nid    INTEGER NOT NULL,
    by     TEXT NOT NULL,
    since  INTEGER NOT NULL,
    until  INTEGER,
    reason TEXT,
    PRIMARY KEY (nid, by)
) WITHOUT ROWID;

-- `from_pos`: the cursor it was cut after. `entries`: rows of the log for the service up to
-- `upto_pos`, and `items`: what of them the body holds, ephemeral data aside. `oldest_at`: when the
-- first of them was written. `replay_id`: it belongs to a replay and does not move the cursor.
-- `stuck_at`: since when it is known that its one event is what the service refuses.
ALTER TABLE as_transactions ADD COLUMN from_pos  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE as_transactions ADD COLUMN entries   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE as_transactions ADD COLUMN items     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE as_transactions ADD COLUMN oldest_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE as_transactions ADD COLUMN replay_id INTEGER;
ALTER TABLE as_transactions ADD COLUMN stuck_at  INTEGER;
ALTER TABLE as_transactions ADD COLUMN answer    TEXT;

-- Transactions that were passed over. The log still has what was in them.
CREATE TABLE as_skips (
    skip_id     INTEGER PRIMARY KEY,
    nid         INTEGER NOT NULL,
    txn_id      INTEGER NOT NULL,
    from_pos    INTEGER NOT NULL,
    upto_pos    INTEGER NOT NULL,
    body        BLOB NOT NULL,
    by          TEXT NOT NULL,
    at_ms       INTEGER NOT NULL,
    reason      TEXT,
    answer      TEXT,
    replayed_at INTEGER
);
CREATE INDEX as_skips_by_service ON as_skips (nid, skip_id);

-- Parts of the log that are sent once more, before anything newer: after `at_pos`, up to `upto_pos`.
CREATE TABLE as_replays (
    replay_id INTEGER PRIMARY KEY,
    nid       INTEGER NOT NULL,
    from_pos  INTEGER NOT NULL,
    at_pos    INTEGER NOT NULL,
    upto_pos  INTEGER NOT NULL,
    by        TEXT NOT NULL,
    at_ms     INTEGER NOT NULL
);
CREATE INDEX as_replays_by_service ON as_replays (nid, replay_id);

-- Registrations ---------------------------------------------------------------------------------

-- `digest`: SHA-256 of what is in force, to see a change by; empty once the service is removed,
-- whose revision is remembered. `sealed`: the encrypted text of one
-- that came over the operator API; NULL for one that is a file. `sender`: its own user, for clearing
-- up once the text is gone.
CREATE TABLE registrations (
    id         TEXT PRIMARY KEY,
    revision   INTEGER NOT NULL,
    sender     TEXT NOT NULL,
    digest     BLOB NOT NULL,
    sealed     BLOB,
    changed_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Tokens that are good for a while beside the new ones.
CREATE TABLE old_tokens (
    as_token_hash BLOB PRIMARY KEY,
    service_id    TEXT NOT NULL,
    hs_token      BLOB NOT NULL,
    until_ms      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX old_tokens_by_service ON old_tokens (service_id);
CREATE INDEX old_tokens_by_age ON old_tokens (until_ms);

-- Clearing up after services that were removed. A row without `finished_at` goes on, also after a
-- restart; the counts say how far it has come.
CREATE TABLE purges (
    service_id        TEXT PRIMARY KEY,
    sender            TEXT NOT NULL,
    started_at        INTEGER NOT NULL,
    finished_at       INTEGER,
    ghosts            INTEGER NOT NULL,
    memberships       INTEGER NOT NULL,
    aliases           INTEGER NOT NULL,
    directory_entries INTEGER NOT NULL,
    queued            INTEGER NOT NULL,
    examples          TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX users_by_service ON users (appservice, user_id) WHERE appservice IS NOT NULL;
CREATE INDEX aliases_by_creator ON aliases (creator);

-- Operators -------------------------------------------------------------------------------------

-- `role`: 'read' or 'act'.
CREATE TABLE operators (
    name         TEXT PRIMARY KEY,
    token_hash   BLOB NOT NULL UNIQUE,
    role         TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
) WITHOUT ROWID;

CREATE TABLE audit (
    audit_id   INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    who        TEXT NOT NULL,
    action     TEXT NOT NULL,
    service_id TEXT,
    reason     TEXT,
    detail     TEXT
);
CREATE INDEX audit_by_service ON audit (service_id, audit_id) WHERE service_id IS NOT NULL;
