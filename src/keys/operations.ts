// Owns what operators do with signing keys, over a database: init, list, rotate, revoke, rewrap, restore.
// Must not parse arguments or print.
import type { SigningAlgorithm } from '../jwt/algorithms.ts'
import type { Database } from '../store/database.ts'
import { makeKeys, type NewKey } from './generate-key.ts'
import { type EncryptionKeys, openPrivateKey, rewrapKey } from './key-encryption.ts'
import { done, type KeyFailure, type KeyOutcome, refuse } from './key-outcome.ts'
import type { KeyPolicy } from './key-policy.ts'
import {
  applyRestore,
  applyRotation,
  planRevocation,
  planRotation,
  type RotationInput,
  type RotationPlan,
} from './key-rotation.ts'
import {
  applyMoves,
  isPublished,
  type KeyMove,
  type KeyRecord,
  newKey,
  promotableAt,
  removableAt,
  signedEnoughAt,
} from './key-state.ts'
import { changeKeys, type KeySnapshot, readKeys, replaceWrappedKeys } from './key-store.ts'
import { type KeyEvent, keyTimeline } from './key-timeline.ts'

/** What most operations need. */
export interface KeyOperation {
  readonly policy: KeyPolicy
  readonly encryptionKeys: EncryptionKeys
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** A published key, and when it may take its next step while the service runs. */
export interface ListedKey extends KeyRecord {
  /** Undefined for keys that sign no more. */
  readonly encryptionKeyId: string | undefined
  readonly nextStepAt: number
}

/** What a change did, by kid. */
export interface KeyChanges {
  readonly moves: readonly KeyMove[]
  /** Keys that were made and sign at once. */
  readonly created: readonly string[]
}

/**
 * Makes the first keys: one that signs and one that is next for each algorithm. They are the only ones that
 * ever sign without a lead, for no verifier knows any other. Refused with `keys_exist` where there ever was
 * one, whatever its state.
 */
export async function initKeys(
  db: Database,
  { policy, encryptionKeys, now }: KeyOperation,
): Promise<KeyOutcome<KeyChanges>> {
  const exist = refuse('keys_exist', 'the database already has signing keys: nothing was changed')
  if (readKeys(db).keys.length > 0) return exist
  const first = await makeKeys(policy.algorithms, encryptionKeys)
  if (!first.ok) return first
  const next = await makeKeys(policy.algorithms, encryptionKeys)
  if (!next.ok) return next

  const records = (keys: readonly NewKey[]) =>
    keys.map((key) => newKey(key.kid, key.algorithm, now))
  const moves = first.value.map((key): KeyMove => ({ kid: key.kid, to: 'active' }))
  const active = applyMoves(records(first.value), moves, now, policy)
  let isFirst = false
  changeKeys(db, (before) => {
    if (before.keys.length > 0) return undefined
    isFirst = true
    return {
      records: [...active, ...records(next.value)],
      added: [...first.value, ...next.value],
      lastTickAt: now,
    }
  })
  return isFirst ? done({ moves, created: first.value.map((key) => key.kid) }) : exist
}

/** The published keys; with `all` those that are gone too. */
export function listKeys(
  db: Database,
  policy: KeyPolicy,
  options: { readonly all?: boolean } = {},
): readonly ListedKey[] {
  return readKeys(db)
    .keys.filter((key) => options.all === true || isPublished(key.record))
    .map(({ record, sealed }) => ({
      ...record,
      encryptionKeyId: sealed?.encryptionKeyId,
      nextStepAt: nextStepAt(record, policy),
    }))
}

/** The next events, if the service runs from now on without a break. */
export function listTimeline(
  db: Database,
  policy: KeyPolicy,
  now: number,
  count: number,
): readonly KeyEvent[] {
  const records = readKeys(db).keys.map((key) => key.record)
  return keyTimeline(records, policy, now, count)
}

/** Lets the next keys sign now: of one algorithm, or of all. See planRotation for refusals. */
export async function rotateKeys(
  db: Database,
  operation: KeyOperation & { readonly emergency: boolean; readonly algorithm?: SigningAlgorithm },
): Promise<KeyOutcome<KeyChanges>> {
  const { algorithm, emergency, policy } = operation
  const algorithms = algorithm === undefined ? policy.algorithms : [algorithm]
  return change(db, operation, (input) => planRotation(input, algorithms, emergency))
}

/** Takes a key out of the set now. See planRevocation for refusals. */
export async function revokeKey(
  db: Database,
  operation: KeyOperation & { readonly emergency: boolean; readonly kid: string },
): Promise<KeyOutcome<KeyChanges>> {
  return change(db, operation, (input) => planRevocation(input, operation.kid, operation.emergency))
}

/**
 * Encrypts every data key under the current key-encryption key. Gives how many were changed; where one does
 * not open nothing is changed. Afterwards the old file may be taken away, once every process has restarted.
 */
export function rewrapKeys(db: Database, encryptionKeys: EncryptionKeys): KeyOutcome<number> {
  let failure: KeyFailure | undefined
  const sealedAnew = new Map<string, NewKey['sealed']>()
  for (const { record, sealed } of readKeys(db).keys) {
    if (sealed === undefined || sealed.encryptionKeyId === encryptionKeys.current) continue
    const outcome = rewrapKey(sealed, record, encryptionKeys)
    if (outcome.ok) sealedAnew.set(record.kid, outcome.value)
    else failure ??= outcome
  }
  if (failure !== undefined) return failure
  return done(replaceWrappedKeys(db, (key, sealed) => sealedAnew.get(key.record.kid) ?? sealed))
}

/**
 * Makes every key of a restored database verify only: what the lost database did after the backup is not
 * known. The service publishes a new key, which signs when the lead has passed. Gives how many keys changed.
 */
export function markRestored(db: Database, policy: KeyPolicy, now: number): number {
  let count = 0
  changeKeys(db, (before) => {
    const input = rotationInput(before, { policy, now }, new Set())
    count = input.keys.filter(isPublished).length
    return { records: applyRestore(input), added: [], lastTickAt: now }
  })
  return count
}

/** Whether no key signs, or ever will: what {@link markRestored} promises of a restored database. */
export function onlyVerifies(db: Database): boolean {
  return readKeys(db).keys.every(({ record }) => ['retiring', 'gone'].includes(record.state))
}

function nextStepAt(key: KeyRecord, policy: KeyPolicy): number {
  switch (key.state) {
    case 'next':
      return promotableAt(key, policy)
    case 'active':
      return signedEnoughAt(key, policy)
    case 'retiring':
      return removableAt(key, policy)
    case 'gone':
      return Number.POSITIVE_INFINITY
  }
}

/** Plans, makes the keys that the plan needs, then plans again and writes in one transaction. */
async function change(
  db: Database,
  operation: KeyOperation,
  plan: (input: RotationInput) => KeyOutcome<RotationPlan>,
): Promise<KeyOutcome<KeyChanges>> {
  const snapshot = readKeys(db)
  const unusable = findUnusable(snapshot, operation.encryptionKeys)
  const preview = plan(rotationInput(snapshot, operation, unusable))
  if (!preview.ok) return preview
  const made = await makeKeys(preview.value.createActive, operation.encryptionKeys)
  if (!made.ok) return made

  let outcome: KeyOutcome<KeyChanges> = refuse(
    'changed_meanwhile',
    'the keys changed meanwhile: look at them and try again',
  )
  changeKeys(db, (before) => {
    const input = rotationInput(before, operation, unusable)
    const planned = plan(input)
    if (!planned.ok) {
      outcome = planned
      return undefined
    }
    if (!isSamePlan(planned.value, preview.value)) return undefined
    outcome = done({ moves: planned.value.moves, created: made.value.map((key) => key.kid) })
    return {
      records: applyRotation(input, planned.value, made.value),
      added: made.value,
      lastTickAt: operation.now,
    }
  })
  return outcome
}

const isSamePlan = (a: RotationPlan, b: RotationPlan): boolean =>
  JSON.stringify(a) === JSON.stringify(b)

function rotationInput(
  snapshot: KeySnapshot,
  { policy, now }: Pick<KeyOperation, 'policy' | 'now'>,
  unusable: ReadonlySet<string>,
): RotationInput {
  const keys = snapshot.keys.map((key) => key.record)
  return { keys, lastTickAt: snapshot.lastTickAt, now, policy, unusable }
}

function findUnusable(snapshot: KeySnapshot, encryptionKeys: EncryptionKeys): ReadonlySet<string> {
  const unusable = snapshot.keys.filter(
    ({ record, sealed }) =>
      sealed !== undefined && !openPrivateKey(sealed, record, encryptionKeys).ok,
  )
  return new Set(unusable.map((key) => key.record.kid))
}
