// What a change of rules makes possible: each way to ease a rule is told, and turned round as tightened.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  allowsMore,
  diffRules,
  MAX_EXPLAINED,
  type RulesDiff,
  type Surplus,
} from '../../../src/ruleset/diff/diff.ts'
import { isWeaker } from '../../../src/ruleset/diff/edges.ts'
import type { RootIssuer, World } from '../../../src/ruleset/reach/token.ts'
import { ISSUER } from '../../support/facts.ts'
import { compiled } from '../../support/rules.ts'

const CORPORATE: RootIssuer = {
  iss: 'https://login.corp.example',
  presentedBy: new Map([['https://api.example', new Set(['n/a'])]]),
  subjectPrefix: 'corp',
  scopesFrom: [{ path: ['scope'], prefix: '' }],
}

const RULES = `
namespace: n
services:
  a: {calls: [b]}
  b:
    scopes: [b:1, b:2]
    claims: [email]
    token: {lifetime: 5m}
    calls: [c, d]
    accepts:
      - from: a
        issuer: corporate
        when: subject.claims.verified == true
        scopes:
          b:1: [u:1]
          b:2: {all: [u:1, u:2], when: '"mfa" in subject.claims.amr'}
        embed: [{to: c, required: true}]
    denies:
      - {from: a, when: has(subject.claims.blocked), reason: blocked}
      - {from: d, reason: closed}
  c:
    scopes: [c:1]
    embeddable: true
    accepts: [{from: b, scopes: {c:1: [b:1]}}]
  d:
    scopes: [d:1]
    ctx: {level: {computed: subject.claims.level}}
    accepts: [{from: b, scopes: {d:1: [b:1]}}]
  job:
    identity: spiffe://cluster.local/ns/n/sa/job
    grants: [g:1]
    calls: [e]
  e:
    scopes: [e:1]
    accepts: [{from: n/*, issuer: workload, scopes: {e:1: [g:1, g:2]}}]
`

const world = (rules: string, change: Partial<World> = {}): World => ({
  ruleset: compiled(rules),
  selfIss: ISSUER,
  workloadAudiences: [ISSUER],
  issuers: new Map([['corporate', CORPORATE]]),
  ...change,
})

const changed = (what: string, by: string, rules = RULES): string => {
  assert.ok(rules.includes(what), what)
  return rules.replace(what, by)
}

const diffOf = (after: string, before = RULES, options = {}): RulesDiff =>
  diffRules(world(before), world(after), options)

/** Everything in a surplus, in lines. */
const told = ({ scopes, claims, edges, eased }: Surplus): string[] => [
  ...scopes.map(
    ({ holder, target, scopes: held, requests }) =>
      `${holder} obtains ${held.join(' ')} of ${target} in ${requests}`,
  ),
  ...claims.map(
    ({ service, claims: seen, requests }) => `${service} sees ${seen.join(' ')} in ${requests}`,
  ),
  ...edges.map((edge) => `edge ${edge}`),
  ...eased.map(
    ({ where, what, before, after, kind, callers }) =>
      `${kind} ${where} | ${what} | ${before} | ${after} | ${callers.join(' ')}`,
  ),
]

const A_TO_B = 'n/b <- n/a [corporate]'

