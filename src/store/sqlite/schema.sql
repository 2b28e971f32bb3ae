-- What was read from FFN or answered to a command, as finished messages, in the order of publishing.
CREATE TABLE journal (
    position       INTEGER PRIMARY KEY AUTOINCREMENT,
    lane           TEXT    NOT NULL,
    unique_id      BLOB    UNIQUE,            -- the event's id; NULL where repeats are wanted
    event_time     INTEGER NOT NULL,          -- milliseconds since 1970, FFN's clock
    recorded_at    INTEGER NOT NULL,          -- milliseconds since 1970, this machine's clock
    exchange       TEXT    NOT NULL,
    routing_key    TEXT    NOT NULL,
    message_id     TEXT    NOT NULL,
    message_type   TEXT    NOT NULL,
    content_type   TEXT    NOT NULL,
    correlation_id TEXT,
    timestamp      INTEGER NOT NULL,          -- seconds since 1970
    headers        TEXT    NOT NULL,          -- JSON object
    body           BLOB    NOT NULL,
    unroutable     INTEGER NOT NULL DEFAULT 0 -- 1: confirmed, but no queue was bound
) STRICT;
CREATE INDEX journal_lane ON journal (lane, position);

-- How far the broker has confirmed each lane.
CREATE TABLE lanes (
    lane      TEXT    PRIMARY KEY,
    confirmed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How far each feed has been read.
CREATE TABLE checkpoints (
    account    TEXT    NOT NULL,
    feed       TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    snapshot   INTEGER NOT NULL,              -- 1: what was there at the start is told as well
    again      TEXT,                          -- JSON: what has to be read once more
    PRIMARY KEY (account, feed)
) STRICT, WITHOUT ROWID;

-- Lists that are read from one end to the other, and how far.
CREATE TABLE listings (
    account TEXT    NOT NULL,
    feed    TEXT    NOT NULL,
    purpose TEXT    NOT NULL,
    state   TEXT    NOT NULL,                 -- JSON
    PRIMARY KEY (account, feed, purpose)
) STRICT, WITHOUT ROWID;

-- What is known of each entity.
CREATE TABLE entities (
    account TEXT    NOT NULL,
    feed    TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    known   TEXT    NOT NULL,                 -- JSON
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (account, feed, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX entities_age ON entities (seen_at);

-- Items of feeds that can't be told as events, as they came; an item is kept once.
CREATE TABLE parked (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    account     TEXT    NOT NULL,
    feed        TEXT    NOT NULL,
    item        TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    recorded_at INTEGER NOT NULL,
    UNIQUE (account, feed, item)
) STRICT;
CREATE INDEX parked_age ON parked (recorded_at, account, feed);

-- The inbox of commands: one row a command id, written before the call.
CREATE TABLE commands (
    arrival         INTEGER PRIMARY KEY AUTOINCREMENT,
    account         TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    routing_key     TEXT    NOT NULL,
    digest          TEXT    NOT NULL,
    ordering_key    TEXT    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('running', 'waiting', 'finished')),
    in_doubt        INTEGER NOT NULL DEFAULT 0,
    attempts        INTEGER NOT NULL DEFAULT 0,
    crashes         INTEGER NOT NULL DEFAULT 0, -- starts in a row that were found without an end
    arrived_at      INTEGER NOT NULL,
    first_failed_at INTEGER,
    hold_until      INTEGER NOT NULL DEFAULT 0,
    finished_at     INTEGER,
    result          TEXT,                     -- JSON: the result's event
    set_aside       INTEGER NOT NULL DEFAULT 0,
    UNIQUE (account, id)
) STRICT;
CREATE INDEX commands_waiting ON commands (account, ordering_key) WHERE state = 'waiting';
CREATE INDEX commands_age ON commands (finished_at) WHERE state = 'finished';

-- The newest token pair of each account.
CREATE TABLE logins (
    account           TEXT    PRIMARY KEY,
    generation        INTEGER NOT NULL,
    access            TEXT,                   -- both NULL after a sign-out
    refresh           TEXT,
    access_expires_at INTEGER NOT NULL,
    obtained_at       INTEGER NOT NULL,
    signed_in_at      INTEGER NOT NULL,
    scopes            TEXT    NOT NULL,       -- separated by spaces
    login_required    TEXT,                   -- why a person has to sign in
    required_since    INTEGER                 -- when that was found out
) STRICT, WITHOUT ROWID;

-- A refresh that began and has brought no new pair.
CREATE TABLE refreshes (
    account     TEXT    PRIMARY KEY,
    generation  INTEGER NOT NULL,             -- of the pair whose refresh token was sent
    fingerprint TEXT    NOT NULL,             -- of that token
    began_at    INTEGER NOT NULL,
    open        INTEGER NOT NULL,             -- 1: sent, and nothing is known of the answer
    unclear     INTEGER NOT NULL DEFAULT 0,
    unreadable  INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Answers of the OAuth server that could not be read: they may hold the only copy of new tokens.
CREATE TABLE kept_answers (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    account     TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT;

-- Who may refresh an account's tokens now.
CREATE TABLE leases (
    account TEXT    PRIMARY KEY,
    owner   TEXT    NOT NULL,
    until   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row that readiness checks write to.
CREATE TABLE probe (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;
