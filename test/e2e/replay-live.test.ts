// Replay against the live server: the rules that decided decide the same again, and what other rules are said to
// decide on a record is what the server really answers under them.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type WholeDecision, wholeDecisions } from '../../src/audit/decisions.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { queryAudit } from '../../src/audit/query.ts'
import { surroundingsOf } from '../../src/cli/rules/surroundings.ts'
import {
  endOf,
  REPLAY_CLASSES,
  type ReplayClass,
  type Replayed,
  replay,
} from '../../src/ruleset/history/replay.ts'
import { type Deployment, loaded } from '../support/deployment.ts'
import { SHOP_RULES } from '../support/rule-tests.ts'
import { ask, type Drawn, exchangesOf, startShop } from '../support/shop-exchanges.ts'

const RANDOM_RUNS = 150

/** Events of the shop's requests, tokens inside included: none has more. */
const EVENTS_EACH = 3

/** The newest decisions by their ids. */
const decisionsOf = ({ db }: Deployment, count: number): ReadonlyMap<string, WholeDecision> =>
  new Map(
    [...wholeDecisions(queryAudit(db, { limit: count * EVENTS_EACH }))].map((whole) => [
      whole.event.decisionId,
      whole,
    ]),
  )

/** What the server decides on each. */
async function decideAll(
  deployment: Deployment,
  requests: readonly Drawn[],
): Promise<readonly WholeDecision[]> {
  const answers = await Promise.all(requests.map((one) => ask(deployment, one)))
  const decisions = decisionsOf(deployment, requests.length)
  return answers.map(({ decisionId }) => decisions.get(decisionId) as WholeDecision)
}

type Issued = NonNullable<AuditEvent['issued']>
interface Given
  extends Pick<Issued, 'aud' | 'sub' | 'chain' | 'act' | 'exp' | 'scopes' | 'claims' | 'ctx'> {
  readonly inside: Readonly<Record<string, Given | string>>
}

/** What was given, with all that is inside; nothing that is new each time. */
function given(event: AuditEvent, inside: readonly AuditEvent[]): Given | string {
  const { outcome, reason, forwarded, issued, target } = event
  if (outcome === 'denied') return String(reason)
  if (forwarded || issued === undefined) return `forwarded to ${target}`
  const { aud, sub, scopes, claims, ctx, chain, act, exp } = issued
  const children = inside
    .filter(({ parent, outcome: end }) => parent === event.decisionId && end === 'granted')
    .map((child) => [child.target, given(child, inside)])
  return {
    ...{ aud, sub, chain, act, exp },
    ...{ scopes: [...scopes].sort(), claims: [...claims].sort(), ctx: [...ctx].sort() },
    inside: Object.fromEntries(children.sort()),
  }
}

const givenBy = ({ event, inside }: WholeDecision): Given | string => given(event, inside)

/** All that were granted, and some of each reason. */
function chosenOf(decisions: readonly WholeDecision[]): readonly number[] {
  const seen: string[] = []
  return decisions.flatMap(({ event: { reason } }, at) => {
    if (reason !== undefined && seen.filter((one) => one === reason).length === 4) return []
    if (reason !== undefined) seen.push(reason)
    return [at]
  })
}

/** What is said must be so; what is undecidable may be anything. */
function assertTrue(
  replayed: Replayed,
  then: WholeDecision,
  now: WholeDecision,
  told: string,
): void {
  const ends = `${then.event.outcome} ${now.event.outcome}`
  switch (replayed.class) {
    case 'newly_allowed':
      assert.equal(ends, 'denied granted', told)
      assert.equal(replayed.now, endOf(now.event), told)
      break
    case 'newly_denied':
      assert.equal(ends, 'granted denied', told)
      assert.equal(replayed.now, now.event.reason, told)
      break
    case 'changed':
      assert.equal(ends, 'granted granted', told)
      assert.notDeepEqual(givenBy(now), givenBy(then), told)
      assert.ok(replayed.gains || !givesMore(givenBy(then), givenBy(now)), told)
      break
    case 'same':
      assert.equal(now.event.outcome, then.event.outcome, told)
      if (now.event.outcome === 'granted') assert.deepEqual(givenBy(now), givenBy(then), told)
      assert.equal(replayed.now, endOf(now.event), told)
      break
    case 'not_about_rules':
      assert.equal(ends, 'denied denied', told)
      break
    case 'undecidable':
      assert.ok(replayed.why.length > 0 && replayed.gains, told)
  }
}

