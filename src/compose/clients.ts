// Owns the way from settings to client authentication.
// Must not authenticate anybody itself.
import {
  type AuthenticateClient,
  type ClientAuthenticatorOptions,
  createClientAuthenticator,
  type WorkloadOptions,
} from '../clients/authenticate.ts'
import { createRateLimit } from '../clients/rate-limit.ts'
import type { Settings } from '../config/settings.ts'
import { ALGORITHMS } from '../jwt/algorithms.ts'
import type { KeySource } from '../jwt/key-source.ts'
import type { SignatureVerifier } from '../jwt/verify-signature.ts'
import type { Ruleset } from '../ruleset/ruleset.ts'
import type { UsedAssertions } from '../store/used-assertions.ts'
import { type KeySourceContext, keySource } from './key-sources.ts'

/** Clocks of two machines differ by less; it never extends an `exp`. */
export const CLOCK_SKEW_SECONDS = 30

/** Assertion attempts of one peer under one name, as a multiple of what an identity may exchange. */
const ATTEMPTS_PER_EXCHANGE = 2
/** Further attempts of one peer under all names; many callers may share its address. */
const PEER_ATTEMPTS_PER_EXCHANGE = 20

export interface ClientsContext extends KeySourceContext {
  readonly verifier: SignatureVerifier
  readonly workloads: WorkloadOptions
  readonly ruleset: () => Ruleset
  readonly usedAssertions: UsedAssertions
}

/** Makes client authentication as the settings say. */
export function composeClients(settings: Settings, context: ClientsContext): AuthenticateClient {
  const { clientAuth, issuer, limits } = settings
  const { verifier } = context
  const options: ClientAuthenticatorOptions = {
    methodsByListener: methodsByListener(settings),
    attempts: allowance(limits, ATTEMPTS_PER_EXCHANGE),
    peerAttempts: allowance(limits, PEER_ATTEMPTS_PER_EXCHANGE),
    provedAttempts: allowance(limits, ATTEMPTS_PER_EXCHANGE),
    ...(clientAuth.xfcc && {
      xfcc: { ...clientAuth.xfcc, trustDomains: new Set(settings.trustDomains) },
    }),
    ...(clientAuth.mtls && { mtls: { trustDomain: clientAuth.mtls.trustDomain } }),
    ...context.workloads,
    ...(clientAuth.privateKeyJwt && {
      privateKeyJwt: {
        issuer,
        verifier,
        skewSeconds: CLOCK_SKEW_SECONDS,
        keysOf: registeredKeys(context),
        claimAssertionId: context.usedAssertions.claim,
      },
    }),
  }
  return createClientAuthenticator(options)
}

const allowance = ({ perCallerPerSecond, burst }: Settings['limits'], multiple: number) =>
  createRateLimit({ perSecond: perCallerPerSecond * multiple, burst: burst * multiple })

function methodsByListener({
  listeners,
}: Settings): ClientAuthenticatorOptions['methodsByListener'] {
  const methods = new Map([['token', new Set(listeners.token.clientAuth)]])
  if (listeners.tokenMtls) methods.set('token_mtls', new Set(listeners.tokenMtls.clientAuth))
  if (listeners.tokenExternal) {
    methods.set('token_external', new Set(listeners.tokenExternal.clientAuth))
  }
  return methods
}

/** The key sets that services registered; one source for each file, made when it is first asked for. */
function registeredKeys(context: ClientsContext): (service: string) => KeySource | undefined {
  const sources = new Map<string, KeySource>()
  return (service) => {
    const path = context.ruleset().services.get(service)?.clientKeysFile
    if (path === undefined) return undefined
    let source = sources.get(path)
    if (source === undefined) {
      source = keySource({ kind: 'file', path }, { allowed: ALGORITHMS }, context)
      sources.set(path, source)
    }
    return source
  }
}
