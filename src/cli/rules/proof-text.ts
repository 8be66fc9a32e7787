// Owns how a proof is told: to people, as JSON, as journeys of a test file.
// Must not prove.
import { dump } from 'js-yaml'
import { printable } from '../../config/problem.ts'
import type {
  CounterExample,
  InvariantVerdict,
  NeverVerdict,
  Proof,
} from '../../ruleset/prove/prove.ts'
import type { Invariant } from '../../ruleset/prove/prove-exchange.ts'
import type { Assumption } from '../../ruleset/reach/conditions.ts'
import type { Journey } from '../../ruleset/reach/journey.ts'
import { journeyEntry } from '../../ruleset/reach/journey-entry.ts'
import { ASSUMING, OTHER_CLAIMS, type World } from '../../ruleset/reach/token.ts'
import { WORKLOAD } from '../../subjects/subject.ts'

/** Where an entry of `never` stands. */
export interface NeverPlace {
  /** As it is shown. */
  readonly file: string
  readonly line: number
  readonly column: number
}

/** A verdict with its place. */
export interface PlacedVerdict extends NeverVerdict {
  readonly place: NeverPlace
}

const INVARIANT_TEXTS: Readonly<Record<Invariant, string>> = {
  'scopes-have-roots': "no scope without a root in an issuer's scope or a grant",
  'claims-are-listed': 'no claim where the service does not list it (claims or ctx)',
  'lifetimes-shrink': 'no token outlives the one that it was made from',
}

/** More are counted only. */
const MAX_CONDITIONS_SHOWN = 20
const MAX_HOLDERS_SHOWN = 8

/** The whole proof for a terminal. */
export function proofText(proof: Proof, placed: readonly PlacedVerdict[]): string {
  const lines = [
    ...placed.flatMap(neverLines),
    ...proof.invariants.flatMap(invariantLines),
    ...exploredLines(proof),
  ]
  return lines.map((line) => `${printable(line)}\n`).join('')
}

function neverLines({ never, counterExample, place }: PlacedVerdict): string[] {
  const what = `${place.file}:${place.line}:${place.column}  never: ${never.text}`
  if (counterExample === undefined) return [`holds  ${what}`]
  return [
    `FAILS  ${what}`,
    ...(never.reason === undefined ? [] : [`    which must not be: ${never.reason}`]),
    ...exampleLines(counterExample).map((line) => `    ${line}`),
  ]
}

function invariantLines({ invariant, breach, journey }: InvariantVerdict): string[] {
  if (breach === undefined) return [`holds  ${INVARIANT_TEXTS[invariant]}`]
  return [
    `FAILS  ${INVARIANT_TEXTS[invariant]}: ${breach.detail}`,
    ...(journey === undefined ? [] : journeyLines(journey).map((line) => `    ${line}`)),
  ]
}

/** A counter-example, request by request. */
export function exampleLines(
  example: Omit<CounterExample, 'holders'> & { holders?: readonly string[] },
): string[] {
  const { journey, assumptions, isFulfilled, holders = [] } = example
  const others = holders.filter((name) => name !== journey.goal.holder)
  const more =
    others.length > MAX_HOLDERS_SHOWN ? ` and ${others.length - MAX_HOLDERS_SHOWN} more` : ''
  return [
    ...journeyLines(journey),
    ...(isFulfilled ? [] : assumptions.map(assumptionText)),
    ...(others.length === 0
      ? []
      : [`and so can ${others.slice(0, MAX_HOLDERS_SHOWN).join(', ')}${more}`]),
  ]
}

const COUNTS_AS: Readonly<Record<Assumption['as'], string>> = {
  true: 'is true',
  false: 'is false',
  computed: 'can be computed',
}

const assumptionText = ({ predicate, expression, as }: Assumption): string =>
  `assuming that ${expression.source} ${COUNTS_AS[as]} (${predicate})`

/** A journey, request by request. */
function journeyLines(journey: Journey): string[] {
  const { hops } = journey
  const requests = hops.map(({ caller, uses, target, scopes }, at) => {
    const handed = uses.length === 0 ? '' : ` with ${insideText(uses)} of that`
    const asked = scopes === undefined ? 'hands the token on' : scopes.join(' ')
    return `${at + 1}. ${caller.name} → ${target.name}${handed}: ${asked}`
  })
  return [rootText(journey), ...requests, goalText(journey)]
}

