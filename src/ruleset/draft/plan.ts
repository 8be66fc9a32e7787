// Owns which entries a draft has: what was seen against what is there, with everything a person must decide.
// Must not write text of a rule file, and never gives more than was seen: no rule of a plan is in force.
import { parseSpiffeId, type SpiffeId } from '../../clients/spiffe-id.ts'
import { clip } from '../../config/problem.ts'
import type { Rule, Service, ServiceName } from '../ruleset.ts'
import { times } from './denials.ts'
import {
  isServiceName,
  namespaceOf,
  type Observations,
  type Question,
  type SeenAsk,
  type SeenCaller,
  type SeenEdge,
  type SeenService,
} from './observed.ts'
import { createPlaces, type DraftContext, type Place } from './place.ts'
import type { Plan, PlannedItem, PlannedRule, PlannedService } from './planned.ts'

interface Entry extends Pick<PlannedService, 'name' | 'status' | 'identity'> {
  /** The service in the rules that are there. */
  readonly before: Service | undefined
  readonly scopes: Map<string, PlannedItem>
  readonly calls: Map<ServiceName, PlannedItem>
  readonly rules: PlannedRule[]
  readonly questions: string[]
}

interface Planning {
  readonly context: DraftContext
  readonly entries: Map<ServiceName, Entry>
  readonly questions: Question[]
}

/** Plans a draft. The order of observations changes only the order of questions. */
export function planDraft(seen: Observations, context: DraftContext): Plan {
  const planning: Planning = { context, entries: new Map(), questions: [...seen.questions] }
  const places = createPlaces(context)
  const entryOf = new Map<ServiceName, Entry>()
  for (const [name, all] of groups(seen.services, (service) => service.name)) {
    const entry = enter(planning, name, places.ofSeen(name, all))
    if (entry !== undefined) entryOf.set(name, entry)
    if (entry?.status === 'drafted') askForIdentity(entry, all)
  }
  for (const [, edges] of groups(seen.edges, ({ from, to }) => `${from} ${to}`)) {
    planEdge(planning, edges, entryOf)
  }
  for (const ask of [...seen.asks].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))) {
    const target = planning.entries.get(ask.to) ?? enter(planning, ask.to, places.ofAsked(ask.to))
    if (target === undefined) leaveOut(planning, ask, ruleOfAsk(ask).question)
    else planAsk(enter(planning, ask.from, places.ofAsked(ask.from)), target, ask)
  }
  for (const caller of seen.callers) planCaller(planning, caller, places.ofAsked)
  return { services: worthTelling(planning), questions: distinct(planning.questions) }
}

function distinct(questions: readonly Question[]): readonly Question[] {
  return [...new Map(questions.map((one) => [`${one.namespace} ${one.text}`, one])).values()]
}

const keyOf = ({ from, to, issuer }: SeenAsk): string => [from, to, issuer].join(' ')

/** Items by key, in the order of keys. */
function groups<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
): readonly (readonly [string, T[]])[] {
  const all = new Map<string, T[]>()
  for (const item of items) {
    const group = all.get(keyOf(item))
    if (group === undefined) all.set(keyOf(item), [item])
    else group.push(item)
  }
  return [...all].sort(([a], [b]) => (a < b ? -1 : 1))
}

/** Not what is there already and lacks nothing, nor what was seen only with what was left out. */
function worthTelling({ entries }: Planning): readonly PlannedService[] {
  return [...entries.values()]
    .filter(
      ({ status, scopes, calls, rules }) =>
        status === 'proposed' || scopes.size + calls.size + rules.length > 0,
    )
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ before: _, ...entry }) => ({
      ...entry,
      scopes: [...entry.scopes.values()].sort(byText),
      calls: [...entry.calls.values()].sort(byText),
    }))
}

const byText = (a: PlannedItem, b: PlannedItem): number => (a.text < b.text ? -1 : 1)

/** The entry at a place; a name without one becomes a question. */
function enter(planning: Planning, seen: ServiceName, place: Place): Entry | undefined {
  const { entries, questions, context } = planning
  if (place.kind === 'out') {
    questions.push({ namespace: namespaceOf(seen), text: `${seen} is left out: ${place.why}` })
    return undefined
  }
  const { name, status, identity } = place
  const known = entries.get(name)
  if (known !== undefined) return known
  const before = context.ruleset.services.get(name)
  const entry: Entry = {
    name,
    status,
    identity,
    before,
    scopes: new Map(),
    calls: new Map(),
    rules: [],
    questions: [],
  }
  entries.set(name, entry)
  return entry
}

function askForIdentity({ name, questions }: Entry, all: readonly SeenService[]): void {
  if (all.some(({ by }) => by !== 'label')) return
  const account = name.slice(name.indexOf('/') + 1)
  questions.push(
    `${name} was seen by its label or Service only: does it run as service account ${account}? Else write its identity.`,
  )
}

const leaveOut = (
  { questions }: Planning,
  { from, to }: { readonly from: ServiceName; readonly to: ServiceName },
  text: string,
): void => {
  questions.push({ namespace: namespaceOf(to), text: `${from} -> ${to} is left out. ${text}` })
}

