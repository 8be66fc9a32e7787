// rules explain, on real files and on the audit of a real server.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { queryAudit } from '../../../src/audit/query.ts'
import { DECISION_ID_HEADER } from '../../../src/oauth/names.ts'
import {
  type Deployment,
  exchangeForm,
  post,
  startDeployment,
  userToken,
  xfcc,
} from '../../support/deployment.ts'
import { SHOP_RULES } from '../../support/rule-tests.ts'
import { deployment, runCli } from '../run-cli.ts'

const FILES = { 'rules/boutique.yaml': SHOP_RULES }
const explain = (args: readonly string[], files: Record<string, string> = {}) =>
  runCli(['rules', 'explain', ...args], {
    cwd: deployment({ ...FILES, 'issuers.yaml': ISSUERS, ...files }),
  })
const ISSUERS = `corporate:
  issuer: https://login.corp.example
  jwks_uri: https://login.corp.example/keys
  algorithms: [ES256]
  token_types: [access_token]
  presented_by: {https://api.shop.example: [boutique/frontend]}
  scopes_from: [scope]
  subject_prefix: corp
agents:
  issuer: https://agents.example
  jwks_uri: https://agents.example/keys
  algorithms: [ES256]
  token_types: [access_token]
  presented_by: {https://agents.boutique.example: [boutique/frontend]}
  scopes_from: [scope]
  subject_prefix: agent
`
const CLAIMS = '{"email_verified":true,"amr":["mfa"],"level":2,"email":"a@x.example"}'
const USER = ['--caller', 'frontend', '--issuer', 'corporate', '--sub', 'alice']
const SHOPPER = [...USER, '--subject-scope', 'shop:buy shop:verified', '--claims', CLAIMS]
const PLACE = ['--audience', 'checkout', '--scope', 'checkout:place']