/** Each changes one thing; what is told of it, and whether the way back is told as tightened. */
const EASINGS: readonly (readonly [string, string, string, readonly string[]])[] = [
  [
    'a condition is gone',
    '        when: subject.claims.verified == true\n',
    '',
    [`eased ${A_TO_B} | when | subject.claims.verified == true | undefined | n/a`],
  ],
  [
    'a condition is only audited',
    'when: subject.claims.verified == true\n',
    'when: subject.claims.verified == true\n        mode: audit\n',
    [
      `eased ${A_TO_B} | when | subject.claims.verified == true | subject.claims.verified == true (mode: audit) | n/a`,
    ],
  ],
  [
    "a scope's condition is gone",
    `, when: '"mfa" in subject.claims.amr'}`,
    '}',
    [`eased ${A_TO_B} | scope b:2 when | "mfa" in subject.claims.amr | undefined | n/a`],
  ],
  [
    'a justification is weaker',
    '{all: [u:1, u:2],',
    '{any: [u:1, u:2],',
    [`eased ${A_TO_B} | scope b:2 | all of u:1 u:2 | any of u:1 u:2 | n/a`],
  ],
  [
    'an alternative justifies',
    'b:1: [u:1]',
    'b:1: [u:1, u:3]',
    [`eased ${A_TO_B} | scope b:1 | any of u:1 | any of u:1 u:3 | n/a`],
  ],
  [
    'less of all is needed',
    '{all: [u:1, u:2],',
    '{all: [u:2],',
    [`eased ${A_TO_B} | scope b:2 | all of u:1 u:2 | all of u:2 | n/a`],
  ],
  [
    'a deny is gone',
    '      - {from: a, when: has(subject.claims.blocked), reason: blocked}\n',
    '',
    [`eased ${A_TO_B} | deny blocked | has(subject.claims.blocked) | undefined | n/a`],
  ],
  [
    'a deny concerns fewer',
    '{from: a, when: has',
    '{from: d, when: has',
    [`eased ${A_TO_B} | deny blocked | has(subject.claims.blocked) | undefined | n/a`],
  ],
  [
    'a deny is only audited',
    'reason: blocked}',
    'reason: blocked, mode: audit}',
    [`eased ${A_TO_B} | deny blocked | has(subject.claims.blocked) | undefined | n/a`],
  ],
  [
    'a token lives longer',
    'lifetime: 5m',
    'lifetime: 10m',
    ['eased n/b | lifetime | 300 s | 600 s | '],
  ],
  [
    'a required token is optional',
    '[{to: c, required: true}]',
    '[c]',
    [`eased ${A_TO_B} | embed | n/c, required | n/c, left out where it is denied | n/a`],
  ],
  [
    'an actor token is taken',
    '        embed:',
    '        actors: [agents]\n        embed:',
    [`eased ${A_TO_B} | actors | undefined | agents | n/a`],
  ],
  [
    'the caller leaves no trace',
    '        embed: [{to: c, required: true}]\n',
    '        embed: [{to: c, required: true}]\n        act: impersonate\n',
    [`eased ${A_TO_B} | act | delegate | impersonate | n/a`],
  ],
  [
    'an identity more',
    'identity: spiffe://cluster.local/ns/n/sa/job',
    'identity: [spiffe://cluster.local/ns/n/sa/job, spiffe://cluster.local/ns/n/sa/other]',
    [
      'eased n/job | identity | spiffe://cluster.local/ns/n/sa/job | spiffe://cluster.local/ns/n/sa/other | ',
    ],
  ],
  [
    'a grant that a rule asks for',
    'grants: [g:1]',
    'grants: [g:1, g:2]',
    ['eased n/job | grants | undefined | g:2 | '],
  ],
  [
    'another audience is accepted',
    '    embeddable: true\n',
    '    embeddable: true\n    also_audiences: [https://x.example]\n',
    ['eased n/c | also_audiences | undefined | https://x.example | '],
  ],
  [
    'a claim under another name',
    'ctx: {level:',
    'ctx: {region: {value: eu}, level:',
    ['eased n/d | ctx.region | undefined | "eu" | '],
  ],
]

/** Nobody can say whether these allow more. */
const CHANGES: readonly (readonly [string, string, string, readonly string[]])[] = [
  [
    'another condition',
    'claims.verified == true',
    'claims.verified == "yes"',
    [
      `changed ${A_TO_B} | when | subject.claims.verified == true | subject.claims.verified == "yes" | n/a`,
    ],
  ],
  [
    'another condition of a scope',
    '"mfa" in',
    '"otp" in',
    [
      `changed ${A_TO_B} | scope b:2 when | "mfa" in subject.claims.amr | "otp" in subject.claims.amr | n/a`,
    ],
  ],
  [
    'another condition of a deny',
    'has(subject.claims.blocked)',
    'has(subject.claims.barred)',
    [
      `changed ${A_TO_B} | deny blocked | has(subject.claims.blocked) | has(subject.claims.barred) | n/a`,
    ],
  ],
  [
    'another audience',
    'token: {lifetime: 5m}',
    'token: {lifetime: 5m}\n    audience: https://b.example',
    ['changed n/b | audience | b.n | https://b.example | '],
  ],
  [
    'another computed claim',
    'computed: subject.claims.level',
    'computed: subject.claims.level + 1',
    ['changed n/d | ctx.level | subject.claims.level | subject.claims.level + 1 | '],
  ],
  [
    'a computed claim that is gone',
    '    ctx: {level: {computed: subject.claims.level}}\n',
    '',
    ['changed n/d | ctx.level | subject.claims.level | undefined | '],
  ],
]

