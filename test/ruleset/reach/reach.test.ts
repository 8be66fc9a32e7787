// What an exploration finds, on small rulesets by hand; reach/property.test.ts holds it against random ones.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { depthOf, type Way } from '../../../src/ruleset/reach/facts.ts'
import { type Goal, journeyOf, travel } from '../../../src/ruleset/reach/journey.ts'
import { type ExploreOptions, explore, type Reach } from '../../../src/ruleset/reach/reach.ts'
import { canBring } from '../../../src/ruleset/reach/roots.ts'
import { OTHER_CLAIMS, type World } from '../../../src/ruleset/reach/token.ts'
import { ISSUER } from '../../support/facts.ts'
import { compiled } from '../../support/rules.ts'

/** Tokens of `corporate` are handed in by `a` alone, unless more is said. */
function world(rules: string, change: Partial<World> = {}): World {
  return {
    ruleset: compiled(rules),
    selfIss: ISSUER,
    workloadAudiences: [ISSUER],
    issuers: new Map([
      [
        'corporate',
        {
          iss: 'https://login.corp.example',
          presentedBy: new Map([['https://api.example', new Set(['n/a'])]]),
          subjectPrefix: 'corp',
          scopesFrom: [{ path: ['scope'], prefix: '' }],
        },
      ],
    ]),
    ...change,
  }
}

const reachOf = (rules: string, options: ExploreOptions = {}, change: Partial<World> = {}): Reach =>
  explore(world(rules, change), options)

/** `holder scope target requests` of every fact, sorted. */
function holdings({ facts }: Reach): string[] {
  const told: string[] = []
  for (const [holder, target, scopes] of facts.holdings()) {
    for (const [scope, way] of scopes) told.push(`${holder} ${scope} ${target} ${depthOf(way)}`)
  }
  return told.sort()
}

/** `service claim requests` of every fact, without the claims that nobody names. */
const sights = ({ facts }: Reach): string[] =>
  [...facts.sights()]
    .filter(({ claim }) => claim !== OTHER_CLAIMS)
    .map(({ service, claim, way }) => `${service} ${claim} ${depthOf(way)}`)
    .sort()

/** The journey really leads there, by as many requests as were told. */
function assertArrives(reach: Reach, way: Way, wanted: Omit<Goal, 'path'>): void {
  const journey = journeyOf(way, wanted)
  assert.equal(journey.hops.length, depthOf(way))
  assert.ok(travel(reach.world, journey).arrived)
}

const CHAIN = `
namespace: n
services:
  a: {calls: [b]}
  b:
    scopes: [b:1, b:2]
    claims: [email, risk]
    calls: [c]
    accepts: [{from: a, issuer: corporate, scopes: {b:1: [u:1], b:2: {all: [u:1, u:2]}}}]
  c:
    scopes: [c:1, c:2]
    claims: [email]
    accepts: [{from: b, scopes: {c:1: [b:1], c:2: {all: [b:1, b:2]}}}]
`

