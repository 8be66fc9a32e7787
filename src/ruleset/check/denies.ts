// Owns the checks of denies: whom they could meet at all, and what they read.
// Must not look at what rules give.
import type { Path } from '../compile/compilation.ts'
import type { Expression } from '../expression/expression.ts'
import { fullName } from '../names.ts'
import { namesCaller } from '../rule-for.ts'
import type { Rule, Service } from '../ruleset.ts'
import type { ServiceEntry } from '../schema.ts'
import { type Checking, usersOf, type WrittenService } from './checking.ts'
import type { Flow } from './flow.ts'

type DenyEntry = NonNullable<ServiceEntry['denies']>[number]

/** Finds denies that never fire, and those that read what is not there. */
export function checkDenies(checking: Checking, flow: Flow): void {
  for (const written of checking.written) {
    for (const [index, entry] of (written.draft.entry.denies ?? []).entries()) {
      checkDeny(written, entry, ['denies', index], checking, flow)
    }
  }
}

function checkDeny(
  { service: target, draft }: WrittenService,
  entry: DenyEntry,
  path: Path,
  checking: Checking,
  flow: Flow,
): void {
  const rules = rulesBefore(checking, target, entry, draft.namespace)
  if (rules.length === 0) {
    const message = 'no rule lets in anybody whom this deny could meet'
    checking.report(draft, path, 'deny-never-fires', message)
    return
  }
  const source = entry.when?.trim()
  const when = source && target.denies.find((deny) => deny.when?.source === source)?.when
  if (when === undefined || when === '') return
  const report: Report = (id, message) => checking.report(draft, [...path, 'when'], id, message)
  for (const claim of when.claims) checkClaim(target, rules, when, claim, flow, report)
  if (when.needsActor && rules.every(({ actors }) => actors.size === 0)) {
    const message = 'no rule that this deny stands before takes an actor token (actors)'
    report('deny-never-fires', message)
  }
}

type Report = (
  id: 'claim-never-there' | 'claim-test-never-true' | 'deny-never-fires',
  message: string,
) => void

/** The rules whose callers a deny could meet. */
function rulesBefore(
  checking: Checking,
  target: Service,
  entry: DenyEntry,
  namespace: string,
): readonly Rule[] {
  const names = entry.from === undefined ? undefined : [entry.from].flat()
  const from = names && new Set(names.map((name) => fullName(name, namespace)))
  return [...target.rules.values()].filter(
    (rule) =>
      (entry.issuer === undefined || entry.issuer === rule.issuer) &&
      usersOf(checking, rule, target).some((user) => from === undefined || namesCaller(from, user)),
  )
}

/** A claim that is absent makes an error, which denies, or where it is tested first the deny sees nothing. */
function checkClaim(
  target: Service,
  rules: readonly Rule[],
  when: Expression,
  claim: string,
  flow: Flow,
  report: Report,
): void {
  const absences = rules.flatMap((rule) => {
    const why = flow.absence(target, rule, claim)
    return why === undefined ? [] : [{ rule, why }]
  })
  const [first] = absences
  if (first === undefined) return
  if (!when.guardedClaims.includes(claim)) {
    const message = `${first.why}: reading it is an error, and an error in a deny denies what ${first.rule.id} gives`
    report('claim-never-there', message)
  } else if (absences.length === rules.length && when.neededClaims.includes(claim)) {
    report('deny-never-fires', `${first.why}, so this deny never fires`)
  } else report('claim-test-never-true', `${first.why}, so this deny is blind to it there`)
}
