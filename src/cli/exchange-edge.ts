// Owns finding the edge of the ruleset by which a token was exchanged, from the tokens and the rules.
// Must stay pure; it explains and never decides.
import { parseSpiffeId } from '../clients/spiffe-id.ts'
import type { Settings } from '../config/settings.ts'
import type { Rule, Ruleset, Service } from '../ruleset/ruleset.ts'
import { SELF } from '../subjects/subject.ts'
import type { Claims } from './token-diff.ts'

/** The tokens of an exchange that was granted. */
export interface Exchanged {
  readonly before: Claims
  readonly after: Claims
}

/** Gives target and rule, or undefined where the rules at hand are not those that decided. */
export function edgeOf(
  settings: Pick<Settings, 'issuer' | 'issuers'>,
  ruleset: Ruleset,
  { before, after }: Exchanged,
): { readonly target: Service; readonly rule: Rule } | undefined {
  const target = typeof after.aud === 'string' ? ruleset.targets.get(after.aud) : undefined
  const caller = callerOf(ruleset, after.client_id)
  const issuer =
    before.iss === settings.issuer
      ? SELF
      : settings.issuers.find((candidate) => candidate.issuer === before.iss)?.name
  if (target === undefined || caller === undefined || issuer === undefined) return undefined
  const rule =
    target.rules.get(`${caller.name}|${issuer}`) ??
    target.rules.get(`${caller.namespace}/*|${issuer}`)
  return rule === undefined ? undefined : { target, rule }
}

function callerOf(ruleset: Ruleset, clientId: unknown): Service | undefined {
  if (typeof clientId !== 'string') return undefined
  const id = parseSpiffeId(clientId)
  return id === undefined ? ruleset.services.get(clientId) : ruleset.serviceOf(id)
}
