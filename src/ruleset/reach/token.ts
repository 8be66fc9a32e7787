// Owns what an exploration works with: the world it looks at, tokens, the requests that they came by.
// Must not explore; nothing here is verified, so none of these subjects may reach a signature.
import type { ScopeSource } from '../../subjects/scopes-from.ts'
import { type Act, asVerified, type IssuerName, type Subject } from '../../subjects/subject.ts'
import type { TailorOrder } from '../../tokens/tailor.ts'
import type { DecideOptions, Evaluate, Facts } from '../decision.ts'
import { type KnownIssuer, UNSIGNED_TOKEN_ID } from '../rehearse/surroundings.ts'
import { DEFAULT_NOW } from '../rehearse/test-schema.ts'
import type { Rule, Ruleset, Service } from '../ruleset.ts'

/** All that decides what could ever be obtained. */
export interface World {
  readonly ruleset: Ruleset
  /** This deployment's issuer URL. */
  readonly selfIss: string
  readonly issuers: ReadonlyMap<IssuerName, RootIssuer>
  /** What a workload's own token has as its one `aud` (client_auth); empty where none is accepted. */
  readonly workloadAudiences: readonly string[]
}

/** A trusted issuer, as far as its tokens bring something. */
export interface RootIssuer extends KnownIssuer {
  readonly scopesFrom: readonly ScopeSource[]
  /** How its tokens are verified, for a comparison; an exploration does not look at it. */
  readonly verification?: IssuerVerification
}

/** By which keys and of which kinds an issuer's tokens are taken. */
export interface IssuerVerification {
  readonly keys: string
  readonly algorithms: readonly string[]
  readonly tokenTypes: readonly string[]
  readonly accessTokenTyp: readonly string[]
}

/** When journeys happen: the time of tests that say nothing, so that a journey can be made one. */
export const EXPLORED_AT = Date.parse(DEFAULT_NOW)
/** Root tokens live as long as those of tests. */
const ROOT_LIFETIME_SECONDS = 3600
export const ROOT_EXP = EXPLORED_AT / 1000 + ROOT_LIFETIME_SECONDS

/** Stands for every claim that no rule names: who holds another issuer's token sees those as well. */
export const OTHER_CLAIMS = '*'

/** A token that could exist. What it brings is the most that a token can which came this way. */
export interface ReachedToken {
  readonly issuer: IssuerName
  /** Whom a token of ours is for; whose own a workload's is; undefined for other issuers' tokens. */
  readonly service: Service | undefined
  /** Who may hand it in. */
  readonly presenters: readonly Service[]
  readonly audiences: readonly string[]
  readonly scopes: ReadonlySet<string>
  /** Levels of `act`. */
  readonly levels: number
  /** Seconds since the epoch. */
  readonly exp: number
  /** Undefined for a token that nobody exchanged for. */
  readonly arrival: Arrival | undefined
  /** Subject claims, each by the way it came first: no decision depends on two of them at once. */
  readonly claims: Map<string, Arrival | undefined>
  /** What else it shows; only kept where somebody may be handed the token as it is. */
  readonly shown: ShownToken | undefined
}

/** What a token shows beside the claims that it passes on. */
export interface ShownToken {
  /** Subject claims that its `ctx` was made of. */
  readonly ctxClaims: Map<string, Arrival>
  /** Tokens inside, by service and scopes. */
  readonly inside: Map<string, InsideToken>
}

/** A token inside another. */
export interface InsideToken {
  readonly service: Service
  readonly scopes: ReadonlySet<string>
  readonly place: Place
  /** Claims that it shows, each with the place of a token that shows it. */
  readonly claims: Map<string, Place>
}

/** Where a token inside stands: how the outer one came, and the members of `embedded` that lead to it. */
export interface Place {
  readonly arrival: Arrival
  readonly path: readonly string[]
}

/** One request that is granted. */
export interface Exchange {
  readonly subject: ReachedToken
  readonly caller: Service
  readonly target: Service
  readonly rule: Rule
  /** Its number in the shortest chain that it ends. */
  readonly depth: number
}

/** A token came out of an exchange, inside its result where `path` is not empty. */
export interface Arrival {
  readonly exchange: Exchange
  readonly path: readonly string[]
}

/** What conditions count as: true, and not denying; a `ctx` as computed. */
export const POSSIBLY_TRUE: Evaluate = (_expression, _facts, role) => ({
  ok: true,
  value: role !== 'deny',
})
export const ASSUMING: DecideOptions = { evaluate: POSSIBLY_TRUE }

/** A service as a caller: one of its workloads, or by its registered key. */
export function callerFacts(service: Service, selfIss: string): Facts['caller'] {
  if (service.clientKeysFile !== undefined) return { service, id: service.name, iss: selfIss }
  const short = service.name.slice(service.namespace.length + 1)
  return { service, id: (service.identities[0] ?? '').replaceAll('*', short), iss: undefined }
}

/** An external service calls nobody. */
export const canCall = (service: Service): boolean =>
  !service.external && (service.identities.length > 0 || service.clientKeysFile !== undefined)

/** A request for all of `scopes`, or without them for all that is justified. */
export function orderOf(
  { selfIss }: Pick<World, 'selfIss'>,
  caller: Service,
  subject: Subject,
  target: Service,
  scopes?: readonly string[],
): TailorOrder {
  return {
    caller: callerFacts(caller, selfIss),
    subject,
    actor: undefined,
    request: { audiences: [target.name], resources: [], scopes },
    issuer: selfIss,
    now: EXPLORED_AT,
    newTokenId: () => UNSIGNED_TOKEN_ID,
    rulesetClaim: false,
  }
}

/** What is believed of a token. */
export interface Believed
  extends Pick<Subject, 'issuer' | 'audiences' | 'scopes' | 'exp' | 'claims'> {
  readonly iss: string
  readonly sub: string
  readonly subjectPrefix: string | undefined
  readonly levels: number
}

/** The subject that a token would be once verified. */
export function believedSubject(token: Believed): Subject {
  const { issuer, iss, sub, subjectPrefix, audiences, scopes, exp, claims, levels } = token
  const act = actOf(levels)
  return asVerified<Subject>({
    issuer,
    iss,
    sub,
    qualifiedSub: subjectPrefix === undefined ? sub : `${subjectPrefix}:${sub}`,
    tokenType: 'access_token',
    audiences,
    scopes,
    exp,
    claims,
    chain: [],
    tokenHash: '',
    ...(act === undefined ? {} : { act }),
  })
}

/** Who acted does not matter to what can be obtained, only how many. */
function actOf(levels: number): Act | undefined {
  let act: Act | undefined
  for (let level = 0; level < levels; level++) {
    act = { sub: 'somebody', ...(act === undefined ? {} : { act }) }
  }
  return act
}
