// Owns the verification of a JWT-SVID (JWT-SVID.md, draft-ietf-oauth-spiffe-client-auth).
// Must not refuse a second use: Workload API clients cache an SVID and present it until it expires.
import { ALGORITHMS, type Algorithm } from '../jwt/algorithms.ts'
import { checkTimes, checkTyp, requiredText, TYP_ABSENT } from '../jwt/claims.ts'
import { type JwtResult, jwtFail, jwtOk, type UnverifiedJwt } from '../jwt/compact.ts'
import type { KeySource } from '../jwt/key-source.ts'
import type { SignatureVerifier } from '../jwt/verify-signature.ts'
import { checkSoleAudience } from './assertion.ts'
import { parseSpiffeId, type SpiffeId, trustDomainOf } from './spiffe-id.ts'
import { type ProveWorkload, type WorkloadResult, workloadFail } from './workload-proof.ts'

export interface JwtSvidOptions {
  /** This deployment's issuer URL: the sole `aud`. */
  readonly issuer: string
  /**
   * The JWT keys of each allowed trust domain, configured out of band (SC-05); never found through
   * `iss` (SC-03). A trust domain that is not here is not allowed.
   */
  readonly bundles: ReadonlyMap<string, KeySource>
  readonly verifier: SignatureVerifier
  readonly skewSeconds: number
}

/** SP-02: these and no EdDSA. The keys' own allowed set should be the same. */
export const JWT_SVID_ALGORITHMS: readonly Algorithm[] = ALGORITHMS.filter(
  (algorithm) => algorithm !== 'EdDSA',
)

const HEADER_MEMBERS: ReadonlySet<string> = new Set(['alg', 'kid', 'typ'])
const TYPES = ['JWT', 'JOSE', TYP_ABSENT]

/** Makes the check. */
export function createJwtSvid(options: JwtSvidOptions): ProveWorkload {
  const { issuer, bundles, verifier, skewSeconds } = options
  return async (jwt, now) => {
    const claimed = unverifiedIdentity(jwt, bundles)
    if (!claimed.ok) return claimed
    const { id, bundle } = claimed.value
    const signature = await verifier.verify(jwt, bundle, JWT_SVID_ALGORITHMS)
    if (!signature.ok) return signature
    const audience = checkSoleAudience(jwt.claims, issuer)
    if (!audience.ok) return audience
    const times = checkTimes(jwt.claims, { now, skewSeconds })
    return times.ok ? jwtOk({ id, exp: times.value.exp }) : times
  }
}

/** Whom the token claims to be; it chooses the keys, which speak for that trust domain and no other. */
function unverifiedIdentity(
  jwt: UnverifiedJwt,
  bundles: JwtSvidOptions['bundles'],
): WorkloadResult<{ readonly id: SpiffeId; readonly bundle: KeySource }> {
  const header = checkHeader(jwt)
  if (!header.ok) return header
  const sub = requiredText(jwt.claims, 'sub')
  if (!sub.ok) return sub
  const id = parseSpiffeId(sub.value)
  if (id === undefined) return workloadFail('spiffe_id_malformed', 'sub is no SPIFFE ID')
  const bundle = bundles.get(trustDomainOf(id))
  return bundle === undefined
    ? workloadFail('trust_domain_not_allowed', trustDomainOf(id))
    : jwtOk({ id, bundle })
}

const checkHeader = (jwt: UnverifiedJwt): JwtResult<void> =>
  hasOnlySvidHeader(jwt)
    ? checkTyp(jwt.header, TYPES)
    : jwtFail('header_not_accepted', 'more than alg, kid and typ')

/** The parsed header keeps only what is understood, so its names are read from the token itself. */
function hasOnlySvidHeader(jwt: UnverifiedJwt): boolean {
  const encoded = jwt.token.slice(0, jwt.token.indexOf('.'))
  const header: object = JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8'))
  return Object.keys(header).every((name) => HEADER_MEMBERS.has(name))
}
