// Owns `keys list` and `keys timeline`. Must not change a key.

import { keyPolicyOf } from '../compose/key-policy.ts'
import type { KeyEvent } from '../keys/key-timeline.ts'
import { type ListedKey, listKeys, listTimeline } from '../keys/operations.ts'
import { type Arguments, CONFIG_OPTION, defineCommand, JSON_OPTION, UsageError } from './command.ts'
import { tellFailure, withDatabase } from './configured.ts'
import { EXIT_OK, printJson } from './io.ts'
import { alignTable, relativeTime, timeText } from './table.ts'

const NO_KEYS = {
  problem: 'keys_missing',
  message: 'there are no signing keys: run "mesh-sts init"',
}

/** `mesh-sts keys list` */
export const keysList = defineCommand(
  {
    name: 'keys list',
    summary: 'Show the signing keys, and when each may take its next step.',
    options: {
      config: CONFIG_OPTION,
      all: { help: 'Also those that are no longer published.' },
      json: JSON_OPTION,
    },
  },
  async (args, io) => {
    const isJson = args.has('json')
    const call = { config: args.text('config'), isJson, readonly: true }
    return withDatabase(call, io, (db, settings) => {
      const keys = listKeys(db, keyPolicyOf(settings), { all: args.has('all') })
      if (isJson) {
        printJson(io, { ok: true, keys: keys.map(toJson) })
        return EXIT_OK
      }
      if (keys.length === 0) return tellFailure(io, isJson, NO_KEYS)
      const order = ['active', 'next', 'retiring', 'gone']
      const sorted = [...keys].sort(
        (a, b) => order.indexOf(a.state) - order.indexOf(b.state) || b.createdAt - a.createdAt,
      )
      const heading = ['KEY', 'ALGORITHM', 'STATE', 'PUBLISHED', 'ENCRYPTED BY', 'NEXT STEP']
      io.stdout(alignTable([heading, ...sorted.map((key) => rowOf(key, io.now()))]))
      return EXIT_OK
    })
  },
)

const STEPS: Readonly<Record<ListedKey['state'], string>> = {
  next: 'may sign',
  active: 'hands over',
  retiring: 'is removed',
  gone: '',
}

function rowOf(key: ListedKey, now: number): string[] {
  const isDue = key.nextStepAt <= now
  const when = isDue ? 'as soon as serve runs' : relativeTime(key.nextStepAt, now)
  return [
    key.kid,
    key.algorithm,
    key.state,
    timeText(key.publishedAt),
    key.encryptionKeyId ?? '-',
    key.state === 'gone'
      ? `removed ${relativeTime(key.removedAt ?? now, now)}`
      : `${STEPS[key.state]} ${when}`,
  ]
}

const iso = (at: number | undefined): string | undefined =>
  at === undefined || !Number.isFinite(at) ? undefined : new Date(at).toISOString()

function toJson(key: ListedKey) {
  return {
    kid: key.kid,
    algorithm: key.algorithm,
    state: key.state,
    created_at: iso(key.createdAt),
    published_at: iso(key.publishedAt),
    activated_at: iso(key.activatedAt),
    retired_at: iso(key.retiredAt),
    removed_at: iso(key.removedAt),
    signs_until: iso(key.signsUntil),
    encryption_key: key.encryptionKeyId,
    next_step_at: iso(key.nextStepAt),
  }
}

const DEFAULT_EVENTS = 12
const MAX_EVENTS = 1000

/** `mesh-sts keys timeline` */
export const keysTimeline = defineCommand(
  {
    name: 'keys timeline',
    summary: 'Show what will happen to the keys, and when, if serve runs without a break.',
    options: {
      config: CONFIG_OPTION,
      count: { value: '<n>', help: `How many events. Default: ${DEFAULT_EVENTS}.` },
      json: JSON_OPTION,
    },
  },
  async (args, io) => {
    const isJson = args.has('json')
    const count = countOf(args)
    const call = { config: args.text('config'), isJson, readonly: true }
    return withDatabase(call, io, (db, settings) => {
      const now = io.now()
      const events = listTimeline(db, keyPolicyOf(settings), now, count)
      if (isJson) {
        const shown = events.map((event) => ({ ...event, at: iso(event.at) }))
        printJson(io, { ok: true, events: shown })
        return EXIT_OK
      }
      if (events.length === 0) return tellFailure(io, isJson, NO_KEYS)
      const heading = ['TIME', '', 'ALGORITHM', 'EVENT', 'KEY']
      io.stdout(alignTable([heading, ...events.map((event) => eventRow(event, now))]))
      return EXIT_OK
    })
  },
)

const eventRow = ({ at, algorithm, event, kid }: KeyEvent, now: number): string[] => [
  timeText(at),
  relativeTime(at, now),
  algorithm,
  event.replace('_', ' '),
  kid ?? '(not made yet)',
]

function countOf(args: Arguments<'count'>): number {
  const text = args.text('count') ?? String(DEFAULT_EVENTS)
  const count = Number(text)
  if (!/^[1-9][0-9]{0,3}$/.test(text) || count > MAX_EVENTS) {
    throw new UsageError(`--count must be a number from 1 to ${MAX_EVENTS}`)
  }
  return count
}
