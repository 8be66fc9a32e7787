// Defects that were found in other token services, and attacks on them: each is refused or handled here.
// Every test changes one thing of one valid exchange; docs/security.md has the table.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { STS, xfcc } from '../support/deployment.ts'
import { makeKey } from '../support/jwt-fixtures.ts'
import {
  agentToken,
  bySvid,
  type Change,
  type Claims,
  spiffeId,
  userToken,
  withActor,
} from './exchange-request.ts'
import { BOUTIQUE_RULES, FULL_ISSUERS } from './full-configuration.ts'
import {
  KEYS,
  refusedAtLoad,
  sharedFullDeployment,
  startFullDeployment,
} from './full-deployment.ts'
import { granted, refused } from './outcome.ts'

describe('attack corpus', () => {
  const full = sharedFullDeployment()
  const form = (parameters: Change['form'] & object): Change => ({ form: parameters })
  const subject = (claims: Claims): Change => ({ subject: { claims } })
  const forged = { key: makeKey('RS256', 'forger'), header: { kid: 'corp-1' } }

  it('field-6 #1 P2 a delegated token keeps its act, with and without an actor token', async () => {
    const delegated = subject({ act: { sub: 'agent-1', iss: 'https://agents.example' } })
    const agent = form(withActor(agentToken(full())))
    for (const change of [delegated, { ...delegated, ...agent }]) {
      const { claims } = await granted(full(), change)
      const text = JSON.stringify(claims.act)
      assert.match(text, /^\{"sub":"spiffe:\/\/.*"act":.*"agent-1"/)
    }
    const impersonate = { ...delegated, ...form({ audience: 'mailer', scope: 'mail:send' }) }
    await refused(full(), impersonate, 'act_impersonation_refused')
  })

  it('field-6 #2 may_act decides, whatever else the request shows', async () => {
    const bound = subject({ may_act: { sub: 'agent-9', iss: 'https://agents.example' } })
    const agent = form(withActor(agentToken(full())))
    await refused(full(), bound, 'act_may_act_mismatch')
    await refused(full(), { ...bound, ...agent }, 'act_may_act_mismatch')
    const impersonate = { ...bound, ...form({ audience: 'mailer', scope: 'mail:send' }) }
    await refused(full(), impersonate, 'act_impersonation_refused')
  })

  it('field-6 #3 P1 a scope that the target knows and the subject token does not justify', async () => {
    await refused(full(), subject({ scope: 'shop:buy' }), 'scope_not_justified')
    await refused(full(), subject({ scope: 'checkout:place' }), 'scope_not_justified')
  })

  it('field-6 #4 P1 the scopes of an actor token count for nothing', async () => {
    const rich = agentToken(full(), { claims: { scope: 'shop:buy shop:verified checkout:place' } })
    const change = { ...subject({ scope: 'shop:browse' }), ...form(withActor(rich)) }
    await refused(full(), change, 'scope_not_justified')
  })

  it('field-6 #7 a doubled or emptied subject token opens no other way in', async () => {
    const token = userToken(full())
    await refused(full(), form({ subject_token: [token, token] }), 'request_parameter_repeated')
    await refused(full(), form({ subject_token: '' }), 'subject_token_missing')
    await refused(full(), form({ subject_token: undefined }), 'subject_token_missing')
    for (const grant_type of ['client_credentials', 'refresh_token', 'password']) {
      await refused(full(), form({ subject_token: '', grant_type }), 'grant_type_unsupported')
    }
  })

  it('field-6 #9 an unknown audience is never left out in silence', async () => {
    const change = form({ audience: ['checkout', 'unknown.example'] })
    await refused(full(), change, 'target_unknown')
  })

  it('field-6 #10 a pattern in an identity is one segment, anchored at both ends', async () => {
    const as = (id: string): Change => ({
      headers: {
        'x-forwarded-client-cert': `By=${STS};Hash=${'0'.repeat(64)};Subject="";URI=${id}`,
      },
    })
    // courier is `…/ns/*/sa/courier`: known, and not allowed to call checkout.
    for (const namespace of ['depot', 'elsewhere']) {
      await refused(
        full(),
        as(spiffeId('courier', namespace)),
        'subject_token_presenter_not_allowed',
      )
    }
    for (const id of [
      'spiffe://cluster.local/ns/a/b/sa/courier',
      'spiffe://cluster.local/ns/a/sa/courier/x',
      'spiffe://cluster.local/ns/a/sa/courier2',
      'spiffe://cluster.local/ns/a/sa/a-courier',
      'spiffe://cluster.local/ns/sa/courier',
      'spiffe://partner.example/ns/a/sa/courier',
    ]) {
      await refused(full(), as(id), 'client_unknown')
    }
  })

  const withIdentity = (identity: string) => ({
    files: {
      'rules/depot.yaml': `namespace: depot\nservices:\n  x: {identity: '${identity}'}\n  stock: {}\n`,
    },
  })
  for (const identity of [
    'spiffe://cluster.local/ns/a|b/sa/x',
    'spiffe://cluster.local/ns/(a|b)/sa/x',
    'spiffe://cluster.local/ns/**/sa/x',
    'spiffe://cluster.local/ns/a*/sa/x',
    'spiffe://*/ns/a/sa/x',
    '^spiffe://cluster.local/ns/a/sa/x$',
  ]) {
    it(`field-6 #10 the identity ${identity} is refused at load`, (t) => {
      refusedAtLoad(t, withIdentity(identity), /^an identity is a SPIFFE ID in which /)
    })
  }

  it('field-6 #11 two rules for one caller and issuer are refused at load', (t) => {
    const scopes = 'scopes: {archive:read: [shop:buy]}'
    for (const from of ['frontend', 'boutique/*', '[checkout, frontend]']) {
      const archive = `  archive:
    scopes: [archive:read]
    accepts:
      - {from: frontend, issuer: corporate, scopes: {archive:read: [shop:browse]}}
      - {from: ${from}, issuer: corporate, ${scopes}}
`
      const text = BOUTIQUE_RULES.replace(/ {2}archive:\n.*\n/, archive)
      const files = { 'rules/boutique.yaml': text }
      refusedAtLoad(t, { files }, /^another rule of boutique\/archive already covers /)
    }
  })

  it('field-6 #11 P6 the order of files and of rules changes nothing', async (t) => {
    const [head = '', ...services] = BOUTIQUE_RULES.split(/^(?= {2}[a-z]+:\n)/m)
    assert.ok(services.length > 5)
    const text = head + services.reverse().join('')
    const other = await startFullDeployment(t, {
      settings: { rules: '[rules/partners.yaml, rules/depot.yaml, reversed.yaml]' },
      files: { 'reversed.yaml': text },
    })
    assert.equal(other.ruleset.hash, full().ruleset.hash)
    const [one, two] = [await granted(full()), await granted(other)]
    assert.deepEqual([one.event.rule, one.claims.scope], [two.event.rule, two.claims.scope])
  })

  it('field-6 #13 an act bomb, by depth or by bytes', async () => {
    const nested = (levels: number, sub = 'agent'): Claims =>
      levels === 1 ? { sub } : { sub, act: nested(levels - 1, sub) }
    await granted(full(), subject({ act: nested(9) }))
    await refused(full(), subject({ act: nested(10) }), 'act_chain_too_deep')
    await refused(full(), subject({ act: nested(11) }), 'subject_token_act_too_deep')
    await refused(full(), subject({ act: nested(300) }), 'subject_token_malformed')
    await refused(
      full(),
      subject({ act: nested(3, 'x'.repeat(2000)) }),
      'subject_token_act_too_deep',
    )
    await refused(
      full(),
      subject({ act: nested(1, 'x'.repeat(4000)) }),
      'subject_token_act_malformed',
    )
  })

  it('field-6 #15 no relaxation turns the verification of a token off', async (t) => {
    const relaxations =
      '{allow_http_issuer: true, allow_http_issuers: true, allow_short_key_lead: true, allow_token_listener_beyond_loopback: true, allow_xfcc_append_forward: true}'
    const relaxed = await startFullDeployment(t, { settings: { relaxations } })
    await granted(relaxed)
    await refused(relaxed, { subject: forged }, 'subject_token_signature_invalid')
    const unsigned = form({ subject_token: userToken(relaxed).replace(/[^.]*$/, '') })
    await refused(relaxed, unsigned, 'subject_token_signature_invalid')
    const svid = bySvid({ key: KEYS.stranger, header: { kid: 'bundle-1' } })
    await refused(relaxed, svid, 'client_assertion_signature_invalid')
    const own = await granted(relaxed)
    const changed = own.token.replace(/[^.]{4}$/, 'AAAA')
    const change = {
      headers: { 'x-forwarded-client-cert': xfcc('checkout') },
      form: { subject_token: changed, audience: 'payment', scope: 'payment:charge' },
    }
    await refused(relaxed, change, 'subject_token_signature_invalid')
  })

  it('field-6 #20 a token that brings no scope obtains none', async () => {
    const poor = subject({ scope: undefined })
    await refused(full(), poor, 'scope_not_justified')
    await refused(full(), { ...poor, ...form({ scope: undefined }) }, 'scope_none_justified')
  })

  for (const [name, from, to, problem] of [
    [
      'nobody may present its tokens',
      /presented_by: \{.*\}/,
      'presented_by: {}',
      /^must not be empty/,
    ],
    ['it has no algorithm', 'algorithms: [ES256]', 'algorithms: []', /^must not be empty/],
    ['it has no token type', 'types: [access_token]\n', 'types: []\n', /^must not be empty/],
    ['nothing counts as its scopes', 'from: [scope]', 'from: []', /^must not be empty/],
    [
      'who may present is not said',
      / {2}presented_by: \{.*\}\n/,
      '',
      /^the key `presented_by` is missing/,
    ],
  ] as const) {
    it(`field-6 #20 P4 an issuer is refused at load where ${name}`, (t) => {
      const files = { 'issuers.yaml': FULL_ISSUERS.replace(from, to) }
      refusedAtLoad(t, { files }, problem)
    })
  }

  const profile = '{from: frontend, issuer: corporate, scopes: {profile:read: [shop:browse]}}'
  for (const [name, rule, problem] of [
    [
      'a rule without scopes',
      '{from: frontend, issuer: corporate}',
      /^a rule without scopes allows nothing/,
    ],
    [
      'a rule whose scopes are empty',
      '{from: frontend, scopes: []}',
      /^an empty list justifies nothing/,
    ],
    [
      'a scope that nothing justifies',
      '{from: frontend, scopes: {profile:read: []}}',
      /^an empty list justifies nothing/,
    ],
    [
      'a scope that all of nothing justifies',
      '{from: frontend, scopes: {profile:read: {all: []}}}',
      /^an empty list justifies nothing/,
    ],
    [
      'a rule for nobody',
      '{from: [], scopes: {profile:read: [ui]}}',
      /^an empty list means nobody/,
    ],
  ] as const) {
    it(`field-6 #20 P4 ${name} is refused at load`, (t) => {
      const files = { 'rules/boutique.yaml': BOUTIQUE_RULES.replace(profile, rule) }
      refusedAtLoad(t, { files }, problem)
    })
  }

  it('field-6 #22 MT-03 a token that is bound to a key is refused on every path, never unbound', async () => {
    const bound = subject({ cnf: { 'x5t#S256': 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2' } })
    const agent = form(withActor(agentToken(full())))
    const impersonate = form({ audience: 'mailer', scope: 'mail:send' })
    for (const path of [{}, agent, impersonate]) {
      await refused(full(), { ...bound, ...path }, 'subject_token_confirmation_unsupported')
    }
    const boundActor = form(withActor(agentToken(full(), { claims: { cnf: {} } })))
    await refused(full(), boundActor, 'actor_token_confirmation_unsupported')
  })
})
