// Owns what must hold of every YAML file: of the reading itself, of rules, of settings.
// Must not choose inputs.
import assert from 'node:assert/strict'
import { CORE_SCHEMA, loadAll, parseEvents } from 'js-yaml'
import { loadSettings } from '../../src/config/load-settings.ts'
import { formatProblem, type Problem } from '../../src/config/problem.ts'
import { parseYaml } from '../../src/config/yaml.ts'
import { decide } from '../../src/ruleset/decide.ts'
import type { Facts } from '../../src/ruleset/decision.ts'
import { loadRuleset } from '../../src/ruleset/load.ts'
import type { Ruleset, Service } from '../../src/ruleset/ruleset.ts'
import { RESERVED_CLAIMS } from '../../src/tokens/attenuation.ts'
import { CONTEXT } from '../support/rules.ts'
import { isSpiffeId } from './oracles.ts'
import type { HostileSettings } from './yaml-generator.ts'

/** A problem names a place that is there, and prints as one line without control characters. */
function assertProblems(
  problems: readonly Problem[],
  texts: Readonly<Record<string, string>>,
): void {
  assert.ok(problems.length > 0, 'refused without a problem')
  for (const problem of problems) {
    const line = formatProblem(problem)
    assert.doesNotMatch(line, /\p{C}|\p{Zl}|\p{Zp}/u)
    assert.ok(line.length <= 2000, `a problem of ${line.length} characters`)
    const text = texts[problem.file]
    if (problem.line === 0 || text === undefined) continue
    const lines = text.replace(/^\ufeff/, '').split(/\r\n|\r|\n/)
    const found = lines[problem.line - 1]
    assert.ok(found !== undefined, `line ${problem.line} of ${lines.length}: ${line}`)
    assert.ok(problem.column >= 1 && problem.column <= found.length + 1, line)
  }
}

/** Plain data: each object once (no aliases), own string keys, nothing that JavaScript reads specially. */
function assertPlain(value: unknown, seen: Set<object> = new Set()): void {
  if (typeof value !== 'object' || value === null) {
    assert.ok(['string', 'number', 'boolean'].includes(typeof value) || value === null)
    return
  }
  assert.ok(!seen.has(value), 'one value stands in two places')
  seen.add(value)
  assert.ok([Object.prototype, Array.prototype].includes(Object.getPrototypeOf(value)))
  assert.ok(!Object.hasOwn(value, '__proto__'))
  for (const member of Object.values(value)) assertPlain(member, seen)
}

/** Checks the reading of one file; gives whether it was accepted. */
export function checkYaml(text: string): boolean {
  const result = parseYaml(text, 'a.yaml')
  if (!result.ok) {
    assertProblems(result.problems, { 'a.yaml': text })
    return false
  }
  const { value, positionOf } = result.document
  assertPlain(value)
  // The same value as the library's own composition gives: our subset changes no meaning.
  const [same = null, ...more] = loadAll(text, { schema: CORE_SCHEMA })
  assert.deepEqual(value, same)
  assert.equal(more.length, 0)
  for (const event of parseEvents(text, {})) {
    if ('anchorStart' in event)
      assert.equal(event.anchorStart, -1, 'an anchor or alias is accepted')
    if ('tagStart' in event) assert.equal(event.tagStart, -1, 'a tag is accepted')
  }
  const { line, column } = positionOf(['services', 'x', 0])
  assert.ok(line >= 1 && column >= 1)
  return true
}