/** A call that is said to be right: `calls` is in force, for it gives nothing alone; its rule is not. */
function planEdge(
  planning: Planning,
  edges: readonly SeenEdge[],
  entryOf: ReadonlyMap<ServiceName, Entry>,
): void {
  const [edge] = edges
  if (edge === undefined) return
  const caller = entryOf.get(edge.from)
  const target = entryOf.get(edge.to)
  const scopes = [...new Set(edges.flatMap((one) => one.scopes))]
  const sightings = edges.map(({ source, hints }) =>
    hints.length === 0 ? source : `${source} (${hints.join('; ')})`,
  )
  const seen = `Seen ${[...new Set(sightings)].join(', and ')}.`
  if (caller === undefined || target === undefined) {
    leaveOut(planning, edge, seen)
    return
  }
  const rule = ruleOf(target, caller)
  if (caller.before?.calls.has(target.name) !== true) {
    // With a rule for its whole namespace the call alone would be a grant.
    const inForce = caller.status === 'drafted' && rule === undefined
    caller.calls.set(target.name, { text: target.name, inForce })
    if (caller.status === 'drafted' && rule !== undefined) {
      caller.questions.push(
        `${caller.name} -> ${target.name}: the rule ${rule.id} is there, so the call alone grants it: is it right? ${seen}`,
      )
    }
  }
  const inForce = target.status === 'drafted'
  addScopes(
    target,
    scopes.map((text) => ({ text, inForce })),
  )
  if (rule !== undefined) return
  const which = scopes.length === 0 ? 'which scopes can it obtain, ' : ''
  const each = scopes.length === 0 ? 'each' : scopes.join(' ')
  target.rules.push({
    from: caller.name,
    issuer: undefined,
    scopes: scopes.map((scope) => ({ scope, justification: [] })),
    question: `${caller.name} -> ${target.name}: ${which}with whose tokens (self, or an issuer), and which scopes of those justify ${each}? ${seen}`,
  })
}

/** A rule for this caller that is there, with whatever issuer. */
function ruleOf({ before }: Entry, caller: Entry): Rule | undefined {
  const from = [caller.name, `${namespaceOf(caller.name)}/*`]
  return [...(before?.rules.values() ?? [])].find((rule) => from.includes(rule.from))
}

function addScopes(entry: Entry, items: readonly PlannedItem[]): void {
  for (const item of items) {
    const isThere = entry.before?.scopes.has(item.text) === true || entry.scopes.has(item.text)
    if (!isThere) entry.scopes.set(item.text, item)
  }
}

/** What was denied is no evidence that it is right: nothing of it is in force. */
function planAsk(caller: Entry | undefined, target: Entry, ask: SeenAsk): void {
  if (ask.lacksCall && caller !== undefined && !caller.calls.has(ask.to)) {
    const note = `asked ${times(ask)}`
    caller.calls.set(ask.to, { text: ask.to, inForce: false, note })
  }
  addScopes(
    target,
    ask.scopes.map(({ scope }) => ({ text: scope, inForce: false })),
  )
  if (ask.rule === undefined || ask.scopes.length + ask.unnamed > 0) {
    target.rules.push(ruleOfAsk(ask))
  }
}

function ruleOfAsk(ask: SeenAsk): PlannedRule {
  const { from, to, issuer, rule, unnamed } = ask
  const reasons = Object.entries(ask.reasons).map(([reason, count]) => `${reason} ${count}`)
  const notes = [
    rule !== undefined && `The rule ${rule} is there: what you tick goes into it.`,
    rule?.includes('/* [') === true && 'It is of a whole namespace: what it gets, all of them get.',
    unnamed > 0 && `${unnamed} named no scope, so asked for all that is justified: which is meant?`,
    ask.moreScopes && 'More scopes were asked for than are kept here.',
  ]
  return {
    from,
    issuer,
    scopes: ask.scopes.map(({ scope, brought, ...tally }) => ({
      scope,
      justification: brought,
      note: `asked ${times(tally)}${brought.length === 0 ? '; no scope was brought every time' : ''}`,
    })),
    question: [
      `${from} -> ${to} with tokens of ${issuer}: asked ${times(ask)}, denied as ${reasons.join(', ')}. Is it right?`,
      ...notes.filter((note) => note !== false),
    ].join(' '),
  }
}

/** A workload that no service is: proposed under the name of its service account. */
function planCaller(
  planning: Planning,
  caller: SeenCaller,
  placeOf: (name: ServiceName, identity?: SpiffeId) => Place,
): void {
  const text = `${clip(caller.id, MAX_ID_SHOWN)} asked ${times(caller)} and is no service: is it one?`
  const [, namespace = '', account = ''] =
    /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(caller.id) ?? []
  const name = `${namespace}/${account}`
  const identity = parseSpiffeId(caller.id)
  if (identity === undefined || !isServiceName(name)) {
    planning.questions.push({ namespace: undefined, text })
    return
  }
  const entry = enter(planning, name, placeOf(name, identity))
  if (entry === undefined) planning.questions.push({ namespace, text })
  else entry.questions.push(text)
}

/** A SPIFFE ID may have 2048 characters. */
const MAX_ID_SHOWN = 300
