-- What a command may have brought about, so that the events of it can name it. Goes with its command.
CREATE TABLE causes (
    arrival INTEGER NOT NULL REFERENCES commands (arrival) ON DELETE CASCADE,
    number  INTEGER NOT NULL,                 -- which of the command's effects
    name    TEXT,                             -- what it happens to; NULL while only FFN knows
    changes TEXT    NOT NULL,                 -- what happens, each word between spaces
    told    TEXT    NOT NULL DEFAULT ' ',     -- those that an event has named the command for, likewise
    since   INTEGER NOT NULL,                 -- milliseconds since 1970, FFN's clock: not before this
    until   INTEGER NOT NULL,                 -- and not after this
    PRIMARY KEY (arrival, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX causes_name ON causes (name);
