// Owns a second opinion on each exchange: where its scopes, claims and lifetime come from.
// Must not use decide.ts, rule-for.ts or justify.ts: it is what they are held against.
import type { Tailored } from '../../tokens/tailor.ts'
import type { Rule, Service } from '../ruleset.ts'

/** What every token of ours keeps to, whatever the rules say. */
export type Invariant = 'scopes-have-roots' | 'claims-are-listed' | 'lifetimes-shrink'

/** What a token breaks, and how. */
export interface Breach {
  readonly invariant: Invariant
  readonly detail: string
}

type Minted = Extract<Tailored, { outcome: 'tailored' }>

/**
 * What a token breaks, with those inside it. A chain keeps an invariant if each of its exchanges does: what
 * the subject token brings was looked at when that was made, down to a token of an issuer or a workload.
 */
export function breachOf(tailored: Tailored): Breach | undefined {
  if (tailored.outcome !== 'tailored') return undefined
  const own = scopeBreach(tailored) ?? claimBreach(tailored) ?? lifetimeBreach(tailored)
  if (own !== undefined) return own
  for (const child of tailored.children) {
    const inner = breachOf(child.tailored)
    if (inner !== undefined) return inner
  }
  return undefined
}

function scopeBreach({ decision, order, built }: Minted): Breach | undefined {
  const { target, rule } = decision
  const { caller, subject } = order
  const breach = (detail: string): Breach => ({ invariant: 'scopes-have-roots', detail })
  if (!standsFor(target, rule, caller.service, subject.issuer)) {
    return breach(`${rule.id} is no rule for ${caller.service.name} with ${subject.issuer}`)
  }
  if (!caller.service.calls.has(target.name)) {
    return breach(`${caller.service.name} does not call ${target.name}`)
  }
  for (const scope of built.claims.scope.split(' ')) {
    const { mode, scopes = [] } = rule.scopes.get(scope) ?? {}
    const brought = scopes.filter((one) => subject.scopes.has(one)).length
    const isJustified = mode === 'all' ? brought === scopes.length : brought > 0
    if (scopes.length === 0 || !isJustified || !target.scopes.has(scope)) {
      return breach(`${scope} of ${target.name} has no ground in the subject token`)
    }
  }
  return undefined
}

/** Whether a rule is the target's, and for this caller and issuer. */
function standsFor(target: Service, rule: Rule, caller: Service, issuer: string): boolean {
  const isTargets = target.rules.get(`${rule.from}|${rule.issuer}`) === rule
  const isCallers = rule.from === caller.name || rule.from === `${caller.namespace}/*`
  return isTargets && isCallers && rule.issuer === issuer
}

/** What every token has. */
const OWN: ReadonlySet<string> = new Set([
  'iss',
  'sub',
  'aud',
  'client_id',
  'scope',
  'iat',
  'exp',
  'jti',
  'act',
  'chain',
  'ctx',
])

function claimBreach({ decision, order, built }: Minted): Breach | undefined {
  const { target } = decision
  const { claims: brought } = order.subject
  const breach = (detail: string): Breach => ({ invariant: 'claims-are-listed', detail })
  for (const [name, value] of Object.entries(built.claims)) {
    if (OWN.has(name)) continue
    if (!target.claims.includes(name)) return breach(`${target.name} does not list ${name}`)
    if (brought[name] !== value) return breach(`${name} is not what the subject token has`)
  }
  for (const name of Object.keys(built.claims.ctx ?? {})) {
    if (!target.ctx.has(name)) return breach(`${target.name} has no ctx.${name}`)
  }
  return undefined
}

function lifetimeBreach({ decision, order, built }: Minted): Breach | undefined {
  const { exp } = built.claims
  const latest = Math.min(order.subject.exp, order.now / 1000 + decision.target.lifetimeSeconds)
  if (exp <= latest) return undefined
  const detail = `a token for ${decision.target.name} lives longer than it may`
  return { invariant: 'lifetimes-shrink', detail }
}
