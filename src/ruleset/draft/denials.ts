// Owns what recorded denials show: who asked what, measured against the rules of today.
// Must not read the audit itself, and counts every denial somewhere.
import type { AuditEvent } from '../../audit/event.ts'
import { parseSpiffeId } from '../../clients/spiffe-id.ts'
import { clip } from '../../config/problem.ts'
import type { Reason } from '../../oauth/reasons.ts'
import { isJustified } from '../justify.ts'
import { fullName } from '../names.ts'
import { namesCaller, ruleFor } from '../rule-for.ts'
import type { Rule, Ruleset, Service, ServiceName } from '../ruleset.ts'
import {
  type AskedScope,
  counted,
  isScope,
  isServiceName,
  type Observations,
  observed,
  type SeenAsk,
  type SeenCaller,
  type Tally,
} from './observed.ts'

/** What {@link observeDenials} gives. Each denial is in `seen`, or counted in one of the others. */
export interface DeniedObservations {
  readonly seen: Observations
  readonly denials: number
  /** What the rules of today would no longer deny for that reason. */
  readonly settled: number
  /** Denials that no rule is missing for, by reason. */
  readonly leftAlone: Readonly<Record<string, number>>
}

/** Denied because nobody has written a rule yet. Other reasons are about tokens, or what somebody decided. */
const MISSING_RULE: ReadonlySet<Reason | undefined> = new Set<Reason>([
  'client_unknown',
  'target_unknown',
  'target_not_in_calls',
  'target_not_accepted',
  'target_issuer_not_accepted',
  'scope_unknown',
  'scope_not_justified',
  'scope_none_justified',
])

/** Callers choose targets and scopes, so what is kept of them is bounded. A person reads less. */
const MAX_GROUPS = 2_000
const MAX_SCOPES = 100
const MAX_TARGET_SHOWN = 120

/** What is counted in place of a reason. */
const INCOMPLETE = 'recorded incompletely'
const TOO_MANY = `more than ${MAX_GROUPS} different ones`

/** One group of denials that are alike, while it is filled. */
interface Group {
  readonly ask: Pick<SeenAsk, 'from' | 'to' | 'issuer' | 'lacksCall' | 'rule'>
  tally: Tally
  readonly reasons: Partial<Record<Reason, number>>
  readonly scopes: Map<string, Tally & { readonly brought: ReadonlySet<string> }>
  unnamed: number
  moreScopes: boolean
}

/** Groups denials, one by one: the audit may hold millions. */
export function observeDenials(events: Iterable<AuditEvent>, ruleset: Ruleset): DeniedObservations {
  const groups = new Map<string, Group>()
  const callers = new Map<string, Tally>()
  const unknown = new Map<string, Tally>()
  const leftAlone: Record<string, number> = {}
  let [denials, settled] = [0, 0]
  const leave = (why: string) => {
    leftAlone[why] = (leftAlone[why] ?? 0) + 1
  }
  const count = (tallies: Map<string, Tally>, key: string, time: number) => {
    if (!tallies.has(key) && tallies.size >= MAX_GROUPS) leave(TOO_MANY)
    else tallies.set(key, counted(tallies.get(key), time))
  }
  for (const event of events) {
    denials++
    const finding = judge(event, ruleset)
    if (finding.kind === 'left_alone') leave(finding.why)
    else if (finding.kind === 'settled') settled++
    else if (finding.kind === 'caller') count(callers, event.caller.id, event.time)
    else if (finding.kind === 'target') count(unknown, finding.text, event.time)
    else if (!addAsk(groups, finding, event)) leave(TOO_MANY)
  }
  const seen = observed({
    asks: [...groups.values()].map(askOf),
    callers: [...callers].map(([id, tally]): SeenCaller => ({ id, ...tally })),
    questions: [...unknown].map(([text, tally]) => ({
      namespace: undefined,
      text: `${text} (${times(tally)}): which service is it?`,
    })),
  })
  return { seen, denials, settled, leftAlone }
}

/** `3 times, 2026-11-23T03:27:43Z to 2026-11-23T04:00:00Z`. */
export function times({ count, first, last }: Tally): string {
  const second = (time: number) => `${new Date(time).toISOString().slice(0, 19)}Z`
  return count === 1
    ? `once, ${second(first)}`
    : `${count} times, ${second(first)} to ${second(last)}`
}

type Asked = NonNullable<AuditEvent['request']>
type Brought = NonNullable<AuditEvent['subject']>

type Finding =
  | { readonly kind: 'left_alone'; readonly why: string }
  | { readonly kind: 'settled' }
  | { readonly kind: 'caller' }
  | { readonly kind: 'target'; readonly text: string }
  | AskFinding

interface AskFinding {
  readonly kind: 'ask'
  readonly ask: Group['ask']
  /** That the rules of today do not give with what the token brought. */
  readonly scopes: readonly string[]
  readonly isUnnamed: boolean
  readonly brought: ReadonlySet<string>
}

const leftAlone = (why: string): Finding => ({ kind: 'left_alone', why })

