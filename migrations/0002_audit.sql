-- What is recorded of exchanges, refusals before a caller is known, and assertions that were used.
-- Times are milliseconds since the epoch.

CREATE TABLE audit_events (
  -- the order in which events became durable
  seq INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  -- one JSON object, docs/audit.md
  record TEXT NOT NULL,
  -- Read out of the record when asked for: they cost nothing to write and cannot disagree with it.
  decision_id TEXT GENERATED ALWAYS AS (record ->> '$.decision_id') VIRTUAL,
  outcome TEXT GENERATED ALWAYS AS (record ->> '$.outcome') VIRTUAL,
  reason TEXT GENERATED ALWAYS AS (record ->> '$.reason') VIRTUAL,
  caller TEXT GENERATED ALWAYS AS (record ->> '$.caller.id') VIRTUAL,
  service TEXT GENERATED ALWAYS AS (record ->> '$.caller.service') VIRTUAL,
  subject TEXT GENERATED ALWAYS AS (record ->> '$.subject.sub') VIRTUAL,
  issued_subject TEXT GENERATED ALWAYS AS (record ->> '$.issued.sub') VIRTUAL,
  target TEXT GENERATED ALWAYS AS (record ->> '$.target') VIRTUAL
) STRICT;

-- The only index, since each one costs on every exchange. A decision id is found through the time
-- that it contains (UUIDv7); every other filter scans the range of time.
CREATE INDEX audit_events_time ON audit_events (time);

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