function rootText({ root }: Journey): string {
  const { issuer, workload, audiences, scopes, claims } = root
  const whose = issuer === WORKLOAD ? `${workload?.name}'s own token` : `a token of ${issuer}`
  const parts = [
    issuer === WORKLOAD && audiences.length < 2 ? '' : ` for ${audiences.join(' and ')}`,
    scopes.length === 0 ? '' : ` that brings ${scopes.join(' ')}`,
    Object.keys(claims).length === 0 ? '' : ` with ${claimsText(claims)}`,
  ]
  return `0. ${whose}${parts.join('')}`
}

const claimsText = (claims: Readonly<Record<string, unknown>>): string =>
  Object.entries(claims)
    .map(([name, value]) =>
      name === OTHER_CLAIMS ? 'any claim' : `${name}: ${JSON.stringify(value)}`,
    )
    .join(', ')

function goalText({ hops, goal }: Journey): string {
  const { holder, target, scope, claim, path } = goal
  const where = path.length === 0 ? 'that token' : `${insideText(path)} of that token`
  const what =
    scope === undefined ? `sees ${claim} in ${where}` : `holds ${scope} for ${target} in ${where}`
  return `${hops.length === 0 ? 'may hand it in, so' : 'then'} ${holder} ${what}`
}

const insideText = (path: readonly string[]): string =>
  path.map((member) => `embedded.${member}`).join('.')

function exploredLines({ explored, conditions }: Proof): string[] {
  const { complete, tokens, exchanges, services, depth } = explored
  const size = `${amount(tokens, 'token')} of ${amount(services, 'service')} by ${amount(exchanges, 'exchange')}, in chains of up to ${amount(depth, 'request')}`
  if (!complete) {
    return [`GAVE UP  after ${size}: what was not found by then may still be there`]
  }
  if (conditions.length === 0) return [`explored ${size}`]
  const left = conditions.length - MAX_CONDITIONS_SHOWN
  return [
    `explored ${size}`,
    `${amount(conditions.length, 'condition')} counted as possibly true: what holds, holds whatever they say; what fails may need them`,
    ...conditions.slice(0, MAX_CONDITIONS_SHOWN).map((place) => `  ${place}`),
    ...(left > 0 ? [`  and ${left} more`] : []),
  ]
}

const amount = (number: number, noun: string): string =>
  `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`

/** The counter-examples as journeys of a test file. */
export function journeysText(world: World, placed: readonly PlacedVerdict[]): string {
  const journeys = placed.flatMap(({ never, counterExample }) => {
    const entry = counterExample && entryOf(world, counterExample, `never: ${never.text}`)
    return entry === undefined ? [] : [{ entry, counterExample }]
  })
  if (journeys.length === 0) return ''
  const texts = journeys.map(({ entry, counterExample }) => {
    const assumed = counterExample?.isFulfilled === false ? counterExample.assumptions : []
    const comments = assumed.map((one) => `  # ${printable(assumptionText(one))}\n`).join('')
    const [, ...lines] = dump({ journeys: [entry] }, { flowLevel: 5, lineWidth: 110 }).split('\n')
    return comments + lines.join('\n')
  })
  return `journeys:\n${texts.join('')}`
}

const entryOf = (world: World, { journey, isFulfilled }: CounterExample, name: string) =>
  journeyEntry(world, journey, name, isFulfilled ? {} : ASSUMING)

/** The whole proof for programs. */
export function proofJson(world: World, proof: Proof, placed: readonly PlacedVerdict[]): object {
  return {
    nevers: placed.map(({ never, counterExample, place }) => ({
      ...place,
      never: never.text,
      ...(never.reason === undefined ? {} : { reason: never.reason }),
      holds: counterExample === undefined,
      ...(counterExample === undefined
        ? {}
        : { counter_example: exampleJson(world, counterExample, `never: ${never.text}`) }),
    })),
    invariants: proof.invariants.map(({ invariant, breach }) => ({
      invariant,
      holds: breach === undefined,
      ...(breach === undefined ? {} : { detail: breach.detail }),
    })),
    explored: proof.explored,
    conditions: proof.conditions,
  }
}

/** A way to something, for programs. */
function exampleJson(world: World, example: CounterExample, name: string): object {
  const { journey, holders, assumptions, isFulfilled } = example
  return {
    requests: journey.hops.length,
    holders,
    ...(journey.goal.path.length === 0 ? {} : { inside: journey.goal.path }),
    runs_as_written: isFulfilled,
    assuming: assumptions.map(({ predicate, expression, as }) => ({
      predicate,
      expression: expression.source,
      as,
    })),
    journey: entryOf(world, example, name) ?? null,
  }
}