/** Checks a rule file; gives whether it was accepted. */
export function checkRules(text: string): boolean {
  const file = 'rules/a.yaml'
  const { ruleset, problems } = loadRuleset([{ file, text }], CONTEXT)
  if (problems.length > 0) assertProblems(problems, { [file]: text })
  if (ruleset === undefined) {
    assert.ok(problems.some(({ severity }) => severity === 'error'))
    return false
  }
  const ruleIds = new Set<string>()
  const audiences = new Set<string>()
  for (const service of ruleset.services.values()) {
    assertService(service, ruleset)
    const stripped = service.audience.replace(/^https?:\/\//, '').replace(/\/$/, '')
    assert.ok(!audiences.has(stripped), `two services are ${stripped} to Envoy`)
    audiences.add(stripped)
    for (const { id } of service.rules.values()) {
      assert.ok(!ruleIds.has(id))
      ruleIds.add(id)
    }
  }
  assertOrderIsNothing(text, ruleset)
  assertDecisions(ruleset)
  return true
}

function assertService(service: Service, ruleset: Ruleset): void {
  const { identities, external, claims, lifetimeSeconds, calls, rules } = service
  assert.ok(lifetimeSeconds >= 10 && lifetimeSeconds <= 3600)
  assert.ok(claims.every((name) => !RESERVED_CLAIMS.has(name)))
  for (const callee of calls) assert.ok(ruleset.services.has(callee))
  for (const identity of identities) {
    assert.ok(isSpiffeId(identity.replaceAll('*', 'x')) && !external)
    assert.match(identity, /^spiffe:\/\/(?:cluster\.local|partner\.example)\//)
  }
  for (const rule of rules.values()) {
    assert.ok(['self', 'corporate', 'agents'].includes(rule.issuer))
    assert.ok(rule.scopes.size > 0)
    for (const [scope, justification] of rule.scopes) {
      assert.ok(service.scopes.has(scope) && justification.scopes.length > 0)
    }
  }
}

/** P6: the same services in another order are the same ruleset. */
function assertOrderIsNothing(text: string, { hash }: Ruleset): void {
  const parsed = parseYaml(text, 'a.yaml')
  assert.ok(parsed.ok)
  const file = parsed.document.value as { services: Record<string, Record<string, unknown>> }
  const services = Object.entries(file.services)
    .reverse()
    .map(([name, { accepts, ...service }]) => [
      name,
      Array.isArray(accepts) ? { ...service, accepts: accepts.toReversed() } : service,
    ])
  const turned = JSON.stringify({ ...file, services: Object.fromEntries(services) })
  const again = loadRuleset([{ file: 'rules/a.yaml', text: turned }], CONTEXT)
  assert.equal(again.ruleset?.hash, hash, JSON.stringify(again.problems))
}

/** P1, P6: whoever asks, a grant has consent of both sides, no deny, and a justification for each scope. */
function assertDecisions(ruleset: Ruleset): void {
  const services = [...ruleset.services.values()]
  for (const caller of services) {
    for (const target of services) {
      for (const issuer of ['self', 'corporate']) {
        const brings = new Set(['x:read', 'shop:buy', 'checkout:place'])
        const decision = decide(ruleset, factsOf(caller, target, issuer, brings))
        if (!decision.allow) continue
        assert.ok(caller.calls.has(target.name) && target.rules.size > 0)
        assert.ok(target.denies.every(({ from }) => from !== undefined))
        for (const scope of decision.scopes) {
          const { mode, scopes = [] } = decision.rule.scopes.get(scope) ?? {}
          const has = (one: string) => brings.has(one)
          assert.ok(mode === 'all' ? scopes.every(has) : scopes.some(has))
        }
      }
    }
  }
}

const factsOf = (
  service: Service,
  target: Service,
  issuer: string,
  scopes: ReadonlySet<string>,
): Facts => ({
  caller: { service, id: 'spiffe://cluster.local/x', iss: undefined },
  subject: {
    issuer,
    iss: 'https://a.example',
    sub: 'a',
    audiences: [service.audience],
    scopes,
    claims: {},
    chain: [],
  },
  actor: undefined,
  request: { audiences: [target.audience], resources: [], scopes: undefined },
  selfIss: CONTEXT.selfIss,
  now: 0,
})

/** Checks a configuration; gives whether it was accepted. */
export function checkSettings({ settings, issuers, env }: HostileSettings): boolean {
  const texts: Record<string, string> = { '/etc/sts.yaml': settings }
  const result = loadSettings({
    configFile: '/etc/sts.yaml',
    env,
    readFile: (path) => {
      texts[path] ??= path.includes('\u0000') ? assert.fail('a path with NUL is opened') : issuers
      return texts[path] ?? ''
    },
  })
  if (result.problems.length > 0) assertProblems(result.problems, texts)
  if (!result.ok) {
    assert.ok(result.problems.some(({ severity }) => severity === 'error'))
    return false
  }
  assert.ok(result.problems.every(({ severity }) => severity === 'warning'))
  const { issuer, keys, limits, audit, trustDomains, relaxations } = result.settings
  assert.ok(Object.isFrozen(result.settings) && Object.isFrozen(keys.algorithms))
  assert.ok(issuer.startsWith('https://') || relaxations.includes('allow_http_issuer'))
  assert.ok(!/[?#]/.test(issuer) && URL.canParse(issuer))
  assert.ok(keys.signForMs >= keys.publishBeforeMs && keys.publishBeforeMs >= 1000)
  assert.ok(keys.algorithms.length > 0 && trustDomains.length > 0)
  assert.ok(keys.encryptionKeys.current in keys.encryptionKeys.files)
  assert.ok(limits.burst >= 1 && Number.isSafeInteger(audit.maxBytes) && audit.retainMs > 0)
  const names = result.settings.issuers
  for (const property of ['name', 'issuer', 'subjectPrefix'] as const) {
    assert.equal(new Set(names.map((one) => one[property])).size, names.length)
  }
  for (const each of names) {
    assert.ok(each.issuer !== issuer && each.algorithms.length > 0 && each.presentedBy.size > 0)
    assert.ok(each.scopesFrom.every(({ path }) => path.length > 0 && !path.includes('')))
  }
  return true
}