describe('diff', () => {
  it('nothing of the same rules in another order', () => {
    const diff = diffOf(changed('scopes: [b:1, b:2]', 'scopes: [b:2, b:1]'))
    assert.deepEqual([told(diff.gained), told(diff.lost), allowsMore(diff)], [[], [], false])
  })

  for (const [what, from, to, expected] of EASINGS) {
    it(`${what}`, () => {
      const diff = diffOf(changed(from, to))
      assert.deepEqual(told(diff.gained), expected)
      assert.equal(allowsMore(diff), true)
      assert.deepEqual(told(diff.lost), [])
      const back = diffOf(RULES, changed(from, to))
      assert.equal(allowsMore(back), what === 'the caller leaves no trace')
      const turned = back.lost.eased.map(({ before, after }) => [after, before])
      assert.deepEqual(
        turned,
        diff.gained.eased.map(({ before, after }) => [before, after]),
      )
    })
  }

  for (const [what, from, to, expected] of CHANGES) {
    it(`${what} may allow more`, () => {
      const diff = diffOf(changed(from, to))
      const changes = diff.gained.eased.filter(({ kind }) => kind === 'changed')
      assert.deepEqual(
        told({ ...diff.gained, eased: changes }).filter((line) => line.startsWith('changed')),
        expected,
      )
      assert.equal(allowsMore(diff), true)
    })
  }

  it('a required token that is not even tried no longer denies; who held it does not', () => {
    const diff = diffOf(changed('        embed: [{to: c, required: true}]\n', ''))
    assert.deepEqual(told(diff.gained), [
      `eased ${A_TO_B} | embed | n/c, required | undefined | n/a`,
    ])
    assert.deepEqual(told(diff.lost), [
      'n/a obtains c:1 of n/c in 1',
      `eased ${A_TO_B} | embed | n/c | undefined | n/a`,
    ])
  })

  it('delegating instead takes tokens that carry act, and tells who acts', () => {
    const before = changed(
      '        embed: [{to: c, required: true}]\n',
      '        embed: [{to: c, required: true}]\n        act: impersonate\n',
    )
    const { gained, lost } = diffOf(RULES, before)
    assert.deepEqual(told(gained), [`changed ${A_TO_B} | act | impersonate | delegate | n/a`])
    assert.deepEqual(told(lost), [`eased ${A_TO_B} | act | impersonate | delegate | n/a`])
  })

  it('a condition that comes, a deny that comes, a grant that nobody asks for allow no more', () => {
    for (const after of [
      changed('scopes: {c:1: [b:1]}', "scopes: {c:1: [b:1]}, when: 'true'"),
      changed('{from: d, reason: closed}', '{reason: closed}'),
      changed('grants: [g:1]', 'grants: [g:1, g:9]'),
      changed('when: has(subject.claims.blocked), ', ''),
    ]) {
      assert.deepEqual(told(diffOf(after).gained), [])
    }
  })

  describe('what can be had', () => {
    it('a new edge: its scopes, for everyone who comes by them, and the chain', () => {
      const after = changed(
        '    accepts: [{from: b, scopes: {d:1: [b:1]}}]',
        '    calls: [c]\n    accepts: [{from: b, scopes: {d:1: [b:1]}}]',
      ).replace(
        '[{from: b, scopes: {c:1: [b:1]}}]',
        '[{from: b, scopes: {c:1: [b:1]}}, {from: d, scopes: {c:1: [d:1]}}]',
      )
      const { gained, lost } = diffOf(after)
      assert.deepEqual(told(gained), ['n/d obtains c:1 of n/c in 3', 'edge n/d → n/c [self]'])
      assert.deepEqual(told(lost), [])
      const [{ journey } = assert.fail()] = gained.scopes
      assert.deepEqual(
        journey?.hops.map(({ target, scopes }) => [target.name, scopes?.join()]),
        [
          ['n/b', 'b:1'],
          ['n/d', 'd:1'],
          ['n/c', 'c:1'],
        ],
      )
      assert.deepEqual(told(diffOf(RULES, after).lost), told(gained))
    })
    it('a scope that a rule gives besides', () => {
      const after = changed('scopes: {d:1: [b:1]}', 'scopes: {d:1: [b:1], d:2: [b:2]}').replace(
        'scopes: [d:1]',
        'scopes: [d:1, d:2]',
      )
      assert.deepEqual(told(diffOf(after).gained), [
        'n/b obtains d:2 of n/d in 2',
        'eased n/d <- n/b [self] | scope d:2 | undefined | any of b:2 | n/b',
      ])
    })
    it('a claim that gets further', () => {
      const { gained } = diffOf(
        changed('    scopes: [c:1]\n', '    scopes: [c:1]\n    claims: [email]\n'),
      )
      assert.deepEqual(told(gained), ['n/c sees email in 1'])
    })
    it('a claim that was seen otherwise is told of the tokens', () => {
      const before = changed(
        '    scopes: [c:1]\n',
        '    scopes: [c:1]\n    ctx: {mail: {claim: email}}\n',
      )
      const after = changed('    ctx: {mail', '    claims: [email]\n    ctx: {mail', before)
      assert.deepEqual(told(diffOf(after, before).gained), [
        'eased n/c | claims | undefined | email | ',
      ])
    })
    it('a deny without condition that goes', () => {
      const before = changed('{from: d, reason: closed}', '{from: a, reason: closed}')
      const lines = told(diffOf(RULES, before).gained)
      assert.ok(lines.includes('edge n/a → n/b [corporate]'))
      assert.ok(lines.includes('n/a obtains b:1 b:2 of n/b in 1'))
    })
    it('only where a token gets: a rule that nobody can use is not worth a line', () => {
      const dead = changed(
        '  job:\n',
        '  x: {scopes: [x], calls: [y]}\n  y: {scopes: [y], accepts: [{from: x, scopes: {y: [x]}, when: "true"}]}\n  job:\n',
      )
      assert.deepEqual(told(diffOf(changed(', when: "true"', '', dead), dead).gained), [])
    })
    it('callers of a namespace are told together', () => {
      const before = changed(
        '{from: b, scopes: {d:1: [b:1]}}',
        '{from: n/*, issuer: corporate, scopes: {d:1: [u:1]}}',
      ).replace('a: {calls: [b]}', 'a: {calls: [b, d]}')
      const after = changed('{d:1: [u:1]}', '{d:1: [u:1, u:2]}', before)
      const both = {
        issuers: new Map([
          [
            'corporate',
            {
              ...CORPORATE,
              presentedBy: new Map([['https://api.example', new Set(['n/a', 'n/b'])]]),
            },
          ],
        ]),
      }
      const { gained } = diffRules(world(before, both), world(after, both))
      assert.deepEqual(told(gained), [
        'eased n/d <- n/* [corporate] | scope d:1 | any of u:1 | any of u:1 u:2 | n/a n/b',
      ])
    })
  })

  describe('issuers', () => {
    const withIssuer = (change: Partial<RootIssuer>) =>
      world(RULES, { issuers: new Map([['corporate', { ...CORPORATE, ...change }]]) })
    const toldOf = (before: World, after: World) => told(diffRules(before, after).gained)
    it('another presenter sees all of its tokens', () => {
      const presentedBy = new Map([['https://api.example', new Set(['n/a', 'n/e'])]])
      assert.deepEqual(toldOf(world(RULES), withIssuer({ presentedBy })), [
        'n/e sees * amr blocked email level verified in 0',
        'eased issuer corporate | presented_by | undefined | n/e for https://api.example | ',
      ])
    })
    it('another iss, another source of scopes', () => {
      assert.deepEqual(toldOf(world(RULES), withIssuer({ iss: 'https://other.example' })), [
        'changed issuer corporate | iss | https://login.corp.example | https://other.example | ',
      ])
      assert.deepEqual(toldOf(world(RULES), withIssuer({ subjectPrefix: 'staff' })), [
        'changed issuer corporate | subject_prefix | corp | staff | ',
      ])
      const scopesFrom = [
        { path: ['scope'], prefix: '' },
        { path: ['r', 'roles'], prefix: 'role:' },
      ]
      assert.deepEqual(toldOf(world(RULES), withIssuer({ scopesFrom })), [
        'changed issuer corporate | scopes_from | scope | scope role:r.roles | ',
      ])
    })
    it('an issuer more, workloads’ own tokens', () => {
      const one = world(RULES)
      const two = world(RULES, {
        issuers: new Map([
          ['corporate', CORPORATE],
          ['agents', { ...CORPORATE, presentedBy: new Map() }],
        ]),
      })
      assert.deepEqual(toldOf(one, two), [
        'eased issuer agents | its tokens | undefined | are taken | ',
      ])
      const none = world(RULES, { workloadAudiences: [] })
      assert.deepEqual(toldOf(none, one), [
        'n/job obtains e:1 of n/e in 1',
        'edge n/job → n/e [workload]',
        `eased issuer workload | workloads' own tokens | undefined | are taken for ${ISSUER} | `,
      ])
    })
  })

  describe('what is lost can turn a condition round', () => {
    const guarded = changed(
      'accepts: [{from: b, scopes: {c:1: [b:1]}}]',
      `accepts: [{from: b, scopes: {c:1: [b:1]}}]
    denies: [{when: 'has(subject.claims.email) && subject.claims.email == "x"', reason: x}]`,
    )
    const whereC = 'n/c denies x'
    it('a claim that is no longer passed on can no longer deny', () => {
      const diff = diffOf(changed('    claims: [email]\n', '', guarded), guarded)
      assert.deepEqual(told(diff.gained), [
        `changed ${whereC} | reads email | undefined | n/b no longer passes it on | n/b`,
      ])
      assert.equal(allowsMore(diff), true)
    })
    it('nor can scopes, nor time, that tokens no longer bring', () => {
      const scopes = guarded.replace(
        'has(subject.claims.email) && subject.claims.email == "x"',
        '"b:2" in subject.scopes',
      )
      const fewer = changed('b:2: {all: [u:1, u:2],', 'b:2: {all: [u:1, u:2, u:3],', scopes)
      assert.deepEqual(told(diffOf(fewer, scopes).gained), [
        `changed ${whereC} | reads scopes | undefined | tokens may bring fewer | n/b`,
      ])
      const life = guarded.replace(
        'has(subject.claims.email) && subject.claims.email == "x"',
        'subject.claims.exp > 4000000000',
      )
      const shorter = changed('lifetime: 5m', 'lifetime: 1m', life)
      assert.deepEqual(told(diffOf(shorter, life).gained), [
        `changed ${whereC} | reads exp | undefined | tokens live shorter | n/b`,
      ])
    })
    it('not where the condition reads something else, or tokens of other issuers', () => {
      for (const before of [
        guarded.replaceAll('claims.email', 'claims.other'),
        changed('when: subject.claims.verified == true', 'when: has(subject.claims.email)'),
      ]) {
        const after = changed('    claims: [email]\n', '', before)
        assert.deepEqual(told(diffOf(after, before).gained), [])
      }
    })
  })

  it('what could not be looked at may be allowed', () => {
    assert.equal(allowsMore(diffOf(RULES, RULES, { maxExchanges: 0 })), true)
  })

  it('explains the first chains of very many', () => {
    const many = Array.from(
      { length: MAX_EXPLAINED + 20 },
      (_, at) =>
        `  t${at}x: {scopes: [x], accepts: [{from: a, issuer: corporate, scopes: {x: [u:1]}}]}\n`,
    )
    const calls = many.map((_, at) => `t${at}x`).join(', ')
    const { gained } = diffOf(
      `namespace: n\nservices:\n  a: {calls: [${calls}]}\n${many.join('')}`,
      'namespace: n\nservices: {a: {}}\n',
    )
    assert.equal(gained.scopes.length, many.length)
    assert.equal(gained.scopes.filter(({ journey }) => journey !== undefined).length, MAX_EXPLAINED)
  })
})

describe('isWeaker', () => {
  const any = (...scopes: string[]) => ({ mode: 'any' as const, scopes, when: undefined })
  const all = (...scopes: string[]) => ({ mode: 'all' as const, scopes, when: undefined })
  it('by least sets', () => {
    for (const [before, after, expected] of [
      [any('a'), any('a'), false],
      [any('a', 'b'), any('b'), false],
      [any('a'), any('a', 'b'), true],
      [all('a', 'b'), all('b', 'a'), false],
      [all('a'), all('a', 'b'), false],
      [all('a', 'b'), all('a'), true],
      [all('a'), any('a'), false],
      [all('a', 'b'), any('a', 'b'), true],
      [any('a', 'b'), all('a', 'b'), false],
      [any('a'), all('b', 'c'), true],
    ] as const) {
      assert.equal(isWeaker(before, after), expected, JSON.stringify([before, after]))
    }
  })
})
