// Owns the closed set of statements that the writer thread runs, and how a batch of them is encoded.
// Must not run them.

/** What better-sqlite3 binds without conversion. */
export type SqlValue = string | number | Uint8Array | null

interface Write {
  readonly sql: string
  /** How many values the statement takes, in the order of its question marks. */
  readonly parameters: number
}

/** Larger than a page, so that it finds out whether the file can still grow. */
const PROBE_BYTES = 8192

/** Every write there is. Each affects rows; their number is its answer. */
export const WRITES = {
  /** time, record */
  audit_event: { sql: 'INSERT INTO audit_events (time, record) VALUES (?, ?)', parameters: 2 },
  /** assertion, expires at; one row if it was new, none if it was used before */
  claim_assertion: {
    sql: 'INSERT INTO used_assertions (assertion, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING',
    parameters: 2,
  },
  /** now, at most so many */
  sweep_assertions: {
    sql: `DELETE FROM used_assertions WHERE assertion IN
      (SELECT assertion FROM used_assertions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`,
    parameters: 2,
  },
  /** minute, reason, peer, count */
  add_refusals: {
    sql: `INSERT INTO refusal_counts (minute, reason, peer, count) VALUES (?, ?, ?, ?)
      ON CONFLICT (minute, reason, peer) DO UPDATE SET count = count + excluded.count`,
    parameters: 4,
  },
  /** digest, hash, loaded at, packed sources */
  save_ruleset: {
    sql: `INSERT INTO last_ruleset (id, digest, hash, loaded_at, sources) VALUES (1, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, hash = excluded.hash,
        loaded_at = excluded.loaded_at, sources = excluded.sources`,
    parameters: 4,
  },
  /** before this time, at most so many */
  delete_events_before: {
    sql: `DELETE FROM audit_events WHERE seq IN
      (SELECT seq FROM audit_events WHERE time < ? ORDER BY time LIMIT ?)`,
    parameters: 2,
  },
  /** at most so many, in the order in which they became durable: times may come from a clock that was wrong */
  delete_oldest_events: {
    sql: `DELETE FROM audit_events WHERE seq IN
      (SELECT seq FROM audit_events ORDER BY seq LIMIT ?)`,
    parameters: 1,
  },
  /** before this time, at most so many */
  delete_refusals_before: {
    sql: `DELETE FROM refusal_counts WHERE (minute, reason, peer) IN
      (SELECT minute, reason, peer FROM refusal_counts WHERE minute < ? ORDER BY minute LIMIT ?)`,
    parameters: 2,
  },
  /** Together in one transaction these two leave nothing behind: they ask whether writing works again. */
  probe_grow: {
    sql: `INSERT INTO used_assertions (assertion, expires_at)
      VALUES ('probe' || hex(zeroblob(${PROBE_BYTES})), 0) ON CONFLICT DO NOTHING`,
    parameters: 0,
  },
  probe_shrink: {
    sql: `DELETE FROM used_assertions WHERE assertion = 'probe' || hex(zeroblob(${PROBE_BYTES}))`,
    parameters: 0,
  },
} as const satisfies Record<string, Write>

export type WriteName = keyof typeof WRITES

/** A write's code in a batch is its index here. */
export const WRITE_NAMES = Object.keys(WRITES) as readonly WriteName[]

/** The code of each write. */
export const WRITE_CODES = Object.fromEntries(
  WRITE_NAMES.map((name, code) => [name, code]),
) as Readonly<Record<WriteName, number>>

/**
 * Writes one after another in one flat array: code, values, code, values … An array of primitives is
 * the cheapest thing that can be posted to a thread (a third of what one message a row costs).
 */
export type Batch = readonly SqlValue[]

/** A write that failed stands in {@link BatchAnswer.changes} as this. */
export const FAILED = -1

/** What became of a batch, durable when it is told. */
export interface BatchAnswer {
  /** Rows affected by each write, in order, or {@link FAILED}. */
  readonly changes: readonly number[]
  /** SQLite's code for the last failure; never a message, which could hold values. */
  readonly error?: string
  /** Whether the file or the machine failed, rather than one statement. */
  readonly broken: boolean
}

/** What the thread is told at its start. */
export interface WriterThreadData {
  readonly path: string
  readonly busyTimeoutMs: number
  readonly maxBytes: number | undefined
}

/** The thread's first message: it can write. */
export const READY = 'ready'
/** The thread's last message: end after what was sent before. */
export const CLOSE = 'close'
