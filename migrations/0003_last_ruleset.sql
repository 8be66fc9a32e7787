-- The ruleset that was found good last: a restart serves it where the rule files are broken. One row.

CREATE TABLE last_ruleset (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  -- SHA-256 of the sources, hex
  digest TEXT NOT NULL,
  -- the ruleset's hash, as the audit and the metrics have it
  hash TEXT NOT NULL,
  -- milliseconds since the epoch
  loaded_at INTEGER NOT NULL,
  -- gzip of a JSON list of {file, text}
  sources BLOB NOT NULL
) STRICT;