function judge(event: AuditEvent, ruleset: Ruleset): Finding {
  const { reason, subject, request } = event
  if (!MISSING_RULE.has(reason)) return leftAlone(reason ?? 'no reason')
  // Nobody asked: what is not justified is left out, as the rule that embeds it says.
  if (event.parent !== undefined) return leftAlone('left out of another token')
  const caller = callerOf(event, ruleset)
  if (caller === undefined) return { kind: 'caller' }
  if (reason === 'client_unknown') return { kind: 'settled' }
  if (subject === undefined || request === undefined || isIncomplete(event)) {
    return leftAlone(INCOMPLETE)
  }
  const target = targetOf(event, request, caller, ruleset)
  if ('text' in target) return { kind: 'target', ...target }
  return judgeAsk(caller, target, subject, request)
}

/** Who it is today: rules may have been written since. */
function callerOf({ caller: { id } }: AuditEvent, ruleset: Ruleset): Service | undefined {
  const spiffeId = parseSpiffeId(id)
  return spiffeId === undefined ? ruleset.services.get(id) : ruleset.serviceOf(spiffeId)
}

/** A list that was cut could make a proposal ask for less than was brought. */
const isIncomplete = ({ truncated }: AuditEvent): boolean =>
  (truncated ?? []).some((note) => /^(?:request\.|subject\.scopes)/.test(note))

type Target = { readonly name: ServiceName; readonly service: Service | undefined }

function targetOf(
  event: AuditEvent,
  { audiences, resources }: Asked,
  caller: Service,
  { services, targets }: Ruleset,
): Target | { readonly text: string } {
  const named = event.target === undefined ? undefined : services.get(event.target)
  if (named !== undefined) return { name: named.name, service: named }
  const [audience = '', ...others] = [...audiences, ...resources]
  const name = fullName(audience, caller.namespace)
  const service = targets.get(audience) ?? services.get(name)
  if (others.length === 0 && service !== undefined) return { name: service.name, service }
  if (others.length === 0 && isServiceName(name)) return { name, service: undefined }
  const asked = [audience, ...others].map((text) => clip(text, MAX_TARGET_SHOWN)).join(' ')
  return { text: `${caller.name} asked for a token for ${asked}` }
}

function judgeAsk(caller: Service, target: Target, subject: Brought, request: Asked): Finding {
  const { service } = target
  const { issuer } = subject
  const rule = service && ruleFor(service, caller, issuer)
  if (service !== undefined && isDenied(service, caller, issuer)) return leftAlone('target_denied')
  if (rule?.forward === true) return leftAlone('the rule forwards')
  const brought = new Set(subject.scopes)
  const given = (scope: string) => isGiven(rule, scope, brought)
  const lacksCall = !caller.calls.has(target.name)
  const scopes = (request.scopes ?? []).filter((scope) => !given(scope))
  const isUnnamed = request.scopes === undefined && ![...(rule?.scopes.keys() ?? [])].some(given)
  if (!lacksCall && rule !== undefined && scopes.length === 0 && !isUnnamed)
    return { kind: 'settled' }
  const ask = { from: caller.name, to: target.name, issuer, lacksCall, rule: rule?.id }
  return { kind: 'ask', ask, scopes, isUnnamed, brought }
}

/** What somebody denied in words is no rule that is missing. */
const isDenied = ({ denies }: Service, caller: Service, issuer: string): boolean =>
  denies.some(
    ({ from, issuer: only, when, mode }) =>
      when === undefined &&
      mode === 'enforce' &&
      (only === undefined || only === issuer) &&
      (from === undefined || namesCaller(from, caller)),
  )

function isGiven(rule: Rule | undefined, scope: string, brought: ReadonlySet<string>): boolean {
  const justification = rule?.scopes.get(scope)
  return justification !== undefined && isJustified(justification, brought)
}

/** False where there are too many groups. */
function addAsk(groups: Map<string, Group>, finding: AskFinding, event: AuditEvent): boolean {
  const { ask, brought } = finding
  const key = JSON.stringify([ask.from, ask.to, ask.issuer])
  let group = groups.get(key)
  if (group === undefined) {
    if (groups.size >= MAX_GROUPS) return false
    const tally = { count: 0, first: event.time, last: event.time }
    group = { ask, tally, reasons: {}, scopes: new Map(), unnamed: 0, moreScopes: false }
    groups.set(key, group)
  }
  group.tally = counted(group.tally, event.time)
  if (event.reason !== undefined) {
    group.reasons[event.reason] = (group.reasons[event.reason] ?? 0) + 1
  }
  if (finding.isUnnamed) group.unnamed++
  for (const scope of finding.scopes.filter(isScope)) {
    const known = group.scopes.get(scope)
    if (known === undefined && group.scopes.size >= MAX_SCOPES) {
      group.moreScopes = true
      continue
    }
    const common = known === undefined ? brought : shared(known.brought, brought)
    group.scopes.set(scope, { ...counted(known, event.time), brought: common })
  }
  return true
}

const shared = (one: ReadonlySet<string>, other: ReadonlySet<string>): ReadonlySet<string> =>
  new Set([...one].filter((scope) => other.has(scope)))

function askOf({ ask, tally, reasons, scopes, unnamed, moreScopes }: Group): SeenAsk {
  const asked = [...scopes].map(
    ([scope, { brought, ...each }]): AskedScope => ({
      scope,
      ...each,
      brought: [...brought].filter(isScope).sort(),
    }),
  )
  return { ...ask, ...tally, reasons, scopes: asked, unnamed, moreScopes }
}
