-- What tells an item from others, without what differs from reading to reading. NULL: parked by an earlier version.
ALTER TABLE parked ADD COLUMN print BLOB;
CREATE UNIQUE INDEX parked_print ON parked (account, feed, print);