/** Whether there is a scope, claim, member of ctx or token inside that was not there, or more time. */
function givesMore(then: Given | string, now: Given | string): boolean {
  if (typeof then === 'string' || typeof now === 'string') return typeof now === 'string'
  const added = (name: 'scopes' | 'claims' | 'ctx') =>
    now[name].some((one) => !then[name].includes(one))
  if (added('scopes') || added('claims') || added('ctx') || now.exp > then.exp) return true
  return Object.entries(now.inside).some(([to, token]) => {
    const before = then.inside[to]
    return before === undefined || givesMore(before, token)
  })
}

const changed = (from: string, to: string): string => {
  assert.ok(SHOP_RULES.includes(from), from)
  return SHOP_RULES.replace(from, to)
}

/** Each changes one thing. */
const CANDIDATES = {
  'a condition less': changed('        when: subject.claims.email_verified == true\n', ''),
  'a condition on a claim that was read': changed(
    'email_verified == true',
    'email_verified == true && subject.claims.level > 1',
  ),
  'a condition on a claim that was not': changed(
    'email_verified == true',
    'email_verified == true && has(subject.claims.other)',
  ),
  'a deny on a claim that was not': changed(
    "    denies:\n      - {from: frontend, when: 'has(subject.claims.blocked)', reason: blocked}",
    "    denies:\n      - {when: 'has(subject.claims.unseen)', reason: unseen}",
  ),
  'a deny in audit mode enforced': changed(', reason: odd, mode: audit}', ', reason: odd}'),
  'one of two scopes is enough': changed(
    '{all: [shop:buy, shop:verified]',
    '{any: [shop:buy, shop:verified]',
  ),
  'a scope less': changed('          checkout:quote: [shop:browse, shop:buy]\n', ''),
  'a claim more, that was read': changed('claims: [email, risk]', 'claims: [email, risk, level]'),
  'a claim more, that was not': changed('claims: [email, risk]', 'claims: [email, risk, other]'),
  'a claim less': changed('claims: [email, risk]', 'claims: [risk]'),
  'a claim less, that the next hop reads': changed('claims: [email, risk]', 'claims: [email]'),
  'a member of ctx more': changed('{value: web}', '{value: web}\n      zone: {claim: zone}'),
  'a member of ctx less': changed('      channel: {value: web}\n', ''),
  'nothing inside': changed('        embed: [payment]\n', ''),
  'what is inside is required': changed(
    'embed: [payment]',
    'embed: [{to: payment, required: true}]',
  ),
  'what is inside is denied less': changed(
    '    denies:\n      - {when: \'has(subject.claims.risk) && subject.claims.risk == "high"\', reason: high-risk-session}\n',
    '',
  ),
  'what is inside reads what passed': changed(
    'subject.claims.risk == "high"',
    'subject.claims.email != ""',
  ),
  'inside of inside is not required': changed('{to: bank, required: true}', '{to: bank}'),
  'a longer life': changed('lifetime: 5m', 'lifetime: 9m'),
  'a shorter life inside': changed('lifetime: 30s', 'lifetime: 10s'),
  impersonation: changed('act: impersonate, scopes: {ads', 'scopes: {ads'),
  'forwarded no more': changed(
    '    also_audiences: [https://api.shop.example]\n    accepts:\n      - {from: frontend, issuer: corporate, forward: true}',
    '    scopes: [feed:read]\n    accepts:\n      - {from: frontend, issuer: corporate, scopes: {feed:read: [shop:browse, shop:buy]}}',
  ),
  'another audience': changed(
    '  mailer:\n',
    '  mailer:\n    audience: https://mail.boutique.example\n',
  ),
  'another name of the caller': changed(
    '  payment:\n    scopes',
    '  payment:\n    audience: https://pay.example\n    scopes',
  ),
  'no actors': changed('        actors: [agents]\n', ''),
  'calls less': changed('calls: [checkout, ads, feed, closed]', 'calls: [checkout, feed, closed]'),
  'calls more': changed('    calls: [bank]\n', '    calls: [bank, mailer]\n'),
  'other grants': changed('grants: [books:close, books:read]', 'grants: [books:read]').replace(
    '[books:close]}}',
    '[books:read]}}',
  ),
  'a stranger is known': SHOP_RULES.concat('  stranger:\n    calls: [checkout]\n'),
  'nobody calls any more': changed('  nightly:\n', '  somebody-else:\n').replace(
    'from: nightly',
    'from: somebody-else',
  ),
  'open after all': changed(
    '    denies:\n      - {from: frontend, reason: for-good}\n',
    '',
  ).replace('{closed:in: [shop:browse]}', '{closed:in: [shop:buy]}'),
}

