//! matrix-appservice-irc's tables, as its schema steps leave them, and what is in those of a small bridge that has seen
//! a few years.

/// The tables of version 8, with the columns that the steps 9 and 10 add.
pub(super) const SCHEMA: &str = "
    CREATE TABLE schema (version INTEGER UNIQUE NOT NULL);
    INSERT INTO schema VALUES (10);
    CREATE TABLE rooms (
        origin TEXT NOT NULL, room_id TEXT NOT NULL, type TEXT NOT NULL, irc_domain TEXT NOT NULL,
        irc_channel TEXT NOT NULL, irc_json JSON NOT NULL, matrix_json JSON NOT NULL,
        CONSTRAINT cons_rooms_unique UNIQUE (room_id, irc_domain, irc_channel)
    );
    CREATE INDEX rooms_roomid_idx ON rooms (room_id);
    CREATE INDEX rooms_ircdomainchannel_idx ON rooms (irc_domain, irc_channel);
    CREATE TABLE admin_rooms (room_id TEXT UNIQUE, user_id TEXT);
    CREATE TABLE pm_rooms (
        room_id TEXT UNIQUE, irc_domain TEXT NOT NULL, irc_nick TEXT NOT NULL, matrix_user_id TEXT,
        virtual_user_id TEXT,
        CONSTRAINT cons_pm_rooms_matrix_irc_unique UNIQUE (matrix_user_id, irc_domain, irc_nick)
    );
    CREATE TABLE matrix_users (user_id TEXT UNIQUE, data TEXT);
    CREATE TABLE client_config (
        user_id TEXT, domain TEXT NOT NULL, config JSON, password TEXT,
        CONSTRAINT cons_client_config_unique UNIQUE (user_id, domain)
    );
    CREATE TABLE user_features (user_id TEXT UNIQUE, features JSON);
    CREATE TABLE ipv6_counter (count INTEGER);
    INSERT INTO ipv6_counter VALUES (7);
    CREATE TABLE last_seen (user_id TEXT UNIQUE NOT NULL, ts BIGINT NOT NULL);
    CREATE TABLE room_visibility (room_id TEXT UNIQUE NOT NULL, visibility BOOLEAN NOT NULL);
    CREATE TABLE deactivated_users (user_id TEXT UNIQUE NOT NULL, ts BIGINT NOT NULL);
    CREATE INDEX client_config_domain_username_idx ON client_config (domain, (config->>'username'));
    CREATE TABLE user_activity (user_id TEXT UNIQUE, data JSON);
    CREATE TABLE provisioner_sessions (user_id TEXT, token TEXT UNIQUE, expires_ts BIGINT);
    ALTER TABLE client_config ADD COLUMN cert TEXT, ADD COLUMN key TEXT;
    CREATE ROLE reader LOGIN;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;";

/// What the rooms are called in [`ROWS`].
pub(super) struct Rooms<'a> {
    pub(super) channel: &'a str,
    pub(super) second: &'a str,
    pub(super) mapped: &'a str,
    pub(super) talk: &'a str,
    pub(super) control: &'a str,
}

/// What is in the tables.
pub(super) fn rows(rooms: &Rooms<'_>, password: &str) -> String {
    let Rooms {
        channel,
        second,
        mapped,
        talk,
        control,
    } = rooms;
    format!(
        "INSERT INTO rooms VALUES
            ('alias', '{channel}', 'channel', '127.0.0.1', '#old', '{{\"modes\": [\"s\"]}}', '{{}}'),
            ('provision', '{second}', 'channel', '127.0.0.1', '#old', '{{}}', '{{}}'),
            ('config', '{mapped}', 'channel', '127.0.0.1', '#mapped', '{{}}', '{{}}'),
            ('config', '!gone:localhost', 'channel', '127.0.0.1', '#unmapped', '{{}}', '{{}}'),
            ('join', '!spaced:localhost', 'channel', '127.0.0.1', '#a b', '{{}}', '{{}}'),
            ('join', 'nonsense', 'channel', '127.0.0.1', '#odd', '{{}}', '{{}}'),
            ('join', '!pm:localhost', 'pm', '127.0.0.1', 'bob', '{{}}', '{{}}'),
            ('join', '!far:localhost', 'channel', 'irc.gone.net', '#far', '{{}}', '{{}}');
        INSERT INTO matrix_users VALUES
            ('@irc_bob_x:localhost', '{{\"displayName\": \"bob_x (IRC)\"}}'),
            ('@irc_carol:localhost', NULL), ('@alice:localhost', 'broken {{'), (NULL, NULL),
            ('no id at all', NULL), ('@irc_bob_x:elsewhere.org', NULL);
        INSERT INTO pm_rooms VALUES
            ('{talk}', '127.0.0.1', 'bob_x', '@alice:localhost', '@irc_bob_x:localhost'),
            ('!pm2:localhost', '127.0.0.1', 'carol', NULL, '@irc_carol:localhost'),
            ('!pm3:localhost', 'irc.gone.net', 'carol', '@alice:localhost', NULL);
        INSERT INTO admin_rooms VALUES ('{control}', '@alice:localhost'), ('!a:localhost', NULL);
        INSERT INTO client_config (user_id, domain, config, password, cert) VALUES
            ('@alice:localhost', '127.0.0.1',
             '{{\"username\": \"alicia\", \"nick\": \"Alicia\", \"ipv6\": \"2001:db8::7\"}}', '{password}', 'PEM'),
            ('@zoe:localhost', '127.0.0.1', NULL, NULL, NULL),
            ('@eve:localhost', '127.0.0.1', '{{\"username\": \"Not Legal!\", \"nick\": \"a b\"}}', 'AAAA', NULL),
            ('@eve:localhost', 'irc.gone.net', '{{}}', NULL, NULL),
            (NULL, '127.0.0.1', '[1]', NULL, NULL);
        INSERT INTO user_features VALUES ('@alice:localhost', '{{\"mentions\": false}}');
        INSERT INTO last_seen VALUES ('@alice:localhost', 1);
        INSERT INTO room_visibility VALUES ('{channel}', true);
        INSERT INTO deactivated_users VALUES ('@mallory:localhost', 1), ('nobody', 2);"
    )
}
