// Owns the way from a token that a test or a person describes to the verified value that it would be.
// Must not be used on tokens that a caller hands in: subjects/verify-token.ts verifies those.
import { parseDuration } from '../../config/duration.ts'
import { type Failure, fail, ok, type Result } from '../../oauth/reasons.ts'
import { readDelegation } from '../../subjects/act.ts'
import { mayPresent } from '../../subjects/presenter.ts'
import { type Actor, asVerified, SELF, type Subject, WORKLOAD } from '../../subjects/subject.ts'
import { fullName } from '../names.ts'
import type { Service } from '../ruleset.ts'
import { type ScenarioCaller, type ScenarioEntry, type Scene, subOf } from './scenario.ts'
import type { Surroundings } from './surroundings.ts'
import { type ActorEntry, DEFAULT_EXP, type PartyEntry, type SubjectEntry } from './test-schema.ts'

/** Whoever it is: most rules do not ask. */
const SOMEBODY = 'somebody'

/** A token, and why the verification would refuse it. */
export interface Described<T> {
  /** Also where it is refused for who presents it: an explanation goes on from there. */
  readonly token: T | undefined
  readonly refusal: Failure | undefined
}

/** What a token is made from, beside what is written. */
export interface DescribedFor {
  readonly caller: ScenarioCaller
  readonly scene: Scene
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** The subject token; the order of its refusals is that of the live verification. */
export function describedSubject(
  entry: ScenarioEntry['subject'],
  made: DescribedFor,
): Described<Subject> {
  if ('qualifiedSub' in entry) return { token: entry, refusal: refusalOf('subject', entry, made) }
  if (entry.issuer === WORKLOAD) return workloadToken(entry, made)
  const audiences = audiencesOf(entry, made)
  const refusal = refusalOf('subject', { issuer: entry.issuer, audiences }, made)
  const token = userToken(entry, audiences, made)
  return token.ok
    ? { token: token.value, refusal }
    : { token: undefined, refusal: refusal ?? token }
}

/** The actor token. */
export function describedActor(entry: ActorEntry, made: DescribedFor): Described<Actor> {
  const { issuer, sub, exp } = entry
  if (issuer === WORKLOAD) {
    const refusal = fail('actor_token_issuer_not_trusted', 'the caller itself is always an actor')
    return { token: undefined, refusal }
  }
  const audiences = audiencesOf(entry, made)
  const token = asVerified<Actor>({
    issuer,
    iss: issOf(issuer, made),
    sub: subOf(sub, made.scene),
    exp: expOf(exp, made),
    tokenHash: '',
  })
  return { token, refusal: refusalOf('actor', { issuer, audiences }, made) }
}

const refusalOf = (
  role: 'subject' | 'actor',
  token: { readonly issuer: string; readonly audiences: readonly string[] },
  { caller, scene }: DescribedFor,
): Failure | undefined => presenterRefusal(role, token, caller.service, scene.surroundings)

/** Why this service may not hand in a token of this issuer and these audiences; undefined where it may. */
export function presenterRefusal(
  role: 'subject' | 'actor',
  { issuer, audiences }: { readonly issuer: string; readonly audiences: readonly string[] },
  service: Service,
  { issuers }: Pick<Surroundings, 'issuers'>,
): Failure | undefined {
  // Of a workload's own token it was seen when the token was made.
  if (issuer === WORKLOAD) return undefined
  const presentedBy = issuer === SELF ? 'audience' : (issuers.get(issuer)?.presentedBy ?? new Map())
  if (mayPresent({ presentedBy }, audiences, service)) return undefined
  return fail(`${role}_token_presenter_not_allowed`, `${service.name} with a token of ${issuer}`)
}

function userToken(
  entry: SubjectEntry,
  audiences: readonly string[],
  made: DescribedFor,
): Result<Subject> {
  const { issuer, sub = SOMEBODY, scope = '' } = entry
  const iss = issOf(issuer, made)
  const exp = expOf(entry.exp, made)
  const claims = {
    iss,
    sub,
    aud: audiences.length === 1 ? audiences[0] : audiences,
    iat: Math.floor(made.now / 1000),
    exp,
    ...(scope === '' ? {} : { scope }),
    ...delegationClaims(entry, made.scene),
    ...entry.claims,
  }
  if ('cnf' in claims) return fail('subject_token_confirmation_unsupported')
  const delegation = readDelegation(claims, { iss, selfIss: made.scene.surroundings.issuer })
  if (!delegation.ok) return delegation
  const prefix = made.scene.surroundings.issuers.get(issuer)?.subjectPrefix
  return ok(
    asVerified<Subject>({
      issuer,
      iss,
      sub,
      qualifiedSub: prefix === undefined ? sub : `${prefix}:${sub}`,
      tokenType: 'access_token',
      audiences,
      scopes: wordsOf(scope),
      exp,
      claims: Object.freeze(claims),
      ...delegation.value,
      tokenHash: '',
    }),
  )
}

/** A workload's own SVID or service-account token; only the workload itself may hand it in. */
function workloadToken(entry: SubjectEntry, made: DescribedFor): Described<Subject> {
  const { caller, scene } = made
  const sub = entry.sub === undefined ? caller.id : subOf(entry.sub, scene)
  const audiences = entry.aud === undefined ? [scene.surroundings.issuer] : [entry.aud].flat()
  const exp = expOf(entry.exp, made)
  const token = asVerified<Subject>({
    issuer: WORKLOAD,
    iss: sub.split('/').slice(0, 3).join('/'),
    sub,
    qualifiedSub: sub,
    tokenType: 'jwt',
    audiences,
    scopes: entry.scope === undefined ? caller.service.grants : wordsOf(entry.scope),
    exp,
    claims: Object.freeze({ sub, aud: audiences, exp, ...entry.claims }),
    chain: [],
    tokenHash: '',
  })
  const isOwn = sub === caller.spiffeId
  const detail = `${caller.service.name} with a token of ${sub}`
  return { token, refusal: isOwn ? undefined : fail('subject_token_not_own', detail) }
}

function audiencesOf(
  { issuer, aud }: Pick<SubjectEntry, 'issuer' | 'aud'>,
  { caller: { service }, scene: { ruleset, namespace, surroundings } }: DescribedFor,
): readonly string[] {
  if (issuer === SELF) {
    return [aud ?? service.audience]
      .flat()
      .map((one) => ruleset.services.get(fullName(one, namespace))?.audience ?? one)
  }
  if (aud !== undefined) return [aud].flat()
  const presentedBy = surroundings.issuers.get(issuer)?.presentedBy ?? new Map()
  const all = [...presentedBy]
  const [own] = all.find(([, services]) => services.has(service.name)) ?? all[0] ?? ['nobody']
  return [own]
}

function delegationClaims(
  { act, may_act: mayAct, chain }: SubjectEntry,
  scene: Scene,
): Record<string, unknown> {
  return {
    ...(act && { act: actClaim(act, scene) }),
    ...(mayAct && { may_act: partyClaim(mayAct, scene) }),
    ...(chain && { chain: chain.map((one) => subOf(one, scene)) }),
  }
}

function partyClaim(
  one: PartyEntry,
  scene: Scene,
): { readonly sub: string; readonly iss?: string } {
  if (typeof one === 'string') return { sub: subOf(one, scene) }
  return { sub: subOf(one.sub, scene), ...(one.iss === undefined ? {} : { iss: one.iss }) }
}

function actClaim(act: NonNullable<SubjectEntry['act']>, scene: Scene): object {
  if (typeof act === 'string') return partyClaim(act, scene)
  if ('sub' in act) {
    const inner = act.act
    return { ...partyClaim(act, scene), ...(inner && { act: actClaim(inner, scene) }) }
  }
  const levels = act.map((one) => partyClaim(one, scene))
  return levels.reduceRight((inner: object, level) => ({ ...level, act: inner }))
}

const issOf = (issuer: string, { scene: { surroundings } }: DescribedFor): string =>
  issuer === SELF ? surroundings.issuer : (surroundings.issuers.get(issuer)?.iss ?? issuer)

const expOf = (exp: string | undefined, { now }: DescribedFor): number =>
  Math.floor((now + (parseDuration(exp ?? DEFAULT_EXP) ?? 0)) / 1000)

const wordsOf = (text: string): ReadonlySet<string> =>
  new Set(text.split(' ').filter((word) => word !== ''))