/** What at least one of the requests must become. */
const EXPECTED: Readonly<Record<keyof typeof CANDIDATES, ReplayClass>> = {
  'a condition less': 'newly_allowed',
  'a condition on a claim that was read': 'newly_denied',
  'a condition on a claim that was not': 'undecidable',
  'a deny on a claim that was not': 'undecidable',
  'a deny in audit mode enforced': 'newly_denied',
  'one of two scopes is enough': 'newly_allowed',
  'a scope less': 'newly_denied',
  'a claim more, that was read': 'changed',
  'a claim more, that was not': 'undecidable',
  'a claim less': 'changed',
  'a claim less, that the next hop reads': 'changed',
  'a member of ctx more': 'undecidable',
  'a member of ctx less': 'changed',
  'nothing inside': 'changed',
  'what is inside is required': 'newly_denied',
  'what is inside is denied less': 'changed',
  'what is inside reads what passed': 'undecidable',
  'inside of inside is not required': 'same',
  'a longer life': 'changed',
  'a shorter life inside': 'changed',
  impersonation: 'changed',
  'forwarded no more': 'changed',
  'another audience': 'changed',
  'another name of the caller': 'newly_denied',
  'no actors': 'newly_denied',
  'calls less': 'newly_denied',
  'calls more': 'same',
  'other grants': 'same',
  'a stranger is known': 'undecidable',
  'nobody calls any more': 'newly_denied',
  'open after all': 'newly_allowed',
}

