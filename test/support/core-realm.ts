// Owns exchanges in memory: everything that the server does between verifying and signing, on tokens that are
// believed. Must not decide anything itself.

import { believedSubject, callerFacts, type World } from '../../src/ruleset/reach/token.ts'
import { rehearseOrder } from '../../src/ruleset/rehearse/rehearsal.ts'
import type { Surroundings } from '../../src/ruleset/rehearse/surroundings.ts'
import type { Service } from '../../src/ruleset/ruleset.ts'
import { readDelegation } from '../../src/subjects/act.ts'
import { mayPresent } from '../../src/subjects/presenter.ts'
import { type Actor, asVerified, SELF, type Subject, WORKLOAD } from '../../src/subjects/subject.ts'
import type { IssuedClaims } from '../../src/tokens/minted.ts'
import { subjectOf } from '../../src/tokens/tailor.ts'
import { type Realm, readToken } from './adversary.ts'
import { ISSUER, NOW, NOW_SECONDS } from './facts.ts'
import type { RandomRules } from './random-ruleset.ts'
import { ruleTexts } from './random-ruleset.ts'
import { compiled } from './rules.ts'

/** What is proved of random rules. */
export function worldOf(rules: RandomRules): World {
  return {
    ruleset: compiled(...ruleTexts(rules)),
    selfIss: ISSUER,
    workloadAudiences: [ISSUER],
    issuers: new Map(
      rules.issuers.map(({ name, iss, presentedBy }) => [
        name,
        {
          iss,
          presentedBy: new Map(
            Object.entries(presentedBy).map(([audience, services]) => [
              audience,
              new Set(services),
            ]),
          ),
          subjectPrefix: name,
          scopesFrom: [{ path: ['scope'], prefix: '' }],
        },
      ]),
    ),
  }
}

/** The name of an issuer by its `iss`. */
export const issuerIn =
  (world: World) =>
  (iss: unknown): string => {
    if (iss === world.selfIss) return SELF
    const known = [...world.issuers].find(([, issuer]) => issuer.iss === iss)
    return known?.[0] ?? WORKLOAD
  }

/** Services that can call, by full name. */
export const callersIn = ({ ruleset }: World): readonly string[] =>
  [...ruleset.services.values()].filter(({ external }) => !external).map(({ name }) => name)

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A realm of the pure core. */
export function createCoreRealm(world: World): Realm {
  const { ruleset } = world
  const surroundings: Surroundings = {
    issuer: world.selfIss,
    issuers: world.issuers,
    algorithm: 'ES256',
    maxTokenCharacters: 61_440,
    rulesetClaim: false,
  }
  return {
    async exchange({ caller: name, token, actor: actorToken, target, scopes }) {
      const caller = ruleset.services.get(name)
      if (caller === undefined) throw new Error(name)
      const subject = subjectIn(world, token)
      const facts = callerFacts(caller, world.selfIss)
      const presentedBy =
        subject.issuer === SELF
          ? 'audience'
          : (world.issuers.get(subject.issuer)?.presentedBy ?? new Map())
      const isOwn = subject.issuer === WORKLOAD && subject.sub === facts.id
      if (!isOwn && !mayPresent({ presentedBy }, subject.audiences, caller)) return undefined
      const actor = actorToken === undefined ? undefined : actorIn(world, actorToken, caller)
      if (actorToken !== undefined && actor === undefined) return undefined
      const asked = scopes?.length === 0 ? undefined : scopes
      const order = {
        caller: facts,
        subject: isOwn ? { ...subject, scopes: caller.grants } : subject,
        actor,
        request: { audiences: [target], resources: [], scopes: asked },
        issuer: world.selfIss,
        now: NOW,
        newTokenId: () => 'jti',
        rulesetClaim: false,
      }
      const { result } = rehearseOrder(order, { ruleset, surroundings })
      if (!result.ok) return undefined
      return result.value.kind === 'forwarded' ? token : result.value.minted.token.token
    },
    sign({ issuer, workload, audiences, scopes, claims }) {
      const service = workload === undefined ? undefined : ruleset.services.get(workload)
      const sub = service === undefined ? 'alice' : callerFacts(service, world.selfIss).id
      const iss = world.issuers.get(issuer)?.iss
      const scope = scopes.length === 0 ? {} : { scope: scopes.join(' ') }
      return `e30.${encoded({ iss, sub, aud: audiences, exp: NOW_SECONDS + 3600, ...scope, ...claims })}.e30`
    },
  }
}

function subjectIn(world: World, compact: string): Subject {
  const { issuer, payload, audiences, scopes } = readToken(compact, issuerIn(world))
  if (issuer === SELF) return subjectOf(payload as unknown as IssuedClaims)
  const iss = String(payload.iss)
  const delegation = readDelegation(payload, { iss, selfIss: world.selfIss })
  if (!delegation.ok) throw new Error(delegation.reason)
  const subject = believedSubject({
    issuer,
    iss,
    sub: String(payload.sub),
    subjectPrefix: world.issuers.get(issuer)?.subjectPrefix,
    audiences,
    scopes: new Set(scopes),
    exp: Number(payload.exp),
    claims: payload,
    levels: 0,
  })
  return { ...subject, ...delegation.value }
}

/** Undefined where it is refused: whoever has acted already is no actor. */
function actorIn(world: World, compact: string, caller: Service): Actor | undefined {
  const { issuer, payload, audiences } = readToken(compact, issuerIn(world))
  const presentedBy = world.issuers.get(issuer)?.presentedBy ?? new Map()
  if (!mayPresent({ presentedBy }, audiences, caller)) return undefined
  if (payload.act !== undefined || payload.may_act !== undefined) return undefined
  const { iss, sub, exp } = payload
  return asVerified<Actor>({
    issuer,
    iss: String(iss),
    sub: String(sub),
    exp: Number(exp),
    tokenHash: '',
  })
}
