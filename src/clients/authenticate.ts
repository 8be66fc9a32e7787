// Owns who is calling: which one piece of evidence counts, and that nothing else makes up for it.
// Must not verify anything itself; each method has its own file.
import { ownClaim } from '../jwt/claims.ts'
import { parseCompactJwt, type UnverifiedJwt } from '../jwt/compact.ts'
import { createRecent, type Recent } from '../jwt/recent.ts'
import { JWT_BEARER_ASSERTION, JWT_SPIFFE_ASSERTION } from '../oauth/names.ts'
import { fail, ok, type Result } from '../oauth/reasons.ts'
import { assertionFailure } from './assertion.ts'
import type { Client, ClientAuthMethod, ClientEvidence } from './client.ts'
import { createJwtSvid, type JwtSvidOptions } from './jwt-svid.ts'
import { createKubernetes, type KubernetesOptions } from './kubernetes.ts'
import { createMtls, type MtlsOptions } from './mtls.ts'
import { canonicalAddress } from './peer-address.ts'
import { createPrivateKeyJwt, type PrivateKeyJwtOptions } from './private-key-jwt.ts'
import type { RateLimit } from './rate-limit.ts'
import type { SpiffeId } from './spiffe-id.ts'
import { createXfcc, type XfccOptions } from './xfcc.ts'

/** How workloads prove themselves by a token; what is not configured is absent. */
export interface WorkloadOptions {
  readonly jwtSvid?: JwtSvidOptions
  readonly kubernetes?: KubernetesOptions
}

export interface ClientAuthenticatorOptions extends WorkloadOptions {
  /** A listener that is not here takes no method. */
  readonly methodsByListener: ReadonlyMap<string, ReadonlySet<ClientAuthMethod>>
  readonly xfcc?: XfccOptions
  readonly mtls?: MtlsOptions
  readonly privateKeyJwt?: PrivateKeyJwtOptions
  /**
   * Allowance of attempts by (peer, unverified `sub`), taken before any signature is checked or the API
   * server asked. It must let through what an identity may do afterwards.
   */
  readonly attempts?: RateLimit
  /**
   * Allowance of a peer as a whole, taken where a name's own is used up: peers that share an address
   * cannot lock one of them out by its name alone. It bounds what that lets through.
   */
  readonly peerAttempts?: RateLimit
  /**
   * Allowance of each assertion that proved its holder before, instead of the two above: nobody who
   * does not hold the assertion can use it up. Never for assertions of single use.
   */
  readonly provedAttempts?: RateLimit
}

/** Gives the caller, or a `client_…` reason. `now` in milliseconds. */
export type AuthenticateClient = (evidence: ClientEvidence, now: number) => Promise<Result<Client>>

const NO_METHODS: ReadonlySet<ClientAuthMethod> = new Set()
/** An unverified `sub` is no reason to keep much: longer ones share a bucket. */
const MAX_ATTEMPT_KEY_CHARACTERS = 512
/** About 2 MB of hashes; each active workload presents one assertion until it is renewed. */
const MAX_PROVED_ASSERTIONS = 16_384

/**
 * Makes the authenticator. Throws where a listener takes a method that has no options, or takes both
 * `xfcc` and `mtls`: a listener that ends mesh TLS itself gets XFCC from the caller, not from a proxy.
 */
export function createClientAuthenticator(options: ClientAuthenticatorOptions): AuthenticateClient {
  const methods = createMethods(options)
  checkListeners(options.methodsByListener, methods)
  const proved = createRecent<true>(MAX_PROVED_ASSERTIONS)

  return async (evidence, now) => {
    const enabled = options.methodsByListener.get(evidence.listener) ?? NO_METHODS
    const context = { enabled, methods, evidence, now }
    const { clientAssertion } = evidence.parameters
    if (evidence.authorizationLines.length > 0) {
      // A sidecar adds XFCC to whatever passes, so beside it Authorization is still the only attempt.
      return fail(
        clientAssertion === undefined
          ? 'client_authorization_not_supported'
          : 'client_methods_several',
      )
    }
    return clientAssertion === undefined
      ? fromConnection(context)
      : fromAssertion(clientAssertion, context, options, proved)
  }
}