describe('rules explain: a request on the command line', () => {
  test('one that is granted: the token and the way to it', async () => {
    const { code, stdout, stderr } = await explain([...SHOPPER, ...PLACE])
    assert.deepEqual([code, stderr], [0, ''])
    assert.equal(
      stdout,
      `granted   checkout:place
token     for https://checkout.boutique.example, 5m, claims email
act       spiffe://cluster.local/ns/boutique/sa/frontend
ctx       {"channel":"web","strong":true}
embedded  payment: payment:charge
caller    boutique/frontend, spiffe://cluster.local/ns/boutique/sa/frontend
subject   corporate: corp:alice, brings shop:buy shop:verified
asked     audience checkout, scope checkout:place
rule      boutique/checkout <- boutique/frontend [corporate] (rules/boutique.yaml:19)

  ✓  target boutique/checkout                            "checkout" means boutique/checkout
  ✓  boutique/frontend calls boutique/checkout           boutique/frontend lists boutique/checkout in calls
  ✓  boutique/checkout <- boutique/frontend [corporate]  boutique/checkout has this rule for boutique/frontend
  ✓  boutique/checkout denies blocked                    has(subject.claims.blocked) is false
  ✓  boutique/checkout denies odd                        has(subject.claims.odd) is false
  ✓  when                                                subject.claims.email_verified == true is true
  ✓  scope checkout:place                                checkout:place needs all of shop:buy shop:verified; the subject token brings shop:buy shop:verified
  ✓  scope checkout:place when                           "mfa" in subject.claims.amr is true
  ✓  boutique/checkout ctx strong                        subject.claims.level > 1 is computed
  embedded: boutique/checkout for boutique/payment
  ✓  target boutique/payment                       "boutique/payment" means boutique/payment
  ✓  boutique/checkout calls boutique/payment      boutique/checkout lists boutique/payment in calls
  ✓  boutique/payment <- boutique/checkout [self]  boutique/payment has this rule for boutique/checkout
  ✓  boutique/payment denies high-risk-session     has(subject.claims.risk) && subject.claims.risk == "high" is false
  ✓  scope payment:charge                          payment:charge needs any of checkout:place; the subject token brings checkout:place
  embedded: boutique/payment for boutique/bank
  ✓  target boutique/bank                      "boutique/bank" means boutique/bank
  ✓  boutique/payment calls boutique/bank      boutique/payment lists boutique/bank in calls
  ✓  boutique/bank <- boutique/payment [self]  boutique/bank has this rule for boutique/payment
  ✓  when                                      !("bank:closed" in subject.scopes) is true
  ✓  scope bank:book                           bank:book needs any of payment:charge; the subject token brings payment:charge
`,
    )
  })

  test('one that is denied: the answer, the predicate, every change with its place; exit 0', async () => {
    const { code, stdout } = await explain([
      ...USER,
      '--subject-scope',
      'shop:buy',
      '--claims',
      '{"email_verified":false,"level":2,"odd":1}',
      ...PLACE,
    ])
    assert.equal(code, 0)
    const lines = stdout.split('\n')
    assert.deepEqual(lines.slice(0, 4), [
      'denied      condition_false',
      'detail      subject.claims.email_verified == true is false',
      'answer      400 invalid_request: the subject token is invalid or not acceptable',
      'see         docs/errors.md#condition_false',
    ])
    assert.ok(lines.includes('would deny  boutique/checkout denies odd (mode: audit)'))
    assert.ok(
      lines.some((line) =>
        /^ {2}! {2}boutique\/checkout denies odd .*\(mode: audit, so it did not count\)$/.test(
          line,
        ),
      ),
    )
    assert.ok(lines.some((line) => /^ {2}✗ {2}when /.test(line)))
    assert.deepEqual(lines.slice(lines.indexOf('What would have to be different:')), [
      'What would have to be different:',
      '  1. it must be true that `subject.claims.email_verified == true`; claim `email_verified` is false (rules/boutique.yaml:21)',
      '  2. the subject token must bring `shop:verified` as well, for `checkout:place` (rules/boutique.yaml:24)',
      '  3. for `checkout:place` it must be true that `"mfa" in subject.claims.amr`; claim `amr` is absent (rules/boutique.yaml:24)',
      '  All of these together would do.',
      '',
    ])
  })

  test('one change is enough, or nobody can know what comes after it', async () => {
    const enough = await explain([
      ...USER,
      '--subject-scope',
      'shop:browse',
      '--claims',
      '{"email_verified":true,"level":2,"blocked":1}',
      '--audience',
      'checkout',
    ])
    assert.match(enough.stdout, /different:\n {2}1\. .*blocked.*\n$/)
    const unknown = await explain([...SHOPPER, '--audience', 'bank'])
    assert.match(
      unknown.stdout,
      /1\. `boutique\/frontend` must list `boutique\/bank` in `calls` \(rules\/boutique\.yaml:7\)\n {2}2\. .*\(rules\/boutique\.yaml:\d+\)\n {2}What would come after that is not known\.\n$/,
    )
  })

  test('one that is handed on, one that is refused before anything is decided', async () => {
    const forwarded = await explain([...SHOPPER, '--audience', 'feed'])
    assert.match(
      forwarded.stdout,
      /^granted {2}the subject token itself, with shop:buy shop:verified\n/,
    )
    const refused = await explain([...SHOPPER, '--aud', 'https://x.example', ...PLACE])
    assert.match(refused.stdout, /^denied {3}subject_token_presenter_not_allowed\n/)
    assert.match(
      refused.stdout,
      /1\. the issuers file must let `boutique\/frontend` present tokens of `corporate`/,
    )
    assert.doesNotMatch(refused.stdout, /✓/)
  })

  test('as JSON', async () => {
    const granted = JSON.parse((await explain([...SHOPPER, ...PLACE, '--json'])).stdout)
    assert.deepEqual(
      [
        granted.outcome,
        granted.scopes,
        granted.aud,
        granted.lifetime_seconds,
        granted.claims,
        granted.ctx,
      ],
      [
        'granted',
        ['checkout:place'],
        'https://checkout.boutique.example',
        300,
        { email: 'a@x.example' },
        { channel: 'web', strong: true },
      ],
    )
    assert.equal(granted.embedded.payment.embedded.bank.scopes[0], 'bank:book')
    assert.equal(
      granted.steps.filter(({ inside }: { inside?: string }) => inside === 'boutique/checkout')
        .length,
      5,
    )
    const denied = JSON.parse(
      (await explain([...USER, '--subject-scope', 'x', '--claims', CLAIMS, ...PLACE, '--json']))
        .stdout,
    )
    assert.deepEqual(
      [
        denied.outcome,
        denied.reason,
        denied.stage,
        denied.answer.error,
        denied.rule,
        denied.place,
        denied.suffices,
      ],
      [
        'denied',
        'scope_not_justified',
        'decision',
        'invalid_scope',
        'boutique/checkout <- boutique/frontend [corporate]',
        'rules/boutique.yaml:19',
        true,
      ],
    )
    assert.deepEqual(denied.changes, [
      {
        what: 'the subject token must bring `shop:buy` and `shop:verified`, for `checkout:place`',
        place: 'rules/boutique.yaml:24',
      },
    ])
    assert.deepEqual(denied.steps.at(-1).passed, false)
  })

  test('every option has its effect', async () => {
    const outcome = async (...args: string[]) => {
      const { stdout, stderr } = await explain([...args, '--json'])
      assert.equal(stderr, '')
      const { outcome: end, reason, act, chain, aud } = JSON.parse(stdout)
      return { end: reason ?? end, act: act?.act?.sub, chain, aud }
    }
    const all = [...SHOPPER, ...PLACE]
    assert.equal((await outcome(...all, '--may-act', 'somebody')).end, 'act_may_act_mismatch')
    assert.equal((await outcome(...all, '--act', 'agent-7,agent-8')).act, 'agent-7')
    assert.equal((await outcome(...all, '--actor-issuer', 'agents', '--actor-sub', 'x')).act, 'x')
    assert.equal(
      (await outcome(...all, '--actor-issuer', 'corporate', '--actor-sub', 'x')).end,
      'actor_not_allowed',
    )
    const resource = [...SHOPPER, '--resource', 'https://checkout.boutique.example']
    assert.equal((await outcome(...resource)).aud, 'https://checkout.boutique.example')
    const self = [
      '--caller',
      'boutique/checkout',
      '--subject-scope',
      'checkout:place',
      '--audience',
      'mailer',
    ]
    const chained = await outcome(
      ...self,
      '--act',
      'frontend',
      '--chain',
      'frontend',
      '--exp',
      '10s',
    )
    assert.deepEqual(chained.chain, [
      'spiffe://cluster.local/ns/boutique/sa/frontend',
      'spiffe://cluster.local/ns/boutique/sa/checkout',
    ])
    const short = JSON.parse((await explain([...self, '--exp', '10s', '--json'])).stdout)
    assert.equal(short.lifetime_seconds, 10)
    const timed = {
      'rules/boutique.yaml': SHOP_RULES.replace(
        'when: subject.claims.email_verified == true',
        'when: now < timestamp("2026-06-01T00:00:00Z")',
      ),
    }
    const at = async (now: string) =>
      JSON.parse((await explain([...all, '--now', now, '--json'], timed)).stdout).outcome
    assert.deepEqual(
      [await at('2026-05-01T00:00:00Z'), await at('2026-07-01T00:00:00Z')],
      ['granted', 'denied'],
    )
  })

  for (const [name, args, message] of [
    ['nothing to explain', [], /say what to explain: --decision, --request, or --caller/],
    ['two ways at once', ['--decision', 'x', '--caller', 'frontend'], /exclude each other/],
    ['no caller', ['--audience', 'checkout'], /--caller is needed/],
    ['claims that are no object', [...USER, '--claims', '[1]'], /--claims is not a JSON object/],
    ['claims with a member twice', [...USER, '--claims', '{"a":1,"a":2}'], /--claims is /],
    [
      'an unknown service',
      ['--caller', 'boutique/fronted', ...PLACE],
      /the command line: error: caller: no service boutique\/fronted; did you mean `boutique\/frontend`\?/,
    ],
    [
      'an unknown issuer',
      ['--caller', 'frontend', '--issuer', 'corp', ...PLACE],
      /the command line: error: subject\.issuer: no issuer corp in the issuers file/,
    ],
    [
      'an actor without an issuer',
      [...SHOPPER, ...PLACE, '--actor-sub', 'x'],
      /actor: the key `issuer` is missing/,
    ],
    [
      'a file that is not there',
      ['--request', 'nowhere.yaml'],
      /cannot read nowhere\.yaml \(ENOENT\)/,
    ],
    ['what is no decision id', ['--decision', 'x'], /--decision takes the id of a decision/],
  ] as const) {
    test(`${name}: exit 2`, async () => {
      const { code, stdout, stderr } = await explain(args)
      assert.deepEqual([code, stdout], [2, ''], stderr)
      assert.match(stderr, message)
    })
  }
  test('faults of a request as JSON', async () => {
    const { code, stdout } = await explain(['--caller', 'nobody', ...PLACE, '--json'])
    assert.equal(code, 2)
    assert.equal(JSON.parse(stdout).problems.length, 1)
  })
})

