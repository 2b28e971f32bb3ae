-- A command that waits is not begun before it is due. Both in milliseconds since 1970.
ALTER TABLE commands ADD COLUMN due INTEGER NOT NULL DEFAULT 0;
-- As first_failed_at, but without what was before the command was held for its account.
ALTER TABLE commands ADD COLUMN failing_since INTEGER;