/** What one authentication looks at. */
interface Context {
  readonly enabled: ReadonlySet<ClientAuthMethod>
  readonly methods: Methods
  readonly evidence: ClientEvidence
  readonly now: number
}

type Methods = ReturnType<typeof createMethods>

function createMethods(options: ClientAuthenticatorOptions) {
  const { xfcc, mtls, jwtSvid, kubernetes, privateKeyJwt } = options
  return {
    xfcc: xfcc && createXfcc(xfcc),
    mtls: mtls && createMtls(mtls),
    jwt_svid: jwtSvid && createJwtSvid(jwtSvid),
    kubernetes: kubernetes && createKubernetes(kubernetes),
    private_key_jwt: privateKeyJwt && createPrivateKeyJwt(privateKeyJwt),
  } satisfies Record<ClientAuthMethod, unknown>
}

function checkListeners(
  methodsByListener: ClientAuthenticatorOptions['methodsByListener'],
  methods: Methods,
): void {
  for (const [listener, enabled] of methodsByListener) {
    for (const method of enabled) {
      if (methods[method] === undefined) {
        throw new Error(`listener ${listener} takes ${method}, which is not configured`)
      }
    }
    if (enabled.has('xfcc') && enabled.has('mtls')) {
      throw new Error(`listener ${listener} takes both xfcc and mtls`)
    }
  }
}

interface ConnectionIdentity {
  readonly method: 'xfcc' | 'mtls'
  readonly id: Result<SpiffeId>
}

/** Who the connection says is calling; undefined where it says nothing that this listener takes. */
async function connectionIdentity({
  enabled,
  methods,
  evidence,
  now,
}: Context): Promise<ConnectionIdentity | undefined> {
  if (enabled.has('mtls') && methods.mtls !== undefined) {
    const { peerCertificate } = evidence
    if (peerCertificate === undefined) {
      return { method: 'mtls', id: fail('client_certificate_missing') }
    }
    return { method: 'mtls', id: await methods.mtls(peerCertificate, now) }
  }
  if (enabled.has('xfcc') && methods.xfcc !== undefined && evidence.xfccLines.length > 0) {
    return { method: 'xfcc', id: methods.xfcc(evidence) }
  }
  return undefined
}

/**
 * Whom a pinned proxy vouches for on a listener that takes no `xfcc`: told apart for allowances only, not
 * recorded. Not to be asked where the listener ends mesh TLS itself: there the header is the sender's own,
 * and the connection has said who it is, or that it is nobody.
 */
function vouchedIdentity({ methods, evidence }: Context): ConnectionIdentity | undefined {
  if (methods.xfcc === undefined) return undefined
  return { method: 'xfcc', id: methods.xfcc(evidence) }
}

async function fromConnection(context: Context): Promise<Result<Client>> {
  const { evidence } = context
  const identity = await connectionIdentity(context)
  if (identity === undefined) {
    const hasOther = evidence.xfccLines.length > 0 || evidence.peerCertificate !== undefined
    return fail(hasOther ? 'client_method_not_enabled' : 'client_missing')
  }
  if (!identity.id.ok) return identity.id
  return workload(identity.id.value, identity.method, addressOf(evidence), evidence)
}

/** The assertion alone identifies the caller: where it fails, the connection does not step in. */
async function fromAssertion(
  assertion: string,
  context: Context,
  options: ClientAuthenticatorOptions,
  proved: Recent<true>,
): Promise<Result<Client>> {
  const { enabled, evidence, now } = context
  const kinds = assertionMethods(evidence.parameters.clientAssertionType)
  if (kinds === undefined) return fail('client_assertion_type_unsupported')
  const [first, second] = kinds.filter((method) => enabled.has(method))
  if (first === undefined) return fail('client_method_not_enabled')
  const jwt = parseCompactJwt(assertion)
  if (!jwt.ok) return assertionFailure(jwt)

  const identity = await connectionIdentity(context)
  const peer = peerOf(evidence, identity)
  const group = peerOf(evidence, identity ?? vouchedIdentity(context))
  const method = second === undefined ? first : bearerMethod(jwt.value, options.kubernetes?.issuer)
  const attempt = admitAttempt(jwt.value, group, now, options, proved)
  if (!attempt.ok) return attempt
  const client = await verifyAssertion(method, jwt.value, peer, context)
  // What is used once is worth nothing afterwards, so it earns no allowance of its own.
  if (client.ok && method !== 'private_key_jwt') proved.set(jwt.value.hash, true)
  return client
}

