// Owns the signing keys of a running process: it looks after them, signs with them and publishes them.
// Must not make a first key (only `init` does), nor publish less than a complete set (P5).
import { sign as signBytes } from 'node:crypto'
import type { KeySet, KeySource, KeySourceOutage } from '../jwt/key-source.ts'
import { fail, ok } from '../oauth/reasons.ts'
import type { Database } from '../store/database.ts'
import type { SignClaims } from '../tokens/mint.ts'
import { makeKeys, type NewKey } from './generate-key.ts'
import type { JwksDocument } from './jwks-document.ts'
import type { EncryptionKeys } from './key-encryption.ts'
import { done, type KeyFailure, type KeyOutcome, refuse } from './key-outcome.ts'
import { jwksMaxAgeSeconds, type KeyPolicy, staleAfterMs, TICK_EVERY_MS } from './key-policy.ts'
import { applyTick, planTick, type TickInput } from './key-state.ts'
import { type KeyStatus, keyStatus } from './key-status.ts'
import { changeKeys, type KeySnapshot, readKeys } from './key-store.ts'
import { type LoadedKeys, loadKeys } from './loaded-keys.ts'

/** Where this room says what happens; messages are constant, data go into the object. */
export interface KeyLog {
  info(data: object, message: string): void
  warn(data: object, message: string): void
  error(data: object, message: string): void
}

export interface SigningKeysOptions {
  /**
   * A connection of its own is best, with a short busy timeout: ticks run on the event loop, and one that
   * finds the store locked is simply made up for by the next.
   */
  readonly db: Database
  readonly policy: KeyPolicy
  readonly encryptionKeys: EncryptionKeys
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Monotonic milliseconds. */
  readonly monotonic: () => number
  readonly log: KeyLog
  readonly tickEveryMs?: number
}

/** The keys of a running process. */
export interface SigningKeys {
  /** Loads the keys and goes on looking after them. Fails where there is no complete set to serve. */
  start(): Promise<KeyOutcome<void>>
  stop(): Promise<void>
  /** Looks after the keys now; never rejects. `start` does this by itself every few seconds. */
  tick(): Promise<void>
  readonly sign: SignClaims
  /** All published keys, for tokens of our own that come back. */
  readonly keySource: KeySource
  /** The last complete set, whatever has become of the store; undefined before the first. */
  jwks(): JwksDocument | undefined
  status(): KeyStatus
}

/** Tokens with unknown kids cause at most one read of the store in this time. */
const REFRESH_COOL_DOWN_MS = 5000
const RETRY_AFTER_SECONDS = 15