describe('rules explain: a request in a file', () => {
  const request = (text: string, ...args: string[]) =>
    explain(['--request', 'request.yaml', ...args], { 'request.yaml': text })
  const YAML = `name: as in a test file
caller: frontend
subject: {issuer: corporate, scope: shop:browse, claims: {email_verified: true, level: 1}}
request: {audience: checkout}
expect: {deny: scope_unknown}
`
  test('YAML as in a test file, and JSON', async () => {
    assert.match((await request(YAML)).stdout, /^granted {3}checkout:quote\n/)
    const json = JSON.stringify({
      caller: 'frontend',
      subject: { issuer: 'corporate' },
      request: { audience: 'checkout' },
    })
    assert.match((await request(json)).stdout, /^denied {3}condition_error\n/)
  })
  test('faults have lines', async () => {
    const { code, stderr } = await request(YAML.replace('caller:', 'caler:'))
    assert.equal(code, 2)
    assert.match(stderr, /^request\.yaml:2:1: error: caler: unknown key; did you mean `caller`\?$/m)
    const broken = await request('caller: [')
    assert.match(broken.stderr, /^mesh-sts: request\.yaml:\d+:\d+: /)
  })
  test('faults of the rules come first', async () => {
    const files = {
      'request.yaml': YAML,
      'rules/boutique.yaml': SHOP_RULES.replace('calls:', 'cals:'),
    }
    const { code, stderr } = await explain(['--request', 'request.yaml'], files)
    assert.equal(code, 1)
    assert.match(stderr, /did you mean `calls`/)
    assert.equal(
      JSON.parse((await explain(['--request', 'request.yaml', '--json'], files)).stdout).ok,
      false,
    )
  })
})

