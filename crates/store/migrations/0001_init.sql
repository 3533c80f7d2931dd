-- Schema 1. One statement list for both engines; the differences live in src/dialect.rs.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- The one log. Everything that somebody may have to be told about is a row here, in commit order,
-- gap-free. `interest` is the interned set of application services the row is for, decided when
-- the row was written and never re-derived.
CREATE TABLE log (
    pos      INTEGER PRIMARY KEY,
    kind     INTEGER NOT NULL,
    room_id  TEXT,
    user_id  TEXT,
    interest INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE interest_sets (
    set_id  INTEGER PRIMARY KEY,
    members TEXT NOT NULL UNIQUE
);

-- Rooms, their events and their state ----------------------------------------------------------

CREATE TABLE rooms (
    room_id    TEXT PRIMARY KEY,
    version    TEXT NOT NULL,
    last_pos   INTEGER NOT NULL,
    last_event TEXT NOT NULL,
    depth      INTEGER NOT NULL
) WITHOUT ROWID;

-- `pdu` holds what a PDU has beside the other columns (auth_events, depth, hashes, prev_events,
-- signatures), so that a federation sender can rebuild the exact signed event.
CREATE TABLE events (
    pos           INTEGER PRIMARY KEY,
    event_id      TEXT NOT NULL UNIQUE,
    room_id       TEXT NOT NULL,
    type          TEXT NOT NULL,
    state_key     TEXT,
    sender        TEXT NOT NULL,
    ts            INTEGER NOT NULL,
    content       TEXT NOT NULL,
    pdu           TEXT NOT NULL,
    redacts       TEXT,
    redacted_by   TEXT,
    prev_content  TEXT,
    prev_sender   TEXT,
    replaces      TEXT,
    relates_to    TEXT,
    rel_type      TEXT,
    device_id     TEXT,
    client_txn_id TEXT
);
CREATE INDEX events_by_room ON events (room_id, pos);
CREATE INDEX events_by_state ON events (room_id, type, state_key, pos) WHERE state_key IS NOT NULL;
CREATE INDEX events_by_relation ON events (relates_to, pos) WHERE relates_to IS NOT NULL;
CREATE INDEX events_by_time ON events (room_id, ts);

CREATE TABLE current_state (
    room_id   TEXT NOT NULL,
    type      TEXT NOT NULL,
    state_key TEXT NOT NULL,
    pos       INTEGER NOT NULL,
    PRIMARY KEY (room_id, type, state_key)
) WITHOUT ROWID;

CREATE TABLE memberships (
    room_id    TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    membership TEXT NOT NULL,
    pos        INTEGER NOT NULL,
    event_id   TEXT NOT NULL,
    forgotten  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (room_id, user_id)
) WITHOUT ROWID;
CREATE INDEX memberships_by_user ON memberships (user_id, membership);

-- Idempotency: one key per (service, asserted user, device, room, type, client_txn_id); `scope`
-- carries the service and the device.
CREATE TABLE client_txns (
    user_id       TEXT NOT NULL,
    scope         TEXT NOT NULL,
    room_id       TEXT NOT NULL,
    type          TEXT NOT NULL,
    client_txn_id TEXT NOT NULL,
    event_id      TEXT NOT NULL,
    at_ms         INTEGER NOT NULL,
    PRIMARY KEY (user_id, scope, room_id, type, client_txn_id)
) WITHOUT ROWID;
CREATE INDEX client_txns_by_age ON client_txns (at_ms);

CREATE TABLE aliases (
    alias   TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    creator TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX aliases_by_room ON aliases (room_id);

-- `network` is '' for the server's own directory, else '<service id>|<network id>'.
CREATE TABLE room_directory (
    network TEXT NOT NULL,
    room_id TEXT NOT NULL,
    PRIMARY KEY (network, room_id)
) WITHOUT ROWID;

-- Users and devices -----------------------------------------------------------------------------

CREATE TABLE users (
    user_id       TEXT PRIMARY KEY,
    password_hash TEXT,
    appservice    TEXT,
    is_guest      INTEGER NOT NULL DEFAULT 0,
    is_admin      INTEGER NOT NULL DEFAULT 0,
    deactivated   INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    profile       TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;

CREATE TABLE devices (
    user_id      TEXT NOT NULL,
    device_id    TEXT NOT NULL,
    display_name TEXT,
    last_seen_ip TEXT,
    last_seen_at INTEGER,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (user_id, device_id)
) WITHOUT ROWID;

-- Tokens are kept as SHA-256 only: they are compared, never shown again.
CREATE TABLE access_tokens (
    token_hash BLOB PRIMARY KEY,
    user_id    TEXT NOT NULL,
    device_id  TEXT NOT NULL,
    expires_at INTEGER
) WITHOUT ROWID;
CREATE INDEX access_tokens_by_device ON access_tokens (user_id, device_id);

CREATE TABLE refresh_tokens (
    token_hash BLOB PRIMARY KEY,
    user_id    TEXT NOT NULL,
    device_id  TEXT NOT NULL,
    used       INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX refresh_tokens_by_device ON refresh_tokens (user_id, device_id);

CREATE TABLE openid_tokens (
    token_hash BLOB PRIMARY KEY,
    user_id    TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX openid_tokens_by_user ON openid_tokens (user_id);
CREATE INDEX openid_tokens_by_age ON openid_tokens (expires_at);

CREATE TABLE filters (
    user_id   TEXT NOT NULL,
    filter_id INTEGER NOT NULL,
    filter    TEXT NOT NULL,
    PRIMARY KEY (user_id, filter_id)
) WITHOUT ROWID;

-- `room_id` is '' for global account data.
CREATE TABLE account_data (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    type    TEXT NOT NULL,
    content TEXT NOT NULL,
    pos     INTEGER NOT NULL,
    PRIMARY KEY (user_id, room_id, type)
) WITHOUT ROWID;
CREATE INDEX account_data_by_pos ON account_data (user_id, pos);

-- `thread_id` is '' for an unthreaded receipt.
CREATE TABLE receipts (
    room_id   TEXT NOT NULL,
    user_id   TEXT NOT NULL,
    type      TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    event_id  TEXT NOT NULL,
    ts        INTEGER NOT NULL,
    pos       INTEGER NOT NULL,
    PRIMARY KEY (room_id, user_id, type, thread_id)
) WITHOUT ROWID;
CREATE INDEX receipts_by_pos ON receipts (room_id, pos);

-- What clients said about where they want to be notified; kept and listed only.
CREATE TABLE pushers (
    user_id TEXT NOT NULL,
    app_id  TEXT NOT NULL,
    pushkey TEXT NOT NULL,
    pusher  TEXT NOT NULL,
    PRIMARY KEY (user_id, app_id, pushkey)
) WITHOUT ROWID;
CREATE INDEX pushers_by_pushkey ON pushers (pushkey, app_id);

-- Encryption: storage and relay only ----------------------------------------------------------

CREATE TABLE device_keys (
    user_id   TEXT NOT NULL,
    device_id TEXT NOT NULL,
    keys      TEXT NOT NULL,
    PRIMARY KEY (user_id, device_id)
) WITHOUT ROWID;

CREATE TABLE one_time_keys (
    user_id    TEXT NOT NULL,
    device_id  TEXT NOT NULL,
    algorithm  TEXT NOT NULL,
    key_id     TEXT NOT NULL,
    key        TEXT NOT NULL,
    uploaded   INTEGER NOT NULL,
    PRIMARY KEY (user_id, device_id, algorithm, key_id)
) WITHOUT ROWID;

CREATE TABLE fallback_keys (
    user_id   TEXT NOT NULL,
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    key_id    TEXT NOT NULL,
    key       TEXT NOT NULL,
    used      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, device_id, algorithm)
) WITHOUT ROWID;

-- Cross-signing keys: `kind` is 'master', 'self_signing' or 'user_signing'.
CREATE TABLE user_keys (
    user_id TEXT NOT NULL,
    kind    TEXT NOT NULL,
    keys    TEXT NOT NULL,
    PRIMARY KEY (user_id, kind)
) WITHOUT ROWID;

-- `pos` is the log position of the message; a message to a device stays until that device (or the
-- application service that owns it) has acknowledged it.
CREATE TABLE to_device (
    pos       INTEGER PRIMARY KEY,
    user_id   TEXT NOT NULL,
    device_id TEXT NOT NULL,
    sender    TEXT NOT NULL,
    type      TEXT NOT NULL,
    content   TEXT NOT NULL
);
CREATE INDEX to_device_by_device ON to_device (user_id, device_id, pos);

CREATE TABLE device_list_changes (
    pos     INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL
);
CREATE INDEX device_list_changes_by_user ON device_list_changes (user_id, pos);

-- Media: the bytes are files named by content hash; many ids may share one file ---------------

CREATE TABLE media (
    media_id     TEXT PRIMARY KEY,
    sha256       TEXT,
    content_type TEXT,
    filename     TEXT,
    size_bytes   INTEGER,
    user_id      TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER
) WITHOUT ROWID;
CREATE INDEX media_pending_by_user ON media (user_id) WHERE sha256 IS NULL;
CREATE INDEX media_pending_by_age ON media (expires_at) WHERE sha256 IS NULL;

-- Application services --------------------------------------------------------------------------

-- `cursor` is the last log position the service has acknowledged (or that was of no interest to
-- it); `last_txn_id` never decreases.
CREATE TABLE appservices (
    nid         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    cursor      INTEGER NOT NULL,
    last_txn_id INTEGER NOT NULL DEFAULT 0,
    dialect     INTEGER NOT NULL DEFAULT 0
);

-- The frozen transaction of a service: id and exact bytes, stored before the first attempt.
CREATE TABLE as_transactions (
    nid        INTEGER PRIMARY KEY,
    txn_id     INTEGER NOT NULL,
    upto_pos   INTEGER NOT NULL,
    events     INTEGER NOT NULL,
    body       BLOB NOT NULL,
    created_at INTEGER NOT NULL
);
