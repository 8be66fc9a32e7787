// Owns conditions that a loss turns round: what is no longer in a token can no longer deny.
// Must not judge whether it matters: a condition that reads what is gone may allow more.
import { SELF } from '../../subjects/subject.ts'
import type { Expression } from '../expression/expression.ts'
import { conditionsOf } from '../reach/conditions.ts'
import type { Reach } from '../reach/reach.ts'
import type { World } from '../reach/token.ts'
import type { ServiceName } from '../ruleset.ts'
import { type Easing, notesOf } from './edges.ts'

/** What tokens no longer bring: claims with those who no longer pass them on, and whether scopes or life. */
export interface Losses {
  readonly claims: ReadonlyMap<string, readonly ServiceName[]>
  readonly scopes: boolean
  readonly life: boolean
}

/** Claims that a service listed and no longer does. */
export function lostClaims(before: World, after: World): Losses['claims'] {
  const lost = new Map<string, ServiceName[]>()
  for (const [name, { claims }] of before.ruleset.services) {
    const now = after.ruleset.services.get(name)?.claims
    if (now === undefined) continue
    for (const claim of claims.filter((one) => !now.includes(one))) {
      lost.set(claim, [...(lost.get(claim) ?? []), name])
    }
  }
  return lost
}

/** `subject.scopes` is no claim, so that it is found in the text. */
const READS_SCOPES = /subject\s*\.\s*scopes/

/** Conditions on our own tokens that read what these no longer bring. */
export function reversedBy({ edges }: Reach, losses: Losses): readonly Easing[] {
  const found: Easing[] = []
  for (const { caller, target, rule } of edges.values()) {
    if (rule.issuer !== SELF) continue
    for (const { predicate, expression } of conditionsOf(target, rule, caller)) {
      const ofCondition = notesOf(predicate, [caller.name])
      for (const [what, why] of missedBy(expression, losses)) {
        ofCondition.note(`reads ${what}`, undefined, why, 'changed')
      }
      found.push(...ofCondition.found)
    }
  }
  return found
}

function* missedBy(
  { claims, source }: Expression,
  losses: Losses,
): Generator<readonly [what: string, why: string]> {
  for (const claim of claims) {
    const by = losses.claims.get(claim)
    if (by !== undefined) yield [claim, `${by.join(' ')} no longer passes it on`]
  }
  const readsScopes = READS_SCOPES.test(source) || claims.includes('scope')
  if (losses.scopes && readsScopes) yield ['scopes', 'tokens may bring fewer']
  if (losses.life && claims.includes('exp')) yield ['exp', 'tokens live shorter']
}
