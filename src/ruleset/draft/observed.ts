// Owns what can be seen of a call graph before there are rules for it: services, edges, denied requests,
// and the questions that are left. Must not draft anything, nor know how a name or a scope is written.
import type { SpiffeId } from '../../clients/spiffe-id.ts'
import type { Reason } from '../../oauth/reasons.ts'
import type { IssuerName } from '../../subjects/subject.ts'
import type { ServiceName } from '../ruleset.ts'
import { RuleFileSchema } from '../schema.ts'

/** A service, as one source shows it. */
export interface SeenService {
  readonly name: ServiceName
  /** What told its name: a person or an object of that name, a label of its workloads, its SPIFFE ID. */
  readonly by: 'name' | 'label' | 'identity'
  /** Undefined means the default one of its name. */
  readonly identity: SpiffeId | undefined
}

/** A call that a person or an ALLOW policy says is right. */
export interface SeenEdge {
  readonly from: ServiceName
  readonly to: ServiceName
  /** Of the target, as far as they are known. */
  readonly scopes: readonly string[]
  /** What shows it: `in policy …`, `on the command line`. */
  readonly source: string
  /** What narrows the call there and has no place in a draft. */
  readonly hints: readonly string[]
}

/** How often and when something was asked; times in milliseconds since the epoch. */
export interface Tally {
  readonly count: number
  readonly first: number
  readonly last: number
}

/** A scope that was asked for, and the scopes that every subject token brought with which it was. */
export interface AskedScope extends Tally {
  readonly scope: string
  readonly brought: readonly string[]
}

/** Denied requests of one caller for one target with tokens of one issuer. */
export interface SeenAsk extends Tally {
  readonly from: ServiceName
  readonly to: ServiceName
  readonly issuer: IssuerName
  readonly reasons: Readonly<Partial<Record<Reason, number>>>
  readonly scopes: readonly AskedScope[]
  /** Requests that named no scope: they asked for all that is justified. */
  readonly unnamed: number
  /** What the current rules lack besides scopes: the caller's consent; the rule to which scopes belong, where there is one. */
  readonly lacksCall: boolean
  readonly rule: string | undefined
  /** More scopes than are kept were asked for. */
  readonly moreScopes: boolean
}

/** An authenticated caller that no service is. */
export interface SeenCaller extends Tally {
  readonly id: string
}

/** What a person must decide. */
export interface Question {
  /** Where it belongs; undefined where that is not known. */
  readonly namespace: string | undefined
  readonly text: string
}

/** Everything that was seen. */
export interface Observations {
  readonly services: readonly SeenService[]
  readonly edges: readonly SeenEdge[]
  readonly asks: readonly SeenAsk[]
  readonly callers: readonly SeenCaller[]
  readonly questions: readonly Question[]
}

/** Observations of which only some members are given. */
export const observed = (seen: Partial<Observations>): Observations => ({
  services: [],
  edges: [],
  asks: [],
  callers: [],
  questions: [],
  ...seen,
})

/** Several observations as one. */
export const together = (all: readonly Observations[]): Observations => ({
  services: all.flatMap(({ services }) => services),
  edges: all.flatMap(({ edges }) => edges),
  asks: all.flatMap(({ asks }) => asks),
  callers: all.flatMap(({ callers }) => callers),
  questions: all.flatMap(({ questions }) => questions),
})

/** Whether a rule file can have this as the name of a namespace or a service. */
export const isName = (text: string): boolean =>
  RuleFileSchema.shape.namespace.safeParse(text).success

/** Whether a rule file can have this as a scope. */
export const isScope = (text: string): boolean =>
  RuleFileSchema.safeParse({ namespace: 'n', services: { n: { scopes: [text] } } }).success

/** Whether this is `namespace/name`, both as a rule file can have them. */
export function isServiceName(text: string): boolean {
  const parts = text.split('/')
  return parts.length === 2 && parts.every(isName)
}

/** The namespace of a full service name. */
export const namespaceOf = (name: ServiceName): string => name.slice(0, name.indexOf('/'))

/** The tally after one more at that time. */
export const counted = (tally: Tally | undefined, time: number): Tally => ({
  count: (tally?.count ?? 0) + 1,
  first: Math.min(tally?.first ?? time, time),
  last: Math.max(tally?.last ?? time, time),
})
