// Tokens within tokens: what is decided for each hop, what leaves, and what P1 and P2 keep of it.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { fail, ok } from '../../src/oauth/reasons.ts'
import type { Subject } from '../../src/subjects/subject.ts'
import { type Minted, mint } from '../../src/tokens/mint.ts'
import type { IssuedClaims } from '../../src/tokens/minted.ts'
import { type Tailored, type TailorOrder, tailor } from '../../src/tokens/tailor.ts'
import { SHOP } from '../ruleset/shop.ts'
import { ISSUER, NOW, NOW_SECONDS, subject } from '../support/facts.ts'
import { compiled } from '../support/rules.ts'

const CLAIMS = { email_verified: true, amr: ['mfa'], risk: 'low', email: 'a@x', phone: '+1' }

function order(
  rules = compiled(SHOP),
  change: Partial<Subject> = {},
  rulesetClaim = false,
): TailorOrder {
  const service = rules.services.get('shop/front')
  assert.ok(service)
  let ids = 0
  return {
    caller: { service, id: 'spiffe://cluster.local/ns/shop/sa/front', iss: undefined },
    subject: subject({ scopes: new Set(['shop:browse', 'shop:buy']), claims: CLAIMS, ...change }),
    actor: undefined,
    request: { audiences: ['desk'], resources: [], scopes: undefined },
    issuer: ISSUER,
    now: NOW,
    newTokenId: () => `jti-${++ids}`,
    rulesetClaim,
  }
}

/** Signs by writing the claims down. */
const sign = (claims: IssuedClaims) => ok({ token: JSON.stringify(claims), kid: 'k' })
const TOOLS = { sign, maxTokenCharacters: 60_000 }

function tailored(
  rules = compiled(SHOP),
  change: Partial<Subject> = {},
): Extract<Tailored, { outcome: 'tailored' }> {
  const result = tailor(rules, order(rules, change))
  assert.ok(result.outcome === 'tailored', JSON.stringify(result))
  return result
}

function minted(of: Extract<Tailored, { outcome: 'tailored' }>): Minted {
  const result = mint(of, TOOLS)
  assert.ok(result.ok, JSON.stringify(result))
  return result.value
}

const claimsOf = (token: string): IssuedClaims => JSON.parse(token) as IssuedClaims

const spiffe = (name: string) => `spiffe://cluster.local/ns/shop/sa/${name}`