describe('explore', () => {
  it('follows a chain; a service that is sent a token for itself obtains nothing', () => {
    const reach = reachOf(CHAIN)
    assert.deepEqual(holdings(reach), [
      'n/a b:1 n/b 1',
      'n/a b:2 n/b 1',
      'n/b c:1 n/c 2',
      'n/b c:2 n/c 2',
    ])
    assert.deepEqual(sights(reach), [
      'n/a email 0',
      'n/a risk 0',
      'n/b email 1',
      'n/b risk 1',
      'n/c email 2',
    ])
    assert.deepEqual(reach.explored, {
      complete: true,
      // Of the issuer, of three workloads, for b and for c.
      tokens: 6,
      exchanges: 2,
      services: 3,
      depth: 2,
    })
  })

  it('only the caller’s and the target’s consent together make an edge', () => {
    const without = (what: string, by: string) => holdings(reachOf(CHAIN.replace(what, by)))
    assert.ok(!without('calls: [c]', 'calls: []').some((told) => told.startsWith('n/b')))
    assert.ok(
      !without('{from: b,', '{from: b, issuer: corporate,').some((told) => told.startsWith('n/b')),
    )
    const denied = `${CHAIN}    denies: [{from: b, reason: no}]\n`
    assert.ok(!holdings(reachOf(denied)).some((told) => told.startsWith('n/b')))
  })

  it('counts conditions as possibly true, wherever they stand', () => {
    const rules = CHAIN.replace(
      'c:1: [b:1]',
      'c:1: {any: [b:1], when: subject.claims.nobody == true}',
    )
      .replace('- {from: a', '- {from: a')
      .replace('[{from: b, ', '[{from: b, when: subject.claims.no == 1, ')
    const denies =
      "    denies: [{when: 'true', reason: maybe}]\n    ctx: {x: {computed: subject.claims.never}}\n"
    assert.deepEqual(holdings(reachOf(rules + denies)), holdings(reachOf(CHAIN)))
  })

  it('a token inside is held by everyone on the way, and its claims are seen by all of them', () => {
    const reach = reachOf(`
namespace: n
services:
  a: {calls: [b]}
  b:
    scopes: [b:1]
    claims: [email]
    calls: [c]
    accepts: [{from: a, issuer: corporate, scopes: {b:1: [u:1]}, embed: [c]}]
  c:
    scopes: [c:1]
    claims: [email]
    embeddable: true
    calls: [d]
    accepts: [{from: b, scopes: {c:1: [b:1]}, embed: [d]}]
  d:
    scopes: [d:1]
    embeddable: true
    ctx: {mail: {claim: email}}
    accepts: [{from: c, scopes: {d:1: [c:1]}}]
`)
    assert.deepEqual(holdings(reach), [
      'n/a b:1 n/b 1',
      'n/a c:1 n/c 1',
      'n/a d:1 n/d 1',
      'n/b c:1 n/c 1',
      'n/b d:1 n/d 1',
      'n/c d:1 n/d 1',
    ])
    assert.deepEqual(sights(reach), ['n/a email 0', 'n/b email 1', 'n/c email 1', 'n/d email 1'])
  })

  it('an embedded token is handed in one request earlier than one that is asked for', () => {
    const rules = (embed: string) => `
namespace: n
services:
  a: {calls: [b]}
  b:
    scopes: [b:1]
    calls: [c]
    accepts: [{from: a, issuer: corporate, scopes: {b:1: [u:1]}${embed}}]
  c:
    scopes: [c:1]
    embeddable: true
    calls: [d]
    accepts: [{from: b, scopes: {c:1: [b:1]}}]
  d: {scopes: [d:1], accepts: [{from: c, scopes: {d:1: [c:1]}}]}
`
    assert.ok(holdings(reachOf(rules(''))).includes('n/c d:1 n/d 3'))
    assert.ok(holdings(reachOf(rules(', embed: [c]'))).includes('n/c d:1 n/d 2'))
  })

  describe('a forwarded token', () => {
    const FORWARD = `
namespace: n
services:
  a: {calls: [b, e]}
  b:
    scopes: [b:1]
    claims: [email]
    ctx: {level: {computed: subject.claims.risk}}
    calls: [c, e]
    accepts: [{from: a, issuer: corporate, scopes: {b:1: [u:1]}, embed: [c]}]
  c:
    scopes: [c:1]
    claims: [email]
    embeddable: true
    accepts: [{from: b, scopes: {c:1: [b:1]}}]
  e:
    also_audiences: [b.n]
    accepts: [{from: b, forward: true}]
`
    it('is the caller’s to send, with scopes that justify nothing', () => {
      const rules = FORWARD.replace(
        'scopes: {b:1: [u:1]}',
        'scopes: {b:1: [u:1], b:2: [u:1]}',
      ).replace('scopes: [b:1]', 'scopes: [b:1, b:2]')
      const { facts } = reachOf(rules)
      assert.ok(facts.obtains('n/e', 'n/b', 'b:2'))
      const foreign = reachOf(
        rules.replace('{from: b, forward', '{from: a, issuer: corporate, forward'),
      )
      assert.ok(foreign.facts.obtains('n/a', 'n/e', 'u:1'))
    })
    it('and all inside it are the target’s, with every claim that they show', () => {
      const reach = reachOf(FORWARD)
      assert.ok(reach.facts.obtains('n/e', 'n/b', 'b:1'), 'the scopes of the token itself')
      assert.ok(reach.facts.obtains('n/e', 'n/c', 'c:1'), 'the token inside')
      assert.ok(reach.facts.obtains('n/b', 'n/e', 'b:1'), 'the caller may send it there')
      assert.deepEqual(
        sights(reach).filter((told) => told.startsWith('n/e')),
        ['n/e email 2', 'n/e risk 2'],
      )
    })
    it('of another issuer shows all of it', () => {
      const rules = FORWARD.replace(
        'also_audiences: [b.n]',
        'also_audiences: [https://api.example]',
      ).replace('{from: b, forward: true}', '{from: a, issuer: corporate, forward: true}')
      const { facts } = reachOf(rules)
      assert.ok(facts.obtains('n/a', 'n/e', 'u:1'))
      for (const claim of ['email', 'risk', OTHER_CLAIMS])
        assert.ok(facts.sees('n/e', claim), claim)
    })
    it('of another issuer brings any scope that its reader knows', () => {
      const rules = FORWARD.replace('  e:\n', '  e:\n    scopes: [e:1]\n').replace(
        '{from: b, forward: true}',
        '{from: a, issuer: corporate, forward: true}',
      )
      assert.ok(reachOf(rules).facts.obtains('n/a', 'n/e', 'e:1'))
      const asked = { scopes: ['anything'], claims: [] }
      assert.ok(reachOf(rules, { asked }).facts.obtains('n/a', 'n/e', 'anything'))
    })
    it('is not for a target that has another audience', () => {
      const { facts } = reachOf(FORWARD.replace('    also_audiences: [b.n]\n', ''))
      assert.equal(facts.obtains('n/e', 'n/b', 'b:1'), undefined)
      assert.equal(facts.sees('n/e', 'email'), undefined)
    })
  })

  it('also_audiences: who obtains a token obtains it for all that accept it, as Envoy compares', () => {
    const { facts } = reachOf(
      `${CHAIN}  e: {audience: https://e.example, also_audiences: [http://c.n]}\n`,
    )
    assert.ok(facts.obtains('n/b', 'n/e', 'c:1'))
    assert.ok(facts.obtains('n/c', 'n/e', 'c:1'), 'c holds a token that another accepts')
    assert.equal(facts.obtains('n/c', 'n/c', 'c:1'), undefined)
  })

  it('a workload brings its grants and no more, and sees nothing of others by its own token', () => {
    const rules = `
namespace: n
services:
  job: {grants: [g:1], calls: [c]}
  idle: {calls: [c]}
  c:
    scopes: [c:1, c:2]
    accepts: [{from: n/*, issuer: workload, scopes: {c:1: [g:1], c:2: [g:2]}}]
`
    const reach = reachOf(rules)
    assert.deepEqual(holdings(reach), ['n/job c:1 n/c 1'])
    assert.deepEqual(sights(reach), [])
    assert.deepEqual(holdings(reachOf(rules, {}, { workloadAudiences: [] })), [])
  })

  it('what comes with fewer scopes and more claims is followed too', () => {
    // b's token by m has more scopes; only the one by p carries the claim.
    const { facts } = reachOf(`
namespace: n
services:
  a: {calls: [m, p]}
  m: {scopes: [m:1], calls: [b], accepts: [{from: a, issuer: corporate, scopes: {m:1: [u:1]}}]}
  p: {scopes: [p:1], claims: [email], calls: [b], accepts: [{from: a, issuer: corporate, scopes: {p:1: [u:1]}}]}
  b:
    scopes: [b:1, b:2]
    claims: [email]
    calls: [c]
    accepts:
      - {from: m, scopes: {b:1: [m:1], b:2: [m:1]}}
      - {from: p, scopes: {b:1: [p:1]}}
  c:
    scopes: [c:1, c:2]
    claims: [email]
    accepts: [{from: b, scopes: {c:1: [b:1], c:2: [b:2]}}]
`)
    assert.ok(facts.sees('n/c', 'email'))
    assert.ok(facts.obtains('n/b', 'n/c', 'c:2'))
  })

  /** Two ways to one token for b: the shorter by p without the claim, the longer by m and q with it. */
  const TWO_WAYS = `
namespace: n
services:
  a: {calls: [m, p]}
  m: {scopes: [m:1], claims: [email], calls: [q], accepts: [{from: a, issuer: corporate, act: impersonate, scopes: {m:1: [u:1]}}]}
  q: {scopes: [q:1], claims: [email], calls: [b], accepts: [{from: m, scopes: {q:1: [m:1]}}]}
  p: {scopes: [p:1, p:2], calls: [b], accepts: [{from: a, issuer: corporate, scopes: {p:1: [u:1], p:2: [u:1]}}]}
  b:
    scopes: [b:1, b:2]
    claims: [email]
    calls: [c]
    accepts:
      - {from: p, scopes: {b:1: [p:1]}}
      - {from: q, scopes: {b:1: [q:1]}}
  c: {scopes: [c:1], claims: [email], accepts: [{from: b, scopes: {c:1: [b:1]}}]}
`
  it('a claim that comes to a known token goes on from there, by its own way', () => {
    const reach = reachOf(TWO_WAYS)
    const { way } = reach.facts.sees('n/c', 'email') ?? assert.fail()
    assert.equal(depthOf(way), 4)
    assert.equal(depthOf(reach.facts.obtains('n/b', 'n/c', 'c:1')?.way ?? assert.fail()), 3)
    assertArrives(reach, way, { holder: 'n/c', claim: 'email' })
  })
  it('a claim that only ctx shows comes with a token that is forwarded, by its own way', () => {
    const rules = TWO_WAYS.replace('    claims: [email]\n', '    ctx: {mail: {claim: email}}\n')
      .replace('{b:1: [p:1]}', '{b:1: [p:1], b:2: [p:2]}')
      .replace('[{from: b, scopes: {c:1: [b:1]}}]', '[{from: b, forward: true}]')
      .replace('c: {scopes: [c:1], claims: [email],', 'c: {also_audiences: [b.n],')
    const reach = reachOf(rules)
    const { way } = reach.facts.sees('n/c', 'email') ?? assert.fail()
    assert.equal(depthOf(way), 4)
    assertArrives(reach, way, { holder: 'n/c', claim: 'email' })
  })

  it('what comes later and without act is followed too', () => {
    // The first token for c is delegated, so it cannot be impersonated on; the later one can.
    const rules = (act: string) => `
namespace: n
services:
  a: {calls: [b, c]}
  b:
    scopes: [b:1]
    calls: [c]
    accepts: [{from: a, issuer: corporate, scopes: {b:1: [u:1]}, act: impersonate}]
  c:
    scopes: [c:1]
    calls: [d]
    accepts:
      - {from: a, issuer: corporate, scopes: {c:1: [u:1]}}
      - {from: b, scopes: {c:1: [b:1]}, act: ${act}}
  d: {scopes: [d:1], accepts: [{from: c, scopes: {d:1: [c:1]}, act: impersonate}]}
`
    assert.ok(holdings(reachOf(rules('impersonate'))).includes('n/c d:1 n/d 3'))
    assert.equal(reachOf(rules('delegate')).facts.obtains('n/c', 'n/d', 'd:1'), undefined)
  })

  it('what is inside counts where the token is forwarded, even if another brings the same', () => {
    // Both tokens for b are alike; only the later one carries a token for c.
    const reach = reachOf(`
namespace: n
services:
  a: {calls: [b, m]}
  m: {scopes: [m:1], calls: [b], accepts: [{from: a, issuer: corporate, scopes: {m:1: [u:1]}}]}
  b:
    scopes: [b:1]
    calls: [c, e]
    accepts:
      - {from: a, issuer: corporate, scopes: {b:1: [u:1]}}
      - {from: m, scopes: {b:1: [m:1]}, embed: [c]}
  c: {scopes: [c:1], embeddable: true, accepts: [{from: b, scopes: {c:1: [b:1]}}]}
  e: {also_audiences: [b.n], accepts: [{from: b, forward: true}]}
`)
    const { facts } = reach
    const { way } = facts.obtains('n/e', 'n/c', 'c:1') ?? assert.fail()
    assert.equal(depthOf(way), 3)
    assertArrives(reach, way, { holder: 'n/e', target: 'n/c', scope: 'c:1' })
  })

  it('ends where chains end: after ten levels of act', () => {
    const services = Array.from({ length: 13 }, (_, at) => {
      const accepts =
        at === 0
          ? ''
          : `accepts: [{from: s${at - 1}x, ${at === 1 ? 'issuer: corporate, ' : ''}scopes: {x: [x]}}], `
      return `  s${at}x: {scopes: [x], ${accepts}calls: [${at < 12 ? `s${at + 1}x` : ''}]}\n`
    })
    const issuers = new Map(
      [...world(CHAIN).issuers].map(([name, issuer]) => [
        name,
        { ...issuer, presentedBy: new Map([['https://api.example', new Set(['n/s0x'])]]) },
      ]),
    )
    const { facts, explored } = reachOf(
      `namespace: n\nservices:\n${services.join('')}`,
      {},
      { issuers },
    )
    assert.equal(explored.depth, 10)
    assert.ok(facts.obtains('n/s9x', 'n/s10x', 'x'))
    assert.equal(facts.obtains('n/s10x', 'n/s11x', 'x'), undefined)
  })

  it('goes round a circle once', () => {
    const { explored } = reachOf(`
namespace: n
services:
  a: {calls: [b]}
  b:
    scopes: [x]
    calls: [c]
    accepts: [{from: a, issuer: corporate, scopes: {x: [u:1]}}, {from: c, scopes: [x]}]
  c: {scopes: [x], calls: [b], accepts: [{from: b, scopes: [x]}]}
`)
    assert.deepEqual([explored.exchanges, explored.complete], [3, true])
  })

  it('says so where it gives up', () => {
    assert.equal(reachOf(CHAIN, { maxExchanges: 0 }).explored.complete, false)
    assert.equal(reachOf(CHAIN, { maxExchanges: 1 }).explored.complete, false)
    assert.equal(reachOf(CHAIN, { maxExchanges: 2 }).explored.complete, true)
  })

  it('tells of each exchange', () => {
    const told: string[] = []
    reachOf(CHAIN, {
      onExchange: ({ rule, depth }, { outcome }) => told.push(`${depth} ${rule.id} ${outcome}`),
    })
    assert.deepEqual(told, ['1 n/b <- n/a [corporate] tailored', '2 n/c <- n/b [self] tailored'])
  })
})

describe('root tokens', () => {
  it('bring what scopes_from can give', () => {
    const sources = [
      { path: ['scope'], prefix: '' },
      { path: ['roles'], prefix: 'role:' },
    ]
    assert.ok(canBring('shop:buy', sources))
    assert.ok(canBring('role:admin', sources))
    // Neither is a value of roles, nor may the other source pass for it.
    assert.ok(!canBring('role:', sources))
    assert.ok(!canBring('shop:buy', sources.slice(1)))
    assert.ok(!canBring('shop:buy', []))
  })
  it('of an issuer whose roles alone count obtain nothing by scopes', () => {
    const [[, corporate] = assert.fail()] = world(CHAIN).issuers
    const issuers = new Map([
      ['corporate', { ...corporate, scopesFrom: [{ path: ['roles'], prefix: 'role:' }] }],
    ])
    assert.deepEqual(holdings(reachOf(CHAIN, {}, { issuers })), [])
  })
})
