// Owns finding the edge of the ruleset by which a token was exchanged, from the tokens and the rules.
// Must stay pure; it explains and never decides.
import { parseSpiffeId } from '../clients/spiffe-id.ts'
import type { Settings } from '../config/settings.ts'
import { ruleFor } from '../ruleset/rule-for.ts'
import type { Rule, Ruleset, Service } from '../ruleset/ruleset.ts'
import { type IssuerName, SELF, WORKLOAD } from '../subjects/subject.ts'
import { workloadTokenKind } from '../subjects/workload-token.ts'
import type { Claims } from './token-diff.ts'

/** The tokens of an exchange that was granted. */
export interface Exchanged {
  readonly before: Claims
  readonly after: Claims
}

/** Gives target and rule, or undefined where the rules at hand are not those that decided. */
export function edgeOf(
  settings: Pick<Settings, 'issuer' | 'issuers' | 'clientAuth'>,
  ruleset: Ruleset,
  { before, after }: Exchanged,
): { readonly target: Service; readonly rule: Rule } | undefined {
  const target = typeof after.aud === 'string' ? ruleset.targets.get(after.aud) : undefined
  const caller = callerOf(ruleset, after.client_id)
  const issuer = issuerOf(settings, before)
  if (target === undefined || caller === undefined || issuer === undefined) return undefined
  const rule = ruleFor(target, caller, issuer)
  return rule === undefined ? undefined : { target, rule }
}

function issuerOf(
  { issuer, issuers, clientAuth }: Pick<Settings, 'issuer' | 'issuers' | 'clientAuth'>,
  before: Claims,
): IssuerName | undefined {
  if (before.iss === issuer) return SELF
  const trusted = issuers.find((candidate) => candidate.issuer === before.iss)
  if (trusted !== undefined) return trusted.name
  const clusterIssuer = clientAuth.kubernetes?.issuer
  const kind = workloadTokenKind(before, { isTrusted: () => false, clusterIssuer })
  return kind && WORKLOAD
}

function callerOf(ruleset: Ruleset, clientId: unknown): Service | undefined {
  if (typeof clientId !== 'string') return undefined
  const id = parseSpiffeId(clientId)
  return id === undefined ? ruleset.services.get(clientId) : ruleset.serviceOf(id)
}