describe('replay and the live server', () => {
  it('P6 the rules that decided decide the same again, from the record alone', {
    timeout: 120_000,
  }, async (t) => {
    const deployment = await startShop(t)
    const rules = {
      ruleset: deployment.ruleset,
      surroundings: surroundingsOf(deployment.settings),
    }
    const { drawn, examples } = await exchangesOf(deployment)
    for (const one of examples) await ask(deployment, one)
    await fc.assert(
      fc.asyncProperty(drawn, async (one) => void (await ask(deployment, one))),
      { numRuns: RANDOM_RUNS },
    )
    const classes = new Set<string>()
    const ends = new Set<string>()
    for (const whole of decisionsOf(deployment, 10_000).values()) {
      const { event } = whole
      const replayed = replay(whole, rules)
      const told = `${event.decisionId} ${endOf(event)}: ${JSON.stringify(replayed)}`
      assert.ok(['same', 'not_about_rules'].includes(replayed.class), told)
      assert.deepEqual([replayed.differences, replayed.gains], [[], false], told)
      if (replayed.class === 'same') assert.equal(replayed.now, endOf(event), told)
      if (replayed.class === 'same') assert.deepEqual(replayed.wouldDeny, event.wouldDeny, told)
      // Nothing rests on knowing that they are the same rules.
      const elsewhere = { ...whole, event: { ...event, rulesetHash: 'another' } }
      assert.deepEqual(replay(elsewhere, rules), replayed, told)
      classes.add(replayed.class)
      ends.add(event.outcome === 'granted' && !event.forwarded ? 'granted' : endOf(event))
    }
    assert.deepEqual([...classes].sort(), ['not_about_rules', 'same'])
    for (const end of ['granted', 'forwarded', 'client_unknown', 'condition_error', 'ctx_failed']) {
      assert.ok(ends.has(end), `no ${end} among ${[...ends].sort()}`)
    }
    assert.ok(ends.size > 20)
  })

  it('what it says of other rules is what the server answers under them, or it says that it cannot know', {
    timeout: 240_000,
  }, async (t) => {
    const deployment = await startShop(t)
    const { server, folder } = deployment
    const { examples } = await exchangesOf(deployment)
    const all = await decideAll(deployment, examples)
    const chosen = chosenOf(all)
    const before = chosen.map((at) => all[at] as WholeDecision)
    const requests = chosen.map((at) => examples[at] as Drawn)
    const classes = new Set<string>()
    for (const [name, candidate] of Object.entries(CANDIDATES)) {
      writeFileSync(join(folder, 'rules/boutique.yaml'), candidate)
      // Or the server has seen them by itself.
      assert.notEqual(await server.rules.reload(), 'rejected', name)
      const { ruleset, settings } = loaded(join(folder, 'sts.yaml'))
      const rules = { ruleset, surroundings: surroundingsOf(settings) }
      const after = await decideAll(deployment, requests)
      const found = new Set<string>()
      for (const [at, then] of before.entries()) {
        const now = after[at] as WholeDecision
        assert.equal(now.event.rulesetHash, ruleset.hash)
        const replayed = replay(then, rules)
        const told = `${name}: ${endOf(then.event)} then, ${endOf(now.event)} now: ${JSON.stringify(replayed)}`
        assertTrue(replayed, then, now, told)
        classes.add(replayed.class)
        found.add(replayed.class)
      }
      const expected = EXPECTED[name as keyof typeof CANDIDATES]
      assert.ok(found.has(expected), `${name}: ${[...found].join(' ')}`)
    }
    assert.equal(classes.size, REPLAY_CLASSES.length)
  })

  it('P7 the audit holds no token, and no claim that no rule reads', async (t) => {
    const deployment = await startShop(t)
    const { examples } = await exchangesOf(deployment)
    for (const one of examples) await ask(deployment, one)
    const rows = deployment.db.prepare('SELECT record FROM audit_events').pluck().all() as string[]
    const text = rows.join('\n')
    // Claims of the tokens that pass on or are nobody's matter; of these values no condition reads one.
    for (const secret of ['a@x.example', 'nested', '"iat"'])
      assert.ok(!text.includes(secret), secret)
    assert.ok(text.includes('"amr":["mfa"]'))
    const tokens = examples.map(({ subject }) => subject.token)
    for (const part of tokens.flatMap((token) => token.split('.'))) {
      assert.ok(!text.includes(part), part)
    }
    const allowed = new Map(
      [...deployment.ruleset.services].map(([name, { readClaims }]) => [name, new Set(readClaims)]),
    )
    for (const { caller, subject, target } of queryAudit(deployment.db, {})) {
      const service = deployment.ruleset.services.get(caller.service ?? '')
      assert.equal(caller.audience, service?.audience)
      for (const [claim, value] of Object.entries(subject?.claims ?? {})) {
        assert.ok(value === null || allowed.get(target ?? '')?.has(claim), `${target} ${claim}`)
      }
    }
  })
})
