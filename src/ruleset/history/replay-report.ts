// Owns the sum of many replays: how many of each class, and equal ones as one group.
// Must stay small however many decisions there are.
import type { AuditEvent } from '../../audit/event.ts'
import { endOf, REPLAY_CLASSES, type ReplayClass, type Replayed } from './replay.ts'

/** Decisions that are alike: who asked for what, how it ended then and ends now, and why. */
export interface ReplayGroup {
  readonly class: ReplayClass
  /** Service name, or the identity where no service had it. */
  readonly caller: string
  /** Issuer of the subject token; undefined where it was not verified. */
  readonly issuer: string | undefined
  /** Service name, or what was asked for. */
  readonly target: string
  /** Undefined where all that is justified was asked for. */
  readonly asked: readonly string[] | undefined
  readonly before: string
  readonly now: string | undefined
  readonly differences: Replayed['differences']
  readonly why: readonly string[]
  readonly gains: boolean
  readonly count: number
  /** Milliseconds since the epoch. */
  readonly first: number
  readonly last: number
  /** Of the newest: its decision id, and the detail of its denial now. */
  readonly example: string
  readonly detail: string | undefined
}

export interface ReplayReport {
  readonly decisions: number
  readonly totals: Readonly<Record<ReplayClass, number>>
  /** Decisions that give, or may give, something that they did not. */
  readonly gains: number
  /** The most important first; of `same` and `not_about_rules` there are none. */
  readonly groups: readonly ReplayGroup[]
  /** Decisions that are in no group because there were too many groups. */
  readonly ungrouped: number
  /** Predicates in audit mode → how many of these decisions they would deny. */
  readonly wouldDeny: ReadonlyMap<string, number>
}

/** A person reads tens; callers choose what they ask for, so there could be as many as decisions. */
export const MAX_GROUPS = 1_000
/** Scopes and targets of a request that tell one group from another, in characters of text. */
const MAX_SHOWN_CHARACTERS = 200

/** Counts replays one by one. */
export interface ReplayTally {
  readonly add: (event: AuditEvent, replayed: Replayed) => void
  readonly report: () => ReplayReport
}

/** Makes an empty tally. */
export function newReplayTally(): ReplayTally {
  const totals = Object.fromEntries(REPLAY_CLASSES.map((name) => [name, 0]))
  const groups = new Map<string, ReplayGroup>()
  const wouldDeny = new Map<string, number>()
  let [decisions, gains, ungrouped] = [0, 0, 0]
  const addToGroup = (event: AuditEvent, replayed: Replayed) => {
    const one = groupOf(event, replayed)
    const key = keyOf(one)
    const known = groups.get(key)
    if (known !== undefined) groups.set(key, joined(known, one))
    else if (groups.size < MAX_GROUPS) groups.set(key, one)
    else ungrouped += 1
  }
  return {
    add: (event, replayed) => {
      decisions += 1
      totals[replayed.class] = (totals[replayed.class] ?? 0) + 1
      if (replayed.gains) gains += 1
      for (const id of replayed.wouldDeny) wouldDeny.set(id, (wouldDeny.get(id) ?? 0) + 1)
      if (replayed.class !== 'same' && replayed.class !== 'not_about_rules') {
        addToGroup(event, replayed)
      }
    },
    report: () => ({
      decisions,
      totals: totals as Record<ReplayClass, number>,
      gains,
      groups: [...groups.entries()].sort(byImportance).map(([, group]) => group),
      ungrouped,
      wouldDeny: new Map([...wouldDeny].sort(([a], [b]) => (a < b ? -1 : 1))),
    }),
  }
}

function groupOf(event: AuditEvent, replayed: Replayed): ReplayGroup {
  const { caller, subject, request, target, time } = event
  const { wouldDeny: _, ...shown } = replayed
  const asked = [...(request?.audiences ?? []), ...(request?.resources ?? [])].join(' ')
  return {
    ...shown,
    caller: caller.service ?? caller.id,
    issuer: subject?.issuer,
    target: target ?? asked.slice(0, MAX_SHOWN_CHARACTERS),
    asked: request?.scopes && [...request.scopes].sort(),
    before: endOf(event),
    count: 1,
    first: time,
    last: time,
    example: event.decisionId,
  }
}

const keyOf = (group: ReplayGroup): string =>
  JSON.stringify([
    REPLAY_CLASSES.indexOf(group.class),
    group.caller,
    group.issuer,
    group.target,
    group.asked,
    group.before,
    group.now,
    group.differences.map(({ text }) => text),
    group.why,
  ])

function joined(known: ReplayGroup, one: ReplayGroup): ReplayGroup {
  const newest = one.last > known.last ? one : known
  return {
    ...newest,
    count: known.count + one.count,
    first: Math.min(known.first, one.first),
    last: newest.last,
  }
}

type Entry = readonly [key: string, group: ReplayGroup]

function byImportance([keyA, a]: Entry, [keyB, b]: Entry): number {
  const rank = ({ class: name }: ReplayGroup) => REPLAY_CLASSES.indexOf(name)
  if (rank(a) !== rank(b)) return rank(a) - rank(b)
  if (a.count !== b.count) return b.count - a.count
  return keyA < keyB ? -1 : 1
}

/** What a replay can be made to fail on. */
export const REPLAY_GATES = ['new-allow', 'new-deny', 'changed', 'any'] as const
export type ReplayGate = (typeof REPLAY_GATES)[number]

/** How many decisions a gate fails on; what could not be decided fails each. */
export function failuresOf(gate: ReplayGate, { totals, gains }: ReplayReport): number {
  const { newly_allowed: allowed, newly_denied: denied, changed, undecidable } = totals
  switch (gate) {
    case 'new-allow':
      return gains
    case 'new-deny':
      return denied + undecidable
    case 'changed':
      return changed + undecidable
    case 'any':
      return allowed + denied + changed + undecidable
  }
}
