-- Transactions that were taken: a repeat is recognised whatever its age.
CREATE TABLE transactions (
    digest BLOB PRIMARY KEY,
    received_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- Events that were taken: a homeserver may bring one again under another transaction's id.
CREATE TABLE seen (
    digest BLOB PRIMARY KEY,
    received_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX seen_by_age ON seen (received_ms);

-- What is to be handled. A lane is handled in the order of the ids.
CREATE TABLE inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lane TEXT NOT NULL,
    kind INTEGER NOT NULL,
    body TEXT NOT NULL,
    txn_id TEXT NOT NULL,
    received_ms INTEGER NOT NULL,
    trace TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    parked_ms INTEGER
);
CREATE INDEX inbox_waiting ON inbox (lane, id) WHERE parked_ms IS NULL;
CREATE INDEX inbox_parked ON inbox (id) WHERE parked_ms IS NOT NULL;

-- What is to be sent, and for a while what was sent. `key` names the effect: asking for it twice is asking once.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    lane TEXT NOT NULL,
    urgency INTEGER NOT NULL,
    user_id TEXT,
    path TEXT NOT NULL,
    ts_ms INTEGER,
    body TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    trace TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    state INTEGER NOT NULL DEFAULT 0,
    event_id TEXT,
    done_ms INTEGER
);
CREATE INDEX outbox_waiting ON outbox (lane, id) WHERE state = 0;
CREATE INDEX outbox_done ON outbox (done_ms) WHERE state <> 0;
CREATE INDEX outbox_given_up ON outbox (id) WHERE state = 2;
CREATE INDEX outbox_event ON outbox (event_id) WHERE event_id IS NOT NULL;

-- The service's own users that the homeserver knows, and what their profiles were last set to. `…_told`: which rooms were
-- told: 0 none, 1 those without a name or picture of their own, 2 all.
CREATE TABLE ghosts (
    user_id TEXT PRIMARY KEY,
    registered_ms INTEGER NOT NULL,
    displayname TEXT,
    displayname_told INTEGER NOT NULL DEFAULT 0,
    avatar_url TEXT,
    avatar_told INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Rooms that are being made, by what they are made for. `token`: stands for this one room, in the transaction id and in
-- the room's creation; `asked_ms`: when the homeserver was last asked.
CREATE TABLE makings (
    name TEXT PRIMARY KEY,
    token TEXT NOT NULL,
    asked_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- Rooms whose state is followed. `fetched_ms`: when all of it was read; `created_ms`: when the room's first event was
-- heard, so that all of it has been heard; `stale_ms`: since when something may have been missed; `doubts`: how often that
-- was said.
CREATE TABLE rooms (
    room_id TEXT PRIMARY KEY,
    fetched_ms INTEGER,
    created_ms INTEGER,
    stale_ms INTEGER,
    doubts INTEGER NOT NULL DEFAULT 0,
    heard_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX rooms_stale ON rooms (stale_ms) WHERE stale_ms IS NOT NULL;

-- The current state of those rooms. `origin`: 0 heard in the stream, 1 read from the homeserver, 2 done by us and not
-- heard yet.
CREATE TABLE state (
    room_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    state_key TEXT NOT NULL,
    event_id TEXT,
    sender TEXT NOT NULL,
    sent_ms INTEGER NOT NULL,
    noted_ms INTEGER NOT NULL,
    origin INTEGER NOT NULL DEFAULT 0,
    content TEXT NOT NULL,
    PRIMARY KEY (room_id, kind, state_key)
) WITHOUT ROWID;
CREATE INDEX state_by_key ON state (kind, state_key, room_id);

-- Who should be in a room, or out of it, where that is not so yet. `attempts`: those without an answer.
CREATE TABLE goals (
    room_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    joined INTEGER NOT NULL,
    reason TEXT,
    set_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    refusals INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL,
    error TEXT,
    PRIMARY KEY (room_id, user_id)
) WITHOUT ROWID;
CREATE INDEX goals_due ON goals (next_ms);

-- What belongs to what: a remote thing and its Matrix side, with the author's data.
CREATE TABLE links (
    kind TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    matrix_id TEXT NOT NULL,
    data TEXT NOT NULL,
    linked_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, remote_id)
) WITHOUT ROWID;
CREATE INDEX links_by_matrix ON links (kind, matrix_id);

-- Which remote message is which event: a row for each pair, so that either side may be in parts.
CREATE TABLE messages (
    network TEXT NOT NULL,
    remote_room TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    part INTEGER NOT NULL,
    room_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    data TEXT NOT NULL,
    linked_ms INTEGER NOT NULL,
    PRIMARY KEY (network, remote_room, remote_id, event_id)
) WITHOUT ROWID;
CREATE INDEX messages_by_event ON messages (event_id, network);
CREATE INDEX messages_by_age ON messages (network, linked_ms);

-- What other networks said, and longer undertakings: worked off in the order of the ids, lane by lane. `key` names
-- what must not be done twice.
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    network TEXT NOT NULL,
    key TEXT UNIQUE,
    lane TEXT NOT NULL,
    body TEXT NOT NULL,
    progress TEXT,
    created_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    done_ms INTEGER
);
CREATE INDEX tasks_waiting ON tasks (network, lane, id) WHERE done_ms IS NULL;
CREATE INDEX tasks_done ON tasks (done_ms) WHERE done_ms IS NOT NULL;

-- How events fared on their way to other networks; the event itself is kept while it may be tried again.
CREATE TABLE fates (
    network TEXT NOT NULL,
    event_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    fate INTEGER NOT NULL,
    reason TEXT,
    body TEXT NOT NULL,
    decided_ms INTEGER NOT NULL,
    PRIMARY KEY (network, event_id)
) WITHOUT ROWID;
CREATE INDEX fates_by_sender ON fates (network, room_id, sender, decided_ms) WHERE fate = 2;
CREATE INDEX fates_by_age ON fates (decided_ms);

-- Small things by name.
CREATE TABLE kv (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;

-- What was uploaded, by its hash; or an id that waits for its content.
CREATE TABLE uploads (
    digest BLOB PRIMARY KEY,
    mxc TEXT NOT NULL,
    user_id TEXT NOT NULL,
    is_done INTEGER NOT NULL,
    expires_ms INTEGER,
    used_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX uploads_by_use ON uploads (used_ms);
CREATE INDEX uploads_by_mxc ON uploads (mxc);

-- Media that is linked to no more.
CREATE TABLE revoked_media (
    mxc TEXT PRIMARY KEY,
    revoked_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- People for whom the service acts; their tokens are encrypted.
CREATE TABLE puppets (
    user_id TEXT PRIMARY KEY,
    consent INTEGER NOT NULL,
    token BLOB,
    since_ms INTEGER NOT NULL,
    lost_ms INTEGER
) WITHOUT ROWID;

-- How far histories have been brought.
CREATE TABLE backfills (
    room_id TEXT NOT NULL,
    name TEXT NOT NULL,
    cursor TEXT,
    sent INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    state INTEGER NOT NULL,
    last_event TEXT,
    started_ms INTEGER NOT NULL,
    PRIMARY KEY (room_id, name)
) WITHOUT ROWID;

-- Who has logged in at the provisioning API, by the hash of their session's token.
CREATE TABLE provisioning_sessions (
    digest BLOB PRIMARY KEY,
    user_id TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX provisioning_sessions_by_user ON provisioning_sessions (user_id, created_ms);
CREATE INDEX provisioning_sessions_by_end ON provisioning_sessions (expires_ms);
