// Owns how a journey is written as one of a test file (docs/rules-test.md), so that it can be kept as a test.
// Must not find journeys.
import type { Tailored } from '../../tokens/tailor.ts'
import type { DecideOptions } from '../decision.ts'
import type { AllowEntry, JourneyEntry, SubjectEntry } from '../rehearse/test-schema.ts'
import { type Journey, travel } from './journey.ts'
import type { World } from './token.ts'

type Granted = Exclude<Tailored, { outcome: 'denied' }>
type Minted = Extract<Tailored, { outcome: 'tailored' }>

/**
 * Writes a journey down, with what comes of each request under the given options. Undefined where there is
 * no request: then somebody holds an issuer's token as it is.
 */
export function journeyEntry(
  world: World,
  journey: Journey,
  name: string,
  options?: DecideOptions,
): JourneyEntry | undefined {
  const { results } = travel(world, journey, options)
  const hops: JourneyEntry['hops'] = []
  for (const [at, { caller, uses, target, scopes }] of journey.hops.entries()) {
    const result = results[at]
    if (result === undefined || result.outcome === 'denied') return undefined
    const isLast = at === journey.hops.length - 1
    hops.push({
      caller: caller.name,
      ...(uses.length === 0 ? {} : { uses: uses.length === 1 ? uses[0] : [...uses] }),
      request: {
        audience: target.name,
        ...(scopes === undefined ? {} : { scope: scopes.join(' ') }),
      },
      expect: { allow: isLast ? finalAllow(result, journey) : allowOf(result) },
    })
  }
  return hops.length === 0 ? undefined : { name, subject: subjectEntry(world, journey), hops }
}

function subjectEntry({ selfIss }: World, { root }: Journey): SubjectEntry {
  const { issuer, workload, audiences, scopes, claims } = root
  const [audience] = audiences
  // What a test takes for granted.
  const isPlain = workload !== undefined && audience === selfIss && audiences.length === 1
  return {
    issuer,
    ...(isPlain ? {} : { aud: audiences.length === 1 ? audience : [...audiences] }),
    // Without it a workload brings all that it is granted.
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
    ...(Object.keys(claims).length === 0 ? {} : { claims: { ...claims } }),
  }
}

const allowOf = (result: Granted): AllowEntry =>
  result.outcome === 'forwarded' ? { forward: true } : { scope: scopeOf(result) }

const scopeOf = ({ decision }: Minted): string => decision.scopes.join(' ')

/** With what the journey is about: the claim, or the token inside. */
function finalAllow(result: Granted, { goal }: Journey): AllowEntry {
  if (result.outcome === 'forwarded') return allowOf(result)
  return allowAt(result, goal.path, goal.claim)
}

function allowAt(
  result: Minted,
  [member, ...inwards]: readonly string[],
  claim: string | undefined,
): AllowEntry {
  if (member !== undefined) {
    return { scope: scopeOf(result), embedded: embeddedOf(result, member, inwards, claim) }
  }
  const { passedClaims } = result.built
  const passes = claim !== undefined && passedClaims.includes(claim)
  return { scope: scopeOf(result), ...(passes ? { claims: passedClaims } : {}) }
}

/** All members, because a test names all; of those that are not the way their scopes. */
function embeddedOf(
  { children }: Minted,
  way: string,
  inwards: readonly string[],
  claim: string | undefined,
): Readonly<Record<string, string | AllowEntry>> {
  const members: Record<string, string | AllowEntry> = {}
  for (const { embed, tailored } of children) {
    if (tailored.outcome !== 'tailored') continue
    const allow = allowAt(tailored, inwards, claim)
    const isMore = embed.member === way && Object.keys(allow).length > 1
    members[embed.member] = isMore ? allow : scopeOf(tailored)
  }
  return members
}
