// Owns a token verifier that trusts two issuers and ourselves, and a valid token of each, for tests to change in one thing.

import type { SpiffeId } from '../../src/clients/spiffe-id.ts'
import { ALGORITHMS } from '../../src/jwt/algorithms.ts'
import { parseKeySet } from '../../src/jwt/key-set.ts'
import type { KeySource } from '../../src/jwt/key-source.ts'
import { createSignatureVerifier } from '../../src/jwt/verify-signature.ts'
import type { Presenter } from '../../src/subjects/presenter.ts'
import { ownIssuer, type TrustedIssuer } from '../../src/subjects/trusted-issuer.ts'
import { createTokenVerifier } from '../../src/subjects/verify-token.ts'
import type { WorkloadProofs } from '../../src/subjects/workload-token.ts'
import { jwksOf, makeKey, type TestKey } from './jwt-fixtures.ts'

export const NOW_SECONDS = 1_800_000_000
export const NOW = NOW_SECONDS * 1000
export const SELF_ISS = 'https://sts.boutique.example'
export const CORP_ISS = 'https://login.corp.example'
export const PARTNER_ISS = 'https://login.partner.example'

export const corpKey = makeKey('RS256', 'corp-1')
export const partnerKey = makeKey('ES256', 'partner-1')
export const selfKey = makeKey('ES256', 'self-1')

export const frontend: Presenter = {
  name: 'boutique/frontend',
  audience: 'https://frontend.boutique.example',
  grants: new Set(),
  spiffeId: 'spiffe://cluster.local/ns/boutique/sa/frontend' as SpiffeId,
}

/** A source that always has these keys. */
export function fixedSource(...keys: readonly TestKey[]): KeySource {
  const set = parseKeySet(jwksOf(keys), ALGORITHMS)
  if ('unusable' in set) throw new Error(set.unusable)
  return { current: () => set, refreshed: async () => set }
}

export const corporate: TrustedIssuer = {
  name: 'corporate',
  iss: CORP_ISS,
  keys: fixedSource(corpKey),
  algorithms: ['RS256', 'ES256'],
  tokenTypes: new Set(['access_token', 'id_token']),
  accessTokenTyp: ['at+jwt'],
  presentedBy: new Map([['https://api.shop.example', new Set(['boutique/frontend'])]]),
  scopesFrom: [
    { path: ['scope'], prefix: '' },
    { path: ['realm_access', 'roles'], prefix: 'role:' },
  ],
  subjectPrefix: 'corp',
}

export const partner: TrustedIssuer = {
  ...corporate,
  name: 'partner',
  iss: PARTNER_ISS,
  keys: fixedSource(partnerKey),
  algorithms: ['ES256'],
  tokenTypes: new Set(['jwt']),
  accessTokenTyp: ['JWT', 'absent'],
  subjectPrefix: 'partner',
}

export const self = ownIssuer(SELF_ISS, fixedSource(selfKey), ['ES256'])

/** Claims of a valid token of `corporate`. */
export const corpClaims = {
  iss: CORP_ISS,
  sub: 'alice',
  aud: 'https://api.shop.example',
  exp: NOW_SECONDS + 3600,
  iat: NOW_SECONDS - 10,
  jti: 'corp-jti',
  scope: 'shop:buy shop:browse',
}

/** Claims of a valid token of this service. */
export const selfClaims = {
  iss: SELF_ISS,
  sub: 'corp:alice',
  aud: frontend.audience,
  exp: NOW_SECONDS + 300,
  iat: NOW_SECONDS - 10,
  jti: 'self-jti',
  scope: 'frontend:view',
}

export const makeVerifier = (
  issuers: readonly TrustedIssuer[] = [corporate, partner],
  workloads: WorkloadProofs = {},
) =>
  createTokenVerifier({
    self,
    issuers,
    workloads,
    signatures: createSignatureVerifier({ cacheEntries: 100 }),
    clockSkewSeconds: 30,
  })