describe('tailor and mint', () => {
  it('a parent carries the token for the next hop, and that one the token for the hop after', () => {
    const parent = claimsOf(minted(tailored()).token.token)
    assert.equal(parent.aud, 'https://desk.shop.example')
    const till = claimsOf(parent.embedded?.till ?? '')
    assert.deepEqual(
      {
        aud: till.aud,
        scope: till.scope,
        sub: till.sub,
        client_id: till.client_id,
        act: till.act,
        chain: till.chain,
      },
      {
        aud: 'till.shop',
        scope: 'till:open',
        sub: 'corp:alice',
        client_id: spiffe('desk'),
        act: { sub: spiffe('desk'), act: { sub: spiffe('front') } },
        chain: [spiffe('front'), spiffe('desk')],
      },
    )
    const bank = claimsOf(till.embedded?.bank ?? '')
    assert.equal(bank.aud, 'bank.shop')
    assert.deepEqual(bank.chain, [spiffe('front'), spiffe('desk'), spiffe('till')])
    assert.deepEqual([parent.jti, till.jti, bank.jti].toSorted(), ['jti-1', 'jti-2', 'jti-3'])
  })

  it('P1 no claim, scope or second of life is in a child that its parent does not give it', () => {
    const rules = compiled(
      SHOP.replace(
        'scopes: [till:open]\n',
        'scopes: [till:open]\n    claims: [email, phone]\n    token: {lifetime: 1h}\n',
      ),
    )
    const parent = claimsOf(minted(tailored(rules, { exp: NOW_SECONDS + 60 })).token.token)
    const till = claimsOf(parent.embedded?.till ?? '')
    assert.equal(till.email, 'a@x')
    assert.equal(till.phone, undefined, 'desk does not list it, so it passes nothing on')
    assert.equal(till.exp, NOW_SECONDS + 60)
    assert.ok(!JSON.stringify(till.embedded).includes('phone'))
  })

  it('a child that is denied is left out, and known', () => {
    const rules = compiled(
      SHOP.replace('{till:open: [desk:write]}', '{till:open: {all: [desk:write, desk:read]}}'),
    )
    const some = tailored(rules, { scopes: new Set(['shop:browse']) })
    const { token, children } = minted(some)
    assert.equal(claimsOf(token.token).embedded, undefined)
    assert.deepEqual(
      children.map(({ child, minted: one }) => [child.embed.to, one.ok ? 'granted' : one.reason]),
      [['shop/till', 'scope_none_justified']],
    )
  })

  it('embed_required_denied: a required child that is denied denies all', () => {
    const required = SHOP.replace('embed: [till]', 'embed: [{to: till, required: true}]')
    assert.equal(tailor(compiled(required), order(compiled(required))).outcome, 'tailored')
    const rules = compiled(required)
    const result = tailor(rules, order(rules, { scopes: new Set(['shop:browse']) }))
    assert.ok(result.outcome === 'denied')
    assert.equal(result.failure.reason, 'embed_required_denied')
    assert.match(result.failure.detail ?? '', /shop\/till: scope_none_justified/)
  })

  it('a required grandchild takes only its own parent with it', () => {
    const rules = compiled(
      SHOP.replace('{bank:book: [till:open]}', '{bank:book: [till:close]}').replace(
        'scopes: [till:open]',
        'scopes: [till:open, till:close]',
      ),
    )
    const { children } = minted(tailored(rules))
    assert.deepEqual(
      children.map(({ minted: one }) => (one.ok ? 'granted' : one.reason)),
      ['embed_required_denied'],
    )
  })

  it('mint_token_too_large: a parent with all inside has the same cap', () => {
    const of = tailored()
    const size = minted(of).token.token.length
    assert.ok(mint(of, { sign, maxTokenCharacters: size }).ok)
    const over = mint(of, { sign, maxTokenCharacters: size - 1 })
    assert.equal(over.ok ? 'ok' : over.reason, 'mint_token_too_large')
  })

  it('no key, no token, whichever of them lacks it', () => {
    for (const failing of ['https://desk.shop.example', 'till.shop', 'bank.shop']) {
      const result = mint(tailored(), {
        sign: (claims) => (claims.aud === failing ? fail('signing_key_unavailable') : sign(claims)),
        maxTokenCharacters: 60_000,
      })
      assert.equal(result.ok ? 'ok' : result.reason, 'signing_key_unavailable', failing)
    }
  })

  it('ctx and the hash of the rules stand in the token, where they are asked for', () => {
    const rules = compiled(SHOP)
    const plain = claimsOf(minted(tailored()).token.token)
    assert.deepEqual(plain.ctx, { region: 'eu', staff: false })
    assert.equal(plain.ruleset, undefined)
    const told = tailor(rules, order(rules, {}, true))
    assert.ok(told.outcome === 'tailored')
    const claims = claimsOf(minted(told).token.token)
    assert.equal(claims.ruleset, rules.hash)
    assert.equal(claimsOf(claims.embedded?.till ?? '').ruleset, rules.hash)
  })

  it('mint_claim_malformed: a control character does not pass through ctx either', () => {
    const rules = compiled(SHOP)
    const result = tailor(rules, order(rules, { claims: { ...CLAIMS, organisation: 'a\nb' } }))
    assert.ok(result.outcome === 'denied')
    assert.equal(result.failure.reason, 'mint_claim_malformed')
  })

  it('forwards without minting', () => {
    const rules = compiled(SHOP)
    const result = tailor(rules, {
      ...order(rules),
      request: { audiences: ['feed'], resources: [], scopes: undefined },
    })
    assert.equal(result.outcome, 'forwarded')
  })

  it('P1 P2 of any tree of tokens: each child is what its parent could obtain, and no more', () => {
    const rules = compiled(SHOP)
    fc.assert(
      fc.property(
        fc.subarray(['shop:browse', 'shop:buy', 'desk:write', 'till:open']),
        fc.integer({ min: 1, max: 600 }),
        fc.option(fc.constant({ sub: 'agent' }), { nil: undefined }),
        (scopes, left, act) => {
          const given = { scopes: new Set(scopes), exp: NOW_SECONDS + left, ...(act && { act }) }
          const result = tailor(rules, order(rules, given))
          if (result.outcome !== 'tailored') return
          const check = (token: string, parent?: IssuedClaims) => {
            const claims = claimsOf(token)
            assert.ok(claims.exp <= (parent?.exp ?? NOW_SECONDS + left))
            assert.equal(claims.sub, 'corp:alice')
            if (parent !== undefined) assert.deepEqual(claims.act?.act, parent.act)
            for (const inner of Object.values(claims.embedded ?? {})) check(inner, claims)
          }
          check(minted(result).token.token)
        },
      ),
    )
  })
})
