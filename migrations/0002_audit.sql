-- What is recorded of exchanges, refusals before a caller is known, and assertions that were used.
-- Times are milliseconds since the epoch.

CREATE TABLE audit_events (
  -- the order in which events became durable
  seq INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  -- one JSON object, docs/audit.md
  record TEXT NOT NULL
) STRICT;

-- The only index, since each one costs on every exchange. A decision id is found through the time
-- that it contains (UUIDv7); every other filter scans the range of time.
CREATE INDEX audit_events_time ON audit_events (time);

-- What is searched, read out of the record when asked for: columns of the table, generated or not, would
-- cost on every insert, and real ones could disagree with the record.
CREATE VIEW audit AS
SELECT
  seq,
  time,
  record ->> '$.decision_id' AS decision_id,
  record ->> '$.outcome' AS outcome,
  record ->> '$.reason' AS reason,
  record ->> '$.caller.id' AS caller,
  record ->> '$.caller.service' AS service,
  record ->> '$.subject.sub' AS subject,
  record ->> '$.issued.sub' AS issued_subject,
  record ->> '$.target' AS target,
  record
FROM audit_events;

-- Requests refused before their caller was known (P3).
CREATE TABLE refusal_counts (
  -- the start of the minute
  minute INTEGER NOT NULL,
  reason TEXT NOT NULL,
  -- an address, or 'other'
  peer TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (minute, reason, peer)
) STRICT, WITHOUT ROWID;

-- Client assertions that may be used once (RFC 7523 section 3).
CREATE TABLE used_assertions (
  -- SHA-256 of client and jti, hex
  assertion TEXT PRIMARY KEY,
  -- later the assertion is refused anyway
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_assertions_expires_at ON used_assertions (expires_at);
