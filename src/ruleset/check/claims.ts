// Owns the checks of what is read of a subject and an actor: by conditions, by `claims` and by `ctx`.
// Must not look at scopes.
import type { Path } from '../compile/compilation.ts'
import type { Expression } from '../expression/expression.ts'
import type { Rule, Service } from '../ruleset.ts'
import type { Checking, WrittenRule, WrittenService } from './checking.ts'
import type { Flow } from './flow.ts'

/** Finds conditions, claim lists and members of `ctx` on claims that no earlier hop passes on. */
export function checkClaims(checking: Checking, flow: Flow): void {
  for (const written of checking.written) {
    for (const rule of written.rules) checkRule(rule, checking, flow)
    checkList(written, checking, flow)
    checkCtx(written, checking, flow)
  }
}

function checkRule(written: WrittenRule, checking: Checking, flow: Flow): void {
  const { rule, path } = written
  const expression = rule.when?.expression
  if (expression !== undefined) {
    const at: Place = { path: [...path, 'when'], effect: 'so this rule always denies' }
    checkCondition(written, expression, at, checking, flow)
  }
  for (const [scope, { when }] of rule.scopes) {
    if (when === undefined) continue
    const at: Place = {
      path: [...path, 'scopes', scope, 'when'],
      effect: `so ${scope} is never given`,
    }
    checkCondition(written, when.expression, at, checking, flow)
  }
}

interface Place {
  readonly path: Path
  /** What follows where the condition can never be true. */
  readonly effect: string
}

function checkCondition(
  { rule, target, draft }: WrittenRule,
  expression: Expression,
  { path, effect }: Place,
  { report }: Checking,
  flow: Flow,
): void {
  for (const claim of expression.claims) {
    const why = flow.absence(target, rule, claim)
    if (why === undefined) continue
    const isNeeded = expression.neededClaims.includes(claim)
    const isGuarded = expression.guardedClaims.includes(claim)
    if (isNeeded) report(draft, path, 'claim-never-there', `${why}, ${effect}`)
    else if (isGuarded) report(draft, path, 'claim-test-never-true', `${why}, so it is never there`)
    else report(draft, path, 'claim-never-there', `${why}, and reading it is an error`)
  }
  if (expression.needsActor && rule.actors.size === 0) {
    const message = `${rule.id} takes no actor token (actors), ${effect}`
    report(draft, path, 'actor-never-there', message)
  }
}

function checkList({ service, draft }: WrittenService, { report }: Checking, flow: Flow): void {
  for (const [at, claim] of service.claims.entries()) {
    if (flow.arrives(service, claim)) continue
    const message = `no caller of ${service.name} passes ${claim} on, so it never arrives`
    report(draft, ['claims', at], 'claim-never-arrives', message)
  }
}

function checkCtx({ service, draft }: WrittenService, { report }: Checking, flow: Flow): void {
  const rules = [...service.rules.values()].filter(({ forward }) => !forward)
  for (const [name, entry] of service.ctx) {
    const path: Path = ['ctx', name]
    if (entry.kind === 'claim') {
      const absent = absentUnder(service, rules, entry.claim, flow)
      if (absent.size === 0 || absent.size < rules.length) continue
      const message = `no caller of ${service.name} passes ${entry.claim} on, so ctx has no ${name}`
      report(draft, [...path, 'claim'], 'claim-never-arrives', message)
    }
    if (entry.kind === 'computed') {
      const at: Path = [...path, 'computed']
      checkComputed(service, rules, entry.expression, flow, (id, message) =>
        report(draft, at, id, message),
      )
    }
  }
}

function checkComputed(
  service: Service,
  rules: readonly Rule[],
  { claims, guardedClaims }: Expression,
  flow: Flow,
  report: (id: 'claim-never-there' | 'claim-test-never-true', message: string) => void,
): void {
  for (const claim of claims) {
    const absent = absentUnder(service, rules, claim, flow)
    for (const [rule, why] of absent) {
      if (!guardedClaims.includes(claim)) {
        const message = `${why}, and an error in ctx denies all that ${rule.id} gives`
        report('claim-never-there', message)
      } else if (absent.size === rules.length)
        report('claim-test-never-true', `${why}, so it is never there`)
    }
  }
}

/** The rules under which a claim cannot arrive, and why. */
function absentUnder(
  target: Service,
  rules: readonly Rule[],
  claim: string,
  flow: Flow,
): ReadonlyMap<Rule, string> {
  const absent = new Map<Rule, string>()
  for (const rule of rules) {
    const why = flow.absence(target, rule, claim)
    if (why !== undefined) absent.set(rule, why)
  }
  return absent
}
