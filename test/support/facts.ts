// Owns valid facts, subjects and orders that tests change in one thing.
import type { Client } from '../../src/clients/client.ts'
import { parseSpiffeId } from '../../src/clients/spiffe-id.ts'
import type { Facts } from '../../src/ruleset/decision.ts'
import type { Ruleset } from '../../src/ruleset/ruleset.ts'
import { type Actor, asVerified, type Subject } from '../../src/subjects/subject.ts'

export const NOW = Date.UTC(2026, 0, 2, 3, 4, 5)
export const NOW_SECONDS = NOW / 1000
export const ISSUER = 'https://sts.boutique.example'

/** A caller by its SPIFFE ID. */
export function workload(name: string): Client {
  const spiffeId = parseSpiffeId(`spiffe://cluster.local/ns/boutique/sa/${name}`)
  if (spiffeId === undefined) throw new Error(name)
  return {
    identity: { kind: 'workload', spiffeId },
    id: spiffeId,
    method: 'xfcc',
    peer: '127.0.0.6',
  }
}

/** A user's token of the corporate issuer. */
export const subject = (change: Partial<Subject> = {}): Subject =>
  asVerified<Subject>({
    issuer: 'corporate',
    iss: 'https://login.corp.example',
    sub: 'alice',
    qualifiedSub: 'corp:alice',
    tokenType: 'access_token',
    audiences: ['https://api.shop.example'],
    scopes: new Set(['shop:browse', 'shop:buy', 'shop:verified']),
    exp: NOW_SECONDS + 3600,
    claims: Object.freeze({ email: 'a@x.example', risk: 'low', phone: '+1' }),
    chain: [],
    jti: 'subject-1',
    tokenHash: 'ab'.repeat(32),
    ...change,
  })

export const actor = (change: Partial<Actor> = {}): Actor =>
  asVerified<Actor>({
    issuer: 'agents',
    iss: 'https://agents.example',
    sub: 'agent-7',
    exp: NOW_SECONDS + 1800,
    tokenHash: 'cd'.repeat(32),
    ...change,
  })

/** Facts of frontend exchanging a user's token for checkout. */
export function facts(ruleset: Ruleset, change: Partial<Facts> = {}, from = 'frontend'): Facts {
  const service = ruleset.services.get(`boutique/${from}`)
  if (service === undefined) throw new Error(from)
  return {
    caller: { service, id: workload(from).id, iss: undefined },
    subject: subject(),
    actor: undefined,
    request: { audiences: ['checkout'], resources: [], scopes: ['checkout:place'] },
    selfIss: ISSUER,
    now: NOW,
    ...change,
  }
}