/** Makes the keys of a process; nothing is read before `start` or `tick`. */
export function createSigningKeys(options: SigningKeysOptions): SigningKeys {
  const { db, policy, encryptionKeys, now, monotonic, log } = options
  const tickEveryMs = options.tickEveryMs ?? TICK_EVERY_MS
  const staleAfter = staleAfterMs(policy)
  const maxAgeSeconds = jwksMaxAgeSeconds(policy)
  const defaultAlgorithm = policy.algorithms[0]
  let loaded: LoadedKeys | undefined
  let lastFailure: KeyFailure | undefined
  /** When a tick last went through, to the write: what a process cannot write it cannot know either. */
  let freshAt = Number.NEGATIVE_INFINITY
  let triedAt = Number.NEGATIVE_INFINITY
  let running: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined

  /** Takes over what was read, if it is complete. */
  const load = (snapshot: KeySnapshot): boolean => {
    const outcome = loadKeys(snapshot, loaded, encryptionKeys, maxAgeSeconds)
    if (!outcome.ok) {
      noteFailure(outcome)
      return false
    }
    reportTroubles(loaded, outcome.value, log)
    reportSigners(loaded, outcome.value, log)
    loaded = outcome.value
    return true
  }

  const noteFailure = (failure: KeyFailure): void => {
    if (failure.message !== lastFailure?.message) {
      log.error({ problem: failure.problem, detail: failure.message }, 'signing keys not read')
    }
    lastFailure = failure
  }

  const read = (): boolean => {
    triedAt = monotonic()
    try {
      return load(readKeys(db))
    } catch (error) {
      noteFailure(unreadable(error))
      return false
    }
  }

  /** One transaction; another process may have done the work since the plan was made. */
  const commit = (created: readonly NewKey[]): void => {
    const readAt = monotonic()
    const snapshot = changeKeys(db, (before) => {
      const input = tickInput(before)
      const plan = planTick(input)
      const added = created.filter((key) => plan.create.includes(key.algorithm))
      const elapsed = input.now - (before.lastTickAt ?? 0)
      const idle = plan.shiftMs === 0 && plan.moves.length === 0 && added.length === 0
      // Other processes tick too: one write per period is enough.
      if (idle && elapsed < tickEveryMs / 2) return undefined
      if (plan.shiftMs !== 0) {
        log.warn({ milliseconds: plan.shiftMs }, 'unserved time or clock jump, key timers pushed')
      }
      return { records: applyTick(input, plan, added), added, lastTickAt: input.now }
    })
    if (load(snapshot)) freshAt = readAt
  }

  const tickInput = (snapshot: KeySnapshot): TickInput => ({
    keys: snapshot.keys.map((key) => key.record),
    lastTickAt: snapshot.lastTickAt,
    now: now(),
    policy,
    unusable: loaded?.unusable ?? new Set(),
  })

  const runTick = async (): Promise<void> => {
    // While the set in the store is not complete, time does not count as served: nothing is written.
    if (!read()) return
    try {
      const { create } = planTick(tickInput(readKeys(db)))
      const created = await makeKeys(create, encryptionKeys)
      commit(created.ok ? created.value : [])
      if (created.ok) lastFailure = undefined
      else noteFailure(created)
    } catch (error) {
      noteFailure(unreadable(error))
    }
  }

  const tick = (): Promise<void> => {
    running ??= runTick().finally(() => {
      running = undefined
    })
    return running
  }

  const start = async (): Promise<KeyOutcome<void>> => {
    await tick()
    if (loaded === undefined) {
      return lastFailure ?? refuse('store_unreadable', 'the signing keys could not be read')
    }
    timer = setInterval(() => void tick(), tickEveryMs)
    timer.unref()
    return done(undefined)
  }

  const stop = async (): Promise<void> => {
    clearInterval(timer)
    await running
  }

  const sign: SignClaims = (claims, algorithm) => {
    const wanted = algorithm ?? defaultAlgorithm
    const signer = wanted === undefined ? undefined : loaded?.signers.get(wanted)
    if (signer === undefined) return unavailable(`no ${wanted} key can sign`)
    if (monotonic() - freshAt > staleAfter) {
      return unavailable('the key store was not read for half the lead')
    }
    if (!(claims.exp <= signer.signsUntilSeconds)) {
      // The clock ran ahead of the last tick: what the store promises is extended first.
      void tick()
      return unavailable('the token would outlive what its key is stored to have signed')
    }
    const payload = Buffer.from(JSON.stringify(claims)).toString('base64url')
    const signingInput = signer.prefix + payload
    const signature = signBytes(signer.digest, Buffer.from(signingInput, 'latin1'), signer.input)
    return ok({ token: `${signingInput}.${signature.toString('base64url')}`, kid: signer.kid })
  }

  const current = (): KeySet | Promise<KeySourceOutage> =>
    loaded?.keySet ??
    Promise.resolve({
      unavailable: 'the signing keys are not loaded yet',
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    })

  const refreshed = async (): Promise<KeySet | KeySourceOutage> => {
    if (monotonic() - triedAt >= REFRESH_COOL_DOWN_MS) read()
    return current()
  }

  return {
    start,
    stop,
    tick,
    sign,
    keySource: { current, refreshed },
    jwks: () => loaded?.document,
    status: () =>
      keyStatus({
        loaded,
        lastFailure,
        policy,
        ageMs: monotonic() - freshAt,
        staleAfterMs: staleAfter,
      }),
  }
}

const unavailable = (detail: string) => fail('signing_key_unavailable', detail, RETRY_AFTER_SECONDS)

function unreadable(error: unknown): KeyFailure {
  const text = error instanceof Error ? error.message : 'unknown error'
  return refuse('store_unreadable', `the signing keys cannot be read or written: ${text}`)
}

/** Says each trouble once. */
function reportTroubles(before: LoadedKeys | undefined, after: LoadedKeys, log: KeyLog): void {
  const known = new Set(before?.troubles.map((trouble) => trouble.message))
  for (const { kid, problem, message } of after.troubles) {
    if (!known.has(message)) log.error({ kid, problem, detail: message }, 'signing key in trouble')
  }
}

function reportSigners(before: LoadedKeys | undefined, after: LoadedKeys, log: KeyLog): void {
  for (const [algorithm, { kid }] of after.signers) {
    if (before?.signers.get(algorithm)?.kid !== kid)
      log.info({ algorithm, kid }, 'signing key active')
  }
}
