// Owns the comparison of services and issuers beside rules: who may act in whose name, what tokens are like.
// Must not compare rules.

import { type IdentityPattern, parseIdentityPattern } from '../identity.ts'
import type { Exchange, RootIssuer, World } from '../reach/token.ts'
import type { CtxEntry, Service } from '../ruleset.ts'
import { type Easing, type Note, notesOf } from './edges.ts'

/** What a service that takes part asks less than before, or shows more. */
export function compareService(before: Service, after: Service): readonly Easing[] {
  const { found, note } = notesOf(after.name)
  if (after.lifetimeSeconds > before.lifetimeSeconds) {
    note('lifetime', `${before.lifetimeSeconds} s`, `${after.lifetimeSeconds} s`)
  }
  if (after.audience !== before.audience) {
    note('audience', before.audience, after.audience, 'changed')
  }
  for (const audience of after.alsoAudiences) {
    if (!before.alsoAudiences.has(audience)) note('also_audiences', undefined, audience)
  }
  for (const claim of after.claims) {
    if (!before.claims.includes(claim)) note(CLAIMS, undefined, claim)
  }
  compareIdentities(before, after, note)
  compareCtx(before, after, note)
  return found
}

/** How a claim that a service lists is told of. */
export const CLAIMS = 'claims'

function compareIdentities(before: Service, after: Service, note: Note): void {
  for (const identity of after.identities) {
    if (before.identities.some((old) => covers(old, identity))) continue
    note('identity', before.identities.join(' ') || undefined, identity)
  }
  if (after.clientKeysFile !== undefined && before.clientKeysFile === undefined) {
    note('client_keys', undefined, 'whoever has one of these keys')
  } else if (after.clientKeysName !== before.clientKeysName) {
    note('client_keys', before.clientKeysName, after.clientKeysName, 'changed')
  }
}

function compareCtx(before: Service, after: Service, note: Note): void {
  for (const [name, old] of before.ctx) {
    const now = after.ctx.get(name)
    const isSame = now !== undefined && ctxText(now) === ctxText(old)
    // What is not computed any more cannot be in error, which denied.
    if (old.kind !== 'computed' || isSame) continue
    note(`ctx.${name}`, ctxText(old), now && ctxText(now), 'changed')
  }
  for (const [name, entry] of after.ctx) {
    const old = before.ctx.get(name)
    if (old?.kind === 'computed' || (old !== undefined && ctxText(old) === ctxText(entry))) continue
    note(`ctx.${name}`, old && ctxText(old), ctxText(entry))
  }
}

function ctxText(entry: CtxEntry): string {
  if (entry.kind === 'claim') return `the claim ${entry.claim}`
  return entry.kind === 'value' ? JSON.stringify(entry.value) : entry.expression.source
}

function covers(before: string, after: string): boolean {
  const [old, young] = [parseIdentityPattern(before), parseIdentityPattern(after)]
  return old !== undefined && young !== undefined && coversPattern(old, young)
}

const coversPattern = (old: IdentityPattern, young: IdentityPattern): boolean =>
  old.trustDomain === young.trustDomain &&
  old.segments.length === young.segments.length &&
  old.segments.every((segment, at) => segment === '*' || segment === young.segments[at])

/** Scopes that a workload brings as itself, and that a rule for its own token asks for. */
export function compareGrants(before: World, { caller, rule }: Exchange): readonly Easing[] {
  const old = before.ruleset.services.get(caller.name)
  if (old === undefined) return []
  const asked = new Set([...rule.scopes.values()].flatMap(({ scopes }) => scopes))
  const { found, note } = notesOf(caller.name)
  for (const grant of caller.grants) {
    if (!old.grants.has(grant) && asked.has(grant)) note('grants', undefined, grant)
  }
  return found
}

/** Who may hand in an issuer's tokens, and what these count as. */
export function compareIssuers(before: World, after: World): readonly Easing[] {
  const found: Easing[] = []
  for (const [name, issuer] of after.issuers) {
    const ofIssuer = notesOf(`issuer ${name}`)
    const old = before.issuers.get(name)
    if (old === undefined) ofIssuer.note('its tokens', undefined, 'are taken')
    else compareIssuer(old, issuer, ofIssuer.note)
    found.push(...ofIssuer.found)
  }
  const ofWorkloads = notesOf('issuer workload')
  for (const audience of after.workloadAudiences) {
    if (before.workloadAudiences.includes(audience)) continue
    ofWorkloads.note("workloads' own tokens", undefined, `are taken for ${audience}`)
  }
  return [...found, ...ofWorkloads.found]
}

function compareIssuer(before: RootIssuer, after: RootIssuer, note: Note): void {
  if (before.iss !== after.iss) note('iss', before.iss, after.iss, 'changed')
  if (before.subjectPrefix !== after.subjectPrefix) {
    note('subject_prefix', before.subjectPrefix, after.subjectPrefix, 'changed')
  }
  for (const [audience, services] of after.presentedBy) {
    for (const service of services) {
      if (before.presentedBy.get(audience)?.has(service) === true) continue
      note('presented_by', undefined, `${service} for ${audience}`)
    }
  }
  const [old, young] = [sourcesText(before), sourcesText(after)]
  if (old !== young) note('scopes_from', old, young, 'changed')
  if (before.subjectPrefix !== after.subjectPrefix) {
    note('subject_prefix', before.subjectPrefix, after.subjectPrefix, 'changed')
  }
  compareVerification(before, after, note)
}

/** Other keys are somebody else's tokens; another kind is a token that was made for something else. */
function compareVerification(
  { verification: before }: RootIssuer,
  { verification: after }: RootIssuer,
  note: Note,
): void {
  if (before === undefined || after === undefined) return
  if (before.keys !== after.keys) note('keys', before.keys, after.keys, 'changed')
  const lists = [
    ['algorithms', before.algorithms, after.algorithms],
    ['token_types', before.tokenTypes, after.tokenTypes],
    ['access_token_typ', before.accessTokenTyp, after.accessTokenTyp],
  ] as const
  for (const [what, old, young] of lists) {
    for (const item of young) if (!old.includes(item)) note(what, undefined, item)
  }
}

const sourcesText = ({ scopesFrom }: RootIssuer): string =>
  scopesFrom.map(({ path, prefix }) => `${prefix}${path.join('.')}`).join(' ')
