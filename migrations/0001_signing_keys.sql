-- Signing keys and the clock that their states are timed by. Times are milliseconds since the epoch.

CREATE TABLE signing_keys (
  -- RFC 7638 SHA-256 thumbprint
  kid TEXT PRIMARY KEY,
  algorithm TEXT NOT NULL CHECK (algorithm IN ('ES256', 'RS256', 'PS256', 'EdDSA')),
  state TEXT NOT NULL CHECK (state IN ('next', 'active', 'retiring', 'gone')),
  -- the constant JWK members, as JSON
  public_jwk TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  -- since when, counting only time in which the set was served (src/keys/key-state.ts)
  published_at INTEGER NOT NULL,
  activated_at INTEGER,
  retired_at INTEGER,
  removed_at INTEGER,
  -- no token that the key signed expires later
  signs_until INTEGER,
  -- the private key: PKCS #8 under a data key of its own, that one under the key-encryption key named here
  encryption_key_id TEXT,
  wrapped_data_key BLOB,
  private_key BLOB,
  -- a key that signs no more keeps no private half
  CHECK ((state IN ('next', 'active')) = (private_key IS NOT NULL)),
  CHECK ((private_key IS NULL) = (wrapped_data_key IS NULL)),
  CHECK ((private_key IS NULL) = (encryption_key_id IS NULL)),
  CHECK (state <> 'active' OR (activated_at IS NOT NULL AND signs_until IS NOT NULL)),
  CHECK (state <> 'retiring' OR retired_at IS NOT NULL)
) STRICT;

-- However many processes rotate: one key of each kind per algorithm.
CREATE UNIQUE INDEX signing_keys_one_next ON signing_keys (algorithm) WHERE state = 'next';
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (algorithm) WHERE state = 'active';

CREATE TABLE signing_key_clock (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  last_tick_at INTEGER NOT NULL
) STRICT;
