// Owns the hash of a ruleset: SHA-256 over what decides, in an order of its own.
// Must leave out what changes no decision: neither files nor order change it.
import { createHash } from 'node:crypto'
import type { Condition, CtxEntry, Deny, Justification, Rule, Service } from '../ruleset.ts'

/**
 * Hex; the same for the same rules however they are written down. Services come sorted by name; after
 * each of them it pauses.
 */
export function* hashOf(services: ReadonlyMap<string, Service>): Generator<void, string, void> {
  const hash = createHash('sha256')
  for (const service of services.values()) {
    hash.update(`${canonical(service)}\n${rulesForm(service)}\n`)
    yield
  }
  return hash.digest('hex')
}

function canonical(service: Service): string {
  return JSON.stringify([
    service.name,
    service.audience,
    sorted(service.scopes),
    sorted(service.claims),
    [...service.ctx].map(([name, entry]) => [name, ctxForm(entry)]),
    sorted(service.alsoAudiences),
    service.embeddable,
    sorted(service.grants),
    service.lifetimeSeconds,
    service.algorithm ?? null,
    sorted(service.calls),
    service.denies.map(denyForm).sort(),
    sorted(service.identities),
    service.external,
    service.clientKeysName ?? null,
  ])
}

/**
 * The rules as lines: they are most of a ruleset. No id, scope or name holds a tab or line break and no
 * scope a space; what may is written as JSON.
 */
function rulesForm({ rules }: Service): string {
  const lines: string[] = []
  for (const rule of [...rules.values()].sort(byId)) {
    const { id, act, forward, scopes } = rule
    lines.push(`rule\t${id}\t${act}\t${forward}\t${extrasOf(rule)}`)
    for (const scope of sorted(scopes.keys())) {
      const justification = scopes.get(scope)
      if (justification !== undefined) lines.push(justificationForm(scope, justification))
    }
  }
  return lines.join('\n')
}

/** What most rules do not have. */
function extrasOf({ actors, when, embed }: Rule): string {
  if (actors.size === 0 && when === undefined && embed.length === 0) return ''
  const embedded = embed.map(({ to, required }) => [to, required])
  return JSON.stringify([sorted(actors), conditionForm(when), embedded])
}

const byId = (a: Rule, b: Rule): number => (a.id < b.id ? -1 : 1)

function justificationForm(scope: string, { mode, scopes, when }: Justification): string {
  const condition = when === undefined ? '' : `\t${JSON.stringify(conditionForm(when))}`
  return `${scope}\t${mode}\t${sorted(scopes).join(' ')}${condition}`
}

/** As text, so that a list of them sorts by all that they say. */
const denyForm = (deny: Deny): string =>
  JSON.stringify([
    deny.from === undefined ? null : sorted(deny.from),
    deny.issuer ?? null,
    deny.reason,
    deny.when?.source ?? null,
    deny.mode,
  ])

const conditionForm = (condition: Condition | undefined) =>
  condition === undefined ? null : [condition.expression.source, condition.mode]

const ctxForm = (entry: CtxEntry) =>
  entry.kind === 'claim'
    ? [entry.kind, entry.claim]
    : entry.kind === 'value'
      ? [entry.kind, entry.value]
      : [entry.kind, entry.expression.source]

function sorted(items: Iterable<string>): readonly string[] {
  const list = [...items]
  return list.length < 2 ? list : list.sort()
}
