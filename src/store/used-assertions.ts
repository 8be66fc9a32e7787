// Owns the single use of client assertions across processes (RFC 7523 §3, field: replay inside the window).
// Must not verify them.
import { createHash } from 'node:crypto'
import { fail, ok, type Result } from '../oauth/reasons.ts'
import { type Repeated, repeat } from './repeat.ts'
import { createSettledClock } from './settled-clock.ts'
import type { Writer } from './writer.ts'

/** Small enough to be one short part of a commit that others wait for. */
const SWEEP_ROWS = 200
const SWEEP_INTERVAL_MS = 30_000

/** Kept longer than needed, for clocks that step and processes whose clocks differ. */
const MARGIN_MS = 300_000

/** A jump forwards must not make used assertions new again; rows wait this long at little cost. */
const SETTLE_MS = 300_000

export interface UsedAssertionsOptions {
  readonly writer: Pick<Writer, 'write'>
  /** How long after its `exp` an assertion is still accepted. */
  readonly skewSeconds: number
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Milliseconds that only pass: nothing is forgotten by a clock that jumps. */
  readonly monotonic: () => number
  readonly log: {
    readonly warn: (fields: object, message: string) => void
    readonly error: (fields: object, message: string) => void
  }
}

export interface UsedAssertions {
  /**
   * Claims the single use, durably: of many claims at once, in any process, one succeeds. `jti` is
   * unique for one client only (RFC 7519 §4.1.7); `expiresAtSeconds` is the assertion's `exp`. Fails with
   * `client_assertion_replayed`, or `client_assertion_replay_store_unavailable` where nobody can say.
   */
  readonly claim: (client: string, jti: string, expiresAtSeconds: number) => Promise<Result<void>>
  /**
   * Forgets what cannot be accepted any more; gives how many. None in the first five minutes, nor until
   * five minutes after a jump of the clock.
   */
  readonly sweep: () => Promise<number>
  /** Sweeps every 30 s until `stop()`. */
  readonly start: () => void
  readonly stop: () => Promise<void>
}

/** The store of used assertions on the writer of this process. */
export function createUsedAssertions(options: UsedAssertionsOptions): UsedAssertions {
  const { writer, skewSeconds, now, monotonic, log } = options
  const clock = createSettledClock({
    now,
    monotonic,
    settleMs: SETTLE_MS,
    onJump: (jumpMs) => log.warn({ jumpMs }, 'clock jump, sweep of used assertions held back'),
  })
  let repeated: Repeated | undefined
  const sweep = async (isStopping = () => false): Promise<number> => {
    const at = clock.read()
    if (at === undefined) return 0
    for (let swept = 0; ; ) {
      const done = await writer.write('sweep_assertions', [at - MARGIN_MS, SWEEP_ROWS])
      if (!done.ok) return swept
      swept += done.value
      if (done.value < SWEEP_ROWS || isStopping()) return swept
    }
  }
  return {
    async claim(client, jti, expiresAtSeconds) {
      const acceptedUntil = (expiresAtSeconds + skewSeconds) * 1000
      const done = await writer.write('claim_assertion', [keyOf(client, jti), acceptedUntil])
      if (done.ok) return done.value === 1 ? ok(undefined) : fail('client_assertion_replayed')
      return fail('client_assertion_replay_store_unavailable', done.detail, done.retryAfterSeconds)
    },
    sweep: () => sweep(),
    start() {
      repeated ??= repeat(sweep, SWEEP_INTERVAL_MS, (error) =>
        log.error({ err: error }, 'sweep of used assertions failed'),
      )
    },
    async stop() {
      await repeated?.stop()
      repeated = undefined
    },
  }
}

/** Of fixed size, whatever was sent; the length keeps (`a`, `bc`) apart from (`ab`, `c`). */
function keyOf(client: string, jti: string): string {
  return createHash('sha256').update(`${client.length}:${client}${jti}`).digest('hex')
}