describe('rules explain: a recorded decision', () => {
  const started = (t: Parameters<typeof startDeployment>[0]) =>
    startDeployment(t, { 'rules/boutique.yaml': SHOP_RULES })
  const run = ({ folder }: Deployment, ...args: string[]) =>
    runCli(['rules', 'explain', ...args], { cwd: folder })
  const exchanged = async (
    sts: Deployment,
    claims: object,
    change: Record<string, string> = {},
    caller = 'frontend',
  ) => {
    const token = userToken(sts, { email_verified: true, amr: ['mfa'], level: 2, ...claims })
    const answer = await post(sts.tokenUrl, exchangeForm(token, change), {
      'x-forwarded-client-cert': xfcc(caller),
    })
    return answer.headers.get(DECISION_ID_HEADER) ?? ''
  }

  test('what was recorded, by which rules, and that they decide the same now', {
    timeout: 60_000,
  }, async (t) => {
    const sts = await started(t)
    const { hash } = sts.ruleset
    const granted = await exchanged(sts, {})
    const { code, stdout } = await run(sts, '--decision', granted)
    assert.equal(code, 0, stdout)
    assert.match(
      stdout,
      new RegExp(
        `^decision +${granted} of 20.*Z\nrecorded +granted, checkout:place\nruleset +${hash.slice(0, 12)}, the same as now\nnow +the same\nnot known inside +subject\\.claims\\.risk: not recorded\n\ngranted +checkout:place\ntoken +for https://checkout\\.boutique\\.example, 5m, claims email risk\nact .*\nctx .*\nembedded +payment: not known\n`,
      ),
    )
    assert.match(stdout, /^ {2}✓ {2}boutique\/checkout ctx strong /m)

    const denied = await exchanged(sts, { email_verified: false })
    const refusal = await run(sts, '--decision', denied)
    assert.match(
      refusal.stdout,
      /^recorded {2}denied, condition_false\ndetail +subject\.claims\.email_verified == true is false$/m,
    )
    assert.match(
      refusal.stdout,
      /1\. it must be true that .*; claim `email_verified` is false \(rules\/boutique\.yaml:21\)/,
    )
    const json = JSON.parse((await run(sts, '--decision', denied, '--json')).stdout)
    assert.deepEqual(
      [json.decision.id, json.decision.reason, json.same, json.now.reason],
      [denied, 'condition_false', true, 'condition_false'],
    )
    assert.equal(json.ruleset_hash, json.decision.ruleset_hash)

    await t.test('a token inside another has a decision of its own', async () => {
      const [child] = [...queryAudit(sts.db, { target: 'boutique/payment' })]
      assert.equal(child?.parent, granted)
      const inside = await run(sts, '--decision', child?.decisionId ?? '')
      assert.match(inside.stdout, new RegExp(`^decided with +${granted}$`, 'm'))
      assert.match(inside.stdout, /^now +the same$/m)
      assert.match(inside.stdout, /^caller +boutique\/checkout, /m)
    })

    await t.test('refused before anything was decided: at which stage', async () => {
      const presented = await exchanged(sts, { aud: 'https://x.example' })
      const early = await run(sts, '--decision', presented)
      assert.deepEqual([early.code, early.stdout.includes('✓')], [0, false])
      assert.match(
        early.stdout,
        /^It was refused before anything was decided, when the subject token was verified\. See docs\/errors\.md#subject_token_presenter_not_allowed$/m,
      )
      const unread = await run(sts, '--decision', await exchanged(sts, {}, { scope: 'a"b' }))
      assert.match(
        unread.stdout,
        /, when the request was read\. See docs\/errors\.md#scope_malformed$/m,
      )
      const unknown = await run(sts, '--decision', await exchanged(sts, {}, {}, 'stranger'))
      assert.match(
        unknown.stdout,
        /, when it was asked who calls\. See docs\/errors\.md#client_unknown$/m,
      )
      const told = JSON.parse((await run(sts, '--decision', presented, '--json')).stdout)
      assert.deepEqual([told.not_explained, told.now], ['never_decided', undefined])
    })

    await t.test('by other rules: what held then, what holds now', async () => {
      const other = SHOP_RULES.replace(
        '{all: [shop:buy, shop:verified], when',
        '{all: [shop:admin], when',
      )
      writeFileSync(join(sts.folder, 'rules/boutique.yaml'), other)
      const now = await run(sts, '--decision', granted)
      assert.match(
        now.stdout,
        new RegExp(
          `^ruleset +${hash.slice(0, 12)} decided; what follows is by [0-9a-f]{12}, the rules of now$`,
          'm',
        ),
      )
      assert.match(now.stdout, /^now +it is denied, scope_not_justified$/m)
      assert.equal(JSON.parse((await run(sts, '--decision', granted, '--json')).stdout).same, false)
      writeFileSync(
        join(sts.folder, 'rules/boutique.yaml'),
        SHOP_RULES.replace('        when: subject.claims.email_verified == true\n', ''),
      )
      assert.match((await run(sts, '--decision', denied)).stdout, /^now +it is granted$/m)
    })

    await t.test('rules that read what was not recorded: undecidable, exit 1', async () => {
      const reads = SHOP_RULES.replace(
        'when: subject.claims.email_verified == true',
        'when: subject.claims.phone == "+1"',
      )
      writeFileSync(join(sts.folder, 'rules/boutique.yaml'), reads)
      const open = await run(sts, '--decision', granted)
      assert.equal(open.code, 1)
      assert.match(open.stdout, /^now +it cannot be decided: the record does not say enough$/m)
      assert.match(open.stdout, /^undecidable +as far as it is known condition_error$/m)
      assert.match(open.stdout, /^not known +subject\.claims\.phone: not recorded$/m)
      assert.match(open.stdout, /^ {2}✗ {2}when .*undecidable: claim phone was not recorded$/m)
      const json = JSON.parse((await run(sts, '--decision', granted, '--json')).stdout)
      assert.deepEqual(
        [json.same, json.now.outcome, json.now.undecidable],
        [false, 'undecidable', ['subject.claims.phone: not recorded']],
      )
    })

    await t.test('a caller that is gone from the rules', async () => {
      const gone = SHOP_RULES.replace(
        '  frontend:\n',
        '  frontend:\n    identity: spiffe://cluster.local/ns/x/sa/y\n',
      )
      writeFileSync(join(sts.folder, 'rules/boutique.yaml'), gone)
      const { stdout: told } = await run(sts, '--decision', granted)
      assert.match(
        told,
        /^These rules have no service with the identity spiffe:.*\/frontend: it would be refused as client_unknown\./m,
      )
    })

    await t.test('an id that nobody has', async () => {
      const unknown = await run(sts, '--decision', '01a20671-fe99-720a-952e-f10ddada1966')
      assert.deepEqual([unknown.code, unknown.stdout], [1, ''])
      assert.match(unknown.stderr, /there is no such decision/)
    })
  })
})