const ADMITTED = ok(undefined)

/** Takes from the first allowance that nobody else can have used up; before anything is verified. */
function admitAttempt(
  jwt: UnverifiedJwt,
  group: string,
  now: number,
  options: ClientAuthenticatorOptions,
  proved: Recent<true>,
): Result<void> {
  const { attempts, peerAttempts, provedAttempts } = options
  if (provedAttempts !== undefined && proved.get(jwt.hash) === true) {
    return provedAttempts.take(jwt.hash, now)
  }
  const named = attempts?.take(attemptKey(jwt), now, group) ?? ADMITTED
  return named.ok || peerAttempts === undefined ? named : peerAttempts.take(group, now)
}

/** The methods that an assertion type can mean (RFC 7523 §2.2, draft-ietf-oauth-spiffe-client-auth). */
function assertionMethods(type: string | undefined): readonly AssertionMethod[] | undefined {
  if (type === JWT_SPIFFE_ASSERTION) return ['jwt_svid']
  return type === JWT_BEARER_ASSERTION ? ['kubernetes', 'private_key_jwt'] : undefined
}

type AssertionMethod = Exclude<ClientAuthMethod, 'xfcc' | 'mtls'>

/** The unverified `iss` chooses between a cluster and a registered service; either then verifies it. */
function bearerMethod(jwt: UnverifiedJwt, clusterIssuer: string | undefined): AssertionMethod {
  return ownClaim(jwt.claims, 'iss') === clusterIssuer ? 'kubernetes' : 'private_key_jwt'
}

async function verifyAssertion(
  method: AssertionMethod,
  jwt: UnverifiedJwt,
  peer: string,
  { methods, evidence, now }: Context,
): Promise<Result<Client>> {
  if (method === 'private_key_jwt') {
    const service = await methods.private_key_jwt?.(jwt, now, evidence.parameters.clientId)
    if (service?.ok !== true) return service ?? fail('client_method_not_enabled')
    const identity = { kind: 'registered', service: service.value } as const
    return ok({ identity, id: service.value, method, peer })
  }
  const id = await methods[method]?.(jwt, now)
  if (id === undefined) return fail('client_method_not_enabled')
  return id.ok ? workload(id.value.id, method, peer, evidence) : assertionFailure(id)
}

/** CA-07: client_id is optional, and may only repeat what was proved. */
function workload(
  spiffeId: SpiffeId,
  method: ClientAuthMethod,
  peer: string,
  { parameters }: ClientEvidence,
): Result<Client> {
  if (parameters.clientId !== undefined && parameters.clientId !== spiffeId) {
    return fail('client_id_mismatch')
  }
  return ok({ identity: { kind: 'workload', spiffeId }, id: spiffeId, method, peer })
}

const addressOf = (evidence: ClientEvidence): string =>
  canonicalAddress(evidence.peerAddress) ?? evidence.peerAddress

/** The address, and whom the connection proves beside an assertion. */
function peerOf(evidence: ClientEvidence, identity: ConnectionIdentity | undefined): string {
  const address = addressOf(evidence)
  return identity?.id.ok === true ? `${address} ${identity.id.value}` : address
}

function attemptKey(jwt: UnverifiedJwt): string {
  const sub = ownClaim(jwt.claims, 'sub')
  return typeof sub === 'string' && sub.length <= MAX_ATTEMPT_KEY_CHARACTERS ? sub : ''
}
